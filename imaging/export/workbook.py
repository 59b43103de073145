"""A plate's results as an Excel workbook: its summary, wells, heat maps in the plate's layout, faults, features.

Texts stay texts: what begins with ``=``, ``+``, ``-`` or ``@`` is marked as text, so that nobody's treatment name is
computed. A number that is not known is an empty cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.formatting.rule import ColorScaleRule
from openpyxl.styles import Font
from openpyxl.utils import get_column_letter

from imaging.errors import ConfigurationError
from imaging.export.rows import Rows, metadata_name, open_rows, read_whole
from imaging.export.selection import Published
from imaging.table_files import replacing
from imaging.tables import FAULTS, FEATURES, PLACE, PLATES, STATISTICS
from imaging.wells import parse_well, row_name

MOST_COLUMNS = 16_384
"""Columns of an Excel sheet."""
_MOST_TEXT = 32_767
_TIME = metadata_name("time_point")
_COUNTS = ("Metadata_Count_Nuclei", "Metadata_Count_Cells")
_TEXTS = ("Metadata_treatment", "Metadata_concentration", "Metadata_control", "Metadata_verdict")
_BOLD = Font(bold=True)
_COLORS = ColorScaleRule(
    start_type="min",
    start_color="FFFFFF",
    end_type="max",
    end_color="2A7FB8",
)


def write_workbook(published: Published, out: Path) -> int:
    """Write the workbook of a plate; return its number of wells.

    Raises
    ------
    ConfigurationError
        If the wells have more columns than an Excel sheet.
    StoredDataError
        If a published table is gone or damaged.
    StoreUnavailableError
        If the file cannot be written.
    """
    wells = open_rows(published, "profiles")
    if len(wells.schema) > MOST_COLUMNS:
        raise ConfigurationError(
            f"the wells have {len(wells.schema):,} columns and an Excel sheet {MOST_COLUMNS:,}; export them as parquet "
            "or csv",
            experiment=published.experiment,
            plate=published.plate,
        )
    statistics = _rows_of(published, STATISTICS.name)
    shown = [row["feature"] for row in statistics if row["feature"] in wells.features]
    book = Workbook(write_only=True)
    _add_sheet(book, "Plate", _summary(published, statistics), widths=(28, 60))
    count = _add_wells(book, wells)
    _add_heat_maps(book, wells, [*_TEXTS, *_COUNTS, *shown])
    _add_sheet(book, "Faults", _table(_rows_of(published, FAULTS.name), FAULTS.columns[len(PLACE) :]))
    _add_sheet(book, "Features", _table(_rows_of(published, FEATURES.name), FEATURES.columns[len(PLACE) :]))
    with replacing(out) as file:
        book.save(file)
    return count


def _rows_of(published: Published, table: str) -> list[dict[str, Any]]:
    return read_whole(published, table).to_pylist()


def _summary(published: Published, statistics: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """What the plate is, what came of it, and how well its controls are separated."""
    (plate,) = _rows_of(published, PLATES.name)
    yield ["Plate", published.plate]
    yield ["Experiment", published.experiment]
    yield ["Recipe", published.recipe]
    yield ["Publication", published.number]
    yield ["Published at (UTC)", published.record["published_at"]]
    for column in PLATES.columns[len(PLACE) :]:
        yield [column.name, plate.get(column.name)]
    yield []
    yield from _table(statistics, STATISTICS.columns[len(PLACE) :])


def _table(rows: Sequence[Mapping[str, Any]], columns: Iterable[Any]) -> Iterator[list[Any]]:
    names = [column.name for column in columns]
    yield names
    for row in rows:
        yield [row.get(name) for name in names]


def _add_sheet(book: Workbook, title: str, rows: Iterable[Sequence[Any]], widths: Sequence[int] = ()) -> Any:
    sheet = book.create_sheet(title)
    for number, width in enumerate(widths, 1):
        sheet.column_dimensions[get_column_letter(number)].width = width
    for row in rows:
        sheet.append([_cell(sheet, value) for value in row])
    return sheet


def _add_wells(book: Workbook, wells: Rows) -> int:
    sheet = book.create_sheet("Wells")
    sheet.freeze_panes = "A2"
    sheet.append([_cell(sheet, name, bold=True) for name in wells.schema.names])
    count = 0
    for block in wells.blocks():
        columns = [column.to_pylist() for column in block.columns]
        for values in zip(*columns, strict=True):
            sheet.append([_cell(sheet, value) for value in values])
            count += 1
    return count


def _add_heat_maps(book: Workbook, wells: Rows, names: Sequence[str]) -> None:
    """One map of the plate under the other, rows and columns as on the plate; one for each time point."""
    shown = [name for name in names if name in wells.schema.names]
    maps: dict[tuple[str, int], dict[tuple[int, int], Any]] = {}
    for block in wells.blocks():
        places = [parse_well(well) for well in block["Metadata_Well"].to_pylist()]
        times = block[_TIME].to_pylist() if _TIME in block.column_names else [1] * len(places)
        for name in shown:
            for place, time, value in zip(places, times, block[name].to_pylist(), strict=True):
                maps.setdefault((name, time or 1), {})[place.row, place.column] = value
    sheet = book.create_sheet("Heat maps")
    line = 0
    for (name, time), values in maps.items():
        if any(value is not None for value in values.values()):
            title = name if time == 1 else f"{name}, time point {time}"
            line += _add_heat_map(sheet, title, values, line, is_colored=name not in _TEXTS)


def _add_heat_map(sheet: Any, title: str, values: Mapping[tuple[int, int], Any], line: int, *, is_colored: bool) -> int:
    """Write a map below a line; return how many lines it takes."""
    n_rows = max(row for row, _ in values) + 1
    columns = range(1, max(column for _, column in values) + 1)
    sheet.append([_cell(sheet, title, bold=True)])
    sheet.append([None, *columns])
    for row in range(n_rows):
        sheet.append([row_name(row), *(_cell(sheet, values.get((row, column))) for column in columns)])
    sheet.append([])
    if is_colored:
        area = f"B{line + 3}:{get_column_letter(len(columns) + 1)}{line + 2 + n_rows}"
        sheet.conditional_formatting.add(area, _COLORS)
    return n_rows + 3


def _cell(sheet: Any, value: Any, *, bold: bool = False) -> Any:
    """A cell of a value; a text stays one, whatever it begins with."""
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    if isinstance(value, datetime):
        value = value.astimezone(UTC).replace(tzinfo=None)
    if not isinstance(value, str):
        return value
    cell = WriteOnlyCell(sheet, ILLEGAL_CHARACTERS_RE.sub("", value)[:_MOST_TEXT])
    cell.data_type = "s"
    if value.startswith(("=", "+", "-", "@")):
        cell.quotePrefix = True
    if bold:
        cell.font = _BOLD
    return cell
