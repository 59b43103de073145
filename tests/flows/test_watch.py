"""The watcher: wakes a run for each plate with work and no follower, and for no other."""

from __future__ import annotations

import shutil
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from flows.events import emit
from flows.needs import Need, event_of
from flows.watch import DAY_S, REPEAT_S, Watch
from imaging.errors import MissingPartError, StoreUnavailableError
from imaging.job import open_job
from imaging.measure import measure_planes
from imaging.site import process_site
from imaging.steps import beat, plan_work, site_task
from imaging.store import FolderStore, Listing, Store
from tests.flows.api_standin import api_standin
from tests.following import follow
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_cells, draw_plate


@pytest.fixture
def root(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path)
    store.write("experiments/screen/experiment.yaml", EXPERIMENT.encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())
    return store


def upload(store: Store, plate: str, *, count: int = 8) -> None:
    for name, data in list(draw_plate().items())[:count]:
        store.write(f"raw/screen/{plate}/{name}", data)


def upload_again(store: Store, plate: str) -> None:
    """Replace an image by another."""
    store.write(f"raw/screen/{plate}/A01_w1.tif", draw_cells(99))


def watch_of(store: Store) -> tuple[Watch, list[Need]]:
    woken: list[Need] = []
    return Watch(store, woken.append, rescan_s=1.0, settle_s=0.0), woken


def test_a_plate_with_work_is_woken_once_in_half_a_minute(root: FolderStore) -> None:
    upload(root, "P1")
    watch, woken = watch_of(root)
    now = time.time()
    for second in (0.0, 2.0, 4.0):
        watch.round(now + second)
    assert [(need.experiment, need.plate, need.reason) for need in woken] == [("screen", "P1", "4 sites to process")]
    watch.round(now + REPEAT_S + 1)
    assert len(woken) == 2


def test_a_followed_plate_is_left_alone_until_the_heartbeat_is_old(root: FolderStore) -> None:
    upload(root, "P1")
    beat(open_job(root, "screen", "P1"), "somebody")
    watch, woken = watch_of(root)
    watch.round(time.time())
    assert not woken
    watch.round(time.time() + 95)
    assert len(woken) == 1


def test_a_plate_that_waits_is_left_alone_until_its_patience_ends(root: FolderStore) -> None:
    upload(root, "P1", count=1)
    watch, woken = watch_of(root)
    watch.round(time.time())
    assert not woken
    watch.round(time.time() + 70)
    assert [need.reason for need in woken] == ["7 images did not arrive within 60 s"]


def test_a_published_plate_needs_nobody_until_its_map_changes(root: FolderStore) -> None:
    upload(root, "P1")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    watch, woken = watch_of(root)
    watch.round()
    assert not woken
    root.write("experiments/screen/map.csv", PLATE_MAP.replace("x,2", "y,2").encode())
    watch.round(time.time() + 5)
    assert [need.reason for need in woken] == ["a publication is due"]


def test_a_changed_recipe_does_not_reprocess_what_is_published(
    root: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    upload(root, "P1")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    root.write("experiments/screen/experiment.yaml", EXPERIMENT.replace("name: v1", "name: v2").encode())
    watch, woken = watch_of(root)
    watch.round()
    assert not woken
    assert "published with recipe v1-" in caplog.text


def test_names_and_declarations_at_fault_are_said_once_and_stop_nobody_else(
    root: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    upload(root, "P1")
    (root.root / "raw" / "screen" / "it's").mkdir()
    (root.root / "raw" / "undeclared" / "P9").mkdir(parents=True)
    watch, woken = watch_of(root)
    now = time.time()
    watch.round(now)
    watch.round(now + 2)
    assert [need.plate for need in woken] == ["P1"]
    assert caplog.text.count("is refused") == 1
    assert caplog.text.count("not declared") == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda job: job.store.write(f"{job.prefix}pins.json", b""),
        lambda job: (job.store.root / "experiments/screen/map.csv").unlink(),
        lambda job: job.store.write(f"{job.raw_folder}A01_w1.tif/x", b""),
    ],
)
def test_whatever_is_wrong_with_one_plate_the_others_are_woken(root: FolderStore, spoil: Any) -> None:
    for plate in ("P1", "P2"):
        upload(root, plate)
    job = open_job(root, "screen", "P1", settle_s=0.0)
    (root.root / job.raw_folder / "A01_w1.tif").unlink()
    spoil(job)
    watch, woken = watch_of(root)
    watch.round()
    assert "P2" in {need.plate for need in woken}


def test_what_a_file_manager_leaves_among_the_records_is_passed_over(root: FolderStore) -> None:
    upload(root, "P1")
    job = open_job(root, "screen", "P1", settle_s=0.0)
    follow(job)
    for folder in ("sites", "attempts", "publications", "decisions", "projected", "faults"):
        root.write(f"{job.prefix}{folder}/.DS_Store", b"x")
        root.write(f"{job.prefix}{folder}/000001.json#1", b"x")
    watch, woken = watch_of(root)
    watch.round()
    assert not woken
    assert job.survey().records.last_publication == 1


def test_a_plate_without_a_run_is_asked_for_ever_more_rarely(root: FolderStore) -> None:
    upload(root, "P1")
    watch, woken = watch_of(root)
    now = time.time()
    for second in range(0, 3600, 5):
        watch.round(now + second)
    assert 6 <= len(woken) <= 12


def test_a_clock_that_is_set_back_does_not_stop_the_watch(root: FolderStore) -> None:
    watch, woken = watch_of(root)
    watch.round(time.time(), 0.0)
    upload(root, "P1")
    watch.round(time.time() - 7200, 2.0)
    assert len(woken) == 1


def test_a_clock_that_was_a_day_ahead_hides_no_late_image_once_it_is_set_right(root: FolderStore) -> None:
    """While it was wrong, a plate published a moment ago was taken for closed, to be looked at the next day."""
    upload(root, "P1")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    watch, woken = watch_of(root)
    now = time.time()
    watch.round(now + 2 * DAY_S, tick=100.0)
    upload_again(root, "P1")
    watch.round(now + 2 * DAY_S, tick=102.0)
    assert not woken
    watch.round(now + 4.0, tick=104.0)
    assert [need.reason for need in woken] == ["1 sites to process"]


def test_a_follower_that_is_seen_to_beat_is_left_alone_whatever_the_clock_says(root: FolderStore) -> None:
    upload(root, "P1")
    job = open_job(root, "screen", "P1")
    watch, woken = watch_of(root)
    wrong = time.time() + 3600.0
    for tick in (0.0, 30.0, 60.0, 90.0, 120.0):
        beat(job, "somebody")
        watch.round(wrong + tick, tick=tick)
    assert len(woken) == 1  # at the first look there is but the clock to go by
    watch.round(wrong + 220.0, tick=220.0)
    assert len(woken) == 2


def test_a_wake_that_fails_is_tried_again(root: FolderStore) -> None:
    upload(root, "P1")
    calls: list[Need] = []

    def wake(need: Need) -> None:
        calls.append(need)
        if len(calls) == 1:
            raise MissingPartError("the server is down")

    watch = Watch(root, wake, rescan_s=1.0, settle_s=0.0)
    now = time.time()
    watch.round(now)
    watch.round(now + 2)
    assert len(calls) == 2


def test_a_plate_whose_field_is_to_be_frozen_is_woken(root: FolderStore) -> None:
    root.write("experiments/screen/experiment.yaml", f"{EXPERIMENT}illumination: plate\n".encode())
    upload(root, "P1")
    job = open_job(root, "screen", "P1", settle_s=0.0)
    for site in plan_work(job).todo:
        process_site(site_task(job, site), measure_planes)
    watch, woken = watch_of(root)
    watch.round(time.time())
    assert [need.reason for need in woken] == ["its field of illumination is due"]


def told_watch(store: Store) -> tuple[Watch, list[Need]]:
    """A watcher whose plates are marked by messages."""
    woken: list[Need] = []
    return Watch(store, woken.append, rescan_s=1.0, settle_s=0.0, sweep_s=60.0), woken


def test_a_marked_plate_is_looked_at_at_once_and_an_unmarked_one_by_the_sweep(root: FolderStore) -> None:
    watch, woken = told_watch(root)
    now = time.time()
    assert watch.round(now) == 0
    for plate in ("P1", "P2"):
        upload(root, plate)
    watch.mark("screen", "P1")
    assert watch.round(now + 2) == 1
    assert [need.plate for need in woken] == ["P1"]
    assert watch.round(now + 58) == 0
    watch.round(now + 62)
    assert [need.plate for need in woken] == ["P1", "P2", "P1"]  # one that was never looked at goes first


def test_a_closed_plate_is_looked_at_at_once_when_it_is_marked(root: FolderStore) -> None:
    upload(root, "P1")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    later = time.time() + 2 * DAY_S
    watch, woken = told_watch(root)
    assert watch.round(later) == 0
    upload_again(root, "P1")
    watch.mark("screen", "P1")
    assert watch.round(later + 2) == 1
    assert len(woken) == 1


def test_a_mark_of_the_first_round_finds_a_closed_plate(root: FolderStore) -> None:
    upload(root, "P1")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    upload_again(root, "P1")
    watch, woken = told_watch(root)
    watch.mark("screen", "P1")
    assert watch.round(time.time() + 2 * DAY_S) == 1
    assert len(woken) == 1


def test_an_image_that_ends_while_its_plate_is_looked_at_has_the_plate_looked_at_again(tmp_path: Path) -> None:
    class Interrupted(FolderStore):
        """The last images come, and their message, after the listing of the folder."""

        is_due = False

        def list(self, prefix: str, *, min_age_s: float = 0.0) -> Listing:
            listing = super().list(prefix, min_age_s=min_age_s)
            if self.is_due and prefix.startswith("raw/"):
                self.is_due = False
                upload(self, "P1")
                watch.mark("screen", "P1")
            return listing

    root = Interrupted(tmp_path)
    root.write("experiments/screen/experiment.yaml", EXPERIMENT.encode())
    root.write("experiments/screen/map.csv", PLATE_MAP.encode())
    upload(root, "P1", count=1)
    watch, woken = told_watch(root)
    now = time.time()
    root.is_due = True
    watch.round(now)
    assert [need.reason for need in woken] == ["4 sites to process"]


def test_a_plate_whose_follower_died_is_woken_when_its_heartbeat_is_old(root: FolderStore) -> None:
    upload(root, "P1")
    beat(open_job(root, "screen", "P1"), "somebody")
    watch, woken = told_watch(root)
    now = time.time()
    for second in (0, 62, 85):
        watch.round(now + second)
    assert not woken
    watch.round(now + 92)
    assert len(woken) == 1


def test_a_server_that_is_down_for_an_hour_loses_no_plate(root: FolderStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for plate in ("P1", "P2", "P3"):
        upload(root, plate)

    def wake(need: Need) -> None:
        emit(f"http://127.0.0.1:{port}/api", event_of(need))

    watch = Watch(root, wake, rescan_s=1.0, settle_s=0.0, sweep_s=60.0)
    now = time.time()
    for second in range(0, 3600, 120):
        if second == 1800:
            upload(root, "P4")  # comes during the outage, and only its message tells
            watch.mark("screen", "P4")
        watch.round(now + second)
    with api_standin(port=port) as (_, got):
        for second in range(3600, 3630, 2):
            watch.round(now + second)
    assert [request.body[0]["payload"]["plate"] for request in got] == ["P1", "P2", "P3", "P4"]


def test_a_mark_survives_a_store_that_does_not_answer(tmp_path: Path) -> None:
    class Failing(FolderStore):
        is_down = False

        def read(self, key: str, *, token: str | None = None) -> bytes:
            if self.is_down:
                raise StoreUnavailableError("the storage failed", key=key)
            return super().read(key, token=token)

    root = Failing(tmp_path)
    root.write("experiments/screen/experiment.yaml", EXPERIMENT.encode())
    root.write("experiments/screen/map.csv", PLATE_MAP.encode())
    upload(root, "P1")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    later = time.time() + 2 * DAY_S
    watch, woken = told_watch(root)
    assert watch.round(later) == 0
    upload_again(root, "P1")
    watch.mark("screen", "P1")
    root.is_down = True
    watch.round(later + 2)
    root.is_down = False
    watch.round(later + 4)
    assert len(woken) == 1


def test_a_mark_of_a_plate_without_images_or_experiment_wakes_nobody_and_is_forgotten(root: FolderStore) -> None:
    watch, woken = told_watch(root)
    now = time.time()
    watch.mark("screen", "deleted")
    watch.mark("undeclared", "P1")
    for second in range(0, 300, 2):
        watch.round(now + second)
    assert not woken
    assert watch.round(now + 301) == 0


def test_marked_plates_are_looked_at_before_all_others(root: FolderStore) -> None:
    for plate in ("P1", "P2", "P3"):
        upload(root, plate)
    watch, woken = told_watch(root)
    watch.mark("screen", "P3")
    watch.round()
    assert [need.plate for need in woken] == ["P3", "P1", "P2"]


def test_plates_whose_folders_cannot_be_listed_are_not_forgotten(tmp_path: Path) -> None:
    class Failing(FolderStore):
        is_down = False

        def list_folders(self, prefix: str) -> list[str]:
            if self.is_down and prefix == "raw/screen":
                raise StoreUnavailableError("the storage failed", key=prefix)
            return super().list_folders(prefix)

    root = Failing(tmp_path)
    root.write("experiments/screen/experiment.yaml", EXPERIMENT.encode())
    upload(root, "P1")
    watch, _ = told_watch(root)
    now = time.time()
    assert watch.round(now) == 1
    root.is_down = True
    assert watch.round(now + 61) == 1


def test_a_plate_whose_folder_is_gone_is_looked_at_no_more(root: FolderStore) -> None:
    upload(root, "P1")
    watch, _ = told_watch(root)
    now = time.time()
    assert watch.round(now) == 1
    shutil.rmtree(root.root / "raw/screen/P1")
    assert watch.round(now + 61) == 0
