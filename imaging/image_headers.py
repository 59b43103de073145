"""What an image file's header says: bits, pixel size, stain, wavelength and exposure; no pixel is read."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import BinaryIO

import tifffile

from imaging.harmony_tiff import TAG, TakenImage, read_harmony_tag

_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_SAMPLE_VALUE = 281
_CAMERA_SCALES = (1023, 4095, 16383)
"""Full scales of cameras with 10, 12 and 14 bits, whose pixels are stored in 16."""
_TIMES = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "us": 1e-6, "min": 60.0}

_DAMAGE = (tifffile.TiffFileError, struct.error, ValueError, TypeError, IndexError, KeyError, OSError)
"""What a reader of tags raises that takes a damaged file for a whole one."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Full scale in counts, size of a pixel in micrometres, name of the stain and more, as far as they are there."""

    full_scale: int | None = None
    pixel_size_um: float | None = None
    stain: str | None = None
    emission_nm: float | None = None
    exposure_s: float | None = None
    plate_wells: int | None = None


def read_header(file: BinaryIO) -> ImageHeader:
    """Read the header of a TIFF or PNG file; anything else, and a damaged one, says nothing."""
    try:
        start = file.read(32)
        file.seek(0)
        if start.startswith(_PNG):
            return ImageHeader(full_scale=_full_scale(start[24], None)) if len(start) > 24 else ImageHeader()
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            largest = page.tags.valueof(_MAX_SAMPLE_VALUE)
            full_scale = _full_scale(page.bitspersample, largest) if page.sampleformat in (None, 1) else None
            text = page.description[:65_536]
            taken = read_harmony_tag(page.tags.valueof(TAG)) if TAG in page.tags else TakenImage()
    except _DAMAGE:
        return ImageHeader()
    return ImageHeader(
        full_scale=_camera_scale(text) or full_scale if full_scale == 65535 else full_scale,
        pixel_size_um=_pixel_size(text) or taken.pixel_size_um,
        stain=_stain(text) or taken.channel,
        emission_nm=_positive(_property(text, "wavelength")),
        exposure_s=_exposure(text) or taken.exposure_s,
        plate_wells=taken.plate_wells,
    )


def _full_scale(bits: object, largest: object) -> int | None:
    """Count at which the camera clips: by the declared greatest value if it is a camera's, else by the bits."""
    if bits == 16 and largest in _CAMERA_SCALES:
        return int(str(largest))
    return 2**bits - 1 if isinstance(bits, int) and bits in (8, 10, 12, 14, 16) else None


def _camera_scale(text: str) -> int | None:
    """Full scale by MetaSeries' bit depth of the camera; binned pixels may be sums, so they say nothing."""
    depth = _positive(_property(text, "Camera Bit Depth"))
    is_binned = _property(text, "camera-binning-x") not in (None, "1")
    scale = 2 ** int(depth) - 1 if depth in (10, 12, 14) and not is_binned else 0
    return scale or None


def _pixel_size(text: str) -> float | None:
    """Pixel size from OME-XML or MetaSeries XML, where it is in micrometres."""
    metaseries = _property(text, "spatial-calibration-x")
    unit = _property(text, "spatial-calibration-units")
    ome_unit = _between(text, r'\bPhysicalSizeXUnit="([^"]*)"') or "µm"
    ome = _between(text, r'\bPhysicalSizeX="([0-9.eE+-]+)"')
    size = _positive(metaseries if unit in ("um", "µm") else ome if ome_unit in ("um", "µm", "μm") else None)
    return size if size is not None and size <= 1000 else None


def _stain(text: str) -> str | None:
    return _property(text, "_IllumSetting_") or _between(text, r'<Channel\b[^>]*\bName="([^"]+)"')


def _exposure(text: str) -> float | None:
    """Seconds of MetaSeries' exposure time, such as ``100 ms``."""
    number, _, unit = (_property(text, "Exposure Time") or "").partition(" ")
    seconds = _positive(number)
    return seconds * _TIMES[unit] if seconds is not None and unit in _TIMES else None


def _property(text: str, name: str) -> str | None:
    """Value of one of MetaSeries' properties."""
    return _between(text, rf'"{re.escape(name)}"[^>]*value="([^"]+)"')


def _positive(text: str | None) -> float | None:
    try:
        number = float(text) if text else 0.0
    except ValueError:
        return None
    return number if 0 < number < 1e9 else None


def _between(text: str, pattern: str) -> str | None:
    match = re.search(pattern, text)
    return match[1] if match else None
