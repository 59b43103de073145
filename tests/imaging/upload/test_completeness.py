from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from imaging.upload.completeness import find_cut

PIXELS = np.random.default_rng(1).integers(0, 65536, (256, 256), dtype=np.uint16)
CUT = "the TIFF ends before its pixels do"


def tiff(pixels: np.ndarray = PIXELS, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def png() -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def look(data: bytes, name: str = "image.tif") -> str:
    return find_cut(name, io.BytesIO(data), len(data))


KINDS = {
    "strips": tiff(rowsperstrip=16),
    "big-endian": tiff(byteorder=">"),
    "BigTIFF": tiff(bigtiff=True),
    "tiles": tiff(tile=(64, 64)),
    "compressed": tiff(compression="zlib"),
    "pages": tiff(np.stack([PIXELS] * 3), photometric="minisblack"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_tiff_is_complete(kind: str) -> None:
    assert look(KINDS[kind]) == ""


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("kind", KINDS)
def test_a_tiff_that_ends_early_is_not(kind: str, share: float) -> None:
    data = KINDS[kind]
    assert look(data[: max(12, int(share * len(data)))]) == CUT


def test_a_single_missing_byte_of_the_pixels_is_seen() -> None:
    data = tiff()
    assert look(data) == ""
    assert look(data[:-1]) == CUT


def test_a_header_without_a_page_is_not_complete_yet() -> None:
    assert look(b"II*\0" + bytes(4)) == CUT


def test_a_png_needs_its_last_chunk() -> None:
    assert look(png(), "image.PNG") == ""
    assert look(png()[:-5], "image.png") == "the PNG has no end"


def test_a_file_whose_size_was_set_before_it_was_written_has_no_header() -> None:
    assert look(bytes(1000)) == "the image has no header"


def test_an_empty_image_is_not_complete_and_an_empty_marker_is() -> None:
    assert look(b"") == "the image is empty"
    assert look(b"", "acquisition.done") == ""


def test_only_images_are_judged() -> None:
    assert look(b"well,site", "plate.csv") == ""


def test_pages_in_a_ring_come_to_an_end() -> None:
    page = struct.pack("<H", 0) + struct.pack("<I", 8)
    assert look(b"II*\0" + struct.pack("<I", 8) + page) == ""


def test_a_count_that_no_file_can_hold_is_a_cut() -> None:
    entry = struct.pack("<HHII", 273, 4, 0xFFFFFFFF, 8)
    assert look(b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)) == CUT


def test_real_images_are_complete() -> None:
    folder = Path(__file__).parents[2] / "data" / "bbbc013"
    images = [path for path in folder.rglob("*") if path.suffix.lower() in (".tif", ".png")]
    for path in images[:20]:
        with path.open("rb") as file:
            assert find_cut(path.name, file, path.stat().st_size) == ""


class Counted(io.BytesIO):
    """A file that knows how many bytes were read of it."""

    n_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.n_read += len(data)
        return data


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


@pytest.mark.parametrize("of_page", ["a page with as many entries as can be", "more strips than can be"])
def test_a_header_that_claims_half_of_a_large_file_is_not_read(of_page: str) -> None:
    entries, n_strips = (60_000, 1) if of_page.startswith("a page") else (1, 2_000_000)
    page = struct.pack("<H", entries) + entry(273, 4, n_strips, 8) + bytes(12 * (entries - 1) + 4)
    file = Counted(struct.pack("<2sHI", b"II", 42, 8) + page + bytes(8_500_000))
    assert find_cut("image.tif", file, len(file.getvalue())) == ""
    assert file.n_read < 10_000


def test_pages_that_share_their_strips_list_are_looked_at_within_bounds() -> None:
    n_pages, n_strips, size = 40, 100_000, 2 + 12 + 4
    strips = 8 + n_pages * size
    pages = b"".join(
        struct.pack("<H", 1) + entry(273, 4, n_strips, strips) + struct.pack("<I", 8 + (number + 1) % n_pages * size)
        for number in range(n_pages)
    )
    file = Counted(struct.pack("<2sHI", b"II", 42, 8) + pages + bytes(4 * n_strips))
    assert find_cut("image.tif", file, len(file.getvalue())) == ""
    assert file.n_read < 12 * 4 * n_strips
