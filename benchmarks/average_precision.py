"""Mean average precision beside copairs at a size it can do, and alone at 9,216 wells x 600 features, with peak memory.

Each part runs in a process of its own. The large part is what copairs does not finish in 14 GB (its issue 90): every
well is sought among all others, 42 million pairs.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.results_file import write_result
from flows.settings import child_environment
from imaging.analyses.average_precision import average_precision, mean_precisions, rank_p_values

SMALL, LARGE, FEATURES, REPLICATES = 1_536, 9_216, 600, 4
NULL_SIZE, SEED = 1_000, 1


def draw(wells: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw profiles of treatments with replicates that are somewhat alike: values and labels."""
    random = np.random.default_rng(SEED)
    labels = np.arange(wells) // REPLICATES
    centres = random.normal(size=(labels.max() + 1, FEATURES))
    return random.normal(size=(wells, FEATURES)) * 2 + centres[labels], labels


def ours(wells: int) -> dict[str, Any]:
    """Precision of every well among all others, mean of each treatment, and its p-value."""
    values, labels = draw(wells)
    before, started = _peak(), _clock()
    precisions = average_precision(values, labels)
    groups = list(np.arange(wells).reshape(-1, REPLICATES))
    means = mean_precisions(precisions, groups)
    p_values = rank_p_values(precisions, groups, size=NULL_SIZE, seed=SEED, equal=False)
    return _figures(means, p_values, before, started)


def copairs(wells: int) -> dict[str, Any]:
    """Compute the same by copairs."""
    from copairs import map as copairs_map

    values, labels = draw(wells)
    meta = pd.DataFrame({"t": [f"{label:06d}" for label in labels]})
    before, started = _peak(), _clock()
    precisions = copairs_map.average_precision(
        meta,
        values,  # pyright: ignore[reportArgumentType]  # its own examples pass arrays
        ["t"],
        [],
        [],
        ["t"],
        progress_bar=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        found = copairs_map.mean_average_precision(
            precisions, ["t"], NULL_SIZE, 0.05, SEED, progress_bar=False, cache_dir=folder
        )
    found = found.sort_values("t")
    means, p_values = found["mean_average_precision"].to_numpy(), found["p_value"].to_numpy()
    return _figures(means, p_values, before, started)


def _figures(means: np.ndarray, p_values: np.ndarray, before: int, started: tuple[float, float]) -> dict[str, Any]:
    seconds = _clock()
    return {
        "wall_s": round(seconds[0] - started[0], 3),
        "cpu_s": round(seconds[1] - started[1], 3),
        "peak_resident_bytes": _peak(),
        "peak_resident_bytes_before": before,
        "map": means.tolist(),
        "p": p_values.tolist(),
    }


def _clock() -> tuple[float, float]:
    """Wall and CPU seconds; those of the CPU do not depend on what else runs."""
    return time.perf_counter(), time.process_time()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _in_process(part: str, wells: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.average_precision", part, str(wells)]
    ran = subprocess.run(command, env=child_environment({}), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ran.stdout)


def main() -> None:
    """Compare at the small size, measure the large one, write the results."""
    pair = {name: _in_process(name, SMALL) for name in ("ours", "copairs")}
    worst = {key: float(np.abs(np.subtract(pair["ours"][key], pair["copairs"][key])).max()) for key in ("map", "p")}
    if worst["map"] > 1e-9 or worst["p"] > 0:
        raise SystemExit(f"values differ from copairs: {worst}")
    large = _in_process("ours", LARGE)
    for part in (*pair.values(), large):
        del part["map"], part["p"]
    figures = {
        "small": f"{SMALL} wells x {FEATURES} features, every well among all others",
        **pair,
        "ratio_wall_copairs_to_ours": round(pair["copairs"]["wall_s"] / pair["ours"]["wall_s"], 1),
        "ratio_cpu_copairs_to_ours": round(pair["copairs"]["cpu_s"] / pair["ours"]["cpu_s"], 1),
        "ratio_memory_copairs_to_ours": round(_added(pair["copairs"]) / max(_added(pair["ours"]), 1), 1),
        "worst_difference": worst,
        "large": f"{LARGE} wells x {FEATURES} features, every well among all others",
        "ours_large": large,
        "target": "at most 4 GB at the large size, where copairs is killed at 14 GB",
    }
    print(write_result("average_precision", figures).read_text())


def _added(part: dict[str, Any]) -> int:
    return part["peak_resident_bytes"] - part["peak_resident_bytes_before"]


if __name__ == "__main__":
    parts = {"ours": ours, "copairs": copairs}
    print(json.dumps(parts[sys.argv[1]](int(sys.argv[2])))) if sys.argv[1:] else main()
