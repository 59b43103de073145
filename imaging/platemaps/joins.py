"""Tables of compounds or genes, joined to a plate map by its treatments: their columns become the map's own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from imaging.declared import did_you_mean
from imaging.platemaps.columns import MAP_NAMES, plain_name
from imaging.platemaps.faults import Faults
from imaging.platemaps.map_table import MapTable
from imaging.platemaps.sources import Join

BLANK = ("", "na", "nan", "n/a")
"""Texts of cells that say nothing, in lower case."""

_KEYS = tuple(name for group in MAP_NAMES["treatment"] for name in group)
_Cells = tuple[str, ...]


def join_table(table: MapTable, other: MapTable, join: Join, faults: Faults, file: str) -> MapTable:
    """Widen a map by the columns of another table.

    A column that both have keeps the map's cells and takes the other's where those are blank. A treatment that the
    other table lacks keeps blank cells; a blank treatment takes the row whose key is blank or NA, if there is one.

    Parameters
    ----------
    table, other
        The map, and the table that says more of each treatment.
    join
        Its declaration.
    faults, file
        Take what is wrong with either; ``file`` is the map's name.
    """
    keys = _find_keys(table.header, other.header, join, faults, file)
    if keys is None:
        return table
    mine, theirs = keys
    rows = _rows_by_key(other, theirs)
    wanted = [number for number in range(len(other.header)) if number != theirs and other.header[number]]
    place_of = {plain_name(name): place for place, name in enumerate(table.header)}
    added = [number for number in wanted if plain_name(other.header[number]) not in place_of]
    filled = [(place_of[plain_name(other.header[number])], number) for number in wanted if number not in added]
    widened, unknown = [], []
    for line, cells in table.rows:
        found = _choose_row(rows.get(_key(cells[mine]), ()), cells, filled, join, faults)
        if found is None and _key(cells[mine]):
            unknown.append(cells[mine])
        extra = tuple(found[number] if found else "" for number in added)
        widened.append((line, (*_fill(cells, found, filled), *extra)))
    if unknown:
        names = list(dict.fromkeys(unknown))
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        faults.warn(join.file, 0, f"does not name {len(names)} of the treatments in {file}: {shown}")
    return replace(table, header=(*table.header, *(other.header[number] for number in added)), rows=tuple(widened))


def _find_keys(
    mine: Sequence[str], theirs: Sequence[str], join: Join, faults: Faults, file: str
) -> tuple[int, int] | None:
    """Position of the key in both tables."""
    if join.by is not None:
        for header, name in ((mine, file), (theirs, join.file)):
            if join.by not in header:
                faults.add(name, 1, f"has no column {join.by!r} to join by; {did_you_mean(join.by, header)}")
        return (mine.index(join.by), theirs.index(join.by)) if join.by in mine and join.by in theirs else None
    plain_mine, plain_theirs = [plain_name(name) for name in mine], [plain_name(name) for name in theirs]
    shared = next((name for name in _KEYS if name in plain_mine and name in plain_theirs), None)
    if shared is None:
        shown = ", ".join(theirs)
        faults.add(join.file, 1, f"shares no column of treatments with {file}; it has {shown}; say which by `by`")
        return None
    return plain_mine.index(shared), plain_theirs.index(shared)


def _rows_by_key(other: MapTable, key: int) -> dict[str, list[tuple[int, _Cells]]]:
    found: dict[str, list[tuple[int, _Cells]]] = defaultdict(list)
    for line, cells in other.rows:
        found[_key(cells[key])].append((line, cells))
    return found


def _key(text: str) -> str:
    return "" if text.casefold() in BLANK else text


def _choose_row(
    rows: Sequence[tuple[int, _Cells]], cells: _Cells, shared: list[tuple[int, int]], join: Join, faults: Faults
) -> _Cells | None:
    """The other table's row: of several, one that agrees with the map in the columns that both have."""
    if not rows:
        return None
    agreeing = [row for row in rows if all(_agree(cells[mine], row[1][theirs]) for mine, theirs in shared)] or rows
    if len({row for _, row in agreeing}) > 1:
        lines = [line for line, _ in agreeing]
        faults.warn(
            join.file, lines[1], f"says something else of what line {lines[0]} describes; line {lines[0]} is taken"
        )
    return agreeing[0][1]


def _agree(mine: str, theirs: str) -> bool:
    return mine == theirs or mine.casefold() in BLANK or theirs.casefold() in BLANK


def _fill(cells: _Cells, found: _Cells | None, filled: list[tuple[int, int]]) -> _Cells:
    if found is None:
        return cells
    full = list(cells)
    for mine, theirs in filled:
        full[mine] = full[mine] or found[theirs]
    return tuple(full)
