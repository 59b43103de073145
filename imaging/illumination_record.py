"""The record that freezes a plate's field of illumination, or says why there is none; created once, never changed."""

from __future__ import annotations

from typing import Any

from imaging.damage import CURES
from imaging.errors import StoredDataError
from imaging.records import field_key
from imaging.store import Store
from imaging.stored_records import FIELD, read_record


def read_frozen(store: Store, prefix: str) -> dict[str, Any]:
    """Read the record.

    Returns
    -------
    ``digest`` of the field and the object ``field`` that holds it (both ``None`` where nothing is corrected), its
    ``source`` and ``variant``, and for each of the ``channels`` where its field is from, or the reason why it has none.

    Raises
    ------
    FileNotFoundError
        If no field is frozen yet.
    StoredDataError
        If it is damaged.
    """
    key = field_key(prefix)
    try:
        record = read_record(store, key, FIELD)
        return {**record, "digest": record["digest"]}
    except (StoredDataError, KeyError) as error:
        raise StoredDataError(
            f"the record of the plate's field of illumination is damaged; {CURES['frozen']}", key=key
        ) from error
