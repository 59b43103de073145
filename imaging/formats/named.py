r"""Images whose names alone say where they belong: the user's own pattern.

A pattern is a regular expression with groups: well, or row and column, and site, channel, z, t. It is matched against
the whole path if it holds a ``/``, else against the last part. z and t that are counted from 0 are counted from 1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from imaging.formats.contract import Address, Delivery, Folder, FoundPlane, PassedOver
from imaging.store import StoredObject
from imaging.wells import Well, parse_row, parse_well

_NO_FIT = "the name does not fit files.pattern of experiment.yaml"


@dataclass(frozen=True)
class PatternFormat:
    """The user's own pattern as a format."""

    pattern: str
    name: str = "pattern"
    title: str = "names by files.pattern"
    example: str = ""

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def count(self, names: Sequence[str]) -> int:
        """How many of these paths fit the pattern."""
        return sum(self._match(name) is not None for name in names)

    def read(self, objects: Sequence[StoredObject], folder: Folder) -> Delivery:  # names say it all
        """Sort a listing by its names; nothing is read."""
        planes, passed_over = [], []
        for item in objects:
            place = self._place(item.key)
            if isinstance(place, str):
                passed_over.append(PassedOver(item.key, "unknown", place))
            else:
                planes.append(FoundPlane(item, place))
        return Delivery(tuple(_from_one(planes)), tuple(passed_over))

    def _match(self, name: str) -> re.Match[str] | None:
        return self._compiled.fullmatch(name if "/" in self.pattern else name.rsplit("/", 1)[-1])

    def _place(self, name: str) -> Address | str:
        match = self._match(name)
        if match is None:
            return _NO_FIT
        parts = match.groupdict()
        try:
            well = _well(parts.get("well"), parts.get("row"), parts.get("column"))
            site = int(parts.get("site") or 1)
            z, t = (int(parts[group]) if parts.get(group) else 1 for group in ("z", "t"))
        except (ValueError, OverflowError) as error:
            return f"the name gives no place on the plate: {error}"
        return Address(well, site, parts.get("channel") or "", z, t)


def _from_one(planes: list[FoundPlane]) -> list[FoundPlane]:
    """Planes and time points counted from 1, also where names count them from 0."""
    for name in ("z", "t"):
        if any(getattr(plane.address, name) == 0 for plane in planes):
            planes = [
                replace(plane, address=replace(plane.address, **{name: getattr(plane.address, name) + 1}))
                for plane in planes
            ]
    return planes


@lru_cache(maxsize=4096)
def _well(well: str | None, row: str | None, column: str | None) -> Well:
    if well is not None:
        return parse_well(well)
    letters = row or ""
    number = int(letters) - 1 if letters.isdigit() else parse_row(letters)
    return Well(number, int(column or ""))
