"""Wells of a plate: names, order and ranges. Rows run A..Z, AA..AF; columns count from 1."""

from __future__ import annotations

import re
from dataclasses import dataclass

from imaging.sentences import shorten

PLATE_SHAPES: dict[int, tuple[int, int]] = {
    6: (2, 3),
    12: (3, 4),
    24: (4, 6),
    48: (6, 8),
    96: (8, 12),
    384: (16, 24),
    1536: (32, 48),
}
"""Number of wells -> (rows, columns) of the standard plates (ANSI/SLAS)."""

_WELL = re.compile(r"([A-Za-z]|[Aa][A-Fa-f])0*([1-9][0-9]?)")


@dataclass(frozen=True, order=True, slots=True)
class Well:
    """One well: row counted from 0, column from 1. Ordered row by row."""

    row: int
    column: int

    @property
    def row_name(self) -> str:
        """Letters of the row, e.g. ``B`` or ``AF``."""
        return row_name(self.row)

    def __str__(self) -> str:
        return f"{self.row_name}{self.column:02d}"


def row_name(row: int) -> str:
    """Letters of a row counted from 0: ``0 -> A``, ``25 -> Z``, ``26 -> AA``."""
    return chr(ord("A") + row) if row < 26 else "A" + chr(ord("A") + row - 26)


def parse_row(letters: str) -> int:
    """Row counted from 0 of its letters; ``ValueError`` for anything outside A..Z, AA..AF."""
    if not re.fullmatch(r"[A-Za-z]|[Aa][A-Fa-f]", letters):
        raise ValueError(f"a row must be A..Z or AA..AF, got {shorten(repr(letters), 100)}")
    last = ord(letters[-1].upper()) - ord("A")
    return last if len(letters) == 1 else 26 + last


def parse_well(name: str) -> Well:
    """Read a well's name in any common spelling (``B3``, ``b03``, ``AA02``, ``B003``).

    Raises
    ------
    ValueError
        If the name is no well.
    """
    match = _WELL.fullmatch(name)
    if match is None:
        raise ValueError(f"a well must be a row and a column such as B03, got {shorten(repr(name), 100)}")
    return Well(parse_row(match[1]), int(match[2]))


def expand_wells(text: str) -> list[Well]:
    """Wells of a range given by two corners, row by row: ``A01-B02`` is A01, A02, B01, B02; ``C05`` is itself.

    Raises
    ------
    ValueError
        If a corner is no well or the second lies left of or above the first.
    """
    first, _, last = (part.strip() for part in text.partition("-"))
    start, end = parse_well(first), parse_well(last or first)
    if end.row < start.row or end.column < start.column:
        raise ValueError(f"a range of wells must go right and down, got {shorten(repr(text), 100)}")
    return [
        Well(row, column) for row in range(start.row, end.row + 1) for column in range(start.column, end.column + 1)
    ]
