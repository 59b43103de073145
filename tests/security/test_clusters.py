"""Commands that start a cluster for themselves: it listens on this machine alone, too."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.keeper import find_descendants
from tests.parts import ROOT
from tests.security.hostile import publish_screen, write_screen
from tests.security.sockets import LOOPBACK, listening


@pytest.mark.parametrize("command", ["process", "repair"])
def test_the_cluster_of_a_command_listens_on_this_machine_alone(tmp_path: Path, command: str) -> None:
    """Looked at again and again while the command works: scheduler, its page, the worker and its nanny come and go."""
    if command == "process":
        write_screen(tmp_path / "store")
        arguments = ["process", "--experiment", "screen", "--plate", "P1"]
    else:
        publish_screen(tmp_path / "store")
        next(tmp_path.glob("store/results/screen/P1/*/parts/*")).unlink()
        arguments = ["repair"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PLATESTREAM_", "PREFECT_"))}
    own = {"PYTHONPATH": str(ROOT), "PLATESTREAM_STORE": str(tmp_path / "store"), "PLATESTREAM_WORKERS": "1"}
    found: set[tuple[str, str]] = set()
    with (tmp_path / "log").open("wb") as log:
        line = [sys.executable, "-m", "flows.cli", *arguments]
        with subprocess.Popen(line, env=kept | own, cwd=tmp_path, stdout=log, stderr=log) as process:
            while process.poll() is None:
                found |= set(listening([process.pid, *find_descendants(process.pid)]))
                time.sleep(0.1)
    assert process.returncode == 0, (tmp_path / "log").read_text()
    assert len({program for _, program in found}) >= 2, "the command with its scheduler, and a worker"
    assert [each for each in found if each[0] not in LOOPBACK] == []
