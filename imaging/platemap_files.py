"""Plate map files as tables: comma, tab or semicolon between cells, columns found by name, faults by line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from imaging.declared import did_you_mean

MAX_BYTES = 8 * 1024 * 1024
_SHOWN_LINES = 5

USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "well": ("well", "wellposition", "wellname", "wellid"),
    "row": ("row", "wellrow"),
    "column": ("column", "col", "wellcolumn", "wellcol"),
    "treatment": ("treatment", "compound", "drug", "perturbation", "broadsample"),
    "concentration": ("concentration", "conc", "dose"),
    "unit": ("concentrationunit", "unit", "units", "doseunit"),
    "control": ("control", "controltype"),
}
"""Column names that are understood without a mapping: lower case, without blanks, ``_`` and ``Metadata_``."""


@dataclass
class Faults:
    """Faults of several files; the same sentence on several lines is one fault."""

    _lines: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def add(self, file: str, line: int, sentence: str) -> None:
        """Note a fault; line 0 means the file as a whole."""
        lines = self._lines.setdefault((file, sentence), [])
        if line not in lines:
            lines.append(line)

    def __len__(self) -> int:
        return len(self._lines)

    def sentences(self) -> tuple[str, ...]:
        """Every fault with its file and lines."""
        return tuple(f"{file}{_spell_lines(lines)}: {sentence}" for (file, sentence), lines in self._lines.items())


def _spell_lines(lines: list[int]) -> str:
    if lines == [0]:
        return ""
    shown = ", ".join(map(str, lines[:_SHOWN_LINES]))
    more = f" and {len(lines) - _SHOWN_LINES} more" if len(lines) > _SHOWN_LINES else ""
    return f" line{'s' if len(lines) > 1 else ''} {shown}{more}"


@dataclass(frozen=True, slots=True)
class MapFile:
    """Rows of a plate map: line number, and cells by what they are (``well``, ``treatment``, ...)."""

    rows: tuple[tuple[int, dict[str, str]], ...]


def read_map_file(data: bytes, file: str, columns: Mapping[str, str], faults: Faults) -> MapFile | None:
    """Read a plate map's cells.

    Parameters
    ----------
    data
        UTF-8 text with a header line.
    file
        Its name in faults.
    columns
        What is in which column, where the names are not the usual ones.
    faults
        Takes what is wrong; ``None`` is returned when no row can be read.
    """
    text = _decode(data, file, faults)
    if text is None:
        return None
    lines = _split(text, file, faults)
    if not lines:
        return None
    header = [cell.strip() for cell in lines[0][1]]
    chosen = _choose_columns(header, columns, file, faults)
    if chosen is None:
        return None
    rows = []
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            faults.add(file, line, f"has {len(cells)} cells, the header has {len(header)}")
            continue
        rows.append((line, {name: cells[place].strip().strip('"').strip() for name, place in chosen.items()}))
    if len(lines) == 1:
        faults.add(file, 0, "has a header and no rows")
    return MapFile(tuple(rows))


def _decode(data: bytes, file: str, faults: Faults) -> str | None:
    if len(data) > MAX_BYTES:
        faults.add(file, 0, f"has {len(data)} bytes, at most {MAX_BYTES} are read; is it the right file?")
        return None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        faults.add(file, line, f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as CSV UTF-8")
        return None


def _split(text: str, file: str, faults: Faults) -> list[tuple[int, list[str]]]:
    """Lines with their cells, empty lines left out; the header decides what separates cells."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    if not header:
        faults.add(file, 0, "is empty")
    delimiter = max(",\t;", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    lines: list[tuple[int, list[str]]] = []
    try:
        lines.extend((reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells))
    except csv.Error as error:
        faults.add(file, reader.line_num, f"the table cannot be read: {error}; save it as CSV again")
        return []
    return lines


def _choose_columns(header: list[str], columns: Mapping[str, str], file: str, faults: Faults) -> dict[str, int] | None:
    """Position of each known column in the header."""
    chosen: dict[str, int] = {}
    known = len(faults)
    for name in USUAL_NAMES:
        found = _find_mapped(header, columns[name]) if name in columns else _find_usual(header, name)
        if name in columns and not found:
            faults.add(file, 1, f"has no column {columns[name]!r}, the {name}; {did_you_mean(columns[name], header)}")
        elif len(found) > 1:
            shown = ", ".join(header[place] for place in found)
            faults.add(file, 1, f"several columns can be the {name}: {shown}; say which under plate_maps.columns")
        elif found:
            chosen[name] = found[0]
    if len(faults) > known:
        return None
    has_rows = {"row", "column"} <= set(chosen)
    if has_rows and {"row", "column"} & set(columns):
        chosen.pop("well", None)
    elif not has_rows and "well" not in chosen:
        shown = ", ".join(header)
        faults.add(file, 1, f"needs a column well, or row and column; it has {shown}; see plate_maps.columns")
        return None
    return chosen


def _find_mapped(header: list[str], wanted: str) -> list[int]:
    return [place for place, name in enumerate(header) if name == wanted]


def _find_usual(header: list[str], name: str) -> list[int]:
    """Columns with a usual name; the very name itself wins over its other spellings."""
    plain = [_plain_name(cell) for cell in header]
    itself = [place for place, text in enumerate(plain) if text == name]
    return itself or [place for place, text in enumerate(plain) if text in USUAL_NAMES[name]]


def _plain_name(cell: str) -> str:
    return re.sub(r"[ _-]", "", re.sub(r"^(?:image_)?metadata_", "", cell.casefold()))
