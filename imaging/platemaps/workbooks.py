"""Sheets of Excel workbooks (.xlsx), within bounds: cells as text, and what a sheet hides found beforehand.

A merged cell, a formula that nobody computed and a cell with an error look empty or odd to whoever reads values. So the
sheet's own XML is looked through first.
"""

from __future__ import annotations

import io
import posixpath
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from xml.etree.ElementTree import ParseError

import openpyxl
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring, iterparse
from openpyxl.utils.exceptions import InvalidFileException

from imaging.declared import did_you_mean
from imaging.platemaps.faults import Faults

MAX_UNPACKED = 32 * 1024 * 1024
MAX_MEMBERS = 2000
MAX_TAGS = 1_000_000
"""Beginnings and ends of elements in all parts; a cell with a value has four."""
MAX_ROWS = 20_000
MAX_COLUMNS = 500
MAX_MERGED = 5000
LAST_ROW, LAST_COLUMN = 1_048_576, 16_384
"""Where every sheet of Excel ends."""
_PIECE = 1024 * 1024
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_UNREADABLE = (zipfile.BadZipFile, InvalidFileException, zlib.error, DefusedXmlException, ParseError)
_DAMAGED = (
    *_UNREADABLE,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    OSError,
    EOFError,
    RuntimeError,
    ArithmeticError,
)
"""What reading a damaged workbook raises; openpyxl lets through whatever its own code stumbles over."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows that are not empty with their line numbers, and the lines and places of cells that are dates."""

    rows: tuple[tuple[int, tuple[str, ...]], ...]
    dates: frozenset[tuple[int, int]]


def read_workbook(data: bytes, file: str, faults: Faults, sheet: str | None) -> Sheet | None:
    """Read one sheet of a workbook; ``None`` when it cannot be, which ``faults`` then holds.

    Parameters
    ----------
    data
        The .xlsx file.
    file, faults
        Its name, and what takes what is wrong.
    sheet
        Name of the sheet; left out, the first.
    """
    known = len(faults)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_size(archive, file, faults)
            if len(faults) == known:
                _check_tags(archive, file, faults)
            path = _find_sheet(archive, file, faults, sheet) if len(faults) == known else None
            if path is None:
                return None
            for sentence in _find_traps(archive, path):
                faults.add(file, 0, sentence)
        read = _read_cells(data, sheet, file, faults)
    except _DAMAGED as error:
        faults.add(file, 0, f"is no Excel workbook that can be read ({error}); save it as .xlsx again, or as CSV UTF-8")
        return None
    if not read.rows:
        faults.add(file, 0, "is empty" if sheet is None else f"has nothing in the sheet {sheet!r}")
    return read if len(faults) == known else None


def _check_size(archive: zipfile.ZipFile, file: str, faults: Faults) -> None:
    members = archive.infolist()
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in members):
        faults.add(file, 0, "is packed in a way that no workbook is; save it as .xlsx in Excel again")
    unpacked = sum(member.file_size for member in members)
    if len(members) > MAX_MEMBERS or unpacked > MAX_UNPACKED:
        faults.add(
            file,
            0,
            f"unpacks to {len(members)} parts of {unpacked} bytes, at most {MAX_MEMBERS} and {MAX_UNPACKED} are read; "
            "keep the plate map in a workbook of its own",
        )


def _check_tags(archive: zipfile.ZipFile, file: str, faults: Faults) -> None:
    """Refuse so many elements that their trees would take gigabytes; a few thousand bytes can unpack to millions."""
    tags = 0
    for member in archive.infolist():
        with archive.open(member) as stream:
            tags += sum(piece.count(b"<") for piece in iter(lambda stream=stream: stream.read(_PIECE), b""))
    if tags > MAX_TAGS:
        faults.add(
            file,
            0,
            f"has {tags} XML tags, at most {MAX_TAGS} are read (about {MAX_TAGS // 4} cells); keep the plate map in a "
            "workbook of its own",
        )


def _find_sheet(archive: zipfile.ZipFile, file: str, faults: Faults, sheet: str | None) -> str | None:
    """Path of a sheet inside the workbook."""
    names = set(archive.namelist())
    if "xl/workbook.xml" not in names:
        faults.add(file, 0, "is a ZIP archive and no Excel workbook (.xlsx); save the table as .xlsx or CSV UTF-8")
        return None
    book = fromstring(archive.read("xl/workbook.xml"))
    sheets = {str(item.get("name")): item.get(_RELATION) for item in book.iter() if str(item.tag).endswith("}sheet")}
    links = fromstring(archive.read("xl/_rels/workbook.xml.rels"))
    targets = {item.get("Id"): str(item.get("Target")) for item in links}
    shown = {name: targets[link] for name, link in sheets.items() if "worksheets/" in targets.get(link, "")}
    if sheet is not None and sheet not in shown:
        faults.add(file, 0, f"has no sheet {sheet!r}; {did_you_mean(sheet, shown)}")
        return None
    if not shown:
        faults.add(file, 0, "has no sheet with cells")
        return None
    target = shown[sheet] if sheet is not None else next(iter(shown.values()))
    return posixpath.normpath(posixpath.join("/xl", target)).lstrip("/")


def _find_traps(archive: zipfile.ZipFile, path: str) -> Iterator[str]:
    """Sentences about merged cells, formulas without values and errors in a sheet."""
    merged, uncomputed, errors = [], [], []
    cells = 0
    with archive.open(path) as stream:
        for _, item in iterparse(stream, events=("end",)):
            tag = str(item.tag).rpartition("}")[2]
            cells = cells + 1 if tag == "c" else 0 if tag == "row" else cells
            if cells > LAST_COLUMN:
                raise ValueError(f"a row has more than {LAST_COLUMN} cells")
            if len(merged) > MAX_MERGED:
                raise ValueError(f"it has more than {MAX_MERGED} merged cells")
            if tag == "mergeCell":
                merged.append(str(item.get("ref")))
            elif tag == "c":
                parts = {str(part.tag).rpartition("}")[2]: part.text for part in item}
                if "f" in parts and not parts.get("v") and item.get("t") != "str":
                    uncomputed.append(str(item.get("r")))
                elif item.get("t") == "e":
                    errors.append(f"{item.get('r')} ({parts.get('v')})")
            elif tag == "row":
                item.clear()
    if merged:
        yield f"cells {_list(merged)} are merged, so only the first of them holds the value; give each cell its own"
    if uncomputed:
        yield f"formulas without values in {_list(uncomputed)}; save the file in Excel, or paste values"
    if errors:
        yield f"errors of Excel in {_list(errors)}; correct these cells or leave them empty"


def _list(items: list[str]) -> str:
    more = f" and {len(items) - 5} more" if len(items) > 5 else ""
    return f"{', '.join(items[:5])}{more}"


def _read_cells(data: bytes, sheet: str | None, file: str, faults: Faults) -> Sheet:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of what openpyxl leaves out: styles, validation of cells
        return _read_rows(data, sheet, file, faults)


def _read_rows(data: bytes, sheet: str | None, file: str, faults: Faults) -> Sheet:
    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    try:
        cells = book[sheet] if sheet is not None else book.worksheets[0]
        cells.reset_dimensions()  # what the file says of its size may be wrong, and would cut rows off
        rows: list[tuple[int, tuple[str, ...]]] = []
        dates: set[tuple[int, int]] = set()
        for line, values in enumerate(cells.iter_rows(values_only=True), start=1):
            texts = tuple(_as_text(value) for value in values)
            if line > LAST_ROW:
                raise ValueError(f"a row has a number above {LAST_ROW}")
            if not any(texts):
                continue
            if len(rows) == MAX_ROWS or _width(texts) > MAX_COLUMNS:
                faults.add(
                    file, line, f"has more than {MAX_ROWS} rows or {MAX_COLUMNS} columns; is it the right sheet?"
                )
                break
            rows.append((line, texts))
            dates.update((line, place) for place, value in enumerate(values) if isinstance(value, date | time))
    finally:
        book.close()
    width = max((_width(texts) for _, texts in rows), default=0)
    return Sheet(tuple((line, _padded(texts, width)) for line, texts in rows), frozenset(dates))


def _width(texts: tuple[str, ...]) -> int:
    return max(place + 1 for place, text in enumerate(texts) if text)


def _padded(texts: tuple[str, ...], width: int) -> tuple[str, ...]:
    return (*texts[:width], *([""] * (width - len(texts))))


def _as_text(value: Any) -> str:
    """A cell's value as a person would type it: 3 for the number 3.0, a date in ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime) and value.time() == time():
        return value.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return re.sub(r"[\r\n]+", " ", str(value)).strip()
