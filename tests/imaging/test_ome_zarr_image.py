"""OME-Zarr images of any writer: both versions, every order of axes, and damage that Zarr itself reads as zeros."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec

from imaging.errors import ConfigurationError, PlateError, UnreadableImageError
from imaging.ome_zarr_image import is_zarr, open_ome_zarr
from imaging.store import FolderStore
from tests.imaging import small_zarr
from tests.imaging.small_images import HEIGHT, WIDTH, planes, write_ome_zarr
from tests.parts import require

PIXELS = planes()


def change(file: Path, **changes: Any) -> None:
    """Change the description of a group, 0.4's or 0.5's."""
    described = json.loads(file.read_text())
    (described["attributes"]["ome"] if file.name == "zarr.json" else described).update(changes)
    file.write_text(json.dumps(described))


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        open_ome_zarr(folder)
    return caught.value.message


def damage(folder: Path, channel: int = 0) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        open_ome_zarr(folder).read(channel)
    assert str(folder) in caught.value.key
    return caught.value.message


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("tczyx", (1, 2, 1, HEIGHT, WIDTH)),
        ("czyx", (2, 1, HEIGHT, WIDTH)),
        ("cyx", (2, HEIGHT, WIDTH)),
        ("zcyx", (1, 2, HEIGHT, WIDTH)),
    ],
)
def test_planes_read_back_whatever_the_axes(version: str, axes: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    image = open_ome_zarr(write_ome_zarr(tmp_path / "a.zarr", PIXELS.reshape(shape), version=version, axes=axes))
    assert image.labels == ("DNA", "RNA")
    for number, plane in enumerate(PIXELS):
        read = image.read(number)
        np.testing.assert_array_equal(read, plane)
        assert read.flags.c_contiguous


@pytest.mark.parametrize("axes", ["yxc", "xyc"])
def test_axes_are_found_by_their_names(axes: str, tmp_path: Path) -> None:
    pixels = PIXELS.transpose(*("cyx".index(axis) for axis in axes))
    image = open_ome_zarr(write_ome_zarr(tmp_path / "a.zarr", pixels, axes=axes))
    np.testing.assert_array_equal(image.read(1), PIXELS[1])


def test_an_image_without_a_channel_axis_is_one_channel(tmp_path: Path) -> None:
    image = open_ome_zarr(write_ome_zarr(tmp_path / "a.zarr", PIXELS[0], axes="yx", labels=("DNA",)))
    assert image.labels == ("DNA",)
    np.testing.assert_array_equal(image.read(0), PIXELS[0])


def test_axes_of_older_versions_are_read(tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", PIXELS[None, :, None])
    change(folder / ".zattrs", multiscales=[{"version": "0.3", "axes": list("tczyx"), "datasets": [{"path": "0"}]}])
    np.testing.assert_array_equal(open_ome_zarr(folder).read(1), PIXELS[1])
    change(folder / ".zattrs", multiscales=[{"version": "0.1", "datasets": [{"path": "0"}]}])
    np.testing.assert_array_equal(open_ome_zarr(folder).read(1), PIXELS[1])


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<i2", "<i4"])
def test_whole_numbers_of_any_type_are_pixels(dtype: str, tmp_path: Path) -> None:
    read = open_ome_zarr(write_ome_zarr(tmp_path / "a.zarr", PIXELS.astype(dtype), axes="cyx")).read(1)
    np.testing.assert_array_equal(read, PIXELS[1])
    assert read.dtype == (np.uint8 if dtype == "u1" else np.uint16)


def test_channels_are_unnamed_where_the_names_do_not_fit(tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", PIXELS, axes="cyx", labels=("DNA", "RNA", "ER"))
    assert open_ome_zarr(folder).labels == ("", "")
    change(folder / ".zattrs", omero={"channels": [{"label": "DNA"}, {"color": "00FF00"}]})
    assert open_ome_zarr(folder).labels == ("DNA", "")
    change(folder / ".zattrs", omero=None)
    assert open_ome_zarr(folder).labels == ("", "")


def test_a_site_of_our_own_plate_is_an_image(folder_store: FolderStore) -> None:
    small_zarr.write_plate(folder_store)
    folder = folder_store.local_path(f"{small_zarr.PLATE}/{small_zarr.group_of('B03', 1)}")
    image = open_ome_zarr(folder)
    assert image.labels == ("DNA", "RNA")
    np.testing.assert_array_equal(image.read(1), small_zarr.planes(2)[1])


def test_other_parts_of_a_plate_say_which_image_to_give(folder_store: FolderStore) -> None:
    small_zarr.write_plate(folder_store)
    plate = folder_store.local_path(small_zarr.PLATE)
    site = plate / small_zarr.group_of("A01", 1)
    assert refusal(plate) == f"it is a plate; give one of its images, such as {site}"
    assert refusal(site.parent) == f"it is a well; give one of its images, such as {site}"
    assert refusal(site / "0") == f"it is one level of an image; give the image, {site}"
    assert refusal(site / "objects") == "it holds labels; give the image that they belong to"
    (plate / "A" / "1" / "zarr.json").unlink()
    assert "a plate or a well whose description is damaged" in refusal(plate)


def test_a_zarr_that_is_no_image_says_so(tmp_path: Path) -> None:
    write_ome_zarr(tmp_path / "a" / "0", PIXELS, axes="cyx")
    zarr.open_group(tmp_path / "a", mode="a", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    assert refusal(tmp_path / "a") == f"it is a collection of images; give one of them, such as {tmp_path / 'a' / '0'}"
    shutil.rmtree(tmp_path / "a" / "0")
    write_ome_zarr(tmp_path / "b" / "0", PIXELS, axes="cyx")
    zarr.open_group(tmp_path / "b", mode="a", zarr_format=2)
    zarr.open_group(tmp_path / "c", mode="w").create_array("0", shape=(2, 2), dtype="u1")
    image = write_ome_zarr(tmp_path / "d", PIXELS, axes="cyx")
    (image / ".zattrs").unlink()
    for folder in ("a", "b", "c", "c/0", "d", "d/0"):
        none = "it is a Zarr, but no OME-Zarr image: its description lists no multiscales"
        assert refusal(tmp_path / folder) == none, folder


def test_one_level_of_another_writers_image_says_which_image_to_give(tmp_path: Path) -> None:
    for version in ("0.4", "0.5"):
        image = write_ome_zarr(tmp_path / version, PIXELS, axes="cyx", version=version)
        assert refusal(image / "0") == f"it is one level of an image; give the image, {image}"


@pytest.mark.parametrize(
    ("shape", "axes", "words"),
    [
        (
            (2, 3, 8, 8),
            "czyx",
            "it has 3 planes in depth (z); one plane per channel can be measured, so give one alone",
        ),
        ((4, 2, 8, 8), "tcyx", "it has 4 points in time (t); one plane per channel can be measured, so give one alone"),
        ((0, 8, 8), "cyx", "it has no channel"),
        ((2, 8, 0), "cyx", "it is empty: its shape is (8, 0)"),
    ],
)
def test_what_is_not_one_plane_per_channel_is_refused(
    shape: tuple[int, ...], axes: str, words: str, tmp_path: Path
) -> None:
    pixels = np.ones(shape, np.uint16)
    assert refusal(write_ome_zarr(tmp_path / "a.zarr", pixels, axes=axes, chunks=(1,) * len(axes))) == words


def test_pixels_that_are_no_counts_are_refused(tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", PIXELS > 9, axes="cyx")
    assert refusal(folder) == (
        "its values are true and false (bool); camera counts, or intensities from 0 to 1, are needed"
    )
    folder = write_ome_zarr(tmp_path / "b.zarr", PIXELS.astype(np.int32) * 1000, axes="cyx")
    assert damage(folder).endswith("camera counts lie between 0 and 65,535")
    folder = write_ome_zarr(tmp_path / "c.zarr", PIXELS / 65, axes="cyx")
    assert "floating-point images must lie between 0 and 1" in damage(folder)


def test_intensities_from_0_to_1_are_rounded_to_16_bits(tmp_path: Path) -> None:
    image = open_ome_zarr(write_ome_zarr(tmp_path / "a.zarr", (PIXELS / 65535).astype(np.float32), axes="cyx"))
    np.testing.assert_array_equal(image.read(1), PIXELS[1])
    assert image.shape == PIXELS.shape[1:]


@pytest.mark.parametrize(
    ("shape", "chunks", "words"),
    [
        (
            (1, 100_000, 100_000),
            (1, 1000, 1000),
            "its header claims 100,000 x 100,000 pixels; 100,663,296 are the limit",
        ),
        ((1, 100, 100), (1, 100_000, 100_000), "its chunks have 10,000,000,000 pixels; 100,663,296 are the limit"),
        ((1, 1000, 1000), (1, 3, 3), "its planes lie in 111,556 chunks; 65,536 are the limit"),
    ],
)
def test_sizes_beyond_the_limits_are_refused(
    shape: tuple[int, ...], chunks: tuple[int, ...], words: str, tmp_path: Path
) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", PIXELS[:1], axes="cyx")
    described = json.loads((folder / "0" / ".zarray").read_text())
    (folder / "0" / ".zarray").write_text(json.dumps(described | {"shape": shape, "chunks": chunks}))
    assert refusal(folder) == words


@pytest.mark.parametrize(
    "changes",
    [
        {"multiscales": [{"datasets": []}]},
        {"multiscales": [{"axes": [{}], "datasets": [{"path": "0"}]}]},
        {"multiscales": [{"axes": ["y", "x"], "datasets": [{"path": "0"}]}]},
        {"multiscales": [{"axes": ["q", "y", "x"], "datasets": [{"path": "0"}]}]},
        {"multiscales": [{"axes": ["y", "y", "x"], "datasets": [{"path": "0"}]}]},
        {"multiscales": [{"axes": ["t", "c", "x"], "datasets": [{"path": "0"}]}]},
        {"multiscales": [{"axes": ["c", "y", "x"], "datasets": [{"path": "../../a.zarr/0"}]}]},
        {"multiscales": [{"axes": ["c", "y", "x"], "datasets": [{"path": "/0"}]}]},
        {"multiscales": ["level"]},
        {"multiscales": {"0": 1}},
        {"omero": ["DNA"]},
        {"omero": {"channels": [3]}},
    ],
)
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_description_that_cannot_be_right_is_refused(changes: dict[str, Any], version: str, tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", PIXELS, axes="cyx", version=version)
    change(folder / ("zarr.json" if version == "0.5" else ".zattrs"), **changes)
    assert damage(folder).startswith("its description is damaged: ")


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"attributes": 3}', '{"attributes": {"ome": 3}}', "[" * 100_000])
def test_a_description_that_is_no_object_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "zarr.json").write_text(text)
    assert damage(tmp_path).startswith("its description is damaged: it is no")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_missing_level_is_named(version: str, tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", PIXELS, axes="cyx", version=version)
    shutil.rmtree(folder / "0")
    assert damage(folder).startswith("its level '0' is missing or damaged: ")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plane_of_which_nothing_is_stored_is_no_black_image(version: str, tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", PIXELS * [[[1]], [[0]]], axes="cyx", version=version)
    image = open_ome_zarr(folder)
    np.testing.assert_array_equal(image.read(0), PIXELS[0])
    assert damage(folder, 1).startswith("none of the plane's 2 chunks is stored: the copy is incomplete")


@pytest.mark.parametrize(("version", "chunk"), [("0.4", "0/1.1.0"), ("0.5", "0/c/1/1/0")])
def test_chunks_that_are_not_stored_are_counted(version: str, chunk: str, tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", PIXELS, axes="cyx", version=version)
    (folder / chunk).unlink()
    image = open_ome_zarr(folder)
    assert [image.count_chunks(number) for number in range(2)] == [(2, 2), (1, 2)]
    assert not image.read(1)[HEIGHT // 2 :].any()


def test_chunks_of_several_channels_count_for_each(tmp_path: Path) -> None:
    pixels = planes(3)
    options = {"axes": "cyx", "labels": (), "version": "0.5", "chunks": (1, 36, 48), "shards": (2, 36, 96)}
    folder = write_ome_zarr(tmp_path / "a.zarr", pixels, **options)
    (folder / "0" / "c" / "0" / "1" / "0").unlink()
    image = open_ome_zarr(folder)
    assert [image.count_chunks(number) for number in range(3)] == [(1, 2), (1, 2), (2, 2)]


def test_a_lost_shard_and_a_flipped_bit_of_our_own_sites_are_found(folder_store: FolderStore) -> None:
    small_zarr.write_plate(folder_store)
    folder = folder_store.local_path(f"{small_zarr.PLATE}/{small_zarr.group_of('B03', 1)}")
    shard = folder / "0" / "c" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[50] ^= 4
    shard.write_bytes(bytes(data))
    assert damage(folder).startswith("its pixels are damaged: Stored and computed checksum do not match")
    shard.unlink()
    assert damage(folder).startswith("none of the plane's 1 chunks is stored")


WAYS: list[tuple[str, dict[str, Any]]] = [
    ("0.4", {}),
    ("0.4", {"compressors": None}),
    ("0.4", {"compressors": numcodecs.Zlib()}),
    ("0.4", {"compressors": numcodecs.GZip()}),
    ("0.4", {"compressors": numcodecs.Blosc()}),
    ("0.4", {"compressors": numcodecs.LZ4()}),
    ("0.5", {}),
    ("0.5", {"compressors": None}),
    ("0.5", {"compressors": GzipCodec()}),
    ("0.5", {"compressors": BloscCodec(), "chunks": (1, 36, 96), "shards": (2, 72, 96)}),
]


@pytest.mark.parametrize(("version", "options"), WAYS)
def test_damaged_bytes_never_raise_anything_but_a_refusal(version: str, options: Any, tmp_path: Path) -> None:
    chance = random.Random(11)
    folder = write_ome_zarr(tmp_path / "a.zarr", PIXELS, axes="cyx", version=version, **options)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    refused = 0
    for _ in range(40):
        file = chance.choice(files)
        whole = file.read_bytes()
        data = bytearray(whole)
        for _ in range(chance.choice([1, 1, 3])):
            data[chance.randrange(len(data))] = chance.choice([0, 1, 32, 255])
        file.write_bytes(bytes(data[: chance.choice([0, len(data) // 2, len(data), len(data)])]))
        try:
            image = open_ome_zarr(folder)
            for number in range(len(image.labels)):
                assert image.read(number).ndim == 2
        except PlateError:
            refused += 1
        file.write_bytes(whole)
    assert refused > 10


def test_a_folder_of_files_is_no_zarr(tmp_path: Path) -> None:
    assert not is_zarr(tmp_path)
    for number, version in enumerate(("0.4", "0.5")):
        folder = write_ome_zarr(tmp_path / f"{number}.zarr", PIXELS, axes="cyx", version=version)
        assert is_zarr(folder)
        assert is_zarr(folder / "0")


def test_descriptions_of_other_writers_are_told_apart() -> None:
    folder = Path(require("shared")) / "data" / "omezarr_hcs_metadata"
    examples = sorted({file.parent for name in ("zarr.json", ".zattrs") for file in folder.rglob(name)})
    assert examples
    for example in examples:  # descriptions without pixels: none is an image that can be read
        with pytest.raises((ConfigurationError, UnreadableImageError)):
            open_ome_zarr(example)
