"""What `verify` finds: each object that is gone, cut short or has another bit, and nothing on a plate that is whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from imaging.job import PlateJob
from imaging.store import Store
from imaging.verify import find_folders, verify_plate
from tests.imaging.small_damage import (
    current_record,
    find_damage,
    flip,
    manifest_of,
    place,
    publish_plate,
    remove,
    truncate,
)

Harm = Callable[[Store, str], None]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> PlateJob:
    return publish_plate(tmp_path_factory.mktemp("plate"))


def objects_of(job: PlateJob) -> dict[str, str]:
    """Every object that a record names by sum -> what it is of."""
    record = current_record(job)
    found = dict.fromkeys(record["tables"].values(), "publication")
    found |= dict.fromkeys(record["manifests"], "site")
    for well in ("A01", "A02", "B01", "B02"):
        manifest = manifest_of(job, well)
        objects = [manifest["part"], manifest["image_part"], *manifest["zarr"]["objects"]]
        found |= {item["key"]: "site" for item in objects}
    return found | {f"{job.prefix}publications/000001.json": "publication"}


def test_a_whole_plate_has_no_damage_and_everything_is_read(job: PlateJob) -> None:
    found = verify_plate(job.store, place(job))
    assert found.damages == []
    assert found.objects > len(objects_of(job))
    assert found.size_bytes > 100_000
    assert find_folders(job.store) == [place(job)]


@pytest.mark.parametrize("harm", [remove, truncate, flip])
def test_every_object_that_is_gone_cut_or_flipped_is_found_alone(job: PlateJob, harm: Harm) -> None:
    for key, what in objects_of(job).items():
        before = job.store.read(key)
        harm(job.store, key)
        try:
            found = find_damage(job)
        finally:
            job.store.write(key, before)
        if key.endswith("000001.json"):  # of what it names nothing is known then
            assert (what, key) in [(item.what, item.key) for item in found]
        else:
            assert [(item.what, item.key) for item in found] == [(what, key)]


def test_a_quick_look_reads_no_data_and_sees_what_is_gone_or_cut(job: PlateJob) -> None:
    part = manifest_of(job, "A02")["part"]["key"]
    before = job.store.read(part)
    flip(job.store, part)
    assert find_damage(job, is_quick=True) == []
    truncate(job.store, part)
    (damage,) = find_damage(job, is_quick=True)
    assert damage.fault == f"has {len(before) // 2:,} bytes, and {len(before):,} were written"
    remove(job.store, part)
    (damage,) = find_damage(job, is_quick=True)
    assert damage.fault == "is missing"
    job.store.write(part, before)


@pytest.mark.parametrize("name", ["zarr.json", "A/zarr.json", "A/1/zarr.json"])
@pytest.mark.parametrize("harm", [remove, truncate])
def test_a_damaged_description_of_the_images_is_found(job: PlateJob, harm: Harm, name: str) -> None:
    key = f"{job.zarr}/{name}"
    before = job.store.read(key)
    harm(job.store, key)
    found = find_damage(job)
    job.store.write(key, before)
    assert [(item.what, item.key) for item in found] == [("description", key)]


def test_a_description_that_lists_another_group_is_found(job: PlateJob) -> None:
    key = f"{job.zarr}/A/1/zarr.json"
    before = job.store.read(key)
    job.store.write(key, before.replace(b"s1x", b"s1y"))
    found = find_damage(job)
    job.store.write(key, before)
    assert [item.key for item in found] == [key]


def test_records_without_a_sum_are_counted_as_unprotected(job: PlateJob) -> None:
    unprotected = verify_plate(job.store, place(job)).unprotected
    assert unprotected == {"small records (read instead)": 1}  # the pins


def test_what_nothing_names_is_not_looked_at(tmp_path: Path) -> None:
    job = publish_plate(tmp_path)
    job.store.write(f"{job.prefix}parts/A01-1-dead.arrow", b"left behind")
    job.store.write(f"{job.prefix}notes.txt", b"a person's")
    assert find_damage(job) == []
