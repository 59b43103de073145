"""Records of uploaded files that are no usable images: one per version, whoever finds out first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from imaging.arrivals import ImageFile
from imaging.names import to_json
from imaging.records import fault_key, fault_name
from imaging.store import Store


def record_fault(store: Store, prefix: str, place: Mapping[str, Any], file: ImageFile, reason: str) -> bool:
    """Record that a version of a file is no usable image; from then on it counts as not arrived.

    Parameters
    ----------
    store, prefix
        Where the plate's records are.
    place
        Experiment, plate, recipe, well, site (its number, ``imaging.time_points``) and channel.
    file
        The file, or the plane inside one.
    reason
        What is wrong with it, in words.
    """
    record = {
        **place,
        "name": file.shown,
        "token": file.token,
        "size_bytes": file.size_bytes,
        "reason": reason,
        "found_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if file.inside:
        record["inside"] = file.inside
    return store.create(fault_key(prefix, fault_name(file)), to_json(record))
