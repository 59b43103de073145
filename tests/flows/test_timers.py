"""Dask on a machine whose clock is set."""

from __future__ import annotations

import asyncio
import os
import selectors
import subprocess
import sys
import time
from pathlib import Path

import dask
import pytest
from distributed import Scheduler

from flows.clusters import timers
from flows.clusters.look import PRELOAD
from flows.clusters.timers import TTL, SteadyCheck
from flows.settings import child_environment
from tests.chaos.faults.shim import Shim
from tests.parts import ROOT

WATCHED = """
import asyncio, sys
import dask
from distributed import Client, Scheduler, Worker
from flows.clusters.timers import keep_messages
from tornado.ioloop import PeriodicCallback

async def main():
    preloads = {"scheduler": "flows.clusters.look", "worker": "flows.worker"}
    with dask.config.set({f"distributed.{name}.preload": [module] for name, module in preloads.items()}):
        async with Scheduler(port=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as scheduler:
            async with (
                Worker(scheduler.address, nthreads=1) as worker,
                Client(scheduler.address, asynchronous=True) as client,
            ):
                client.loop.add_callback(keep_messages, client)
                for name, node in (("scheduler", scheduler), ("worker", worker)):
                    beat = PeriodicCallback(lambda name=name: print(name, flush=True), 50)
                    node.periodic_callbacks["seen"] = beat
                    beat.start()
                number = 0
                while True:
                    number = await client.submit(int.__add__, number, 1)
                    print("message", flush=True)

asyncio.run(main())
"""


def test_timers_and_messages_of_a_cluster_go_on_when_the_clock_is_set_back(tmp_path: Path) -> None:
    with Shim(tmp_path) as shim:
        environment = child_environment({**shim.environment(), "PYTHONPATH": str(ROOT)})
        with (
            subprocess.Popen([sys.executable, "-c", WATCHED], env=environment, stdout=subprocess.PIPE) as process,
            selectors.DefaultSelector() as selector,
        ):
            assert process.stdout is not None
            selector.register(process.stdout, selectors.EVENT_READ)
            while process.stdout.readline() != b"message\n":
                pass
            shim.set_clock(-3600)
            seen = {b"scheduler": 0, b"worker": 0, b"message": 0}
            most = {b"scheduler": 600, b"worker": 600, b"message": 6000}
            while min(seen.values()) < 60 and all(seen[name] < most[name] for name in most) and selector.select(60.0):
                said = os.read(process.stdout.fileno(), 4096)
                seen = {name: count + said.count(name) for name, count in seen.items()}
            process.kill()
    assert min(seen.values()) >= 60, f"something stood still: {seen}"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """By how many seconds the time of day is ahead; its last item counts."""
    ahead_s = [0.0]

    class Time:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def time() -> float:
            return time.time() + ahead_s[-1]

    monkeypatch.setattr(timers, "time", Time)
    return ahead_s


def test_a_check_by_the_time_of_day_is_left_out_once_after_the_clock_was_set(clock: list[float]) -> None:
    checks: list[str] = []

    async def check() -> None:
        checks.append("checked")

    steady = SteadyCheck(check)
    seen = []
    for ahead_s in (0.0, 60.0, 60.0, 61.0, -3600.0, -3600.0):
        clock.append(ahead_s)
        asyncio.run(steady())
        seen.append(len(checks))
    assert seen == [1, 1, 2, 3, 3, 4]


def test_our_schedulers_look_for_dead_workers_so() -> None:
    async def look() -> object:
        options = {"distributed.scheduler.preload": [PRELOAD], "distributed.scheduler.worker-ttl": "30s"}
        with dask.config.set(options):
            async with Scheduler(port=0, dashboard_address="127.0.0.1:0", host="127.0.0.1") as scheduler:
                return scheduler.periodic_callbacks[TTL].callback

    assert isinstance(asyncio.run(look()), SteadyCheck)
