"""What a closed plate keeps: its newest publications, all that others name, and no data that nothing names.

Only records are decided about here: once the record of a superseded publication, or the manifest of a site that no
publication uses, is gone, nothing names its data, and the sweep deletes them (``imaging.sweep``). So it may be ended
anywhere and done again. Uploaded images, faults, decisions and failures are never deleted.

A publication is superseded where enough newer ones are there and the next one has stood for the grace. It stays all the
same where the record of another plate names its run: that one was compared with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from imaging.errors import StoredDataError
from imaging.grace import GRACE_S, read_earlier_clock
from imaging.job import PlateJob
from imaging.names import is_experimental, plate_folders, results_prefix, to_json
from imaging.planning import Plan
from imaging.records import clock_key, manifest_key, projected_key, publication_key, publication_numbers, swept_key
from imaging.store import Store
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


def clean_plate(
    job: PlateJob, plan: Plan, *, keep: int | None, now: float | None = None, grace_s: float = GRACE_S
) -> Surplus:
    """Delete what a closed plate has too much of; at most once for each newest publication.

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

    Returns
    -------
    What was deleted.

    Raises
    ------
    StoredDataError
        If a record is damaged: then nothing can be said about what it names.
    """
    last = plan.records.last_publication
    mark = swept_key(job.prefix, last, keep)
    if last and job.store.exists(mark):
        return Surplus((), (), ())
    now = read_earlier_clock(job.store, clock_key(job.prefix)) if now is None else now
    numbers, records = find_superseded(job, plan, keep=keep, now=now, grace_s=grace_s)
    for key in records:
        job.store.delete(key)
    data = sweep(job, grace_s=grace_s, now=now)
    if last and _is_settled(job, last, now, grace_s):
        job.store.create(mark, to_json({"number": last}))
    return Surplus(numbers, records, tuple(data))


def find_surplus(job: PlateJob, plan: Plan, *, keep: int | None, now: float, grace_s: float = GRACE_S) -> Surplus:
    """Say what ``clean_plate`` would delete; arguments and errors as there."""
    numbers, records = find_superseded(job, plan, keep=keep, now=now, grace_s=grace_s)
    data = find_unreferenced(job, grace_s=grace_s, now=now, without=frozenset(records))
    return Surplus(numbers, records, tuple(data))


def find_superseded(
    job: PlateJob, plan: Plan, *, keep: int | None, now: float, grace_s: float = GRACE_S
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
    named = named_by_others(job.store, job.experiment.name, job.plate)
    superseded = tuple(number for number in old if records[number]["run"] not in named)
    if not superseded:
        return (), ()
    used = {key for number in numbers if number not in superseded for key in records[number]["manifests"]}
    used |= {manifest_key(job.prefix, site.name) for site in plan.sites}
    once_used = {key for number in superseded for key in records[number]["manifests"]}
    manifests = [key for key in sorted(once_used - used) if now - listed.get(key, now) > grace_s]
    projected = [
        key
        for number in superseded
        for key in sorted(listed)
        if key.startswith(projected_key(job.prefix, number, "").removesuffix(".json"))
    ]
    # the publication's own record comes last: as long as it is there, it says which others go with it
    return superseded, (*manifests, *projected, *(publication_key(job.prefix, number) for number in superseded))


def named_by_others(store: Store, experiment: str, plate: str) -> frozenset[str]:
    """Runs of a plate that current or older publications of the experiment's other plates were compared with.

    Raises
    ------
    StoredDataError
        If one of their records is damaged.
    """
    keys = []
    for other in plate_folders(store, experiment):
        if other == plate:
            continue
        for recipe in store.list_folders(f"results/{experiment}/{other}/"):
            if not is_experimental(recipe):
                prefix = results_prefix(experiment, other, recipe)
                numbers = publication_numbers(prefix, store.list(f"{prefix}publications/"))
                keys += [publication_key(prefix, number) for number in numbers]
    used = (item for record in _read_all(store, keys) for item in record.get("history") or ())
    return frozenset(item["run"] for item in used if item["plate"] == plate)


def _is_settled(job: PlateJob, last: int, now: float, grace_s: float) -> bool:
    """Whether the newest publication stood for twice the grace: what was left behind beside it is old enough, too."""
    at = job.store.modified(publication_key(job.prefix, last))
    return at is not None and now - at > 2 * grace_s


def _read_all(store: Store, keys: Iterable[str]) -> list[dict[str, Any]]:
    def read(key: str) -> dict[str, Any]:
        try:
            return json.loads(store.read(key))
        except FileNotFoundError:
            return {"run": "", "manifests": [], "history": []}
        except ValueError as error:
            raise StoredDataError("the record is damaged; nothing of the plate is deleted", key=key) from error

    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(read, keys))
