"""Dask on a machine whose clock is set: heartbeats, messages and its idea of a dead worker go by the time of day.

Once the clock is set back by an hour, no heartbeat is sent for an hour. The scheduler then takes all workers for dead
and starts them anew in the middle of their sites, and a site whose worker died three times is blamed for it. Messages
between client, scheduler and workers are sent some milliseconds after the last ones, which is an hour as well: no site
is begun and none ends, also when the clock was set right meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from distributed import Client, Scheduler, Status, Worker
from distributed.batched import BatchedSend
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


async def _each_jump(is_over: Callable[[], bool]) -> AsyncIterator[float]:
    jumps = Jumps()
    while not is_over():
        await asyncio.sleep(LOOK_S)  # goes by a clock that nobody sets
        if jump := jumps.last():
            yield jump


async def keep_timers(node: Server) -> None:
    """Start the timers of a scheduler or worker anew whenever the clock was set, and send what waits, until it ends."""
    async for jump in _each_jump(lambda: node.status in (Status.closed, Status.failed)):
        log.warning("the clock of this machine was set by %+.0f s; timers are started anew", jump)
        for timer in node.periodic_callbacks.values():
            if timer.is_running():
                timer.stop()
                timer.start()
        for batch in _batches(node):
            send_now(batch)


async def keep_messages(client: Client) -> None:
    """Send what waits in a client whenever the clock was set, until it is closed."""
    async for _ in _each_jump(lambda: client.status in ("closing", "closed")):
        if client.scheduler_comm is not None:
            send_now(client.scheduler_comm)


def send_now(batch: BatchedSend) -> None:
    """Let messages go that would wait until a time of day, a few milliseconds away before the clock was set back."""
    batch.next_deadline = None
    batch.waker.set()


def _batches(node: Server) -> list[BatchedSend]:
    """All that a scheduler or worker sends its messages by, a few milliseconds' worth at a time."""
    if isinstance(node, Scheduler):
        return [*node.stream_comms.values(), *node.client_comms.values()]
    return [node.batched_stream] if isinstance(node, Worker) else []


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
