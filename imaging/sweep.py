"""Deleting what no record names: data of workers that were killed or came second.

An object counts as unreferenced only when it is older than the grace, which is longer than any task or query takes;
so data whose record is still to be written are never touched. Uploaded images and records are never deleted.

What a void manifest names stays until the site is done again, the current publication is without it, and both are older
than the grace: of damaged data the rest may be all there is. A publication that was given up names nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from imaging.job import PlateJob
from imaging.records import field_key, next_name, publication_key, publication_numbers
from imaging.store import Listing, StoredObject

GRACE_S = 86_400.0


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
    data: list[StoredObject] = []
    recipes: dict[str, _Names] = {}
    # data first: an object listed here whose record comes later is young, and young objects stay
    images = job.store.list(f"{job.zarr}/").objects
    for item in job.store.list(results).objects:
        recipe, _, rest = item.key.removeprefix(results).partition("/")
        kind, _, name = rest.partition("/")
        if kind in ("parts", "fields", "published"):
            data.append(item)
        elif item.key.endswith(".json"):
            recipes.setdefault(recipe, _Names({}, {})).note(kind, name.removesuffix(".json"), item)
    for recipe, names in recipes.items():
        named.update(_named_under(job, f"{results}{recipe}/", names, oldest))
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


def _named_under(job: PlateJob, prefix: str, names: _Names, oldest: float) -> Iterator[str]:
    """What the records of a plate under one recipe name."""
    numbers = publication_numbers(prefix, Listing(tuple(names.objects.get("publications", ()))))
    current: frozenset[str] = frozenset()
    for number in numbers:
        record = _read(job, publication_key(prefix, number))
        yield from _named("publications", record)
        current = frozenset(record.get("manifests") or ())
    for item in names.objects.get("sites", ()):
        name = item.key.rpartition("/")[2].removesuffix(".json")
        if item.key in current or not names.is_replaced(name, oldest):
            yield from _named("sites", _read(job, item.key))
    if names.objects.get("illumination.json"):
        yield from _named("illumination.json", _read(job, field_key(prefix)))
    if not numbers:  # after that each site's own manifest names the same thumbnails
        for item in names.objects.get("previews", ()):
            yield from _named("sites", _read(job, item.key))


def _read(job: PlateJob, key: str) -> dict[str, Any]:
    return json.loads(job.store.read(key))


def sweep(job: PlateJob, *, grace_s: float = GRACE_S, now: float | None = None) -> list[str]:
    """Delete the plate's unreferenced data; return their keys."""
    unreferenced = find_unreferenced(job, grace_s=grace_s, now=now)
    for key in unreferenced:
        job.store.delete(key)
    job.store.delete_staged(grace_s)
    return unreferenced


def _named(kind: str, record: dict[str, Any]) -> list[str]:
    if kind == "publications":
        fields = record.get("illumination", {}).get("fields", {}).values()
        return [*(record.get("tables") or {}).values(), *(item["key"] for item in fields)]
    if kind == "illumination.json":
        return [record["field"]["key"]] if record["field"] else []
    images = record["zarr"]["objects"] if record["zarr"] else []
    return [item["key"] for item in [record["part"], record.get("image_part"), *images] if item]


def _is_of_site(path: str) -> bool:
    """Whether an object of the plate's Zarr belongs to a site: ``B/3/s1x.../...``, unlike rows' and wells' own."""
    return path.count("/") >= 3
