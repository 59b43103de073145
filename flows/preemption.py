"""Leaving in time: what a worker does when its machine is taken away, by SIGTERM and, after the notice, SIGKILL.

At once the scheduler hands it nothing more, and gives to others what it has not begun. Sites that it has begun may end
within the notice. Those that do not are computed elsewhere, and none of this counts as a death of their worker, also
where SIGKILL comes before the worker could say goodbye: a site that was preempted four times is no site that kills.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable, Collection
from typing import Any

from distributed import Nanny, Scheduler, Status, Worker
from distributed.protocol.pickle import dumps

LONGEST_GOODBYE_S = 5.0
"""Seconds of the notice that are kept for telling the scheduler; of a short notice it is a fifth."""
LOOK_S = 0.05
COLLECT_S = 1.0
"""Seconds that a finished site's result, a line of text, may wait to be collected before it is left behind."""

log = logging.getLogger(__name__)
_leaving: set[asyncio.Task[None]] = set()


def leave_on_notice(worker: Worker | Nanny, notice_s: float) -> None:
    """Make SIGTERM the beginning of a notice; for the nanny of a worker it is passed on, and no worker follows.

    Parameters
    ----------
    worker
        A worker or a nanny whose event loop is running. In a process that has others besides, whose event loop is not
        the main thread's, signals are left to whoever owns that process.
    notice_s
        Seconds from SIGTERM until the process must have ended.
    """

    def begin() -> None:
        if not _leaving:  # whoever says it twice may be in a hurry, but the notice has its length
            _leaving.add(asyncio.ensure_future(_leave(worker, notice_s)))

    with contextlib.suppress(RuntimeError):  # no event loop, or not in the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, begin)


async def _leave(worker: Worker | Nanny, notice_s: float) -> None:
    if isinstance(worker, Nanny):
        await _end_nanny(worker)
    else:
        await _end_worker(worker, notice_s)


async def _end_nanny(nanny: Nanny) -> None:
    """Let the worker leave; the nanny closes when its worker has ended."""
    nanny.close_gracefully(reason="its machine is taken away")
    if nanny.pid is None:
        await nanny.close(reason="its machine is taken away")
    else:
        os.kill(nanny.pid, signal.SIGTERM)


async def _end_worker(worker: Worker, notice_s: float) -> None:
    """Use the notice, then end this process whatever its threads do: what they leave unfinished is done elsewhere."""
    goodbye_s = min(LONGEST_GOODBYE_S, notice_s / 5)
    deadline = time.monotonic() + notice_s - goodbye_s
    if worker.status in (Status.running, Status.paused):
        worker.status = Status.closing_gracefully  # from here on it begins nothing
        begun = {task.key for task in worker.state.executing}
        log.warning("preempted: %d sites have %.1f s to end", len(begun), notice_s - goodbye_s)
        await _tell(worker, stop_assigning, begun, timeout_s=goodbye_s)
        while worker.state.executing and time.monotonic() < deadline and worker.status == Status.closing_gracefully:
            await asyncio.sleep(LOOK_S)
        collected_by = min(deadline, time.monotonic() + COLLECT_S)
        while worker.data and time.monotonic() < collected_by:
            await asyncio.sleep(LOOK_S)
        log.warning("preempted: %d sites are given up", len(worker.state.executing))
        await _tell(worker, let_go, timeout_s=goodbye_s / 2)
    os._exit(0)


async def _tell(worker: Worker, function: Callable[..., Any], *args: Any, timeout_s: float) -> None:
    """Run a function of this module in the scheduler; a scheduler that does not answer is left without a word."""
    request = {"function": dumps(function), "args": dumps((worker.address, *args)), "kwargs": dumps({})}
    try:
        answer: Any = await asyncio.wait_for(worker.scheduler.run_function(**request), timeout_s)
    except OSError as error:  # time-outs are among them
        log.warning("preempted: the scheduler does not answer (%s)", error or type(error).__name__)
    else:
        if answer["status"] != "OK":
            log.warning("preempted: the scheduler could not be told (%s)", answer.get("exception_text"))


def stop_assigning(address: str, begun: Collection[str], *, dask_scheduler: Scheduler) -> None:
    """Hand a worker nothing more, take back what it has not begun, and forgive it the loss of the rest beforehand.

    A scheduler counts how often a task's worker died. Should this one be killed before its goodbye, that is counted
    too; so it is taken off already.
    """
    worker = dask_scheduler.workers.get(address)
    if worker is None:
        return
    reason = f"preempted-{time.time()}"
    dask_scheduler.handle_worker_status_change(Status.closing_gracefully, worker, reason)
    dask_scheduler.transitions({task.key: "released" for task in worker.processing if task.key not in begun}, reason)
    for task in worker.processing:
        task.suspicious -= 1


async def let_go(address: str, *, dask_scheduler: Scheduler) -> None:
    """Remove a worker as one whose end is expected: results that nobody collected and tasks move to others."""
    await dask_scheduler.retire_workers([address], remove=False)
    worker = dask_scheduler.workers.get(address)
    if worker is None:
        return
    for task in worker.processing:
        task.suspicious += 1
    await dask_scheduler.remove_worker(address, expected=True, close=False, stimulus_id=f"preempted-{time.time()}")
