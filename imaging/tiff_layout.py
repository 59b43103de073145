"""Where the pixels or labels of a one-plane TIFF lie, read strictly (TIFF 6.0 and BigTIFF).

tifffile forgives what must be refused here: a tag beyond the end of the file is left out with a log line, a strip
that is cut short is filled up with zeros, and vendors' tags are interpreted on opening. So the header is read by this
module, which believes nothing that points outside the file, allocates nothing and knows only the tags that say where
the pixels are; tifffile is what its tests compare with.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.byte_sources import ByteSource
from imaging.errors import UnreadableImageError

MAX_SEGMENTS = 65_536
"""Strips or tiles per plane: 40,000 x 40,000 pixels in tiles of 256 are 24,649."""
MAX_EXPANSION = 2_000
"""Plane bytes per file byte: deflate reaches 1,032, LZW 1,334; more is a bomb."""
_MAX_PLANES = 1_000  # directories are counted up to here
_MAX_ENTRIES = 1_000  # of a directory; instruments write fewer than a hundred

_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_UNSIGNED = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_COMPRESSIONS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate", 32773: "PackBits"}
_PHOTOMETRIC = {0: "inverted (white is zero)", 1: "", 3: "a palette", 4: "a transparency mask"}
_SAMPLE_FORMATS = {1: "", 2: "signed", 3: "floating-point", 4: "undefined", 5: "complex", 6: "complex"}
_NAMES = {256: "width", 257: "height", 258: "bits per sample", 259: "compression", 262: "photometric", 273: "strips"}


@dataclass(frozen=True, slots=True)
class TiffLayout:
    """One plane: its shape, how its samples are stored and which bytes of the file hold its strips or tiles.

    Attributes
    ----------
    dtype
        Type of the stored samples with their byte order, ``|u1``, ``<u2`` or ``>u2``; of labels also of 32 bits and
        signed.
    compression
        ``none``, ``LZW``, ``deflate`` or ``PackBits``.
    has_differences
        Whether rows are stored as differences of neighbours (predictor 2).
    segment_shape
        Rows and columns of a strip or tile; the last ones may reach beyond the plane.
    offsets, byte_counts
        First byte and number of bytes of each segment, row by row, all inside the file, int64.
    """

    height: int
    width: int
    dtype: np.dtype[np.integer]
    compression: str
    has_differences: bool
    segment_shape: tuple[int, int]
    offsets: NDArray[np.int64]
    byte_counts: NDArray[np.int64]


def read_tiff_layout(
    source: ByteSource, *, max_pixels: int, is_labels: bool = False, directory: int | None = None
) -> TiffLayout:
    """Read where the only plane of a TIFF file lies, or the plane of one of its directories.

    Parameters
    ----------
    source
        The file, beginning with ``II`` or ``MM``.
    max_pixels
        Largest height x width that is taken.
    is_labels
        Whether whole numbers of 32 bits and signed ones are taken too.
    directory
        First byte of the plane's directory, where the file may hold others (``imaging.tiff_pages``).

    Raises
    ------
    UnreadableImageError
        If the file is cut off or damaged, or is not one plane of unsigned 8- or 16-bit samples.
    """
    header = TiffHeader(source)
    tags, following = header.directory(header.first if directory is None else directory)
    if directory is None:
        _refuse_other_planes(header, tags, following)
    dtype = _sample_type(header, tags, is_labels)
    height, width = header.one(tags, 257), header.one(tags, 256)
    if height * width == 0:
        raise UnreadableImageError(f"the header says {width} x {height} pixels")
    compression = header.one(tags, 259, 1)
    if compression not in _COMPRESSIONS:
        raise UnreadableImageError(f"its compression {compression} is not read; use none, LZW, deflate or PackBits")
    predictor = header.one(tags, 317, 1)
    if predictor not in (1, 2) or (predictor == 2 and _COMPRESSIONS[compression] not in ("LZW", "deflate")):
        raise UnreadableImageError(f"its predictor {predictor} is not read with compression {compression}")
    if header.one(tags, 266, 1) != 1:
        raise UnreadableImageError("its bits are stored in reverse order (fill order 2), which is not read")
    segment_shape = _segment_shape(header, tags, height, width)
    rows, columns = -(-height // segment_shape[0]), -(-width // segment_shape[1])
    stored_pixels = rows * columns * segment_shape[0] * segment_shape[1]
    if max(stored_pixels, height * width) > max_pixels:
        raise UnreadableImageError(f"the header claims {width:,} x {height:,} pixels; {max_pixels:,} are the limit")
    if height * width * dtype.itemsize > MAX_EXPANSION * source.size:
        raise UnreadableImageError(
            f"the header claims {width:,} x {height:,} pixels in a file of {source.size:,} bytes, which no writer "
            "reaches"
        )
    offsets, counts = _segments(header, tags, rows * columns, source.size)
    if compression == 1:
        _refuse_short_segments(counts, height, width, segment_shape, dtype.itemsize, "tile" if 322 in tags else "strip")
    return TiffLayout(height, width, dtype, _COMPRESSIONS[compression], predictor == 2, segment_shape, offsets, counts)


@dataclass(frozen=True, slots=True)
class _Tag:
    kind: int
    count: int
    start: int  # first byte of the value in the file
    size: int


class TiffHeader:
    """The file's fixed first bytes and its directories."""

    def __init__(self, source: ByteSource) -> None:
        data = source.read(0, 16)
        if len(data) < 16:
            raise UnreadableImageError(f"the file ends after {len(data)} bytes, inside its header")
        self.source = source
        self.order = "<" if data[:2] == b"II" else ">"
        version, offset_size = struct.unpack_from(self.order + "HH", data, 2)
        if version == 42:
            self.count, self.entry, self.offset = (struct.Struct(self.order + f) for f in ("H", "HHI4x", "I"))
            self.first = self.offset.unpack_from(data, 4)[0]
        elif version == 43 and offset_size == 8:
            self.count, self.entry, self.offset = (struct.Struct(self.order + f) for f in ("Q", "HHQ8x", "Q"))
            self.first = self.offset.unpack_from(data, 8)[0]
        else:
            raise UnreadableImageError(f"the file begins like a TIFF file but has version {version}, not 42 or 43")

    def directory(self, start: int) -> tuple[dict[int, _Tag], int]:
        """Return the tags of the directory at a byte, and where the following directory stands (0: none)."""
        n_entries = self._unpack(self.count, start)[0]
        if n_entries > _MAX_ENTRIES:
            raise UnreadableImageError(f"its header is damaged: a directory of {n_entries:,} entries")
        first, end = start + self.count.size, start + self.count.size + n_entries * self.entry.size
        self._must_hold(first, end - first + self.offset.size)
        data = self.source.read(first, end - first + self.offset.size)
        tags: dict[int, _Tag] = {}
        for place in range(first, end, self.entry.size):
            code, kind, count = self.entry.unpack_from(data, place - first)
            size = count * _TYPE_SIZES.get(kind, 0)
            value = place + self.entry.size - self.offset.size
            if size > self.offset.size:
                value = self.offset.unpack_from(data, value - first)[0]
                self._must_hold(value, size)
            tags.setdefault(code, _Tag(kind, count, value, size))
        return tags, self.offset.unpack_from(data, end - first)[0]

    def numbers(self, tags: dict[int, _Tag], code: int, most: int = MAX_SEGMENTS + 1) -> NDArray[np.int64]:
        """Values of a tag of unsigned numbers, at most so many; empty when it is absent."""
        tag = tags.get(code)
        if tag is None:
            return np.empty(0, np.int64)
        if tag.kind not in _UNSIGNED:
            raise UnreadableImageError(f"its header is damaged: {_NAMES.get(code, f'tag {code}')} is no whole number")
        dtype, count = np.dtype(self.order + _UNSIGNED[tag.kind]), min(tag.count, most)
        values = np.frombuffer(self.source.read(tag.start, count * dtype.itemsize), dtype, count)
        return np.minimum(values, np.uint64(1 << 62)).astype(np.int64)

    def one(self, tags: dict[int, _Tag], code: int, default: int | None = None) -> int:
        """First value of a tag, or the default the standard gives it."""
        values = self.numbers(tags, code, 1)
        if values.size:
            return int(values[0])
        if default is None:
            raise UnreadableImageError(f"its header does not say the {_NAMES.get(code, f'tag {code}')}")
        return default

    def text(self, tags: dict[int, _Tag], code: int, most: int) -> bytes:
        """Bytes of a tag of text, at most so many; empty when it is absent."""
        tag = tags.get(code)
        return bytes(self.source.read(tag.start, min(tag.size, most))) if tag else b""

    def _unpack(self, form: struct.Struct, start: int) -> tuple[int, ...]:
        self._must_hold(start, form.size)
        return form.unpack(self.source.read(start, form.size))

    def _must_hold(self, start: int, size: int) -> None:
        if start < 8 or start + size > self.source.size:
            raise UnreadableImageError(
                f"the file is cut off or damaged: its header points to byte {start + size:,} and the file has "
                f"{self.source.size:,} bytes"
            )


def _refuse_other_planes(header: TiffHeader, tags: dict[int, _Tag], following: int) -> None:
    """Count what the file holds beside its first plane: further directories, MetaMorph and ImageJ stacks, depth."""
    planes, seen = 1, {header.first}
    while following:
        if following in seen:
            raise UnreadableImageError("its header is damaged: its directories point back at each other")
        seen.add(following)
        more, following = header.directory(following)
        planes += not header.one(more, 254, 0) & 1  # bit 0: a smaller copy of another plane
        if len(seen) > _MAX_PLANES:
            raise UnreadableImageError(f"the file holds more than {_MAX_PLANES:,} planes; one plane per file is needed")
    if 33629 in tags:  # MetaMorph: one directory, as many planes as this tag has values
        planes = max(planes, tags[33629].count)
    if 270 in tags:
        description = header.text(tags, 270, 4096)
        stack = re.match(rb"ImageJ=[^\n]*\nimages=(\d{1,9})", description)
        planes = max(planes, int(stack[1]) if stack else 1)
    planes = max(planes, header.one(tags, 32997, 1))
    if planes > 1:
        raise UnreadableImageError(f"the file holds {planes:,} planes; one plane per file is needed")


def _sample_type(header: TiffHeader, tags: dict[int, _Tag], is_labels: bool) -> np.dtype[np.integer]:
    """Type of the samples; anything but one whole number per pixel is refused, of images all but 8 or 16 bits."""
    samples = header.one(tags, 277, 1)
    if samples != 1:
        raise UnreadableImageError(f"it has {samples} samples per pixel (colour); one plane of one channel is needed")
    photometric = header.one(tags, 262, 1)
    if _PHOTOMETRIC.get(photometric, "?"):
        what = _PHOTOMETRIC.get(photometric, f"colour (photometric {photometric})")
        raise UnreadableImageError(f"its pixels are {what}; greyscale with black at zero is needed")
    sample_format = header.one(tags, 339, 1)
    if sample_format not in ((1, 2) if is_labels else (1,)):
        what = _SAMPLE_FORMATS.get(sample_format, f"of unknown kind ({sample_format})")
        cure = "convert labels to whole numbers" if is_labels else "unsigned 8- or 16-bit are needed"
        raise UnreadableImageError(f"its pixels are {what} numbers; {cure}")
    bits, taken = header.one(tags, 258, 1), (8, 16, 32) if is_labels else (8, 16)
    if bits not in taken:
        *others, last = map(str, taken)
        raise UnreadableImageError(f"it has {bits} bits per pixel; {', '.join(others)} or {last} are needed")
    return np.dtype(f"{header.order}{'i' if sample_format == 2 else 'u'}{bits // 8}")


def _segment_shape(header: TiffHeader, tags: dict[int, _Tag], height: int, width: int) -> tuple[int, int]:
    if 322 in tags or 323 in tags:
        shape = header.one(tags, 323), header.one(tags, 322)
    else:
        shape = min(header.one(tags, 278, height), height), width
    if min(shape) < 1:
        raise UnreadableImageError("its header is damaged: a strip or tile has no pixels")
    return shape


def _segments(
    header: TiffHeader, tags: dict[int, _Tag], expected: int, file_size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First byte and byte count of each strip or tile, all of them inside the file."""
    is_tiled = 322 in tags
    what = "tile" if is_tiled else "strip"
    offsets = header.numbers(tags, 324 if is_tiled and 324 in tags else 273)
    counts = header.numbers(tags, 325 if is_tiled and 325 in tags else 279)
    if expected > MAX_SEGMENTS:
        raise UnreadableImageError(f"its pixels lie in {expected:,} {what}s; {MAX_SEGMENTS:,} are the limit")
    if len(offsets) != expected or len(counts) != expected:
        raise UnreadableImageError(
            f"its header lists {len(offsets):,} {what}s and {len(counts):,} sizes; its pixels need {expected:,}"
        )
    empty = (offsets == 0) | (counts == 0)
    if empty.any():
        raise UnreadableImageError(f"{int(empty.sum()):,} of its {expected:,} {what}s were never written")
    beyond = np.clip(offsets + counts - file_size, 0, counts)
    if beyond.any():
        share = 1.0 - beyond.sum(dtype=np.float64) / counts.sum(dtype=np.float64)
        raise UnreadableImageError(f"the file ends after {int(100 * share)} % of its pixel data")
    if counts.sum() > file_size:
        raise UnreadableImageError(f"its header is damaged: its {what}s overlap")
    return offsets, counts


def _refuse_short_segments(
    counts: NDArray[np.int64], height: int, width: int, shape: tuple[int, int], itemsize: int, what: str
) -> None:
    """Uncompressed segments must have a byte for each pixel; the last strip may be shorter than the others."""
    needed = np.full(len(counts), shape[0] * shape[1] * itemsize)
    if what == "strip":
        needed[-1] = (height - (len(counts) - 1) * shape[0]) * width * itemsize
    short = counts < needed
    if short.any():
        raise UnreadableImageError(f"{int(short.sum()):,} of its {len(counts):,} {what}s are too short for its pixels")
