"""A plate map's file as a table: a header and rows with their line numbers, whatever the file's format.

What the file is, its first bytes say, not its name: a workbook, an assay layout in XML, or text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from imaging.platemaps.assay_layouts import read_assay_layout
from imaging.platemaps.delimited import read_delimited
from imaging.platemaps.faults import Faults
from imaging.platemaps.grids import find_grid, read_grid
from imaging.platemaps.workbooks import read_workbook

MAX_BYTES = 8 * 1024 * 1024
HEADER_LINES = 30
"""Among so many first lines the header is looked for; titles may stand above it."""

_REFUSED = {
    b"\xd0\xcf\x11\xe0": "is an old Excel file (.xls) or has a password; save it as .xlsx or CSV UTF-8",
    b"\x1f\x8b": "is compressed with gzip; unpack it",
    b"%PDF": "is a PDF; save the table as CSV UTF-8 or .xlsx",
}


@dataclass(frozen=True, slots=True)
class MapTable:
    """Names of columns, and rows of cells with their line numbers.

    ``has_decimal_commas`` says that 0,5 may be a number. ``dates`` are the lines and places of cells that a workbook
    holds as dates. A table that ``is_partial`` says one thing of each well, and another table may say the next.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    has_decimal_commas: bool = False
    dates: frozenset[tuple[int, int]] = frozenset()
    is_partial: bool = False


def read_map_table(
    data: bytes,
    file: str,
    faults: Faults,
    *,
    is_header: Callable[[Sequence[str]], bool] | None = None,
    sheet: str | None = None,
    grid: str | None = None,
) -> MapTable | None:
    """Read a file as a table.

    Parameters
    ----------
    data
        The file: UTF-8 or UTF-16 text with cells between commas, tabs or semicolons, .xlsx, or a Harmony assay layout.
    file
        Its name in faults.
    faults
        Takes what is wrong; ``None`` is returned when no row can be read.
    is_header
        Tells the header from lines above it; left out, the first line is the header.
    sheet
        Sheet of a workbook; left out, the first.
    grid
        What the cells hold where the table is laid out as the plate; left out, it is not looked at as such.
    """
    if len(data) > MAX_BYTES:
        faults.add(file, 0, f"has {len(data)} bytes, at most {MAX_BYTES} are read; is it the right file?")
        return None
    for beginning, sentence in _REFUSED.items():
        if data.startswith(beginning):
            faults.add(file, 0, sentence)
            return None
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<":
        layout = read_assay_layout(data, file, faults)
        return MapTable(layout.header, layout.rows, is_partial=True) if layout else None
    lines = _read_lines(data, file, faults, sheet)
    return _arrange(lines, file, faults, is_header, grid) if lines is not None else None


def _read_lines(data: bytes, file: str, faults: Faults, sheet: str | None) -> MapTable | None:
    """Lines of a workbook or a text, as a table without a header."""
    if data.startswith(b"PK"):
        book = read_workbook(data, file, faults, sheet)
        return MapTable((), book.rows, dates=book.dates) if book else None
    if sheet is not None:
        faults.add(file, 0, f"is no workbook and has no sheet {sheet!r}; leave the sheet out")
    text = read_delimited(data, file, faults)
    return MapTable((), text.rows, has_decimal_commas=text.delimiter == ";") if text else None


def _arrange(
    table: MapTable,
    file: str,
    faults: Faults,
    is_header: Callable[[Sequence[str]], bool] | None,
    grid: str | None,
) -> MapTable:
    """Take the header from the lines of a table that has none yet."""
    first = enumerate(table.rows[:HEADER_LINES])
    start = next((number for number, (_, cells) in first if is_header is not None and is_header(cells)), None)
    corner = find_grid(table.rows, HEADER_LINES) if grid is not None else None
    if grid is not None and corner is not None and (start is None or corner <= start):
        header, rows = read_grid(table.rows[corner:], grid, file, faults)
        return MapTable(header, rows, has_decimal_commas=table.has_decimal_commas, is_partial=True)
    lines = table.rows[start or 0 :]
    header = tuple(cell.strip() for cell in lines[0][1])
    rows = []
    for line, cells in lines[1:]:
        if any(cell.strip() for cell in cells[len(header) :]) or len(cells) < len(header):
            faults.add(file, line, f"has {len(cells)} cells, the header has {len(header)}")
            continue
        rows.append((line, tuple(cell.strip().strip('"').strip() for cell in cells[: len(header)])))
    if len(lines) == 1:
        faults.add(file, 0, "has a header and no rows")
    return replace(table, header=header, rows=tuple(rows))
