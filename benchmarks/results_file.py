"""What every benchmark writes: figures with the machine and the versions they were measured with."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "opencv-python-headless",
    "scipy",
    "platestream",
    "prefect",
    "dask",
    "distributed",
    "zarr",
    "obstore",
    "numpy",
    "numba",
    "pyarrow",
    "duckdb",
    "pandas",
    "google-cloud-pubsub",
    "pandas",
    "pycytominer",
)


def measure(work: Callable[[], object], *, runs: int = 5) -> dict[str, float]:
    """Time a call several times: least, median and greatest wall and CPU seconds."""
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    named = {"wall": walls, "cpu": cpus}
    kinds = {"min": min, "median": statistics.median, "max": max}
    return {f"{name}_{kind}_s": round(f(values), 4) for name, values in named.items() for kind, f in kinds.items()}


def write_result(name: str, figures: dict[str, Any]) -> Path:
    """Write a benchmark's figures beside the machine and versions they belong to."""
    cpu = [
        line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    record = {
        "benchmark": name,
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cpu": cpu[0] if cpu else platform.processor(),
            "cores": os.cpu_count(),
            "system": platform.platform(),
        },
        "python": platform.python_version(),
        "versions": {package: version(package) for package in PACKAGES},
        "figures": figures,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    return path
