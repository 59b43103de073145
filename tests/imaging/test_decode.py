"""Image files to planes: every accepted way of storing one, every way of being none, cuts at every byte."""

from __future__ import annotations

import contextlib
import io
import logging
import pickle
import random
import struct
import tracemalloc
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile

from imaging.decode import MAX_PIXELS, decode_plane
from imaging.errors import UnreadableImageError
from imaging.tiff_layout import MAX_EXPANSION, MAX_SEGMENTS

STORED = {
    "uncompressed": {},
    "strips": {"rowsperstrip": 7},
    "LZW": {"compression": "lzw", "rowsperstrip": 5},
    "LZW differences": {"compression": "lzw", "predictor": True},
    "deflate": {"compression": "zlib", "rowsperstrip": 6},
    "deflate differences": {"compression": "zlib", "predictor": True, "rowsperstrip": 9},
    "PackBits": {"compression": "packbits"},
    "tiles": {"tile": (16, 16)},
    "LZW tiles": {"compression": "lzw", "tile": (16, 32), "predictor": True},
    "big-endian": {"byteorder": ">", "compression": "zlib", "predictor": True},
    "big-endian uncompressed": {"byteorder": ">"},
    "BigTIFF": {"bigtiff": True, "compression": "zlib"},
    "BigTIFF big-endian": {"bigtiff": True, "byteorder": ">"},
}


def picture(dtype: Any = np.uint16, height: int = 37, width: int = 43) -> np.ndarray:
    return np.random.default_rng(5).integers(0, np.iinfo(dtype).max, (height, width), dtype=dtype)


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, metadata=None, **options)
    return file.getvalue()


def craft(pixels: bytes = bytes(range(16)), *, following: int = 0, **changes: int | list[int] | bytes | None) -> bytes:
    """Write a 4 x 4 TIFF by hand; tags are named ``t<code>``, ``None`` leaves one out."""
    tags: dict[str, Any] = {"t256": 4, "t257": 4, "t258": 8, "t259": 1, "t262": 1, "t273": 8, "t277": 1, "t278": 4}
    tags |= {"t279": len(pixels)} | changes
    entries, extra = [], b""
    kept = sorted((int(code[1:]), value) for code, value in tags.items() if value is not None)
    directory = 8 + len(pixels)
    extra_start = directory + 2 + 12 * len(kept) + 4
    for code, value in kept:
        if isinstance(value, bytes):
            kind, count, raw = 2, len(value), value
        else:
            values = value if isinstance(value, list) else [value]
            kind, count, raw = 4, len(values), struct.pack(f"<{len(values)}I", *values)
        if len(raw) > 4:
            place = struct.pack("<I", extra_start + len(extra))
            extra += raw
        else:
            place = raw.ljust(4, b"\0")
        entries.append(struct.pack("<HHI", code, kind, count) + place)
    head = b"II*\0" + struct.pack("<I", directory) + pixels + struct.pack("<H", len(kept))
    return head + b"".join(entries) + struct.pack("<I", following) + extra


def png(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.png_encode(pixels))


def png_part(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width: int, height: int, bits: int = 8, colour: int = 0) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + png_part(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))


def refusal(data: bytes, **options: Any) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        decode_plane(data, name="B03_DNA.tif", **options)
    return caught.value.message


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("options", STORED.values(), ids=STORED)
def test_every_way_of_storing_a_plane_gives_its_pixels(options: dict[str, Any], dtype: Any) -> None:
    pixels = picture(dtype)
    plane = decode_plane(tiff(pixels, **options), name="a.tif")
    np.testing.assert_array_equal(plane, pixels)
    assert plane.dtype == np.dtype(dtype)
    assert plane.flags.writeable


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_png_gives_its_pixels(dtype: Any) -> None:
    plane = decode_plane(png(picture(dtype)), name="a.png")
    np.testing.assert_array_equal(plane, picture(dtype))
    assert plane.flags.writeable


@pytest.mark.parametrize("options", STORED.values(), ids=STORED)
def test_a_file_cut_at_any_byte_is_refused(options: dict[str, Any]) -> None:
    whole = tiff(picture(height=21, width=19), **options)
    for size in range(len(whole)):
        refusal(whole[:size])


def test_a_png_cut_at_any_byte_is_refused() -> None:
    whole = png(picture(height=21, width=19))
    for size in range(len(whole)):
        refusal(whole[:size])


def test_a_cut_file_says_how_much_of_its_pixels_is_there() -> None:
    whole = tiff(picture(np.uint8, 100, 100), rowsperstrip=10)
    start = tifffile.TiffFile(io.BytesIO(whole)).pages.first.dataoffsets[0]
    assert refusal(whole[: start + 4_000]) == "the file ends after 40 % of its pixel data"


def test_a_file_cut_before_its_header_says_so() -> None:
    whole = craft()
    assert "header points to byte" in refusal(whole[:20])
    assert "inside its header" in refusal(whole[:6])


def test_an_empty_file_and_one_of_zero_bytes_say_so() -> None:
    assert refusal(b"") == "the file is empty (0 bytes)"
    assert refusal(bytes(5000)) == "the file is all zero bytes (5,000 of them)"


def test_pixels_that_are_all_zero_are_an_image() -> None:
    black = np.zeros((300, 300), np.uint16)
    for options in STORED.values():
        assert not decode_plane(tiff(black, **options), name="a.tif").any()
    assert decode_plane(png(black), name="a.png").shape == (300, 300)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xff\xd8\xff\xe0rest", "a JPEG image"),
        (b"<html>404</html>", "XML or HTML"),
        (b"\xd0\xcf\x11\xe0rest", ".C01"),
        (b"PK\3\4", "a ZIP file"),
        (b"plain text", "it begins with 70 6c 61 69 6e"),
    ],
)
def test_another_format_is_named(data: bytes, what: str) -> None:
    assert what in refusal(data)


@pytest.mark.parametrize(
    ("pixels", "options", "words"),
    [
        (picture(np.uint8, 8, 9).reshape(8, 3, 3), {"photometric": "rgb"}, "3 samples per pixel (colour)"),
        (picture(np.uint8), {"photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)}, "a palette"),
        (picture(np.uint8), {"photometric": "miniswhite"}, "inverted"),
        (np.ones((8, 8), np.float32), {}, "floating-point numbers"),
        (np.ones((8, 8), np.int16), {}, "signed numbers"),
        (np.ones((8, 8), np.uint32), {}, "32 bits per pixel"),
        (np.ones((8, 8), bool), {"photometric": "minisblack"}, "1 bits per pixel"),
        (picture(np.uint8), {"compression": "jpeg"}, "compression 7 is not read"),
        (picture(), {"compression": "zstd"}, "compression 50000 is not read"),
        (np.stack([picture()] * 5), {"photometric": "minisblack"}, "the file holds 5 planes"),
    ],
)
def test_what_is_not_one_grey_plane_is_refused(pixels: np.ndarray, options: dict[str, Any], words: str) -> None:
    assert words in refusal(tiff(pixels, **options))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"t266": 2}, "reverse order"),
        ({"t317": 3}, "predictor 3 is not read"),
        ({"t317": 2}, "predictor 2 is not read with compression 1"),
        ({"t256": 0}, "0 x 4 pixels"),
        ({"t256": None}, "does not say the width"),
        ({"t256": b"wide"}, "width is no whole number"),
        ({"t262": 2}, "colour (photometric 2)"),
        ({"t339": 9}, "of unknown kind (9)"),
        ({"t278": 0}, "has no pixels"),
        ({"t278": 2}, "lists 1 strips and 1 sizes; its pixels need 2"),
        ({"t279": None}, "lists 1 strips and 0 sizes"),
        ({"t279": 0}, "1 of its 1 strips were never written"),
        ({"t273": 0}, "1 of its 1 strips were never written"),
        ({"t279": 15}, "1 of its 1 strips are too short"),
        ({"t278": 2, "t273": [8, 8], "t279": [150, 150], "t305": bytes(100)}, "strips overlap"),
        ({"t322": 16, "t323": 16, "t324": 8, "t325": 16}, "1 of its 1 tiles are too short"),
        ({"t32997": 3}, "holds 3 planes"),
        ({"t33629": [0] * 14}, "holds 14 planes"),
        ({"t270": b"ImageJ=1.53t\nimages=12\nslices=12\n\0"}, "holds 12 planes"),
        ({"following": 8}, "header points to byte"),
        ({"t259": 5}, "they are not LZW data"),
        ({"t259": 8}, "they are not deflate data"),
        ({"t259": 32773}, "they are not PackBits data"),
    ],
)
def test_a_header_that_cannot_be_right_is_refused(changes: dict[str, Any], words: str) -> None:
    assert words in refusal(craft(**changes))


def test_the_handmade_file_of_these_tests_is_readable() -> None:
    np.testing.assert_array_equal(decode_plane(craft(), name="a.tif"), np.arange(16, dtype=np.uint8).reshape(4, 4))


def test_a_stack_of_one_plane_is_a_plane() -> None:
    harmless: list[dict[str, Any]] = [{"t270": b"ImageJ=1.53t\nimages=1\n\0"}, {"t33629": 0}, {"t32997": 1}]
    for changes in harmless:
        assert decode_plane(craft(**changes), name="a.tif").shape == (4, 4)


def test_a_smaller_copy_beside_the_plane_is_no_second_plane() -> None:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(picture(), metadata=None)
        writer.write(picture()[::4, ::4], subfiletype=1, metadata=None)
    np.testing.assert_array_equal(decode_plane(file.getvalue(), name="a.tif"), picture())


def test_directories_that_point_at_each_other_are_refused() -> None:
    assert "point back at each other" in refusal(craft(following=8 + 16))


def test_a_file_of_very_many_directories_is_refused_without_counting_them_all() -> None:
    start = len(craft())
    one = struct.pack("<HHHI", 1, 254, 4, 1) + struct.pack("<I", 0)
    chain = b"".join(one + struct.pack("<I", start + 18 * (number + 1)) for number in range(3000))
    assert "more than 1,000 planes" in refusal(craft(following=start) + chain)


def test_a_last_strip_that_is_filled_up_with_rows_is_read() -> None:
    rows = np.arange(20, dtype=np.uint8).reshape(5, 4)
    strips = [zlib.compress(rows[:4].tobytes()), zlib.compress(np.pad(rows[4:], ((0, 3), (0, 0))).tobytes())]
    sizes = [len(strip) for strip in strips]
    data = craft(b"".join(strips), t257=5, t259=8, t273=[8, 8 + sizes[0]], t279=sizes)
    np.testing.assert_array_equal(decode_plane(data, name="a.tif"), rows)


def test_compressed_pixels_that_end_early_are_refused() -> None:
    strip = bytes(imagecodecs.lzw_encode(bytes(12)))
    assert "yields 12 bytes of 16" in refusal(craft(strip, t259=5))


def test_one_flipped_bit_in_deflated_pixels_is_found() -> None:
    whole = bytearray(tiff(picture(), compression="zlib"))
    whole[-40] ^= 1
    assert "damaged" in refusal(bytes(whole))


def test_a_damaged_part_of_a_png_is_found() -> None:
    whole = bytearray(png(picture()))
    whole[-40] ^= 1
    assert "the checksum differs" in refusal(bytes(whole))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (png(np.zeros((8, 8, 3), np.uint8)), "RGB colour"),
        (png_header(8, 8, bits=4), "4 bits per pixel"),
        (png_header(0, 8), "claims 0 x 8 pixels"),
        (png_header(50_000, 50_000), "claims 50,000 x 50,000 pixels"),
        (png_header(10_000, 10_000), "which no writer reaches"),
        (png_header(8, 8)[:20], "inside its header"),
        (png_header(8, 8), "before its end mark"),
        (png_header(8, 8) + png_part(b"tRNS", b"\0\0"), "transparency"),
        (png_header(8, 8) + png_part(b"IDAT", b"no zlib") + png_part(b"IEND", b""), "not PNG data"),
    ],
)
def test_a_png_that_is_no_grey_plane_is_refused(data: bytes, words: str) -> None:
    assert words in refusal(data)


@pytest.mark.parametrize(
    "data",
    [
        craft(t256=100_000, t257=100_000, t278=100_000),
        craft(t256=10_000, t257=10_000, t278=10_000),
        craft(t322=4_000_000_000, t323=4_000_000_000, t324=8, t325=16),
        png_header(65_000, 65_000),
        craft(t279=2**32 - 1),
    ],
)
def test_no_memory_is_taken_for_what_a_header_merely_claims(data: bytes) -> None:
    tracemalloc.start()
    refusal(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_the_limits_are_stated() -> None:
    assert f"{MAX_PIXELS:,} are the limit" in refusal(craft(t256=20_000, t257=20_000, t278=20_000))
    assert "16 x 1 pixels; 15 are the limit" in refusal(craft(t256=16, t257=1), max_pixels=15)
    assert decode_plane(craft(), name="a.tif", max_pixels=16).size == 16
    assert f"{MAX_SEGMENTS:,} are the limit" in refusal(craft(bytes(99), t257=MAX_SEGMENTS + 1, t278=1, t256=1))
    assert "which no writer reaches" in refusal(craft(t257=4, t256=MAX_EXPANSION * len(craft()) // 4 + 1))


def test_black_planes_of_the_best_compressors_are_no_bombs() -> None:
    black = np.zeros((2000, 2000), np.uint16)
    for compression in ("lzw", "zlib"):
        data = tiff(black, compression=compression, rowsperstrip=2000, compressionargs={})
        assert black.nbytes / len(data) > 500
        assert not decode_plane(data, name="a.tif").any()


def test_damaged_bytes_never_raise_anything_but_the_refusal() -> None:
    chance = random.Random(11)
    files = [tiff(picture(height=9, width=11), **options) for options in STORED.values()] + [png(picture()), craft()]
    for _ in range(4000):
        data = bytearray(chance.choice(files))
        for _ in range(chance.choice([1, 1, 2, 6])):
            data[chance.randrange(min(len(data), chance.choice([60, 300, len(data)])))] = chance.choice([0, 1, 16, 255])
        with contextlib.suppress(UnreadableImageError):
            assert decode_plane(bytes(data), name="a.tif").ndim == 2


def test_the_refusal_names_the_file_and_travels_between_processes() -> None:
    with pytest.raises(UnreadableImageError) as caught:
        decode_plane(b"", name="sub/B03_DNA.tif")
    assert str(pickle.loads(pickle.dumps(caught.value))) == "the file is empty (0 bytes) (file sub/B03_DNA.tif)"


def test_nothing_is_logged_or_printed(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    whole = tiff(picture())
    refusal(whole[:-50])
    refusal(craft(t65000=[1] * 20)[:-10])
    refusal(png_header(8, 8) + png_part(b"IDAT", b"no zlib") + png_part(b"IEND", b""))
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_a_png_part_of_an_odd_name_is_damage_in_words_of_ours() -> None:
    whole = png(picture(np.uint16))
    data = whole[:33] + png_part(b"tE\xd7U", b"odd") + whole[33:]
    with pytest.raises(UnreadableImageError, match="they are not PNG data"):
        decode_plane(data, name="a.png")
