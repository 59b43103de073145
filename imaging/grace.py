"""How long data may wait for the record that names them, and how old they are when nobody can be about to name them.

Who writes data and then a record must be done long before the sweeper takes what no record names. A process may be
stopped in between for days, a machine may sleep, a clock may be set: so whoever is about to create the record asks how
long it has taken, by two clocks, and where that was too long gives up what it wrote instead. The sweeper asks the
clock that the objects' own times come from, the store's, and its own: what is old by both is old.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from imaging.errors import StoreUnavailableError
from imaging.names import to_json
from imaging.store import Store

GRACE_S = 86_400.0
"""Age in seconds from which data that no record names are deleted."""
LONGEST_WORK_S = GRACE_S / 4
"""Seconds from the first data object to its record, beyond which the record is not created."""


def read_clocks() -> tuple[float, float]:
    """The time of day, which goes on while the machine sleeps and may be set, and the clock that is never set."""
    return time.time(), time.monotonic()


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """Since when something is being done."""

    started: tuple[float, float] = field(default_factory=lambda: read_clocks())

    @property
    def seconds(self) -> float:
        """How long it takes so far, by the clock that is never set."""
        return read_clocks()[1] - self.started[1]

    @property
    def is_overdue(self) -> bool:
        """Whether what was written first may be swept already, by either clock."""
        return max(now - then for now, then in zip(read_clocks(), self.started, strict=True)) > LONGEST_WORK_S


def read_store_clock(store: Store, key: str) -> float:
    """The time by the store's own clock, in Unix seconds: that of an object which is written for this.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer, or the object is gone at once.
    """
    store.write(key, to_json({"why": "its time tells what time it is for the storage"}))
    modified = store.modified(key)
    if modified is None:
        raise StoreUnavailableError("the storage lost a file that was just written; try again", key=key)
    return modified


def read_earlier_clock(store: Store, key: str) -> float:
    """The time of day by this machine's clock or the storage's, whichever is earlier, in Unix seconds.

    Arguments and errors as ``read_store_clock``.
    """
    return min(read_clocks()[0], read_store_clock(store, key))
