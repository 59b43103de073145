"""All benchmarks of this machine in turn: ``make bench``, or some of them: ``make bench ONLY="quality overhead"``."""

from __future__ import annotations

import importlib
import sys

import pytest

BENCHMARKS = (
    "planning",
    "names",
    "uploads",
    "messages",
    "overhead",
    "quality",
    "accuracy",
    "features",
    "cell_aggregation",
    "warehouse",
    "one_more_plate",
    "upload_to_row",
    "profiling",
    "average_precision",
)
"""Modules of this package, in the order in which they run."""


def main(names: tuple[str, ...]) -> None:
    """Measure each in turn; each writes to benchmarks/results; where a part is missing it is said."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}")
    for name in names or BENCHMARKS:
        print(f"== {name}", flush=True)
        try:
            importlib.import_module(f"benchmarks.{name}").main()
        except pytest.skip.Exception as missing:
            print(f"{name} is not measured here: {missing.msg}")


if __name__ == "__main__":
    main(tuple(sys.argv[1:]))
