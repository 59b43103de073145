"""The plate around the sites: its description, reading through it, and what an independent schema says of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import zarr
from ome_zarr_models.v05.hcs import HCS
from ome_zarr_models.v05.image import Image
from ome_zarr_models.v05.image_label import ImageLabel

from imaging.errors import StoredDataError
from imaging.store import FolderStore, Store
from imaging.zarr_plate import read_attributes, read_labels, read_plate_sites, read_thumbnail, write_plate_metadata
from tests.imaging.small_zarr import PLATE, describe_plate, group_of, write_plate


def described(store: Store, path: str = "") -> dict[str, Any]:
    return json.loads(store.read(f"{PLATE}/{path}zarr.json"))["attributes"]


def test_an_independent_schema_accepts_the_plate_its_images_and_its_labels(folder_store: FolderStore) -> None:
    write_plate(folder_store)
    plate = zarr.open_group(folder_store.local_path(PLATE), mode="r")
    assert HCS.from_zarr(plate).n_wells == 2
    for group in (group_of("A01", 1), group_of("B03", 2)):
        image = zarr.open_group(folder_store.local_path(f"{PLATE}/{group}"), mode="r")
        assert len(Image.from_zarr(image).attributes.ome.multiscales[0].datasets) == 2
        objects = zarr.open_group(folder_store.local_path(f"{PLATE}/{group}/objects"), mode="r")
        assert ImageLabel.from_zarr(objects).attributes.ome.image_label is not None


def test_every_row_and_column_of_the_plate_is_named_but_only_wells_with_images(folder_store: FolderStore) -> None:
    write_plate(folder_store)
    plate = described(folder_store)["ome"]["plate"]
    assert [row["name"] for row in plate["rows"]] == ["A", "B"]
    assert [column["name"] for column in plate["columns"]] == ["1", "2", "3"]
    assert plate["wells"] == [
        {"path": "A/1", "rowIndex": 0, "columnIndex": 0},
        {"path": "B/3", "rowIndex": 1, "columnIndex": 2},
    ]
    assert (plate["name"], plate["field_count"]) == ("P1", 2)
    assert plate["acquisitions"] == [{"id": 0, "name": "P1", "maximumfieldcount": 2}]
    assert not folder_store.exists(f"{PLATE}/A/2/zarr.json")


def test_a_well_lists_its_sites_in_order(folder_store: FolderStore) -> None:
    write_plate(folder_store)
    well = described(folder_store, "B/3/")
    assert well["ome"]["well"]["images"] == [
        {"path": "s1x3fa9c2d4", "acquisition": 0},
        {"path": "s2x3fa9c2d4", "acquisition": 0},
    ]
    assert folder_store.exists(f"{PLATE}/B/zarr.json")


def test_the_sites_read_back_with_their_numbers_and_paths(store: Store) -> None:
    describe_plate(store)
    assert read_plate_sites(store, PLATE) == {
        "A01": [(1, "A/1/s1x3fa9c2d4"), (2, "A/1/s2x3fa9c2d4")],
        "B03": [(1, "B/3/s1x3fa9c2d4"), (2, "B/3/s2x3fa9c2d4")],
    }


def test_rows_beyond_z_of_a_1536_well_plate_are_named(folder_store: FolderStore) -> None:
    write_plate_metadata(folder_store, PLATE, plate_name="P1", layout_wells=1536, wells={"AF48": [(1, "s1x1")]})
    plate = described(folder_store)["ome"]["plate"]
    assert plate["wells"] == [{"path": "AF/48", "rowIndex": 31, "columnIndex": 47}]
    assert (len(plate["rows"]), len(plate["columns"])) == (32, 48)
    assert read_plate_sites(folder_store, PLATE) == {"AF48": [(1, "AF/48/s1x1")]}
    assert folder_store.exists(f"{PLATE}/AF/zarr.json")


def test_a_plate_is_described_anew_when_sites_are_replaced_or_go(folder_store: FolderStore) -> None:
    describe_plate(folder_store)
    write_plate_metadata(
        folder_store, PLATE, plate_name="P1", layout_wells=6, wells={"A01": [(1, "s1xnew")], "B03": []}
    )
    assert read_plate_sites(folder_store, PLATE) == {"A01": [(1, "A/1/s1xnew")]}


def test_a_plate_without_a_single_image_is_described(folder_store: FolderStore) -> None:
    write_plate_metadata(folder_store, PLATE, plate_name="P1", layout_wells=96, wells={})
    assert read_plate_sites(folder_store, PLATE) == {}
    assert HCS.from_zarr(zarr.open_group(folder_store.local_path(PLATE), mode="r")).n_wells == 0


@pytest.mark.parametrize(
    ("wells", "words"),
    [
        ({"C01": [(1, "s1x1")]}, "plate of 6 wells, got C01"),
        ({"A04": [(1, "s1x1")]}, "plate of 6 wells, got A04"),
        ({"A01": [(1, "s1x1"), (1, "s1x2")]}, "different numbers"),
        ({"A01": [(1, "s1x1"), (2, "s1x1")]}, "different numbers and groups"),
    ],
)
def test_wells_outside_the_plate_and_doubled_sites_are_refused(
    folder_store: FolderStore, wells: dict[str, list[tuple[int, str]]], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        write_plate_metadata(folder_store, PLATE, plate_name="P1", layout_wells=6, wells=wells)
    assert not folder_store.list(PLATE).objects


def test_a_missing_or_damaged_description_is_said_with_its_place(folder_store: FolderStore) -> None:
    with pytest.raises(StoredDataError, match=r"missing \(file images/screen/P1.zarr/zarr.json\)"):
        read_plate_sites(folder_store, PLATE)
    for data in (b"no json", b"[]", b'{"node_type": "array"}'):
        folder_store.write(f"{PLATE}/zarr.json", data)
        with pytest.raises(StoredDataError, match=r"description in the plate.*P1.zarr/zarr.json"):
            read_attributes(folder_store, PLATE)


def test_a_missing_site_is_said_when_it_is_read(folder_store: FolderStore) -> None:
    for read in (read_thumbnail, read_labels):
        with pytest.raises(StoredDataError):
            read(folder_store, PLATE, "A/1/s9x1")
