"""Well and site in the name of a file whose format does not say them: ``plate_B03_s2.ome.tif``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from imaging.wells import Well, parse_well

_BREAK = r"(?:^|[_\-. /()\[\]])"
_WELL = re.compile(rf"{_BREAK}(?:well[_\-]?)?([A-Pa-p]|A[A-F])(\d{{1,2}})(?=$|[_\-. /()\[\]])", re.ASCII)
_NUMBERS = {
    "site": re.compile(rf"{_BREAK}(?:s|site|f|fov|field)[_\-]?0*(\d{{1,4}})(?=$|[_\-. ])", re.I | re.A),
    "channel": re.compile(rf"{_BREAK}(?:w|c|ch|channel)[_\-]?0*(\d{{1,3}})(?=$|[_\-. ])", re.I | re.A),
    "z": re.compile(rf"{_BREAK}z[_\-]?0*(\d{{1,4}})(?=$|[_\-. ])", re.I | re.A),
    "t": re.compile(rf"{_BREAK}t[_\-]?0*(\d{{1,4}})(?=$|[_\-. ])", re.I | re.A),
}


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """What a name says; numbers that it does not say, or says as 0, are ``None``."""

    well: Well
    site: int | None
    channel: int | None
    z: int | None
    t: int | None


def find_place(name: str) -> NamedPlace | None:
    """Find a well, between separators, in a name without its ending, and the numbers behind it; ``None``: no well."""
    match = next((found for found in reversed(list(_WELL.finditer(name))) if 1 <= int(found[2]) <= 48), None)
    if match is None:
        return None
    rest = name[: match.start()] + name[match.end() :] if match.start() else name[match.end() :]
    numbers = {what: int(found[1]) or None if (found := form.search(rest)) else None for what, form in _NUMBERS.items()}
    return NamedPlace(parse_well(match[1] + match[2]), numbers["site"], numbers["channel"], numbers["z"], numbers["t"])
