"""Plates in the folders of the Cell Painting Gallery."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from imaging.errors import ConfigurationError, RefusedNameError, StoredDataError
from imaging.export.forms import Export
from imaging.export.gallery import Gallery
from imaging.store import Store
from tests.imaging import small_screen
from tests.imaging.small_export import export, published

WORKSPACE = Path("cpg", "source_1", "workspace")


def rows_of(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def with_images(store: Store, plate: str = "P1") -> None:
    for item in small_screen.manifests(plate):
        for image in item["images"]:
            store.write(f"raw/screen/{plate}/{image['name']}", image["name"].encode())


def test_each_file_lies_where_the_gallery_has_it(folder_store, tmp_path):
    written = export(published(folder_store), "cpg", tmp_path, batch="2026_02_03_b1", source="broad")
    assert {str(item.path.relative_to(tmp_path)): item.rows for item in written} == {
        "cpg/broad/workspace/load_data_csv/2026_02_03_b1/P1/load_data.csv": 12,
        "cpg/broad/workspace/metadata/platemaps/2026_02_03_b1/platemap/P1.txt": 6,
        "cpg/broad/workspace/profiles/2026_02_03_b1/P1/P1.csv.gz": 6,
        "cpg/broad/workspace/metadata/platemaps/2026_02_03_b1/barcode_platemap.csv": 1,
    }
    assert {path for path in tmp_path.rglob("*") if path.is_file()} - {item.path for item in written} == {
        path for path in (tmp_path / "root").rglob("*") if path.is_file()
    }


def test_load_data_names_each_image_where_it_is(folder_store, tmp_path):
    with_images(folder_store)
    export(published(folder_store), "cpg", tmp_path)
    rows = rows_of(tmp_path / WORKSPACE / "load_data_csv/b1/P1/load_data.csv")
    raw = folder_store.local_path("raw/screen/P1")
    assert rows[-1] == {
        "FileName_OrigDNA": "B03_s2_DNA.tif",
        "PathName_OrigDNA": str(raw),
        "FileName_OrigRNA": "B03_s2_RNA.tif",
        "PathName_OrigRNA": str(raw),
        "Metadata_Plate": "P1",
        "Metadata_Well": "B03",
        "Metadata_Site": "2",
        "Metadata_Row": "2",
        "Metadata_Col": "3",
    }
    for row in rows:
        assert Path(row["PathName_OrigDNA"], row["FileName_OrigDNA"]).read_text() == row["FileName_OrigDNA"]


def test_images_of_an_object_store_are_named_by_their_address(gcs_store, tmp_path):
    export(published(gcs_store), "cpg", tmp_path)
    row = rows_of(tmp_path / WORKSPACE / "load_data_csv/b1/P1/load_data.csv")[0]
    assert row["URL_OrigDNA"] == "gs://lab/screens/raw/screen/P1/A01_s1_DNA.tif"
    assert [name for name in row if not name.startswith("Metadata_")] == ["URL_OrigDNA", "URL_OrigRNA"]


def test_images_can_be_copied_and_are_then_named_there(store, tmp_path):
    with_images(store)
    written = export(published(store), "cpg", tmp_path, copies_images=True)
    folder = tmp_path / "cpg/source_1/images/b1/images/P1"
    assert (written[0].path, written[0].rows) == (folder, 24)
    assert written[0].size == 24 * len("A01_s1_DNA.tif")
    row = rows_of(tmp_path / WORKSPACE / "load_data_csv/b1/P1/load_data.csv")[0]
    assert Path(row["PathName_OrigDNA"]) == folder
    assert (folder / row["FileName_OrigDNA"]).read_text() == "A01_s1_DNA.tif"
    store.delete("raw/screen/P1/A01_s1_DNA.tif")
    with pytest.raises(StoredDataError, match="an image that was measured is gone") as caught:
        export(published(store), "cpg", tmp_path, copies_images=True)
    assert caught.value.key == "raw/screen/P1/A01_s1_DNA.tif"


def test_sites_that_lack_an_image_are_left_out_and_said(folder_store, tmp_path):
    manifests = (small_screen.manifest("A01", 1, missing=["RNA"]), *small_screen.manifests()[1:])
    written = export(published(folder_store, manifests=manifests), "cpg", tmp_path)
    rows = rows_of(tmp_path / WORKSPACE / "load_data_csv/b1/P1/load_data.csv")
    assert (rows[0]["Metadata_Well"], rows[0]["Metadata_Site"], len(rows)) == ("A01", "2", 11)
    assert [item.remark for item in written if item.remark] == [
        "P1: 1 site is not in load_data.csv, as images of it are missing or are no files of their own"
    ]


def test_profiles_and_plate_map_go_with_pycytominer(folder_store, tmp_path):
    export(published(folder_store), "cpg", tmp_path)
    data = gzip.decompress((tmp_path / WORKSPACE / "profiles/b1/P1/P1.csv.gz").read_bytes())
    profiles = list(csv.DictReader(data.decode().splitlines()))
    assert [row["Metadata_Well"] for row in profiles] == list(small_screen.WELLS)
    (barcode,) = rows_of(tmp_path / WORKSPACE / "metadata/platemaps/b1/barcode_platemap.csv")
    assert barcode == {"Assay_Plate_Barcode": "P1", "Plate_Map_Name": "P1"}
    described = rows_of(tmp_path / WORKSPACE / f"metadata/platemaps/b1/platemap/{barcode['Plate_Map_Name']}.txt", "\t")
    assert described[3] == {
        "plate_map_name": "P1",
        "well_position": "B01",
        "treatment": "compound B01",
        "concentration": "1.5",
        "concentration_unit": "uM",
        "control": "poscon",
        "gene": "",
        "moa": "",
    }


def test_same_rows_give_the_same_bytes(folder_store, tmp_path):
    chosen = published(folder_store)
    files = [[item.path.read_bytes() for item in export(chosen, "cpg", tmp_path / name)] for name in ("a", "b")]
    assert files[0] == files[1]


def test_plates_of_one_batch_may_be_exported_one_after_the_other(folder_store, tmp_path):
    for plate in ("P2", "P1"):
        export(published(folder_store, plate), "cpg", tmp_path)
    listed = rows_of(tmp_path / WORKSPACE / "metadata/platemaps/b1/barcode_platemap.csv")
    assert [row["Assay_Plate_Barcode"] for row in listed] == ["P1", "P2"]


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path):
    for name in ("project", "batch", "source"):
        with pytest.raises(RefusedNameError, match=f"the {name} name"):
            Gallery(tmp_path, **({"project": "a", "batch": "b"} | {name: "../x"}))
    with pytest.raises(ConfigurationError, match="needs the names of project and batch"):
        Export("cpg", "profiles", tmp_path).files(None)


def test_a_list_of_plates_that_is_somebody_s_own_keeps_its_columns(folder_store, tmp_path):
    path = tmp_path / WORKSPACE / "metadata/platemaps/b1/barcode_platemap.csv"
    path.parent.mkdir(parents=True)
    path.write_text("Assay_Plate_Barcode,Plate_Map_Name,Cell_Line\nP0,map_1,U2OS\nP1,map_2,A549\n", encoding="utf-8")
    export(published(folder_store), "cpg", tmp_path)
    assert rows_of(path) == [
        {"Assay_Plate_Barcode": "P0", "Plate_Map_Name": "map_1", "Cell_Line": "U2OS"},
        {"Assay_Plate_Barcode": "P1", "Plate_Map_Name": "P1", "Cell_Line": "A549"},
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"plate,map\nP0,m\n", "is no list of plates with the columns Assay_Plate_Barcode and Plate_Map_Name"),
        (b"Assay_Plate_Barcode,Plate_Map_Name\nP0\n", "is no list of plates"),
        (b"Assay_Plate_Barcode,Plate_Map_Name\nP\xff,m\n", "cannot be read as a list of plates"),
    ],
)
def test_a_list_of_plates_that_is_none_is_left_as_it_is(folder_store, tmp_path, content, words):
    path = tmp_path / WORKSPACE / "metadata/platemaps/b1/barcode_platemap.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=words):
        export(published(folder_store), "cpg", tmp_path)
    assert path.read_bytes() == content
