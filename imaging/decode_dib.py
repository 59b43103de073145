"""Cellomics' images: a Windows bitmap without its file header (.DIB), mostly compressed (.C01), to one plane.

A .C01 is four bytes and a zlib stream; inside is a device-independent bitmap: 40 bytes of header, for 16-bit pixels
three masks of 4 bytes, for 8-bit ones perhaps a palette of greys, then the rows from top to bottom. Its header may say
little of the sizes, so what is there must fit them exactly.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from imaging.errors import UnreadableImageError
from imaging.tiff_layout import MAX_EXPANSION

_HEADER = struct.Struct("<IiiHHI")  # size of the header, width, height, planes, bits per pixel, compression
_HEADER_SIZE = 40
_MARKS = (b"\0\0\0\x10", b"\x10\0\0\0")
_MASKS = 12
_PIECE = 1024 * 1024
_PALETTE = 4 * 256


def is_c01(data: bytes | memoryview) -> bool:
    """Whether bytes begin like a .C01: the number 16 in four bytes, then a zlib stream."""
    return data[:4] in _MARKS and len(data) > 6 and data[4] == 0x78 and (data[4] << 8 | data[5]) % 31 == 0


def is_dib(data: bytes | memoryview) -> bool:
    """Whether bytes begin like the header of a bitmap, with one plane of 8 or 16 bits."""
    if len(data) < _HEADER.size:
        return False
    size, _, _, planes, bits, _ = _HEADER.unpack_from(data)
    return size == _HEADER_SIZE and planes == 1 and bits in (1, 4, 8, 16, 24, 32)


def decode_c01(data: bytes | memoryview, max_pixels: int) -> NDArray[np.uint8 | np.uint16]:
    """Decompress a .C01, never beyond what its header claims, and read the bitmap.

    Raises
    ------
    UnreadableImageError
        If the file is cut off, damaged or too large, or is no plane of 8 or 16 bits.
    """
    stream, view = zlib.decompressobj(), memoryview(data)
    try:
        header = stream.decompress(view[4:_PIECE], _HEADER_SIZE)
        if not is_dib(header) or len(header) < _HEADER_SIZE:
            raise UnreadableImageError("it begins like a Cellomics .C01 file but holds no bitmap")
        width, height, itemsize = _read_header(header, len(data), max_pixels)
        most = _HEADER_SIZE + _MASKS + _PALETTE + _row_bytes(width, itemsize) * height
        bitmap = bytearray(header)
        for start in range(0, max(len(view), 1), _PIECE):
            stored = view[start : start + _PIECE] if start else stream.unconsumed_tail
            while stored and not stream.eof and len(bitmap) < most:
                bitmap += stream.decompress(stored, min(_PIECE, most - len(bitmap)))
                stored = stream.unconsumed_tail
            if stream.eof or stored:
                break
    except zlib.error as error:
        raise UnreadableImageError("its pixel data are damaged: they are not zlib data") from error
    if not stream.eof and len(bitmap) < most:
        raise UnreadableImageError("the file is cut off: its compressed data do not end")
    if not stream.eof:
        raise UnreadableImageError(f"its pixel data are damaged: they yield more than {width:,} x {height:,} pixels")
    return _read_rows(bitmap, width, height, itemsize)


def decode_dib(data: bytes | memoryview, max_pixels: int) -> NDArray[np.uint8 | np.uint16]:
    """Read a bitmap without a file header.

    Raises
    ------
    UnreadableImageError
        If the file is cut off or too large, or is no plane of 8 or 16 bits.
    """
    if len(data) < _HEADER_SIZE:
        raise UnreadableImageError(f"the file ends after {len(data)} bytes, inside its header")
    return _read_rows(data, *_read_header(data, len(data), max_pixels))


def find_dib_fault(start: bytes, size: int, max_pixels: int) -> str | None:
    """Say what is wrong with an uncompressed bitmap of so many bytes by its first ones, or ``None``."""
    if len(start) < _HEADER_SIZE:
        return f"the file ends after {len(start)} bytes, inside its header"
    try:
        _find_rows(start[: _HEADER_SIZE + _MASKS], size, *_read_header(start, size, max_pixels))
    except UnreadableImageError as error:
        return error.message
    return None


def _read_header(data: bytes | memoryview, file_size: int, max_pixels: int) -> tuple[int, int, int]:
    """Width, height and bytes per pixel."""
    _, width, height, _, bits, compression = _HEADER.unpack_from(data)
    if bits not in (8, 16):
        raise UnreadableImageError(f"it has {bits} bits per pixel; 8 or 16 are needed")
    if compression not in (0, 3):
        raise UnreadableImageError(f"its bitmap has compression {compression}, which is not read")
    height = abs(height)
    if not 0 < width * height <= max_pixels:
        raise UnreadableImageError(f"the header claims {width:,} x {height:,} pixels; {max_pixels:,} are the limit")
    if width * height * bits // 8 > MAX_EXPANSION * file_size:
        raise UnreadableImageError(
            f"the header claims {width:,} x {height:,} pixels in a file of {file_size:,} bytes, which no writer reaches"
        )
    return width, height, bits // 8


def _read_rows(
    bitmap: bytes | bytearray | memoryview, width: int, height: int, itemsize: int
) -> NDArray[np.uint8 | np.uint16]:
    start, row_bytes = _find_rows(bytes(bitmap[: _HEADER_SIZE + _MASKS]), len(bitmap), width, height, itemsize)
    rows = np.frombuffer(bitmap, np.uint8, row_bytes * height, start).reshape(height, row_bytes)
    if not isinstance(bitmap, bytearray) or row_bytes > width * itemsize:  # it is not ours alone, or rows have gaps
        rows = rows[:, : width * itemsize].copy()
    return rows.view(f"<u{itemsize}").astype(f"=u{itemsize}", copy=False)


def _find_rows(header: bytes, size: int, width: int, height: int, itemsize: int) -> tuple[int, int]:
    """First byte of the rows and bytes of a row: header, masks, palette and rows must fill the bitmap exactly."""
    masked = _HEADER_SIZE + _MASKS
    starts = (masked,) if _has_masks(header, itemsize) else (_HEADER_SIZE, masked)
    for row_bytes in (_row_bytes(width, itemsize), width * itemsize):
        for start in (*starts, *(start + _PALETTE for start in starts)):
            if start + row_bytes * height == size:
                return start, row_bytes
    raise UnreadableImageError(
        f"it is cut off or damaged: {width:,} x {height:,} pixels and their header need "
        f"{starts[0] + _row_bytes(width, itemsize) * height:,} bytes, and the bitmap has {size:,}"
    )


def _has_masks(header: bytes, itemsize: int) -> bool:
    """Whether three masks that share out a pixel's bits follow the header, as they do where pixels have 16 bits."""
    masks = struct.unpack_from("<3I", header.ljust(_HEADER_SIZE + _MASKS, b"\0"), _HEADER_SIZE)
    return itemsize == 2 and sum(masks) in (0xFFFF, 0x7FFF) and 0 not in masks


def _row_bytes(width: int, itemsize: int) -> int:
    return -(-width * itemsize // 4) * 4
