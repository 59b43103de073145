"""Deleting data of analyses that no record names: those of processes that were killed or came second.

As for plates (``imaging.sweep``), only what is older than the grace by both clocks is taken, and nothing where a record
is damaged: it might name it.
"""

from __future__ import annotations

import re

from imaging.analyses.analysis_records import DAMAGED, PLATES, analyses_folder, list_analyses, read_analyses, read_json
from imaging.errors import StoredDataError
from imaging.grace import GRACE_S, read_earlier_clock
from imaging.store import Store

_DATA = re.compile(r"(?P<recipe>[^/]+)/data/.+")


def sweep_analyses(store: Store, experiment: str, *, grace_s: float = GRACE_S, now: float | None = None) -> list[str]:
    """Delete data of an experiment's analyses that no record names; return their addresses.

    Parameters
    ----------
    store, experiment
        Where it is.
    grace_s
        Age in seconds below which nothing is deleted.
    now
        Unix seconds; default the earlier of this machine's clock and the storage's.
    """
    folder = analyses_folder(experiment)
    data = [item for item in store.list(folder).objects if _DATA.fullmatch(item.key.removeprefix(folder))]
    now = read_earlier_clock(store, f"{folder}clock.json") if now is None else now
    old = [item.key for item in data if now - item.modified > grace_s]
    if not old:
        return []
    listed = list_analyses(store, experiment)  # after the data: a record of these is in it
    records = read_analyses(store, listed)
    damaged = {record.recipe for record in records if record.status == DAMAGED}
    named = {key for record in records for key in record.tables.values()}
    try:
        for key in listed.sizes:
            if key.startswith(f"{folder}{PLATES}/") and key.endswith(".json"):
                named |= {about["key"] for about in read_json(store, key)["data"].values()}
    except (StoredDataError, KeyError, TypeError, AttributeError):
        damaged.add(PLATES)
    swept = [key for key in old if key not in named and key.removeprefix(folder).split("/", 1)[0] not in damaged]
    for key in swept:
        store.delete(key)
    return swept
