"""Texture and granularity by cp_measure, run in its own environment: CPU seconds of each, as JSON."""

from __future__ import annotations

import json
import sys
import time

import cp_measure  # pyright: ignore[reportMissingImports]
import numpy as np

cp_measure.set_accelerator("numba")
from cp_measure.bulk import get_core_measurements  # noqa: E402  # pyright: ignore[reportMissingImports]


def main() -> None:
    """Measure each family of every channel once, after a first call that compiles."""
    site = np.load(sys.argv[1])
    labels = site["labels"]
    planes = site["planes"].astype(np.float32) / np.float32(65535)
    functions = get_core_measurements()
    small = np.s_[:100, :100]
    seconds = {}
    calls = {
        "Texture": [
            lambda plane, mask, scale=scale: functions["texture"](mask, plane, scale=scale) for scale in (3, 5, 10)
        ],
        "Granularity": [
            lambda plane, mask: functions["granularity"](mask, plane, subsample_size=0.5, image_sample_size=0.5)
        ],
    }
    for name, works in calls.items():
        for work in works:
            work(planes[0][small], np.unique(labels[small], return_inverse=True)[1].reshape(100, 100))
        started = time.process_time()
        for plane in planes:
            for work in works:
                work(plane, labels)
        seconds[name] = round(time.process_time() - started, 3)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
