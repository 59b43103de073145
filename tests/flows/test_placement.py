"""A rule of placement is kept in each place where images or results could leave theirs."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flows.cluster import open_cluster
from flows.compute import Compute
from flows.follow import Follower
from flows.needs import Need
from flows.placement import refuse_dataset
from flows.process_folder import process_folder, process_stored
from flows.process_plate import process_plate
from flows.settings import Settings
from flows.watch import open_watch
from imaging.errors import PlacementError
from imaging.experiment import read_experiment
from imaging.store import FolderStore
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_plate, make_job

RULE = "placement: {allowed: [eu], reason: contract 12}\n"
SAYS = r"may be processed in eu only \(contract 12\), and "


@pytest.fixture
def root(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "store")
    store.write("experiments/screen/experiment.yaml", (EXPERIMENT + RULE).encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())
    for name, data in draw_plate().items():
        store.write(f"raw/screen/P1/{name}", data)
    return store


def settings_of(root: FolderStore, place: str, **values: object) -> Settings:
    return Settings(store=str(root.root), place=place, workers=1, settle_s=0.0, **values)


def test_a_run_elsewhere_is_refused_before_it_connects(root: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATESTREAM_STORE", str(root.root))
    monkeypatch.setenv("PLATESTREAM_PLACE", "us-central1")
    with pytest.raises(PlacementError, match=SAYS + r"this environment is in us-central1; run it there.*plate P1"):
        process_plate.fn("screen", "P1")
    assert not root.list("results/").objects


def test_a_machine_that_nobody_placed_is_elsewhere(root: FolderStore) -> None:
    with pytest.raises(PlacementError, match=r"this environment is in local; .* set PLATESTREAM_PLACE"):
        process_stored("screen", "P1", settings=Settings(store=str(root.root)))


def test_a_folder_is_refused_before_anything_is_written(tmp_path: Path, root: FolderStore) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT + RULE)
    (tmp_path / "map.csv").write_text(PLATE_MAP)
    settings, started = Settings(store=str(tmp_path / "other"), place="us-central1"), []
    with pytest.raises(PlacementError, match=SAYS + "this environment is in us-central1"):
        process_folder(
            root.root / "raw/screen/P1",
            tmp_path / "experiment.yaml",
            plate="P1",
            settings=settings,
            on_start=lambda job: started.append(job),
        )
    assert not started
    assert not FolderStore(tmp_path / "other").list("").objects


def test_a_run_ends_when_its_workers_are_elsewhere_and_the_site_is_still_to_be_done(tmp_path: Path) -> None:
    job = make_job(tmp_path, text=EXPERIMENT + RULE)
    with open_cluster(1) as cluster, Compute(cluster.scheduler_address) as compute:  # its workers are in local
        follower = Follower(job, compute, "test", linger_s=0.0, relist_s=0.1)
        with pytest.raises(PlacementError, match=SAYS + "this worker is in local"), follower:
            follower.measure(4)
    plan = job.survey()
    assert len(plan.todo) == 4
    assert {site.attempts for site in plan.todo} == {0}


def test_the_watch_wakes_nobody_elsewhere_and_says_so_once(root: FolderStore, caplog: pytest.LogCaptureFixture) -> None:
    woken: list[Need] = []
    watch = open_watch(root, woken.append, settings_of(root, "us-central1"))
    now = time.time()
    for second in (0.0, 10.0, 20.0):
        watch.round(now + second)
    assert not woken
    assert caplog.text.count("screen/P1: the experiment may be processed in eu only (contract 12)") == 1
    watch = open_watch(root, woken.append, settings_of(root, "europe-west4"))
    watch.round(now)
    assert [need.plate for need in woken] == ["P1"]


def test_results_are_not_loaded_into_a_dataset_elsewhere() -> None:
    bound, free = (read_experiment(text.encode()) for text in (EXPERIMENT + RULE, EXPERIMENT))
    with pytest.raises(PlacementError, match=SAYS + "the dataset lab is in US; load it into one that is"):
        refuse_dataset(bound, Settings(dataset="lab", dataset_location="US"), "P1")
    with pytest.raises(PlacementError, match="the dataset lab has no place that we know of"):
        refuse_dataset(bound, Settings(dataset="lab"))
    refuse_dataset(bound, Settings(dataset="lab", dataset_location="EU"))
    refuse_dataset(free, Settings(dataset="lab"))
