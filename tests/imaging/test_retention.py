"""What a closed plate keeps, and what goes: by policy, once, and never what somebody names."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from imaging.errors import StoredDataError
from imaging.job import PlateJob
from imaging.named_elsewhere import NamedElsewhere, NamedPublication
from imaging.names import to_json
from imaging.publication import is_current
from imaging.records import field_key, publication_key, publication_numbers
from imaging.retention import Surplus, clean_plate, find_surplus
from imaging.store import FolderStore, Listing
from imaging.sweep import GRACE_S
from imaging.voids import void_publication
from tests.following import follow
from tests.imaging.small_plate import draw_cells, make_job, object_states, read_rows

LATER_S = 3 * GRACE_S


@pytest.fixture(scope="module")
def thrice(tmp_path_factory: pytest.TempPathFactory) -> PlateJob:
    """A plate that was published three times, each time with another image."""
    folder = tmp_path_factory.mktemp("plate")
    job = make_job(folder)
    follow(job)
    for seed in (90, 91):
        (folder / "raw" / "A01_w1.tif").write_bytes(draw_cells(seed))
        follow(job)
    assert numbers(job) == (1, 2, 3)
    return job


@pytest.fixture
def job(thrice: PlateJob, tmp_path: Path) -> PlateJob:
    """A copy of it that a test may clean."""
    store = FolderStore(tmp_path / "store")
    for item in thrice.store.list("").objects:
        store.write(item.key, thrice.store.read(item.key))
    return replace(thrice, store=store)


def numbers(job: PlateJob) -> tuple[int, ...]:
    return publication_numbers(job.prefix, job.store.list(f"{job.prefix}publications/"))


def record_of(job: PlateJob, number: int) -> dict:
    return json.loads(job.store.read(publication_key(job.prefix, number)))


def clean(job: PlateJob, keep: int | None, later_s: float = LATER_S) -> Surplus:
    return clean_plate(job, job.survey(), keep=keep, now=time.time() + later_s)


def test_without_a_policy_all_publications_stay(job: PlateJob) -> None:
    before = object_states(job)
    assert not clean(job, None)
    assert before.items() <= object_states(job).items()


def test_superseded_publications_go_with_the_sites_and_tables_that_only_they_name(job: PlateJob) -> None:
    old, kept = record_of(job, 1), record_of(job, 3)
    states = object_states(job)
    surplus = find_surplus(job, job.survey(), keep=2, now=time.time() + LATER_S)
    assert object_states(job) == states
    assert clean(job, 2) == surplus
    assert surplus.publications == (1,)
    assert numbers(job) == (2, 3)
    gone = states.keys() - object_states(job).keys()
    assert gone == {*surplus.records, *surplus.data}
    assert set(old["tables"].values()) <= gone
    (site,) = set(old["manifests"]) - set(record_of(job, 2)["manifests"])
    assert site in gone
    assert {key for key in gone if "/parts/A01-1-" in key}
    assert not {key for key in gone if "/parts/A02-1-" in key}
    assert len(read_rows(job, replace_tables(job, kept), "cells")) == 36
    assert is_current(job, job.survey())
    assert follow(job) is not None
    assert numbers(job) == (2, 3)


def replace_tables(job: PlateJob, record: dict):
    from imaging.publication import read_publication

    return read_publication(job, record["number"])


def test_nothing_is_superseded_before_the_next_publication_has_stood_for_the_grace(job: PlateJob) -> None:
    assert not clean(job, 1, later_s=GRACE_S / 2)
    assert numbers(job) == (1, 2, 3)


def test_the_current_publication_stays_however_few_are_kept(job: PlateJob) -> None:
    assert clean(job, 1).publications == (1, 2)
    assert numbers(job) == (3,)


def test_what_another_plate_was_compared_with_stays(job: PlateJob) -> None:
    record = record_of(job, 3) | {"plate": "P2", "history": [{"plate": "P1", "run": record_of(job, 1)["run"]}]}
    job.store.write(publication_key(job.prefix.replace("/P1/", "/P2/"), 1), to_json(record))
    assert clean(job, 1).publications == (2,)
    assert numbers(job) == (1, 3)
    assert read_rows(job, replace_tables(job, record_of(job, 1)), "wells")


def test_a_publication_that_gave_another_plate_its_field_stays(job: PlateJob) -> None:
    source = {"experiment": "screen", "plate": "P1", "recipe": job.recipe, "number": 2, "run": "r"}
    frozen = {"digest": None, "field": None, "channels": {"DNA": {"from": source}, "GFP": {"reason": "none"}}}
    job.store.write(field_key(job.prefix.replace("/P1/", "/P2/")), to_json(frozen))
    assert clean(job, 1).publications == (1,)
    assert numbers(job) == (2, 3)


def test_while_the_newest_publication_is_damaged_nothing_is_deleted(job: PlateJob) -> None:
    void_publication(job.store, job.prefix, 3, "a table is damaged", is_current=True)
    before = object_states(job)
    assert not find_surplus(job, job.survey(), keep=1, now=time.time() + LATER_S)
    assert not clean(job, 1)
    assert object_states(job) == before


class Counting(FolderStore):
    """A folder that counts how often it is listed and read."""

    asked = 0

    def list(self, prefix: str, *, min_age_s: float = 0.0) -> Listing:
        self.asked += 1
        return super().list(prefix, min_age_s=min_age_s)

    def read(self, key: str, *, token: str | None = None, start: int = 0, size: int | None = None) -> bytes:
        self.asked += 1
        return super().read(key, token=token, start=start, size=size)


def test_whoever_cleans_many_plates_looks_once_at_what_they_name(
    job: PlateJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Counting(tmp_path / "store")
    named = NamedElsewhere()
    first = named.of(store, job.experiment)
    asked = store.asked
    assert asked > 3
    assert named.of(store, job.experiment) == first
    assert store.asked == asked
    monkeypatch.setattr("imaging.named_elsewhere.LOOK_S", 0.0)
    source = {"experiment": "screen", "plate": "P2", "recipe": job.recipe, "number": 1}
    frozen = {"digest": None, "field": None, "channels": {"DNA": {"from": source}}}
    store.write(field_key(job.prefix), to_json(frozen))  # after the first look
    assert named.of(store, job.experiment) - first == {NamedPublication("screen", "P2", "", job.recipe, 1)}
    assert store.asked < 2 * asked


def test_a_kill_between_any_two_deletions_leaves_a_plate_that_is_cleaned_by_the_next(job: PlateJob) -> None:
    wanted = {*object_states(job)} - {*find_surplus(job, job.survey(), keep=1, now=time.time() + LATER_S).data}

    class EndError(Exception):
        pass

    delete = job.store.delete
    for deletions in range(3):
        left = deletions

        def dying(key: str) -> None:
            nonlocal left
            if not left:
                raise EndError
            left -= 1
            delete(key)

        job.store.delete = dying  # type: ignore[method-assign]
        with pytest.raises(EndError):
            clean(job, 1)
    job.store.delete = delete  # type: ignore[method-assign]
    clean(job, 1)
    assert numbers(job) == (3,)
    left_over = {key for key in object_states(job) if "/swept/" not in key}
    assert left_over <= wanted
    assert not find_surplus(job, job.survey(), keep=1, now=time.time() + LATER_S)


def test_a_cleaned_plate_is_not_read_again_before_its_next_publication(job: PlateJob) -> None:
    clean(job, None)
    job.store.write(f"{job.prefix}parts/A01-1-dead.arrow", b"left behind")
    assert not clean(job, None, later_s=9 * GRACE_S)
    assert clean(job, 3, later_s=9 * GRACE_S).data == (f"{job.prefix}parts/A01-1-dead.arrow",)  # another policy


def test_a_plate_that_was_just_published_is_cleaned_again_later(job: PlateJob) -> None:
    clean(job, None, later_s=1.5 * GRACE_S)
    job.store.write(f"{job.prefix}parts/A01-1-dead.arrow", b"left behind")
    assert clean(job, None).data == (f"{job.prefix}parts/A01-1-dead.arrow",)


def test_with_a_damaged_record_nothing_is_deleted(job: PlateJob) -> None:
    job.store.write(publication_key(job.prefix, 2), b"{")
    before = object_states(job)
    with pytest.raises(StoredDataError, match="nothing of the plate is deleted"):
        clean(job, 1)
    assert object_states(job) == before
