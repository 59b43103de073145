r"""Names that instruments and pipelines give to image files, as regular expressions with named groups.

Each convention is a pattern without the ending ``\.tif``; groups say what a part of the name is: well, or row and
column, and site, channel, z, t.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from imaging.wells import Well, parse_well

_GUID = r"(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})?"
_WELL = r"(?P<well>[A-Za-z]{1,2}\d{1,2})"


@dataclass(frozen=True, slots=True)
class Convention:
    """How one kind of software names its images, with an example."""

    name: str
    pattern: str
    example: str


CONVENTIONS = (
    Convention(
        "Harmony",
        r"r(?P<row>\d{2})c(?P<column>\d{2})f(?P<site>\d{2,})p(?P<z>\d{2,})-ch(?P<channel>\d+)sk(?P<t>\d+)fk\d+fl\d+",
        "r01c01f01p01-ch1sk1fk1fl1.tiff",
    ),
    Convention(
        "CellVoyager",
        rf".*_{_WELL}_T(?P<t>\d{{4}})F(?P<site>\d{{3}})L\d{{2}}A\d{{2}}Z(?P<z>\d{{2}})C(?P<channel>\d{{2}})",
        "plate_B03_T0001F001L01A01Z01C01.tif",
    ),
    Convention("MetaXpress", rf"(?:.*_)?{_WELL}_s(?P<site>\d+)_w(?P<channel>\d){_GUID}", "plate_B03_s1_w1.TIF"),
    Convention("MetaXpress, one site", rf"(?:.*_)?{_WELL}_w(?P<channel>\d){_GUID}", "plate_B03_w1.TIF"),
    Convention(
        "row and column at the end",
        r"Channel(?P<channel>\d+)-\d+-(?P<row>[A-Za-z]{1,2})-(?P<column>\d{1,2})",
        "Channel1-01-A-01.tif",
    ),
    Convention(
        "well, image number, channel number, site, stain",
        rf"{_WELL}_\d+_\d+_(?P<site>\d+)_(?P<channel>[A-Za-z][A-Za-z0-9]*)_\d+",
        "B03_01_1_1_DAPI_001.tif",
    ),
    Convention(
        "well, site, stain", rf"(?:.*_)?{_WELL}_s(?P<site>\d+)_(?P<channel>[A-Za-z][A-Za-z0-9-]*)", "B03_s1_DNA.tif"
    ),
    Convention("MetaXpress, one channel", rf"(?:.*_)?{_WELL}_s(?P<site>\d+){_GUID}", "plate_B03_s1.TIF"),
    Convention("well, stain", rf"(?:.*_)?{_WELL}_(?P<channel>[A-Za-z][A-Za-z0-9-]*)", "B03_DNA.tif"),
    Convention("well", _WELL, "B03.tif"),
)
"""Conventions that are recognised, the more particular ones first."""


@dataclass(frozen=True, slots=True)
class NamedImage:
    """What a file's name says: well, site, code of the channel, and the plane in depth and time."""

    well: Well
    site: int
    code: str
    z: int
    t: int


def read_name(pattern: re.Pattern[str], base_name: str) -> NamedImage | None:
    """Read a file's base name; ``None`` unless the whole name fits and gives a well."""
    match = pattern.fullmatch(base_name)
    if match is None:
        return None
    parts = match.groupdict()
    try:
        well = parse_well(parts["well"]) if "well" in parts else _well(parts["row"], parts["column"])
    except ValueError:
        return None
    site, z, t = (int(parts.get(group) or 1) for group in ("site", "z", "t"))
    return NamedImage(well, site, parts.get("channel", ""), z, t)


def _well(row: str, column: str) -> Well:
    if not row.isdigit():
        return parse_well(f"{row}{column}")
    if not (1 <= int(row) <= 32 and int(column) >= 1):
        raise ValueError(f"a row must be from 1 to 32 and a column from 1, got {row} and {column}")
    return Well(int(row) - 1, int(column))


def recognise(base_names: Sequence[str]) -> tuple[Convention, re.Pattern[str]] | None:
    """Find the first convention that at least half of the names follow, if there is one.

    Parameters
    ----------
    base_names
        Names of image files, with their endings and without folders.
    """
    ending = _ending(base_names)
    for convention in CONVENTIONS:
        pattern = re.compile(convention.pattern + ending)
        if 2 * sum(read_name(pattern, name) is not None for name in base_names) >= len(base_names):
            return convention, pattern
    return None


def _ending(base_names: Sequence[str]) -> str:
    r"""Endings that occur, as a pattern: ``\.tif`` or ``\.(?:tif|TIF)``."""
    endings = sorted({name.rpartition(".")[2] for name in base_names})
    return rf"\.{endings[0]}" if len(endings) == 1 else rf"\.(?:{'|'.join(endings)})"
