"""What the watchdogs tell of a store that does not answer, and of plates that a new watcher has not looked at yet."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from flows.watchdogs.memory import KEY, Memory, read_memory
from imaging.errors import StoreUnavailableError
from imaging.job import open_experiment, open_job
from imaging.promotions import record_promotion
from imaging.recipe_book import open_recipes
from imaging.steps import beat
from imaging.store import FolderStore
from tests.flows.dogs import Dogs, declare, upload
from tests.following import follow
from tests.imaging.test_recipe_book import WIDER


@pytest.fixture
def root(tmp_path: Path) -> FolderStore:
    return declare(tmp_path / "store")


@pytest.fixture
def dogs(root: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dogs:
    monkeypatch.setattr("flows.watchdogs.gather.find_late_runs", lambda settings, now: [])  # the API has none
    return Dogs(root, tmp_path)


def fail(*_: Any, **__: Any) -> None:
    raise StoreUnavailableError("the storage failed; try again")


def test_one_fault_of_the_store_is_none_of_a_plate_that_a_run_follows(
    root: FolderStore, dogs: Dogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(root)
    beat(open_job(root, "screen", "P1"), "run-7")
    with monkeypatch.context() as once:
        once.setattr(root, "modified", fail)
        assert dogs.look(1).faults
    assert dogs.look(2).faults == ()


def test_a_folder_that_is_not_mounted_is_told_and_no_plate_and_no_alert_is_forgotten(
    root: FolderStore, dogs: Dogs, tmp_path: Path
) -> None:
    upload(root)
    assert [dogs.tell(at) for at in (0, 900, 1860)] == [[], [], [("new", "plate-stuck")]]
    shutil.move(root.root, tmp_path / "elsewhere")
    root.root.mkdir()
    assert [dogs.tell(at) for at in (1920, 2400)] == [[], []]
    assert dogs.tell(2580) == [("new", "store-silent")]
    assert [dogs.tell(at) for at in (3000, 9000)] == [[], []]
    assert [each.alert.kind for each in dogs.gatherer.memory.shown] == ["plate-stuck", "store-silent"]
    assert "had experiments and has none any more" in dogs.gatherer.memory.shown[1].alert.what
    assert not list(root.root.iterdir())
    root.root.rmdir()
    shutil.move(tmp_path / "elsewhere", root.root)
    assert [dogs.tell(at) for at in (9060, 9420)] == [[], [("over", "store-silent")]]
    assert dogs.plate(9480).still_since == dogs.began + (9000 - 1860)
    assert root.exists(KEY)


def test_a_store_that_cannot_be_listed_makes_no_plate_a_fault(
    root: FolderStore, dogs: Dogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(root)
    dogs.watch.sweep_s = 3600.0
    assert dogs.tell(0) == []
    monkeypatch.setattr(root, "list_folders", fail)
    monkeypatch.setattr(root, "read", fail)
    told = [dogs.tell(at) for at in range(3600, 6000, 60)]
    assert [each for found in told for each in found] == [("new", "store-silent")]


def test_a_plate_that_cannot_be_read_for_a_moment_keeps_its_time_and_its_alert(
    root: FolderStore, dogs: Dogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(root)
    assert dogs.tell(0) == []
    with monkeypatch.context() as once:
        once.setattr(dogs.gatherer, "need", fail)
        assert [dogs.tell(at) for at in (60, 120)] == [[], []]
    assert dogs.plate(180).still_since == dogs.began + 120
    assert [dogs.tell(at) for at in (1920, 1980)] == [[("new", "plate-stuck")], []]
    monkeypatch.setattr(dogs.gatherer, "need", fail)
    assert [dogs.tell(at) for at in (2040, 2640)] == [[], []]


def test_a_watcher_that_has_only_begun_calls_nothing_over_and_counts_no_plate_anew(
    root: FolderStore, dogs: Dogs, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(root)
    assert [dogs.tell(at) for at in (0, 1860)] == [[], [("new", "plate-stuck")]]
    memory = read_memory(root)
    assert memory is not None
    dogs.start(memory)
    monkeypatch.setattr("flows.watch.ROUND_S", -1.0)  # every round ends before the first plate
    assert [dogs.tell(at) for at in range(1920, 3000, 120)] == [[]] * 9
    monkeypatch.setattr("flows.watch.ROUND_S", 30.0)
    assert dogs.tell(3000) == []
    assert dogs.plate(3060).still_since == pytest.approx(dogs.began + 1020, abs=60)


def test_a_new_watcher_ends_the_alert_of_a_plate_that_is_there_no_more(root: FolderStore, dogs: Dogs) -> None:
    upload(root)
    upload(root, "P2")
    assert dogs.tell(0) == []
    assert dogs.tell(1860) == [("new", "plate-stuck")] * 2
    shutil.rmtree(root.root / "raw/screen/P2")
    dogs.start(read_memory(root) or Memory())
    assert [dogs.tell(at) for at in (1920, 2220)] == [[], [("over", "plate-stuck")]]


def test_a_plate_whose_recipe_was_edited_before_its_first_publication_is_open_once(
    root: FolderStore, dogs: Dogs
) -> None:
    upload(root)
    pins = f"{open_job(root, 'screen', 'P1').prefix}pins.json"
    root.write(pins, b"")
    assert dogs.look(1).faults
    root.delete(pins)
    first = dogs.plate(2)
    root.write(pins, b"")
    assert dogs.look(3).faults
    declared = root.read("experiments/screen/experiment.yaml").decode()
    root.write("experiments/screen/experiment.yaml", declared.replace("[6, 20]", "[6, 21]").encode())
    facts = dogs.look(4)
    (second,) = facts.plates
    assert second.recipe != first.recipe
    assert facts.faults == ()


def test_work_that_can_wait_is_not_open_while_a_run_follows_it(root: FolderStore, dogs: Dogs) -> None:
    root.write("experiments/screen/recipes/v2.yaml", WIDER.encode())
    upload(root)
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    book = open_recipes(root, open_experiment(root, "screen"))
    record_promotion(root, book.find("v2"), instead_of=book.production.recipe_id)
    background = open_job(root, "screen", "P1", recipe="v2")
    background.ensure_pins()
    beat(background, "run-7")
    dogs.look(1)
    assert dogs.watch.plates.open() == []
