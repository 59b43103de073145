"""Print a table of known answers: ``python -m tests.known_answers bbbc021``."""

from __future__ import annotations

import importlib
import sys

ANSWERS = {"bbbc021": "tests.known_answers.bbbc021", "held-back": "tests.known_answers.held_back"}
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


if __name__ == "__main__":
    main(sys.argv[1:])
