"""Whether an image file has its end, told from its own structure: cheaply, without decoding a pixel.

A file whose size rests may still be unfinished: its writer waits for the camera, or has set the final size before it
wrote. A TIFF says where its strips end, a PNG has a last chunk.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

IMAGE_SUFFIXES = (".tif", ".tiff", ".png")
MOST_PAGES = 4096
"""Pages of a TIFF that are looked at; one with more is taken as it is."""
_MOST_ENTRIES = 1000
"""Entries of a page that are looked at; instruments write fewer than a hundred."""
_MOST_PARTS = 1 << 20
"""Strips or tiles that are looked at, of all pages together."""
_PNG = b"\x89PNG\r\n\x1a\n"
_OFFSETS, _COUNTS = (273, 324), (279, 325)  # StripOffsets, TileOffsets; StripByteCounts, TileByteCounts
_CODES = {3: "H", 4: "I", 16: "Q"}
_SIZES = {3: 2, 4: 4, 16: 8}


class _CutError(Exception):
    """The file ends before its structure does."""


def find_cut(name: str, file: BinaryIO, size: int) -> str:
    """Say why an image is not complete; nothing if it is, or if its name is not that of a TIFF or PNG.

    Parameters
    ----------
    name
        Name of the file.
    file
        The file, opened for reading bytes.
    size
        Its size in bytes.
    """
    if not name.lower().endswith(IMAGE_SUFFIXES):
        return ""
    if not size:
        return "the image is empty"
    head = file.read(16)
    try:
        if head.startswith(_PNG):
            file.seek(max(0, size - 12))
            return "" if file.read(12)[4:8] == b"IEND" else "the PNG has no end"
        if head[:2] in (b"II", b"MM"):
            _check_pages(_Tiff(file, size, head))
            return ""
    except (_CutError, struct.error):
        return "the TIFF ends before its pixels do"
    return "the image has no header"


class _Tiff:
    """Reads of one TIFF, in its byte order and its width of offsets."""

    def __init__(self, file: BinaryIO, size: int, head: bytes) -> None:
        self.file, self.size = file, size
        self.order = "<" if head[:2] == b"II" else ">"
        (version,) = struct.unpack_from(self.order + "H", head, 2)
        self.is_big = version == 43
        self.left = _MOST_PARTS
        self.first = struct.unpack_from(self.order + ("Q" if self.is_big else "I"), head, 8 if self.is_big else 4)[0]

    def at(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:
            raise _CutError
        self.file.seek(offset)
        return self.file.read(length)

    def numbers(self, code: str, data: bytes) -> tuple[int, ...]:
        return struct.unpack(self.order + code, data)


def _check_pages(tiff: _Tiff) -> None:
    offset, seen = tiff.first, set[int]()
    if not offset:
        raise _CutError
    while offset and offset not in seen and len(seen) < MOST_PAGES:
        seen.add(offset)
        offset = _check_page(tiff, offset)


def _check_page(tiff: _Tiff, offset: int) -> int:
    """Hold one page's strips or tiles against the size, and return where the next page begins."""
    head, entry, tail = ("Q", 20, "Q") if tiff.is_big else ("H", 12, "I")
    (count,) = tiff.numbers(head, tiff.at(offset, struct.calcsize(head)))
    if count > _MOST_ENTRIES:
        return 0  # no writer's; what it is will be said where it is read
    start = offset + struct.calcsize(head)
    table = tiff.at(start, count * entry)
    offsets: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()
    for number in range(count):
        row = table[number * entry : (number + 1) * entry]
        (tag,) = tiff.numbers("H", row[:2])
        if tag in _OFFSETS and not offsets:
            offsets = _values(tiff, row)
        elif tag in _COUNTS and not counts:
            counts = _values(tiff, row)
    if any(begin + length > tiff.size for begin, length in zip(offsets, counts, strict=False)):
        raise _CutError
    return tiff.numbers(tail, tiff.at(start + count * entry, struct.calcsize(tail)))[0]


def _values(tiff: _Tiff, row: bytes) -> tuple[int, ...]:
    """Values of an entry of unsigned integers, in it or where it points; none if too many or of another type."""
    (kind,) = tiff.numbers("H", row[2:4])
    width = "Q" if tiff.is_big else "I"
    (count,) = tiff.numbers(width, row[4 : 4 + struct.calcsize(width)])
    if kind not in _CODES:
        return ()
    length = count * _SIZES[kind]
    if length > tiff.size:
        raise _CutError
    if count > tiff.left:
        return ()
    tiff.left -= count
    place = row[4 + struct.calcsize(width) :]
    data = place[:length] if length <= len(place) else tiff.at(tiff.numbers(width, place)[0], length)
    return tiff.numbers(f"{count}{_CODES[kind]}", data)
