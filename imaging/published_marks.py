"""Which plates of an experiment are published, told by one listing instead of one for each plate.

    results/<experiment>/_published/<recipe>/<plate>.<number>.<milliseconds>.json

A projection of the publication records, laid create-if-absent after them; its name says all: the plate, the number and
when the record was written. A mark that is not there yet costs whoever looks a listing of that plate's own, and is laid
then; what a mark says is where to look first, never what is so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from imaging.names import plate_folders, results_prefix, to_json
from imaging.records import publication_key, publication_numbers
from imaging.store import Store

_READERS = 16
_FOLDER = "_published"
_MARK = re.compile(r"(?P<plate>.+)[.](?P<number>\d+)[.](?P<milliseconds>\d+)[.]json")


def marks_prefix(experiment: str, recipe: str) -> str:
    """Folder of the marks of an experiment's plates under one recipe."""
    return f"results/{experiment}/{_FOLDER}/{recipe}/"


def mark_published(store: Store, experiment: str, plate: str, recipe: str, number: int) -> None:
    """Mark a publication whose record is written; one that is gone is not marked."""
    at = store.modified(publication_key(results_prefix(experiment, plate, recipe), number))
    if at is not None:
        _lay(store, experiment, plate, recipe, number, at)


def list_marks(store: Store, experiment: str, recipe: str) -> list[tuple[str, int, float]]:
    """Plate, number and time (Unix seconds) of each publication that is marked, in the order of their names."""
    found = []
    for item in store.list(marks_prefix(experiment, recipe)).objects:
        match = _MARK.fullmatch(item.key.rpartition("/")[2])
        if match is not None:  # else it is what somebody's file manager left behind
            found.append((match["plate"], int(match["number"]), int(match["milliseconds"]) / 1000))
    return found


def newest_published(store: Store, experiment: str, recipe: str, *, without: str = "") -> list[tuple[float, str]]:
    """When plates were published last, in Unix seconds, and their names, the newest first; ``without`` is left out."""
    found: dict[str, tuple[int, float]] = {}
    for plate, number, at in list_marks(store, experiment, recipe):
        found[plate] = max(found.get(plate, (0, 0.0)), (number, at))
    there = set(plate_folders(store, experiment)) - {without}
    times = [(at, plate) for plate, (_, at) in found.items() if plate in there]
    times += _look_at_each(store, experiment, recipe, sorted(there - found.keys()))
    return sorted(times, reverse=True)


def last_publication(store: Store, experiment: str, plate: str, recipe: str) -> tuple[int, float] | None:
    """Number of a plate's current publication and when it was recorded; ``None`` where there is none."""
    prefix = results_prefix(experiment, plate, recipe)
    listing = store.list(f"{prefix}publications/")
    numbers = publication_numbers(prefix, listing)
    key = publication_key(prefix, numbers[-1]) if numbers else ""
    return next(((numbers[-1], item.modified) for item in listing.objects if item.key == key), None)


def _look_at_each(store: Store, experiment: str, recipe: str, plates: Iterable[str]) -> list[tuple[float, str]]:
    """Look at plates that have no mark: those that are published get one."""

    def look(plate: str) -> tuple[float, str] | None:
        last = last_publication(store, experiment, plate, recipe)
        if last is None:
            return None
        number, at = last
        _lay(store, experiment, plate, recipe, number, at)
        return at, plate

    with ThreadPoolExecutor(_READERS) as pool:
        return [item for item in pool.map(look, plates) if item is not None]


def _lay(store: Store, experiment: str, plate: str, recipe: str, number: int, at: float) -> None:
    key = f"{marks_prefix(experiment, recipe)}{plate}.{number:06d}.{int(1000 * at)}.json"
    store.create(key, to_json({"plate": plate, "number": number}))
