"""Runs that begin in forks: as a Python of their own would begin, live and end."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flows import warm_client
from flows.warm_client import LENGTH, ask_for_fork, ready_mark
from flows.warm_process import WarmProcess, client_command
from flows.warm_runs import WarmRuns, find_differences, read_request
from tests.parts import ROOT

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
RUN = ["-m", "tests.flows.warm_run"]
LIMIT_S = 120.0
NO_FILE = "/nonexistent/file"


@pytest.fixture
def warm(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    path = tmp_path / "runs"
    command = [sys.executable, "-m", "flows.warm_runs", str(path), "colorsys", "tests.flows.sets_variable"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=ENVIRONMENT, cwd=ROOT) as process:
        wait_until(path.exists)
        yield path, process
        process.kill()


def begin(path: Path, *arguments: str, folder: Path = ROOT, **variables: str) -> subprocess.Popen[str]:
    command = client_command(path, [sys.executable, *RUN, *arguments])
    return subprocess.Popen(
        command, env=ENVIRONMENT | variables, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def first_words(run: subprocess.Popen[str]) -> dict[str, Any]:
    assert run.stdout is not None
    return json.loads(run.stdout.readline())


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_has_environment_folder_arguments_output_and_code_of_its_own(
    warm: tuple[Path, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    for number in (0, 3):
        with begin(warm[0], "exit", str(number), folder=tmp_path, PREFECT__FLOW_RUN_ID=f"r{number}") as run:
            said = first_words(run)
            assert run.wait(LIMIT_S) == number
        kept = {name: said[name] for name in ("is_warm", "arguments", "folder", "run", "input")}
        assert kept == {
            "is_warm": True,
            "arguments": ["exit", str(number)],
            "folder": str(tmp_path),
            "run": f"r{number}",
            "input": "",
        }
        assert said["pid"] != run.pid


@pytest.mark.parametrize("is_warm", [True, False])
def test_what_a_run_writes_does_not_go_through_whoever_started_it(
    warm: tuple[Path, subprocess.Popen[bytes]], tmp_path: Path, is_warm: bool
) -> None:
    reads, writes = os.pipe()
    command = client_command(
        warm[0] if is_warm else tmp_path / "nobody", [sys.executable, *RUN, "exit", "0"], (writes, writes + 100)
    )
    os.dup2(writes, writes + 100)
    fds = (writes, writes + 100)
    with subprocess.Popen(
        command, env=ENVIRONMENT, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=fds
    ) as run:
        for descriptor in fds:
            os.close(descriptor)
        assert run.stdout is not None
        assert run.stdout.read() == b""  # its end: the run does not hold it
        with open(reads) as written:
            assert json.loads(written.read().splitlines()[-1])["is_warm"] == is_warm
        assert run.wait(LIMIT_S) == 0


def test_a_run_goes_where_no_fork_is_to_be_had_as_well(tmp_path: Path) -> None:
    with begin(tmp_path / "nobody", "exit", "4") as run:
        said = first_words(run)
        assert (run.wait(LIMIT_S), said["is_warm"], said["pid"]) == (4, False, run.pid)
        assert run.stderr is not None
        assert run.stderr.read() == "a run starts a Python of its own: no fork is to be had\n"


def test_a_run_with_other_settings_is_none_of_the_warm_process(warm: tuple[Path, subprocess.Popen[bytes]]) -> None:
    with begin(warm[0], "exit", "0", PREFECT_API_URL="http://elsewhere/api") as run:
        assert not first_words(run)["is_warm"]
    assert find_differences({"A": "1"}, {"A": "1", "PREFECT__FLOW_RUN_ID": "7"}) == []
    assert find_differences({"A": "1", "C": "3"}, {"A": "2", "B": "1", "C": "3"}) == ["A", "B"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_a_client_is_told_the_run_is_told(warm: tuple[Path, subprocess.Popen[bytes]], number: int) -> None:
    with begin(warm[0], "wait", NO_FILE) as run:
        pid = first_words(run)["pid"]
        run.send_signal(number)
        assert run.wait(LIMIT_S) in (-number, 1 if number == signal.SIGINT else -number)
        assert not is_alive(pid)


def test_a_killed_client_takes_its_run_along_and_no_other(warm: tuple[Path, subprocess.Popen[bytes]]) -> None:
    with begin(warm[0], "wait", NO_FILE) as one, begin(warm[0], "wait", NO_FILE) as other:
        pid, others = first_words(one)["pid"], first_words(other)["pid"]
        one.kill()
        wait_until(lambda: not is_alive(pid))
        assert is_alive(others)
        other.kill()


def test_a_killed_run_ends_its_client_by_the_same_signal(warm: tuple[Path, subprocess.Popen[bytes]]) -> None:
    with begin(warm[0], "wait", NO_FILE) as run:
        os.kill(first_words(run)["pid"], signal.SIGKILL)
        assert run.wait(LIMIT_S) == -signal.SIGKILL


def test_runs_outlive_the_warm_process_and_are_waited_for(
    warm: tuple[Path, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    with begin(warm[0], "wait", str(tmp_path / "enough"), "3") as run:
        pid = first_words(run)["pid"]
        warm[1].kill()
        warm[1].wait(LIMIT_S)
        assert is_alive(pid)
        (tmp_path / "enough").touch()
        assert run.wait(LIMIT_S) == 3
        wait_until(lambda: not is_alive(pid))
        assert run.stderr is not None
        assert run.stderr.read() == "waited enough\nended\n"


def test_without_the_warm_process_a_killed_client_still_takes_its_run_along(
    warm: tuple[Path, subprocess.Popen[bytes]],
) -> None:
    with begin(warm[0], "wait", NO_FILE) as run:
        pid = first_words(run)["pid"]
        warm[1].kill()
        warm[1].wait(LIMIT_S)
        run.kill()
        wait_until(lambda: not is_alive(pid))


def test_a_run_of_which_nobody_knows_how_it_ended_did_not_end_well(warm: tuple[Path, subprocess.Popen[bytes]]) -> None:
    with begin(warm[0], "wait", NO_FILE) as run:
        pid = first_words(run)["pid"]
        warm[1].kill()
        warm[1].wait(LIMIT_S)
        os.kill(pid, signal.SIGKILL)
        assert run.wait(LIMIT_S) == warm_client.UNKNOWN
        assert run.stderr is not None
        assert f"the run (process {pid}) was killed" in run.stderr.read()


def test_a_warm_process_that_was_killed_is_started_again_for_the_next_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = WarmProcess(tmp_path, ENVIRONMENT, ["colorsys", "tests.flows.sets_variable"])
    try:
        wait_until(process.socket.exists)
        process.tend()
        first = process.pid
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: not is_alive(first))
        process.tend()
        assert process.pid != first
        assert "has ended with code -9, and is started again" in caplog.text
        wait_until(process.socket.exists)
        with begin(process.socket, "exit", "0") as run:
            assert first_words(run)["is_warm"]
    finally:
        process.end()
    assert not is_alive(process.pid)


@pytest.mark.parametrize("said", [b"no JSON", b"[]", b"{}", b""])
def test_of_a_client_that_says_nothing_of_use_no_output_is_kept_open(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    read_end, write_end = os.pipe()
    with ours, theirs, open(read_end, "rb") as output:
        socket.send_fds(theirs, [(len(said) or 1).to_bytes(LENGTH, "big")], [write_end, write_end])
        os.close(write_end)
        theirs.sendall(said)
        ours.settimeout(0.1)  # a client that stalls
        with pytest.raises((ValueError, OSError)):
            read_request(ours)
        assert output.read() == b""


def test_of_a_client_that_did_not_wait_any_longer_no_run_is_forked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "runs"
    monkeypatch.setattr(warm_client, "FORK_S", 0.1)
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(str(path))
        listener.listen(1)
        Path(ready_mark(str(path))).touch()
        assert ask_for_fork(str(path), RUN) is None
        runs = WarmRuns(listener, 0, dict(os.environ))
        assert runs._take(selector) is None
        assert not runs._runs


def test_where_no_process_can_be_forked_the_client_goes_its_own_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    path = tmp_path / "runs"
    with (
        socket.socket(socket.AF_UNIX) as listener,
        selectors.DefaultSelector() as selector,
        ThreadPoolExecutor(1) as pool,
    ):
        listener.bind(str(path))
        listener.listen(1)
        asked = pool.submit(ask_for_fork, str(path), RUN)
        monkeypatch.setattr(os, "fork", fail)
        assert WarmRuns(listener, 0, dict(os.environ))._take(selector) is None
        assert asked.result(LIMIT_S) is None


def test_the_warm_process_ends_after_its_last_run_when_nobody_can_ask_any_more(
    warm: tuple[Path, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    with begin(warm[0], "wait", str(tmp_path / "enough")) as run:
        pid = first_words(run)["pid"]
        assert warm[1].stdin is not None
        warm[1].stdin.close()
        assert is_alive(pid)
        assert warm[1].poll() is None
        (tmp_path / "enough").touch()
        assert run.wait(LIMIT_S) == 0
        assert warm[1].wait(LIMIT_S) == 0
        assert not is_alive(pid)
