"""One site as OME-Zarr: what is written, in which order, that it reads back and that damage is noticed."""

from __future__ import annotations

import json
import threading
import zlib
from typing import Any

import numpy as np
import pytest
import zarr

from imaging.errors import StoredDataError
from imaging.store import FolderStore, Store
from imaging.zarr_plate import read_labels, read_planes, read_thumbnail
from imaging.zarr_site import MAX_CHUNK, chunk_side, read_array, write_site
from tests.imaging.small_zarr import CHANNELS, FACTOR, HEIGHT, PLATE, WIDTH, arguments, group_of, labels, planes

GROUP = group_of("B03", 1)
KEY = f"{PLATE}/{GROUP}"


def attributes(store: Store, key: str = KEY) -> dict[str, Any]:
    return json.loads(store.read(f"{key}/zarr.json"))["attributes"]


def test_pixels_thumbnails_and_labels_read_back(store: Store) -> None:
    write_site(store, KEY, **arguments())
    np.testing.assert_array_equal(read_planes(store, PLATE, GROUP), planes())
    np.testing.assert_array_equal(read_thumbnail(store, PLATE, GROUP), planes()[:, ::FACTOR, ::FACTOR])
    found = read_labels(store, PLATE, GROUP)
    assert list(found) == ["Nuclei", "Cells"]
    for name, label in labels().items():
        np.testing.assert_array_equal(found[name], label)
        assert found[name].dtype == np.int32


def test_eight_bit_pixels_stay_eight_bit(folder_store: FolderStore) -> None:
    pixels = planes(dtype=np.uint8)
    write_site(folder_store, KEY, **arguments(planes=pixels, thumbnails=pixels[:, ::FACTOR, ::FACTOR]))
    assert read_planes(folder_store, PLATE, GROUP).dtype == np.uint8


def test_a_site_is_eight_objects_and_five_without_labels(folder_store: FolderStore) -> None:
    records = write_site(folder_store, KEY, **arguments())
    assert len(records) == 8
    assert {record["key"] for record in records} == {found.key for found in folder_store.list(PLATE).objects}
    assert len(write_site(folder_store, f"{PLATE}/A/1/s1x1", **arguments(labels={}))) == 5
    assert read_labels(folder_store, PLATE, "A/1/s1x1") == {}


def test_the_records_describe_the_stored_bytes(folder_store: FolderStore) -> None:
    for record in write_site(folder_store, KEY, **arguments()):
        data = folder_store.read(record["key"])
        assert record["size_bytes"] == len(data)
        assert record["crc32"] == f"{zlib.crc32(data):08x}"


def test_shards_are_written_first_and_the_site_itself_last(folder_store: FolderStore) -> None:
    names = [record["key"].removeprefix(f"{KEY}/") for record in write_site(folder_store, KEY, **arguments())]
    assert names == [
        "0/c/0/0/0",
        "1/c/0/0/0",
        "objects/0/c/0/0/0",
        "0/zarr.json",
        "1/zarr.json",
        "objects/0/zarr.json",
        "objects/zarr.json",
        "zarr.json",
    ]


def test_the_same_site_gives_the_same_bytes_also_from_threads(folder_store: FolderStore) -> None:
    pixels = np.random.default_rng(0).integers(0, 60_000, (3, 1200, 1200), dtype=np.uint16)
    given = arguments(planes=pixels, thumbnails=pixels[:, ::4, ::4], labels={}, channels=[*CHANNELS, CHANNELS[0]])
    found: list[list[str]] = []

    def write(number: int) -> None:
        found.append([record["crc32"] for record in write_site(folder_store, f"{PLATE}/{number}/B/3/s1x1", **given)])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    write(4)
    assert len(found) == 5
    assert all(one == found[0] for one in found)


def test_the_image_is_described_as_the_specification_wants(folder_store: FolderStore) -> None:
    write_site(folder_store, KEY, **arguments())
    ome = attributes(folder_store)["ome"]
    assert ome["version"] == "0.5"
    multiscale = ome["multiscales"][0]
    assert multiscale["name"] == "B3 s1x3fa9c2d4"
    assert multiscale["axes"] == [
        {"name": "c", "type": "channel"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    full, small = multiscale["datasets"]
    assert full == {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]}
    assert small["path"] == "1"
    assert small["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 2.0, 2.0]},
        {"type": "translation", "translation": [0.0, 0.75, 0.75]},
    ]


def test_a_thumbnails_pixel_lies_where_the_pixels_it_averages_lie(folder_store: FolderStore) -> None:
    write_site(folder_store, KEY, **arguments(pixel_size_um=2.0))
    scale, translation = attributes(folder_store)["ome"]["multiscales"][0]["datasets"][1]["coordinateTransformations"]
    averaged = np.arange(FACTOR) * 2.0
    assert 0 * scale["scale"][1] + translation["translation"][1] == averaged.mean()


def test_without_a_pixel_size_levels_are_scaled_in_pixels(folder_store: FolderStore) -> None:
    write_site(folder_store, KEY, **arguments(pixel_size_um=None))
    multiscale = attributes(folder_store)["ome"]["multiscales"][0]
    assert multiscale["axes"][1] == {"name": "y", "type": "space"}
    scales = [level["coordinateTransformations"][0]["scale"] for level in multiscale["datasets"]]
    assert scales == [[1.0, 1.0, 1.0], [1.0, 4.0, 4.0]]


def test_channels_are_named_coloured_and_shown_up_to_their_full_scale_or_in_their_window(
    folder_store: FolderStore,
) -> None:
    write_site(folder_store, KEY, **arguments())
    dna, rna = attributes(folder_store)["ome"]["omero"]["channels"]
    assert (dna["label"], dna["color"], rna["label"], rna["color"]) == ("DNA", "0000FF", "RNA", "00FF00")
    assert dna["window"] == {"min": 0, "max": 65535, "start": 0, "end": 4095}
    assert rna["window"] == {"min": 0, "max": 65535, "start": 100, "end": 900}


def test_the_objects_say_which_sets_they_hold_and_what_a_value_means(folder_store: FolderStore) -> None:
    write_site(folder_store, KEY, **arguments())
    described = attributes(folder_store, f"{KEY}/objects")
    assert described["platestream"]["object_sets"] == ["Nuclei", "Cells"]
    assert "ObjectNumber" in described["platestream"]["rule"]
    assert described["ome"]["image-label"]["source"] == {"image": "../"}
    assert len(described["ome"]["multiscales"][0]["datasets"]) == 1
    assert attributes(folder_store)["platestream"]["objects"] == "objects"


def test_any_zarr_reader_opens_the_arrays(folder_store: FolderStore) -> None:
    write_site(folder_store, KEY, **arguments())
    group = zarr.open_group(folder_store.local_path(KEY), mode="r")
    array = group["0"]
    assert isinstance(array, zarr.Array)
    np.testing.assert_array_equal(array[...], planes())
    assert array.metadata.to_dict()["dimension_names"] == ("c", "y", "x")
    assert array.chunks == (1, HEIGHT, WIDTH)
    assert array.shards == (2, HEIGHT, WIDTH)


def test_black_chunks_are_written_too(folder_store: FolderStore) -> None:
    write_site(folder_store, KEY, **arguments(planes=np.zeros((2, HEIGHT, WIDTH), np.uint16)))
    shard = folder_store.read(f"{KEY}/0/c/0/0/0")
    index = np.frombuffer(shard[-36:-4], "<u8")
    assert (index < len(shard)).all()


def test_a_flipped_bit_is_noticed_on_reading(folder_store: FolderStore) -> None:
    write_site(folder_store, KEY, **arguments())
    shard = bytearray(folder_store.read(f"{KEY}/0/c/0/0/0"))
    shard[50] ^= 4
    folder_store.write(f"{KEY}/0/c/0/0/0", bytes(shard))
    with pytest.raises(StoredDataError, match="damaged"):
        read_array(folder_store, f"{KEY}/0")


@pytest.mark.parametrize("name", ["c/0/0/0", "zarr.json"])
def test_a_missing_shard_or_description_is_no_black_image(folder_store: FolderStore, name: str) -> None:
    write_site(folder_store, KEY, **arguments())
    folder_store.delete(f"{KEY}/0/{name}")
    with pytest.raises(StoredDataError, match=f"incomplete.*{name}"):
        read_array(folder_store, f"{KEY}/0")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"planes": planes()[0]}, "planes must be"),
        ({"planes": planes().astype(np.int32)}, "planes must be"),
        ({"planes": planes()[:0]}, "planes must be"),
        ({"factor": 8}, "thumbnails must be"),
        ({"thumbnails": planes()[:, ::FACTOR, ::FACTOR].astype(np.uint8)}, "thumbnails must be"),
        ({"channels": CHANNELS[:1]}, "one per plane: 2, got 1"),
        ({"labels": {"Nuclei": np.zeros((3, 3), np.int32)}}, "labels 'Nuclei' must have shape"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(
    folder_store: FolderStore, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        write_site(folder_store, KEY, **arguments(**changes))
    assert not folder_store.list(PLATE).objects


@pytest.mark.parametrize(
    ("length", "side"), [(640, 640), (1080, 1080), (2160, 1080), (1224, 612), (2048, 1024), (5120, 1024), (2161, 2161)]
)
def test_chunks_divide_the_image_evenly(length: int, side: int) -> None:
    assert chunk_side(length) == side
    assert length % side == 0


def test_chunks_are_at_most_1080_pixels_wherever_a_divisor_allows_it() -> None:
    sides = [chunk_side(length) for length in range(1, 6000)]
    assert all(length % side == 0 for length, side in enumerate(sides, start=1))
    assert all(side <= MAX_CHUNK or side == length for length, side in enumerate(sides, start=1))
    assert all(side >= 100 or side == length for length, side in enumerate(sides, start=1))
