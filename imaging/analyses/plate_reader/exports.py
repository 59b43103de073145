"""A reader's file: what was measured in each well, one set of values per label or channel.

lines of wells    a name, a well and a value in each line, with or without a header that names the values
grids             columns numbered 1, 2, 3, ... and rows lettered A, B, C, ..., below a preamble that is passed over;
several in one file are several labels, each named by the line above it
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imaging.analyses.plate_reader.texts import Line, parse_number, read_lines
from imaging.errors import ConfigurationError
from imaging.sentences import shorten
from imaging.wells import Well, parse_row, parse_well

MAX_WELLS = 1536
_LEAST_COLUMNS = 3
_FIRST_COLUMNS = 4
_LOOKED_AT = 60
"""Among so many first lines the first well is looked for."""
_WELL = re.compile(r"[A-Za-z]{1,2}[0-9]{1,3}")
_WELL_NAMES = frozenset({"well", "wellid", "wellname", "wellposition", "pos", "position"})


@dataclass(frozen=True)
class Measured:
    """What one label or channel gave: its name, ``""`` where nobody named it, and a value per well, NaN where none."""

    label: str
    values: dict[str, float]


def read_export(path: Path) -> list[Measured]:
    """Read a reader's file.

    Raises
    ------
    ConfigurationError
        If it holds neither lines of wells nor a grid, or something in them is no number.
    """
    lines = read_lines(path)
    _refuse_ambiguous(lines, path.name)
    grids = list(_find_grids(lines))
    found = [_read_grid(lines, start, path.name) for start in grids] if grids else _read_wells(lines, path.name)
    if not any(item.values for item in found):
        raise ConfigurationError(
            f"{path.name} has neither lines with a well such as B03 and a value, nor a grid with columns 1, 2, 3 and "
            "rows A, B, C; export the plate as a list or as a grid"
        )
    return _name_apart(found, path.name)


def _refuse_ambiguous(lines: Sequence[Line], name: str) -> None:
    """Refuse files whose commas may be decimal marks as well as thousands: 1,234 and never 1,5 or 1,234.5."""
    texts = [(line, cell) for line, cells in lines for cell in cells if "," in cell]
    unclear = [(line, cell) for line, cell in texts if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", cell)]
    clear = any(
        re.fullmatch(r"[+-]?\d+,(\d{1,2}|\d{4,})([eE][+-]?\d+)?|[+-]?(0|\d{4,}),\d+|.*\d,\d{3}[.,]\d+", cell)
        for _, cell in texts
    )
    if unclear and not clear:
        line, cell = unclear[0]
        raise ConfigurationError(
            f"{name} line {line}: {cell} may be {cell.replace(',', '')} or {cell.replace(',', '.')}; export numbers "
            "without separators of thousands"
        )


def _find_grids(lines: Sequence[Line]) -> Iterator[int]:
    for place, (_, cells) in enumerate(lines[:-1]):
        if len(_columns(cells)) >= _LEAST_COLUMNS and lines[place + 1][1][0].upper() == "A":
            yield place


def _columns(cells: Sequence[str]) -> list[int]:
    """Numbers 1, 2, 3, ... of a grid's columns; none where the line is no header of a grid."""
    texts = list(cells[1:])
    while texts and not texts[-1]:
        texts.pop()
    if cells[0] and re.fullmatch(r"[\w.]+", cells[0]) is not None and parse_number(cells[0]) is not None:
        return []
    numbers = [int(text) if re.fullmatch(r"0*[1-9][0-9]?", text) else 0 for text in texts]
    return numbers if numbers == list(range(1, len(numbers) + 1)) else []


def _read_grid(lines: Sequence[Line], start: int, name: str) -> Measured:
    columns = _columns(lines[start][1])
    values: dict[str, float] = {}
    for expected, (line, cells) in enumerate(lines[start + 1 :]):
        try:
            row = parse_row(cells[0])
        except ValueError:
            break
        if row != expected:
            break
        for column, text in zip(columns, cells[1:], strict=False):
            values[str(Well(row, column))] = _number(text, str(Well(row, column)), line, name)
    return Measured(_label(lines[start - 1][1]) if start else "", values)


def _label(cells: Sequence[str]) -> str:
    """What the line above a grid calls it: ``Results for US LUM (cps) - channel 0 (CPS)`` is ``US LUM (cps)``."""
    text = next((cell for cell in cells if cell), "")
    text = re.sub(r"^(?:calculated results|results(?: for)?)\s*:?\s*", "", text, flags=re.IGNORECASE)
    text = re.split(r"\s+-\s+channel|\s+=\s+|\s*,", text)[0]
    return shorten(re.sub(r"\s+", " ", text).strip(" :-"), 60)


def _read_wells(lines: Sequence[Line], name: str) -> list[Measured]:
    """Lines that name a well; what stands above the first of them is the preamble, its last line may be a header."""
    place = _well_column(lines)
    first = next((at for at, (_, cells) in enumerate(lines[:_LOOKED_AT]) if _names_well(cells, place)), None)
    if first is None:
        return []
    header = lines[first - 1][1] if first else ()
    has_header = len(header) > place and re.sub(r"[\W_]", "", header[place]).casefold() in _WELL_NAMES
    columns = _value_columns(lines[first:], place)
    if not columns:
        raise ConfigurationError(
            f"{name} names wells and has no column of values beside them; export the values as well"
        )
    values: list[dict[str, float]] = [{} for _ in columns]
    for line, cells in lines[first:]:
        if len(cells) <= place or not cells[place]:
            continue
        if not _WELL.fullmatch(cells[place]) and not any(map(_is_value, cells[place + 1 :])):
            break  # what a reader writes below its table
        well = _well(cells[place], line, name)
        if well in values[0]:
            raise ConfigurationError(f"{name} line {line}: the well {well} is there twice; keep one plate per file")
        for of_column, column in zip(values, columns, strict=True):
            of_column[well] = _number(cells[column] if column < len(cells) else "", well, line, name)
        if len(values[0]) > MAX_WELLS:
            raise ConfigurationError(f"{name} has more than {MAX_WELLS} wells; keep one plate per file")
    names = [header[column] if has_header and column < len(header) else "" for column in columns]
    return [Measured(shorten(label, 60), found) for label, found in zip(names, values, strict=True)]


def _value_columns(lines: Sequence[Line], place: int) -> list[int]:
    """Columns right of the well in which most of what stands there is a number."""
    width = max(len(cells) for _, cells in lines)
    found = []
    for column in range(place + 1, width):
        values = [parse_number(cells[column]) for _, cells in lines if len(cells) > column]
        numbers = sum(value is not None and not math.isnan(value) for value in values)
        if numbers > sum(value is None for value in values):
            found.append(column)
    return found


def _well_column(lines: Sequence[Line]) -> int:
    """Which of the first columns names most different wells: plates may be called P1 or A10 as well."""
    counts = [
        len({cells[place] for _, cells in lines if len(cells) > place + 1 and _WELL.fullmatch(cells[place])})
        for place in range(_FIRST_COLUMNS)
    ]
    return counts.index(max(counts))


def _names_well(cells: Sequence[str], place: int) -> bool:
    """Whether a line names a well, and a value right of it."""
    return len(cells) > place and bool(_WELL.fullmatch(cells[place])) and any(map(_is_value, cells[place + 1 :]))


def _is_value(text: str) -> bool:
    return bool(text) and parse_number(text) is not None


def _well(text: str, line: int, name: str) -> str:
    try:
        return str(parse_well(text))
    except ValueError as error:
        raise ConfigurationError(f"{name} line {line}: {error}") from error


def _number(text: str, well: str, line: int, name: str) -> float:
    value = parse_number(text)
    if value is None:
        shown = shorten(repr(text), 60)
        raise ConfigurationError(f"{name} line {line}: the value of {well} must be a number or NA, got {shown}")
    return value


def _name_apart(found: Sequence[Measured], name: str) -> list[Measured]:
    """Give labels that nobody named a name; the same label twice is another plate or repeat, and no second feature."""
    labels = [item.label for item in found if item.label]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ConfigurationError(
            f"{name} holds {labels.count(twice)} tables called {twice!r}, of several plates or repeats; export each "
            "plate to a file of its own"
        )
    unnamed = iter(range(1, len(found) + 1))
    names = [item.label or ("value" if (number := next(unnamed)) == 1 else f"value {number}") for item in found]
    return [Measured(label, item.values) for label, item in zip(names, found, strict=True)]
