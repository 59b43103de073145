"""Cellomics' bitmaps: .C01 and .DIB to pixels, and every way of being none."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from imaging.decode import decode_plane
from imaging.errors import UnreadableImageError
from tests.odd_files import c01, picture
from tests.parts import require


def dib(
    pixels: np.ndarray, *, bits: int = 16, before: bytes = b"", row_bytes: int = 0, height: int | None = None
) -> bytes:
    header = struct.pack("<IiiHHI20x", 40, pixels.shape[1], height or pixels.shape[0], 1, bits, 0)
    rows = [row.tobytes().ljust(row_bytes, b"\0") for row in pixels]
    return header + before + b"".join(rows)


MASKS = struct.pack("<3I", 31, 992, 64512)
GREYS = bytes(value for grey in range(256) for value in (grey, grey, grey, 0))


def refusal(data: bytes) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        decode_plane(data, name="a.C01")
    assert caught.value.key == "a.C01"
    return caught.value.message


def test_a_c01_gives_its_pixels() -> None:
    plane = decode_plane(c01(picture()), name="a.C01")
    np.testing.assert_array_equal(plane, picture())
    assert plane.dtype == np.uint16
    assert plane.flags.writeable


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        (dib(picture(), before=MASKS), picture()),
        (dib(picture()), picture()),
        (dib(picture(5, 7), before=MASKS, row_bytes=16), picture(5, 7)),
        (dib(picture(5, 7), before=MASKS), picture(5, 7)),
        (dib(picture(), before=MASKS, height=-64), picture()),
        (dib(picture().astype(np.uint8), bits=8), picture().astype(np.uint8)),
        (dib(picture().astype(np.uint8), bits=8, before=GREYS), picture().astype(np.uint8)),
        (dib(np.zeros((8, 8), np.uint8), bits=8), np.zeros((8, 8), np.uint8)),
        (dib(picture(5, 7).astype(np.uint8), bits=8, before=bytes(12), row_bytes=8), picture(5, 7).astype(np.uint8)),
    ],
)
def test_a_bitmap_gives_its_rows_from_the_first(data: bytes, pixels: np.ndarray) -> None:
    plane = decode_plane(data, name="a.DIB")
    np.testing.assert_array_equal(plane, pixels)
    assert plane.dtype == pixels.dtype


def test_the_real_file_of_an_arrayscan_is_read() -> None:
    folder = Path(require("shared")) / "data" / "instrument_oddities" / "modules" / "loadimages"
    plane = decode_plane((folder / "iamac01file.c01").read_bytes(), name="iamac01file.c01")
    assert plane.shape == (512, 512)
    assert plane.dtype == np.uint16
    assert (plane.min(), plane.max(), round(float(plane.mean()), 3)) == (526, 1788, 623.917)
    neighbours = np.abs(np.diff(plane.astype(int), axis=0)).mean()
    assert neighbours < 25  # rows that are shifted by a few bytes would differ much more


def test_a_c01_cut_at_any_byte_is_refused() -> None:
    whole = c01(picture(12, 9))
    for size in range(len(whole)):
        refusal(whole[:size])


def test_a_bitmap_cut_at_any_byte_is_refused() -> None:
    whole = dib(picture(12, 10), before=MASKS)
    for size in range(len(whole)):
        refusal(whole[:size])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (c01(picture(), extra=b"more"), "and the bitmap has"),
        (c01(picture(), extra=bytes(5_000)), "more than 80 x 64 pixels"),
        (b"\0\0\0\x10" + zlib.compress(b"no bitmap" * 20), "holds no bitmap"),
        (b"\0\0\0\x10" + zlib.compress(dib(picture(), before=MASKS))[:-2] + b"xx", "not zlib data"),
        (dib(picture(), bits=24), "24 bits per pixel"),
        (b"\0\0\0\x10" + zlib.compress(struct.pack("<IiiHHI20x", 40, 0, 5, 1, 16, 0)), "claims 0 x 5 pixels"),
        (b"\0\0\0\x10" + zlib.compress(struct.pack("<IiiHHI20x", 40, 9, 9, 1, 16, 1)), "compression 1"),
        (b"\0\0\0\x10" + zlib.compress(struct.pack("<IiiHHI20x", 40, 9_000, 9_000, 1, 16, 0)), "no writer reaches"),
    ],
)
def test_what_is_no_plane_is_refused(data: bytes, words: str) -> None:
    assert words in refusal(data)


@pytest.mark.parametrize("size", [1, 200, 5_000_000])
def test_bytes_behind_the_compressed_ones_end_a_c01_all_the_same(size: int) -> None:
    """A stream that is over takes no more bytes, and says so by leaving them; asking again gave the same for ever."""
    np.testing.assert_array_equal(decode_plane(c01(picture()) + bytes(size), name="a.C01"), picture())
    grey = picture(5, 7).astype(np.uint8)
    short = b"\0\0\0\x10" + zlib.compress(dib(grey, bits=8))  # without masks, which leaves room for more
    np.testing.assert_array_equal(decode_plane(short + bytes(size), name="a.C01"), grey)
