"""Print tables of known answers: ``python -m tests.known_answers bbbc021 lincs``, or all of them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

NAMES = ("bbbc021", "lincs", "bbbc013", "held_back", "failures", "noise")
"""Modules of this package with ``rows()``: dictionaries of equal keys, or tuples of which the first is the heading."""


def main(names: list[str]) -> None:
    """Print a table of each."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        sys.exit(f"no known answers of {unknown[0]!r}; there are {', '.join(NAMES)}")
    for name in names or NAMES:
        print(f"\n## {name}\n")
        for row in as_lines(importlib.import_module(f"tests.known_answers.{name}").rows()):
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


def as_lines(rows: Iterable[Any]) -> Iterable[Iterable[Any]]:
    """Rows of a table, the heading first."""
    for number, row in enumerate(rows):
        if number == 0:
            head = list(row)
            yield from (head, ["---"] * len(head))
        if isinstance(row, Mapping):
            yield list(row.values())
        elif number > 0:
            yield row


if __name__ == "__main__":
    main(sys.argv[1:])
