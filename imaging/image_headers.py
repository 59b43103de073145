"""What an image file's header says: bits, pixel size and stain; no pixel is read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

import tifffile

_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_SAMPLE_VALUE = 281
_CAMERA_SCALES = (1023, 4095, 16383)
"""Full scales of cameras with 10, 12 and 14 bits, whose pixels are stored in 16."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Full scale in counts, size of a pixel in micrometres and name of the stain, as far as they are there."""

    full_scale: int | None = None
    pixel_size_um: float | None = None
    stain: str | None = None


def read_header(file: BinaryIO) -> ImageHeader:
    """Read the header of a TIFF or PNG file; anything else, and a damaged one, says nothing."""
    start = file.read(32)
    file.seek(0)
    if start.startswith(_PNG):
        return ImageHeader(full_scale=_full_scale(start[24], None)) if len(start) > 24 else ImageHeader()
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            largest = page.tags.valueof(_MAX_SAMPLE_VALUE)
            full_scale = _full_scale(page.bitspersample, largest) if page.sampleformat in (None, 1) else None
            text = page.description[:65_536]
    except (tifffile.TiffFileError, ValueError, IndexError, KeyError, OSError):
        return ImageHeader()
    return ImageHeader(full_scale, _pixel_size(text), _stain(text))


def _full_scale(bits: int, largest: object) -> int | None:
    """Count at which the camera clips: by the declared greatest value if it is a camera's, else by the bits."""
    if bits == 16 and largest in _CAMERA_SCALES:
        return int(str(largest))
    return 2**bits - 1 if bits in (8, 10, 12, 14, 16) else None


def _pixel_size(text: str) -> float | None:
    """Pixel size from OME-XML or MetaSeries XML, where it is in micrometres."""
    metaseries = _between(text, r'"spatial-calibration-x"[^>]*value="([0-9.eE+-]+)"')
    unit = _between(text, r'"spatial-calibration-units"[^>]*value="([^"]*)"')
    ome_unit = _between(text, r'\bPhysicalSizeXUnit="([^"]*)"') or "µm"
    ome = _between(text, r'\bPhysicalSizeX="([0-9.eE+-]+)"')
    found = metaseries if unit in ("um", "µm") else ome if ome_unit in ("um", "µm", "μm") else None
    try:
        size = float(found) if found else 0.0
    except ValueError:
        return None
    return size if 0 < size <= 1000 else None


def _stain(text: str) -> str | None:
    return _between(text, r'"_IllumSetting_"[^>]*value="([^"]+)"') or _between(text, r'<Channel\b[^>]*\bName="([^"]+)"')


def _between(text: str, pattern: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None
