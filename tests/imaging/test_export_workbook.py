"""Plates as Excel workbooks, read back by openpyxl."""

from __future__ import annotations

import zipfile

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imaging.errors import ConfigurationError
from imaging.export import workbook
from tests.imaging import small_screen
from tests.imaging.small_export import HOSTILE, export, hostile_map, published
from tests.imaging.small_screen import AREA

FAULT = {"kind": "unreadable", "name": "=x\x07.tif", "reason": "cut", "well": "A01", "site": 2, "channel": "RNA"}


def columns_of(sheet) -> dict[str, list]:
    names, *rows = sheet.iter_rows(values_only=True)
    return {name: [row[number] for row in rows] for number, name in enumerate(names)}


@pytest.fixture
def book(folder_store, tmp_path):
    (written,) = export(published(folder_store, plate_map=hostile_map(), faults=(FAULT,)), "xlsx", tmp_path)
    assert (written.path, written.rows) == (tmp_path / "P1.xlsx", 6)
    return openpyxl.load_workbook(written.path)


def test_the_wells_are_there_with_their_features(book):
    assert book.sheetnames == ["Plate", "Wells", "Heat maps", "Faults", "Features"]
    wells = columns_of(book["Wells"])
    assert wells["Metadata_Well"] == list(small_screen.WELLS)
    assert wells[AREA] == [117, 217, 317, 417, 517, 617]
    assert wells["Metadata_concentration"] == [None, None, 1, 1.5, 2, None]


def test_what_begins_like_a_formula_is_text(book):
    sheet = book["Wells"]
    column = [cell.value for cell in sheet[1]].index("Metadata_treatment") + 1
    cells = [sheet.cell(row, column) for row in range(2, 8)]
    assert tuple(cell.value for cell in cells) == HOSTILE
    assert [cell.data_type for cell in cells] == ["s"] * 6
    assert [bool(cell.quotePrefix) for cell in cells] == [True, True, True, True, False, False]


def test_no_sheet_holds_a_formula_or_a_nan(folder_store, tmp_path):
    (written,) = export(published(folder_store, plate_map=hostile_map(), faults=(FAULT,)), "xlsx", tmp_path)
    with zipfile.ZipFile(written.path) as archive:
        sheets = [archive.read(name).decode() for name in archive.namelist() if name.startswith("xl/worksheets/")]
    assert len(sheets) == 5
    assert not any("<f>" in sheet or ">nan<" in sheet.lower() or "<f " in sheet for sheet in sheets)


def test_the_summary_says_what_came_and_how_well_controls_are_separated(book):
    lines = list(book["Plate"].iter_rows(values_only=True))
    rows = {row[0]: row[1] for row in lines if row[0]}
    assert (rows["Plate"], rows["images_arrived"], rows["sites_done"], rows["status"]) == ("P1", 24, 12, "complete")
    names = next(row for row in lines if "ssmd" in row)
    statistics = dict(zip(names, lines[-1], strict=True))
    assert (statistics["feature"], statistics["z_prime"]) == (AREA, rows["z_prime"])


def test_each_time_point_has_a_heat_map_of_its_own(folder_store, tmp_path):
    chosen = published(folder_store)
    wells = folder_store.local_path(chosen.key("wells"))
    rows = pq.read_table(wells)
    later = rows.set_column(rows.column_names.index("time_point"), "time_point", pa.array([2] * rows.num_rows))
    pq.write_table(pa.concat_tables([rows, later.set_column(later.column_names.index(AREA), AREA, [[7.0] * 6])]), wells)
    (written,) = export(chosen, "xlsx", tmp_path)
    lines = list(openpyxl.load_workbook(written.path)["Heat maps"].iter_rows(values_only=True))
    titles = [row[0] for row in lines]
    assert lines[titles.index(AREA) + 2] == ("A", 117, 217, 317)
    assert lines[titles.index(f"{AREA}, time point 2") + 2] == ("A", 7, 7, 7)


def test_heat_maps_have_the_plates_layout(book):
    rows = list(book["Heat maps"].iter_rows(values_only=True))
    start = next(number for number, row in enumerate(rows) if row[0] == AREA)
    assert rows[start + 1 : start + 4] == [(None, 1, 2, 3), ("A", 117, 217, 317), ("B", 417, 517, 617)]
    colored = [str(area.sqref) for area in book["Heat maps"].conditional_formatting]
    assert f"B{start + 3}:D{start + 4}" in colored
    assert len(colored) == 3  # two counts and the declared feature; texts have no colours


def test_faults_are_listed_and_characters_that_excel_refuses_left_out(book):
    faults = columns_of(book["Faults"])
    assert (faults["name"], faults["reason"]) == (["=x.tif"], ["cut"])
    assert columns_of(book["Features"])["unit"] == ["px", None, "1"]


def test_lists_are_joined_and_times_are_utc(folder_store, tmp_path):
    saturated = small_screen.manifest("A01", 1)
    saturated["image_metrics"][0]["PercentSaturated"] = 12.5
    saturated["image_metrics"][1]["PercentSaturated"] = 2.5
    chosen = published(folder_store, manifests=(saturated, *small_screen.manifests()[1:]))
    (written,) = export(chosen, "xlsx", tmp_path)
    reasons = columns_of(openpyxl.load_workbook(written.path)["Wells"])["Metadata_reasons"]
    assert "; " in reasons[0]
    assert reasons[1:] == [None] * 5


def test_more_columns_than_a_sheet_has_are_refused(folder_store, tmp_path, monkeypatch):
    monkeypatch.setattr(workbook, "MOST_COLUMNS", 10)
    with pytest.raises(ConfigurationError, match="the wells have 22 columns and an Excel sheet 10; export them as"):
        export(published(folder_store), "xlsx", tmp_path)
    assert list(tmp_path.glob("*.xlsx")) == []
