"""Deleting what no record names: data of workers that were killed or came second.

An object counts as unreferenced only when it is older than the grace, which is longer than any task or query takes
(``imaging.grace``); so data whose record is still to be written are never touched. How old an object is, is asked of
the store's clock too: one clock that is ahead deletes nothing. Uploaded images and records are never deleted here.

What a void manifest names stays until the site is done again, the current publication is without it, and both are older
than the grace: of damaged data the rest may be all there is. Tables of a publication that was given up go when that,
and the next publication, are older than the grace.

Where records are gone, nothing can be told from what is left: if a folder is out of sight, or the current publication,
its manifests or the frozen field are not there, nothing of the plate is deleted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from imaging.damage import CURES
from imaging.errors import StoredDataError
from imaging.grace import GRACE_S, read_earlier_clock
from imaging.job import PlateJob
from imaging.records import (
    clock_key,
    field_key,
    manifest_key,
    next_name,
    numbers_in,
    publication_key,
    publication_numbers,
)
from imaging.store import Listing, Store, StoredObject
from imaging.stored_records import FIELD, PUBLICATION, SITE, read_record

_READERS = 16
_KEPT = "nothing of the plate is deleted before platestream repair, or a copy, brings it back"


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
        If a record is damaged, gone or out of sight: then nothing can be said about what it names.
    """
    oldest = (time.time() if now is None else now) - grace_s
    results = f"results/{job.experiment.name}/{job.plate}/"
    data: list[StoredObject] = []
    recipes: dict[str, _Names] = {}
    # data first: an object listed here whose record comes later is young, and young objects stay
    images = job.store.list(f"{job.zarr}/").objects
    listing = job.store.list(results)
    for refused in listing.refused:
        raise StoredDataError(f"what lies there is out of sight: {refused.reason}; {_KEPT}", key=refused.shown)
    for item in listing.objects:
        recipe, _, rest = item.key.removeprefix(results).partition("/")
        kind, _, name = rest.partition("/")
        names = recipes.setdefault(recipe, _Names(f"{results}{recipe}/", oldest))
        if kind in ("parts", "fields", "published"):
            data.append(item)
        if item.key not in without:
            names.note(kind, name.removesuffix(".json"), item)
    named = {key for names in recipes.values() for key in _named_under(job.store, names)}
    ending = tuple(folder for names in recipes.values() for folder in names.folders_of_ended_lately())
    data += [item for item in images if _is_of_site(item.key.removeprefix(f"{job.zarr}/"))]
    return [
        item.key
        for item in data
        if item.modified < oldest and item.key not in named and not item.key.startswith(ending)
    ]


@dataclass(frozen=True)
class _Names:
    """Objects of a plate under one recipe: when each was written, by kind and name, and those of each kind.

    What was written after ``oldest``, in Unix seconds, is younger than the grace.
    """

    prefix: str
    oldest: float
    written: dict[tuple[str, str], float] = field(default_factory=dict)
    objects: dict[str, list[StoredObject]] = field(default_factory=dict)

    def note(self, kind: str, name: str, item: StoredObject) -> None:
        self.written[kind, name] = item.modified
        self.objects.setdefault(kind, []).append(item)

    def of(self, kind: str) -> list[StoredObject]:
        return self.objects.get(kind, [])

    def is_replaced(self, name: str) -> bool:
        """Whether a void manifest's site was done again, both long ago."""
        again, void = self.written.get(("sites", next_name(name))), self.written.get(("voids", name))
        return again is not None and void is not None and max(again, void) < self.oldest

    def folders_of_ended_lately(self) -> Iterator[str]:
        """Where the tables of publications lie that count no longer, for less than the grace: some query reads them."""
        for item in self.of("publications"):
            number, _, end = _name_of(item.key).partition("-")
            if end and max(item.modified, self._succeeded_at(number)) >= self.oldest:
                yield f"{self.prefix}published/{number}-"

    def _succeeded_at(self, number: str) -> float:
        """When the first publication after one was recorded, in Unix seconds; 0 where there is none."""
        later = (item for item in self.of("publications") if "-" not in (name := _name_of(item.key)) and name > number)
        return min((item.modified for item in later), default=0.0)

    def refuse_gaps(self, number: int, manifests: frozenset[str]) -> None:
        """Refuse to say what is named where records are gone: of the current publication, its manifests, the field.

        Raises
        ------
        StoredDataError
            If one is.
        """
        there = {item.key for item in self.of("sites")}
        voids = {manifest_key(self.prefix, _name_of(item.key)) for item in self.of("voids")}
        for key in sorted(manifests - there - voids):
            raise StoredDataError(f"the manifest of a site of publication {number} is gone; {_KEPT}", key=key)
        known, last = (
            max(numbers_in(_name_of(item.key) for item in self.of(kind)), default=0)
            for kind in ("publications", "projected")
        )
        if last > known:
            raise StoredDataError(
                f"the record of the newest publication is gone; {_KEPT}", key=publication_key(self.prefix, last)
            )
        if there and self.of("fields") and not self.of("illumination.json"):
            raise StoredDataError(
                f"the record of the plate's field of illumination is gone; {_KEPT}", key=field_key(self.prefix)
            )


def _named_under(store: Store, names: _Names) -> Iterator[str]:
    """What the records of a plate under one recipe name."""
    prefix = names.prefix
    numbers = publication_numbers(prefix, Listing(tuple(names.of("publications"))))
    current: frozenset[str] = frozenset()
    for number in numbers:
        record = read_record(store, publication_key(prefix, number), PUBLICATION)
        yield from _named("publications", record)
        current = frozenset(record.get("manifests") or ())
    names.refuse_gaps(numbers[-1] if numbers else 0, current)
    manifests = [
        item.key for item in names.of("sites") if item.key in current or not names.is_replaced(_name_of(item.key))
    ]
    if not numbers:  # after that each site's own manifest names the same thumbnails
        manifests += [item.key for item in names.of("previews")]
    for keys in _named_by_manifests(store, manifests):
        yield from keys
    if names.of("illumination.json"):
        yield from _named("illumination.json", read_record(store, field_key(prefix), FIELD, cure=CURES["frozen"]))


def _named_by_manifests(store: Store, keys: Iterable[str]) -> Iterator[list[str]]:
    """What each manifest names; a plate has thousands, so none is kept, and while they are read no other plate is."""
    with ThreadPoolExecutor(_READERS) as readers:
        yield from readers.map(lambda key: _named("sites", read_record(store, key, SITE)), keys)


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


def _name_of(key: str) -> str:
    """Name of a record by its address."""
    return key.rpartition("/")[2].removesuffix(".json")


def _is_of_site(path: str) -> bool:
    """Whether an object of the plate's Zarr belongs to a site: ``B/3/s1x.../...``, unlike rows' and wells' own."""
    return path.count("/") >= 3
