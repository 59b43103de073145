"""A look at what has arrived: every kind of half a file is found, and no whole one is."""

from __future__ import annotations

import zipfile
from typing import Any

import numpy as np
import pytest

from imaging.errors import ChangedObjectError, UnreadableImageError
from imaging.formats.archives import open_archives
from imaging.formats.contents_check import find_content_fault
from imaging.formats.inside import read_plane
from tests.imaging.small_uploads import upload
from tests.imaging.test_decode import STORED, png
from tests.imaging.test_decode_dib import MASKS, dib
from tests.odd_files import c01, picture, tarred, tiff, zipped

BLACK = np.zeros((300, 300), np.uint16)
LARGE = np.random.default_rng(2).integers(0, 60_000, (900, 1_100)).astype(np.uint16)


def look(data: bytes, inside: str = "") -> str | None:
    objects, folder = upload({"a.tif": data})
    return find_content_fault(folder, "a.tif", objects[0].token, objects[0].size, inside)


WHOLE: dict[str, bytes] = {
    **{f"{name}, black": tiff(BLACK, **options) for name, options in STORED.items()},
    **{name: tiff(picture(), **options) for name, options in STORED.items()},
    "PNG": png(picture()),
    "black PNG": png(BLACK),
    "PNG with something behind": png(picture()) + b"something",
    "C01": c01(picture()),
    "black C01": c01(BLACK),
    "DIB": dib(picture(), before=MASKS),
    "black DIB": dib(BLACK, before=MASKS),
}


@pytest.mark.parametrize("data", WHOLE.values(), ids=WHOLE)
def test_a_whole_image_is_no_false_alarm(data: bytes) -> None:
    assert look(data) is None


@pytest.mark.parametrize(
    "data",
    [tiff(LARGE), tiff(LARGE, compression="zlib"), png(LARGE), dib(LARGE, before=MASKS)],
    ids=["tiff", "zlib", "png", "dib"],
)
@pytest.mark.parametrize("share", [0.0, 0.0001, 0.3, 0.99, 0.99999])
def test_a_file_that_is_cut_off_is_found(data: bytes, share: float) -> None:
    assert look(data[: int(share * len(data))]) is not None


@pytest.mark.parametrize("data", [tiff(LARGE, compression="zlib"), png(LARGE), c01(LARGE)], ids=["tiff", "png", "c01"])
@pytest.mark.parametrize("share", [0.0, 0.00001, 0.3, 0.9])
def test_a_file_that_ends_in_zeros_is_found(data: bytes, share: float) -> None:
    written = int(share * len(data))
    assert look(data[:written] + bytes(len(data) - written)) is not None


def test_an_empty_and_a_zero_filled_file_say_what_they_are() -> None:
    assert look(b"") == "the file is empty (0 bytes)"
    assert look(bytes(100)) == "the file is all zero bytes (100 of them)"
    assert look(bytes(9_000)) == "the file begins with 4,096 zero bytes (it has 9,000): it was not written"


def test_what_is_said_is_also_said_when_the_plane_is_read() -> None:
    for data in (b"", bytes(9_000), tiff(LARGE)[:90_000], png(LARGE)[:90_000], b"text", tiff(np.stack([LARGE] * 2))):
        objects, folder = upload({"a.tif": data})
        assert look(data)
        with pytest.raises(UnreadableImageError):
            read_plane(folder.store, "a.tif", token=objects[0].token)


def test_a_page_is_looked_at_alone() -> None:
    stack = tiff(np.stack([LARGE] * 3), photometric="minisblack")
    assert look(stack, "page 2") is None
    assert "page 4 is needed" in str(look(stack, "page 4"))
    assert look(stack[: len(stack) // 2], "page 3") is not None


@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "rowsperstrip": 16}])
def test_few_bytes_are_read(options: dict[str, Any]) -> None:
    data = tiff(np.random.default_rng(2).integers(0, 60_000, (2_160, 2_160)).astype(np.uint16), **options)
    objects, folder = upload({"a.tif": data})
    assert find_content_fault(folder, "a.tif", objects[0].token, objects[0].size) is None
    assert folder.bytes_read["a.tif"] < 400_000


def test_members_of_archives_are_looked_at() -> None:
    members = {"a.tif": tiff(LARGE), "b.tif": tiff(LARGE)[:50_000], "c.tif": b""}
    for name, data in {"a.zip": zipped(members), "a.tar": tarred(members)}.items():
        objects, folder = upload({name: data})
        opened = open_archives(objects, folder)
        faults = [
            find_content_fault(folder, item.key, item.token, item.size, str(opened.places[item.key]))
            for item in opened.objects
        ]
        assert faults[0] is None
        assert "cut off" in str(faults[1]) or "ends after" in str(faults[1])
        assert faults[2] == "the file is empty (0 bytes)"


def test_a_deflated_member_is_left_to_its_checksum() -> None:
    objects, folder = upload({"a.zip": zipped({"a.tif": tiff(LARGE)}, zipfile.ZIP_DEFLATED)})
    opened = open_archives(objects, folder)
    (item,) = opened.objects
    before = folder.bytes_read["a.zip"]
    assert find_content_fault(folder, item.key, item.token, item.size, str(opened.places[item.key])) is None
    assert folder.bytes_read["a.zip"] - before < 200_000


def test_an_object_that_changed_is_said_to_have_changed() -> None:
    objects, folder = upload({"a.tif": tiff(LARGE)})
    folder.store.write("a.tif", b"another")
    with pytest.raises(ChangedObjectError):
        find_content_fault(folder, "a.tif", objects[0].token, objects[0].size)
