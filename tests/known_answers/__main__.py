"""Print tables of known answers: ``python -m tests.known_answers lincs bbbc013 noise``, or all of them."""

from __future__ import annotations

import importlib
import sys

NAMES = {
    "lincs": "tests.known_answers.lincs",
    "bbbc013": "tests.known_answers.bbbc013",
    "noise": "tests.known_answers.noise",
}
"""Modules with ``rows()``: what is asked, the known answer, ours."""


def main(names: list[str]) -> None:
    """Print a table of each."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        sys.exit(f"no known answers of {unknown[0]!r}; there are {', '.join(NAMES)}")
    for name in names or NAMES:
        print(f"\n## {name}\n")
        for row in importlib.import_module(NAMES[name]).rows():
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
