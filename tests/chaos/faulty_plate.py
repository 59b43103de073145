"""A small plate that is followed by the product's own steps on a real store, however often that store fails.

Of a plate every kind of object is written: pins, parts, shards, manifests, faults, decisions, tables, a publication,
pictures, pages and what says that they are written. ``process_through`` begins anew as often as the store fails, like
a watcher; ``check_records`` holds what records name against what is there.

``python -m tests.chaos.faulty_plate FOLDER CONTROL_FOLDER`` is for processes under ``libfaults.so``: it lets each kind
of write fail, and be done and its answer lost, and prints a line of JSON for each.
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
from imaging.store import FolderStore, Store
from imaging.sweep import sweep
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
    "pins",
    "/parts/",
    ".zarr/",
    "/sites/",
    "/faults/",
    "/decisions/",
    "/published/",
    "/publications/",
    "/page/",
    "/projected/",
    "heartbeat",
)
"""Parts of keys, one for each kind of object."""


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


def count_unnamed(job: PlateJob) -> int:
    """Sweep as a watcher does two days later; how many objects that deleted."""
    deleted = len(sweep(job, now=time.time() + 200_000.0))
    check_records(job)
    return deleted


@dataclass(frozen=True)
class Outcome:
    """What came of one kind of write that failed."""

    kind: str
    lost: bool
    hits: int
    failures: int
    unnamed: int


def fail_each_kind(folder: Path, shim: Shim) -> None:
    """Let each kind of write fail once, in both ways, and print what came of it."""
    calm = make_job(FolderStore(folder / "calm"))
    process_through(calm)
    expected = read_tables(calm)
    for number, (kind, lost) in enumerate((kind, lost) for kind in KINDS for lost in (False, True)):
        job = make_job(FolderStore(folder / f"{number}"))
        before = shim.failures
        shim.fail_call(1, errno.EIO if lost else errno.ENOSPC, kinds=Calls.PLACE, word=kind, lost=lost)
        failures = process_through(job)
        shim.mend_disk()
        assert read_tables(job) == expected, (kind, lost)
        unnamed = count_unnamed(job)
        assert read_tables(job) == expected, (kind, lost)
        print(json.dumps(vars(Outcome(kind, lost, shim.failures - before, failures, unnamed))), flush=True)


def fill_the_disk(folder: Path, shim: Shim, sizes: range) -> None:
    """Let the disk be full after so many bytes, in the middle of a write; make room, and go on."""
    calm = make_job(FolderStore(folder / "calm"))
    process_through(calm)
    expected = read_tables(calm)
    for size in sizes:
        job = make_job(FolderStore(folder / f"full-{size}"))
        before = shim.failures
        shim.fill(size)
        failures = 0
        try:
            process_once(job, time.time() + 1000.0)
        except StoreUnavailableError:
            failures = 1
        check_records(job)
        staged = list((folder / f"full-{size}" / ".staging").iterdir())
        assert not staged, staged
        shim.mend_disk()
        process_through(job)
        assert read_tables(job) == expected, size
        print(json.dumps(vars(Outcome(f"full after {size}", False, shim.failures - before, failures, 0))), flush=True)


if __name__ == "__main__":
    with Shim(Path(sys.argv[2]), (Path(sys.argv[1]),), attach=True) as control:
        fail_each_kind(Path(sys.argv[1]) / "kinds", control)
        fill_the_disk(Path(sys.argv[1]) / "full", control, range(0, 60_000, 4_000))
