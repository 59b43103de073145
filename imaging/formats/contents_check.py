"""Whether an object that has arrived can be a whole image: its header and ends are looked at, by ranges, no pixel.

Zero-filled, cut off, half-uploaded and empty files are found while their site still waits for others. What is said here
would also be said when the plane is read; a file of which nothing is said may still be damaged within.
"""

from __future__ import annotations

import struct

import numpy as np

from imaging.byte_sources import ByteSource
from imaging.decode import MAX_PIXELS, PNG, say_what_it_is
from imaging.decode_dib import find_dib_fault, is_c01, is_dib
from imaging.errors import UnreadableImageError
from imaging.formats.contract import Folder
from imaging.formats.inside import open_source, parse_inside
from imaging.formats.members import DeflatedBytes
from imaging.tiff_layout import TiffLayout, read_tiff_layout
from imaging.tiff_pages import TiffPages

_START = 4_096
_END = 512
_LOOKED_AT = 16  # bytes of a strip; no compressed one begins with so many zeros


def find_content_fault(folder: Folder, name: str, token: str, size: int, inside: str = "") -> str | None:
    """Say in one sentence why an object cannot be a whole image, or ``None``.

    Parameters
    ----------
    folder, name, token, size
        The folder (a store is one), the object's name in it, its version and its bytes.
    inside
        Which plane of the object is meant, as ``imaging.formats.inside`` writes it.

    Raises
    ------
    ChangedObjectError, FileNotFoundError
        If that version is gone.
    StoreUnavailableError, ForbiddenFileError
        If the storage does not answer, or the object may not be read.
    """
    where = parse_inside(inside)
    if where.array:
        return None  # its chunks are counted where it is found
    try:
        source = open_source(folder, name, token, where, size)
        if not source.size:
            return "the file is empty (0 bytes)"
        if not isinstance(source, DeflatedBytes):  # a checksum goes with it, and all would have to be unpacked
            _look(source, where.page)
    except UnreadableImageError as error:
        return error.message
    return None


def _look(source: ByteSource, page: int) -> None:
    """Look at the start, the header and the ends of what is stored."""
    start = bytes(source.read(0, _START))
    if page or start[:2] in (b"II", b"MM"):
        layout = TiffPages(source).layout(page) if page else read_tiff_layout(source, max_pixels=MAX_PIXELS)
        _look_at_segments(source, layout)
    elif start[:8] == PNG:
        _look_at_png(source, start)
    elif is_c01(start):
        if not bytes(source.read(source.size - _END, _END) if source.size > 2 * _END else start).strip(b"\0"):
            raise UnreadableImageError("the file ends in zeros: it was only partly written")
    elif is_dib(start):
        fault = find_dib_fault(start, source.size, MAX_PIXELS)
        if fault:
            raise UnreadableImageError(fault)
    else:
        raise UnreadableImageError(say_what_it_is(start, source.size))


def _look_at_segments(source: ByteSource, layout: TiffLayout) -> None:
    """Of compressed strips or tiles, look at the first, the middle and the last: zeros are none of their beginnings."""
    if layout.compression == "none":
        return  # dark pixels are zeros
    n = len(layout.offsets)
    for index in np.unique([0, n // 2, n - 1]).tolist():
        size = min(int(layout.byte_counts[index]), _LOOKED_AT)
        if size >= _LOOKED_AT and not bytes(source.read(int(layout.offsets[index]), size)).strip(b"\0"):
            raise UnreadableImageError(
                f"part {index + 1} of {n:,} of its pixel data begins with zeros: the file was only partly written"
            )


def _look_at_png(source: ByteSource, start: bytes) -> None:
    """Check the header of a PNG file and its end mark; where it is not at the end, walk the parts to it."""
    if len(start) < 33 or start[12:16] != b"IHDR":
        raise UnreadableImageError(f"the file ends after {len(start)} bytes, inside its header")
    end = bytes(source.read(max(0, source.size - 12), 12))
    if end[4:8] == b"IEND":
        return
    place, kind = 8, b""
    while kind != b"IEND":
        head = bytes(source.read(place, 8))
        if len(head) < 8:
            raise UnreadableImageError("the file is cut off: it ends before its end mark")
        (size,), kind = struct.unpack_from(">I", head), head[4:]
        if not kind.isalpha():
            raise UnreadableImageError(f"its part at byte {place:,} is damaged: it has no name")
        place += 12 + size
        if place > source.size:
            raise UnreadableImageError(f"the file is cut off: it ends inside its part at byte {place - 12 - size:,}")
