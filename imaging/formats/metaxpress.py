"""ImageXpress: the folders that MetaXpress keeps itself and those that it exports.

    PLATE/DATE/NUMBER/[TimePoint_n/][ZStep_n/]NAME_B03[_s1][_w1]GUID.tif     with NAME_B03_s1_w1_thumbGUID.tif beside it
    PLATE/[TimePoint_n/][ZStep_n/]NAME_B03[_s1][_w1][_z1][_t1].TIF           with NAME.HTD in each of these folders

One site is written without ``_s1`` and one channel without ``_w1``; its code is 1. Where a channel has planes in the
folders ``ZStep_1`` and on, what lies in ``ZStep_0`` or beside these folders is MetaXpress' projection of them, which is
passed over; a channel that has nothing else was taken in one plane.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from imaging.formats.contract import Address, Delivery, Folder, FoundPlane, PassedOver, Told
from imaging.formats.manifests import read_manifest, tell_all
from imaging.formats.measurements import Measurements, folder_of
from imaging.formats.metaxpress_htd import MAX_HTD_BYTES, Arrived, Htd, read_htd
from imaging.formats.named import AddressBook, named_well
from imaging.formats.passed_over import base_name, is_hidden, pass_over
from imaging.formats.pauses import without_collecting
from imaging.formats.plates_by_name import join_acquisition, split_plates
from imaging.store import StoredObject

_GUID = r"(?P<guid>_?\[?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\]?)"
_NAME = re.compile(
    r"(?!\.)(?:[^_]*_)*?(?P<well>[A-Za-z]{1,2}\d{1,2})(?:_[sS](?P<site>\d{1,4}))?(?:_[wW](?P<wave>\d{1,2}))?"
    rf"(?:_[zZ](?P<z>\d{{1,4}}))?(?:_[tT](?P<t>\d{{1,4}}))?{_GUID}?\.[tT][iI][fF]{{1,2}}"
)
_BARE = "well"
"""The last group of a name that says no site, channel or GUID: without a .HTD it may be anybody's."""
_THUMBNAIL = re.compile(rf".*_thumb(?:{_GUID})?\.(?:tiff?|jpe?g|png|bmp)", re.IGNORECASE)
_TIME = re.compile(r"TimePoint_(\d{1,6})", re.IGNORECASE)
_STEP = re.compile(r"ZStep_(\d{1,6})", re.IGNORECASE)
_NATIVE = re.compile(r"(?:.*/)?\d{4}-\d{2}-\d{2}/\d+")
_NO_FIT = "the name is none that MetaXpress gives"
_PROJECTION = "MetaXpress' projection of the planes in the folders ZStep; the recipe's projection makes one of them"


@dataclass(frozen=True, slots=True)
class _Spot:
    """What a folder says of the images in it: its measurement, time point and plane (0 outside of ZStep folders)."""

    root: str
    t: int
    step: int


@dataclass(frozen=True, slots=True)
class MetaXpress:
    """Folders of MetaXpress; see the module."""

    name: str = "metaxpress"
    title: str = "ImageXpress (MetaXpress)"
    example: str = "plate_B03_s1_w1.TIF"

    def count(self, names: Sequence[str]) -> int:
        """How many names fit; without any .HTD, those with a site, a channel or a GUID."""
        has_htd = any(_is_htd(name) for name in names)
        matches = (_NAME.fullmatch(base_name(name)) for name in names)
        return sum(match is not None and (has_htd or match.lastgroup != _BARE) for match in matches)

    @without_collecting()
    def read(self, objects: Sequence[StoredObject], folder: Folder) -> Delivery:
        """Sort a listing by folders and names; the highest .HTD of each measurement says what should come."""
        listed = [item for item in objects if _is_htd(item.key) and not is_hidden(item.key)]
        highest: dict[str, dict[str, StoredObject]] = {}
        for item in sorted(listed, key=lambda item: (item.key.count("/"), item.key)):
            highest.setdefault(_spot(folder_of(item.key)).root, {}).setdefault(_plate_of(item.key), item)
        roots = {_spot(path).root for path in {folder_of(item.key) for item in objects}}
        measurements = Measurements({*highest, *(root for root in roots if _NATIVE.fullmatch(root))})
        planes, passed_over, arrived = _sort(objects, measurements, has_htd=bool(highest))
        planes, plates = _split_plates(planes)
        told: list[Told] = []
        for root, items in highest.items():
            measurement = measurements.acquisition(root)
            for plate, item in items.items() if plates else [*items.items()][:1]:
                acquisition = join_acquisition(measurement, plate) if plates else measurement
                told.append(_tell(folder, item, arrived.get(root, Arrived()), acquisition))
        together = tell_all(told) if told else Told()
        if len(measurements.roots) > max(1, len(highest)) or len(plates) > len(told) > 0:
            together = replace(together, expected=None)  # one of them does not say what should come
        return Delivery(planes, tuple(passed_over), together)


FORMAT = MetaXpress()


def _split_plates(planes: Sequence[FoundPlane]) -> tuple[tuple[FoundPlane, ...], frozenset[str]]:
    """Tell apart plates of one folder, which only repeated places can show: names of a folder share their addresses."""
    if len({id(plane.address) for plane in planes}) == len(planes):
        return tuple(planes), frozenset()
    return split_plates(planes, _prefix_of)


def _prefix_of(plane: FoundPlane) -> str:
    base = base_name(plane.item.key)
    match = _NAME.fullmatch(base)
    return base[: match.start("well")].rstrip("_") if match else ""


def _plate_of(name: str) -> str:
    return base_name(name).rpartition(".")[0]


def _tell(folder: Folder, item: StoredObject, arrived: Arrived, acquisition: str) -> Told:
    htd, problem = read_manifest(folder, item, read_htd, max_bytes=MAX_HTD_BYTES)
    if not isinstance(htd, Htd):
        return Told(manifests=(item.key,), problems=(problem,))
    return replace(htd.told(arrived, acquisition), plate=_plate_of(item.key), manifests=(item.key,))


def _sort(
    objects: Sequence[StoredObject], measurements: Measurements, *, has_htd: bool
) -> tuple[list[FoundPlane], list[PassedOver], dict[str, Arrived]]:
    """Planes, other objects, and what has come of each measurement that may be told what should come."""
    named, passed_over = _read_names(objects, measurements, has_htd=has_htd)
    stacked = {(spot.root, address.code) for _, spot, address in named if spot.step}
    planes = [
        FoundPlane(item, address)
        for item, spot, address in named
        if spot.step or (spot.root, address.code) not in stacked
    ]
    if len(planes) < len(named):
        taken = {plane.item.key for plane in planes}
        passed_over += [PassedOver(item.key, "ignored", _PROJECTION) for item, _, _ in named if item.key not in taken]
    arrived: dict[str, Arrived] = {}
    if has_htd:
        for root, site, code, step in {
            (spot.root, address.site, address.code, spot.step) for _, spot, address in named
        }:
            arrived.setdefault(root, Arrived()).add(site, code, step)
    return planes, passed_over, arrived


def _read_names(
    objects: Sequence[StoredObject], measurements: Measurements, *, has_htd: bool
) -> tuple[list[tuple[StoredObject, _Spot, Address]], list[PassedOver]]:
    """Every name that MetaXpress gives, projections too, with what its folder says, and the other objects."""
    fullmatch, spots = _NAME.fullmatch, _Spots(measurements)
    groups = [_NAME.groupindex[name] for name in ("well", "site", "wave", "z", "t")]
    named: list[tuple[StoredObject, _Spot, Address]] = []
    passed_over: list[PassedOver] = []
    folder, spot, book, skipped = None, _Spot("", 1, 0), _book("", 1, 0), False
    for item in objects:
        name = item.key
        cut = max(name.rfind("/"), 0)
        if name[:cut] != folder:
            folder = name[:cut]
            spot, skipped = spots[folder], is_hidden(folder)
            book = _book(measurements.acquisition(spot.root), spot.t, spot.step)
        match = fullmatch(name, cut + 1 if cut else 0)
        if match is None or skipped or not (has_htd or match.lastgroup != _BARE):
            passed_over.append(_pass_over(name))
            continue
        texts = match.group(*groups)
        try:
            address = book[texts]
        except ValueError as error:
            passed_over.append(pass_over(name, f"the name gives no place on the plate: {error}"))
            continue
        named.append((item, _Spot(spot.root, address.t, address.z) if texts[3] else spot, address))
    return named, passed_over


@lru_cache(maxsize=256)
def _book(acquisition: str, t: int, step: int) -> AddressBook:
    """Addresses of a folder's names; a plane and a time point in the name go before the folder's."""

    def make(texts: tuple[Any, ...]) -> Address:
        well, site, wave, own_z, own_t = texts
        number = int(site or 1)
        if not number:
            raise ValueError("sites count from 1, got 0")
        return Address(
            named_well(well),
            number,
            str(int(wave or 1)),
            int(own_z or 0) or step or 1,
            int(own_t or 0) or t,
            acquisition,
        )

    return AddressBook(make)


class _Spots(dict[str, _Spot]):
    """Spots of folders, each worked out once."""

    def __init__(self, measurements: Measurements) -> None:
        super().__init__()
        self._measurements = measurements

    def __missing__(self, folder: str) -> _Spot:
        spot = self[folder] = replace(_spot(folder), root=self._measurements.of(_spot(folder).root))
        return spot


def _spot(folder: str) -> _Spot:
    """Time point and plane of a folder; the root is what lies above their folders."""
    parts = folder.split("/") if folder else []
    t, step, kept = 1, 0, len(parts)
    for number, part in enumerate(parts):
        if match := _TIME.fullmatch(part):
            t = max(1, int(match[1]))
        elif match := _STEP.fullmatch(part):
            step = int(match[1])
        else:
            continue
        kept = min(kept, number)
    return _Spot("/".join(parts[:kept]), t, step)


def _pass_over(name: str) -> PassedOver:
    base = base_name(name)
    if _THUMBNAIL.fullmatch(base):
        return PassedOver(name, "ignored", "a thumbnail of MetaXpress")
    if _is_htd(name):
        return PassedOver(name, "ignored", "MetaXpress' description of the plate")
    return pass_over(name, _NO_FIT)


def _is_htd(name: str) -> bool:
    return name[-4:].upper() == ".HTD"
