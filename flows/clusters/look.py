"""What a scheduler has to do and whether it gets on: counted inside it, asked for from outside.

The scheduler loads this module as it starts (``distributed.scheduler.preload``). Dask's own figure for the number of
workers, ``adaptive_target``, divides the work in sight by five seconds; runs show the scheduler a few sites per worker
only, so that it would send workers away in the middle of a plate.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from distributed import Scheduler
from distributed.core import rpc
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.security import Security

from flows.clusters.timers import keep_steady
from imaging.errors import MissingPartError

PRELOAD = "flows.clusters.look"
QUESTION = "platestream_look"
ANSWER_S = 5.0
"""Seconds that a scheduler may take to answer."""
MOST_SITES = 20
"""Sites that a worker failed at of which it is remembered that they are different ones."""
MOST_WORDS = 300
"""Characters of a site's failure that are kept."""


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
    failing
        What each worker failed at in a row, by its name; a worker whose last task ended well is not among them.
    well_at
        When each worker last ended a task well, by its name, Unix seconds of the scheduler's clock.
    time
        The scheduler's own clock, Unix seconds; 0 where it was not asked.
    """

    ended: int
    waiting: int
    busy: dict[str, int]
    failing: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    well_at: Mapping[str, float] = field(default_factory=dict)
    time: float = 0.0

    @property
    def in_hand(self) -> int:
        """Tasks that workers have in hand."""
        return sum(self.busy.values())

    @property
    def tasks(self) -> int:
        """Tasks that are there to do, in hand or not."""
        return self.waiting + self.in_hand


class EndedTasks(SchedulerPlugin):
    """Counts the tasks that end, and those that each worker failed at in a row; the scheduler itself forgets them."""

    def __init__(self, name_of: Callable[[str], str] = str) -> None:
        self.ended = 0
        self.failing: dict[str, dict[str, Any]] = {}
        self.well_at: dict[str, float] = {}
        self._name_of = name_of

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        """Count a task that a worker ended."""
        if start != "processing" or finish not in ("memory", "erred"):
            return
        self.ended += 1
        worker = self._name_of(kwargs.get("worker") or "")
        if finish == "memory":
            self.failing.pop(worker, None)
            self.well_at[worker] = time.time()
            return
        found = self.failing.setdefault(worker, {"failed": 0, "sites": [], "since": time.time(), "reason": ""})
        site = str(key).rpartition("-")[0]  # without the number of the attempt
        found["failed"] += 1
        found["sites"] = [*dict.fromkeys([*found["sites"], site])][-MOST_SITES:]
        found["reason"] = str(kwargs.get("exception_text") or "its process ended")[:MOST_WORDS]


def dask_setup(scheduler: Scheduler) -> None:
    """Teach a scheduler to answer ``ask``; Dask calls this as it starts."""

    def name_of(address: str) -> str:
        worker = scheduler.workers.get(address)
        return str(worker.name) if worker else address

    keep_steady(scheduler)
    count = EndedTasks(name_of)
    scheduler.add_plugin(count)

    def answer() -> dict[str, Any]:
        names = {str(worker.name) for worker in scheduler.workers.values()}
        return {
            "ended": count.ended,
            "waiting": len(scheduler.queued) + len(scheduler.unrunnable),
            "busy": {str(worker.name): len(worker.processing) for worker in scheduler.workers.values()},
            "failing": {name: found for name, found in count.failing.items() if name in names},
            "well_at": {name: at for name, at in count.well_at.items() if name in names},
            "time": time.time(),
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
        answer = await getattr(scheduler, QUESTION)()
    finally:
        await scheduler.close_rpc()
    if answer is None:  # a scheduler that was started without this module does not know the question
        raise OSError("it does not know the question")
    return Look(**answer)
