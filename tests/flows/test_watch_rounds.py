"""Rounds of the watcher in a store of many plates: who comes first, how often, and for how long."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import pytest

from flows.watch import DAY_S, LONGEST_CLOSED_S, LONGEST_QUIET_S, LONGEST_SWEEP_S, OLD_BY
from imaging.job import open_job
from imaging.store import FolderStore
from tests.flows.test_watch import told_watch, upload, upload_again, watch_of
from tests.following import follow
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP


@pytest.fixture
def root(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path)
    store.write("experiments/screen/experiment.yaml", EXPERIMENT.encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())
    return store


def test_no_second_run_is_asked_for_while_one_waits_for_a_place(root: FolderStore) -> None:
    upload(root, "P1")
    watch, woken = watch_of(root)
    waits = False
    watch.is_waiting = lambda need: waits
    now = time.time()
    watch.round(now)
    waits = True
    for minute in range(1, 90):
        watch.round(now + 60 * minute)
    assert len(woken) == 1
    waits = False
    watch.round(now + 91 * 60)
    assert len(woken) == 2


def test_a_plate_that_becomes_quiet_stirs_its_experiment_once_each_time(root: FolderStore) -> None:
    upload(root, "P1")
    watch, _ = watch_of(root)
    stirred: list[str] = []
    watch.stir = stirred.append
    now = time.time()
    watch.round(now)
    assert stirred == [], "there is work"
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    for second in range(1, 600):
        watch.round(now + second)
    assert stirred == ["screen"]
    upload_again(root, "P1")
    watch.round(now + 2 * LONGEST_QUIET_S)
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    watch.round(now + 3 * LONGEST_QUIET_S)
    assert stirred == ["screen", "screen"]


def test_a_published_plate_that_nobody_marks_is_looked_at_ever_more_rarely(root: FolderStore) -> None:
    upload(root, "P1")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    watch, woken = watch_of(root)
    now = time.time()
    looks = [second for second in range(3 * 3600) if watch.round(now + second)]
    assert looks[:5] == [0, 1, 3, 7, 15]
    assert max(b - a for a, b in itertools.pairwise(looks)) == LONGEST_QUIET_S
    assert not woken
    upload_again(root, "P1")
    waited = next(second for second in range(int(LONGEST_QUIET_S) + 1) if watch.round(now + 3 * 3600 + second))
    assert waited <= LONGEST_QUIET_S
    assert len(woken) == 1


def test_a_clock_that_jumps_again_and_again_makes_no_published_plate_one_that_is_looked_at_seldom(
    root: FolderStore,
) -> None:
    upload(root, "P1")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    watch, woken = watch_of(root)
    now = time.time()
    for second in range(11):
        watch.round(now + second + (600.0 if second % 2 else 0.0), tick=100.0 + second)
    upload_again(root, "P1")
    for second in range(11, 15):
        watch.round(now + second, tick=100.0 + second)
    assert [need.reason for need in woken] == ["1 sites to process"]


def test_an_old_plate_is_looked_at_again_when_it_has_aged_by_an_eighth_and_every_week(root: FolderStore) -> None:
    upload(root, "P1")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    watch, _ = watch_of(root)
    later = time.time() + 16 * DAY_S
    watch.round(later)
    looks = [hour / 24 for hour in range(1, 100 * 24) if watch.round(later + hour * 3600)]
    for day, pause in zip(looks, (b - a for a, b in itertools.pairwise(looks)), strict=False):
        expected = min((16 + day) / OLD_BY, LONGEST_CLOSED_S / DAY_S)
        assert expected <= pause + 1e-9 <= expected + 1 / 12
    assert len(looks) > 15


def test_a_mark_that_comes_during_a_long_round_goes_before_all_whose_turn_it_is(root: FolderStore) -> None:
    for number in range(1, 6):
        upload(root, f"P{number}", count=1)
    watch, _ = told_watch(root)
    order: list[str] = []
    look = watch._look

    def noted(book: Any, plate: str, *values: Any, is_marked: bool) -> int:
        order.append(plate)
        if plate == "P1":
            watch.mark("screen", "P5")
        return look(book, plate, *values, is_marked=is_marked)

    watch._look = noted  # type: ignore[method-assign]
    watch.round(time.time())
    assert order == ["P1", "P5", "P2", "P3", "P4"]


def test_a_round_ends_in_time_and_the_next_begins_with_those_that_are_due_longest(
    root: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 4):
        upload(root, f"P{number}", count=1)
    watch, _ = watch_of(root)
    now = time.time()
    monkeypatch.setattr("flows.watch.ROUND_S", -1.0)
    assert watch.round(now) == 0
    watch.mark("screen", "P2")
    assert watch.round(now) == 1
    monkeypatch.setattr("flows.watch.ROUND_S", 30.0)
    order: list[str] = []
    look = watch._look

    def noted(book: Any, plate: str, *values: Any, is_marked: bool) -> int:
        order.append(plate)
        return look(book, plate, *values, is_marked=is_marked)

    watch._look = noted  # type: ignore[method-assign]
    watch.round(now + 5)
    assert order == ["P1", "P3", "P2"]


def test_a_store_whose_plates_take_long_to_list_is_listed_more_seldom(root: FolderStore) -> None:
    upload(root, "P1", count=1)
    watch, _ = watch_of(root)
    find, found = watch._find_plates, 0

    def slowly() -> None:
        nonlocal found
        found += 1
        time.sleep(0.05)
        find()

    watch._find_plates = slowly  # type: ignore[method-assign]
    for tenth in range(10):
        watch.round(time.time(), tick=tenth / 10)
    assert found == 1
    watch.round(time.time(), tick=60.0)
    assert found == 2


def test_a_plate_published_today_is_swept_ever_more_rarely_until_it_is_marked(root: FolderStore) -> None:
    upload(root, "P1")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    watch, woken = told_watch(root)
    now = time.time()
    looks = [second for second in range(0, 8 * 3600, 30) if watch.round(now + second)]
    assert looks[:4] == [0, 60, 180, 420]
    assert max(b - a for a, b in itertools.pairwise(looks)) == LONGEST_SWEEP_S
    assert not woken
    upload_again(root, "P1")
    watch.mark("screen", "P1")
    assert watch.round(now + 8 * 3600) == 1
    assert len(woken) == 1
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    assert [watch.round(now + 8 * 3600 + second) for second in (61, 122, 183, 244)] == [1, 1, 0, 1]


def test_a_plate_published_long_ago_is_looked_at_once_a_day(root: FolderStore) -> None:
    upload(root, "P1")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    watch, _ = watch_of(root)
    later = time.time() + 2 * DAY_S
    assert watch.round(later) == 0
    assert sum(watch.round(later + hour * 3600) for hour in range(1, 25)) == 1
