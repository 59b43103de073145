"""Waiting until no plate of an experiment is being published: a burst of publications is analysed once."""

from __future__ import annotations

import time
from collections.abc import Callable

from imaging.analyses.publications import select_published
from imaging.columns import read_time
from imaging.store import Store

LONGEST = 20
"""Times the pause that are waited at most: where plates are published on and on, they are analysed all the same."""


def wait_until_quiet(
    store: Store,
    experiment: str,
    quiet_s: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> float:
    """Wait until the newest publication is ``quiet_s`` seconds old; return the seconds that were waited.

    Parameters
    ----------
    store, experiment
        Where it is.
    quiet_s
        Seconds; 0 waits for nothing.
    sleep, now
        Waits so many seconds; tells the time of day in Unix seconds.
    """
    waited = 0.0
    while waited < LONGEST * quiet_s:
        left = quiet_s - (now() - _newest(store, experiment))
        if not 0 < left <= quiet_s:  # a time in the future is a wrong clock's, and tells nothing
            break
        sleep(left)
        waited += left
    return waited


def _newest(store: Store, experiment: str) -> float:
    times = [read_time(item.record["published_at"]) for item in select_published(store, experiment).plates]
    return max((moment.timestamp() for moment in times if moment), default=0.0)
