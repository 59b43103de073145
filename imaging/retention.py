"""What a closed plate keeps: its newest publications, all that others name, and no data that nothing names.

Only records are decided about here: once the record of a superseded publication, or the manifest of a site that no
publication uses, is gone, nothing names its data, and the sweep deletes them (``imaging.sweep``). So it may be ended
anywhere and done again. Uploaded images, faults, decisions and failures are never deleted.

A publication is superseded where enough newer ones are there and the next one has stood for the grace. It stays all the
same where a record of another plate names it: that one was compared with it, or has its field of illumination.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from imaging.grace import GRACE_S, read_earlier_clock
from imaging.job import PlateJob
from imaging.named_elsewhere import NamedElsewhere, NamedPublication
from imaging.names import to_json
from imaging.planning import Plan
from imaging.records import clock_key, manifest_key, projected_key, publication_key, swept_key
from imaging.store import Store
from imaging.stored_records import PUBLICATION, read_record
from imaging.sweep import find_unreferenced, sweep

_READERS = 16


@dataclass(frozen=True, slots=True)
class Surplus:
    """What a plate has too much of: numbers of publications, keys of their records and of manifests, keys of data."""

    publications: tuple[int, ...]
    records: tuple[str, ...]
    data: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.records or self.data)


NOTHING = Surplus((), (), ())


def clean_plate(
    job: PlateJob,
    plan: Plan,
    *,
    keep: int | None,
    now: float | None = None,
    grace_s: float = GRACE_S,
    named: NamedElsewhere | None = None,
) -> Surplus:
    """Delete what a closed plate has too much of; at most once for each newest publication.

    Nothing is deleted while the newest publication is damaged or gone, for older ones may be all there is.

    Parameters
    ----------
    job, plan
        The plate and a look at it.
    keep
        Newest publications that stay; ``None`` keeps all.
    now
        Unix seconds; default the earlier of this machine's clock and the storage's.
    grace_s
        Age in seconds below which nothing is deleted.
    named
        What plates name of one another, where it is known from plates that were cleaned before.

    Returns
    -------
    What was deleted.

    Raises
    ------
    StoredDataError
        If a record is damaged: then nothing can be said about what it names.
    """
    if plan.records.is_last_void:
        return NOTHING
    last = plan.records.last_publication
    mark = swept_key(job.prefix, last, keep)
    if last and job.store.exists(mark):
        return NOTHING
    now = read_earlier_clock(job.store, clock_key(job.prefix)) if now is None else now
    numbers, records = find_superseded(job, plan, keep=keep, now=now, grace_s=grace_s, named=named)
    for key in records:
        job.store.delete(key)
    data = sweep(job, grace_s=grace_s, now=now)
    if last and _is_settled(job, last, now, grace_s):
        job.store.create(mark, to_json({"number": last}))
    return Surplus(numbers, records, tuple(data))


def find_surplus(
    job: PlateJob,
    plan: Plan,
    *,
    keep: int | None,
    now: float,
    grace_s: float = GRACE_S,
    named: NamedElsewhere | None = None,
) -> Surplus:
    """Say what ``clean_plate`` would delete; arguments and errors as there."""
    if plan.records.is_last_void:
        return NOTHING
    numbers, records = find_superseded(job, plan, keep=keep, now=now, grace_s=grace_s, named=named)
    data = find_unreferenced(job, grace_s=grace_s, now=now, without=frozenset(records))
    return Surplus(numbers, records, tuple(data))


def find_superseded(
    job: PlateJob,
    plan: Plan,
    *,
    keep: int | None,
    now: float,
    grace_s: float = GRACE_S,
    named: NamedElsewhere | None = None,
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Numbers of publications that no longer need be kept, and the keys of records that go with them.

    Arguments and errors as ``clean_plate``.
    """
    listed = {item.key: item.modified for item in job.store.list(job.prefix).objects}
    times = {
        number: listed[key]
        for number in plan.records.publications
        if (key := publication_key(job.prefix, number)) in listed
    }
    numbers = sorted(times)
    old = [
        number
        for number, following in pairwise(numbers)
        if keep is not None and number < numbers[-keep:][0] and now - times[following] > grace_s
    ]
    if not old:
        return (), ()
    records = dict(zip(numbers, _read_all(job.store, [publication_key(job.prefix, n) for n in numbers]), strict=True))
    kept = (named or NamedElsewhere()).of(job.store, job.experiment)
    plate = job.experiment.name, job.plate
    superseded = tuple(
        number
        for number in old
        if NamedPublication(*plate, run=records[number]["run"]) not in kept
        and NamedPublication(*plate, recipe=job.recipe, number=number) not in kept
    )
    if not superseded:
        return (), ()
    used = {key for number in numbers if number not in superseded for key in records[number].get("manifests") or ()}
    used |= {manifest_key(job.prefix, site.name) for site in plan.sites}
    once_used = {key for number in superseded for key in records[number].get("manifests") or ()}
    manifests = [key for key in sorted(once_used - used) if now - listed.get(key, now) > grace_s]
    projected = [
        key
        for number in superseded
        for key in sorted(listed)
        if key.startswith(projected_key(job.prefix, number, "").removesuffix(".json"))
    ]
    # the publication's own record comes last: as long as it is there, it says which others go with it
    return superseded, (*manifests, *projected, *(publication_key(job.prefix, number) for number in superseded))


def _is_settled(job: PlateJob, last: int, now: float, grace_s: float) -> bool:
    """Whether the newest publication stood for twice the grace: what was left behind beside it is old enough, too."""
    at = job.store.modified(publication_key(job.prefix, last))
    return at is not None and now - at > 2 * grace_s


def _read_all(store: Store, keys: Iterable[str]) -> list[dict[str, Any]]:
    """Read publication records; one that another cleaner has just deleted names nothing."""

    def read(key: str) -> dict[str, Any]:
        try:
            return read_record(store, key, PUBLICATION, cure="nothing of the plate is deleted")
        except FileNotFoundError:
            return {"run": ""}

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(read, keys))
