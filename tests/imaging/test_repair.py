"""What `repair` does: just what is damaged, with the same values, and never less than there was, wherever killed."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imaging.errors import StoreUnavailableError
from imaging.job import PlateJob
from imaging.publication import read_publication
from imaging.query import run_query
from imaging.records import missing_key, pins_key, publication_key
from imaging.repair import Repair
from imaging.steps import decide_missing
from imaging.store import FolderStore, Store
from imaging.sweep import GRACE_S, sweep
from tests.imaging.small_damage import (
    assert_whole,
    copy_of,
    current_record,
    find_damage,
    flip,
    follow_quickly,
    manifest_of,
    place,
    redo_here,
    remove,
    repair,
    truncate,
    values,
)
from tests.imaging.small_plate import EXPERIMENT, draw_plate, make_job, object_states, read_rows

LATER = 4e9  # long after every patience


def key_of(job: PlateJob, which: str) -> str:
    manifest = manifest_of(job, "A02")
    objects = manifest["zarr"]["objects"]
    return {
        "part": manifest["part"]["key"],
        "shard": next(item["key"] for item in objects if item["key"].endswith("/0/c/0/0/0")),
        "description of a site": objects[-1]["key"],
        "manifest": manifest["key"],
        "table": current_record(job)["tables"]["wells"],
        "publication": publication_key(job.prefix, 1),
    }[which]


@pytest.mark.parametrize("harm", [remove, truncate, flip])
@pytest.mark.parametrize("which", ["part", "shard", "description of a site", "manifest"])
def test_a_damaged_site_is_done_again_alone_with_the_same_values(
    job: PlateJob, which: str, harm: Callable[[Store, str], None]
) -> None:
    before, states, key = values(job), object_states(job), key_of(job, which)
    harm(job.store, key)
    harmed = job.store.read(key) if job.store.exists(key) else None
    done: list[str] = []
    assert all(item.is_mended for item in repair(job, done))
    assert done == ["A02"]
    assert values(job) == before
    assert current_record(job)["number"] == 2
    assert_whole(job)
    after = object_states(job)
    projections = ("/page/", "zarr.json")
    assert not {other for other in states if other != key and after.get(other) != states[other]} - {
        other for other in states if any(part in other for part in projections)
    }
    assert (job.store.read(key) if job.store.exists(key) else None) == harmed
    assert repair(job) == []


@pytest.mark.parametrize("harm", [remove, truncate, flip])
@pytest.mark.parametrize("which", ["table", "publication"])
def test_a_damaged_publication_is_published_anew_without_a_pixel(
    job: PlateJob, which: str, harm: Callable[[Store, str], None]
) -> None:
    before = values(job)
    harm(job.store, key_of(job, which))
    done: list[str] = []
    assert all(item.is_mended for item in repair(job, done))
    assert done == []
    assert values(job) == before
    assert_whole(job)
    assert run_query(job.store, "SELECT COUNT(*) AS n FROM wells").to_pylist() == [{"n": 4}]
    assert run_query(job.store, "SELECT COUNT(*) AS n FROM plate_runs WHERE is_current").to_pylist() == [{"n": 1}]


def test_a_damaged_table_of_a_superseded_publication_is_given_up_and_queries_answer_again(
    job: PlateJob, tmp_path: Path
) -> None:
    (tmp_path / "maps" / "map.csv").write_text("well,treatment,concentration,control\nA01,z,1,negcon\n")
    second = follow_quickly(job)
    assert second is not None
    lost = read_publication(job, 1).tables["wells"]
    remove(job.store, lost)
    with pytest.raises(ValueError, match="gone"):
        run_query(job.store, "SELECT * FROM wells")
    (outcome,) = repair(job)
    assert (outcome.damage.what, outcome.said) == ("superseded", "publication 1 is given up; a newer one is shown")
    assert run_query(job.store, "SELECT COUNT(*) AS n FROM wells_all").to_pylist() == [{"n": 4}]
    assert_whole(job)
    assert follow_quickly(job) == second
    swept = sweep(job, now=time.time() + GRACE_S + 60)
    assert swept
    assert all("published/000001-" in key for key in swept)


@pytest.mark.parametrize("name", ["zarr.json", "A/1/zarr.json"])
def test_a_damaged_description_is_written_again_and_nothing_is_published(job: PlateJob, name: str) -> None:
    flip(job.store, f"{job.zarr}/{name}")
    remove(job.store, f"{job.prefix}page/index.html")
    assert [item.said for item in repair(job)] == ["it is written again", "it is written again"]
    assert current_record(job)["number"] == 1
    assert_whole(job)


@pytest.mark.parametrize("harm", [remove, truncate])
def test_lost_pins_come_out_as_they_were(job: PlateJob, harm: Callable[[Store, str], None]) -> None:
    before = job.store.read(pins_key(job.prefix))
    harm(job.store, pins_key(job.prefix))
    assert [item.is_mended for item in repair(job)] == [True]
    assert job.store.read(pins_key(job.prefix)) == before
    assert_whole(job)


def test_pins_are_not_made_where_nothing_tells_that_they_are_right(job: PlateJob, tmp_path: Path) -> None:
    truncate(job.store, pins_key(job.prefix))
    damaged = job.store.read(pins_key(job.prefix))
    for image in (tmp_path / "raw").iterdir():
        image.touch()
    (outcome,) = repair(job)
    assert not outcome.is_mended
    assert "put both back as they were" in outcome.said
    assert job.store.read(pins_key(job.prefix)) == damaged


def test_a_damaged_decision_is_recorded_again_as_it_was_published(tmp_path: Path) -> None:
    images = {name: data for name, data in draw_plate().items() if name != "B01_w2.tif"}
    job = make_job(tmp_path, images=images)
    assert follow_quickly(job, now=LATER) is not None
    before = values(job)["decisions"]
    truncate(job.store, missing_key(job.prefix, "B01", 1, "GFP"))
    assert [item.said for item in repair(job)] == ["recorded again"]
    assert find_damage(job) == []
    (tmp_path / "maps" / "map.csv").write_text("well,treatment,concentration,control\nA01,z,1,negcon\n")
    assert follow_quickly(job) is not None
    assert values(job)["decisions"] == before


def test_a_site_whose_images_are_gone_is_left_as_it_is(job: PlateJob, tmp_path: Path) -> None:
    remove(job.store, key_of(job, "part"))
    (tmp_path / "raw" / "A02_w1.tif").unlink()
    before = object_states(job)
    (outcome,) = repair(job)
    assert not outcome.is_mended
    assert "upload them again" in outcome.said
    assert object_states(job) == before


def test_a_site_whose_image_cannot_be_read_any_more_is_left_as_it_is(job: PlateJob, tmp_path: Path) -> None:
    remove(job.store, key_of(job, "part"))
    image = tmp_path / "raw" / "A02_w1.tif"
    state, data = image.stat(), image.read_bytes()
    image.write_bytes(data[:-40] + bytes(40))
    os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns))  # a bad sector changes no time
    before = object_states(job)
    (outcome,) = repair(job)
    assert not outcome.is_mended
    assert "A02_w1.tif" in outcome.said
    assert object_states(job) == before


def test_data_of_a_void_manifest_go_once_the_site_is_done_again(job: PlateJob) -> None:
    old = manifest_of(job, "A02")
    remove(job.store, old["part"]["key"])
    repair(job)
    assert sweep(job) == []
    swept = sweep(job, now=time.time() + GRACE_S + 60)
    assert sorted(swept) == sorted(item["key"] for item in (old["image_part"], *old["zarr"]["objects"]))
    assert_whole(job)


class Ended(BaseException):
    """The process ended here."""


class Mortal(FolderStore):
    """A folder whose process ends at the n-th change, before or after it is made."""

    def __init__(self, root: Path, end_at: int, *, after: bool) -> None:
        super().__init__(root)
        self.left, self.after = end_at, after

    def _die_at(self, change: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Ended
        made = change()
        if self.left == 0:
            raise Ended
        return made

    def write(self, key: str, data: bytes) -> None:
        self._die_at(lambda: super(Mortal, self).write(key, data))

    def create(self, key: str, data: bytes) -> bool:
        return self._die_at(lambda: super(Mortal, self).create(key, data))

    def delete(self, key: str) -> None:
        self._die_at(lambda: super(Mortal, self).delete(key))


@pytest.mark.parametrize("after", [False, True])
def test_a_repair_killed_at_any_change_leaves_what_was_shown_and_is_finished_by_the_next(
    whole: Path, tmp_path: Path, *, after: bool
) -> None:
    """Before each step the old values are shown, whole, or the new ones; there is no third state."""
    end_at, is_killed = 1, True
    while is_killed:
        folder = tmp_path / f"{end_at}"
        job = copy_of(whole, folder)
        before = values(job)
        remove(job.store, key_of(job, "part"))
        flip(job.store, current_record(job)["tables"]["images"])
        mortal = dataclasses.replace(job, store=Mortal(folder / "store", end_at, after=after), _pinned={}, _seen={})
        is_killed = False
        try:
            Repair(mortal, redo_here(mortal)).mend(find_damage(job))
        except Ended:
            is_killed = True
        seen = read_rows(job, read_publication(job, job.survey().records.last_publication), "wells")
        assert [{**row, "run": None} for row in seen] == before["wells"]
        repair(job)
        follow_quickly(job)  # who is killed between a publication and its page leaves that to whoever follows
        assert values(job) == before
        assert_whole(job)
        end_at += 5
    assert end_at > 20


def test_an_outage_of_the_store_ends_a_repair_and_is_no_outcome(job: PlateJob) -> None:
    remove(job.store, key_of(job, "table"))
    damages = find_damage(job)

    def fail(key: str, data: bytes) -> bool:
        raise StoreUnavailableError("no answer")

    fresh = job.under(job.experiment)
    fresh.store.__dict__["create"] = fail
    try:
        with pytest.raises(StoreUnavailableError):
            Repair(fresh, redo_here(fresh)).mend(damages)
    finally:
        del fresh.store.__dict__["create"]


def test_the_place_of_a_damage_is_said(job: PlateJob) -> None:
    remove(job.store, key_of(job, "part"))
    (damage,) = find_damage(job)
    assert (damage.experiment, damage.plate, damage.recipe) == place(job)
    assert damage.site.startswith("A02-1-")
    assert damage.cure == "its site is measured again"


def test_the_number_of_a_publication_whose_record_is_gone_is_not_given_again(job: PlateJob) -> None:
    remove(job.store, publication_key(job.prefix, 1))
    repair(job)
    assert not job.store.exists(publication_key(job.prefix, 1))
    assert current_record(job)["number"] == 2
    assert_whole(job)


@pytest.mark.parametrize("is_published_damaged", [False, True])
def test_a_plate_that_waits_for_an_image_gets_its_description_again_only_from_a_whole_publication(
    job: PlateJob, tmp_path: Path, *, is_published_damaged: bool
) -> None:
    """It once said that all was written again, and wrote nothing, where the plate could not be published."""
    (tmp_path / "raw" / "B02_w2.tif").unlink()
    remove(job.store, f"{job.zarr}/zarr.json")
    remove(job.store, key_of(job, "table" if is_published_damaged else "part"))
    outcomes = {item.damage.what: item for item in repair(job)}
    assert outcomes["description"].is_mended == job.store.exists(f"{job.zarr}/zarr.json") == (not is_published_damaged)
    if is_published_damaged:
        assert not outcomes["publication"].is_mended
        assert outcomes["publication"].said == "the plate is published anew when nothing of it is waited for"
    else:
        assert outcomes["site"].is_mended
    assert current_record(job)["number"] == 1


def test_damage_of_a_plate_that_is_not_published_is_found_again_after_a_repair_that_was_ended(tmp_path: Path) -> None:
    """The site was done again by then, under its next name: its older manifest counts until that is recorded."""
    images = draw_plate()
    del images["B02_w2.tif"]
    job = make_job(tmp_path, images=images)
    assert follow_quickly(job) is None
    remove(job.store, part := next(key for key in object_states(job) if "/parts/A02-1-" in key))
    damages = find_damage(job)
    assert [item.key for item in damages] == [part]

    class Ending(FolderStore):
        def create(self, key: str, data: bytes) -> bool:
            if "/voids/" in key:
                raise Ended
            return super().create(key, data)

    ended = dataclasses.replace(job, store=Ending(tmp_path / "store"), _pinned={}, _seen={})
    with pytest.raises(Ended):
        Repair(ended, redo_here(ended)).mend(damages)
    assert find_damage(job) == damages
    assert [item.is_mended for item in repair(job)] == [True]
    assert find_damage(job) == []


def test_a_decision_is_recorded_again_with_the_reason_of_its_own_site(tmp_path: Path) -> None:
    text = EXPERIMENT.replace("sites: 1", "sites: 2").replace("_(?P<channel>", "_s(?P<site>[12])_(?P<channel>")
    images = {name.replace("_w", f"_s{site}_w"): data for name, data in draw_plate().items() for site in (1, 2)}
    for site in (1, 2):
        del images[f"B01_s{site}_w2.tif"]
    job = make_job(tmp_path, images=images, text=text)
    for site, by in ((1, "Ada"), (2, "Ben")):
        decide_missing(job, "B01", site, "GFP", by=by, reason=f"{by} dropped it")
    assert follow_quickly(job) is not None
    keys = [missing_key(job.prefix, "B01", site, "GFP") for site in (1, 2)]
    for key in keys:
        truncate(job.store, key)
    assert [item.said for item in repair(job)] == ["recorded again", "recorded again"]
    assert [json.loads(job.store.read(key))["by"] for key in keys] == ["Ada", "Ben"]
