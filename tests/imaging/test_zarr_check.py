"""A whole plate has no problems; every kind of damage is found and said with its place."""

from __future__ import annotations

import copy
import json
import struct
from collections.abc import Callable
from typing import Any

import google_crc32c
import numpy as np
import pytest

from imaging.store import FolderStore, Store
from imaging.zarr_check import check_plate, check_site
from imaging.zarr_site import write_site
from tests.imaging.small_zarr import PLATE, arguments, group_of, manifest, write_plate

GROUP = group_of("A01", 1)
SITE = f"{PLATE}/{GROUP}"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def manifests(folder_store: FolderStore) -> list[dict[str, Any]]:
    return write_plate(folder_store)


@pytest.fixture
def plate(folder_store: FolderStore, manifests: list[dict[str, Any]]) -> FolderStore:
    assert manifests
    return folder_store


def change(store: Store, key: str, how: Change) -> None:
    """Edit a zarr.json."""
    described = json.loads(store.read(f"{key}/zarr.json"))
    how(described)
    store.write(f"{key}/zarr.json", json.dumps(described).encode())


def plate_of(described: dict[str, Any]) -> dict[str, Any]:
    return described["attributes"]["ome"]["plate"]


def test_a_whole_plate_has_no_problems(store: Store) -> None:
    manifests = write_plate(store)
    assert check_plate(store, PLATE, manifests) == []
    assert check_plate(store, PLATE, None) == []


def test_sites_without_images_are_passed_over(plate: FolderStore, manifests: list[dict[str, Any]]) -> None:
    assert check_plate(plate, PLATE, [*manifests, {"well": "A02", "site": 1, "zarr": None}]) == []


def test_a_plate_that_is_not_there_is_a_problem(folder_store: FolderStore) -> None:
    assert check_plate(folder_store, PLATE, None) == [
        "a group of the plate's OME-Zarr is missing (file images/screen/P1.zarr/zarr.json)"
    ]


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        (
            lambda plate: plate["wells"][1].update(rowIndex=0),
            "well B/3: rowIndex is 0, but row B is number 1",
        ),
        (
            lambda plate: plate["wells"][1].update(columnIndex=3),
            "well B/3: columnIndex is 3, but column 3 is number 2",
        ),
        (lambda plate: plate["wells"].append(plate["wells"][0]), "plate: well A/1 is listed 2 times"),
        (lambda plate: plate["rows"].append({"name": "B"}), "plate: row B is listed 2 times"),
        (lambda plate: plate["columns"].append({"name": "3"}), "plate: column 3 is listed 2 times"),
        (
            lambda plate: plate["wells"].append({"path": "A/2", "rowIndex": 0, "columnIndex": 1}),
            "well A/2: the plate lists it, but its description is missing or damaged",
        ),
    ],
)
def test_a_wrong_plate_description_is_found(plate: FolderStore, how: Change, problem: str) -> None:
    change(plate, PLATE, lambda described: how(plate_of(described)))
    assert check_plate(plate, PLATE, None) == [problem]


def test_a_well_outside_the_plate_is_found(plate: FolderStore) -> None:
    change(plate, PLATE, lambda described: plate_of(described)["columns"].pop())
    assert check_plate(plate, PLATE, None) == ["well B/3: its path is no row and column of the plate"]


def test_a_description_without_its_fields_is_found(plate: FolderStore) -> None:
    change(plate, f"{PLATE}/A/1", lambda described: described["attributes"].clear())
    change(plate, f"{PLATE}/B/3", lambda described: described["attributes"]["ome"]["well"]["images"].clear())
    assert check_plate(plate, PLATE, None) == [
        "well A/1: its description has no 'ome'",
        "well B/3: it lists no images",
    ]
    change(plate, PLATE, lambda described: plate_of(described).pop("rows"))
    assert check_plate(plate, PLATE, None) == ["plate: its description has no 'rows'"]


def test_an_image_listed_twice_is_found(plate: FolderStore) -> None:
    def double(described: dict[str, Any]) -> None:
        images = described["attributes"]["ome"]["well"]["images"]
        images[1] = images[0]

    change(plate, f"{PLATE}/B/3", double)
    assert check_plate(plate, PLATE, None) == ["well B/3: image B/3/s1x3fa9c2d4 is listed 2 times"]


def test_a_site_that_no_manifest_lists_is_found(plate: FolderStore, manifests: list[dict[str, Any]]) -> None:
    assert check_plate(plate, PLATE, manifests[1:]) == [f"site {GROUP}: its well lists it, but no manifest does"]


def test_a_site_that_its_well_does_not_list_is_found(plate: FolderStore, manifests: list[dict[str, Any]]) -> None:
    change(plate, f"{PLATE}/B/3", lambda described: described["attributes"]["ome"]["well"]["images"].pop())
    assert check_plate(plate, PLATE, manifests) == [
        "site B/3/s2x3fa9c2d4: its manifest lists it, but its well does not"
    ]


def test_a_site_that_is_gone_is_found(plate: FolderStore) -> None:
    for found in plate.list(SITE).objects:
        plate.delete(found.key)
    assert check_plate(plate, PLATE, None) == [f"site {GROUP}: its own description is missing or damaged"]


def test_a_wrong_number_of_channel_names_is_found(plate: FolderStore) -> None:
    change(plate, SITE, lambda described: described["attributes"]["ome"]["omero"]["channels"].pop())
    assert check_plate(plate, PLATE, None) == [f"site {GROUP}: it names 1 channels, but its pixels have 2"]


def test_labels_of_another_size_than_the_image_are_found(folder_store: FolderStore) -> None:
    write_plate(folder_store)
    other = arguments(labels={name: np.zeros((40, 48), np.int32) for name in ("Nuclei", "Cells")})
    other |= {"planes": other["planes"][:, :, :48], "thumbnails": other["thumbnails"][:, :, :12]}
    write_site(folder_store, f"{PLATE}/other", **other)
    for name in ("zarr.json", "c/0/0/0"):
        folder_store.write(f"{SITE}/objects/0/{name}", folder_store.read(f"{PLATE}/other/objects/0/{name}"))
    assert check_plate(folder_store, PLATE, None) == [
        f"site {GROUP}: its labels have shape (40, 48), its image (40, 50)"
    ]


def test_a_wrong_number_of_object_sets_is_found(plate: FolderStore) -> None:
    change(plate, SITE, lambda described: described["attributes"]["platestream"]["object_sets"].pop())
    assert check_site(plate, PLATE, GROUP) == [f"site {GROUP}: it names 1 object sets, but its labels have 2"]


def test_a_level_that_is_no_smaller_copy_is_found(plate: FolderStore) -> None:
    def swap(described: dict[str, Any]) -> None:
        described["attributes"]["ome"]["multiscales"][0]["datasets"].reverse()

    change(plate, SITE, swap)
    assert f"site {GROUP}: level 0 has shape (2, 40, 50), which is no smaller copy of (2, 10, 13)" in check_site(
        plate, PLATE, GROUP
    )


@pytest.mark.parametrize("array", ["0", "1", "objects/0"])
def test_a_missing_shard_is_found(plate: FolderStore, manifests: list[dict[str, Any]], array: str) -> None:
    plate.delete(f"{SITE}/{array}/c/0/0/0")
    assert check_plate(plate, PLATE, None) == [f"site {GROUP}, array {array}: its shard is missing"]
    assert f"site {GROUP}: {array}/c/0/0/0 is missing" in check_plate(plate, PLATE, manifests)


@pytest.mark.parametrize("array", ["0", "1", "objects/0"])
def test_a_missing_array_description_is_found(plate: FolderStore, array: str) -> None:
    plate.delete(f"{SITE}/{array}/zarr.json")
    assert check_plate(plate, PLATE, None) == [f"site {GROUP}, array {array}: its description is missing"]


def test_a_flipped_bit_is_found_by_both_checksums(plate: FolderStore, manifests: list[dict[str, Any]]) -> None:
    key = f"{SITE}/0/c/0/0/0"
    shard = bytearray(plate.read(key))
    shard[100] ^= 16
    plate.write(key, bytes(shard))
    damaged = f"site {GROUP}, array 0: chunk 0/0/0 is damaged: its checksum differs"
    assert check_plate(plate, PLATE, None) == [damaged]
    assert check_plate(plate, PLATE, manifests) == [
        f"site {GROUP}: 0/c/0/0/0 is not what was written: its CRC-32 differs from the manifest's",
        damaged,
    ]


@pytest.mark.parametrize("keep", [0, 3, 200])
def test_a_shard_that_was_cut_off_is_found(plate: FolderStore, keep: int) -> None:
    plate.write(f"{SITE}/0/c/0/0/0", plate.read(f"{SITE}/0/c/0/0/0")[:keep])
    assert check_plate(plate, PLATE, None) == [
        f"site {GROUP}, array 0: its shard is damaged: the checksum of its index differs"
    ]


def with_index(shard: bytes, number: int, start: int, size: int) -> bytes:
    """Rewrite one entry of a shard's index, with a right checksum."""
    index = bytearray(shard[-36:-4])
    struct.pack_into("<QQ", index, 16 * number, start, size)
    return shard[:-36] + bytes(index) + google_crc32c.value(bytes(index)).to_bytes(4, "little")


def test_a_chunk_that_was_never_written_is_found(plate: FolderStore, manifests: list[dict[str, Any]]) -> None:
    key = f"{SITE}/0/c/0/0/0"
    plate.write(key, with_index(plate.read(key), 1, 2**64 - 1, 2**64 - 1))
    assert check_plate(plate, PLATE, None) == [f"site {GROUP}, array 0: chunk 1/0/0 was never written"]


def test_an_index_that_points_outside_the_chunks_is_found(plate: FolderStore) -> None:
    key = f"{SITE}/0/c/0/0/0"
    shard = plate.read(key)
    for start, size in ((len(shard) - 36, 36), (0, 2), (2**63, 10)):
        plate.write(key, with_index(shard, 0, start, size))
        assert check_site(plate, PLATE, GROUP) == [
            f"site {GROUP}, array 0: chunk 0/0/0 is damaged: its checksum differs"
        ]


@pytest.mark.parametrize(
    "how",
    [
        lambda array: array["codecs"][0]["configuration"]["codecs"].pop(),
        lambda array: array["codecs"][0].update(name="transpose"),
        lambda array: array["codecs"][0]["configuration"].update(chunk_shape=[1, 40, 30]),
        lambda array: array["chunk_grid"]["configuration"].update(chunk_shape=[1, 40, 50]),
    ],
)
def test_an_array_without_checksums_or_not_of_one_shard_is_found(plate: FolderStore, how: Change) -> None:
    change(plate, f"{SITE}/0", how)
    assert check_site(plate, PLATE, GROUP) == [
        f"site {GROUP}, array 0: it is not one shard of whole chunks that end with their CRC-32C"
    ]


@pytest.mark.parametrize(
    "how",
    [
        lambda array: array.pop("shape"),
        lambda array: array.update(codecs=[]),
        lambda array: array.update(shape=[40, 50]),
        lambda array: array["codecs"][0]["configuration"].update(chunk_shape=[0, 1, 1]),
    ],
)
def test_a_damaged_array_description_is_found(plate: FolderStore, how: Change) -> None:
    change(plate, f"{SITE}/1", how)
    assert check_site(plate, PLATE, GROUP) == [
        f"site {GROUP}, array 1: its description is damaged, or not one of a sharded array"
    ]


def test_an_object_of_another_size_is_found(plate: FolderStore, manifests: list[dict[str, Any]]) -> None:
    size = len(plate.read(f"{SITE}/objects/zarr.json"))
    plate.write(f"{SITE}/objects/zarr.json", bytes(size + 1))
    assert check_plate(plate, PLATE, manifests) == [
        f"site {GROUP}: objects/zarr.json has {size + 1:,} bytes, its manifest says {size:,}"
    ]


def test_an_object_that_no_manifest_lists_is_found(plate: FolderStore, manifests: list[dict[str, Any]]) -> None:
    plate.write(f"{SITE}/2/c/0/0/0", b"stray")
    assert check_plate(plate, PLATE, manifests) == [f"site {GROUP}: 2/c/0/0/0 is in no manifest"]


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        (lambda manifest: manifest.update(well="B01"), "its manifest is one of well B01"),
        (
            lambda manifest: manifest["images"].reverse(),
            "its channels are ['DNA', 'RNA'], its manifest's ['RNA', 'DNA']",
        ),
        (
            lambda manifest: manifest["images"][0].update(height=41),
            "its pixels have shape (40, 50), its manifest's images [(40, 50), (41, 50)]",
        ),
    ],
)
def test_a_site_unlike_its_manifest_is_found(
    plate: FolderStore, manifests: list[dict[str, Any]], how: Change, problem: str
) -> None:
    changed = copy.deepcopy(manifests)
    how(changed[0])
    assert check_plate(plate, PLATE, changed) == [f"site {GROUP}: {problem}"]


def test_a_site_without_labels_has_no_problems(folder_store: FolderStore) -> None:
    objects = write_site(folder_store, SITE, **arguments(labels={}))
    assert check_site(folder_store, PLATE, GROUP, manifest("A01", 1, objects)) == []
