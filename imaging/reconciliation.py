"""A plate reconciled: what was expected, what arrived, what was processed, what was loaded, and why they differ.

    expected     planes that the instrument's manifest lists, or else the layout, as far as the recipe makes use of them
    arrived      those of which a file came, readable or not
    processed    those that the values of finished sites are from
    loaded       those of them that the current publication's tables hold, and the warehouse where there is one

It is made from one look at files and records, so it also tells of a plate that is still being imaged. The view
``reconciliation`` says the same of published plates in SQL.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from imaging.arrivals import Arrivals, UnknownFile
from imaging.expectations import SiteKey, say_told
from imaging.job import PlateJob
from imaging.planning import Plan, SitePlan
from imaging.publication import Publication, read_manifests, read_publication
from imaging.records import ATTEMPTS, attempt_key, fault_key, fault_name, manifest_key, missing_key
from imaging.stored_records import read_small_record
from imaging.time_points import split_site

_READERS = 16
_LISTED = 5
"""As many unknown files with one reason are named."""
NOT_PUBLISHED = "not loaded: not published yet"
NOT_IN_WAREHOUSE = "not loaded: the warehouse does not have the publication yet"


@dataclass
class SiteReconciliation:
    """Numbers of planes of one site, and the reasons of their differences, one clause each."""

    well: str
    site: int
    time_point: int
    expected: int
    arrived: int
    processed: int
    loaded: int
    reasons: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether all that is expected is loaded, and there is nothing to say."""
        return self.expected == self.loaded and not self.reasons


@dataclass(frozen=True)
class PlateReconciliation:
    """A plate's sites, and what is to be said of the plate as a whole."""

    experiment: str
    plate: str
    recipe: str
    sites: tuple[SiteReconciliation, ...]
    notes: tuple[str, ...]

    def total(self, name: str) -> int:
        """Sum over the sites of ``expected``, ``arrived``, ``processed`` or ``loaded``."""
        return sum(getattr(site, name) for site in self.sites)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Notes of the plate, then how often each kind of difference occurs."""
        kinds = Counter(_kind(reason) for site in self.sites for reason in site.reasons)
        return *self.notes, *(f"{count} x {kind}" for kind, count in kinds.items())


def reconcile(job: PlateJob, *, loaded: Collection[int] | None = None) -> PlateReconciliation:
    """Reconcile a plate.

    Parameters
    ----------
    job
        The plate.
    loaded
        Numbers of the publications that the warehouse has; ``None`` where there is no warehouse: then tables in
        Parquet, which SQL reads, are all that is loaded into.
    """
    plan = job.survey()
    publication = _current(job, plan)
    reasons = _Reasons(job, plan)
    held = frozenset(publication.manifests) if publication else frozenset()
    lag = "" if publication is None or loaded is None or publication.number in loaded else NOT_IN_WAREHOUSE
    sites = tuple(_site(job, site, reasons, held, lag) for site in plan.sites)
    unknown = say_unknown(plan.unknown)
    return PlateReconciliation(job.experiment.name, job.plate, job.recipe, sites, (*_notes(job), *unknown))


def say_unknown(files: Iterable[UnknownFile]) -> Iterator[str]:
    """Clauses about files that are no images, of many with one reason the first: a measurement has thousands."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for file in files:
        by_reason[file.reason].append(file.name)
    for reason, names in by_reason.items():
        if len(names) > _LISTED:
            yield f"unknown {names[0]} and {len(names) - 1} more: {reason}"
        else:
            yield from (f"unknown {name}: {reason}" for name in names)


def _current(job: PlateJob, plan: Plan) -> Publication | None:
    """The newest publication, unless it withdraws the plate."""
    last = plan.records.last_publication
    publication = read_publication(job, last) if last else None
    return None if publication is None or publication.status == "withdrawn" else publication


def _site(job: PlateJob, site: SitePlan, reasons: _Reasons, held: frozenset[str], lag: str) -> SiteReconciliation:
    well, (number, time_point) = site.well, split_site(site.site)
    row = SiteReconciliation(well, number, time_point, 0, 0, 0, 0)
    row.expected = sum(expected for _, expected, _ in site.planes)
    row.arrived = sum(came for *_, came in site.planes)
    stacks = dict(site.stacks)
    row.reasons = reasons.of(site)
    if site.state == "done":
        row.processed = sum(len(stacks.get(name, (None,))) for name in site.files)
        is_held = manifest_key(job.prefix, site.name) in held
        row.loaded = row.processed if is_held and not lag else 0
        row.reasons += [] if row.loaded else [NOT_PUBLISHED if not is_held else lag]
    return row


@dataclass
class _Reasons:
    """Why planes of sites did not come, or were not processed; records are read at once, each once."""

    job: PlateJob
    plan: Plan

    def __post_init__(self) -> None:
        job, plan = self.job, self.plan
        self.faults: dict[SiteKey, list[str]] = defaultdict(list)
        records = self._read(fault_key(job.prefix, fault_name(file)) for *_, file in plan.faulted)
        for (well, site, channel, file), record in zip(plan.faulted, records, strict=True):
            self.faults[well, site].append(f"{channel} unreadable: {file.shown}: {record['reason']}")
        self.unreadable = {(well, site, channel) for well, site, channel, _ in plan.faulted}
        self.decided: dict[SiteKey, list[str]] = defaultdict(list)
        places = [place for place in plan.decided() if place[:3] not in self.unreadable]  # these have a better reason
        records = self._read(missing_key(job.prefix, *place) for place in places)
        for (well, site, channel, z), record in zip(places, records, strict=True):
            plane = f" (plane {z})" if z else ""
            self.decided[well, site].append(f"{channel} missing{plane}: {record['reason']} ({record['by']})")
        self.twins: dict[SiteKey, list[str]] = defaultdict(list)
        finished = [site for site in plan.of("done") if site.others]
        for manifest in read_manifests(job.store, job.prefix, [site.name for site in finished]):
            for other in manifest["duplicates"]:
                self.twins[manifest["well"], manifest["site"]].append(_twin(other))

    def _read(self, keys: Iterable[str]) -> list[dict[str, Any]]:
        with ThreadPoolExecutor(_READERS) as pool:
            return list(pool.map(lambda key: read_small_record(self.job.store, key), keys))

    def of(self, site: SitePlan) -> list[str]:
        """Clauses about a site."""
        place = site.well, site.site
        found = [*self.faults.get(place, ()), *self.decided.get(place, ())]
        found += [f"{channel} is waited for" for channel in site.awaited if (*place, channel) not in self.unreadable]
        found += self.twins.get(place, ())
        if site.state == "failed":
            record = self._read([attempt_key(self.job.prefix, site.name, ATTEMPTS)])[0]
            found.append(f"failed: {record['reason']}")
        if site.state in ("todo", "previewed"):
            found.append("still to be processed")
        return found


def _twin(other: Mapping[str, Any]) -> str:
    if other["same_bytes"]:
        return f"{other['channel']} duplicate: {other['name']}: the same image under a second name"
    return f"{other['channel']} superseded: {other['name']}: a newer file gives this image"


def _notes(job: PlateJob) -> Iterator[str]:
    """What a manifest changed, when it came, and planes that nobody uses."""
    arrivals = job.arrivals
    if arrivals.is_told:
        yield f"expected: {say_told(job.experiment, arrivals.expected, arrivals.told)}{_lateness(arrivals)}"
    yield from arrivals.told.remarks
    if arrivals.unused:
        yield f"planes of z-stacks that the recipe does not use: {arrivals.unused}"


def _lateness(arrivals: Arrivals) -> str:
    times = [file.modified for file in arrivals.files()]
    before = sum(time < (arrivals.told_at or 0.0) for time in times)
    return f"; it came after {before} of {len(times)} images" if before else ""


def _kind(reason: str) -> str:
    """What a clause is about, without place and file: ``DNA missing: ...`` is ``missing``."""
    for kind in ("unreadable", "missing", "is waited for", "duplicate", "superseded"):
        if f" {kind}" in reason.partition(":")[0]:
            return kind
    return reason.partition(":")[0] if reason.startswith("failed") else reason
