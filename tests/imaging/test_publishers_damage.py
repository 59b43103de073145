"""What publishers make of damage that they meet, though nobody repairs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from imaging import publication as publication_module
from imaging.errors import LostDataError
from imaging.job import PlateJob
from imaging.records import publication_key
from imaging.site import read_part
from imaging.sweep import GRACE_S, sweep
from tests.imaging.small_damage import (
    assert_whole,
    follow_quickly,
    manifest_of,
    remove,
    truncate,
    values,
)
from tests.imaging.small_plate import object_states


def test_a_slow_publisher_that_met_damage_cannot_undo_what_was_made_since(job: PlateJob, tmp_path: Path) -> None:
    """It once deleted the manifest by its name: that of the site done again."""
    old = job.survey()
    lost = manifest_of(job, "A02")
    remove(job.store, lost["part"]["key"])
    with pytest.raises(LostDataError) as met:
        read_part(job.store, lost)
    (tmp_path / "maps" / "map.csv").write_text("well,treatment,concentration,control\nA01,z,1,negcon\n")
    again = follow_quickly(job, rounds=8) or follow_quickly(job)
    assert again is not None
    before = object_states(job)
    publication_module._disown(job, old, met.value)
    assert object_states(job) == before
    assert_whole(job)


def test_a_damaged_manifest_is_declared_void_by_a_publisher_and_done_again(job: PlateJob, tmp_path: Path) -> None:
    damaged = manifest_of(job, "A02")["key"]
    truncate(job.store, damaged)
    half = job.store.read(damaged)
    (tmp_path / "maps" / "map.csv").write_text("well,treatment,concentration,control\nA01,z,1,negcon\n")
    again = follow_quickly(job) or follow_quickly(job)
    assert again is not None
    assert job.store.read(damaged) == half
    assert_whole(job)


def test_a_lost_record_is_not_followed_by_another_under_its_number_though_nobody_repairs(
    job: PlateJob, tmp_path: Path
) -> None:
    """The warehouse has rows of it: it would take the next one of that number for loaded, and show the old run."""
    (tmp_path / "maps" / "map.csv").write_text("well,treatment,concentration,control\nA01,z,1,negcon\n")
    assert follow_quickly(job) is not None
    remove(job.store, publication_key(job.prefix, 2))
    assert job.survey().records.is_last_void
    again = follow_quickly(job)
    assert again is not None
    assert again.number == 3
    assert_whole(job)
    assert all("/published/000002-" in key for key in sweep(job, now=time.time() + GRACE_S + 60))


def test_a_plate_whose_manifest_is_lost_and_made_again_under_its_name_is_published_anew(job: PlateJob) -> None:
    """The description of its images once went on naming the old ones, which the next sweep deleted."""
    before = values(job)
    remove(job.store, manifest_of(job, "A02")["key"])
    again = follow_quickly(job)
    assert again is not None
    assert again.number == 2
    assert values(job) == before
    assert any("/A02-1-" in key or "/A/2/" in key for key in sweep(job, now=time.time() + GRACE_S + 60))
    assert_whole(job)
    assert follow_quickly(job) == again


def test_a_manifest_that_is_not_what_was_published_is_done_again_before_the_plate_is_published_anew(
    job: PlateJob, tmp_path: Path
) -> None:
    before = values(job)["images"]
    key = manifest_of(job, "A02")["key"]
    data = job.store.read(key)
    assert b'"MeanIntensity":' in data
    job.store.write(key, data.replace(b'"MeanIntensity":', b'"MeanIntensity":1', 1))
    (tmp_path / "maps" / "map.csv").write_text("well,treatment,concentration,control\nA01,z,1,negcon\n")
    assert (follow_quickly(job) or follow_quickly(job)) is not None
    measured = [{name: row[name] for name in ("well", "channel", "MeanIntensity")} for row in values(job)["images"]]
    assert measured == [{name: row[name] for name in ("well", "channel", "MeanIntensity")} for row in before]
    assert_whole(job)
