"""What a scheduler has to do and whether it gets on: counted inside it, asked for from outside.

The scheduler loads this module as it starts (``distributed.scheduler.preload``). Dask's own figure for the number of
workers, ``adaptive_target``, divides the work in sight by five seconds; runs show the scheduler a few sites per worker
only, so that it would send workers away in the middle of a plate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distributed import Scheduler
from distributed.core import rpc
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.security import Security

from imaging.errors import MissingPartError

PRELOAD = "flows.clusters.look"
QUESTION = "platestream_look"
ANSWER_S = 5.0
"""Seconds that a scheduler may take to answer."""


@dataclass(frozen=True)
class Look:
    """What a scheduler has to do at one moment.

    Parameters
    ----------
    ended
        Tasks that ended, well or badly, since the scheduler began.
    waiting
        Tasks that no worker has in hand.
    busy
        Tasks in the hands of each worker, by its name.
    """

    ended: int
    waiting: int
    busy: dict[str, int]

    @property
    def in_hand(self) -> int:
        """Tasks that workers have in hand."""
        return sum(self.busy.values())

    @property
    def tasks(self) -> int:
        """Tasks that are there to do, in hand or not."""
        return self.waiting + self.in_hand


class EndedTasks(SchedulerPlugin):
    """Counts the tasks that end; the scheduler itself forgets them."""

    def __init__(self) -> None:
        self.ended = 0

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Count a task that a worker ended."""
        if start == "processing" and finish in ("memory", "erred"):
            self.ended += 1


def dask_setup(scheduler: Scheduler) -> None:
    """Teach a scheduler to answer ``ask``; Dask calls this as it starts."""
    count = EndedTasks()
    scheduler.add_plugin(count)

    def answer() -> dict[str, Any]:
        return {
            "ended": count.ended,
            "waiting": len(scheduler.queued) + len(scheduler.unrunnable),
            "busy": {str(worker.name): len(worker.processing) for worker in scheduler.workers.values()},
        }

    handlers: dict[str, Callable[..., Any]] = scheduler.handlers
    handlers[QUESTION] = answer


def ask(address: str, security: Security | None = None, *, timeout_s: float = ANSWER_S) -> Look:
    """Ask a scheduler what it has to do, over a connection of its own: there is nothing that could stay broken.

    Raises
    ------
    MissingPartError
        When it does not answer in time; one that was started without this module never does.
    """
    try:
        return asyncio.run(asyncio.wait_for(_ask(address, security), timeout_s))
    except (OSError, TimeoutError) as error:
        raise MissingPartError(f"the scheduler at {address} does not say what it has to do") from error


async def _ask(address: str, security: Security | None) -> Look:
    arguments = security.get_connection_args("client") if security else {}
    scheduler = rpc(address, connection_args=arguments)
    try:
        return Look(**await getattr(scheduler, QUESTION)())
    finally:
        await scheduler.close_rpc()
