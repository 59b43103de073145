"""Harmony's index of a measurement, Index.idx.xml and Index.xml of the versions 4 to 7.

The namespace differs by version and is not looked at. To version 5 each image tells all of its channel; later ones tell
it once, in an ``Entry`` of ``Maps``. The file is read as a stream: an index of 100,000 images has 150 MB.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from imaging.formats.contract import Address, Told, ToldChannel, is_length
from imaging.formats.manifests import UnreadableManifestError
from imaging.wells import PLATE_SHAPES, Well

MAX_IMAGES = 2_000_000
_MAX_ELEMENTS = 1_000_000
"""As many elements are kept at once; a few hundred are usual."""
_HEADS = ("PlateID", "Name", "MeasurementID", "InstrumentType", "PlateRows", "PlateColumns")
_MAX_SILENCE = 32 * 1024 * 1024
"""As many bytes may pass without a tag that begins or ends."""
_CHANNEL_TAGS = (
    "ChannelName",
    "MainExcitationWavelength",
    "MainEmissionWavelength",
    "ExposureTime",
    "MaxIntensity",
    "ImageResolutionX",
    "FlatfieldProfile",
)
_METRES = {"m": 1e6, "mm": 1e3, "um": 1.0, "µm": 1.0, "μm": 1.0, "nm": 1e-3}
_TIMES = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "": 1.0}
_T_IN_NAME = re.compile(r"sk(\d+)(?:fk|fl|\.)", re.IGNORECASE)
_CHANNEL_IN_NAME = re.compile(r"-ch0*([1-9]\d{0,2})(?:sk|\.)", re.IGNORECASE)
_Tag = tuple[str, str]
"""Text and unit of an element."""
_Place = tuple[int, int, int, int, int, str]
"""Row, column, field, plane, time point and channel, as the index numbers them."""


@dataclass(frozen=True, slots=True)
class HarmonyIndex:
    """What an index says; ``images`` places by base names of files."""

    plate: str
    measurement: str
    instrument: str
    wells: int | None
    imaged: tuple[Well, ...]
    channels: tuple[ToldChannel, ...]
    pixel_size_um: float | None
    z_step_um: float | None
    images: Mapping[str, Address]
    not_taken: dict[Address, str]
    positions_um: dict[tuple[str, int], tuple[float, float]]
    remarks: tuple[str, ...]

    def told(self) -> Told:
        """The same in the words of all formats."""
        return Told(
            plate=self.plate,
            measurement=self.measurement,
            instrument=self.instrument,
            wells=self.wells,
            imaged=self.imaged,
            channels=self.channels,
            pixel_size_um=self.pixel_size_um,
            z_step_um=self.z_step_um,
            expected=frozenset(self.images.values()) | self.not_taken.keys(),
            not_taken=self.not_taken,
            positions_um=self.positions_um,
            remarks=self.remarks,
        )


@dataclass(slots=True)
class _Gathered:
    """What has been read of an index so far."""

    heads: dict[str, str] = field(default_factory=dict)
    wells: set[tuple[int, int]] = field(default_factory=set)
    channels: dict[str, dict[str, _Tag]] = field(default_factory=dict)
    images: dict[str, _Place] = field(default_factory=dict)
    positions: dict[tuple[int, int, int], tuple[float, float]] = field(default_factory=dict)
    heights: dict[int, float] = field(default_factory=dict)
    unrecorded: dict[_Place, str] = field(default_factory=dict)
    misplaced: int = 0


def read_index(file: BinaryIO) -> HarmonyIndex:
    """Read an index.

    Parameters
    ----------
    file
        The XML; it is read from where it stands.

    Raises
    ------
    UnreadableManifestError
        If it is cut off, no well-formed XML or no index, or declares entities or a document type.
    """
    gathered = _Gathered()
    try:
        for path, element in _elements(_Watched(file)):
            _take(gathered, path, element)
    except ParseError as error:
        raise UnreadableManifestError(_say_fault(error)) from error
    except DefusedXmlException as error:
        raise UnreadableManifestError("declares entities or a document type, which no instrument writes") from error
    except UnreadableManifestError:
        raise
    except (LookupError, ValueError) as error:  # its declared encoding
        raise UnreadableManifestError(f"cannot be decoded: {error}") from error
    if not (gathered.images or gathered.unrecorded):
        raise UnreadableManifestError("lists no images; it is no index of Harmony's")
    return _finish(gathered)


def _say_fault(error: ParseError) -> str:
    line, column = error.position
    if error.code in (3, 5):  # expat: no element found, unclosed token
        return f"ends too early, on line {line}"
    return f"is damaged on line {line}, column {column}"


class _Watched:
    """A file whose reader must show tags now and then, lest one of them fills the memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.silence = file, 0

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes."""
        data = self._file.read(size)
        self.silence += len(data)
        if self.silence > _MAX_SILENCE:
            raise UnreadableManifestError(f"has {_MAX_SILENCE:,} bytes without a tag; it is no index of Harmony's")
        return data


def _elements(file: _Watched) -> Iterator[tuple[list[str], Element]]:
    """Each element that ends, with the names of those around it; what ended three levels deep is forgotten."""
    path: list[str] = []
    around: list[Element] = []
    names: dict[str, str] = {}
    count = 0
    for event, element in iterparse(file, events=("start", "end"), forbid_dtd=True):
        file.silence = 0
        if event == "start":
            name = names.get(element.tag)
            if name is None:
                name = names[element.tag] = element.tag.rpartition("}")[2]
            path.append(name)
            around.append(element)
            count += 1
            if count > _MAX_ELEMENTS or len(path) > 50:
                raise UnreadableManifestError("has far more elements than an index; it is damaged")
            continue
        yield path, element
        path.pop()
        around.pop()
        if 1 <= len(path) <= 2:
            around[-1].clear()
            count = 0
        elif len(path) == 3 and len(element) == 0 and element.tag.endswith("Image"):  # a well lists its images
            around[-1].remove(element)
            count -= 1


def _take(gathered: _Gathered, path: list[str], element: Element) -> None:
    """Take what an element says as it ends."""
    name = path[-1]
    if name == "Image":
        if len(element):
            _take_image(gathered, _children(element))
    elif name == "Entry" and "ChannelID" in element.attrib:
        _take_channel(gathered, element.attrib["ChannelID"], _children(element))
    elif name == "Well" and path[-2:-1] == ["Wells"]:
        children = _children(element)
        gathered.wells.add((_whole(children.get("Row")), _whole(children.get("Col"))))
    elif name == "Well" and path[-2:-1] == ["Plate"]:
        number = re.fullmatch(r"(\d{2})(\d{2})", element.attrib.get("id", ""))
        if number:
            gathered.wells.add((int(number[1]), int(number[2])))
    elif name in _HEADS and len(path) <= 4 and element.text:
        gathered.heads.setdefault(name, element.text.strip())


def _children(element: Element) -> dict[str, _Tag]:
    return {
        child.tag[child.tag.rfind("}") + 1 :]: (child.text or "", child.attrib.get("Unit", ""))
        if len(child) == 0
        else ("".join(child.itertext()), "")
        for child in element
    }


def _take_image(gathered: _Gathered, tags: dict[str, _Tag]) -> None:
    url = tags.get("URL", ("", ""))[0].strip()
    channel = tags.get("ChannelID", ("", ""))[0].strip()
    row, column = _whole(tags.get("Row")), _whole(tags.get("Col"))
    site, plane = _whole(tags.get("FieldID"), 1), _whole(tags.get("PlaneID"), 1)
    if not (1 <= row <= 32 and 1 <= column <= 99) or site < 0 or plane < 0:
        gathered.misplaced += 1
        return
    if len(gathered.images) + len(gathered.unrecorded) >= MAX_IMAGES:
        raise UnreadableManifestError(f"lists more than {MAX_IMAGES:,} images")
    place = (row, column, site, plane, _whole(tags.get("TimepointID")), channel)
    if not url:
        state = tags.get("State", ("", ""))[0].strip()
        gathered.unrecorded[place] = f"Harmony did not record it{f' (state {state})' if state else ''}"
        return
    gathered.images[url[max(url.rfind("/"), url.rfind("\\")) + 1 :]] = place
    if channel not in gathered.channels or "ChannelName" not in gathered.channels[channel]:
        _take_channel(gathered, channel, tags)
    if (row, column, site) not in gathered.positions:
        x, y = _length_um(tags.get("PositionX")), _length_um(tags.get("PositionY"))
        if x is not None and y is not None:
            gathered.positions[row, column, site] = (x, y)
    if plane not in gathered.heights and (z := _length_um(tags.get("PositionZ"))) is not None:
        gathered.heights[plane] = z


def _take_channel(gathered: _Gathered, code: str, tags: dict[str, _Tag]) -> None:
    known = gathered.channels.setdefault(code.strip(), {})
    for tag in _CHANNEL_TAGS:
        if tags.get(tag, ("", ""))[0].strip():
            known.setdefault(tag, tags[tag])


def _finish(gathered: _Gathered) -> HarmonyIndex:
    heads, places = gathered.heads, _told_apart(gathered.images)
    listed = [*places.values(), *gathered.unrecorded]
    t_first = _first_time(places, listed)
    z_shift = int(any(place[3] == 0 for place in listed))
    site_shift = int(any(place[2] == 0 for place in listed))
    wells = {(row, column): Well(row - 1, column) for row, column, *_ in listed}
    codes = {place[5] for place in listed}

    def address(place: _Place) -> Address:
        row, column, site, plane, time, code = place
        return Address(wells[row, column], site + site_shift, code, plane + z_shift, time - t_first + 1)

    channels = tuple(_channel(code, gathered.channels.get(code, {})) for code in sorted(codes, key=_by_number))
    sizes = [
        _length_um(gathered.channels.get(code, {}).get("ImageResolutionX")) for code in sorted(codes, key=_by_number)
    ]
    return HarmonyIndex(
        plate=heads.get("PlateID") or heads.get("Name") or "",
        measurement=heads.get("MeasurementID", ""),
        instrument=heads.get("InstrumentType", ""),
        wells=_plate_of(heads),
        imaged=tuple(
            sorted({Well(r - 1, c) for r, c in gathered.wells if 1 <= r <= 32 and 1 <= c <= 99} | set(wells.values()))
        ),
        channels=channels,
        pixel_size_um=next((round(size, 6) for size in sizes if size and 0 < size <= 1000), None),
        z_step_um=_z_step(gathered.heights),
        images={name: address(place) for name, place in places.items()},
        not_taken={address(place): words for place, words in gathered.unrecorded.items()},
        positions_um={
            (str(Well(row - 1, column)), site + site_shift): position
            for (row, column, site), position in gathered.positions.items()
        },
        remarks=tuple(_remarks(gathered)),
    )


def _told_apart(images: dict[str, _Place]) -> dict[str, _Place]:
    """The places of files; by the channels of their names where the index gives several files one place."""
    if len(set(images.values())) == len(images):
        return images
    named = {name: match[1] for name in images if (match := _CHANNEL_IN_NAME.search(name))}
    apart = {name: (*place[:5], named.get(name, place[5])) for name, place in images.items()}
    return apart if len(set(apart.values())) > len(set(images.values())) else images


def _first_time(places: Mapping[str, _Place], listed: list[_Place]) -> int:
    """The number that the index gives to the first time point; names of files count it as 1."""
    for name, place in places.items():
        if match := _T_IN_NAME.search(name):
            return place[4] - int(match[1]) + 1
    return 0 if any(place[4] == 0 for place in listed) else 1


def _remarks(gathered: _Gathered) -> Iterator[str]:
    if gathered.unrecorded:
        count = len(gathered.unrecorded)
        yield f"{count} plane{'s were' if count > 1 else ' was'} not recorded by the instrument, as its index says"
    if gathered.misplaced:
        what = (
            f"{gathered.misplaced} entries of the index give"
            if gathered.misplaced > 1
            else "1 entry of the index gives"
        )
        yield f"{what} no place on a plate and will be left out"


def _channel(code: str, tags: Mapping[str, _Tag]) -> ToldChannel:
    scale = _number(tags.get("MaxIntensity"))
    exposure = tags.get("ExposureTime")
    seconds = _number(exposure)
    return ToldChannel(
        code=code,
        name=tags.get("ChannelName", ("", ""))[0].strip(),
        emission_nm=_number(tags.get("MainEmissionWavelength")) or None,
        excitation_nm=_number(tags.get("MainExcitationWavelength")) or None,
        exposure_s=seconds * _TIMES.get(exposure[1], 1.0) if seconds and exposure else None,
        full_scale=int(scale) if scale and 1 <= scale <= 65535 else None,
        flat_field=tags.get("FlatfieldProfile", ("", ""))[0].strip(),
    )


def _z_step(heights: Mapping[int, float]) -> float | None:
    """Distance of the first two planes."""
    first = sorted(heights)[:2]
    if len(first) < 2 or first[1] - first[0] != 1:
        return None
    return round(abs(heights[first[1]] - heights[first[0]]), 6)


def _plate_of(heads: Mapping[str, str]) -> int | None:
    texts = [heads.get(tag, "") for tag in ("PlateRows", "PlateColumns")]
    shape = tuple(int(text) if text.isdecimal() and len(text) < 10 else 0 for text in texts)
    return next((wells for wells, known in PLATE_SHAPES.items() if known == shape), None)


def _by_number(code: str) -> tuple[int, str]:
    return (int(code), code) if code.isdecimal() and len(code) < 10 else (10**9, code)


def _whole(tag: _Tag | None, absent: int = 0) -> int:
    """A whole number; -1 where the text is none."""
    if tag is None:
        return absent
    text = tag[0].strip()
    return int(text) if text.isdecimal() and len(text) < 10 else -1


def _number(tag: _Tag | None) -> float | None:
    try:
        number = float(tag[0]) if tag else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _length_um(tag: _Tag | None) -> float | None:
    """A length in micrometres; metres without a unit."""
    number = _number(tag)
    if number is None or tag is None:
        return None
    length = number * _METRES.get(tag[1] or "m", 1e6)
    return length if is_length(length) else None
