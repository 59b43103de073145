"""Deleting what no record names: data of workers that were killed or came second.

An object counts as unreferenced only when it is older than the grace, which is longer than any task or query takes
(``imaging.grace``); so data whose record is still to be written are never touched. How old an object is, is asked of
the store's clock too: one clock that is ahead deletes nothing. Uploaded images and records are never deleted here.

What a void manifest names stays until the site is done again, the current publication is without it, and both are older
than the grace: of damaged data the rest may be all there is. A publication that was given up names nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from imaging.grace import GRACE_S, read_earlier_clock
from imaging.job import PlateJob
from imaging.records import clock_key, field_key, next_name, publication_key, publication_numbers
from imaging.store import Listing, Store, StoredObject
from imaging.stored_records import FIELD, PUBLICATION, SITE, Shape, read_record

_READERS = 16


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
    data: list[StoredObject] = []
    recipes: dict[str, _Names] = {}
    # data first: an object listed here whose record comes later is young, and young objects stay
    images = job.store.list(f"{job.zarr}/").objects
    for item in job.store.list(results).objects:
        recipe, _, rest = item.key.removeprefix(results).partition("/")
        kind, _, name = rest.partition("/")
        if kind in ("parts", "fields", "published"):
            data.append(item)
        elif item.key.endswith(".json") and item.key not in without:
            recipes.setdefault(recipe, _Names({}, {})).note(kind, name.removesuffix(".json"), item)
    for recipe, names in recipes.items():
        named.update(_named_under(job.store, f"{results}{recipe}/", names, oldest))
    data += [item for item in images if _is_of_site(item.key.removeprefix(f"{job.zarr}/"))]
    return [item.key for item in data if item.modified < oldest and item.key not in named]


@dataclass(frozen=True)
class _Names:
    """Records of a plate under one recipe: when each manifest, preview and void was written, and other objects."""

    written: dict[tuple[str, str], float]
    objects: dict[str, list[StoredObject]]

    def note(self, kind: str, name: str, item: StoredObject) -> None:
        self.written[kind, name] = item.modified
        self.objects.setdefault(kind, []).append(item)

    def is_replaced(self, name: str, oldest: float) -> bool:
        """Whether a void manifest's site was done again, both long ago."""
        again, void = self.written.get(("sites", next_name(name))), self.written.get(("voids", name))
        return again is not None and void is not None and max(again, void) < oldest


def _named_under(store: Store, prefix: str, names: _Names, oldest: float) -> Iterator[str]:
    """What the records of a plate under one recipe name."""
    numbers = publication_numbers(prefix, Listing(tuple(names.objects.get("publications", ()))))
    current: frozenset[str] = frozenset()
    for record in _read_all(store, [publication_key(prefix, number) for number in numbers], PUBLICATION):
        yield from _named("publications", record)
        current = frozenset(record.get("manifests") or ())
    manifests = [
        item.key
        for item in names.objects.get("sites", ())
        if item.key in current or not names.is_replaced(item.key.rpartition("/")[2].removesuffix(".json"), oldest)
    ]
    if not numbers:  # after that each site's own manifest names the same thumbnails
        manifests += [item.key for item in names.objects.get("previews", ())]
    for record in _read_all(store, manifests, SITE):
        yield from _named("sites", record)
    if names.objects.get("illumination.json"):
        yield from _named("illumination.json", read_record(store, field_key(prefix), FIELD))


def _read_all(store: Store, keys: Iterable[str], shape: Shape) -> list[dict[str, Any]]:
    """Read records; a plate has thousands, and while they are read no other plate is looked at."""
    with ThreadPoolExecutor(_READERS) as readers:
        return list(readers.map(lambda key: read_record(store, key, shape), keys))


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
