"""What is to be done for a plate: a pure function of one listing of its folder and the names of its records.

    ready    every expected channel has an unfaulted file, or is decided missing, and at least one has
    done     a manifest named by the site's inputs is there
    failed   the third attempt at these inputs is recorded
    todo     ready, neither done nor failed
    due      an image that nobody waits for any longer: patience_s passed since the plate's last arrival

Sites of a plate that is corrected with its own field are ``previewed`` once their images are measured; when all are,
have failed or are missing, the field is frozen, and from then on each is ready under other inputs, to be done.

No clock but ``now``, and that only for ``due``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imaging.arrivals import Arrivals, ImageFile, UnknownFile
from imaging.experiment import Experiment
from imaging.illumination import AWAITED
from imaging.names import hash_of
from imaging.records import ATTEMPTS, Records, fault_name

SiteState = Literal["waiting", "todo", "previewed", "done", "failed", "missing"]


@dataclass(frozen=True, slots=True)
class SitePlan:
    """One expected site: its state and what its values depend on.

    ``files`` are the counting files by channel; ``others`` further files of the same images, by channel;
    ``missing`` channels decided missing; ``awaited`` channels neither there nor decided; ``attempts`` failures so far;
    ``field`` the frozen field of illumination, as ``imaging.illumination.pinned_values`` takes it.
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
    due: tuple[tuple[str, int, str], ...]
    last_arrival: float | None
    records: Records
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
    channels = tuple(channel.name for channel in experiment.channels)
    faulted: list[tuple[str, int, str, ImageFile]] = []
    sites = [
        _plan_site(well, site, channels, arrivals, records, pinned, faulted)
        for well, site in experiment.expected_sites()
    ]
    last = max((file.modified for file in arrivals.files() if file.modified <= now), default=None)
    if last is None and arrivals.images:  # all times lie in the future: a wrong clock must not stop the plate
        last = 0.0
    is_due = last is not None and now - last > experiment.patience_s
    due = tuple((site.well, site.site, channel) for site in sites for channel in site.awaited) if is_due else ()
    is_field_due = field == AWAITED and last is not None and _can_freeze(sites, is_preview=pinned.is_preview)
    return Plan(tuple(sites), arrivals.unknown, tuple(faulted), due, last, records, is_field_due)


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


def _plan_site(
    well: str,
    site: int,
    channels: tuple[str, ...],
    arrivals: Arrivals,
    records: Records,
    pinned: _Pinned,
    faulted: list[tuple[str, int, str, ImageFile]],
) -> SitePlan:
    found = arrivals.images.get((well, site), {})
    files: dict[str, ImageFile] = {}
    others: list[tuple[str, ImageFile]] = []
    missing: list[str] = []
    awaited: list[str] = []
    for channel in channels:
        usable = []
        for file in found.get(channel, ()):
            if records.faults and fault_name(file) in records.faults:
                faulted.append((well, site, channel, file))
            else:
                usable.append(file)
        if usable:
            files[channel] = usable[0]
            others += [(channel, file) for file in usable[1:]]
        elif (well, site, channel) in records.missing:
            missing.append(channel)
        else:
            awaited.append(channel)
    if awaited or not files:
        state: SiteState = "waiting" if awaited else "missing"
        return SitePlan(well, site, state, files, tuple(others), tuple(missing), tuple(awaited))
    inputs = hash_of(
        [
            [[channel, *file.version] for channel, file in files.items()],
            [[channel, *file.version] for channel, file in others],
            missing,
            pinned.hash,
        ]
    )
    name = f"{well}-{site}-{inputs}"
    attempts = records.attempts.get(name, 0)
    measured, records_of = ("previewed", records.previews) if pinned.is_preview else ("done", records.manifests)
    state = measured if name in records_of else "failed" if attempts >= ATTEMPTS else "todo"
    return SitePlan(well, site, state, files, tuple(others), tuple(missing), (), inputs, attempts, pinned.field)
