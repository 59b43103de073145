"""Looks that are made again and again beside the watcher, in a thread of their own, one at a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

log = logging.getLogger(__name__)


class Beside:
    """Makes a look whenever one is due, so that one that takes long holds up nobody.

    A fault that nobody foresaw is logged, and the next look is made all the same.

    Parameters
    ----------
    name
        Of the thread.
    look
        The look.
    every_s
        Seconds from the beginning of one to that of the next, at least.
    failed
        What it means that a look failed, for the log.
    """

    def __init__(self, name: str, look: Callable[[], Any], *, every_s: float, failed: str) -> None:
        self._look, self._every_s, self._failed = look, every_s, failed
        self._thread = ThreadPoolExecutor(1, name)
        self._due_at = float("-inf")
        self.looking: Future[Any] | None = None

    def tend(self, tick: float | None = None) -> None:
        """Begin a look if one is due and none goes on; ``tick`` is by default the monotonic clock."""
        tick = time.monotonic() if tick is None else tick
        if self.looking is not None and self.looking.done():
            ended, self.looking = self.looking, None
            if (fault := ended.exception()) is not None:
                log.error("%s: %s", self._failed, type(fault).__name__, exc_info=fault)
        if self.looking is None and tick >= self._due_at:
            self._due_at = tick + self._every_s
            self.looking = self._thread.submit(self._look)
