"""A loop with a timer of 50 ms in a process that prepared itself as a worker does: prints whenever the timer fires."""

from __future__ import annotations

import asyncio

from tornado.ioloop import PeriodicCallback

import flows.worker  # noqa: F401 as Dask does before it starts a timer


async def fire() -> None:
    """Fire until the process is ended."""
    PeriodicCallback(lambda: print("fired", flush=True), 50).start()
    await asyncio.Event().wait()


asyncio.run(fire())
