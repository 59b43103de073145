"""Freezing a plate's field of illumination, and loading what is frozen.

The field is a data object under a fresh name; the record that makes it count is created only if absent, before the
first feature of the plate is measured, and never changed. A plate that cannot be corrected has such a record too: it
says why, and keeps later sites from being corrected.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from imaging.errors import SharedDataError, StoredDataError
from imaging.grace import Stopwatch
from imaging.illumination_field import PlateField, decode_field, encode_field
from imaging.illumination_record import read_frozen
from imaging.names import stored, to_json
from imaging.records import field_key
from imaging.store import Store


def freeze_field(store: Store, prefix: str, plate_field: PlateField | None, described: Mapping[str, Any]) -> bool:
    """Freeze a field, or that there is none, unless that is done; whoever comes second leaves nothing behind.

    Parameters
    ----------
    store, prefix
        Where the plate's records are.
    plate_field
        The field; ``None`` if the plate is not to be corrected.
    described
        What else the record says: place, source, and where each channel's field came from or why it has none.

    Returns
    -------
    Whether this call froze it.
    """
    written, writing = None, Stopwatch()
    if plate_field is not None:
        data = encode_field(plate_field)
        written = stored(f"{prefix}fields/{uuid.uuid4().hex[:12]}.npz", data)
        store.write(written["key"], data)
    digest = plate_field.digest if plate_field else None
    record = {**described, "digest": digest, "field": written}
    if not writing.is_overdue and store.create(field_key(prefix), to_json(record)):
        return True
    if written is not None:
        store.delete(written["key"])
    return False


@lru_cache(maxsize=8)
def load_frozen(store: Store, prefix: str, digest: str) -> PlateField:
    """Read a frozen field by its digest, once per process.

    Raises
    ------
    SharedDataError
        If it is gone or damaged, or another one is frozen.
    """
    try:
        record = read_frozen(store, prefix)
        found = load_field(store, record["field"]) if record["digest"] == digest else None
    except FileNotFoundError as error:
        raise SharedDataError(
            "the record of the plate's field of illumination is gone; it is frozen anew unless a copy brings it back",
            key=field_key(prefix),
        ) from error
    except StoredDataError as error:
        raise SharedDataError(f"{error.message}; platestream repair mends what can be", key=error.key) from error
    if found is None:
        raise SharedDataError(
            "the plate's field of illumination is another one by now; the site is planned again", key=field_key(prefix)
        )
    return found


def load_field(store: Store, described: Mapping[str, Any]) -> PlateField:
    """Read a field as a record describes it: key, size and checksum.

    Raises
    ------
    StoredDataError
        If it is gone or damaged.
    """
    key = described["key"]
    try:
        data = store.read(key)
    except FileNotFoundError as error:
        raise StoredDataError("a field of illumination is gone", key=key) from error
    if stored(key, data) != dict(described):
        raise StoredDataError("a field of illumination is damaged", key=key)
    return decode_field(data, key=key)
