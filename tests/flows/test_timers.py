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


def test_timers_of_a_worker_go_on_when_the_clock_is_set_back(tmp_path: Path) -> None:
    with Shim(tmp_path) as shim:
        environment = child_environment({**shim.environment(), "PYTHONPATH": str(ROOT)})
        argv = [sys.executable, str(ROOT / "tests" / "flows" / "timed_loop.py")]
        with (
            subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE) as process,
            selectors.DefaultSelector() as selector,
        ):
            assert process.stdout is not None
            selector.register(process.stdout, selectors.EVENT_READ)
            assert process.stdout.readline() == b"fired\n"
            shim.set_clock(-3600)
            fired = b""
            while fired.count(b"\n") < 20 and selector.select(60.0):  # more than were on their way
                fired += os.read(process.stdout.fileno(), 4096)
            process.kill()
    assert fired.count(b"\n") >= 20, "no timer fired for a minute"


def test_a_check_by_the_time_of_day_is_left_out_once_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[str] = []
    ahead_s = 0.0

    async def check() -> None:
        checks.append("checked")

    class Time:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def time() -> float:
            return time.time() + ahead_s

    monkeypatch.setattr(timers, "time", Time)
    steady = SteadyCheck(check)
    seen = []
    for ahead_s in (0.0, 60.0, 60.0, 61.0, -3600.0, -3600.0):  # noqa: B007 the clock reads it
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
