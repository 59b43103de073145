"""Dask on a machine whose clock is set: its timers and its idea of a dead worker must not go by the time of day.

Tornado's timers go by the time of day: once it is set back by an hour, no heartbeat is sent for an hour. The scheduler
then takes all workers for dead and starts them anew in the middle of their sites, and a site whose worker died three
times is blamed for it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from distributed import Scheduler
from tornado.ioloop import IOLoop, PeriodicCallback

JUMP_S = 5.0
"""By how many seconds the time of day must differ from what went by for the clock to have been set."""
TTL = "worker-ttl"
"""Dask's name of the timer by which a scheduler looks for workers that it has not heard of."""

log = logging.getLogger(__name__)


def use_steady_timers() -> None:
    """Let timers of this process go by a clock that nobody sets; to be called before the first of them is started.

    ``IOLoop.time`` is meant to be replaced so, says Tornado's documentation, but no option of its present loop does it.
    """
    IOLoop.time = _steady_time  # pyright: ignore[reportAttributeAccessIssue]


def _steady_time(loop: IOLoop) -> float:
    return time.monotonic()


class SteadyCheck:
    """A check by the time of day that is left out, once, after the clock was set.

    Parameters
    ----------
    check
        What is to be done again and again.
    """

    def __init__(self, check: Callable[[], Awaitable[None]]) -> None:
        self._check = check
        self._ahead = time.time() - time.monotonic()

    async def __call__(self) -> None:
        """Do the check, unless the clock was set since the last one."""
        ahead = time.time() - time.monotonic()
        jump, self._ahead = ahead - self._ahead, ahead
        if abs(jump) > JUMP_S:
            log.warning("the clock of this machine jumped by %+.0f s; workers are given time to be heard of", jump)
            return
        await self._check()


def steady_ttl(scheduler: Scheduler) -> None:
    """Let a scheduler not take workers for dead because its clock was set."""
    timer: PeriodicCallback = scheduler.periodic_callbacks[TTL]
    timer.callback = SteadyCheck(scheduler.check_worker_ttl)
