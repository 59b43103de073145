"""What earlier plates of an experiment gave, as a publication compares its plate with it.

A plate's history is looked up once, at its first publication: the current publications, under the same recipe, of the
experiment's other plates at that time, the newest ones. The publication record names them, and every later publication
of the plate keeps to them, so that no plate is published again because others were.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imaging.errors import StoredDataError
from imaging.job import PlateJob
from imaging.names import results_prefix
from imaging.publication_records import read_publication_record
from imaging.published_marks import last_publication, newest_published
from imaging.records import publication_key
from imaging.store import Store
from imaging.stored_records import PUBLICATION, read_record
from imaging.tables import PLATE_METRICS
from imaging.typical import MOST_PLATES, History, Measured, Typical, find_history

_READERS = 16
_Medians = dict[int, dict[Measured, float]]
"""Medians of a plate by time point."""
_Plate = tuple[str, str, _Medians]


def plate_history(job: PlateJob, numbers: Iterable[int]) -> History:
    """The history of a plate: the one its newest publication that has one used, or else what there is now.

    Parameters
    ----------
    job
        The plate.
    numbers
        Numbers of its publications.
    """
    for number in sorted(numbers, reverse=True):
        if (used := _used_history(job, number)) is not None:
            return used
    return look_up_history(job)


def look_up_history(job: PlateJob) -> History:
    """Look up what the experiment's other plates gave, as they are published now: the newest `MOST_PLATES`."""
    newest = newest_published(job.store, job.experiment.name, job.recipe, without=job.plate)
    found: list[_Plate] = []
    with ThreadPoolExecutor(_READERS) as pool:
        while newest and len(found) < MOST_PLATES:
            wanted = MOST_PLATES - len(found)
            read = pool.map(lambda item: _read_last(job, item[1]), newest[:wanted])
            found += [plate for plate in read if plate is not None]
            newest = newest[wanted:]
    times = {time_point for *_, medians in found for time_point in medians} - {1}
    later = {time_point: _of_time(found, time_point).medians for time_point in sorted(times)}
    return replace(_of_time(found, 1), later=later)


def _of_time(plates: Iterable[_Plate], time_point: int) -> History:
    return find_history((plate, run, medians.get(time_point, {})) for plate, run, medians in plates)


def _used_history(job: PlateJob, number: int) -> History | None:
    """The history that a publication of the plate used; ``None`` if it names none, or record or table are gone."""
    try:
        record = read_publication_record(job, number)
    except (FileNotFoundError, StoredDataError):
        return None
    rows = _read_rows(job.store, record) if "history" in record else None
    if rows is None:
        return None
    medians: dict[int, dict[Measured, Typical]] = {}
    for row in rows:
        if row["history_plates"]:
            typical = Typical(row["history_plates"], row["history_median"], row["history_robust_sd"])
            medians.setdefault(_time_of(row), {})[row["channel"], row["metric"]] = typical
    plates = tuple((used["plate"], used["run"]) for used in record["history"])
    return History(plates, medians.pop(1, {}), medians)


def _time_of(row: dict[str, Any]) -> int:
    """The time point of a row; tables of earlier versions have no such column."""
    return row.get("time_point") or 1


def _read_last(job: PlateJob, plate: str) -> _Plate | None:
    """Read the current publication of a plate; what marked it may be older."""
    last = last_publication(job.store, job.experiment.name, plate, job.recipe)
    if last is None:
        return None
    prefix = results_prefix(job.experiment.name, plate, job.recipe)
    return _read_plate(job.store, publication_key(prefix, last[0]))


def _read_plate(store: Store, key: str) -> _Plate | None:
    """Name, run and medians of a publication; ``None`` where it is withdrawn, damaged or has no such table."""
    try:
        record = read_record(store, key, PUBLICATION)
    except (FileNotFoundError, StoredDataError):
        return None
    rows = None if record["status"] == "withdrawn" else _read_rows(store, record)
    if rows is None:
        return None
    medians: _Medians = {}
    for row in rows:
        if row["median"] is not None:
            medians.setdefault(_time_of(row), {})[row["channel"], row["metric"]] = row["median"]
    return record["plate"], record["run"], medians


def _read_rows(store: Store, record: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Rows of a publication's ``plate_metrics``; ``None`` if it has none, or they are gone or damaged."""
    key = (record.get("tables") or {}).get(PLATE_METRICS.name)
    try:
        data = store.read(key) if key else None
    except FileNotFoundError:
        return None
    if data is None:
        return None
    try:
        return pq.read_table(pa.BufferReader(data)).to_pylist()
    except (OSError, ValueError):  # what Arrow raises for damage depends on where it is
        return None
