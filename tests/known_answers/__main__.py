<<<<<<< HEAD
"""Print a table of known answers: ``python -m tests.known_answers bbbc021``."""
=======
"""Print tables of known answers: ``python -m tests.known_answers lincs bbbc013 noise``, or all of them."""
>>>>>>> eight-b

from __future__ import annotations

import importlib
import sys

<<<<<<< HEAD
ANSWERS = {"bbbc021": "tests.known_answers.bbbc021"}
"""Name on the command line and its module, whose ``rows()`` gives dictionaries of equal keys."""


def main(names: list[str]) -> None:
    """Print the tables named, or all."""
    unknown = [name for name in names if name not in ANSWERS]
    if unknown:
        sys.exit(f"no known answer {unknown[0]!r}; there are {', '.join(ANSWERS)}")
    for name in names or ANSWERS:
        print_table(importlib.import_module(ANSWERS[name]).rows())


def print_table(rows: list[dict[str, str]]) -> None:
    """Print rows of equal keys as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    for line in lines:
        print("| " + " | ".join(line) + " |")
=======
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
>>>>>>> eight-b


if __name__ == "__main__":
    main(sys.argv[1:])
