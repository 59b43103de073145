"""A server that answers and does nothing: noticed by what does not move, in Prefect's own queues and locks."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.server_pulse import LOOKS, STUCK, Pulse, keep_pulse
from flows.settings import child_environment
from flows.supervise import find_free_ports
from tests.parts import ROOT
from tests.prepared import prepare_cache


def looks_until_stuck(firsts: list[dict[Any, Any]]) -> int:
    """The number of the look at which something is stuck; 0 if never."""
    given = iter(firsts)
    pulse = Pulse(lambda: next(given))
    return next((number for number, _ in enumerate(firsts, start=1) if pulse.find_stuck() is not None), 0)


def test_the_same_event_first_look_after_look_is_stuck_and_one_that_goes_is_not() -> None:
    event = object()
    assert looks_until_stuck([{"a": event}] * (LOOKS + 3)) == LOOKS
    assert looks_until_stuck([{"a": object()} for _ in range(3 * LOOKS)]) == 0
    assert looks_until_stuck([{}] * (3 * LOOKS)) == 0


def test_a_pause_begins_the_count_anew_and_queues_are_told_apart() -> None:
    event = object()
    assert looks_until_stuck([*[{"a": event}] * (LOOKS - 1), {}, *[{"a": event}] * (LOOKS - 1)]) == 0
    assert looks_until_stuck([{"a": event}, {"b": event}] * LOOKS) == 0


def test_free_memory_is_given_back_to_the_system() -> None:
    code = (
        "from flows.server_pulse import give_back_memory\n"
        "def resident():\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "pieces = [bytearray(2_000) for _ in range(100_000)]\n"
        "kept = pieces[::100]\n"
        "del pieces\n"
        "before = resident()\n"
        "print(give_back_memory(), before - resident())\n"
    )
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    was_any, freed = told.split()
    assert was_any in ("True", "False")  # False where the C library cannot be asked
    assert was_any == "False" or int(freed) > 50_000_000


@contextlib.contextmanager
def broker() -> Iterator[None]:
    """Prefect's broker in memory with nobody else on it."""
    from prefect.server.utilities.messaging.memory import Topic

    Topic.clear_all()
    yield
    Topic.clear_all()


@pytest.mark.parametrize("hangs", ["handler", "lock", "nothing"])
def test_a_server_whose_task_waits_for_ever_is_ended_and_a_busy_one_is_not(
    hangs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.server.events import triggers
    from prefect.server.utilities.messaging.memory import Consumer, MemoryMessage, Topic

    async def handle(message: Any) -> None:
        await (asyncio.Event().wait() if hangs == "handler" else asyncio.sleep(0.002))

    async def serve() -> list[int]:
        ended: list[int] = []
        lock = asyncio.Lock()
        monkeypatch.setattr(triggers, "_automations_lock", lambda: lock)
        if hangs == "lock":
            await lock.acquire()
        consumer = asyncio.create_task(Consumer("events").run(handle))
        await asyncio.sleep(0)
        pulse = asyncio.create_task(keep_pulse(0.01, ended.append))
        for number in range(6 * LOOKS):
            await Topic.by_name("events").publish(MemoryMessage(f"{number}", {"id": str(number)}))
            await asyncio.sleep(0.005)
            if hangs != "lock":
                async with lock:
                    await asyncio.sleep(0)
        pulse.cancel()
        consumer.cancel()
        await asyncio.gather(pulse, consumer, return_exceptions=True)
        return ended

    with broker():
        assert asyncio.run(serve()) == ([] if hangs == "nothing" else [STUCK])


LOOKS_OFTEN = """
import sys
from flows import server_pulse

server_pulse.keep_pulse.__defaults__ = (0.05, *server_pulse.keep_pulse.__defaults__[1:])
server_pulse.look_at_server = lambda: {"planted": server_pulse}  # what never moves
from flows.server import main

main()
"""


def test_the_real_server_looks_and_ends_with_a_sentence_when_it_is_stuck(tmp_path: Path) -> None:
    (port,) = find_free_ports(1)
    command = [
        sys.executable,
        "-c",
        LOOKS_OFTEN,
        "--state",
        tmp_path / "state",
        "--cache",
        prepare_cache(tmp_path / "cache"),
    ]
    done = subprocess.run(
        [*command, "--port", str(port)],
        env=child_environment({"PYTHONPATH": str(ROOT)}),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == STUCK, done.stderr
    assert "planted: nothing was done about it for 0.6 s; the server ends, to be started anew" in done.stderr
