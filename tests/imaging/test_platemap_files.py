"""Files of plate maps: Excel, Harmony's assay layouts, grids, semicolons and other text."""

from __future__ import annotations

import io
import re
import zipfile
from datetime import date

import pytest

from imaging.errors import ConfigurationError
from imaging.platemaps import PlateMapRow, check_plate_maps, read_plate_map
from imaging.platemaps import workbooks as excel
from imaging.platemaps.delimited import MAX_LINES
from imaging.platemaps.faults import MAX_SHOWN
from imaging.platemaps.in_plate import find_in_folder
from imaging.platemaps.map_table import HEADER_LINES
from imaging.store import open_store
from tests.imaging.platemap_files import check, declare, faults_in, faults_of, read_map, read_one, reader, workbook
from tests.parts import ROOT, require

LAYOUT = """\ufeff<?xml version="1.0" encoding="utf-8"?>
<AssayLayout xmlns="http://www.perkinelmer.com/PEHH/HarmonyV{version}">
  <PlateCols>12</PlateCols><PlateRows>8</PlateRows>{layers}
</AssayLayout>"""


def layer(name: str, wells: dict[tuple[int, int], str], unit: str = "") -> str:
    parts = [
        f"<Well><Row>{row}</Row><Col>{column}</Col><Value>{value}</Value></Well>"
        for (row, column), value in wells.items()
    ]
    return f"<Layer><Name>{name}</Name>{f'<Unit>{unit}</Unit>' if unit else ''}{''.join(parts)}</Layer>"


def layout(*layers: str, version: int = 5) -> bytes:
    return LAYOUT.format(version=version, layers="".join(layers)).encode()


# Text


def test_decimal_commas_are_numbers_where_semicolons_separate_cells() -> None:
    rows = read_one("well;dose;unit\nA01;0,5;uM\nA02;1;uM\nA03;,25;uM\nB01;1,5e-3;uM\n").rows
    assert [row.concentration for row in rows.values()] == [0.5, 1.0, 0.25, 0.0015]


def test_decimal_commas_beside_decimal_points_are_a_fault() -> None:
    (fault,) = [text for text in faults_of("well;dose\nA01;0,5\nA02;0.5\n") if "point" in text]
    assert fault == "m line 3: has a decimal point and line 2 a comma; write all numbers in one way"


def test_a_comma_in_a_number_is_refused_where_commas_separate_cells() -> None:
    assert "write a decimal point" in faults_of('well,dose\nA01,"0,5"\n')[0]


def test_what_excel_saves_as_unicode_text_is_read() -> None:
    assert read_one("well\tdrug\nA01\tµ\n".encode("utf-16")).rows["A01"].treatment == "µ"
    assert "is not UTF-16" in faults_of("well\tdrug\nA01\tx\n".encode("utf-16") + b"x")[0]


def test_titles_above_the_header_are_passed_over() -> None:
    text = "Screen 7\nsigned,somebody\n\nwell,drug\nA01,x\n"
    assert read_one(text).rows == {"A01": PlateMapRow("A01", "x")}
    far = "title\n" * HEADER_LINES + "well,drug\nA01,x\n"
    assert "needs a column well" in faults_of(far)[-1]


def test_a_text_of_too_many_lines_is_refused() -> None:
    (fault,) = faults_of("well\n" + "A01\n" * MAX_LINES)
    assert fault == f"m line {MAX_LINES + 1}: has more than {MAX_LINES} lines; is it the right file?"


def test_empty_cells_after_the_last_column_are_no_fault() -> None:
    assert read_one("well,drug\nA01,x,,\n").rows["A01"].treatment == "x"
    assert faults_of("well,drug\nA01,x,,y\n")[0] == "m line 2: has 4 cells, the header has 2"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Excel file (.xls) or has a password; save it as .xlsx"),
        (b"\x1f\x8b\x08\x00", "is compressed with gzip; unpack it"),
        (b"%PDF-1.7", "is a PDF"),
    ],
)
def test_files_that_are_no_tables_are_refused_by_what_they_are(data: bytes, sentence: str) -> None:
    (fault,) = faults_of(data)
    assert sentence in fault


def test_columns_and_rows_may_be_numbers_as_pandas_writes_them() -> None:
    assert list(read_one("row,col\n2.0,3.0\n").rows) == ["B03"]
    assert "got '2.5'" in faults_of("row,col\nA,2.5\n")[0]


# Grids


GRID = "{corner},1,2,3\nA,x,y,\nB,z,,w\n"


@pytest.mark.parametrize("corner", ["", "Row", "well"])
def test_a_map_laid_out_as_the_plate_is_read(corner: str) -> None:
    found = read_one(GRID.format(corner=corner))
    assert {well: row.treatment for well, row in found.rows.items()} == {"A01": "x", "A02": "y", "B01": "z", "B03": "w"}
    assert found.annotations["B03"] == {"treatment": "w"}


def test_grids_of_treatments_doses_and_controls_make_one_map() -> None:
    files = {
        "t": GRID.format(corner=""),
        "d": "title\n;1;2;3\nA;0,5;1;\nB;2;;3\n",
        "c": ",1,2,3\nA,negcon,trt,\nB,,,poscon\n",
        "g": ",01,02,03,\nA,PLK1,,\n",
    }
    maps = "- {file: t}\n- {file: d, grid: concentration, concentration_unit: uM}\n- {file: c, grid: control}\n"
    found = read_map(maps + "- {file: g, grid: gene}", files)
    assert found.rows["A01"] == PlateMapRow("A01", "x", 0.5, "uM", "negcon")
    assert found.rows["B03"] == PlateMapRow("B03", "w", 3.0, "uM", "poscon")
    assert found.annotations["A01"]["gene"] == "PLK1"


def test_two_grids_of_treatments_on_a_plate_are_a_fault() -> None:
    files = {"t": GRID.format(corner=""), "u": ",1,2,3\nA,x,,\n"}
    sentence = "u line 2: well A01 is described already in t line 2; keep one"
    assert faults_in("- {file: t}\n- {file: u}", files) == (sentence,)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GRID.format(corner="") + ",1,2,3\n", "m line 4: the rows of a grid must begin with A, B, C, ..., got ''"),
        (GRID.format(corner="") + "A,x,x,x\n", "m line 4: row A of the grid is there already; keep one grid per file"),
        (",1,2,3\nA,x,y,z,extra\n", "m line 2: has values to the right of column 3"),
        (",1,2,3\nA,x,y,z\nQ,x,y,z\n", "m line 3: well Q01 lies outside a plate of 96 wells"),
    ],
)
def test_what_is_wrong_with_a_grid_is_said(text: str, sentence: str) -> None:
    assert any(fault.startswith(sentence) for fault in faults_of(text))


def test_a_table_declared_as_a_grid_must_be_one() -> None:
    assert "is not laid out as a plate" in faults_of("well,drug\nA01,x\n", ", grid: treatment")[0]


# Excel


def test_a_workbook_is_read_as_people_type_it() -> None:
    book = workbook([["Screen 7"], [], ["row", "col", "drug", "dose", "run on"], ["A", 1, 5.0, 0.1, date(2026, 3, 1)]])
    found = read_one(book, ", concentration_unit: uM")
    assert found.rows == {"A01": PlateMapRow("A01", "5", 0.1, "uM")}
    assert found.annotations["A01"]["run on"] == "2026-03-01"


def test_the_sheet_of_a_workbook_can_be_named() -> None:
    book = workbook([["well", "drug"], ["A01", "first"]], [["well", "drug"], ["A01", "second"]])
    assert read_one(book).rows["A01"].treatment == "first"
    assert read_one(book, ", sheet: Sheet2").rows["A01"].treatment == "second"
    assert faults_of(book, ", sheet: Sheet3")[0].startswith("m: has no sheet 'Sheet3'; did you mean")
    assert "is no workbook and has no sheet 'a'" in faults_of("well\nA01\n", ", sheet: a")[0]


def test_a_grid_in_a_workbook_is_read() -> None:
    book = workbook([["layout"], [None, 1, 2, 3], ["A", "x", None, 7]])
    assert {well: row.treatment for well, row in read_one(book).rows.items()} == {"A01": "x", "A03": "7"}


def test_wells_that_excel_holds_as_numbers_or_dates_are_faults_with_their_line() -> None:
    book = workbook([["well", "drug"], [1.0, "x"], ["A02", date(2026, 3, 1)], ["A03", "y"]])
    assert faults_of(book) == (
        "m line 2: a well must be a row and a column such as B03, got '1'",
        "m line 3: the treatment is the date 2026-03-01; Excel makes dates of texts: type it as text",
    )


def test_merged_cells_are_a_fault_because_all_but_the_first_look_empty() -> None:
    book = workbook([["well", "drug"], ["A01", "x"], ["A02", None]], merge="B2:B3")
    (fault,) = faults_of(book)
    assert fault == "m: cells B2:B3 are merged, so only the first of them holds the value; give each cell its own"


def test_formulas_without_values_and_errors_are_faults() -> None:
    book = workbook([["well", "drug"], ["A01", '=A2&"x"'], ["A02", "#N/A"]])
    assert faults_of(book) == (
        "m: formulas without values in B2; save the file in Excel, or paste values",
        "m: errors of Excel in B3 (#N/A); correct these cells or leave them empty",
    )


def test_formulas_with_values_are_read_as_their_values() -> None:
    book = rewritten(workbook([["well", "drug"], ["A01", "=1+1"]]), b"<v></v>", b"<v>2</v>", b"<v />", b"<v>2</v>")
    assert read_one(book).rows["A01"].treatment == "2"


def test_a_workbook_that_lies_about_its_size_loses_no_row() -> None:
    book = workbook([["well", "drug"], ["A01", "x"], ["A02", "y"]])
    assert list(read_one(rewritten(book, b'ref="A1:B3"', b'ref="A1:A1"')).rows) == ["A01", "A02"]


def test_a_workbook_that_unpacks_to_too_much_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO(workbook([["well"], ["A01"]]))
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/bomb.bin", bytes(excel.MAX_UNPACKED))
    assert len(buffer.getvalue()) < 200_000
    (fault,) = faults_of(buffer.getvalue())
    assert "bytes, at most" in fault
    monkeypatch.setattr(excel, "MAX_MEMBERS", 3)
    assert "parts of" in faults_of(workbook([["well"], ["A01"]]))[0]


def test_sentences_stay_readable_whatever_the_file_has() -> None:
    (fault,) = faults_of(b"well,treatment\n" + b"x" * 100_000 + b",a\n")
    assert fault.startswith("m line 2: a well must be a row and a column such as B03, got 'xxx")
    assert " ... xxx" in fault
    assert fault.endswith("xxx'")
    assert len(fault) < 600
    (fault,) = faults_of(b"w\x1b[31m,treatment\nA01,a\n")
    assert (
        fault
        == "m line 1: needs a column well, or row and column; it has w\\x1b[31m, treatment; see plate_maps.columns"
    )
    wrong = "".join(f"{row}{column},no {row}{column}\n" for row in "ABCDEFGHIJKLMNOP" for column in range(1, 25))
    faults = faults_of(f"well,concentration\n{wrong}".encode())
    assert len(faults) == MAX_SHOWN + 1
    assert re.fullmatch(r"m: [0-9]+ more like these are left out; correct those first", faults[-1])


def test_a_small_workbook_of_millions_of_elements_is_refused_before_they_are_read() -> None:
    bomb = rewritten(
        workbook([["well"], ["A01"]]), b"</sheetData>", b"<row>" + b"<a/>" * 1_000_001 + b"</row></sheetData>"
    )
    (fault,) = faults_of(bomb)
    assert fault.startswith("m: has 1000")
    assert "XML tags, at most 1000000 are read (about 250000 cells)" in fault


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_workbook_that_is_packed_oddly_is_refused(method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("xl/workbook.xml", b"<workbook/>")
    damaged = buffer.getvalue().replace(b"<workbook", b"<workbonk")
    for data in (buffer.getvalue(), damaged[:60] + b"damage" + damaged[66:]):
        assert faults_of(data) == ("m: is packed in a way that no workbook is; save it as .xlsx in Excel again",)


def test_an_assay_layout_of_millions_of_elements_is_refused_before_they_are_read() -> None:
    (fault,) = faults_of(b"<AssayLayout>" + b"<a>" * 1_000_001)
    assert fault == "m: has 1000002 XML tags, at most 1000000 are read; is it the right file?"


def test_a_sheet_with_too_many_rows_or_columns_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    book = workbook([["well"], ["A01"], ["A02"]])
    monkeypatch.setattr(excel, "MAX_ROWS", 2)
    assert faults_of(book) == ("m line 3: has more than 2 rows or 500 columns; is it the right sheet?",)


def test_a_sheet_that_excel_could_not_have_written_is_refused_at_once() -> None:
    book = workbook([["well"], ["A01"]])
    far = rewritten(book, b'<row r="2"', b'<row r="999999999"', b' r="A2"', b' r="A999999999"')
    assert faults_of(far) == (
        "m: is no Excel workbook that can be read (a row has a number above 1048576); save it as "
        ".xlsx again, or as CSV UTF-8",
    )
    wide = rewritten(book, b"</row>", b"<c><v>1</v></c>" * 16_384 + b"</row>")
    assert "a row has more than 16384 cells" in faults_of(wide)[0]


def test_merged_cells_beyond_all_measure_are_refused_at_once() -> None:
    many = b"</sheetData><mergeCells>" + b'<mergeCell ref="A1:B2"/>' * (excel.MAX_MERGED + 2) + b"</mergeCells>"
    (fault,) = faults_of(rewritten(workbook([["well"], ["A01"]]), b"</sheetData>", many))
    assert f"it has more than {excel.MAX_MERGED} merged cells" in fault


def test_a_part_that_names_no_workbook_is_one_fault() -> None:
    buffer = io.BytesIO(workbook([["well"], ["A01"]]))
    with zipfile.ZipFile(io.BytesIO(buffer.getvalue())) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data.replace(b"sheet.main", b"other") if name == "[Content_Types].xml" else data)
    (fault,) = faults_of(buffer.getvalue())
    assert fault.startswith("m: is no Excel workbook that can be read")


def test_entities_in_a_workbook_are_refused() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx">]><worksheet '
    (fault,) = faults_of(rewritten(workbook([["well"], ["A01"]]), b"<worksheet ", bomb))
    assert fault.startswith("m: is no Excel workbook that can be read")


@pytest.mark.parametrize("cut", [10, 300, 2000])
def test_a_damaged_workbook_is_one_fault(cut: int) -> None:
    (fault,) = faults_of(workbook([["well"], ["A01"]])[:-cut])
    assert fault.startswith("m: is no Excel workbook that can be read")


def test_an_archive_that_is_no_workbook_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "x")
    assert "is a ZIP archive and no Excel workbook" in faults_of(buffer.getvalue())[0]
    assert faults_of(workbook([])) == ("m: is empty",)


def rewritten(book: bytes, *pairs: bytes) -> bytes:
    """The workbook with texts of its first sheet replaced: old, new, old, new, ..."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                for before, after in zip(pairs[::2], pairs[1::2], strict=True):
                    data = data.replace(before, after)
            new.writestr(name, data)
    return buffer.getvalue()


# Harmony


@pytest.mark.parametrize("version", [5, 6, 7])
def test_layers_of_an_assay_layout_are_columns(version: int) -> None:
    layers = (
        layer("Compound", {(1, 1): "taxol", (1, 2): "", (2, 3): "DMSO"}),
        layer("Concentration", {(1, 1): "0.5", (2, 3): "0"}, unit="µM"),
        layer("Cell line", {(1, 1): "U2OS"}),
    )
    found = read_one(layout(*layers, version=version))
    assert found.rows == {
        "A01": PlateMapRow("A01", "taxol", 0.5, "uM"),
        "A02": PlateMapRow("A02"),
        "B03": PlateMapRow("B03", "DMSO", 0.0, "uM"),
    }
    assert found.annotations["A01"] == {"Compound": "taxol", "Concentration (µM)": "0.5", "Cell line": "U2OS"}


def test_faults_of_an_assay_layout_name_the_well() -> None:
    twice = layer("Compound", {(1, 1): "x"}).replace("</Layer>", "<Well><Row>1</Row><Col>1</Col></Well></Layer>")
    assert faults_of(layout(twice)) == ("m: row 1 column 1 stands twice in the layer 'Compound'; keep one",)
    outside = layout(layer("Compound", {(1, 1): "x", (9, 1): "y"}))
    assert faults_of(outside) == ("m: well I01 lies outside a plate of 96 wells",)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"<AssayLayout>", "is no XML that can be read"),
        (b"<EvaluationInputData/>", "is XML with the root 'EvaluationInputData' and not an assay layout of Harmony"),
        (b"<!DOCTYPE a [<!ENTITY x 'y'>]><AssayLayout>&x;</AssayLayout>", "has entities or a document type"),
        (layout(layer("Compound", {})), "is an assay layout without wells"),
        (layout(*["<Layer/>"] * 101), "has 101 layers, at most 100 are read"),
        (b"<?xml version='1.0' encoding='tf-8'?><AssayLayout/>", "is no XML that can be read (unknown encoding"),
    ],
)
def test_other_xml_is_refused(data: bytes, sentence: str) -> None:
    (fault,) = faults_of(data)
    assert sentence in fault


def test_a_layout_is_found_in_the_plate_s_own_folder() -> None:
    raw = open_store("memory://layouts")
    raw.write("raw/e/P1/Images/a.tiff", b"")
    raw.write("raw/e/P1/Assaylayout/Mine.xml", layout(layer("Compound", {(1, 1): "taxol"})))
    assert find_in_folder(raw, "raw/e/P1/", "*.xml") == []
    found = find_in_folder(raw, "raw/e/P1/", "Assaylayout/*.xml")
    assert [name for name, _ in found] == ["Assaylayout/Mine.xml"]
    experiment = declare("- {in_plate: Assaylayout/*.xml}")
    plate_map = read_plate_map(reader({}), experiment, "P1", lambda path: find_in_folder(raw, "raw/e/P1/", path))
    assert plate_map.rows["A01"].treatment == "taxol"
    assert check_plate_maps(reader({}), experiment, (), lambda _: found).files[0].treatments == 1
    assert check("- {in_plate: a.xml}", {}).files == ()
    raw.write("raw/e/P1/Assaylayout/Other.xml", b"")
    with pytest.raises(ConfigurationError, match=r"is 2 files of the plate's folder \(Assaylayout/Mine.xml, "):
        read_plate_map(reader({}), experiment, "P1", lambda path: find_in_folder(raw, "raw/e/P1/", path))
    nothing = read_plate_map(reader({}), experiment, "P1", lambda _: [])
    assert nothing.warnings == (("Assaylayout/*.xml", ": is not in the plate's folder yet"),)


def test_the_real_assay_layout_and_the_dirty_tables_beside_it_are_read() -> None:
    require("shared")
    folder = ROOT.parent / "shared" / "data" / "harmony_operetta"
    files = {
        "a.xml": (folder / "operetta_plate" / "Assaylayout" / "Unnamed.xml").read_bytes(),
        "b.csv": (folder / "fixtures" / "drug_layout.csv").read_bytes(),
        "c.csv": (folder / "fixtures" / "drug_layout_utf8-dom.csv").read_bytes(),
    }
    first = read_map("- {file: a.xml}", files, wells=384)
    assert (len(first.rows), first.rows["C03"]) == (96, PlateMapRow("C03"))
    second = read_map("- {file: b.csv}", files, imaged="C03")
    assert second.rows == {"C03": PlateMapRow("C03", "DMSO", 0.125, "%")}
    third = read_map("- {file: c.csv}", files, imaged="B03")
    assert third.rows == {"B03": PlateMapRow("B03", "my_drug", 0.1, "um")}
    assert third.annotations["B03"]["my_metadata"] == "example"
