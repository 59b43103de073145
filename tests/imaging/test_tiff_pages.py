"""Pages of a TIFF file: the right pixels, few bytes read, and every way of not being there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imaging.byte_sources import RangedBytes, WholeBytes
from imaging.decode import decode_segments
from imaging.errors import UnreadableImageError
from imaging.tiff_pages import TiffPages, digest_page, read_segments
from tests.odd_files import craft_tiff, plane_tags, tiff

STACK = np.random.default_rng(3).integers(0, 60_000, (7, 40, 50)).astype(np.uint16)


def read_page(pages: TiffPages, page: int) -> np.ndarray:
    return decode_segments(*read_segments(pages.source, pages.layout(page)))


@pytest.mark.parametrize(
    "options",
    [{}, {"compression": "zlib", "rowsperstrip": 7}, {"tile": (16, 16)}, {"bigtiff": True}, {"byteorder": ">"}],
)
def test_each_page_gives_its_pixels(options: dict[str, Any]) -> None:
    pages = TiffPages(WholeBytes(tiff(STACK, photometric="minisblack", **options)))
    for page in (3, 1, 7, 2):
        np.testing.assert_array_equal(read_page(pages, page), STACK[page - 1])


def test_strips_that_lie_far_apart_are_read_one_by_one() -> None:
    data = tiff(STACK, photometric="minisblack", rowsperstrip=20)
    pages = TiffPages(WholeBytes(data))
    layout = pages.layout(1)
    far = 3 * 1024 * 1024
    moved = data.ljust(far, b"\0") + data[layout.offsets[1] : layout.offsets[1] + layout.byte_counts[1]]
    layout.offsets[1] = far
    fetched, within = read_segments(WholeBytes(moved), layout)
    assert fetched.size == layout.byte_counts.sum()
    np.testing.assert_array_equal(decode_segments(fetched, within), STACK[0])


def test_a_page_costs_its_own_bytes_only() -> None:
    stack = np.zeros((40, 256, 256), np.uint16)
    data = tiff(stack, photometric="minisblack")
    asked = []

    def fetch(start: int, size: int) -> bytes:
        asked.append(size)
        return data[start : start + size]

    pages = TiffPages(RangedBytes(fetch, len(data)))
    read_page(pages, 2)
    assert sum(asked) < 6 * 256 * 256 * 2
    before = len(asked)
    read_page(pages, 2)
    assert len(asked) == before + 1  # its directory is known, and its pixels are one piece


def test_a_digest_names_content_and_not_the_page() -> None:
    pages = TiffPages(WholeBytes(tiff(STACK[[0, 1, 0]], photometric="minisblack")))
    digests = [digest_page(*read_segments(pages.source, pages.layout(page))) for page in (1, 2, 3)]
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize(
    ("data", "page", "words"),
    [
        (tiff(STACK[:2], photometric="minisblack"), 3, "page 3 is needed, and the file has 2"),
        (craft_tiff(plane_tags(4, 4, size=32), following=8), 2, "point back at each other"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), 1, "no TIFF"),
        (tiff(STACK, photometric="minisblack")[:9_000], 7, "cut off"),
        (tiff(STACK.astype(np.float32), photometric="minisblack"), 2, "floating-point"),
    ],
)
def test_a_page_that_cannot_be_read_says_why(data: bytes, page: int, words: str) -> None:
    with pytest.raises(UnreadableImageError, match=words):
        read_page(TiffPages(WholeBytes(data)), page)


def test_the_description_is_that_of_the_first_page() -> None:
    data = tiff(STACK, photometric="minisblack", description="words of the writer")
    assert TiffPages(WholeBytes(data)).description(9) == b"words of "
