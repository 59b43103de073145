"""Whether every object of a store is named by a record or swept, and every named one is there, whole.

Written against what the records say, not with the product's own sweeper, which is judged by it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imaging.job import PlateJob
from imaging.names import stored
from imaging.store import STAGING
from imaging.sweep import sweep

_UNNAMED = re.compile(
    r"[^/]+/(?:"
    r"(?:pins|illumination|heartbeat|clock|costs)\.json|"
    r"(?:sites|previews|voids|attempts|faults|decisions|publications|projected|swept)/[\w-]+\.json|"
    r"page/[^/]+)"
)
"""Below a plate's results: records and projections, which nothing need name. All else is data."""
_OF_PLATE = re.compile(r"(?:[A-Z]+/(?:\d+/)?)?zarr\.json")
"""Of a plate's Zarr: what describes the plate, its rows and its wells, and no site."""
LATER_S = 3 * 86_400.0


@dataclass(frozen=True)
class Named:
    """An object that a record names, and how it must be where the record says so."""

    key: str
    record: str
    described: dict[str, Any] | None = None


def named_objects(job: PlateJob) -> Iterator[Named]:
    """All that the records of a plate name."""
    prefix = f"results/{job.experiment.name}/{job.plate}/"
    for item in job.store.list(prefix).objects:
        recipe_free = item.key.removeprefix(prefix).partition("/")[2]
        if not item.key.endswith(".json"):
            continue
        if recipe_free.startswith("sites/"):
            record = json.loads(job.store.read(item.key))
            images = record["zarr"]["objects"] if record["zarr"] else []
            yield from (
                Named(each["key"], item.key, each) for each in [record["part"], record["image_part"], *images] if each
            )
        elif recipe_free.startswith("publications/"):
            record = json.loads(job.store.read(item.key))
            yield from (Named(key, item.key) for key in record["tables"].values())
            yield from (Named(key, item.key) for key in record["manifests"])
            yield from (Named(field["key"], item.key) for field in record["illumination"]["fields"].values())


def find_lost(job: PlateJob) -> list[str]:
    """Say which named objects are gone or other than recorded."""
    lost = []
    for named in named_objects(job):
        try:
            data = job.store.read(named.key)
        except FileNotFoundError:
            lost.append(f"{named.key} is gone, which {named.record} names")
            continue
        if named.described is not None and stored(named.key, data) != named.described:
            lost.append(f"{named.key} has other content than {named.record} says")
    return lost


def find_absent(job: PlateJob) -> list[str]:
    """Say which records name objects that are not there now: at no moment may a record be there before its data."""
    named = list(named_objects(job))
    results = f"results/{job.experiment.name}/{job.plate}/"
    there = {item.key for prefix in (results, f"{job.zarr}/") for item in job.store.list(prefix).objects}
    absent = {each.record: each.key for each in named if each.key not in there}
    return [f"{record} was there before its data, such as {key}" for record, key in absent.items()]


def find_strays(job: PlateJob) -> list[str]:
    """Keys below a plate's results and images of what no record names, records and projections left out."""
    named = {each.key for each in named_objects(job)}
    kinds = ((f"results/{job.experiment.name}/{job.plate}/", _UNNAMED), (f"{job.zarr}/", _OF_PLATE))
    found = [
        item.key
        for prefix, known in kinds
        for item in job.store.list(prefix).objects
        if not known.fullmatch(item.key.removeprefix(prefix))
    ]
    return sorted(set(found) - named)


def find_staged(job: PlateJob) -> list[Path]:
    """Files of a folder that somebody began to write and did not put into place."""
    folder = job.store.local_path(STAGING)
    return sorted(folder.iterdir()) if folder and folder.exists() else []


def judge_objects(job: PlateJob, now: float) -> list[str]:
    """Say what is wrong with a plate's objects before and after the sweep that comes once the grace is over."""
    broken = find_lost(job)
    for path in find_staged(job):
        os.utime(path, (now - LATER_S, now - LATER_S))
    sweep(job, now=now + LATER_S)
    broken += [f"{path.name} was begun to be written, and the sweep left it" for path in find_staged(job)]
    broken += [f"{key} is named by no record, and the sweep left it" for key in find_strays(job)]
    return broken + [f"after the sweep {sentence}" for sentence in find_lost(job) if sentence not in broken]
