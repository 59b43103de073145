"""Maps laid out as the plate: column numbers in the header, row letters in the first column, one value per well."""

from __future__ import annotations

import re
from collections.abc import Sequence

from imaging.platemaps.faults import Faults
from imaging.wells import parse_row

_Rows = Sequence[tuple[int, tuple[str, ...]]]
_LEAST_COLUMNS = 3


def find_grid(rows: _Rows, within: int) -> int | None:
    """Position of the header of a grid among the first lines: a cell, then 1, 2, 3, ...; A begins the next line."""
    for number, (_, cells) in enumerate(rows[:within]):
        columns = _columns(cells)
        follows = rows[number + 1][1][:1] if number + 1 < len(rows) else ()
        if len(columns) >= _LEAST_COLUMNS and follows and follows[0].strip().upper() == "A":
            return number
    return None


def read_grid(
    rows: _Rows, value: str, file: str, faults: Faults
) -> tuple[tuple[str, str, str], tuple[tuple[int, tuple[str, ...]], ...]]:
    """Read a grid as a table of row, column and ``value``; wells without a text are left out.

    Parameters
    ----------
    rows
        Lines from the grid's header on.
    value
        Name of the column with what the cells hold.
    file, faults
        Take what is wrong with a row of the grid; another grid below it is.
    """
    columns = _columns(rows[0][1])
    found: list[tuple[int, tuple[str, ...]]] = []
    seen: set[int] = set()
    for line, cells in rows[1:]:
        letters = cells[0].strip()
        try:
            row = parse_row(letters)
        except ValueError:
            faults.add(
                file, line, f"the rows of a grid must begin with A, B, C, ..., got {letters!r}; one grid per file"
            )
            continue
        if row in seen:
            faults.add(file, line, f"row {letters.upper()} of the grid is there already; keep one grid per file")
        seen.add(row)
        if any(cell.strip() for cell in cells[1 + len(columns) :]):
            faults.add(file, line, f"has values to the right of column {columns[-1]}")
        texts = (cell.strip() for cell in cells[1 : 1 + len(columns)])
        found += [(line, (letters, column, text)) for column, text in zip(columns, texts, strict=False) if text]
    return ("row", "column", value), tuple(found)


def _columns(cells: Sequence[str]) -> list[str]:
    """Column numbers 1, 2, 3, ... after the first cell, as far as they go; none where something else follows."""
    texts = [cell.strip().strip('"') for cell in cells[1:]]
    while texts and not texts[-1]:
        texts.pop()
    numbers = [int(text) if re.fullmatch(r"0*[1-9][0-9]?", text) else 0 for text in texts]
    return [str(number) for number in numbers] if numbers == list(range(1, len(numbers) + 1)) else []
