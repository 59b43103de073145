"""Pages of a TIFF file of several planes: where each one's directory stands, and one of them as pixels.

Only what is asked for is read: the directories up to the page, then its strips or tiles. Where the directories stand
is found once per opened file, for the planes of a stack are read one by one.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import replace

import numpy as np

from imaging.byte_sources import ByteSource, WholeBytes
from imaging.decode import MAX_PIXELS
from imaging.errors import UnreadableImageError
from imaging.tiff_layout import TiffHeader, TiffLayout, read_tiff_layout

MAX_PAGES = 100_000
"""Directories of a file that are followed."""
_NEAR = 1024 * 1024  # bytes between strips that are rather fetched than asked around
IMAGE_DESCRIPTION = 270


class TiffPages:
    """A TIFF file of several planes; its pages count from 1."""

    def __init__(self, source: ByteSource) -> None:
        self.source = source
        self._starts: dict[int, None] = {}
        self._last = 0
        self._lock = threading.Lock()

    def layout(self, page: int) -> TiffLayout:
        """Where the pixels of a page lie.

        Raises
        ------
        UnreadableImageError
            If the file is cut off or damaged, has no such page, or it is no plane of unsigned 8- or 16-bit samples.
        """
        return read_tiff_layout(self.source, max_pixels=MAX_PIXELS, directory=self._start(page))

    def description(self, most: int) -> bytes:
        """Text of the first page's ImageDescription, at most so many bytes."""
        header = _open_header(self.source)
        return header.text(header.directory(header.first)[0], IMAGE_DESCRIPTION, most)

    def _start(self, page: int) -> int:
        """First byte of a page's directory; the chain is walked once, however many threads ask."""
        header = _open_header(self.source)
        with self._lock:
            if not self._starts:
                self._starts[header.first] = None
                self._last = header.first
            while len(self._starts) < page:
                _, following = header.directory(self._last)
                if not following:
                    raise UnreadableImageError(f"page {page:,} is needed, and the file has {len(self._starts):,}")
                if following in self._starts:
                    raise UnreadableImageError("its header is damaged: its directories point back at each other")
                if len(self._starts) >= MAX_PAGES:
                    raise UnreadableImageError(f"the file has more than {MAX_PAGES:,} pages")
                self._starts[following] = None
                self._last = following
            return next(itertools.islice(self._starts, page - 1, None))


def read_segments(source: ByteSource, layout: TiffLayout) -> tuple[ByteSource, TiffLayout]:
    """Fetch a page's strips or tiles, in one piece where they lie close together.

    Returns
    -------
    The bytes that were fetched and the layout within them.
    """
    first, end = int(layout.offsets.min()), int((layout.offsets + layout.byte_counts).max())
    stored = int(layout.byte_counts.sum())
    if end - first <= stored + max(_NEAR, stored // 4):
        return WholeBytes(source.read(first, end - first)), replace(layout, offsets=layout.offsets - first)
    places = zip(layout.offsets.tolist(), layout.byte_counts.tolist(), strict=True)
    joined = b"".join(bytes(source.read(start, size)) for start, size in places)
    starts = np.concatenate([[0], np.cumsum(layout.byte_counts)[:-1]])
    return WholeBytes(joined), replace(layout, offsets=starts)


def digest_page(fetched: ByteSource, layout: TiffLayout) -> str:
    """Name a page by its content: how its samples are stored, and the bytes of its strips or tiles."""
    described = f"{layout.height} {layout.width} {layout.dtype.str} {layout.compression} {layout.has_differences} "
    content = hashlib.sha256(f"{described}{layout.segment_shape}".encode())
    for start, size in zip(layout.offsets.tolist(), layout.byte_counts.tolist(), strict=True):
        content.update(fetched.read(start, size))
    return content.hexdigest()[:32]


def _open_header(source: ByteSource) -> TiffHeader:
    if bytes(source.read(0, 2)) not in (b"II", b"MM"):
        raise UnreadableImageError("the file is no TIFF, and one of several pages is needed")
    return TiffHeader(source)
