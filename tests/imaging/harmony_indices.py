"""Harmony's indices as its versions write them, of any places, with everything a test does not look at left out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SPACES = {
    "V4": "http://www.perkinelmer.com/PEHH/HarmonyV4",
    "V5": "http://www.perkinelmer.com/PEHH/HarmonyV5",
    "V6": "http://www.perkinelmer.com/PEHH/HarmonyV6",
    "V7": "43B2A954-E3C3-47E1-B392-6635266B0DD3/HarmonyV7",
}
STAINS = {"1": ("HOECHST 33342", 355, 455), "2": ("Alexa 488", 475, 525), "3": ("Brightfield", 740, 0)}
FLAT = "{Background: {Character: NonFlat, Profile: {Coefficients: [[1.12]], Type: Polynomial}}, Channel: 1}"
Place = tuple[int, int, int, int, int, str]
"""Row, column, field, plane, time point from 0 and channel."""


def name_of(place: Place) -> str:
    """The file's name as all versions write it."""
    row, column, site, plane, time, channel = place
    return f"r{row:02d}c{column:02d}f{site:02d}p{plane:02d}-ch{channel}sk{time + 1}fk1fl1.tiff"


def index(version: str, places: Iterable[Place], **changed: Any) -> bytes:
    """An index; ``head`` replaces tags of the plate, ``urls`` names of files by place, ``states`` states by place."""
    listed = list(places)
    channels = {place[5] for place in listed}
    is_long = version in ("V4", "V5")
    maps = "".join(
        f'<Entry ChannelID="{code}"><FlatfieldProfile>{FLAT}</FlatfieldProfile></Entry>' for code in sorted(channels)
    )
    told = "".join(f'<Entry ChannelID="{code}">{_channel(code)}</Entry>' for code in sorted(channels))
    second = "" if is_long else f"<Map>{told}</Map>"
    images = "".join(_image(place, is_long=is_long, changed=changed) for place in listed)
    text = f"""<?xml version="1.0" encoding="utf-8"?>
<EvaluationInputData Version="1" xmlns="{SPACES[version]}">
<User>someone</User><InstrumentType>Phenix</InstrumentType>
<Plates><Plate>{_head(changed.get("head", {}))}{_plate_wells(listed)}</Plate></Plates>
<Wells>{_wells(listed)}</Wells><Maps><Map>{maps}</Map>{second}</Maps><Images>{images}</Images></EvaluationInputData>"""
    return b"\xef\xbb\xbf" + text.encode()


def _head(changed: Mapping[str, str]) -> str:
    tags = {"PlateID": "BR001", "MeasurementID": "6f2adb32", "Name": "BR001", "PlateRows": "16", "PlateColumns": "24"}
    return "".join(f"<{tag}>{text}</{tag}>" for tag, text in (tags | changed).items())


def _plate_wells(places: Iterable[Place]) -> str:
    return "".join(f'<Well id="{row:02d}{column:02d}" />' for row, column in sorted({place[:2] for place in places}))


def _wells(places: list[Place]) -> str:
    return "".join(
        f"<Well><id>{row:02d}{column:02d}</id><Row>{row}</Row><Col>{column}</Col>"
        + "".join(f'<Image id="{number}" />' for number, place in enumerate(places) if place[:2] == (row, column))
        + "</Well>"
        for row, column in sorted({place[:2] for place in places})
    )


def _image(place: Place, *, is_long: bool, changed: Mapping[str, Any]) -> str:
    row, column, site, plane, time, channel = place
    url = changed.get("urls", {}).get(place, name_of(place))
    return (
        f'<Image Version="1"><id>x</id><State>{changed.get("states", {}).get(place, "Ok")}</State><URL>{url}</URL>'
        f"<Row>{row}</Row><Col>{column}</Col><FieldID>{site}</FieldID><PlaneID>{plane}</PlaneID>"
        f"<TimepointID>{time}</TimepointID><ChannelID>{channel}</ChannelID><FlimID>1</FlimID>"
        f"{_channel(channel) if is_long else ''}"
        f'<PositionX Unit="m">{(site - 1) * 0.0006}</PositionX><PositionY Unit="m">-0.0003</PositionY>'
        f'<PositionZ Unit="m">{(plane - 1) * 2e-06}</PositionZ></Image>'
    )


def _channel(code: str) -> str:
    name, excitation, emission = STAINS[code]
    return (
        f"<ChannelName>{name}</ChannelName><ImageType>Signal</ImageType>"
        f'<ImageResolutionX Unit="m">5.9797608E-07</ImageResolutionX><ImageSizeX>1080</ImageSizeX>'
        f"<MaxIntensity>65535</MaxIntensity>"
        f'<MainExcitationWavelength Unit="nm">{excitation}</MainExcitationWavelength>'
        f'<MainEmissionWavelength Unit="nm">{emission}</MainEmissionWavelength>'
        f'<ExposureTime Unit="s">0.06</ExposureTime>'
    )
