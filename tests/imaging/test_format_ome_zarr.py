"""OME-Zarr as input: plates and images of both versions, every plane to its chunks, holes and damage as faults."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import zarr
from zarr.codecs import GzipCodec

from imaging.errors import ChangedObjectError, UnreadableImageError
from imaging.folders import StoredFolder
from imaging.formats.contract import Address, Delivery, FoundPlane
from imaging.formats.inside import read_plane
from imaging.formats.ome_zarr import OME_ZARR
from imaging.store import Store, open_store
from imaging.wells import Well
from tests.imaging.small_uploads import read_shared, reasons

Version = Literal["0.4", "0.5"]
A01, B03, C12 = Well(0, 1), Well(1, 3), Well(2, 12)
PIXELS = np.random.default_rng(6).integers(1, 60_000, (2, 3, 40, 50)).astype(np.uint16)
"""Channels, z, y, x."""


def describe(folder: Path, attributes: dict[str, Any], version: Version) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if version == "0.4":
        (folder / ".zgroup").write_text('{"zarr_format": 2}')
        (folder / ".zattrs").write_text(json.dumps(attributes))
    else:
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5"} | attributes}}
        (folder / "zarr.json").write_text(json.dumps(group))


def write_image(
    folder: Path,
    version: Version,
    pixels: np.ndarray = PIXELS,
    axes: str = "czyx",
    unit: str = "micrometer",
    **options: Any,
) -> None:
    described = [{"name": a, "type": "space", "unit": unit} if a in "zyx" else {"name": a} for a in axes]
    scale = [2.0 if a == "z" else 0.325 if a in "yx" else 1.0 for a in axes]
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}, {"path": "1"}]
    channels = [{"label": "DAPI"}, {"label": "GFP"}]
    attributes = {"multiscales": [{"axes": described, "datasets": levels}], "omero": {"channels": channels}}
    describe(folder, attributes, version)
    chunks = options.pop("chunks", (1,) * (pixels.ndim - 2) + (20, 50))
    options = ({"chunk_key_encoding": {"name": "v2", "separator": "/"}} if version == "0.4" else {}) | options
    for level in ("0", "1"):
        array = zarr.create_array(
            str(folder / level),
            shape=pixels.shape,
            chunks=chunks,
            dtype=pixels.dtype,
            zarr_format=2 if version == "0.4" else 3,
            config={"write_empty_chunks": True},
            **options,
        )
        array[...] = pixels


def write_plate(root: Path, version: Version, write: Callable[..., None] = write_image, **plate: Any) -> None:
    wells = [{"path": "B/03", "rowIndex": 1, "columnIndex": 2}, {"path": "C/12", "rowIndex": 2, "columnIndex": 11}]
    rows = [{"name": name} for name in "ABCDEFGH"]
    columns = [{"name": f"{number:02}"} for number in range(1, 13)]
    described = {"rows": rows, "columns": columns, "wells": wells, "name": "Plate 4"} | plate
    describe(root, {"plate": described}, version)
    for well in wells:
        describe(root / well["path"], {"well": {"images": [{"path": "0"}, {"path": "1"}]}}, version)
        for image in "01":
            write(root / well["path"] / image, version)


def read(root: Path) -> tuple[Delivery, StoredFolder]:
    store = open_store(str(root))
    folder = StoredFolder(store, "")
    return OME_ZARR.read(store.list("").objects, folder), folder


def pixels_of(folder: StoredFolder, plane: FoundPlane) -> np.ndarray:
    return read_plane(folder.store, plane.item.key, token=plane.item.token, inside=plane.inside)[0]


def at(delivery: Delivery, address: Address) -> FoundPlane:
    return next(plane for plane in delivery.planes if plane.address == address)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plate_gives_each_plane_of_each_field(tmp_path: Path, version: Version) -> None:
    write_plate(tmp_path / "p.zarr", version)
    delivery, folder = read(tmp_path)
    addresses = {plane.address for plane in delivery.planes}
    assert addresses == {
        Address(well, site, code, z) for well in (B03, C12) for site in (1, 2) for code in "12" for z in (1, 2, 3)
    }
    told = delivery.told
    assert told.expected == addresses
    assert (told.plate, told.wells, told.imaged) == ("Plate 4", 96, (B03, C12))
    assert [(channel.code, channel.name) for channel in told.channels] == [("1", "DAPI"), ("2", "GFP")]
    assert (told.pixel_size_um, told.z_step_um, told.problems, told.manifests) == (0.325, 2.0, (), ("p.zarr",))
    plane = at(delivery, Address(C12, 2, "2", 3))
    assert (plane.item.key, plane.inside) == ("p.zarr/C/12/1", "array 0; index 1,2")
    np.testing.assert_array_equal(pixels_of(folder, plane), PIXELS[1, 2])
    assert reasons(delivery, "unknown") == {}
    ignored = reasons(delivery, "ignored")
    assert len(ignored) + 2 * len(delivery.planes) == len(folder.store.list("").objects)
    assert set(ignored.values()) == {"a description of the Zarr", "a part of the Zarr"}


@pytest.mark.parametrize(
    ("version", "options"),
    [
        ("0.4", {"chunk_key_encoding": {"name": "v2", "separator": "."}}),
        ("0.4", {"compressors": None}),
        ("0.4", {"order": "F"}),
        ("0.5", {"chunks": (1, 1, 20, 25), "shards": (2, 3, 40, 50)}),
        ("0.5", {"chunks": (2, 3, 7, 9)}),
        ("0.5", {"compressors": GzipCodec()}),
        ("0.5", {"chunk_key_encoding": {"name": "v2", "separator": "."}}),
    ],
)
def test_every_way_of_storing_gives_the_same_pixels(tmp_path: Path, version: Version, options: dict[str, Any]) -> None:
    write_image(tmp_path / "B03.zarr", version, **options)
    delivery, folder = read(tmp_path)
    assert len(delivery.planes) == 6
    for plane in delivery.planes:
        assert plane.address.well == B03
        np.testing.assert_array_equal(
            pixels_of(folder, plane), PIXELS[int(plane.address.code) - 1, plane.address.z - 1]
        )


@pytest.mark.parametrize(
    ("axes", "order", "count"),
    [("yx", (0, 0), 1), ("cyx", (slice(None), 0), 2), ("zyx", (0,), 3), ("tcyx", (), 6), ("tzyx", (), 6)],
)
def test_axes_say_what_a_plane_is(tmp_path: Path, axes: str, order: tuple[Any, ...], count: int) -> None:
    pixels = PIXELS[order]
    write_image(tmp_path / "B03.zarr", "0.5", pixels, axes)
    delivery, folder = read(tmp_path)
    assert len(delivery.planes) == count
    for plane in delivery.planes:
        place = {"c": int(plane.address.code) - 1, "z": plane.address.z - 1, "t": plane.address.t - 1}
        np.testing.assert_array_equal(pixels_of(folder, plane), pixels[tuple(place[axis] for axis in axes[:-2])])


def test_axes_in_another_order_are_turned(tmp_path: Path) -> None:
    write_image(
        tmp_path / "B03.zarr", "0.5", np.moveaxis(PIXELS[:, 0], 0, 2).swapaxes(0, 1).copy(), "xyc", chunks=(25, 20, 1)
    )
    delivery, folder = read(tmp_path)
    np.testing.assert_array_equal(pixels_of(folder, at(delivery, Address(B03, 1, "2"))), PIXELS[1, 0])


@pytest.mark.parametrize(
    ("unit", "size"), [("nanometer", 0.000325), ("", 0.325), ("millimeter", 325.0), ("furlong", None)]
)
def test_sizes_are_told_in_micrometres(tmp_path: Path, unit: str, size: float | None) -> None:
    write_image(tmp_path / "B03.zarr", "0.4", unit=unit)
    assert read(tmp_path)[0].told.pixel_size_um == size


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_missing_chunk_is_a_fault_until_it_comes(tmp_path: Path, version: Version) -> None:
    write_image(tmp_path / "B03.zarr", version)
    chunk = tmp_path / "B03.zarr" / "0" / ("1/2/1/0" if version == "0.4" else "c/1/2/1/0")
    shutil.move(chunk, tmp_path / "aside")
    before, folder = read(tmp_path / "B03.zarr" / "..")
    plane = at(before, Address(B03, 1, "2", 3))
    with pytest.raises(UnreadableImageError, match="1 of the plane's 2 chunks are not stored") as caught:
        pixels_of(folder, plane)
    assert caught.value.key == "B03.zarr"
    shutil.move(tmp_path / "aside", chunk)
    with pytest.raises(ChangedObjectError):
        pixels_of(folder, plane)
    after, folder = read(tmp_path)
    later = at(after, plane.address)
    assert later.item.token != plane.item.token
    np.testing.assert_array_equal(pixels_of(folder, later), PIXELS[1, 2])
    others = {p.address: p.item.token for p in before.planes if p is not plane}
    assert others == {p.address: p.item.token for p in after.planes if p is not later}


def test_a_plane_of_which_nothing_is_stored_has_not_arrived(tmp_path: Path) -> None:
    write_image(tmp_path / "B03.zarr", "0.5")
    shutil.rmtree(tmp_path / "B03.zarr" / "0" / "c" / "1" / "2")
    delivery, _ = read(tmp_path)
    assert len(delivery.planes) == 5
    assert Address(B03, 1, "2", 3) in (delivery.told.expected or ())


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_missing_description_of_an_array_is_said_and_the_others_are_read(tmp_path: Path, version: Version) -> None:
    write_plate(tmp_path / "p.zarr", version)
    (tmp_path / "p.zarr/B/03/1/0" / (".zarray" if version == "0.4" else "zarr.json")).unlink()
    delivery, _ = read(tmp_path)
    assert delivery.told.problems == ("p.zarr/B/03/1: the description of its array '0' is missing",)
    assert len(delivery.planes) == 18


def test_a_replaced_chunk_makes_the_plane_another_version(tmp_path: Path) -> None:
    write_image(tmp_path / "B03.zarr", "0.5")
    delivery, folder = read(tmp_path)
    (tmp_path / "B03.zarr/0/c/0/0/0/0").write_bytes(b"torn")
    with pytest.raises(ChangedObjectError):
        pixels_of(folder, at(delivery, Address(B03, 1, "1", 1)))
    again, folder = read(tmp_path)
    with pytest.raises(UnreadableImageError, match="its pixels are damaged"):
        pixels_of(folder, at(again, Address(B03, 1, "1", 1)))
    np.testing.assert_array_equal(pixels_of(folder, at(again, Address(B03, 1, "1", 2))), PIXELS[0, 1])


def test_acquisitions_of_a_well_are_told_apart(tmp_path: Path) -> None:
    runs = [{"id": 3}, {"id": 7}]
    write_plate(tmp_path / "p.zarr", "0.5", acquisitions=runs)
    images = [{"path": "0", "acquisition": 3}, {"path": "1", "acquisition": 7}]
    describe(tmp_path / "p.zarr/B/03", {"well": {"images": images}}, "0.5")
    found = {(p.address.site, p.address.acquisition) for p in read(tmp_path)[0].planes if p.address.well == B03}
    assert found == {(1, "3"), (1, "7")}


def test_two_plates_in_one_folder_are_told_apart(tmp_path: Path) -> None:
    for name in ("p.zarr", "q.zarr"):
        write_plate(tmp_path / name, "0.5")
    delivery, _ = read(tmp_path)
    assert {(p.address.acquisition, p.item.key[:6]) for p in delivery.planes} == {("p.zarr",) * 2, ("q.zarr",) * 2}
    assert len(delivery.told.expected or ()) == 48


def test_a_projection_beside_its_planes_is_no_site(tmp_path: Path) -> None:
    write_plate(tmp_path / "p.zarr", "0.4")
    shutil.move(tmp_path / "p.zarr/B/03/1", tmp_path / "p.zarr/B/03/0_mip")
    describe(tmp_path / "p.zarr/B/03", {"well": {"images": [{"path": "0"}, {"path": "0_mip"}]}}, "0.4")
    assert {p.address.site for p in read(tmp_path)[0].planes if p.address.well == B03} == {1}


def test_images_that_are_no_plate_are_placed_by_their_names(tmp_path: Path) -> None:
    for name in ("x_B03_s2.ome.zarr", "x_C12_s1.ome.zarr"):
        write_image(tmp_path / name, "0.4", PIXELS[0, 0], "yx")
    assert {(p.address.well, p.address.site) for p in read(tmp_path)[0].planes} == {(B03, 2), (C12, 1)}


def test_one_image_without_a_well_is_the_first_well_and_of_several_it_is_asked(tmp_path: Path) -> None:
    write_image(tmp_path / "cells.zarr", "0.4", PIXELS[0, 0], "yx")
    assert [plane.address for plane in read(tmp_path)[0].planes] == [Address(A01, 1, "1")]
    write_image(tmp_path / "others.zarr", "0.4", PIXELS[0, 0], "yx")
    delivery, _ = read(tmp_path)
    assert delivery.planes == ()
    assert delivery.told.problems[0].endswith("neither its description nor its name says which well it shows")


def test_a_collection_of_images_is_a_series_of_sites(tmp_path: Path) -> None:
    describe(tmp_path / "B03.zarr", {"bioformats2raw.layout": 3}, "0.4")
    for number in "0", "1", "10":
        write_image(tmp_path / "B03.zarr" / number, "0.4", PIXELS[0, 0], "yx")
    assert sorted((p.item.key, p.address.site) for p in read(tmp_path)[0].planes) == [
        ("B03.zarr/0", 1),
        ("B03.zarr/1", 2),
        ("B03.zarr/10", 3),
    ]


def _change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda root: (root / "B/03/.zattrs").write_text("{"),
            "p.zarr/B/03: its description is damaged: it is not JSON",
        ),
        (lambda root: (root / "B/03/.zattrs").write_text("[]"), "p.zarr/B/03: its description is damaged"),
        (lambda root: (root / "B/03/.zattrs").unlink(), "p.zarr/B/03: the well's description is missing"),
        (lambda root: (root / "B/03/0/.zattrs").unlink(), "p.zarr/B/03/0: the image's description is missing"),
        (lambda root: _change(root / "B/03/0/.zattrs", multiscales=[]), "lists no multiscales"),
        (lambda root: _change(root / "B/03/.zattrs", well={"images": [{"path": "../../x"}]}), "leads out of it"),
        (lambda root: _change(root / "B/03/0/0/.zarray", shape=[2, 3, 10**6, 10**6]), "1,000,000 x 1,000,000 pixels"),
        (lambda root: _change(root / "B/03/0/0/.zarray", chunks=[1, 1, 10**6, 10**6]), "its chunks have"),
        (
            lambda root: _change(root / "B/03/0/0/.zarray", shape=[10**6, 10**6, 40, 50]),
            "it claims 1,000,000,000,000 planes; 50,000 are the limit of an image",
        ),
        (
            lambda root: _change(root / "B/03/0/0/.zarray", shape=[40, 50], chunks=[20, 50]),
            "do not fit an array of shape (40, 50)",
        ),
        (lambda root: _change(root / "B/03/0/0/.zarray", chunks=[0, 0, 0, 0]), "shape and chunks do not fit"),
        (lambda root: _change(root / "B/03/0/0/.zarray", dtype="|O"), "unsigned 8- or 16-bit are needed"),
        (lambda root: _change(root / "B/03/0/0/.zarray", dtype=7), "its description is damaged"),
    ],
)
def test_what_is_damaged_is_said_and_the_rest_is_read(
    tmp_path: Path, change: Callable[[Path], Any], words: str
) -> None:
    write_plate(tmp_path / "p.zarr", "0.4")
    change(tmp_path / "p.zarr")
    delivery, _ = read(tmp_path)
    (problem,) = delivery.told.problems
    assert words in problem
    assert len(delivery.planes) in (12, 18)


@pytest.mark.parametrize(
    ("name", "lost"), [("C/12/.zattrs", {1, 2}), ("C/12/1/.zattrs", {2}), ("C/12/1/0/.zarray", {2})]
)
def test_what_a_plate_lists_is_expected_before_its_description_comes(tmp_path: Path, name: str, lost: set[int]) -> None:
    write_plate(tmp_path / "p.zarr", "0.4")
    whole = read(tmp_path)[0].told.expected
    (tmp_path / "p.zarr" / name).unlink()
    delivery, _ = read(tmp_path)
    assert delivery.told.expected == whole
    assert {(a.well, a.site) for a in whole or ()} - {(p.address.well, p.address.site) for p in delivery.planes} == {
        (C12, site) for site in lost
    }


def test_a_well_that_is_two_wells_is_not_guessed(tmp_path: Path) -> None:
    wells = [{"path": "B/03", "rowIndex": 3, "columnIndex": 2}]
    write_plate(tmp_path / "p.zarr", "0.5", wells=wells)
    delivery, _ = read(tmp_path)
    assert delivery.planes == ()
    assert delivery.told.problems == ("p.zarr: its description is damaged: well B/03 is said to be D03",)


def test_files_beside_a_zarr_are_somebody_s_question(tmp_path: Path) -> None:
    write_image(tmp_path / "B03.zarr", "0.5", PIXELS[0, 0], "yx")
    (tmp_path / "notes.txt").write_text("x")
    names = [item.key for item in open_store(str(tmp_path)).list("").objects]
    assert reasons(read(tmp_path)[0], "unknown") == {"notes.txt": "it lies in no OME-Zarr"}
    assert OME_ZARR.count(names) == len(names) - 1


def test_a_zarr_without_the_ending_is_found_by_its_description(tmp_path: Path) -> None:
    write_plate(tmp_path / "plate", "0.5")
    delivery, folder = read(tmp_path)
    assert len(delivery.planes) == 24
    assert OME_ZARR.count([item.key for item in folder.store.list("").objects]) > 48


def test_the_real_skeleton_of_a_plate_expects_what_never_came() -> None:
    delivery = read_shared(OME_ZARR, "omezarr_hcs_metadata/v04")
    assert delivery.planes == ()
    assert delivery.told.expected == {Address(B03, 1, "1", z) for z in (1, 2)}
    assert delivery.told.pixel_size_um == 0.1625
    assert [channel.name for channel in delivery.told.channels] == ["DAPI"]


def copy(root: Path, store: Store, prefix: str) -> None:
    for file in root.rglob("*"):
        if file.is_file():
            store.write(f"{prefix}{file.relative_to(root)}", file.read_bytes())


@pytest.mark.parametrize("is_plate", [True, False])
def test_a_folder_may_be_a_zarr_itself_in_any_store(tmp_path: Path, store: Store, is_plate: bool) -> None:
    (write_plate if is_plate else write_image)(tmp_path / "p.zarr", "0.5")
    copy(tmp_path / "p.zarr", store, "raw/A/P1/")
    listed = [replace(item, key=item.key.removeprefix("raw/A/P1/")) for item in store.list("raw/A/P1/").objects]
    delivery = OME_ZARR.read(listed, StoredFolder(store, "raw/A/P1/"))
    plane = at(delivery, Address(C12 if is_plate else A01, 1, "2", 3))
    assert (plane.item.key, plane.inside) == (
        ("C/12/0", "array 0; index 1,2") if is_plate else ("0", "array .; index 1,2")
    )
    key = "raw/A/P1/" + plane.item.key
    pixels, digest, size = read_plane(store, key, token=plane.item.token, inside=plane.inside)
    np.testing.assert_array_equal(pixels, PIXELS[1, 2])
    assert size == plane.item.size
    assert digest == read_plane(store, key, token=plane.item.token, inside=plane.inside)[1]
