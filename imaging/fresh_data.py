"""Data under fresh names until a record names them: what was begun and cannot be finished leaves nothing behind."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from imaging.errors import PlateError
from imaging.store import Store


class Writes(Protocol):
    """Whatever data can be written to."""

    def write(self, key: str, data: bytes) -> None:
        """Write an object whole."""
        ...


@dataclass
class FreshData:
    """Writes to a store and remembers what."""

    store: Store
    keys: list[str] = field(default_factory=list)

    def write(self, key: str, data: bytes) -> None:
        """Write an object; it is remembered also where that fails, for it may be there all the same."""
        self.keys.append(key)
        self.store.write(key, data)

    def delete(self) -> None:
        """Delete all that was written."""
        for key in self.keys:
            self.store.delete(key)


@contextlib.contextmanager
def fresh_data(store: Store) -> Iterator[FreshData]:
    """Data that are written in the block; where it fails they are deleted, as far as the store does that.

    On a disk that is full, each attempt would else take what room is left until the sweeper comes. The record that
    names the data must be created after the block: whether a create that failed was done, nobody knows.
    """
    written = FreshData(store)
    try:
        yield written
    except (PlateError, OSError):
        with contextlib.suppress(PlateError):
            written.delete()
        raise
