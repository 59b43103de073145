"""A first experiment.yaml from a folder of images: names, manifests and headers are looked at, no pixel is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from imaging.errors import ConfigurationError, PlateError
from imaging.formats import recognise
from imaging.formats.contract import Address, Delivery, Folder, FoundPlane, PassedOver, Told
from imaging.formats.object_files import open_file_of
from imaging.guessed_channels import GuessedChannel, guess_channels
from imaging.image_headers import ImageHeader, read_header
from imaging.sentences import shorten
from imaging.store import StoredObject
from imaging.wells import PLATE_SHAPES, Well

Number = TypeVar("Number", int, float)

_MOST_SAID = 1_500  # characters of a note, which quotes names of files and of instruments' channels
_HEADERS_TRIED = 3
"""As many images of a channel are opened until one has a header that says something."""


@dataclass(frozen=True, slots=True)
class FoundPlate:
    """One plate, or one acquisition of it, in the folder; ``expected`` is ``None`` where no manifest says it."""

    name: str
    images: int
    expected: int | None
    wells: int
    sites: int


@dataclass(frozen=True, slots=True)
class FolderLook:
    """What a folder seems to hold; layout, channels, planes and time points are those of all its plates together.

    ``format`` is a word for ``files.format``, or ``pattern`` where ``pattern`` is one for ``files.pattern``; ``imaged``
    holds wells and ranges, with those that a manifest names; ``stack`` the number of planes that each channel has, if
    it is the same for all; ``notes`` sentences for the user.
    """

    format: str
    title: str
    pattern: str
    plates: tuple[FoundPlate, ...]
    plate_wells: int
    wells: tuple[str, ...]
    imaged: tuple[str, ...]
    sites: tuple[int, ...]
    channels: tuple[GuessedChannel, ...]
    planes: tuple[int, ...]
    stack: int | None
    time_points: tuple[int, ...]
    pixel_size_um: float | None
    image_count: int
    expected: int | None
    manifests: tuple[str, ...]
    ignored: tuple[PassedOver, ...]
    unknown: tuple[PassedOver, ...]
    notes: tuple[str, ...]


def look_at(objects: Sequence[StoredObject], folder: Folder, *, name: str = "") -> FolderLook:
    """Guess which instrument wrote a folder and what the plate is.

    Parameters
    ----------
    objects
        All objects of the folder, their keys being paths inside it.
    folder
        The folder, for manifests and headers.
    name
        What a plate is called that no manifest names.

    Raises
    ------
    ConfigurationError
        If there is no image, or the names follow nothing known; says how to write a pattern.
    """
    ordered = sorted(objects, key=lambda item: item.key)
    found, delivery = recognise(ordered, folder)
    pattern = getattr(found, "pattern", "")
    addresses = [plane.address for plane in delivery.planes]
    if pattern and any(address.site < 1 for address in addresses):
        raise ConfigurationError("the names number sites from 0; they must count from 1: rename the files")
    if not addresses:
        raise ConfigurationError(
            "the folder holds no image whose name gives a place on a plate; is it the right folder?"
        )
    if pattern:
        pattern, addresses = _without_single_planes(pattern, addresses)
    told = delivery.told
    wanted = sorted(told.expected or addresses, key=_in_order)
    seen = {address.well for address in addresses}
    imaged = sorted(seen | set(told.imaged) | {address.well for address in wanted})
    headers = _read_headers(delivery.planes, folder)
    plates = _plates(delivery, name)
    return FolderLook(
        format=found.name,
        title=found.title,
        pattern=pattern,
        plates=plates,
        plate_wells=told.wells or _first(h.plate_wells for h in headers.values()) or _smallest_plate(imaged),
        wells=tuple(str(well) for well in sorted(seen)),
        imaged=compact_wells(imaged),
        sites=_numbers(address.site for address in (*addresses, *wanted)),
        channels=guess_channels(told.channels, headers),
        planes=_numbers(address.z for address in (*addresses, *wanted)),
        stack=_stack(wanted),
        time_points=_numbers(address.t for address in (*addresses, *wanted)),
        pixel_size_um=told.pixel_size_um or _first(h.pixel_size_um for h in headers.values()),
        image_count=len(delivery.planes),
        expected=None if told.expected is None else len(told.expected),
        manifests=told.manifests,
        ignored=tuple(item for item in delivery.passed_over if item.kind == "ignored"),
        unknown=tuple(item for item in delivery.passed_over if item.kind == "unknown"),
        notes=tuple(shorten(note, _MOST_SAID) for note in _notes(delivery, addresses, plates)),
    )


def compact_wells(wells: Collection[Well]) -> tuple[str, ...]:
    """Name wells by as few ranges as row runs allow: equal runs of neighbouring rows become one rectangle."""
    runs: list[tuple[int, int, int, int]] = []
    for first, last, row in _row_runs(wells):
        above = next((run for run in runs if run[2:] == (first, last) and run[1] == row - 1), None)
        if above is None:
            runs.append((row, row, first, last))
        else:
            runs[runs.index(above)] = (above[0], row, first, last)
    return tuple(_spell_range(Well(top, first), Well(bottom, last)) for top, bottom, first, last in runs)


def _row_runs(wells: Collection[Well]) -> list[tuple[int, int, int]]:
    """Runs of neighbouring columns as (first, last, row), row by row."""
    runs: list[tuple[int, int, int]] = []
    for well in sorted(wells):
        if runs and runs[-1][1:] == (well.column - 1, well.row):
            runs[-1] = (runs[-1][0], well.column, well.row)
        else:
            runs.append((well.column, well.column, well.row))
    return runs


def _spell_range(first: Well, last: Well) -> str:
    return str(first) if first == last else f"{first}-{last}"


def _first(values: Iterable[Number | None]) -> Number | None:
    return next((value for value in values if value), None)


def _in_order(address: Address) -> tuple[Well, int, int, str, int]:
    return address.well, address.t, address.site, address.code, address.z


def _numbers(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(values)))


def _without_single_planes(pattern: str, addresses: list[Address]) -> tuple[str, list[Address]]:
    """Uncapture z or t where all names have one value that is not the first: it is then no stack and no series."""
    for group, values in (("z", {a.z for a in addresses}), ("t", {a.t for a in addresses})):
        if len(values) == 1 and values != {1}:
            pattern = pattern.replace(f"(?P<{group}>", "(?:")
            addresses = [
                Address(a.well, a.site, a.code, 1 if group == "z" else a.z, 1 if group == "t" else a.t, a.acquisition)
                for a in addresses
            ]
    return pattern, addresses


def _stack(wanted: Sequence[Address]) -> int | None:
    """Number of planes, counted from 1, that each channel has, if all have as many."""
    planes: dict[str, set[int]] = {}
    for address in wanted:
        planes.setdefault(address.code, set()).add(address.z)
    sets = {frozenset(found) for found in planes.values()}
    one = sets.pop() if len(sets) == 1 else frozenset[int]()
    return len(one) if one == frozenset(range(1, len(one) + 1)) and one else None


def _plates(delivery: Delivery, name: str) -> tuple[FoundPlate, ...]:
    """Plates by their acquisitions, or by folders where these hold mostly the same images."""
    acquisitions = {plane.address.acquisition for plane in delivery.planes}
    by_folder = acquisitions == {""} and 2 * _count_repeated(delivery.planes) >= len(delivery.planes)
    groups: dict[str, list[Address]] = {}
    for plane in delivery.planes:
        folder = plane.item.key.rpartition("/")[0] or "."
        groups.setdefault(folder if by_folder else plane.address.acquisition, []).append(plane.address)
    told = delivery.told
    alone = told.plate or name if len(groups) == 1 else "."
    return tuple(
        FoundPlate(
            name=acquisition or alone,
            images=len(addresses),
            expected=None if told.expected is None else _count(told, acquisition, is_alone=len(acquisitions) == 1),
            wells=len({address.well for address in addresses}),
            sites=len({(address.well, address.site) for address in addresses}),
        )
        for acquisition, addresses in sorted(groups.items())
    )


def _count(told: Told, acquisition: str, *, is_alone: bool) -> int:
    """How many images of an acquisition a manifest expects."""
    return sum(is_alone or address.acquisition == acquisition for address in told.expected or ())


def _count_repeated(planes: Iterable[FoundPlane]) -> int:
    """How many images lie in a second folder."""
    first: dict[Address, str] = {}
    repeated = 0
    for plane in planes:
        folder = plane.item.key.rpartition("/")[0]
        repeated += first.setdefault(plane.address, folder) != folder
    return repeated


def _read_headers(planes: Iterable[FoundPlane], folder: Folder) -> dict[str, ImageHeader]:
    """A header of each channel's first images, by code; that of a file with several planes speaks for all of them."""
    headers: dict[str, ImageHeader] = {}
    tried: Counter[str] = Counter()
    for plane in planes:
        code = plane.address.code
        if headers.setdefault(code, ImageHeader()).full_scale is None and tried[code] < _HEADERS_TRIED:
            tried[code] += 1
            headers[code] = _read_header_of(folder, plane)
    return headers


def _read_header_of(folder: Folder, plane: FoundPlane) -> ImageHeader:
    """The header of a plane's file; one that cannot be read says nothing here, and is a fault once it is processed."""
    try:
        file = open_file_of(folder, plane)
        if file is None:
            return ImageHeader()
        with file:
            return read_header(file)
    except (PlateError, FileNotFoundError):
        return ImageHeader()


def _smallest_plate(wells: Collection[Well]) -> int:
    rows, columns = max(well.row for well in wells) + 1, max(well.column for well in wells)
    fitting = [n for n, shape in PLATE_SHAPES.items() if n >= 96 and rows <= shape[0] and columns <= shape[1]]
    if not fitting:
        largest = max(wells, key=lambda well: (well.column, well.row))
        raise ConfigurationError(f"well {largest} lies outside a plate of 1536 wells; the names are read wrongly")
    return fitting[0]


def _notes(delivery: Delivery, addresses: list[Address], plates: tuple[FoundPlate, ...]) -> Iterable[str]:
    told = delivery.told
    yield from told.problems
    yield from told.remarks
    unknown = [item.name for item in delivery.passed_over if item.kind == "unknown"]
    if unknown:
        names = "1 file is" if len(unknown) == 1 else f"{len(unknown)} files are"
        yield f"{names} no image that is known here and will be listed as unknown, such as {unknown[0]}"
    if len(plates) > 1:
        yield (
            f"the folder holds {len(plates)} plates or acquisitions ({_some(plate.name for plate in plates)}); upload "
            "each as a folder of its own"
        )
        if len({(plate.wells, plate.sites) for plate in plates}) > 1:
            yield "they differ in their wells or sites: the layout holds those of all of them"
    elif repeated := _repeated(delivery.planes):
        yield f"the same image lies in several places ({_some(repeated)}): the newest counts"
    yield from _missing(told, addresses)


def _missing(told: Told, addresses: list[Address]) -> Iterable[str]:
    """What is not there yet and will be waited for."""
    sites = {(address.acquisition, address.well, address.t, address.site) for address in addresses}
    of_well = Counter(place[:3] for place in sites)
    count = len({address.site for address in addresses})
    if told.expected is None and any(of_one < count for of_one in of_well.values()):
        yield f"not all wells have all {count} sites; those missing will be waited for"
    wells = {address.well for address in told.expected or ()} | set(told.imaged)
    codes = {address.code for address in addresses}
    late = {
        "well": compact_wells(wells - {address.well for address in addresses}),
        "time point": [str(t) for t in sorted({a.t for a in told.expected or ()} - {a.t for a in addresses})],
        "channel": [channel.name or channel.code for channel in told.channels if channel.code not in codes],
    }
    for what, names in late.items():
        if names:
            they = "s" if len(names) > 1 or "-" in names[0] else ""
            yield f"no image has come of the {what}{they} {_some(names)}; {'they' if they else 'it'} will be waited for"


def _repeated(planes: Iterable[FoundPlane]) -> tuple[str, ...]:
    """Names of the first image that occurs more than once."""
    names: dict[Address, list[str]] = {}
    for plane in planes:
        names.setdefault(plane.address, []).append(plane.item.key)
    return tuple(next((places for places in names.values() if len(places) > 1), ()))


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more
