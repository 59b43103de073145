"""What is deleted of an experiment's analyses, and what is not."""

from __future__ import annotations

import os
import time

import pytest

from imaging.analyses.analysis_records import analyses_folder, list_analyses, read_analyses, told_key
from imaging.analyses.analysis_sweep import KEPT_S, SWEEP_S, is_sweep_due, sweep_analyses
from imaging.analyses.reconcile import Outcome, reconcile
from imaging.grace import GRACE_S
from imaging.store import FolderStore
from tests.imaging import small_analyses
from tests.imaging.small_analyses import EXPERIMENT, publish

FOLDER = analyses_folder(EXPERIMENT)


@pytest.fixture
def screen(folder_store: FolderStore) -> FolderStore:
    small_analyses.publish_two(folder_store)
    return folder_store


def analyse(store: FolderStore) -> Outcome:
    (outcome,) = reconcile(store, EXPERIMENT)
    return outcome


def test_of_superseded_analyses_so_many_are_kept_as_was_asked(screen: FolderStore) -> None:
    for number in range(4):
        publish(screen, f"P{3 + number}")
        last = analyse(screen).record
        screen.create(told_key(EXPERIMENT, last.recipe, last.number), b"{}")
    made = max(item.modified for item in screen.list(FOLDER).objects)
    assert list_analyses(screen, EXPERIMENT).numbers[last.recipe] == (1, 2, 3, 4)
    assert len(list_analyses(screen, EXPERIMENT).attempts) == 4
    sweep_analyses(screen, EXPERIMENT, now=made)
    assert [number for *_, number in list_analyses(screen, EXPERIMENT).attempts] == [4], "others have ended"
    sweep_analyses(screen, EXPERIMENT, keep=2, now=made)
    left = list_analyses(screen, EXPERIMENT)
    assert (left.numbers[last.recipe], {number for _, number in left.told}) == ((3, 4), {3, 4})
    sweep_analyses(screen, EXPERIMENT, keep=2, now=made + 2 * GRACE_S)
    assert {key.split("/data/")[1][:6] for key in small_analyses.tables_of_analyses(screen)} == {"000003", "000004"}
    assert analyse(screen).is_new is False


def test_what_was_kept_of_plates_is_forgotten_after_a_month_and_made_again(screen: FolderStore) -> None:
    before = analyse(screen)
    made = max(item.modified for item in screen.list(FOLDER).objects)
    kept = [item.key for item in screen.list(f"{FOLDER}_plates/").objects]
    assert sweep_analyses(screen, EXPERIMENT, now=made + KEPT_S - 60) == []
    month, grace = made + KEPT_S + 2 * GRACE_S, GRACE_S
    swept = [sweep_analyses(screen, EXPERIMENT, now=month), sweep_analyses(screen, EXPERIMENT, now=month + grace)]
    assert sorted({*swept[0], *swept[1]}) == sorted(kept)
    assert screen.list(f"{FOLDER}_plates/").objects == ()
    assert analyse(screen).is_new is False, "the analysis is there"
    publish(screen, "P3")
    after = analyse(screen)
    assert (after.kept, after.made, after.record.status) == (0, 3, before.record.status)


def test_the_sweeper_takes_nothing_that_is_young_or_named(screen: FolderStore) -> None:
    outcome = analyse(screen)
    stray = f"{FOLDER}{outcome.record.recipe}/data/000009-stray/hits.parquet"
    screen.write(stray, b"of a process that was killed")
    assert sweep_analyses(screen, EXPERIMENT) == []
    old = os.stat(screen.local_path(stray)).st_mtime + 90_000
    assert sweep_analyses(screen, EXPERIMENT, now=old) == [stray]
    (record,) = read_analyses(screen, list_analyses(screen, EXPERIMENT))
    assert list_analyses(screen, EXPERIMENT).holds(record)


def test_an_experiment_is_swept_every_few_hours(screen: FolderStore) -> None:
    analyse(screen)
    assert is_sweep_due(screen, EXPERIMENT, time.time())
    sweep_analyses(screen, EXPERIMENT)
    assert not is_sweep_due(screen, EXPERIMENT, time.time())
    assert is_sweep_due(screen, EXPERIMENT, time.time() + SWEEP_S + 60)
