"""Deleting what no record names: data of workers that were killed or came second.

An object counts as unreferenced only when it is older than the grace, which is longer than any task or query takes;
so data whose record is still to be written are never touched. Uploaded images and records are never deleted.
"""

from __future__ import annotations

import time
from typing import Any

from imaging.job import PlateJob
from imaging.store import StoredObject
from imaging.stored_records import FIELD, PUBLICATION, SITE, read_record

GRACE_S = 86_400.0
_SHAPES = {"sites": SITE, "publications": PUBLICATION, "illumination.json": FIELD}


def find_unreferenced(job: PlateJob, *, grace_s: float = GRACE_S, now: float | None = None) -> list[str]:
    """Keys of the plate's data objects, of any recipe's images and of this recipe's tables, that no record names.

    Raises
    ------
    StoredDataError
        If a record is damaged: then nothing can be said about what it names.
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
            named.update(_named(kind, read_record(job.store, item.key, _SHAPES[kind])))
            published.update([recipe] if kind == "publications" else [])
        elif kind == "previews" and name.endswith(".json"):
            previews.append((recipe, read_record(job.store, item.key, SITE)))
    for recipe, record in previews:
        if recipe not in published:  # then each site's own manifest names the same thumbnails
            named.update(_named("sites", record))
    data += [item for item in images if _is_of_site(item.key.removeprefix(f"{job.zarr}/"))]
    return [item.key for item in data if item.modified < oldest and item.key not in named]


def sweep(job: PlateJob, *, grace_s: float = GRACE_S, now: float | None = None) -> list[str]:
    """Delete the plate's unreferenced data; return their keys."""
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
