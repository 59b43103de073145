"""Sweeping: what a record names stays, what nobody names goes after the grace."""

from __future__ import annotations

import time
from pathlib import Path

from imaging.records import clock_key
from imaging.sweep import GRACE_S, find_unreferenced, sweep
from tests.following import follow
from tests.imaging.small_plate import make_job, object_states, read_rows


def test_only_old_objects_that_no_record_names_are_deleted(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    publication = follow(job)
    known = object_states(job)
    strays = [
        f"{job.prefix}parts/A01-1-dead.arrow",
        f"{job.prefix}published/000002-dead/wells.parquet",
        f"{job.zarr}/A/1/s1xdead/0/c/0/0/0",
    ]
    for key in strays:
        job.store.write(key, b"left behind")
    assert sweep(job) == []
    later = time.time() + GRACE_S + 60
    assert sorted(sweep(job, now=later)) == sorted(strays)
    assert {key: state for key, state in object_states(job).items() if key != clock_key(job.prefix)} == known
    assert find_unreferenced(job, now=later) == []
    assert len(read_rows(job, publication, "cells")) == 36


def test_data_of_an_older_publication_stay(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    first = follow(job)
    (tmp_path / "maps" / "map.csv").write_text("well,treatment,concentration,control\nA01,z,1,negcon\n")
    follow(job)
    sweep(job, now=time.time() + GRACE_S + 60)
    assert read_rows(job, first, "wells")
