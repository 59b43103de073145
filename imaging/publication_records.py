"""Publication records as they are read back: whole, or refused with what they lack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from imaging.columns import read_time
from imaging.damage import is_damage
from imaging.errors import PlateError, StoredDataError
from imaging.job import PlateJob
from imaging.live import read_records
from imaging.records import publication_key
from imaging.store import Store
from imaging.stored_records import PUBLICATION, find_fault, read_record

PUBLISHED_ANEW = "platestream repair publishes the plate anew"
_NAMED = ("experiment", "plate", "recipe", "run", "number", "status")


def read_publications(store: Store, keys: Iterable[str]) -> list[dict[str, Any]]:
    """Read publication records, in the order of their keys; ``tables`` is there, and empty where none was written.

    Raises
    ------
    StoredDataError
        If one is gone, damaged, or lacks what every publication has.
    """
    records = read_records(store, keys)
    for record in records:
        if fault := find_publication_fault(record):
            raise StoredDataError(f"the publication record {fault}; {PUBLISHED_ANEW}", key=record["key"])
    return [{**record, "tables": record.get("tables") or {}} for record in records]


def read_publication_record(job: PlateJob, number: int) -> dict[str, Any]:
    """Read one publication record of a plate.

    Raises
    ------
    FileNotFoundError
        If there is none.
    StoredDataError
        If it is damaged.
    """
    key = publication_key(job.prefix, number)
    try:
        return read_record(job.store, key, PUBLICATION, cure=PUBLISHED_ANEW)
    except PlateError as error:
        if isinstance(error, StoredDataError) or not is_damage(job.store, error):
            raise
        raise StoredDataError(
            f"the publication record cannot be read: {error.message}; {PUBLISHED_ANEW}", key=key
        ) from error


def find_publication_fault(record: Mapping[str, Any]) -> str:
    """What is wrong with a publication record, as the end of a sentence; empty if nothing is."""
    lacking = [name for name in (*_NAMED, "published_at") if record.get(name) is None]
    if lacking:
        return f"lacks {', '.join(lacking)}"
    if fault := find_fault(record, PUBLICATION):
        return f"is damaged: {fault}"
    try:
        read_time(record["published_at"])
    except (TypeError, ValueError):
        return f"has no time as published_at but {record['published_at']!r}"
    return ""
