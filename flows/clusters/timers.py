"""Dask on a machine whose clock is set: its heartbeats and its idea of a dead worker must not go by the time of day.

Tornado's timers do: once the clock is set back by an hour, no heartbeat is sent for an hour. The scheduler then takes
all workers for dead and starts them anew in the middle of their sites, and a site whose worker died three times is
blamed for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from distributed import Scheduler, Status
from distributed.core import Server

JUMP_S = 5.0
"""By how many seconds the time of day must differ from what went by for the clock to have been set."""
LOOK_S = 1.0
"""Seconds between two looks at the clock."""
TTL = "worker-ttl"
"""Dask's name of the timer by which a scheduler looks for workers that it has not heard of."""

log = logging.getLogger(__name__)


class Jumps:
    """Tells by how many seconds the clock was set since it was asked last."""

    def __init__(self) -> None:
        self._ahead = _ahead()

    def last(self) -> float:
        """Seconds that the clock was set forward by, negative when back; 0 when it was not set."""
        before, self._ahead = self._ahead, _ahead()
        jump = self._ahead - before
        return jump if abs(jump) > JUMP_S else 0.0


def _ahead() -> float:
    return time.time() - time.monotonic()


async def keep_timers(node: Server) -> None:
    """Start the timers of a scheduler or worker anew whenever the clock was set, until it is closed."""
    jumps = Jumps()
    while node.status not in (Status.closed, Status.failed):
        await asyncio.sleep(LOOK_S)  # goes by a clock that nobody sets
        if jump := jumps.last():
            log.warning("the clock of this machine was set by %+.0f s; timers are started anew", jump)
            for timer in node.periodic_callbacks.values():
                if timer.is_running():
                    timer.stop()
                    timer.start()


class SteadyCheck:
    """A check by the time of day that is left out, once, after the clock was set."""

    def __init__(self, check: Callable[[], Awaitable[None]]) -> None:
        self._check = check
        self._jumps = Jumps()

    async def __call__(self) -> None:
        """Do the check, unless the clock was set since the last one."""
        if not self._jumps.last():
            await self._check()


def keep_steady(node: object) -> None:
    """Let a scheduler or worker go on as before when the clock is set; to be called in its loop as it starts."""
    if not isinstance(node, Server):
        return
    if isinstance(node, Scheduler) and (timer := node.periodic_callbacks.get(TTL)):
        timer.callback = SteadyCheck(node.check_worker_ttl)
    node.loop.add_callback(keep_timers, node)
