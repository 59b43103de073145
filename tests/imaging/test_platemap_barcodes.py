"""Barcode files: which map holds for which plate."""

from __future__ import annotations

import pytest

from imaging.errors import ConfigurationError
from imaging.platemaps import PlateMapRow, read_plate_map
from imaging.store import FolderStore
from tests.imaging.platemap_files import check, declare, faults_in, read_map, spoken, workbook

BARCODES = "Assay_Plate_Barcode,Plate_Map_Name,Batch_Number\nBR1,C-1,7\nBR2,C-2,7\nBR3,C-2,8\n"
FILES = {
    "p/barcode_platemap.csv": BARCODES,
    "p/platemap/C-1.txt": "well\tdrug\nA01\tx\n",
    "p/platemap/C-2.csv": "well,drug\nA01,y\nA02,z\n",
}
SOURCE = "- {barcodes: p/barcode_platemap.csv}"


def test_the_map_of_a_plate_is_the_one_that_its_barcode_s_row_names() -> None:
    assert read_map(SOURCE, FILES, "BR1").rows == {"A01": PlateMapRow("A01", "x")}
    assert [row.treatment for row in read_map(SOURCE, FILES, "BR3").rows.values()] == ["y", "z"]


def test_other_columns_of_the_barcode_file_annotate_every_well() -> None:
    found = read_map(SOURCE, FILES, "BR3")
    assert found.annotations["A02"] == {"Batch_Number": "8", "drug": "z"}
    chosen = read_map("- {barcodes: p/barcode_platemap.csv, annotations: [batch number]}", FILES, "BR3")
    assert chosen.annotations["A02"] == {"Batch_Number": "8"}


def test_the_barcode_is_found_in_the_name_of_the_acquisition() -> None:
    more = "barcode: '^(?P<barcode>[^_]+)__'"
    found = read_map(SOURCE, FILES, "BR1__2020-11-08T19_57_47-Measurement1", more=more)
    assert found.rows["A01"].treatment == "x"
    assert read_map(SOURCE, FILES, "BR1", more=more).rows["A01"].treatment == "x"


@pytest.mark.parametrize(
    "path", ["p/platemap/C-1.tsv", "p/platemaps/C-1.csv", "p/C-1.xlsx", "p/platemap/C-1", "p/platemap/C-1.xml"]
)
def test_maps_lie_beside_the_barcode_file_with_any_ending(path: str) -> None:
    content: str | bytes = "well,drug\nA01,there\n"
    if path.endswith("xlsx"):
        content = workbook([["well", "drug"], ["A01", "there"]])
    if path.endswith("xml"):
        content = (
            "<AssayLayout><Layer><Name>drug</Name><Well><Row>1</Row><Col>1</Col><Value>there</Value></Well></Layer>"
            "</AssayLayout>"
        )
    assert read_map(SOURCE, {"p/barcode_platemap.csv": BARCODES, path: content}, "BR1").rows["A01"].treatment == "there"


def test_the_map_s_name_may_have_its_ending_and_its_folder_be_declared() -> None:
    files = {"b.csv": "plate,layout\nBR1,C-1.v2.csv\n", "maps/C-1.v2.csv": "well,drug\nA01,x\n"}
    assert len(read_map("- {barcodes: b.csv, folder: maps/}", files, "BR1").rows) == 1


@pytest.mark.parametrize(
    "header", ["Barcode,Platemap", "Metadata_Plate,Plate Map Name", "plate;layout", "AssayPlate\tmap name"]
)
def test_usual_names_of_columns_need_no_mapping(header: str) -> None:
    mark = next(mark for mark in ",;\t" if mark in header)
    files = FILES | {"p/barcode_platemap.csv": f"{header}\nBR1{mark}C-1\n"}
    assert len(read_map(SOURCE, files, "BR1").rows) == 1


def test_columns_of_other_names_are_declared() -> None:
    files = FILES | {"p/barcode_platemap.csv": "my plates\nStrichcode,Karte\nBR1,C-1\n"}
    maps = "- {barcodes: p/barcode_platemap.csv, columns: {barcode: Strichcode, map: Karte}}"
    assert len(read_map(maps, files, "BR1").rows) == 1
    (fault,) = faults_in("- {barcodes: p/barcode_platemap.csv, columns: {barcode: x}}", FILES, "BR1")
    assert fault.startswith("p/barcode_platemap.csv line 1: has no column 'x', the barcode; ")
    (fault,) = faults_in(SOURCE, FILES | {"p/barcode_platemap.csv": "plate,other\nBR1,C-1\n"}, "BR1")
    assert fault.endswith("has no column of the map; it has plate, other; say which under plate_maps.columns")


def test_a_plate_that_no_row_names_is_suspicious_and_has_no_map() -> None:
    found = read_map(SOURCE, FILES, "BR9")
    assert found.rows == {}
    assert spoken(found) == ["p/barcode_platemap.csv: names no map for the plate 'BR9'"]
    both = "- {barcodes: p/barcode_platemap.csv}\n- {file: own.csv, plates: BR9}"
    assert spoken(read_map(both, FILES | {"own.csv": "well\nA01\n"}, "BR9", imaged="A01")) == []
    checked = check(SOURCE, FILES, ("BR9",), imaged="A01")
    assert checked.warnings == ("p/barcode_platemap.csv: names no map for the plate 'BR9'",)


def test_a_map_that_is_not_there_yet_is_suspicious() -> None:
    without = {name: text for name, text in FILES.items() if "C-2" not in name}
    found = read_map(SOURCE, without, "BR2")
    assert spoken(found) == [
        "p/barcode_platemap.csv line 3: the plate map 'C-2' is not there yet; it is looked for in p/platemap/, "
        "p/platemaps/, p/"
    ]
    checked = check(SOURCE, without, imaged="A01")
    assert [sentence.split(":")[0] for sentence in checked.warnings] == ["p/barcode_platemap.csv lines 3, 4"]
    assert [(item.file, item.plates) for item in checked.files] == [("p/platemap/C-1.txt", ("BR1",))]


def test_a_barcode_file_that_is_not_there_is_a_fault() -> None:
    assert faults_in(SOURCE, {}, "BR1") == (
        "p/barcode_platemap.csv: does not exist beside experiment.yaml; put it there or correct plate_maps",
    )


def test_a_plate_with_two_maps_is_a_fault_with_its_line() -> None:
    files = FILES | {"p/barcode_platemap.csv": BARCODES + "BR1,C-2,9\nBR2,C-2,7\n,C-1,7\nBR5,,7\n"}
    assert faults_in(SOURCE, files, "BR1") == (
        "p/barcode_platemap.csv line 7: has no barcode",
        "p/barcode_platemap.csv line 5: the plate 'BR1' has the map 'C-2', and 'C-1' in line 2; keep one",
    )


def test_batches_of_the_barcode_file_can_be_chosen() -> None:
    files = FILES | {"p/barcode_platemap.csv": BARCODES + "BR1,C-2,8\n"}
    maps = "- {barcodes: p/barcode_platemap.csv, batches: 8}"
    assert [row.treatment for row in read_map(maps, files, "BR1").rows.values()] == ["y", "z"]
    assert "names no map for the plate 'BR2'" in spoken(read_map(maps, files, "BR2"))[0]
    (fault,) = faults_in(maps, FILES | {"p/barcode_platemap.csv": "plate,map\nBR1,C-1\n"}, "BR1")
    assert fault == "p/barcode_platemap.csv line 1: has no column batch; leave plate_maps.batches out"


def test_barcode_files_of_several_batches_must_agree_on_a_plate() -> None:
    files = FILES | {"q/barcode_platemap.csv": BARCODES, "q/platemap/C-1.txt": FILES["p/platemap/C-1.txt"]}
    maps = "- {barcodes: [p/barcode_platemap.csv, q/barcode_platemap.csv]}"
    assert len(read_map(maps, files, "BR1").rows) == 1
    (fault,) = faults_in(maps, files | {"q/platemap/C-1.txt": "well\nA02\n"}, "BR1")
    assert fault.startswith("q/barcode_platemap.csv line 2: the plate 'BR1' has the map q/platemap/C-1.txt here and p/")
    assert spoken(read_map(maps, files, "BR9"))[0].endswith(
        "names no map for the plate 'BR9', nor do 1 other barcode files"
    )


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a\\b", ".hidden", "x" * 201])
def test_names_that_lead_out_of_the_folder_of_maps_are_refused(name: str) -> None:
    files = FILES | {"p/barcode_platemap.csv": f"plate,map\nBR1,{name}\n", "secret": "well\nA01\n"}
    (fault,) = faults_in(SOURCE, files, "BR1")
    assert fault.startswith("p/barcode_platemap.csv line 2: the map's name")


def test_a_folder_of_the_map_s_name_is_no_map(tmp_path) -> None:
    (tmp_path / "p" / "platemap" / "C-1").mkdir(parents=True)
    (tmp_path / "p" / "barcode_platemap.csv").write_text(BARCODES)
    found = read_plate_map(FolderStore(tmp_path).read, declare(SOURCE), "BR1")
    assert "the plate map 'C-1' is not there yet" in spoken(found)[0]


def test_a_map_that_names_several_maps_is_read_for_the_named_one() -> None:
    files = FILES | {"p/platemap/C-1.txt": "plate_map_name,well,drug\nC-0,A01,other\nC-1,A01,mine\n"}
    assert read_map(SOURCE, files, "BR1").rows["A01"].treatment == "mine"


def test_plates_limit_a_barcode_source_by_name_or_barcode() -> None:
    maps = "- {barcodes: p/barcode_platemap.csv, plates: [BR1]}"
    more = "barcode: '^(?P<barcode>[^_]+)__'"
    assert len(read_map(maps, FILES, "BR1__first", more=more).rows) == 1
    assert read_map(maps, FILES, "BR2__first", more=more).rows == {}


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("{plates: a}", "needs one of file (a plate map), barcodes"),
        ("{file: a.csv, barcodes: b.csv}", "needs one of file (a plate map), barcodes"),
        ("{file: a.csv, folder: b}", "has folder or batches, which belong to barcodes"),
        ("{barcodes: ../b.csv}", "must be a path beside experiment.yaml"),
        ("{barcodes: b.csv, folder: ../x}", "must be a path beside experiment.yaml"),
        ("{file: a.csv, join: ../x}", "must be a path beside experiment.yaml"),
        ("{in_plate: ../x}", "must be a path beside experiment.yaml"),
    ],
)
def test_declarations_that_cannot_be_are_refused(entry: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match="fault") as caught:
        declare(f"- {entry}")
    assert any(sentence in problem for problem in caught.value.problems)
