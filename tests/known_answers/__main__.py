"""Print a table of known answers: ``python -m tests.known_answers failures``."""

from __future__ import annotations

import sys
from importlib import import_module

MODULES = {"failures": "tests.known_answers.failures"}


def main(names: list[str]) -> None:
    for name in names or list(MODULES):
        found = list(import_module(MODULES[name]).rows())
        heads = list(found[0]) if found else []
        print(f"## {name}\n\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
        for row in found:
            print(f"| {' | '.join(str(row[head]) for head in heads)} |", flush=True)
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
