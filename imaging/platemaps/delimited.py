"""Tables as text: comma, tab or semicolon between cells, UTF-8 or UTF-16 with a mark as Excel saves it."""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass

from imaging.platemaps.faults import Faults

MAX_LINES = 200_000
"""More than 384 wells of each of 500 plates."""

_DELIMITERS = ",\t;"


@dataclass(frozen=True, slots=True)
class Delimited:
    """Lines that are not empty with their cells, and what separates cells."""

    rows: tuple[tuple[int, tuple[str, ...]], ...]
    delimiter: str


def read_delimited(data: bytes, file: str, faults: Faults) -> Delimited | None:
    """Split a text into cells; ``None`` when it cannot be, which ``faults`` then holds."""
    text = _decode(data, file, faults)
    if text is None:
        return None
    delimiter = _find_delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    lines: list[tuple[int, tuple[str, ...]]] = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((reader.line_num, tuple(cells)))
            if len(lines) > MAX_LINES:
                faults.add(file, reader.line_num, f"has more than {MAX_LINES} lines; is it the right file?")
                return None
    except csv.Error as error:
        faults.add(file, reader.line_num, f"the table cannot be read: {error}; save it as CSV again")
        return None
    if not lines:
        faults.add(file, 0, "is empty")
        return None
    return Delimited(tuple(lines), delimiter)


def _find_delimiter(text: str) -> str:
    """What separates the cells of the first line that has any separator."""
    lines = (line for line in text.splitlines() if any(mark in line for mark in _DELIMITERS))
    return max(_DELIMITERS, key=next(lines, "").count)


def _decode(data: bytes, file: str, faults: Faults) -> str | None:
    is_wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = 1 if is_wide else data.count(b"\n", 0, error.start) + 1
        name = "UTF-16" if is_wide else "UTF-8"
        faults.add(file, line, f"byte 0x{data[error.start]:02x} is not {name}; save the file as CSV UTF-8")
        return None
