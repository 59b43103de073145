"""An experiment's profiles: 20 plates of 384 wells and 4,000 features, normalised, selected, corrected, judged.

Ours and pycytominer's run one after the other, each in a process of its own that makes the same profiles; each tells
the seconds of its steps and the most memory it had by then. pycytominer's part is to normalise, select and sphere.
``python -m benchmarks.profiling PLATES FEATURES`` measures a smaller experiment, and writes no file.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.results_file import write_result
from flows.settings import child_environment
from imaging.analyses.profiles import Profiles, complete_wells

PLATES, WELLS, FEATURES, CONTROLS = 20, 384, 4_000, 32
PLATES_PER_BATCH = 5
TWO_THREADS = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
STEPS = ("normalize", "select", "correct")
RECIPE = {"correct": {"method": "sphering"}, "hits": {"criteria": ["activity", "distance"]}}


def make_profiles(plates: int, features: int) -> Profiles:
    """Factors that features share, plates that are shifted, a tenth of copies, a twentieth with gaps."""
    rng = np.random.default_rng(0)
    n = plates * WELLS
    values = rng.normal(size=(n, features))
    values += rng.normal(size=(n, 60)) @ rng.normal(size=(60, features)) * 0.3
    values += np.repeat(rng.normal(size=(plates, features)), WELLS, axis=0)
    copies = features // 10
    values[:, :copies] = values[:, copies : 2 * copies] + 0.3 * rng.normal(size=(n, copies))
    for number in range(5):
        gappy = slice(-(number + 1) * features // 100, -number * features // 100 or None)
        values[rng.choice(n, n // 100, replace=False), gappy] = np.nan
    of_plate = np.arange(n) % WELLS
    plate = np.arange(n) // WELLS
    wells = pd.DataFrame(
        {
            "experiment": "bench",
            "batch": [f"B{number:02d}" for number in plate // PLATES_PER_BATCH],
            "plate": [f"P{number:02d}" for number in plate],
            "well": [f"{chr(65 + k // 24)}{k % 24 + 1:02d}" for k in of_plate],
            "treatment": np.where(of_plate < CONTROLS, "DMSO", [f"T{k:03d}" for k in of_plate]),
            "control": np.where(of_plate < CONTROLS, "negcon", "trt"),
            "concentration": 1.0,
            "cells_count": 1000.0 + of_plate,
        }
    )
    return Profiles(values, tuple(f"Cells_Feature_{i:04d}" for i in range(features)), complete_wells(wells))


class Steps:
    """Seconds and memory of one step after the other."""

    def __init__(self) -> None:
        self.told: dict[str, Any] = {"made_gb": _peak_gb()}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        """Do a step and note what it took."""
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        self.told[name] = {
            "wall_s": round(time.perf_counter() - wall, 2),
            "cpu_s": round(time.process_time() - cpu, 2),
            "peak_gb_by_then": _peak_gb(),
        }
        return result


def _peak_gb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def run_ours(plates: int, features: int) -> dict[str, Any]:
    """All steps; that of hits where there is one."""
    from imaging.analyses.correct import correct
    from imaging.analyses.normalize import normalize
    from imaging.analyses.recipe import AnalysisRecipe
    from imaging.analyses.select import select_features

    raw, recipe = make_profiles(plates, features), AnalysisRecipe.model_validate(RECIPE)
    steps = Steps()
    normalized = steps("normalize", lambda: normalize(raw, recipe.normalize)).profiles
    checked = normalized.values[: 2 * WELLS : 97, ::53].tolist()
    selected = steps("select", lambda: select_features(normalized, recipe.select)).profiles
    corrected = steps("correct", lambda: correct(selected, recipe.correct))
    if find_spec("imaging.analyses.hits") is not None:
        from imaging.analyses.hits import find_hits  # pyright: ignore[reportMissingImports]

        reference = raw.is_control("negcon") & ~corrected.details["fitted"]
        steps("hits", lambda: find_hits(corrected.profiles, recipe, raw=raw, reference=reference))
    return {"steps": steps.told, "features": selected.features, "checked": checked}


def run_theirs(plates: int, features: int) -> dict[str, Any]:
    """Pycytominer's steps: each plate normalised, all selected, all sphered."""
    import pycytominer
    from pycytominer.operations import Spherize

    made = make_profiles(plates, features)
    names = list(made.features)
    frame = pd.concat(
        [
            made.wells[["plate", "well", "control"]].add_prefix("Metadata_"),
            pd.DataFrame(made.values, columns=pd.Index(names)),
        ],
        axis=1,
    )
    del made
    steps = Steps()
    measure = "Metadata_control == 'negcon'"
    operations = ["drop_na_columns", "frequency_threshold", "correlation_threshold", "drop_outliers"]

    def normalize() -> pd.DataFrame:
        of_plates = [
            pd.DataFrame(pycytominer.normalize(of_plate, features=names, samples=measure, method="mad_robustize"))
            for _, of_plate in frame.groupby("Metadata_plate")
        ]
        return pd.concat(of_plates, ignore_index=True)

    normalized = steps("normalize", normalize)
    checked = normalized[names].to_numpy()[: 2 * WELLS : 97, ::53].tolist()
    selected = steps("select", lambda: pycytominer.feature_select(normalized, features=names, operation=operations))
    left = [name for name in names if name in selected.columns]
    filled = selected[left].fillna(0.0)  # it takes no gaps
    is_control = (selected["Metadata_control"] == "negcon").to_numpy()
    steps("correct", lambda: Spherize(method="ZCA-cor").fit(filled[is_control]).transform(filled))
    return {"steps": steps.told, "features": left, "checked": checked}


def measure(plates: int, features: int) -> dict[str, Any]:
    """Both in turn, what they agree in, and the ratios."""
    found = {who: _child(who, plates, features) for who in ("ours", "theirs")}
    ours, theirs = found["ours"], found["theirs"]
    np.testing.assert_allclose(ours["checked"], theirs["checked"], rtol=1e-9, atol=1e-12)
    assert ours["features"] == theirs["features"], "the features that stay differ"
    steps = {who: told["steps"] for who, told in found.items()}
    totals = {who: sum(told[step]["cpu_s"] for step in STEPS) for who, told in steps.items()}
    mine = [told for told in steps["ours"].values() if isinstance(told, dict)]
    return {
        "plates": plates,
        "wells": plates * WELLS,
        "features": features,
        "features_selected": len(ours["features"]),
        "ours": steps["ours"],
        "pycytominer": steps["theirs"],
        "ours_total_wall_s": round(sum(told["wall_s"] for told in mine), 2),
        "ours_peak_gb": mine[-1]["peak_gb_by_then"],
        "ratio_pycytominer_to_ours_cpu": {
            step: round(steps["theirs"][step]["cpu_s"] / max(steps["ours"][step]["cpu_s"], 0.01), 1) for step in STEPS
        }
        | {"all": round(totals["theirs"] / max(totals["ours"], 0.01), 1)},
        "target": "under 60 s and 4 GB on two cores, hits included",
    }


def _child(who: str, plates: int, features: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.profiling", who, str(plates), str(features)]
    ran = subprocess.run(command, env=child_environment(TWO_THREADS), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ran.stdout.splitlines()[-1])


def main() -> None:
    """Measure and write the result."""
    print(write_result("profiling", measure(PLATES, FEATURES)).read_text())


if __name__ == "__main__":
    if sys.argv[1:2] in (["ours"], ["theirs"]):
        warnings.simplefilter("ignore")
        run = {"ours": run_ours, "theirs": run_theirs}[sys.argv[1]]
        print(json.dumps(run(int(sys.argv[2]), int(sys.argv[3]))))
    elif len(sys.argv) == 3:
        print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2])), indent=2))
    else:
        main()
