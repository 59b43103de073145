"""Records that end what another record said, because its data are gone or damaged: nothing is deleted or overwritten.

A manifest is void once there is a record of that under its own name. Planning then looks for the site under its next
name, which follows from the void one, so the site is to be done, or is done already. A record stands for ever, so a
slow process that finds the same damage later says the same again, and cannot undo what was made since.
"""

from __future__ import annotations

from datetime import UTC, datetime

from imaging.names import to_json
from imaging.records import damaged_publication_key, void_key
from imaging.store import Store


def void_site(store: Store, prefix: str, name: str, reason: str) -> bool:
    """Record that a site's manifest counts no longer; return whether that is new.

    Parameters
    ----------
    store, prefix
        Where the plate's records are.
    name
        The manifest's name, ``<well>-<site>-<inputs>``.
    reason
        What is wrong with it or its data, in words.
    """
    record = {"name": name, "reason": reason, "found_at": _now()}
    return store.create(void_key(prefix, name), to_json(record))


def void_publication(store: Store, prefix: str, number: int, reason: str, *, is_current: bool) -> bool:
    """Record that a publication is damaged; return whether that is new.

    A current one stays what it is until the plate is published anew; a superseded one is given up whole.
    """
    record = {"number": number, "reason": reason, "found_at": _now()}
    return store.create(damaged_publication_key(prefix, number, is_current=is_current), to_json(record))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
