"""All features of one site on one core: CellProfiler's families, segmentation included, and how cost grows.

The sites are tiled from the cells of a real Cell Painting site (``tests.golden``), which is in the developers' folder
``shared``. In the same run cp_measure, in a virtual environment of its own, measures two families of the same site. On
a machine with a GPU the site is measured there too, from device memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from benchmarks.results_file import measure, write_result
from flows.clusters.local import ONE_THREAD
from flows.settings import child_environment
from imaging.recipes import Recipe
from kernels.device import probe, use_device
from kernels.families import Family, Site, families_of
from kernels.feature_options import FeatureOptions
from kernels.features import measure_features
from kernels.gpu import cuda
from kernels.image_quality import measure_image_quality
from kernels.object_sets import list_object_sets
from kernels.object_sets_gpu import list_object_sets_on
from kernels.segmentation import segment_cells, segment_cytoplasm, segment_nuclei
from tests.golden import CHANNELS, OUTER, SETS, draw_dense_site, read_labels, read_planes

PEER = "cp_measure==0.3.0"
_PEER_FOLDER = Path(__file__).parents[1] / ".cache" / "cp_measure"
_PEER_SCRIPT = Path(__file__).with_name("peer_features.py")
ELSEWHERE = {
    "CellProfiler 4.2.8": {
        "whole": 73.6,
        "Texture": 18.2,
        "Granularity": 17.5,
        "Correlation": 9.0,
        "RadialDistribution": 7.0,
        "AreaShape": 5.1,
        "Intensity": 4.9,
        "Neighbors": 0.9,
        "segmentation": 2.6,
        "image quality": 5.8,
    },
    "cp_measure 0.3.0 with numba": {"whole": 61.0},
    "Nyxus 0.11": {"whole": 74.0},
}
"""CPU seconds of one thread for a dense site of 1080 x 1080 pixels, 5 channels, 185 cells on another machine."""


def bench_cpu() -> dict[str, Any]:
    """Time the dense site as a whole and family by family, and sites with more objects and more pixels."""
    planes, labels = draw_dense_site()
    named = dict(zip(CHANNELS, planes, strict=True))
    recipe = Recipe.model_validate(JUMP)
    values = measure_features(named, dict(zip(SETS, labels, strict=True)))
    columns = sum(len(found.columns) for found in values.objects.values())
    return {
        "site": f"{len(CHANNELS)} planes of 1080 x 1080 uint16, {labels.max()} cells, {len(SETS)} compartments",
        "object_columns": columns,
        "image_columns": len(values.images),
        "whole": measure(lambda: measure_site(named, recipe)),
        "segmentation": measure(lambda: segment(named, recipe)),
        "image_quality": measure(lambda: measure_image_quality(planes, full_scale=65535)),
        "objects_listed": measure(lambda: list_object_sets(labels, OUTER)),
        "families": {name: measure(work) for name, work in each_family(planes, labels, FeatureOptions())},
        "optional": {name: measure(work) for name, work in each_family(planes, labels, OPTIONAL)},
        "sparse_site": {
            name: measure(work) for name, work in each_family(read_planes(), read_labels(), FeatureOptions())
        },
        "growth": list(bench_growth()),
        "cpu_seconds_elsewhere": ELSEWHERE,
        "target": "1.0 CPU-second for the whole site as the floor, 0.7 as the goal, 0.5 the dream",
    }


JUMP: dict[str, Any] = {"nuclei": {"diameter_px": [15, 90]}, "cells": {}}
OPTIONAL = FeatureOptions(moments=True, intensity_zernikes=True, costes=True, slope=True)


def segment(planes: dict[str, np.ndarray], recipe: Recipe) -> dict[str, np.ndarray]:
    """Find nuclei, cells and cytoplasm."""
    assert recipe.nuclei is not None
    assert recipe.cells is not None
    nuclei = segment_nuclei(planes["DNA"], **recipe.nuclei.parameters(None))
    cells = segment_cells(nuclei, planes["RNA"], **recipe.cells.parameters())
    return {"Nuclei": nuclei, "Cells": cells, "Cytoplasm": segment_cytoplasm(nuclei, cells)}


def measure_site(planes: dict[str, np.ndarray], recipe: Recipe) -> object:
    """Segment a site and measure all features of its objects and images."""
    return measure_features(planes, segment(planes, recipe))


def each_family(
    planes: np.ndarray, labels: np.ndarray, options: FeatureOptions
) -> list[tuple[str, Callable[[], object]]]:
    """What measures each family of a site, objects and images, by the family's name."""
    site = Site(planes, CHANNELS, list_object_sets(labels, OUTER), SETS, whole_images=True)
    families = families_of(options)
    names = [family.name for family in families]
    doubled = [name + " (Zernikes)" if name in names[:index] else name for index, name in enumerate(names)]
    return [(name, _work(family, site)) for name, family in zip(doubled, families, strict=True)]


def _work(family: Family, site: Site) -> Callable[[], object]:
    return lambda: family.measure(site)


def bench_growth() -> list[dict[str, Any]]:
    """Time all families with more objects on as many pixels, and with as many more pixels as objects."""
    found = []
    for side, cells in ((1080, 50), (1080, 200), (1080, 800), (1080, 3000), (2160, 740)):
        planes, labels = draw_dense_site(side, cells)
        options = FeatureOptions()
        times = {name: measure(work, runs=3) for name, work in each_family(planes, labels, options)}
        total = sum(item["cpu_median_s"] for item in times.values())
        found.append(
            {
                "side_px": side,
                "cells": cells,
                "cpu_s": round(total, 4),
                "ms_per_cell": round(1000 * total / cells, 3),
                "ms_per_megapixel_of_cells": round(1e9 * total / int((labels[OUTER] > 0).sum()), 1),
                "families": {name: item["cpu_median_s"] for name, item in times.items()},
            }
        )
    return found


def bench_peer() -> dict[str, Any]:
    """Measure texture and granularity of the dense site's cells by cp_measure and here, on one core."""
    python = _PEER_FOLDER / "bin" / "python"
    if not python.exists():
        venv.create(_PEER_FOLDER, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", PEER, "numba"], check=True)
    planes, labels = draw_dense_site()
    np.savez(_PEER_FOLDER / "site.npz", planes=planes, labels=labels[OUTER])
    command = [str(python), str(_PEER_SCRIPT), str(_PEER_FOLDER / "site.npz")]
    ran = subprocess.run(command, env=child_environment(ONE_THREAD), check=True, stdout=subprocess.PIPE, text=True)
    theirs = json.loads(ran.stdout)
    objects = list_object_sets(labels[OUTER][None], 0)
    site = Site(planes, CHANNELS, objects, ("Cells",), whole_images=False)
    ours = {
        family.name: measure(_work(family, site))["cpu_median_s"]
        for family in families_of(FeatureOptions(families=("Texture", "Granularity")))
    }
    return {
        "peer": PEER,
        "what": f"Cells alone, {len(CHANNELS)} channels; texture at scales 3, 5, 10",
        "ours_cpu_s": ours,
        "theirs_cpu_s": theirs,
        "ratio": {name: round(theirs[name] / seconds, 1) for name, seconds in ours.items()},
    }


def weigh() -> dict[str, Any]:
    """Most memory of a process that measures sites of 2160 x 2160 pixels and 6 channels, all of it and above idle."""
    planes, _ = draw_dense_site(2160, 740)
    named = dict(zip((*CHANNELS, "Brightfield"), [*planes, planes[0]], strict=True))
    recipe = Recipe.model_validate(JUMP)
    small, _ = draw_dense_site(300, 9)
    measure_site(dict(zip(CHANNELS, small, strict=True)), recipe)
    draw_dense_site.cache_clear()
    process, is_over = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    seen = [before]

    def watch() -> None:
        while not is_over.wait(0.002):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    started = time.process_time()
    for _ in range(3):
        measure_site(named, recipe)
    seconds = (time.process_time() - started) / 3
    is_over.set()
    watcher.join()
    return {
        "site": "6 planes of 2160 x 2160 uint16, 740 cells",
        "cpu_s_per_site": round(seconds, 3),
        "resident_bytes_before": before,
        "resident_bytes_greatest": max(seen),
        "target": "at most 1.5 GB",
    }


def bench_gpu() -> dict[str, Any]:
    """Measure the full set of sites in device memory, labels given."""
    found = probe()
    if not found.is_usable:
        return {"device": None, "reason": found.reason}
    use_device("cuda")
    gpu = cuda()
    planes, labels = draw_dense_site(2160, 300)
    planes = np.concatenate([planes, planes[:1]])
    there, labels_there = gpu.put(planes), gpu.put(labels)

    def run() -> None:
        objects = list_object_sets_on(gpu, labels_there, OUTER, int(labels.max()))
        site = Site(there, (*CHANNELS, "Brightfield"), objects, SETS, whole_images=True)
        for family in families_of(FeatureOptions()):
            family.measure(site)

    times = measure(run, runs=10)
    return {
        "device": found.name,
        "driver": found.driver,
        "site": "6 planes of 2160 x 2160 uint16, 300 cells, from device memory, labels given",
        "seconds_per_site": times["wall_median_s"],
        "sites_per_s": round(1 / times["wall_median_s"], 1),
        "target": "50 sites/s on an H200 as the floor, 100 as the goal",
    }


def _in_process(*arguments: str) -> Any:
    """Run a part in a process of its own, which is one thread like a worker."""
    command = [sys.executable, "-m", "benchmarks.features", *arguments]
    ran = subprocess.run(command, env=child_environment(ONE_THREAD), check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ran.stdout)


def main() -> None:
    """Measure and write the results."""
    figures = _in_process("cpu") | {name: _in_process(name) for name in ("peer", "memory", "gpu")}
    print(write_result("features", figures).read_text())


if __name__ == "__main__":
    cv2.setNumThreads(1)
    parts = {"cpu": bench_cpu, "peer": bench_peer, "memory": weigh, "gpu": bench_gpu}
    print(json.dumps(parts[sys.argv[1]]())) if sys.argv[1:] else main()
