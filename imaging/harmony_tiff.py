"""What Harmony writes into its TIFF files beside the pixels, to version 5: how the image was taken.

A field of a delivery without its index has no other description. The size of a pixel is the camera's, times the
binning, divided by the magnifications of the objective and of the instrument; it equals the index's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from imaging.wells import PLATE_SHAPES

TAG = 65500
"""The TIFF tag that holds it, as XML."""
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class TakenImage:
    """Size of a pixel in micrometres, name of the channel, exposure in seconds and wells of the plate, if said."""

    pixel_size_um: float | None = None
    channel: str | None = None
    exposure_s: float | None = None
    plate_wells: int | None = None


def read_harmony_tag(value: object) -> TakenImage:
    """Read the value of the tag, bytes or text; anything else, and damaged XML, says nothing."""
    data = value.encode() if isinstance(value, str) else value
    if not isinstance(data, bytes) or len(data) > MAX_BYTES:
        return TakenImage()
    try:
        return _read(fromstring(data.strip(b"\0"), forbid_dtd=True))
    except (ParseError, DefusedXmlException, LookupError, ValueError, StopIteration, ZeroDivisionError):
        return TakenImage()


def _read(root: Element) -> TakenImage:
    image = next(one for one in _all(root, "Image") if _text(one, "RecordID"))
    exposure = [one for one in _all(root, "Exposure") if _text(one, "Objective")][_number(image, "ExposureID") - 1]
    record = list(_all(exposure, "Record"))[_number(image, "RecordID") - 1]
    channel = list(_all(record, "Channel"))[_number(image, "ChannelID") - 1]
    setting = next(_all(channel, "CameraSetting"))
    camera = next(one for one in _all(root, "Camera") if _text(one, "ID") == _text(setting, "CameraID"))
    objective = next(one for one in _all(root, "Objective") if _text(one, "ID") == _text(exposure, "Objective"))
    instrument = next(_all(root, "InstrumentDescription"))
    magnification = float(_text(objective, "Magnification")) * float(_text(instrument, "Magnification"))
    size = float(_text(camera, "PixelSizeX")) * 1e6 * float(_text(setting, "BinningX")) / magnification
    return TakenImage(
        pixel_size_um=round(size, 6) if 0 < size <= 1000 else None,
        channel=_text(channel, "Name") or None,
        exposure_s=float(_text(setting, "Exposuretime")),
        plate_wells=next((wells for kind in _all(root, "PlateType") for wells in [_wells_of(kind)] if wells), None),
    )


def _wells_of(kind: Element) -> int | None:
    texts = [_text(kind, tag) for tag in ("EndRow", "EndCol")]
    shape = tuple(int(text) if text.isdecimal() and len(text) < 10 else 0 for text in texts)
    return next((wells for wells, known in PLATE_SHAPES.items() if known == shape), None)


def _all(element: Element, name: str) -> Iterator[Element]:
    """Every element of a name, whatever its namespace."""
    return (one for one in element.iter() if one.tag.rpartition("}")[2] == name)


def _text(element: Element, name: str) -> str:
    """Text of a child, empty where there is none."""
    return next((child.text or "" for child in element if child.tag.rpartition("}")[2] == name), "").strip()


def _number(element: Element, name: str) -> int:
    """A number that counts from 1."""
    number = int(_text(element, name))
    if number < 1:
        raise ValueError(f"{name} must count from 1, got {number}")
    return number
