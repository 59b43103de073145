"""What `verify` finds: each object that is gone, cut short or has another bit, and nothing on a plate that is whole."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from imaging.job import PlateJob
from imaging.names import to_json
from imaging.records import field_key, pins_key, publication_key
from imaging.store import FolderStore, Listing, Store
from imaging.store_faults import translated_os
from imaging.verify import find_folders, verify_plate
from tests.imaging import lit_plate
from tests.imaging.lit_plate import FIELDS, declare_fields, lit_job
from tests.imaging.small_damage import (
    current_record,
    find_damage,
    flip,
    follow_quickly,
    manifest_of,
    place,
    publish_plate,
    remove,
    repair,
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


def test_a_description_that_is_gone_is_found_beside_a_damaged_manifest_and_both_are_mended(tmp_path: Path) -> None:
    job = publish_plate(tmp_path)
    manifest = next(key for key in current_record(job)["manifests"] if "/A02" in key)
    truncate(job.store, manifest)
    remove(job.store, f"{job.zarr}/zarr.json")
    assert sorted((item.what, item.key) for item in find_damage(job)) == [
        ("description", f"{job.zarr}/zarr.json"),
        ("site", manifest),
    ]
    assert all(item.is_mended for item in repair(job))
    assert find_damage(job) == []


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


class BadSector(FolderStore):
    """A folder on a disk that cannot read some of its files any more."""

    unreadable: frozenset[str] = frozenset()

    def read(self, key: str, *, token: str | None = None, start: int = 0, size: int | None = None) -> bytes:
        with translated_os(key):
            if key in self.unreadable:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(key, token=token, start=start, size=size)


def on_bad_disk(job: PlateJob, key: str) -> PlateJob:
    assert isinstance(job.store, FolderStore)
    store = BadSector(job.store.root)
    store.unreadable = frozenset({key})
    return replace(job, store=store, _pinned={}, _frozen={}, _seen={})


def test_an_object_that_the_disk_cannot_read_is_damaged_and_the_rest_is_verified(job: PlateJob) -> None:
    keys = objects_of(job) | {pins_key(job.prefix): "pins", f"{job.zarr}/A/zarr.json": "description"}
    for key, what in keys.items():
        found = find_damage(on_bad_disk(job, key))
        assert (what, key) in [(item.what, item.key) for item in found]
        assert all("cannot be read" in item.fault for item in found if item.key == key)


@pytest.mark.parametrize("what", ["site", "publication"])
def test_a_record_that_the_disk_cannot_read_is_made_again(tmp_path: Path, what: str) -> None:
    job = publish_plate(tmp_path)
    bad = on_bad_disk(job, manifest_of(job, "A02")["key"] if what == "site" else publication_key(job.prefix, 1))
    assert [item.is_mended for item in repair(bad)] == [True]
    assert find_damage(bad) == []
    assert current_record(bad)["number"] == 2


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("fault", "faults/3fa9c2d4.json"),
        ("decision", "decisions/missing-B02-1-GFP.json"),
        ("attempt", "attempts/A01-1-x-1.json"),
    ],
)
def test_a_small_record_that_publication_could_not_read_is_found(tmp_path: Path, kind: str, name: str) -> None:
    job = publish_plate(tmp_path)
    job.store.write(f"{job.prefix}{name}", b'{"why": "another record"}')
    (damage,) = find_damage(job)
    assert (damage.what, damage.key) == (kind, f"{job.prefix}{name}")
    assert damage.fault.startswith("is damaged: it lacks")
    assert [item.is_mended for item in repair(job)] == [True]
    assert find_damage(job) == []


def test_pins_without_what_they_must_hold_are_found(tmp_path: Path) -> None:
    job = publish_plate(tmp_path)
    job.store.write(pins_key(job.prefix), to_json({"recipe": job.recipe, "pixels": None}))
    (damage,) = find_damage(job)
    assert (damage.what, damage.fault) == ("pins", "is damaged: pixels holds no names and values")


def test_another_digest_in_the_record_of_the_field_is_found_and_mended(tmp_path: Path) -> None:
    """All sites are named by it: with another one the whole plate would be measured anew."""
    declare_fields(tmp_path, **FIELDS)
    job = lit_job(tmp_path, "{source: file, file: fields.npz}", images=lit_plate.draw_plate())
    assert follow_quickly(job) is not None
    record = job.read_frozen()
    job.store.write(field_key(job.prefix), to_json(record | {"digest": record["digest"][::-1]}))
    (damage,) = find_damage(job)
    assert (damage.what, damage.fault) == ("frozen", "has another digest than its field")
    follower = lit_job(tmp_path, "{source: file, file: fields.npz}")
    assert follower.survey().todo
    again = lit_job(tmp_path, "{source: file, file: fields.npz}")
    assert [item.is_mended for item in repair(again)] == [True]
    assert job.store.read(field_key(job.prefix)) == to_json(record)
    assert not follower.survey().todo


class Early(FolderStore):
    """A folder of a plate that is being imaged: some objects were not there yet when they were listed."""

    unlisted: frozenset[str] = frozenset()

    def list(self, prefix: str, *, min_age_s: float = 0.0) -> Listing:
        found = super().list(prefix, min_age_s=min_age_s)
        return replace(found, objects=tuple(item for item in found.objects if item.key not in self.unlisted))


def test_what_was_written_after_it_was_listed_is_not_missing(job: PlateJob) -> None:
    assert isinstance(job.store, FolderStore)
    store = Early(job.store.root)
    manifest = manifest_of(job, "A01")
    store.unlisted = frozenset(
        {
            *(item["key"] for item in (manifest["part"], *manifest["zarr"]["objects"])),
            *current_record(job)["tables"].values(),
            f"{job.prefix}page/index.html",
            f"{job.zarr}/A/zarr.json",
            f"{job.zarr}/zarr.json",
        }
    )
    assert find_damage(replace(job, store=store)) == []
    store.unlisted = frozenset({publication_key(job.prefix, 1)})
    assert find_damage(replace(job, store=store)) == []
