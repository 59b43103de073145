r"""Planes by their names alone: the user's own pattern, and conventions that are recognised without one.

A pattern is a regular expression with named groups: well, or row and column, and site, channel, z, t where the name has
them. It must fit the whole base name, or the whole path where it holds a ``/``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from imaging.formats.contract import Address, Delivery, Folder, FoundPlane, PassedOver
from imaging.formats.passed_over import base_name, is_hidden, is_image_name, is_system_file, pass_over
from imaging.formats.pauses import without_collecting
from imaging.store import StoredObject
from imaging.wells import Well, parse_well

_WELL = r"(?P<well>[A-Za-z]{1,2}\d{1,2})"
_NO_FIT = "the name does not fit files.pattern of experiment.yaml"
_UNLIKE = "the name is not built as those of the other images"
_GROUPS = ("well", "row", "column", "site", "channel", "z", "t")
_CACHED = 4096
KEPT_ADDRESSES = 131_072
"""As many addresses are kept of a pattern: a plate of 1,536 wells with 9 sites and 6 channels has 82,944."""


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


class AddressBook(dict[tuple[str | Any, ...], Address]):
    """Addresses by the texts that give them. Plates of one layout share them, and each is made once.

    Parameters
    ----------
    make
        Makes the address of texts; raises ``ValueError`` if they give none.
    """

    def __init__(self, make: Callable[[tuple[str | Any, ...]], Address]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, texts: tuple[str | Any, ...]) -> Address:
        address = self._make(texts)
        if len(self) >= KEPT_ADDRESSES:
            self.clear()
        self[texts] = address
        return address


class NamePattern:
    """A pattern that reads many names fast.

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
        named = [name for name in _GROUPS if name in compiled.groupindex]
        self._is_of_paths = "/" in pattern
        self._fullmatch = compiled.fullmatch
        # two at least, so that a match gives a tuple
        self._groups = [compiled.groupindex[name] for name in named] + [0] * (len(named) < 2)
        self._book = AddressBook(_address_maker(named))

    def reader(self) -> Callable[[str], Address | str]:
        """A function that gives the place that a path says, or the reason why it says none."""
        fullmatch, is_of_paths, groups, book = self._fullmatch, self._is_of_paths, self._groups, self._book

        def read(name: str) -> Address | str:
            match = fullmatch(name if is_of_paths else name[name.rfind("/") + 1 :])
            if match is None:
                return _NO_FIT
            try:
                return book[match.group(*groups)]
            except ValueError as error:
                return f"the name gives no place on the plate: {error}"

        return read


def _address_maker(named: Sequence[str]) -> Callable[[tuple[str | Any, ...]], Address]:
    """A function that makes an address of the texts of these groups; what is absent or empty is 1, or no channel."""
    well, row, column, site, channel, z, t = (named.index(name) if name in named else -1 for name in _GROUPS)

    def make(texts: tuple[str | Any, ...]) -> Address:
        return Address(
            named_well(texts[well]) if well >= 0 else well_at(texts[row], texts[column]),
            int(texts[site] or 1) if site >= 0 else 1,
            (texts[channel] or "") if channel >= 0 else "",
            int(texts[z] or 1) if z >= 0 else 1,
            int(texts[t] or 1) if t >= 0 else 1,
        )

    return make


@lru_cache(maxsize=_CACHED)
def named_well(text: str | None) -> Well:
    """The well of a name such as ``B03``; ``ValueError`` if it is none."""
    return parse_well(text or "")


@lru_cache(maxsize=_CACHED)
def well_at(row: str | None, column: str | None) -> Well:
    """The well of a row, letters or a number from 1, and a column; ``ValueError`` if there is none."""
    if not (row or "").isdecimal():
        return parse_well(f"{row or ''}{column or ''}")
    number, place = int(row or 0), int(column or 0)
    if not (1 <= number <= 32 and 1 <= place <= 99):
        raise ValueError(f"a row must be from 1 to 32 and a column from 1, got {row} and {column}")
    return Well(number - 1, place)


@lru_cache(maxsize=32)
def _pattern(pattern: str) -> NamePattern:
    return NamePattern(pattern)


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
        read = _pattern(self.pattern).reader()
        return sum(isinstance(read(name), Address) for name in names)

    @without_collecting()
    def read(self, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
        """Sort a listing by names; nothing is opened."""
        read = _pattern(self.pattern).reader()
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
