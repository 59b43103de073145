"""Deleting data of analyses that no record names, and what was kept of single plates long ago.

The first are those of processes that were killed or came second. As for plates (``imaging.sweep``), only what is older
than the grace by both clocks is taken, and nothing where a record is damaged: it might name it. What is kept of a plate
is made again when it is needed, so it is forgotten after `KEPT_S` whether an analysis still rests on it or not; its
data, which no record names any more, go in the next sweep.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

from imaging.analyses.analysis_records import (
    DAMAGED,
    PLATES,
    Listed,
    analyses_folder,
    attempt_key,
    list_analyses,
    read_analyses,
    read_json,
    record_key,
    sort_analyses,
    told_key,
)
from imaging.errors import StoredDataError
from imaging.grace import GRACE_S, read_earlier_clock
from imaging.store import Store

KEPT_S = 30 * 86_400.0
"""Seconds for which what was made of a plate alone is kept."""
SWEEP_S = 6 * 3600.0
"""Seconds between two sweeps of an experiment."""
_READERS = 16
_CLOCK = "clock.json"
_DATA = re.compile(r"(?P<recipe>[^/]+)/data/.+")


def is_sweep_due(store: Store, experiment: str, now: float) -> bool:
    """Whether the last sweep is some hours ago, by the clock that it left."""
    swept_at = store.modified(f"{analyses_folder(experiment)}{_CLOCK}")
    return swept_at is None or abs(now - swept_at) > SWEEP_S


def sweep_analyses(
    store: Store,
    experiment: str,
    *,
    keep: int | None = None,
    grace_s: float = GRACE_S,
    now: float | None = None,
) -> list[str]:
    """Delete what no analysis needs of an experiment's; return the addresses.

    Parameters
    ----------
    store, experiment
        Where it is.
    keep
        Newest analyses under each recipe that stay; ``None`` keeps all. What others leave behind is swept next time.
    grace_s
        Age in seconds below which nothing is deleted.
    now
        Unix seconds; default the earlier of this machine's clock and the storage's.
    """
    folder = analyses_folder(experiment)
    listing = store.list(folder)
    everything = listing.objects
    data = [item for item in everything if _DATA.fullmatch(item.key.removeprefix(folder))]
    now = read_earlier_clock(store, f"{folder}{_CLOCK}") if now is None else now
    old = [item.key for item in data if now - item.modified > grace_s]
    kept = f"{folder}{PLATES}/"
    forgotten = [
        item.key
        for item in everything
        if item.key.startswith(kept) and item.key.endswith(".json") and now - item.modified > KEPT_S + grace_s
    ]
    forgotten += _find_superseded(sort_analyses(experiment, listing), keep)
    for key in forgotten:
        store.delete(key)
    if not old:
        return forgotten
    listed = list_analyses(store, experiment)  # after the data: a record of these is in it
    records = read_analyses(store, listed)
    damaged = {record.recipe for record in records if record.status == DAMAGED}
    named = {key for record in records for key in record.tables.values()}
    of_plates = [key for key in listed.sizes if key.startswith(kept) and key.endswith(".json")]
    try:
        with ThreadPoolExecutor(_READERS) as pool:
            for record in pool.map(lambda key: read_json(store, key), of_plates):
                named |= {about["key"] for about in record["data"].values()}
    except (StoredDataError, KeyError, TypeError, AttributeError):
        damaged.add(PLATES)
    swept = [key for key in old if key not in named and key.removeprefix(folder).split("/", 1)[0] not in damaged]
    for key in swept:
        store.delete(key)
    return forgotten + swept


def _find_superseded(listed: Listed, keep: int | None) -> list[str]:
    """Attempts of analyses that ended, and records and marks of those that are older than the newest ``keep``."""
    found = [
        attempt_key(listed.experiment, recipe, run, number, attempt + 1)
        for (recipe, run, number), attempts in listed.attempts.items()
        for attempt in range(attempts)
        if number < listed.last(recipe)
    ]
    if keep is not None:
        superseded = [(recipe, n) for recipe, ns in listed.numbers.items() for n in ns[: -max(keep, 1)]]
        found += [key(listed.experiment, *place) for place in superseded for key in (record_key, told_key)]
    return [key for key in found if key in listed.sizes]
