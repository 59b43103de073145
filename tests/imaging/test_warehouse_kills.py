"""A loader that is killed by SIGKILL at each point of a plate, and repeated: rows before and after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from imaging.store import FolderStore
from tests.imaging.small_screen import publish
from tests.imaging.small_warehouse import counts, load, prepared
from tests.parts import ROOT
from tests.standins.bigquery_jobs import AFTER, BEFORE, BigQueryJobs

BASE = {"images_all": 24, "sites_all": 12, "wells_all": 6, "site_runs_all": 12, "plate_runs_all": 1}
VIEWS = {"images": 24, "sites": 12, "wells": 6, "plates": 1, "plate_runs": 1}


@pytest.mark.parametrize(
    ("at", "when", "is_shown"),
    [
        ("load images_all", BEFORE, False),
        ("load images_all", AFTER, False),
        ("query SELECT COUNT(*) AS m0", AFTER, False),
        ("load plate_runs_all", BEFORE, False),
        ("load plate_runs_all", AFTER, True),
    ],
)
def test_a_loader_killed_anywhere_and_repeated_loads_once(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, at: str, when: str, is_shown: bool
) -> None:
    publish(folder_store)
    client = bigquery_jobs.client()
    prepared(client, folder_store)
    started: list[subprocess.Popen[bytes]] = []
    bigquery_jobs.trouble(at, lambda: os.kill(started[0].pid, signal.SIGKILL), when=when)
    started.append(start(folder_store.root, bigquery_jobs.url))
    assert started[0].wait(60) == -signal.SIGKILL
    bigquery_jobs.wait_until_idle()  # what the killed process had sent is done all the same
    assert counts(client, *VIEWS) == (VIEWS if is_shown else dict.fromkeys(VIEWS, 0))
    load(client, folder_store)
    assert counts(client, *VIEWS) == VIEWS
    assert counts(client, *BASE) == BASE


def start(store: Path, url: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.imaging.small_warehouse", str(store), url]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
