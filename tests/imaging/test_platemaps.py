"""Plate maps: real and made ones, and every fault with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging.errors import ConfigurationError
from imaging.experiment import Experiment, read_experiment
from imaging.platemaps import MapsCheck, PlateMap, PlateMapRow, check_plate_maps, read_plate_map
from imaging.platemaps.map_table import MAX_BYTES

BBBC013 = Path(__file__).parents[1] / "data" / "bbbc013"

EXPERIMENT = r"""
name: screen
channels: [{name: DNA, full_scale: 255}]
layout: {wells: 96, imaged: [A01-B12], sites: 1}
files: {pattern: '(?P<well>...)\.tif'}
plate_maps:
  - file: a.csv
"""


def declare(extra: str = "") -> Experiment:
    return read_experiment((EXPERIMENT + extra).encode())


def read(table: str | bytes, extra: str = "", plate: str = "P1", **others: str) -> PlateMap:
    files = {"a.csv": table if isinstance(table, bytes) else table.encode()}
    files |= {f"{name}.csv": text.encode() for name, text in others.items()}
    return read_plate_map(_reader(files), declare(extra), plate)


def _reader(files: dict[str, bytes]):
    def read_file(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(name)
        return files[name]

    return read_file


def faults(table: str | bytes, extra: str = "", **others: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read(table, extra, **others)
    assert (caught.value.experiment, caught.value.plate) == ("screen", "P1")
    return caught.value.problems


# What is read


def test_the_real_plate_s_map_says_controls_and_doses() -> None:
    experiment = read_experiment((BBBC013 / "experiment.yaml").read_bytes())
    rows = read_plate_map(lambda name: (BBBC013 / name).read_bytes(), experiment, "any").rows
    assert len(rows) == 48
    assert rows["A01"] == PlateMapRow("A01", "untreated", 0.0, "index", "negcon")
    assert rows["B05"] == PlateMapRow("B05", "wortmannin", 3.0, "index", "trt")
    assert rows["D12"] == PlateMapRow("D12", "wortmannin", 10.0, "index", "poscon")


def test_a_source_with_columns_of_its_own_is_read_through_a_mapping() -> None:
    table = "ImageNumber,Column,Row,SBS_Doses,SBS_Controls\n1,01,A,0,-1\n2,02,A,3,0\n3,03,B,10,1\n"
    extra = """\
    columns: {row: Row, column: Column, concentration: SBS_Doses, control: SBS_Controls}
    concentration_unit: index
    controls: {negcon: ["-1"], poscon: 1, trt: ["0"]}
"""
    rows = read(table, extra).rows
    assert [(row.well, row.concentration, row.control) for row in rows.values()] == [
        ("A01", 0.0, "negcon"),
        ("A02", 3.0, "trt"),
        ("B03", 10.0, "poscon"),
    ]


@pytest.mark.parametrize(
    "header",
    [
        "well,treatment,concentration,control",
        "Metadata_Well,Compound,Dose,Control_Type",
        "well_position,broad_sample,conc,CONTROL",
        "Image_Metadata_Well,Drug,Concentration,control",
    ],
)
def test_usual_column_names_need_no_mapping(header: str) -> None:
    assert read(f"{header}\nb3,taxol,0.5,poscon\n").rows == {"B03": PlateMapRow("B03", "taxol", 0.5, None, "poscon")}


def test_the_column_well_wins_over_row_and_column() -> None:
    assert list(read("WellRow,WellCol,well\nA,1,B2\n").rows) == ["B02"]


def test_mapped_rows_and_columns_win_over_a_column_well() -> None:
    assert list(read("R,C,well\nA,1,B2\n", "    columns: {row: R, column: C}\n").rows) == ["A01"]


@pytest.mark.parametrize("row", ["B", "b", "2", "02"])
def test_rows_are_letters_or_numbers(row: str) -> None:
    assert list(read(f"row,col\n{row},007\n").rows) == ["B07"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_cells_are_split_by_what_the_header_holds_most_of(delimiter: str) -> None:
    table = "\n".join(delimiter.join(cells) for cells in (("well", "drug"), ("A01", "x"))) + "\r\n"
    assert read(table).rows["A01"].treatment == "x"


def test_marks_quotes_and_empty_lines_of_spreadsheets_are_skipped() -> None:
    table = '\ufeffrow,col,drug\r\n\r\nB,"""03""","a, b"\r\n,,\r\n'
    assert read(table).rows["B03"].treatment == "a, b"


def test_what_a_cell_leaves_open_is_none() -> None:
    row = read("well,treatment,concentration,control\nA01,,NA,\n", "    concentration_unit: uM\n").rows["A01"]
    assert row == PlateMapRow("A01", None, None, None, None)


def test_a_unit_column_wins_over_the_declared_unit() -> None:
    rows = read("well,dose,unit\nA01,1,%\nA02,2,\n", "    concentration_unit: uM\n").rows
    assert [row.concentration_unit for row in rows.values()] == ["%", "uM"]


def test_a_blank_treatment_can_be_named() -> None:
    assert read("well,drug\nA01,\n", "    blank_treatment: DMSO\n").rows["A01"].treatment == "DMSO"


def test_a_control_can_be_told_from_an_empty_cell_and_from_a_pattern() -> None:
    extra = "    columns: {control: drug}\n    controls: {negcon: '', trt: BRD-*}\n"
    rows = read("well,drug\nA01,\nA02,BRD-K1\n", extra).rows
    assert [row.control for row in rows.values()] == ["negcon", "trt"]


def test_a_logarithm_may_be_negative() -> None:
    rows = read("well,concentration\nA01,-6.5\n", "    concentration_unit: log10(M)\n").rows
    assert rows["A01"].concentration == -6.5


def test_wells_are_in_plate_order_and_may_go_beyond_those_imaged() -> None:
    assert list(read("well\nB02\nH12\nA10\n").rows) == ["A10", "B02", "H12"]


def test_a_plate_without_a_file_has_no_described_wells() -> None:
    assert read("well\nA01\n", "    plates: [Q*]\n").rows == {}


def test_files_are_chosen_by_the_plate_s_name() -> None:
    extra = "    plates: ['P?']\n  - {file: b.csv, plates: ['P1', 'X']}\n  - {file: c.csv, plates: X}\n"
    assert list(read("well\nA01\n", extra, b="well\nA02\n").rows) == ["A01", "A02"]


def test_the_digest_follows_what_is_said_and_not_how() -> None:
    plain = read("well,drug\nA01,x\nA02,y\n").digest
    assert read("drug;well\ny;a2\nx;A1\n").digest == plain
    assert read("well,drug\nA01,x\nA02,z\n").digest != plain


# Faults


FAULTS = [
    ("well\nA01\nA1\n", "a.csv line 3: well A01 is described already in a.csv line 2; keep one"),
    ("well\nA01\nA13\n", "a.csv line 3: well A13 lies outside a plate of 96 wells"),
    ("well\n1A\n", "a.csv line 2: a well must be a row and a column such as B03, got '1A'"),
    ("row,column\nA,0\n", "a.csv line 2: a column must be a number from 1, got '0'"),
    ("row,column\nAZ,1\n", "a.csv line 2: a row must be A..Z or AA..AF, got 'AZ'"),
    ("well,dose\nA01,high\n", "a.csv line 2: a concentration must be a number, got 'high'; leave unknown ones empty"),
    ("well\tdose\nA01\t0,5\n", "a.csv line 2: a concentration must be a number, got '0,5'; write a decimal point"),
    ("well,dose\nA01,inf\n", "a.csv line 2: a concentration must be a number, got 'inf'"),
    ("well,dose\nA01,-1\n", "a.csv line 2: a concentration must be 0 or more, got '-1'"),
    ("well,control\nA01,dmso\n", "a.csv line 2: the control value 'dmso' is not known; write negcon"),
    ("well,dose\nA01\n", "a.csv line 2: has 1 cells, the header has 2"),
    ("well,compound,drug\nA01,x,y\n", "a.csv line 1: several columns can be the treatment: compound, drug; say which"),
    ("dose\n1\n", "a.csv line 1: needs a column well, or row and column; it has dose"),
    ("well\n", "a.csv: has a header and no rows"),
    ("", "a.csv: is empty"),
    (b"well,drug\nA01,\xe4\n", "a.csv line 2: byte 0xe4 is not UTF-8"),
    (b"well\n" + b"A01\n" * (MAX_BYTES // 4), f"at most {MAX_BYTES} are read"),
    ("well\nC01\n", "a.csv: describes none of the imaged wells (layout.imaged)"),
    (f'well\n"{"x" * 200_000}', "a.csv line 2: the table cannot be read"),
]


@pytest.mark.parametrize(("table", "fault"), FAULTS, ids=[fault[:50] for _, fault in FAULTS])
def test_a_fault_is_found_with_its_line(table: str | bytes, fault: str) -> None:
    (found,) = faults(table)
    assert fault in found


def test_all_faults_of_all_files_come_at_once() -> None:
    extra = "  - file: b.csv\n  - file: c.csv\n"
    assert faults("well,dose\nA01,x\nQ9z,1\n", extra, b="well,dose\nA01,1\nA02,y\n") == (
        "a.csv line 2: a concentration must be a number, got 'x'; leave unknown ones empty",
        "a.csv line 3: a well must be a row and a column such as B03, got 'Q9z'",
        "b.csv line 3: a concentration must be a number, got 'y'; leave unknown ones empty",
        "b.csv line 2: well A01 is described already in a.csv line 2; keep one",
        "c.csv: does not exist beside experiment.yaml; put it there or correct plate_maps",
    )


def test_the_same_fault_on_many_lines_is_said_once() -> None:
    table = "well,control\n" + "".join(f"A{n:02d},dmso\n" for n in range(1, 9))
    (fault,) = faults(table)
    assert fault.startswith("a.csv lines 2, 3, 4, 5, 6 and 3 more: the control value 'dmso'")


def test_a_mapped_column_that_is_not_there_comes_with_the_nearest() -> None:
    (fault,) = faults("well,SBS_Doses\nA01,1\n", "    columns: {concentration: SBS_Dose}\n")
    assert fault == "a.csv line 1: has no column 'SBS_Dose', the concentration; did you mean 'SBS_Doses'?"


def test_a_mapped_well_column_that_is_not_there_is_one_fault() -> None:
    (fault,) = faults("well\nx\n", "    columns: {well: Wel}\n")
    assert fault == "a.csv line 1: has no column 'Wel', the well; did you mean 'well'?"


def counted(found: MapsCheck) -> dict[str, int]:
    """Described wells by file."""
    return {item.file: item.wells for item in found.files}


def test_every_file_is_checked_whether_its_plates_are_known_or_not() -> None:
    experiment = declare("    plates: [Q1]\n  - {file: b.csv, plates: [Q2]}\n")
    good = _reader({"a.csv": b"well\nA01\n", "b.csv": b"well\nA01\nA02\n"})
    assert counted(check_plate_maps(good, experiment)) == {"a.csv": 1, "b.csv": 2}
    with pytest.raises(ConfigurationError) as caught:
        check_plate_maps(_reader({"a.csv": b"well\nx\n"}), experiment)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["a.csv line 2", "b.csv"]


def test_files_that_overlap_on_a_declared_plate_are_found_beforehand() -> None:
    files = _reader({"a.csv": b"well\nA01\n", "b.csv": b"well\nA01\n"})
    apart = declare("    plates: [Q1]\n  - {file: b.csv, plates: [Q2]}\nplates: [Q1, Q2]\n")
    assert counted(check_plate_maps(files, apart)) == {"a.csv": 1, "b.csv": 1}
    together = declare("  - {file: b.csv, plates: [Q2]}\nplates: [Q1, Q2]\n")
    with pytest.raises(ConfigurationError, match="well A01 is described already"):
        check_plate_maps(files, together)
