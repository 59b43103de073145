"""Sweeping: what a record names stays, what nobody names goes after the grace."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from imaging.errors import StoredDataError
from imaging.job import PlateJob
from imaging.records import clock_key, field_key, publication_key
from imaging.sweep import GRACE_S, find_unreferenced, sweep
from imaging.voids import void_publication
from tests.following import follow
from tests.imaging import lit_plate
from tests.imaging.lit_plate import FIELDS, declare_fields, lit_job
from tests.imaging.small_damage import current_record, follow_quickly, manifest_of, publish_plate, repair
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


def hide(job: PlateJob, folder: str) -> None:
    """Put a folder of the plate's records elsewhere, and a link in its place: it is out of sight."""
    path = job.store.local_path(f"{job.prefix}{folder}")
    assert path is not None
    elsewhere = path.parents[5] / folder
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def delete_all(job: PlateJob, folder: str) -> None:
    for item in job.store.list(f"{job.prefix}{folder}/").objects:
        job.store.delete(item.key)


@pytest.mark.parametrize("lose", [hide, delete_all])
@pytest.mark.parametrize("folder", ["sites", "publications"])
def test_where_records_are_gone_or_out_of_sight_nothing_is_deleted(
    tmp_path: Path, folder: str, lose: Callable[[PlateJob, str], None]
) -> None:
    job = publish_plate(tmp_path)
    lose(job, folder)
    before = object_states(job)
    with pytest.raises(StoredDataError, match="nothing of the plate is deleted"):
        sweep(job, now=time.time() + GRACE_S + 60)
    assert object_states(job).keys() - {clock_key(job.prefix)} == before.keys() - {clock_key(job.prefix)}


def test_one_manifest_of_the_current_publication_that_is_gone_keeps_all(tmp_path: Path) -> None:
    job = publish_plate(tmp_path)
    gone = manifest_of(job, "B01")["key"]
    job.store.delete(gone)
    with pytest.raises(StoredDataError, match="publication 1 is gone") as caught:
        find_unreferenced(job, now=time.time() + GRACE_S + 60)
    assert caught.value.key == gone
    assert all(item.is_mended for item in repair(job))
    swept = sweep(job, now=time.time() + GRACE_S + 60)
    assert any("/B01-1-" in key for key in swept)
    assert not any("/A01-1-" in key for key in swept)


def test_a_frozen_field_whose_record_is_gone_keeps_all(tmp_path: Path) -> None:
    declare_fields(tmp_path, **FIELDS)
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images=lit_plate.draw_plate())
    assert follow_quickly(job) is not None
    job.store.delete(field_key(job.prefix))
    with pytest.raises(StoredDataError, match="field of illumination is gone"):
        find_unreferenced(job, now=time.time() + GRACE_S + 60)


def test_tables_of_a_publication_that_was_made_again_stay_for_the_grace(tmp_path: Path) -> None:
    """Their objects are old; who reads them began before there was another."""
    job = publish_plate(tmp_path)
    first = set(current_record(job)["tables"].values())
    void_publication(job.store, job.prefix, 1, "a table is damaged", is_current=True)
    assert follow_quickly(job) is not None
    lately = time.time() + 5 * GRACE_S
    second = job.store.local_path(publication_key(job.prefix, 2))
    assert second is not None
    os.utime(second, (lately, lately))
    assert sweep(job, now=lately + GRACE_S / 2) == []
    assert first <= set(sweep(job, now=lately + GRACE_S + 60))
