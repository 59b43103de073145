"""Runs that begin in forks: as a Python of their own would begin, live and end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.serve import client_command
from flows.warm_runs import find_differences
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


def test_a_run_goes_where_no_fork_is_to_be_had_as_well(tmp_path: Path) -> None:
    with begin(tmp_path / "nobody", "exit", "4") as run:
        said = first_words(run)
        assert (run.wait(LIMIT_S), said["is_warm"], said["pid"]) == (4, False, run.pid)


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
    with begin(warm[0], "wait", str(tmp_path / "enough")) as run:
        pid = first_words(run)["pid"]
        warm[1].kill()
        warm[1].wait(LIMIT_S)
        assert is_alive(pid)
        (tmp_path / "enough").touch()
        assert run.wait(LIMIT_S) == 0
        assert not is_alive(pid)
        assert run.stderr is not None
        assert "waited enough" in run.stderr.read()


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
