"""Deleting what no record names: data of workers that were killed or came second.

An object counts as unreferenced only when it is older than the grace, which is longer than any task or query takes
(``imaging.grace``); so data whose record is still to be written are never touched. How old an object is, is asked of
the store's clock too: one clock that is ahead deletes nothing. Uploaded images and records are never deleted here.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from imaging.grace import GRACE_S, read_earlier_clock
from imaging.job import PlateJob
from imaging.records import clock_key
from imaging.store import StoredObject
from imaging.stored_records import FIELD, PUBLICATION, SITE, read_record

_READERS = 16
_NAMING = {"sites": SITE, "publications": PUBLICATION, "illumination.json": FIELD}
_SHAPES = {**_NAMING, "previews": SITE}


def find_unreferenced(
    job: PlateJob, *, grace_s: float = GRACE_S, now: float | None = None, without: frozenset[str] = frozenset()
) -> list[str]:
    """Keys of the plate's data objects, of any recipe's images and of this recipe's tables, that no record names.

    Parameters
    ----------
    job
        The plate.
    grace_s
        Age in seconds below which an object is not counted.
    now
        Unix seconds; default the time of day.
    without
        Keys of records that count as deleted.

    Raises
    ------
    StoredDataError
        If a record is damaged: then nothing can be said about what it names.
    """
    oldest = (time.time() if now is None else now) - grace_s
    results = f"results/{job.experiment.name}/{job.plate}/"
    named: set[str] = set()
    published: set[str] = set()
    records: list[tuple[str, str, str]] = []
    data: list[StoredObject] = []
    # data first: an object listed here whose record comes later is young, and young objects stay
    images = job.store.list(f"{job.zarr}/").objects
    for item in job.store.list(results).objects:
        recipe, _, rest = item.key.removeprefix(results).partition("/")
        kind = rest.partition("/")[0]
        if kind in ("parts", "fields", "published"):
            data.append(item)
        elif kind in _SHAPES and item.key.endswith(".json") and item.key not in without:
            records.append((recipe, kind, item.key))
    with ThreadPoolExecutor(_READERS) as pool:  # a plate has thousands; while they are read, no plate is looked at
        contents = list(pool.map(lambda record: read_record(job.store, record[2], _SHAPES[record[1]]), records))
    for (recipe, kind, _), content in zip(records, contents, strict=True):
        if kind in _NAMING:
            named.update(_named(kind, content))
            published.update([recipe] if kind == "publications" else [])
    for (recipe, kind, _), content in zip(records, contents, strict=True):
        if kind == "previews" and recipe not in published:  # else each site's manifest names the same thumbnails
            named.update(_named("sites", content))
    data += [item for item in images if _is_of_site(item.key.removeprefix(f"{job.zarr}/"))]
    return [item.key for item in data if item.modified < oldest and item.key not in named]


def sweep(job: PlateJob, *, grace_s: float = GRACE_S, now: float | None = None) -> list[str]:
    """Delete the plate's unreferenced data; return their keys. ``now`` stands for both clocks, Unix seconds."""
    now = read_earlier_clock(job.store, clock_key(job.prefix)) if now is None else now
    unreferenced = find_unreferenced(job, grace_s=grace_s, now=now)
    for key in unreferenced:
        job.store.delete(key)
    job.store.delete_staged(grace_s)
    return unreferenced


def _named(kind: str, record: dict[str, Any]) -> list[str]:
    if kind == "publications":
        fields = (record.get("illumination") or {}).get("fields") or {}
        return [*(record.get("tables") or {}).values(), *(item["key"] for item in fields.values())]
    if kind == "illumination.json":
        return [record["field"]["key"]] if record.get("field") else []
    images = record["zarr"]["objects"] if record.get("zarr") else []
    return [item["key"] for item in [record.get("part"), record.get("image_part"), *images] if item]


def _is_of_site(path: str) -> bool:
    """Whether an object of the plate's Zarr belongs to a site: ``B/3/s1x.../...``, unlike rows' and wells' own."""
    return path.count("/") >= 3
