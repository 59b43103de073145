r"""Planes by their names alone: the user's own pattern, and conventions that are recognised without one.

A pattern is a regular expression with named groups: well, or row and column, and site, channel, z, t where the name has
them. It must fit the whole base name, or the whole path where it holds a ``/``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from imaging.formats.contract import Address, Delivery, Folder, FoundPlane, PassedOver
from imaging.formats.passed_over import base_name, is_hidden, is_image_name, is_system_file, pass_over
from imaging.store import StoredObject
from imaging.wells import Well, parse_well

_WELL = r"(?P<well>[A-Za-z]{1,2}\d{1,2})"
_NO_FIT = "the name does not fit files.pattern of experiment.yaml"
_UNLIKE = "the name is not built as those of the other images"
_CACHED = 4096


@dataclass(frozen=True, slots=True)
class Convention:
    r"""How software or a data set names its images: a pattern without the ending ``\.tif``, and an example."""

    name: str
    pattern: str
    example: str


CONVENTIONS = (
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
    Convention("well, stain", rf"(?:.*_)?{_WELL}_(?P<channel>[A-Za-z][A-Za-z0-9-]*)", "B03_DNA.tif"),
    Convention("well", _WELL, "B03.tif"),
)
"""Conventions that are recognised, the more particular ones first."""


class NamePattern:
    """A pattern that reads many names fast: groups by number, wells and numbers from tables.

    Parameters
    ----------
    pattern
        The regular expression.

    Raises
    ------
    re.error
        If it is none.
    """

    def __init__(self, pattern: str) -> None:
        compiled = re.compile(pattern)
        self._is_of_paths = "/" in pattern
        self._fullmatch = compiled.fullmatch
        self._groups = compiled.groupindex
        self._well = _well_reader(compiled.groupindex)

    def fits(self, name: str) -> bool:
        """Whether a path or base name gives a place."""
        return isinstance(self.read(name), Address)

    def read(self, name: str) -> Address | str:
        """The place that a path gives, or the reason why it gives none."""
        return self.reader()(name)

    def reader(self) -> Callable[[str], Address | str]:
        """``read`` without a look into this object for each name."""
        fullmatch, is_of_paths, well_of, groups = self._fullmatch, self._is_of_paths, self._well, self._groups
        site_group, z_group, t_group = (groups.get(name, 0) for name in ("site", "z", "t"))
        channel_group, numbers = groups.get("channel", 0), _NUMBERS

        def read(name: str) -> Address | str:
            match = fullmatch(name if is_of_paths else name[name.rfind("/") + 1 :])
            if match is None:
                return _NO_FIT
            try:
                return Address(
                    well_of(match),
                    numbers[match[site_group]] if site_group else 1,
                    (match[channel_group] or "") if channel_group else "",
                    numbers[match[z_group]] if z_group else 1,
                    numbers[match[t_group]] if t_group else 1,
                )
            except ValueError as error:
                return f"the name gives no place on the plate: {error}"

        return read


class _Numbers(dict[str | None, int]):
    """Numbers of texts; an absent or empty one is 1. Only so many are kept."""

    def __missing__(self, text: str | None) -> int:
        number = int(text or 1)
        if len(self) < _CACHED:
            self[text] = number
        return number


_NUMBERS = _Numbers()


def _well_reader(index: Mapping[str, int]) -> Callable[[re.Match[str]], Well]:
    """A function that takes the well from a match, by the groups that the pattern has."""
    if "well" in index:
        group = index["well"]
        return lambda match: named_well(match[group])
    row, column = index.get("row", 0), index.get("column", 0)
    return lambda match: well_at(match[row], match[column])


@lru_cache(maxsize=_CACHED)
def named_well(text: str | None) -> Well:
    """The well of a name such as ``B03``; ``ValueError`` if it is none."""
    return parse_well(text or "")


@lru_cache(maxsize=_CACHED)
def well_at(row: str | None, column: str | None) -> Well:
    """The well of a row, letters or a number from 1, and a column; ``ValueError`` if there is none."""
    if not (row or "").isdigit():
        return parse_well(f"{row or ''}{column or ''}")
    number, place = int(row or 0), int(column or 0)
    if not (1 <= number <= 32 and 1 <= place <= 99):
        raise ValueError(f"a row must be from 1 to 32 and a column from 1, got {row} and {column}")
    return Well(number - 1, place)


@dataclass(frozen=True, slots=True)
class PatternFormat:
    """Images whose names fit a pattern; an unsound one raises ``re.error`` once it is used.

    ``is_declared`` where a user wrote it: then every file that does not fit is a question, notes and tables too.
    """

    pattern: str
    title: str = "names that fit files.pattern"
    example: str = "B03_s1_DNA.tif"
    is_declared: bool = True
    name: str = "pattern"

    def count(self, names: Sequence[str]) -> int:
        """How many names fit."""
        read = NamePattern(self.pattern).reader()
        return sum(isinstance(read(name), Address) for name in names)

    def read(self, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
        """Sort a listing by names; nothing is opened."""
        read = NamePattern(self.pattern).reader()
        planes: list[FoundPlane] = []
        passed_over: list[PassedOver] = []
        for item in objects:
            found = read(item.key)
            if found.__class__ is Address and not is_hidden(item.key):
                planes.append(FoundPlane(item, found))  # pyright: ignore[reportArgumentType]
            else:
                passed_over.append(self._pass_over(item.key, str(found)))
        return Delivery(tuple(_counted_from_one(planes)), tuple(passed_over))

    def _pass_over(self, name: str, reason: str) -> PassedOver:
        if self.is_declared:
            return pass_over(name, "") if is_system_file(name) else PassedOver(name, "unknown", reason)
        return pass_over(name, _UNLIKE if reason == _NO_FIT else reason)


def _counted_from_one(planes: list[FoundPlane]) -> list[FoundPlane]:
    """The planes with depth and time counted from 1, where names count from 0."""
    z = int(any(plane.address.z == 0 for plane in planes))
    t = int(any(plane.address.t == 0 for plane in planes))
    if not (z or t):
        return planes
    return [FoundPlane(plane.item, _shifted(plane.address, z, t), plane.inside) for plane in planes]


def _shifted(address: Address, z: int, t: int) -> Address:
    return Address(address.well, address.site, address.code, address.z + z, address.t + t, address.acquisition)


def guess_convention(names: Sequence[str]) -> PatternFormat | None:
    """The first convention that at least half of a folder's images follow, if there is one, with their endings."""
    images = [base_name(name) for name in names if is_image_name(name)]
    if not images:
        return None
    ending = _ending(images)
    for convention in CONVENTIONS:
        found = PatternFormat(convention.pattern + ending, convention.name, convention.example, is_declared=False)
        if 2 * found.count(images) >= len(images):
            return found
    return None


def _ending(base_names: Sequence[str]) -> str:
    r"""Endings that occur, as a pattern: ``\.tif`` or ``\.(?:TIF|tif)``."""
    endings = sorted({re.escape(name.rpartition(".")[2]) for name in base_names})
    return rf"\.{endings[0]}" if len(endings) == 1 else rf"\.(?:{'|'.join(endings)})"
