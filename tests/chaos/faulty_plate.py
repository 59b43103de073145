"""A small plate that is followed by the product's own steps on a real store, however often that store fails.

Of a plate every kind of object is written: pins, parts, shards, manifests, faults, decisions, tables, a publication,
pictures, pages and what says that they are written. ``process_through`` begins anew as often as the store fails, like
a watcher; ``check_records`` holds what records name against what is there.

``python -m tests.chaos.faulty_plate FOLDER CONTROL_FOLDER`` is for processes under ``libfaults.so``: it lets each kind
of write fail, and be done and its answer lost, fills the disk, and prints a line of JSON for each.
"""

from __future__ import annotations

import errno
import io
import json
import sys
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from imaging.errors import StoreUnavailableError
from imaging.experiment import read_experiment
from imaging.job import PlateJob
from imaging.projection import publish_and_project
from imaging.publication import is_current
from imaging.site import process_site, read_part
from imaging.steps import beat, decide_due, plan_work, site_task, stop_beating
from imaging.store import STAGING, FolderStore, Store
from imaging.sweep import find_unreferenced, sweep
from tests.chaos.faults.shim import Calls, Shim
from tests.imaging.test_protocol import BAD, EXPERIMENT, GOOD, measure_sum

TEXT = EXPERIMENT.replace(b"images: none", b"images: zarr").replace(b"A01-A02", b"A01-A03")
IMAGES = {
    "A01_DNA.tif": GOOD[0],
    "A01_GFP.tif": GOOD[1],
    "A02_DNA.tif": GOOD[2],
    "A02_GFP.tif": BAD,
    "A03_DNA.tif": GOOD[3],
}
RAW = "raw/screen/P1/"
KINDS = (
    "heartbeat",
    "pins",
    "/decisions/",
    "/parts/",
    ".zarr/",
    "/sites/",
    "/faults/",
    "/published/",
    "/publications/",
    "/page/",
    "/projected/",
)
"""Parts of keys, one for each kind of object, in the order of writing."""
ROOMS = (500, 2_000, 5_000, 9_000, 15_000, 30_000, 60_000, 120_000)
"""Bytes that can be written until the disk is full."""


def make_job(store: Store) -> PlateJob:
    """Upload the plate's images to a store, and describe it."""
    for name, data in IMAGES.items():
        if not store.exists(RAW + name):
            store.write(RAW + name, data)
    return PlateJob(store, store, RAW, read_experiment(TEXT), "P1", store, "experiments/screen/", 0.0)


def process_once(job: PlateJob, now: float) -> bool:
    """One round of a follower; whether the plate is at rest after it."""
    beat(job, "chaos")
    plan = plan_work(job, now)
    decide_due(job, plan)
    for site in plan.todo:
        process_site(site_task(job, site), measure_sum, pins=job.ensure_pins(), store=job.store, raw=job.raw)
    publish_and_project(job)
    stop_beating(job)
    plan = job.survey(now)
    return plan.is_publishable and is_current(job, plan)


def process_through(job: PlateJob, *, rounds: int = 60) -> int:
    """Process the plate until it is at rest, again and again where the store fails; returns how often it failed.

    Raises
    ------
    AssertionError
        If it does not come to rest.
    """
    failures, now = 0, time.time() + 1000.0
    for _ in range(rounds):
        try:
            if process_once(job, now):
                return failures
        except StoreUnavailableError:
            failures += 1
        check_records(job)
    raise AssertionError(f"the plate does not come to rest; the store failed {failures} times")


def check_records(job: PlateJob) -> None:
    """Look whether all that a record names is there, whole."""
    for item in _patiently(lambda: job.store.list(job.prefix)).objects:
        if "/sites/" not in item.key and "/publications/" not in item.key:
            continue
        record = json.loads(_patiently(lambda key=item.key: job.store.read(key)))
        if "/publications/" in item.key:
            named = list(record["tables"].values())
        else:
            _patiently(lambda record=record: read_part(job.store, record))
            objects = record["zarr"]["objects"]
            named = [described["key"] for described in objects]
            for described in objects:
                data = _patiently(lambda key=described["key"]: job.store.read(key))
                assert f"{zlib.crc32(data):08x}" == described["crc32"], described["key"]
        missing = [key for key in named if not _patiently(lambda key=key: job.store.exists(key))]
        assert not missing, f"{item.key} names what is not there: {missing}"


def _patiently(call: Any) -> Any:
    """Ask the store until it answers: it is still out of order."""
    for _ in range(50):
        try:
            return call()
        except StoreUnavailableError:
            continue
    raise AssertionError("the store does not answer at all")


def read_tables(job: PlateJob) -> dict[str, Any]:
    """Rows of the current publication, without what differs between two runs."""
    last = job.survey(time.time() + 1000.0).records.last_publication
    record = json.loads(job.store.read(f"{job.prefix}publications/{last:06d}.json"))
    names = sorted(set(record["tables"]) - {"site_runs"})
    return {name: pq.read_table(io.BytesIO(job.store.read(record["tables"][name]))).to_pylist() for name in names}


def sweep_later(job: PlateJob) -> None:
    """Sweep as a watcher does two days later."""
    sweep(job, now=time.time() + 200_000.0)
    check_records(job)


def find_unnamed(job: PlateJob) -> set[str]:
    """Keys of data that no record names, however young."""
    return set(find_unreferenced(job, grace_s=0.0, now=time.time() + 1000.0))


@dataclass(frozen=True)
class Outcome:
    """What came of one fault: calls of the system that it hit, and whether the round failed because of it."""

    kind: str
    lost: bool
    hits: int
    failed: bool


def try_once(job: PlateJob, shim: Shim, kind: str, *, lost: bool = False) -> int:
    """Process the plate for one round while the disk has a fault, end that, and print what it hit, if it did."""
    before, left, failed = shim.failures, find_unnamed(job), False
    try:
        process_once(job, time.time() + 1000.0)
    except StoreUnavailableError:
        failed = True
    hits = shim.failures - before
    shim.mend_disk()
    check_records(job)
    if hits:
        print(json.dumps(vars(Outcome(kind, lost, hits, failed))), flush=True)
    if "/publications/" not in kind and "/sites/" not in kind:  # what came of a create that failed, nobody can know
        assert find_unnamed(job) <= left, "data were left behind that no record can name"
    return hits


def fail_each_kind(job: PlateJob, shim: Shim) -> None:
    """Let a write of each kind fail, then one be done and its answer lost; each round gets as far as the next."""
    for kind in KINDS:
        for lost in (False, True):
            for _ in range(4):
                shim.fail_call(1, errno.EIO if lost else errno.ENOSPC, kinds=Calls.PLACE, word=kind, lost=lost)
                if try_once(job, shim, kind, lost=lost):
                    break


def fill_the_disk(job: PlateJob, shim: Shim) -> None:
    """Let the disk be full in the middle of a write, with more room each time."""
    for size in ROOMS:
        shim.fill(size)
        try_once(job, shim, f"full after {size}")
        staged = list((Path(job.store.local_path("") or "") / STAGING).iterdir())
        assert not staged, staged


def main(folder: Path, shim: Shim) -> None:
    """Process the plate calmly and with each fault, and hold all against each other."""
    calm = make_job(FolderStore(folder / "calm"))
    process_through(calm)
    for name, trouble in (("kinds", fail_each_kind), ("full", fill_the_disk)):
        job = make_job(FolderStore(folder / name))
        trouble(job, shim)
        process_through(job)
        assert read_tables(job) == read_tables(calm), name
        sweep_later(job)
        assert read_tables(job) == read_tables(calm), name
        assert not find_unnamed(job)


if __name__ == "__main__":
    with Shim(Path(sys.argv[2]), (Path(sys.argv[1]),), attach=True) as control:
        main(Path(sys.argv[1]), control)
