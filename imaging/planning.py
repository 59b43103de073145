"""What is to be done for a plate: a pure function of one listing of its folder and the names of its records.

    ready    each plane that is wanted of every expected channel has an unfaulted file, or is decided missing, and at
             least one has
    done     a manifest named by the site's inputs is there; where that name is void, one under the next
    failed   the third attempt at these inputs is recorded
    todo     ready, neither done nor failed
    due      a plane that nobody waits for any longer: patience_s passed since the plate's last arrival, or the
             instrument says that it was not taken

Sites of a plate that is corrected with its own field are ``previewed`` once their images are measured; when all are,
have failed or are missing, the field is frozen, and from then on each is ready under other inputs, to be done.

No clock but ``now``, and that only for ``due``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from imaging.arrivals import Arrivals, ImageFile, UnknownFile
from imaging.expectations import Expected
from imaging.experiment import Experiment
from imaging.illumination import AWAITED
from imaging.names import hash_of
from imaging.records import ATTEMPTS, Records, fault_name, next_inputs

SiteState = Literal["waiting", "todo", "previewed", "done", "failed", "missing"]


class Gap(NamedTuple):
    """A plane that is not there; of a channel with one plane z is 0. ``reason`` where the instrument gives one."""

    well: str
    site: int
    channel: str
    z: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SitePlan:
    """One expected site: its state and what its values depend on; ``site`` is its number (``imaging.time_points``).

    ``files`` are the counting files by channel, of a stack the first plane; ``stacks`` all planes in order of the
    channels that have several; ``others`` further files of the same planes, by channel; ``missing`` channels decided
    missing; ``lacking`` planes decided missing of channels that have others; ``awaited`` channels of which something is
    neither there nor decided; ``planes`` how many planes of each channel are expected, and how many came, readable or
    not; ``attempts`` failures so far; ``field`` the frozen field of illumination, as
    ``imaging.illumination.pinned_values`` takes it.
    """

    well: str
    site: int
    state: SiteState
    files: dict[str, ImageFile]
    others: tuple[tuple[str, ImageFile], ...] = ()
    missing: tuple[str, ...] = ()
    awaited: tuple[str, ...] = ()
    inputs: str = ""
    attempts: int = 0
    field: str | None = None
    stacks: tuple[tuple[str, tuple[ImageFile, ...]], ...] = ()
    lacking: tuple[tuple[str, tuple[int, ...]], ...] = ()
    planes: tuple[tuple[str, int, int], ...] = ()

    @property
    def name(self) -> str:
        """Name of the site with these inputs: ``<well>-<site>-<inputs>``."""
        return f"{self.well}-{self.site}-{self.inputs}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A plate at one look: each expected site, files that are no images, what is due, what is published."""

    sites: tuple[SitePlan, ...]
    unknown: tuple[UnknownFile, ...]
    faulted: tuple[tuple[str, int, str, ImageFile], ...]
    due: tuple[Gap, ...]
    last_arrival: float | None
    records: Records
    expected: Expected
    unused: int
    is_field_due: bool = False
    """Whether the field of illumination is to be frozen now, before any other site is gone on with."""
    asked: Experiment | None = None
    """The experiment with the experimental recipe that the upload's manifest asks for (``imaging.experimental``)."""

    def of(self, state: SiteState) -> tuple[SitePlan, ...]:
        """Sites in one state, in plate order."""
        return tuple(site for site in self.sites if site.state == state)

    @property
    def todo(self) -> tuple[SitePlan, ...]:
        """Sites whose images are all there and whose values are not."""
        return self.of("todo")

    @property
    def has_arrivals(self) -> bool:
        """Whether any image of this plate is there."""
        return self.last_arrival is not None

    @property
    def is_publishable(self) -> bool:
        """Nothing to do and nothing to wait for: each expected site is done, failed or decided missing."""
        return self.has_arrivals and all(site.state in ("done", "failed", "missing") for site in self.sites)

    def decided(self) -> Iterator[tuple[str, int, str, int]]:
        """Well, site, channel and plane of each decision that counts; plane 0 is the whole image."""
        planes: dict[tuple[str, int, str], list[int]] = {}
        for well, number, channel, z in sorted(self.records.missing_planes):
            planes.setdefault((well, number, channel), []).append(z)
        for site in self.sites:
            of_stacks, whole = dict(site.lacking), frozenset(site.missing)
            for channel in (*of_stacks, *site.missing):
                place = site.well, site.site, channel
                if place in self.records.missing:
                    yield (*place, 0)
                else:
                    yield from (
                        (*place, z) for z in planes.get(place, ()) if channel in whole or z in of_stacks[channel]
                    )

    @property
    def images_expected(self) -> int:
        """Number of images that the layout expects."""
        return sum(len(site.files) + len(site.missing) + len(site.awaited) for site in self.sites)

    @property
    def images_arrived(self) -> int:
        """Number of expected images with a usable file."""
        return sum(len(site.files) for site in self.sites)


def plan_plate(
    experiment: Experiment, arrivals: Arrivals, records: Records, *, pins: str, now: float, field: str | None = None
) -> Plan:
    """Plan a plate.

    Parameters
    ----------
    experiment
        What the plate should be.
    arrivals
        The uploaded files, from one listing.
    records
        The names of the records, from one listing.
    pins
        Hash of what is pinned for the plate, its frozen field included.
    now
        Unix time in seconds; decides only which images are due to be given up.
    field
        The frozen field, as ``imaging.illumination.pinned_values`` takes it.
    """
    pinned = _Pinned(pins, field, is_preview=experiment.illumination.source == "plate" and field == AWAITED)
    look = _Look(arrivals, records, [], [])
    sites = [_plan_site(key, channels, look, pinned) for key, channels in arrivals.expected.items()]
    last = max((file.modified for file in arrivals.files() if file.modified <= now), default=None)
    if last is None and arrivals.images:  # all times lie in the future: a wrong clock must not stop the plate
        last = 0.0
    is_due = last is not None and now - last > experiment.patience_s
    due = tuple(gap for gap in look.gaps if is_due or (gap.reason and last is not None))
    is_field_due = field == AWAITED and last is not None and _can_freeze(sites, is_preview=pinned.is_preview)
    return Plan(
        tuple(sites),
        arrivals.unknown,
        tuple(look.faulted),
        due,
        last,
        records,
        arrivals.expected,
        arrivals.unused,
        is_field_due,
    )


@dataclass(frozen=True, slots=True)
class _Pinned:
    """Hash of what is pinned, the field in it, and whether only previews can be made before it is frozen."""

    hash: str
    field: str | None
    is_preview: bool


def _can_freeze(sites: list[SitePlan], *, is_preview: bool) -> bool:
    """A field from elsewhere is frozen before the first site, the plate's own after the last preview."""
    if is_preview:
        states = {site.state for site in sites}
        return "previewed" in states and states <= {"previewed", "failed", "missing"}
    return any(site.state == "todo" for site in sites)


@dataclass(frozen=True, slots=True)
class _Look:
    """What there is, and what is noted meanwhile: files at fault and planes that are neither there nor decided."""

    arrivals: Arrivals
    records: Records
    faulted: list[tuple[str, int, str, ImageFile]]
    gaps: list[Gap]


@dataclass(frozen=True, slots=True)
class _Channel:
    """What there is of a channel: planes in order, further files of them, planes given up and planes awaited."""

    planes: tuple[ImageFile, ...]
    others: tuple[ImageFile, ...]
    given_up: tuple[int, ...]
    awaited: tuple[int, ...]
    expected: int
    came: int


def _plan_site(key: tuple[str, int], expected: Mapping[str, tuple[int, ...]], look: _Look, pinned: _Pinned) -> SitePlan:
    channels = {channel: _look_at(key, channel, wanted, look) for channel, wanted in expected.items()}
    awaited = tuple(name for name, channel in channels.items() if channel.awaited)
    there = {name: channel for name, channel in channels.items() if channel.planes and not channel.awaited}
    missing = tuple(name for name, channel in channels.items() if not channel.planes and not channel.awaited)
    others = tuple((name, file) for name, channel in channels.items() for file in channel.others)
    files = {name: channel.planes[0] for name, channel in there.items()}
    state: SiteState = "waiting" if awaited else "missing"
    inputs, attempts = "", 0
    if files and not awaited:
        inputs = _inputs(there, others, missing, pinned)
        while f"{key[0]}-{key[1]}-{inputs}" in look.records.voids:
            inputs = next_inputs(inputs)
        state, attempts = _state_of(f"{key[0]}-{key[1]}-{inputs}", look.records, is_preview=pinned.is_preview)
    return SitePlan(
        *key,
        state,
        files,
        others,
        missing,
        awaited,
        inputs,
        attempts,
        pinned.field if inputs else None,
        tuple((name, channel.planes) for name, channel in there.items() if len(channel.planes) > 1),
        tuple((name, channel.given_up) for name, channel in there.items() if channel.given_up),
        tuple((name, channel.expected, channel.came) for name, channel in channels.items()),
    )


def _look_at(key: tuple[str, int], channel: str, wanted: tuple[int, ...], look: _Look) -> _Channel:
    """Sort the files of a channel into planes; those of one plane are ordered, the newest first."""
    files, faults = look.arrivals.images.get(key, {}).get(channel, ()), look.records.faults
    if len(files) == 1 and not faults and wanted == (files[0].z,):  # most are so, and a plate has thousands
        return _Channel(files, (), (), (), 1, 1)
    usable: dict[int, list[ImageFile]] = {}
    came: set[int] = set()
    for file in files:
        came.add(file.z)
        if faults and fault_name(file) in faults:
            look.faulted.append((*key, channel, file))
        else:
            usable.setdefault(file.z, []).append(file)
    wanted = wanted or tuple(sorted(came)) or (1,)
    lacking = [z for z in wanted if z not in usable]
    decided = [z for z in lacking if _is_decided(look.records, (*key, channel), z)] if lacking else []
    awaited = [z for z in lacking if z not in decided]
    for z in awaited:
        reason = look.arrivals.not_taken.get((*key, channel, z), "")
        look.gaps.append(Gap(*key, channel, z if len(wanted) > 1 else 0, reason))
    return _Channel(
        tuple(usable[z][0] for z in wanted if z in usable),
        tuple(file for z in wanted for file in usable.get(z, ())[1:]),
        tuple(decided),
        tuple(awaited),
        len(wanted),
        sum(z in came for z in wanted),
    )


def _is_decided(records: Records, place: tuple[str, int, str], z: int) -> bool:
    return place in records.missing or (*place, z) in records.missing_planes


def _inputs(
    channels: Mapping[str, _Channel],
    others: Iterable[tuple[str, ImageFile]],
    missing: tuple[str, ...],
    pinned: _Pinned,
) -> str:
    """Hash of all that the site's values depend on."""
    return hash_of(
        [
            [[name, *file.version] for name, channel in channels.items() for file in channel.planes],
            [[name, *file.version] for name, file in others],
            list(missing),
            pinned.hash,
        ]
    )


def _state_of(name: str, records: Records, *, is_preview: bool) -> tuple[SiteState, int]:
    """State of a site that is ready, by its name, and its failures so far."""
    attempts = records.attempts.get(name, 0)
    measured: SiteState = "previewed" if is_preview else "done"
    if name in (records.previews if is_preview else records.manifests):
        return measured, attempts
    return "failed" if attempts >= ATTEMPTS else "todo", attempts
