"""What the watcher does about experiments: a lost event costs time, never an analysis."""

from __future__ import annotations

import itertools
import logging

import pytest

from flows.events import ExperimentChanged
from flows.watch_experiments import FIRST_S, LONGEST_S, REPEAT_S, SHARE, SOON_S, ExperimentRounds, ExperimentWatch
from imaging.analyses.analysis_records import told_key
from imaging.analyses.pulse import beating, is_analysed
from imaging.analyses.reconcile import reconcile
from imaging.errors import MissingPartError, StoreUnavailableError
from imaging.store import FolderStore
from tests.imaging import small_analyses
from tests.imaging.small_analyses import EXPERIMENT, publish


@pytest.fixture
def screen(folder_store: FolderStore) -> FolderStore:
    small_analyses.declare(folder_store)
    publish(folder_store, "P1")
    return folder_store


def analyse_and_tell(store: FolderStore) -> None:
    """Analyse as a run does, and leave the mark that people were told."""
    for outcome in reconcile(store, EXPERIMENT):
        store.create(told_key(EXPERIMENT, outcome.record.recipe, outcome.record.number), b"{}")


def watching(store: FolderStore) -> tuple[ExperimentWatch, list[ExperimentChanged]]:
    woken: list[ExperimentChanged] = []
    return ExperimentWatch(store, woken.append), woken


def test_an_experiment_that_is_not_analysed_is_woken_and_one_that_is_is_left_alone(screen: FolderStore) -> None:
    watch, woken = watching(screen)
    assert watch.round(0.0) == 1
    assert [(event.experiment, event.reason.partition(" under ")[0]) for event in woken] == [
        (EXPERIMENT, "1 plate to analyse")
    ]
    analyse_and_tell(screen)
    woken.clear()
    assert watch.round(FIRST_S * 60) == 1
    assert woken == []
    publish(screen, "P2")  # its event was lost
    watch.round(FIRST_S * 60 + LONGEST_S)
    assert [event.reason.partition(" under ")[0] for event in woken] == ["2 plates to analyse"]


def test_an_analysis_that_nobody_was_told_of_is_told(screen: FolderStore) -> None:
    reconcile(screen, EXPERIMENT)  # whoever did that was killed before it told
    watch, woken = watching(screen)
    watch.round(0.0)
    (event,) = woken
    assert event.reason.startswith("nobody was told of the analysis under standard-")
    analyse_and_tell(screen)
    watch.round(10 * FIRST_S)
    assert len(woken) == 1


def test_an_experiment_is_looked_at_ever_more_seldom_while_nothing_happens(screen: FolderStore) -> None:
    analyse_and_tell(screen)
    watch, _ = watching(screen)
    looks = [tick for tick in range(0, 20_000, 10) if watch.round(float(tick))]
    pauses = [later - earlier for earlier, later in itertools.pairwise(looks)]
    assert pauses[0] >= FIRST_S
    assert pauses == sorted(pauses)
    assert max(pauses) <= LONGEST_S + 10


def test_an_experiment_whose_plate_has_become_quiet_is_looked_at_soon(screen: FolderStore) -> None:
    analyse_and_tell(screen)
    watch, woken = watching(screen)
    for tick in range(0, 20_000, 10):  # nothing happens for long
        watch.round(float(tick))
    publish(screen, "P2")
    watch.stir(EXPERIMENT, 20_000.0)
    assert watch.round(20_000.0 + SOON_S - 1) == 0
    assert watch.round(20_000.0 + SOON_S) == 1
    assert len(woken) == 1
    for _ in range(50):  # fifty plates of a burst are one event
        watch.stir(EXPERIMENT, 20_006.0)
        watch.round(20_006.0 + SOON_S)
    assert len(woken) == 1


def test_a_sign_that_comes_during_a_look_is_not_lost(screen: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    analyse_and_tell(screen)
    watch, woken = watching(screen)
    find = watch._find_reason

    def find_and_stir(experiment: str) -> str:
        reason = find(experiment)
        publish(screen, "P2")
        watch.stir(experiment, 0.0)
        return reason

    with monkeypatch.context() as patched:
        patched.setattr(watch, "_find_reason", find_and_stir)
        watch.round(0.0)
    assert woken == []
    watch.round(SOON_S + 5.0)
    assert len(woken) == 1


def test_signs_take_no_more_than_a_share_of_the_time(screen: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    watch, _ = watching(screen)
    clock = itertools.count(0.0, 0.5)  # each look takes half a second
    monkeypatch.setattr("flows.watch_experiments.time.monotonic", lambda: next(clock))
    looks = 0
    for tick in range(0, 1_000, 2):
        watch.stir(EXPERIMENT, float(tick))
        looks += watch.round(float(tick))
    assert looks <= 1_000 * SHARE / 0.5 + 1


def test_whoever_is_at_it_is_not_disturbed(screen: FolderStore) -> None:
    watch, woken = watching(screen)
    with beating(screen, EXPERIMENT):
        while not is_analysed(screen, EXPERIMENT, stale_s=90.0):
            pass
        watch.round(0.0)
        assert woken == []
    watch.round(10 * FIRST_S)
    assert len(woken) == 1


def test_an_experiment_that_nobody_analyses_is_woken_again_ever_more_seldom(screen: FolderStore) -> None:
    watch, woken = watching(screen)
    times = []
    for tick in range(0, 2_000, 10):
        before = len(woken)
        watch.round(float(tick))
        times += [tick] if len(woken) > before else []
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert times[0] == 0
    assert pauses[0] >= REPEAT_S
    assert pauses == sorted(pauses)


def test_what_is_wrong_with_one_is_said_once_and_stops_no_other(
    screen: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "flows.watch_experiments")
    screen.write("experiments/broken/analysis.yaml", b"normalise: {}\n")
    screen.write("results/broken/P1/v1-0123abcd/pins.json", b"{}")
    screen.write("results/broken/_analyses/standard-01234567/records/000001.json", b"{}")
    watch, woken = watching(screen)
    for tick in range(3):
        watch.round(tick * 10 * LONGEST_S)
    assert {event.experiment for event in woken} == {EXPERIMENT}
    assert caplog.text.count("normalise") == 1


def test_a_server_that_cannot_be_told_is_told_again(screen: FolderStore) -> None:
    told: list[ExperimentChanged] = []

    def wake(event: ExperimentChanged) -> None:
        told.append(event)
        if len(told) == 1:
            raise MissingPartError("the Prefect API cannot be reached")

    watch = ExperimentWatch(screen, wake)
    watch.round(0.0)
    watch.round(FIRST_S + 60.0)
    assert len(told) == 2


def test_a_store_that_does_not_answer_ends_no_watcher(
    screen: FolderStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(prefix: str) -> list[str]:
        raise StoreUnavailableError("the folder cannot be read: Stale file handle; try again", key=prefix)

    watch, _ = watching(screen)
    monkeypatch.setattr(screen, "list_folders", refuse)
    ExperimentRounds(watch).round()
    assert "Stale file handle" in caplog.text
