"""One uploaded image file to one plane of pixels, or one sentence that says why not.

TIFF (uncompressed, LZW, deflate, PackBits; strips or tiles), PNG and Cellomics' .C01 and .DIB, unsigned 8 or 16 bits,
one channel, one plane.
Everything is decided from the header before memory is taken, and a file that was cut off is refused wherever it was
cut: missing pixels are never filled with zeros. Pixels that are all zero are an image; judging them is a matter of
image quality.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from imaging.byte_sources import ByteSource, WholeBytes
from imaging.decode_dib import decode_c01, decode_dib, is_c01, is_dib
from imaging.errors import UnreadableImageError
from imaging.tiff_layout import MAX_EXPANSION, TiffLayout, read_tiff_layout

MAX_PIXELS = 96 * 1024 * 1024
"""Largest plane that is read, height x width, so that one takes less than a second: 192 MiB of 16-bit pixels."""

PNG = b"\x89PNG\r\n\x1a\n"
_OTHERS = {
    b"\xff\xd8\xff": "a JPEG image",
    b"GIF8": "a GIF image",
    b"BM": "a BMP image",
    b"\x1f\x8b": "a gzip file",
    b"PK": "a ZIP file",
    b"\xd0\xcf\x11\xe0": "a Microsoft compound file (some .C01 are)",
    b"\x00\x01\x00\x00Standard Jet DB": "a Microsoft Access database",
    b"<": "XML or HTML text",
    b"%PDF": "a PDF document",
}
_ROWS = 64
_HARMLESS = 256 * 1024  # bytes of pixel data of a PNG that unpack to less than 300 MB whatever they are
_PNG_COLOURS = {2: "RGB colour", 3: "a palette", 4: "greyscale with transparency", 6: "RGB colour with transparency"}
_DECODERS: dict[str, Callable[..., Any]] = {
    "LZW": imagecodecs.lzw_decode,
    "deflate": imagecodecs.deflate_decode,
    "PackBits": imagecodecs.packbits_decode,
}


def decode_plane(data: bytes | memoryview, *, name: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8 | np.uint16]:
    """Read the plane of an image file.

    Parameters
    ----------
    data
        The whole file.
    name
        The file's name, for the error.
    max_pixels
        Largest height x width that is taken.

    Returns
    -------
    Pixels, shape ``(y, x)``, uint8 or uint16 of the machine's byte order, writable, as stored: no scaling, no rotation.

    Raises
    ------
    UnreadableImageError
        If the file is empty, cut off, damaged or too large, or is not one plane of unsigned 8- or 16-bit pixels.
    """
    return _decode(data, name, max_pixels, is_labels=False)


def decode_labels(data: bytes, *, name: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.integer]:
    """Read the label image of a file.

    Parameters
    ----------
    data, name, max_pixels
        As of ``decode_plane``.

    Returns
    -------
    What is stored, shape ``(y, x)``, whole numbers of 8, 16 or (TIFF) 32 bits, signed or not.

    Raises
    ------
    UnreadableImageError
        If the file is empty, cut off, damaged or too large, or is not one plane of such numbers.
    """
    return _decode(data, name, max_pixels, is_labels=True)


def _decode(data: bytes | memoryview, name: str, max_pixels: int, *, is_labels: bool) -> NDArray[Any]:
    try:
        if data[:2] in (b"II", b"MM"):
            whole = WholeBytes(data)
            return decode_segments(whole, read_tiff_layout(whole, max_pixels=max_pixels, is_labels=is_labels))
        if data[:8] == PNG:
            return _decode_png(data, max_pixels)
        if is_c01(data):
            return decode_c01(data, max_pixels)
        if is_dib(data):
            return decode_dib(data, max_pixels)
        raise UnreadableImageError(say_what_it_is(data))
    except UnreadableImageError as error:
        error.key = name
        raise


def is_image_start(start: bytes | memoryview) -> bool:
    """Whether a file that begins so, with 28 bytes or more, is of a kind that is read."""
    return start[:2] in (b"II", b"MM") or start[:8] == PNG or is_c01(start) or is_dib(start)


def say_what_it_is(data: bytes | memoryview, size: int | None = None) -> str:
    """Say what a file that is neither TIFF nor PNG is, by all of it or, of a file of that size, by its beginning."""
    if not data:
        return "the file is empty (0 bytes)"
    if not np.frombuffer(data, np.uint8).any():
        if size is not None and size > len(data):
            return f"the file begins with {len(data):,} zero bytes (it has {size:,}): it was not written"
        return f"the file is all zero bytes ({len(data):,} of them)"
    start = bytes(data[:32])
    for magic, what in _OTHERS.items():
        if start.startswith(magic):
            return f"the file is {what}, not TIFF or PNG"
    return f"the file is not TIFF or PNG: it begins with {start[:8].hex(' ')}"


def decode_segments(source: ByteSource, layout: TiffLayout) -> NDArray[Any]:
    """Decode each strip or tile of a TIFF to its place; each must yield all of its pixels.

    Parameters
    ----------
    source
        The file, or as much of it as the layout's offsets count in.
    layout
        Where the plane lies.

    Returns
    -------
    Pixels, shape ``(y, x)``, the layout's type in the machine's byte order.

    Raises
    ------
    UnreadableImageError
        If a segment is damaged.
    """
    rows, columns = layout.segment_shape
    per_row = -(-layout.width // columns)
    plane = np.empty((layout.height, layout.width), layout.dtype.newbyteorder("="))
    is_packed, room = layout.compression != "none", bytearray()
    for index, (start, size) in enumerate(zip(layout.offsets.tolist(), layout.byte_counts.tolist(), strict=True)):
        y, x = index // per_row * rows, index % per_row * columns
        place = plane[y : y + rows, x : x + columns]
        stored_rows = rows if columns != layout.width else place.shape[0]  # the last strip may hold fewer rows
        # whole rows are unpacked in their place, for a copy of a large plane is as large
        is_whole = is_packed and columns == layout.width and place.shape[0] == rows
        if is_packed and not is_whole and not room:
            room = bytearray(rows * columns * layout.dtype.itemsize)
        into = memoryview(place.reshape(-1).view(np.uint8).data) if is_whole else room
        stored = _expand(layout.compression, source.read(start, size), into)
        if len(stored) < stored_rows * columns * layout.dtype.itemsize:
            raise UnreadableImageError(
                f"its pixel data are damaged: part {index + 1} of {len(layout.offsets)} yields {len(stored):,} bytes "
                f"of {stored_rows * columns * layout.dtype.itemsize:,}"
            )
        if is_whole:
            if not layout.dtype.isnative:
                place.byteswap(inplace=True)
        else:
            pixels = np.frombuffer(stored, layout.dtype, stored_rows * columns).reshape(stored_rows, columns)
            place[...] = pixels[: place.shape[0], : place.shape[1]]
        if layout.has_differences:
            _add_up(place)
    return plane


def _add_up(place: NDArray[Any]) -> None:
    """Make pixels of the differences in rows, modulo 2^bits as they were written; a few rows at a time."""
    for row in range(0, len(place), _ROWS):
        rows = place[row : row + _ROWS]
        np.add.accumulate(rows, axis=1, dtype=place.dtype, out=rows)


def _expand(
    compression: str, stored: memoryview | bytes, room: bytearray | memoryview
) -> memoryview | bytes | bytearray:
    """Decompress one segment into ``room``, never beyond it; what comes back may be shorter."""
    if compression == "none":
        return stored
    try:
        return _DECODERS[compression](stored, out=room)
    except RuntimeError as error:  # what all errors of imagecodecs are
        raise UnreadableImageError(f"its pixel data are damaged: they are not {compression} data") from error


def _decode_png(data: bytes | memoryview, max_pixels: int) -> NDArray[np.uint8 | np.uint16]:
    """Check the frame of a PNG file and every part's checksum, then decode it."""
    if len(data) < 33:
        raise UnreadableImageError(f"the file ends after {len(data)} bytes, inside its header")
    width, height, bits, colour = struct.unpack_from(">IIBB", data, 16)
    if colour != 0:
        raise UnreadableImageError(f"its pixels are {_PNG_COLOURS.get(colour, 'of unknown kind')}; greyscale is needed")
    if bits not in (8, 16):
        raise UnreadableImageError(f"it has {bits} bits per pixel; 8 or 16 are needed")
    if not 0 < width * height <= max_pixels:
        raise UnreadableImageError(f"the header claims {width:,} x {height:,} pixels; {max_pixels:,} are the limit")
    if width * height * bits // 8 > MAX_EXPANSION * len(data):
        raise UnreadableImageError(
            f"the header claims {width:,} x {height:,} pixels in a file of {len(data):,} bytes, which no writer reaches"
        )
    rows = height * (width * bits // 8)
    if _check_png_parts(data) > _HARMLESS:
        _refuse_excess(data, rows + 8 * (height + 8))  # a byte before each row; interlaced ones have more rows
    try:
        return np.asarray(imagecodecs.png_decode(data))  # pyright: ignore[reportArgumentType]
    except (RuntimeError, UnicodeDecodeError) as error:  # the latter in the words of the former, which quote the file
        raise UnreadableImageError("its pixel data are damaged: they are not PNG data") from error


def _refuse_excess(data: bytes | memoryview, most: int) -> None:
    """Refuse pixel data that unpack to more than the pixels, for PNG decoders unpack all of it, however much it is."""
    view, start, pieces = memoryview(data), 8, []
    while start < len(data):
        (size,) = struct.unpack_from(">I", data, start)
        if data[start + 4 : start + 8] == b"IDAT":
            pieces.append(view[start + 8 : start + 8 + size])
        if data[start + 4 : start + 8] == b"IEND":
            break
        start += 12 + size
    try:
        imagecodecs.zlib_decode(b"".join(pieces), out=bytearray(most))
    except RuntimeError as error:
        raise UnreadableImageError("its pixel data are damaged, or more than its pixels") from error


def _check_png_parts(data: bytes | memoryview) -> int:
    """Walk the parts (chunks) of a PNG file up to its end mark, and count the bytes of its pixel data."""
    start, kind, stored = 8, b"", 0
    while kind != b"IEND":
        if start + 12 > len(data):
            raise UnreadableImageError("the file is cut off: it ends before its end mark")
        (size,), kind = struct.unpack_from(">I", data, start), bytes(data[start + 4 : start + 8])
        end = start + 12 + size
        if end > len(data):
            raise UnreadableImageError(f"the file is cut off: it ends inside its part at byte {start:,}")
        if zlib.crc32(data[start + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            raise UnreadableImageError(f"its part at byte {start:,} is damaged: the checksum differs")
        if kind in (b"tRNS", b"acTL"):
            raise UnreadableImageError("it has transparency or several frames; one plane of one channel is needed")
        stored += size if kind == b"IDAT" else 0
        start = end
    return stored
