"""Which uploaded files are which planes of which images: what a format found in the folder, put where it is wanted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from imaging.expectations import Expected, SiteKey, find_expected
from imaging.experiment import Experiment
from imaging.folders import NoFolder
from imaging.formats.archives import read_through_archives
from imaging.formats.contract import NOTHING_TOLD, Address, Delivery, Folder, FoundPlane, Told
from imaging.measurement_choice import Placed, choose_measurements, say_other_measurement
from imaging.store import RefusedName, StoredObject
from imaging.time_points import MAX_SITE, MAX_TIME_POINT, join_site
from imaging.wells import Well, parse_well

_SYSTEM_FILES = re.compile(r"(?:.*/)?(?:\.DS_Store|\._[^/]*|Thumbs\.db|desktop\.ini|experiment\.ya?ml)|manifest\.yaml")

_OF_MEMBERS = ("member ", "at ", "of ")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One uploaded plane of an image: name inside the plate's folder, version token, size, time; place inside the file.

    ``inside`` is empty where the file is the plane.
    """

    name: str
    token: str
    size_bytes: int
    modified: float
    inside: str = ""
    z: int = 1

    @property
    def version(self) -> tuple[str, ...]:
        """Name and token, and the place inside the file: what a fault record is about."""
        return (self.name, self.token, self.inside) if self.inside else (self.name, self.token)

    @property
    def shown(self) -> str:
        """Its name for people: ``plate.ome.tif (page 3)``; that of a member of an archive holds the archive's."""
        return show_plane(self.name, self.inside)


def show_plane(name: str, inside: str) -> str:
    """Name of a plane for people: the object's, and which plane of it where it holds several."""
    parts = [part for part in inside.split("; ") if not part.startswith(_OF_MEMBERS)] if inside else []
    return f"{name} ({', '.join(parts)})" if parts else name


@dataclass(frozen=True, slots=True)
class UnknownFile:
    """An uploaded file that is no image of this experiment, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Arrivals:
    """All uploaded files of a plate.

    ``images[well, site][channel]`` holds the files of one image, all its planes, newest first, ties by name;
    ``expected`` the planes that are wanted, which the instrument told if ``is_told``; ``not_taken`` its words of planes
    that it says it failed to take, by well, site, channel and z; ``unused`` how many planes of stacks the recipe makes
    no use of; ``told`` what the instrument's files say, and ``told_at`` when the last of them was written.
    """

    images: dict[SiteKey, dict[str, tuple[ImageFile, ...]]]
    unknown: tuple[UnknownFile, ...]
    expected: Expected = field(default_factory=dict)
    not_taken: Mapping[tuple[str, int, str, int], str] = field(default_factory=dict)
    unused: int = 0
    told: Told = NOTHING_TOLD
    is_told: bool = False
    told_at: float | None = None

    def files(self) -> Iterable[ImageFile]:
        """Every file that is an image."""
        return (file for channels in self.images.values() for files in channels.values() for file in files)


def sort_arrivals(
    experiment: Experiment,
    prefix: str,
    objects: Iterable[StoredObject],
    refused: Iterable[RefusedName] = (),
    folder: Folder | None = None,
) -> Arrivals:
    """Sort the listing of a plate's folder into images and unknown files.

    Parameters
    ----------
    experiment
        What is declared.
    prefix
        What stands before the names of the folder's objects in the listing.
    objects, refused
        The listing.
    folder
        The folder, for manifests and containers; left out, names alone count.
    """
    start = len(prefix)
    named = [
        StoredObject(item.key[start:], item.size, item.token, item.modified)
        for item in objects
        if not _SYSTEM_FILES.fullmatch(item.key, start)
    ]
    delivery = read_through_archives(experiment.files.reader, named, folder or NoFolder())
    refusals = [UnknownFile(item.shown.removeprefix(prefix), item.reason) for item in refused]
    manifests = frozenset(delivery.told.manifests)
    told_at = max((item.modified for item in named if item.key in manifests), default=None) if manifests else None
    return replace(place_planes(experiment, delivery, refusals), told_at=told_at)


def place_planes(experiment: Experiment, delivery: Delivery, refusals: Iterable[UnknownFile] = ()) -> Arrivals:
    """Put the planes of a delivery where the experiment wants them."""
    expected, is_told = find_expected(experiment, delivery.told)
    places = _Places(experiment, expected, is_told=is_told)
    found: dict[SiteKey, dict[str, list[ImageFile]]] = {}
    unknown = [
        *refusals,
        *(UnknownFile(item.name, item.reason) for item in delivery.passed_over if _is_fault(item.kind)),
    ]
    unused = 0
    chosen = _choose(places, delivery.planes)
    for plane in delivery.planes:
        item, z = plane.item, plane.address.z
        place = places.find(plane.address)
        if isinstance(place, str):
            unknown.append(UnknownFile(show_plane(item.key, plane.inside), place))
            continue
        site, channel, wanted = place
        if wanted and z not in wanted:
            unused += 1
            continue
        if chosen and chosen[site] != plane.address.acquisition:
            reason = say_other_measurement(plane.address.acquisition, chosen[site])
            unknown.append(UnknownFile(show_plane(item.key, plane.inside), reason))
            continue
        file = ImageFile(item.key, item.token, item.size, item.modified, plane.inside, z)
        found.setdefault(site, {}).setdefault(channel, []).append(file)
    images = {
        site: {channel: _in_order(files) for channel, files in channels.items()} for site, channels in found.items()
    }
    unknown += [UnknownFile("the instrument's files", problem) for problem in delivery.told.problems]
    unknown.sort(key=lambda file: file.name)
    not_taken = _not_taken(places, delivery.told)
    return Arrivals(images, tuple(unknown), expected, not_taken, unused, delivery.told, is_told)


def _choose(places: _Places, planes: Sequence[FoundPlane]) -> dict[SiteKey, str]:
    """The measurement that gives each site; empty where there is one alone."""
    if len({plane.address.acquisition for plane in planes}) < 2:
        return {}
    placed: list[tuple[str, Placed, float]] = []
    for plane in planes:
        place = places.find(plane.address)
        if not isinstance(place, str):
            site, channel, wanted = place
            if not wanted or plane.address.z in wanted:
                key = site, channel, plane.address.z
                placed.append((plane.address.acquisition, key, plane.item.modified))
    return choose_measurements(placed)


def _is_fault(kind: str) -> bool:
    return kind == "unknown"


def _in_order(files: list[ImageFile]) -> tuple[ImageFile, ...]:
    return tuple(sorted(files, key=_newest_first) if len(files) > 1 else files)


def _newest_first(file: ImageFile) -> tuple[float, str, str]:
    return -file.modified, file.name, file.inside


def _not_taken(places: _Places, told: Told) -> dict[tuple[str, int, str, int], str]:
    found = {}
    for address, reason in told.not_taken.items():
        place = places.find(address)
        if not isinstance(place, str):
            (well, number), channel, _ = place
            found[well, number, channel, address.z] = reason
    return found


@dataclass(frozen=True)
class _Places:
    """Finds the places of addresses among those that are expected."""

    experiment: Experiment
    expected: Expected
    is_told: bool
    codes: dict[str, str] = field(init=False)
    times: frozenset[int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "codes", {channel.code: channel.name for channel in self.experiment.channels})
        object.__setattr__(self, "times", frozenset(self.experiment.layout.time_points))

    def find(self, address: Address) -> tuple[SiteKey, str, tuple[int, ...]] | str:
        """Site, channel and wanted planes of an address, or the reason why it is none of the expected images."""
        channel = self.codes.get(address.code) if address.code else next(iter(self.codes.values()))
        if channel is None:
            return f"channel {address.code!r} is none of experiment.yaml's ({', '.join(self.codes)})"
        if address.t not in self.times:
            return f"time point {address.t} is none of layout.time_points ({_listed(self.times)})"
        if not 1 <= address.site <= MAX_SITE or not 1 <= address.t <= MAX_TIME_POINT:
            return f"a site must have a number from 1 to {MAX_SITE}, got {address.site}"
        site = _name(address.well), join_site(address.site, address.t)
        channels = self.expected.get(site)
        if channels is None or channel not in channels:
            return self._why_not_expected(address, channel if channels is not None else "")
        return site, channel, channels[channel]

    def _why_not_expected(self, address: Address, channel: str) -> str:
        place = f"{channel + ' of ' if channel else ''}well {address.well} site {address.site}"
        if self.is_told:
            return f"{place} is not among what the instrument's own files expect"
        return f"{place} is not among the sites that experiment.yaml's layout expects"


def _listed(numbers: Iterable[int]) -> str:
    shown = sorted(numbers)
    more = f" and {len(shown) - 8} more" if len(shown) > 8 else ""
    return ", ".join(map(str, shown[:8])) + more


@lru_cache(maxsize=4096)
def _name(well: Well) -> str:
    return str(well)


def plate_order(site: SiteKey) -> tuple[Well, int]:
    """Sort key: row by row, then by number."""
    return parse_well(site[0]), site[1]
