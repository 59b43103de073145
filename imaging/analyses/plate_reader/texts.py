"""Files of plate readers as lines of cells: bounded, in whatever encoding, with whatever separator and decimal mark."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from pathlib import Path

from imaging.errors import ConfigurationError
from imaging.platemaps.faults import Faults
from imaging.platemaps.workbooks import read_workbook

MAX_BYTES = 32 * 1024 * 1024
MAX_LINES = 400_000
_DELIMITERS = "\t;,"
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "-", "--", "overflow", "ovrflw", "saturated", "overflw", "#n/a"})
"""What readers write where there is no number."""

Line = tuple[int, tuple[str, ...]]


def read_bytes(path: Path) -> bytes:
    """The bytes of a file.

    Raises
    ------
    ConfigurationError
        If it cannot be read or is too large.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigurationError(
                f"{path.name} has {size:,} bytes, at most {MAX_BYTES:,} of a plate reader's file are read; is it the "
                "right file?"
            )
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error.strerror}") from error


def read_lines(path: Path, *, delimiter: str | None = None) -> list[Line]:
    """Lines of a file that are not empty, each with its number and its cells, stripped.

    Parameters
    ----------
    path
        Text or .xlsx. Text is UTF-8, UTF-16 with a mark, or else Windows-1252.
    delimiter
        What separates cells; left out, what most lines have most of.

    Raises
    ------
    ConfigurationError
        If the file is no table that can be read.
    """
    data = read_bytes(path)
    if data.startswith(b"PK"):
        return _read_sheet(data, path.name)
    text = decode(data, path.name)
    mark = delimiter or find_delimiter(text)
    found: list[Line] = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
        for cells in reader:
            stripped = tuple(cell.strip().strip('"').strip() for cell in cells)
            if any(stripped):
                found.append((reader.line_num, stripped))
            if len(found) > MAX_LINES:
                raise ConfigurationError(f"{path.name} has more than {MAX_LINES:,} lines; is it the right file?")
    except csv.Error as error:
        raise ConfigurationError(f"{path.name} cannot be read as a table: {error}; export it again as CSV") from error
    if not found:
        raise ConfigurationError(f"{path.name} is empty; export the plate again")
    return found


def _read_sheet(data: bytes, name: str) -> list[Line]:
    faults = Faults()
    sheet = read_workbook(data, name, faults, None)
    if sheet is None:
        raise ConfigurationError(faults.sentences()[0] if len(faults) else f"{name} is no workbook that can be read")
    return [(line, tuple(cell.strip() for cell in cells)) for line, cells in sheet.rows]


def decode(data: bytes, name: str) -> str:
    """The text of a file; readers write UTF-8, UTF-16 with a mark, or their country's Windows-1252."""
    if b"\x00" in data[:4096] and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ConfigurationError(f"{name} is no text file; export the plate as CSV or text")
    for encoding in (
        ("utf-16",) if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else ("utf-8-sig", "cp1252")
    ):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode(
        "latin-1" if not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-16", "replace"
    )


def find_delimiter(text: str) -> str:
    """The separator that splits most of the lines; a comma between digits only is a decimal mark, no separator."""
    lines = text.splitlines()[:2000]
    counts = {mark: sum(line.count(mark) > 0 for line in lines) for mark in "\t;"}
    counts[","] = sum("," in re.sub(r"(?<=\d),(?=\d)", "", line) for line in lines)
    best = max(_DELIMITERS, key=lambda mark: (counts[mark], mark != ","))
    if counts[best]:
        return best
    return "," if any("," in line for line in lines) else "\t"


def parse_number(text: str) -> float | None:
    """A measured value: ``1234.5``, ``1234,5``, ``1,234.5``, ``1.2E+05``; NaN where the reader had none.

    ``None`` where the text is no number.
    """
    plain = text.strip().replace("\xa0", "").replace(" ", "").replace("'", "")
    if plain.casefold() in _MISSING:
        return math.nan
    if re.fullmatch(r"[+-]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]+", plain):
        plain = plain.replace(",", "")
    elif re.fullmatch(r"[+-]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+", plain):
        plain = plain.replace(".", "").replace(",", ".")
    elif re.fullmatch(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?", plain):
        plain = plain.replace(",", ".")
    if not re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?", plain):
        return None
    value = float(plain)
    return value if math.isfinite(value) else math.nan
