"""A plate is processed through every fault of a disk, a network and a clock, and nothing is lost or half."""

from __future__ import annotations

import errno
import itertools
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.settings import child_environment
from imaging.bucket_listing import BucketFolder
from imaging.google_storage import open_bucket
from imaging.store import BucketStore, open_store
from tests.chaos.faults import CALM, JUMPS_S, FaultProxy, Faults, Trouble, Weather
from tests.chaos.faults import KINDS as FAULT_KINDS
from tests.chaos.faults.planted import PLANTS
from tests.chaos.faults.planted import environment as plant
from tests.chaos.faults.shim import Calls
from tests.chaos.faulty_plate import KINDS, check_records, make_job, process_through, read_tables
from tests.parts import ROOT
from tests.standins.gcs import GcsStandIn

BAD_DAYS = {
    "refused": Weather(refused=0.2, crowded=0.1),
    "lost": Weather(lost=0.1, answered_503=0.1),
    "cut": Weather(cut=0.1, torn=0.1),
    "slow": Weather(slow=0.3, slow_s=0.02, stuck=0.02, stuck_s=0.2),
}
PLANTED = {
    "imaging.site": "imaging.site.process_site",
    "imaging.store": "imaging.store.Store.create",
    "flows.follow": "flows.follow.plan_work",
    "flows.watch": "flows.watch.Watch._wake",
}
HOMES = ["imaging.site", "imaging.store", "imaging.steps", "flows.watch"]
CREATE_THRICE = """
import sys
from imaging.store import open_store
store = open_store(sys.argv[1])
try:
    store.create("a.json", b"mine")
except OSError as error:
    print(type(error).__name__)
print(store.create("a.json", b"mine"), store.create("a.json", b"other"))
"""

WRITE_ONCE = """
import sys
from imaging.store import open_store
store = open_store(sys.argv[1])
try:
    store.write("a.json", b"mine")
except OSError as error:
    print(type(error).__name__)
print(store.exists("a.json"))
"""
_PAUSE = timedelta(milliseconds=10)
SOON: Any = {"max_retries": 5, "backoff": {"init_backoff": _PAUSE, "max_backoff": 2 * _PAUSE, "base": 2}}


@pytest.fixture
def faults(tmp_path: Path) -> Iterator[Faults]:
    (tmp_path / "data").mkdir()
    with Faults(tmp_path / "faults", roots=(tmp_path / "data",), seed=1) as made:
        yield made


def run(faults: Faults, *arguments: str, planted: tuple[str, ...] = ()) -> str:
    """Run Python in a process that suffers; returns what it prints."""
    environment = child_environment({"PYTHONPATH": str(ROOT)} | faults.environment(planted))
    argv = [sys.executable, *arguments]
    done = subprocess.run(argv, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_kind_of_write_may_fail_or_lose_its_answer_and_a_disk_may_fill_anywhere(
    faults: Faults, tmp_path: Path
) -> None:
    told = run(faults, "-m", "tests.chaos.faulty_plate", str(tmp_path / "data"), str(faults.shim.folder))
    outcomes = [json.loads(line) for line in told.splitlines()]
    kinds = [item for item in outcomes if item["kind"] in KINDS]
    assert [(item["kind"], item["lost"]) for item in kinds] == list(itertools.product(KINDS, (False, True)))
    assert {item["hits"] for item in kinds} == {1}
    assert all(item["failed"] for item in kinds)
    full = [item for item in outcomes if item["kind"].startswith("full")]
    assert sum(item["failed"] for item in full) >= 5


@pytest.mark.parametrize("kind", BAD_DAYS)
def test_a_plate_in_a_bucket_on_a_bad_day_gives_what_it_gives_on_a_good_one(kind: str) -> None:
    with GcsStandIn() as gcs:
        gcs.create_bucket("calm")
        gcs.create_bucket("lab")
        calm = make_job(open_store(gcs.address("calm/screens")))
        process_through(calm)
        with FaultProxy(gcs.url, seed=1) as proxy:
            job = make_job(open_store(f"gs://lab/screens?endpoint={proxy.url}"))
            proxy.weather = BAD_DAYS[kind]
            process_through(job)
            proxy.weather = CALM
            check_records(job)
            assert read_tables(job) == read_tables(calm)
            assert all(proxy.told[fate] for fate in ("refused", "lost", "cut", "slow") if getattr(BAD_DAYS[kind], fate))


def test_a_disk_that_says_no_after_it_did_is_not_taken_for_a_lost_race(faults: Faults, tmp_path: Path) -> None:
    faults.shim.fail_call(1, errno.EIO, word="a.json", kinds=Calls.PLACE, lost=True)
    told = run(faults, "-c", CREATE_THRICE, str(tmp_path / "data"))
    assert told.split() == ["StoreUnavailableError", "True", "False"]


def test_an_answer_is_lost_of_a_disk_that_is_drawn_to_lose_some(faults: Faults, tmp_path: Path) -> None:
    trouble = Trouble("disk", "lost", 1.0, 0.0, 1.0)
    faults.begin(trouble)
    assert run(faults, "-c", WRITE_ONCE, str(tmp_path / "data")).split() == ["StoreUnavailableError", "True"]
    faults.end(trouble)
    assert run(faults, "-c", WRITE_ONCE, str(tmp_path / "data")).split() == ["True"]
    assert faults.told() == {"disk": 1}
    assert faults.begun == {"disk lost": 1}


def test_a_network_folder_that_was_asked_again_says_that_a_created_file_was_there(
    faults: Faults, tmp_path: Path
) -> None:
    faults.begin(Trouble("disk", "repeated", 1.0, 0.0, 1.0))
    assert run(faults, "-c", CREATE_THRICE, str(tmp_path / "data")).split() == ["True", "False"]
    assert run(faults, "-c", WRITE_ONCE, str(tmp_path / "data")).split() == ["True"], "whole files are renamed"
    assert faults.told() == {"disk": 3}
    (tmp_path / "data" / "a.json").unlink()
    told = run(faults, "-c", CREATE_THRICE, str(tmp_path / "data"), planted=("lost-race",))
    assert told.split() == ["False", "False"], "who does not look takes his own for another's"


def test_a_bucket_that_gives_no_answer_is_asked_again_once_the_client_has_waited_long_enough() -> None:
    with GcsStandIn() as gcs, FaultProxy(gcs.url, seed=1) as proxy:
        gcs.create_bucket("lab")
        client = open_bucket("lab", "screens", proxy.url, client={"timeout": "500ms"}, retry=SOON)
        store = BucketStore(gcs.address("lab/screens"), client, BucketFolder("lab", "screens", proxy.url, client))
        calm = make_job(open_store(gcs.address("lab/calm")))
        process_through(calm)
        job = make_job(store)
        proxy.weather = Weather(stuck=0.02, stuck_s=600.0)
        process_through(job)
        proxy.weather = CALM
        check_records(job)
        assert read_tables(job) == read_tables(calm)
        assert proxy.told["stuck"]


def test_a_clock_is_wrong_in_processes_that_run_and_right_again(faults: Faults) -> None:
    clock = [sys.executable, "-c", "import sys, time, datetime\nfor _ in sys.stdin: print(time.time(), flush=True)"]
    environment = child_environment(faults.environment())
    with subprocess.Popen(clock, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for ahead_s in (0.0, *JUMPS_S, *(-jump for jump in JUMPS_S), 0.0):
            faults.shim.set_clock(ahead_s)
            process.stdin.write("\n")
            process.stdin.flush()
            assert float(process.stdout.readline()) - time.time() == pytest.approx(ahead_s, abs=30.0)
        process.stdin.close()


def test_bugs_are_planted_into_a_process_from_outside_and_into_no_other() -> None:
    show = f"import {', '.join(PLANTED)}\nfor each in {', '.join(PLANTED.values())}: print(each.__module__)"
    for planted, homes in ((tuple(PLANTS), ["tests.chaos.faults.planted"] * len(PLANTED)), ((), HOMES)):
        environment = child_environment({"PYTHONPATH": str(ROOT)} | plant(planted))
        done = subprocess.run([sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.split() == homes


def test_troubles_are_drawn_by_the_seed_and_one_of_a_kind_at_a_time(faults: Faults) -> None:
    drawn = faults.draw(random.Random(3), seconds=60.0)
    assert drawn == faults.draw(random.Random(3), seconds=60.0) != faults.draw(random.Random(4), seconds=60.0)
    many = [each for seed in range(20) for each in faults.draw(random.Random(seed), seconds=60.0, kinds=["disk"])]
    assert {each.what for each in many} == {"full", "EIO", "lost", "repeated", "slow"}
    for kind in FAULT_KINDS:
        mine = [trouble for trouble in drawn if trouble.kind == kind]
        assert mine
        assert all(before.ends_s <= after.begins_s for before, after in itertools.pairwise(mine))
