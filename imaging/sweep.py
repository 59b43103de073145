"""Deleting what no record names: data of workers that were killed or came second.

An object counts as unreferenced only when it is older than the grace, which is longer than any task or query takes
(``imaging.grace``); so data whose record is still to be written are never touched. How old an object is, is asked of
the store's clock too: one clock that is ahead deletes nothing. Uploaded images and records are never deleted.
"""

from __future__ import annotations

import json
import time
from typing import Any

from imaging.grace import GRACE_S, read_clocks, read_store_clock
from imaging.job import PlateJob
from imaging.records import clock_key
from imaging.store import StoredObject


def find_unreferenced(job: PlateJob, *, grace_s: float = GRACE_S, now: float | None = None) -> list[str]:
    """Keys of the plate's data objects, of any recipe's images and of this recipe's tables, that no record names.

    Raises
    ------
    ValueError
        If a record is no JSON: then nothing can be said about what it names.
    """
    oldest = (time.time() if now is None else now) - grace_s
    results = f"results/{job.experiment.name}/{job.plate}/"
    named: set[str] = set()
    published: set[str] = set()
    previews: list[tuple[str, dict[str, Any]]] = []
    data: list[StoredObject] = []
    # data first: an object listed here whose record comes later is young, and young objects stay
    images = job.store.list(f"{job.zarr}/").objects
    for item in job.store.list(results).objects:
        recipe, _, rest = item.key.removeprefix(results).partition("/")
        kind, _, name = rest.partition("/")
        if kind in ("parts", "fields", "published"):
            data.append(item)
        elif kind in ("sites", "publications", "illumination.json") and item.key.endswith(".json"):
            named.update(_named(kind, json.loads(job.store.read(item.key))))
            published.update([recipe] if kind == "publications" else [])
        elif kind == "previews" and name.endswith(".json"):
            previews.append((recipe, json.loads(job.store.read(item.key))))
    for recipe, record in previews:
        if recipe not in published:  # then each site's own manifest names the same thumbnails
            named.update(_named("sites", record))
    data += [item for item in images if _is_of_site(item.key.removeprefix(f"{job.zarr}/"))]
    return [item.key for item in data if item.modified < oldest and item.key not in named]


def sweep(job: PlateJob, *, grace_s: float = GRACE_S, now: float | None = None) -> list[str]:
    """Delete the plate's unreferenced data; return their keys. ``now`` stands for both clocks, Unix seconds."""
    now = min(read_clocks()[0], read_store_clock(job.store, clock_key(job.prefix))) if now is None else now
    unreferenced = find_unreferenced(job, grace_s=grace_s, now=now)
    for key in unreferenced:
        job.store.delete(key)
    job.store.delete_staged(grace_s)
    return unreferenced


def _named(kind: str, record: dict[str, Any]) -> list[str]:
    if kind == "publications":
        fields = record.get("illumination", {}).get("fields", {}).values()
        return [*record["tables"].values(), *(item["key"] for item in fields)]
    if kind == "illumination.json":
        return [record["field"]["key"]] if record["field"] else []
    images = record["zarr"]["objects"] if record["zarr"] else []
    return [item["key"] for item in [record["part"], record.get("image_part"), *images] if item]


def _is_of_site(path: str) -> bool:
    """Whether an object of the plate's Zarr belongs to a site: ``B/3/s1x.../...``, unlike rows' and wells' own."""
    return path.count("/") >= 3
