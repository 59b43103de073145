"""Which process of a run is which, and who has work in hand that a hit may cost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import flows.warm_client
from flows.supervise import Supervisor
from tests.chaos.processes import MARK, Processes, find_fork_servers, find_marked, find_runs, is_alive
from tests.chaos.verdict import judge_processes
from tests.parts import ROOT

LIMIT_S = 120.0
WAITS = "print(flush=True); input()"


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def marked(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    program = [sys.executable, "-c", WAITS]
    with subprocess.Popen(program, env={MARK: str(tmp_path)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_processes_of_a_run_are_found_by_its_mark_and_no_zombies(
    marked: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert find_marked(tmp_path) == [marked.pid]
    assert judge_processes(tmp_path) == [f"processes [{marked.pid}] were left behind"]
    assert judge_processes(tmp_path / "other") == find_marked(tmp_path / "other") == []
    marked.kill()
    wait_until(lambda: not is_alive(marked.pid))
    assert find_marked(tmp_path) == [], "it is a zombie until somebody waits for it"


def test_a_run_is_told_from_the_process_that_it_is_forked_from(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), MARK: str(tmp_path)}
    path = tmp_path / "runs"
    server = [sys.executable, "-m", "flows.warm_runs", str(path), "colorsys"]
    client_of = [sys.executable, "-I", "-S", flows.warm_client.__file__, str(path), flows.warm_client.OWN]
    run = [*client_of, sys.executable, "-m", "tests.flows.warm_run", "sleep", "600"]
    with subprocess.Popen(server, stdin=subprocess.PIPE, env=environment, cwd=ROOT) as forks:
        wait_until(path.exists)
        assert find_runs(find_marked(tmp_path)) == []
        with subprocess.Popen(run, env=environment, cwd=ROOT, stdout=subprocess.PIPE) as client:
            wait_until(lambda: len(find_runs(find_marked(tmp_path))) == 2)
            found = find_runs(find_marked(tmp_path))
            assert client.pid in found
            assert forks.pid not in found
            assert find_fork_servers(find_marked(tmp_path), of=os.getpid()) == [forks.pid]
            assert find_fork_servers(find_marked(tmp_path), of=forks.pid) == [pid for pid in found if pid != client.pid]
            client.kill()
        wait_until(lambda: find_marked(tmp_path) == [forks.pid])
        forks.kill()


@pytest.fixture
def at_work(marked: subprocess.Popen[bytes], tmp_path: Path) -> Iterator[Processes]:
    """A process that has begun a site and does not end it."""
    log = tmp_path / "cluster.log"
    log.write_text(f"2026-01-01 00:00:00,000 0 {marked.pid}: wounds/W1 A01 site 1: begun\n")
    with Supervisor([]) as supervisor:
        yield Processes(supervisor, tmp_path, log)


def test_a_worker_is_killed_with_the_site_that_it_has_in_hand(
    at_work: Processes, marked: subprocess.Popen[bytes]
) -> None:
    hit = at_work.hit("worker", random.Random(1), lambda: True)
    assert hit is not None
    assert (hit.pid, hit.in_flight, hit.at_risk) == (marked.pid, ("wounds/W1 A01-1",), ("wounds/W1 A01-1",))
    assert marked.wait(LIMIT_S) == -9
    assert at_work.work().running == {}, "it is dead"


def test_nothing_is_hit_once_no_work_can_come(at_work: Processes, marked: subprocess.Popen[bytes]) -> None:
    asked: list[bool] = []

    def come() -> bool:
        asked.append(len(asked) < 3)
        return asked[-1]

    assert at_work.hit("flow", random.Random(1), come) is None
    assert asked == [True, True, True, False]
    marked.kill()
    marked.wait(LIMIT_S)
    assert not at_work.wait_for_work(lambda: False)
