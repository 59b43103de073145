"""The page of an experiment after one of its analyses, and what people are told of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flows.messages.analyses import tell_analysis
from flows.messages.message import read_message
from imaging.analyses.analysis_damage import mend_analyses, verify_analyses
from imaging.analyses.analysis_records import AnalysisRecord, told_key
from imaging.analyses.board import Board
from imaging.analyses.experiment_page import write_experiment_page
from imaging.analyses.numbered import decide
from imaging.analyses.page import plate_page_link
from imaging.analyses.projection import board_key, page_of, project_experiment
from imaging.analyses.reconcile import reconcile
from imaging.errors import StoredDataError
from imaging.names import to_json
from imaging.store import FolderStore, Store
from tests.imaging import small_analyses
from tests.imaging.small_analyses import EXPERIMENT, RECIPE, publish, withdraw

PAGE = f"results/{EXPERIMENT}/_experiment/current/page/"
EFFECT = b"hits: {permutations: 500, features: Cells_Intensity_f0}\nfailures: {rules: none}\n"


@pytest.fixture
def screen(folder_store: FolderStore) -> FolderStore:
    """Two published plates, one of which has a page, and a recipe that names a feature."""
    small_analyses.declare(folder_store, EFFECT, other=small_analyses.QUICK)
    for plate in ("P1", "P2"):
        publish(folder_store, plate)
    folder_store.write(f"results/{EXPERIMENT}/P1/{RECIPE}/page/index.html", b"<html>")
    return folder_store


def analyse(store: Store) -> AnalysisRecord:
    """The new record of the recipe that counts."""
    return reconcile(store, EXPERIMENT)[0].record


def shown(store: Store) -> dict[str, Any]:
    text = store.read(f"{PAGE}data.js").decode()
    return json.loads(text[text.index("{") : text.rindex("}") + 1])


def told(store: Store) -> dict[str, dict[str, str]]:
    """Facts of each message by its kind."""
    keys = [item.key for item in store.list("messages/").objects if item.key.endswith("/message.json")]
    messages = [read_message(json.loads(store.read(key)), key) for key in keys]
    return {message.kind: dict(message.facts) for message in messages}


def test_the_page_shows_what_the_analysis_found(screen: FolderStore) -> None:
    record = analyse(screen)
    project_experiment(screen, EXPERIMENT)
    assert page_of(screen, record) == f"{PAGE}index.html"
    page = shown(screen)
    text = json.dumps(page)
    assert page["analysis"] == record.run
    assert page["recipe"] == record.recipe
    assert plate_page_link("P2", RECIPE) in text
    assert all(f'"t{number}"' in text for number in range(1, 21))
    assert screen.exists(f"results/{EXPERIMENT}/P1/{RECIPE}/page/links.js")
    assert not screen.exists(f"results/{EXPERIMENT}/P2/{RECIPE}/page/links.js"), "it has no page that could link"


def test_the_page_is_that_of_the_recipe_that_counts(screen: FolderStore) -> None:
    counting, other = (outcome.record for outcome in reconcile(screen, EXPERIMENT))
    project_experiment(screen, EXPERIMENT)
    assert (page_of(screen, other), page_of(screen, counting)) == (board_key(EXPERIMENT), f"{PAGE}index.html")
    assert shown(screen)["recipe"] == counting.recipe
    assert other.recipe in json.dumps(shown(screen)), "both stand on the leaderboard"


def test_an_analysis_that_failed_has_a_page_that_says_why(folder_store: FolderStore) -> None:
    small_analyses.declare(folder_store)
    publish(folder_store, "P1", controls=False)
    record = analyse(folder_store)
    assert record.reason
    project_experiment(folder_store, EXPERIMENT)
    assert shown(folder_store)["verdict"] == "fail"
    assert record.reason in shown(folder_store)["reasons"]


def test_a_lost_table_is_named(screen: FolderStore) -> None:
    record = analyse(screen)
    screen.delete(record.tables["profiles"])
    with pytest.raises(StoredDataError, match="platestream repair makes it again"):
        project_experiment(screen, EXPERIMENT)


def test_the_page_follows_the_recipe_that_is_declared(screen: FolderStore) -> None:
    first = analyse(screen)
    small_analyses.declare(screen, b"hits: {permutations: 600}\nfailures: {rules: none}\n")
    second = analyse(screen)
    project_experiment(screen, EXPERIMENT)
    assert shown(screen)["recipe"] == second.recipe
    assert first.recipe not in json.dumps(shown(screen)), "it is declared no longer"
    small_analyses.declare(screen, EFFECT)
    assert analyse(screen) == first
    project_experiment(screen, EXPERIMENT)
    assert shown(screen)["recipe"] == first.recipe


def test_pages_are_written_again_where_somebody_recorded_more_meanwhile(
    screen: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two who write at once, the one that read the older records may come last."""
    analyse(screen)
    newer: list[AnalysisRecord] = []

    def write(store: Store, record: AnalysisRecord, board: Board) -> None:
        if not newer:
            publish(store, "P3")
            newer.append(analyse(store))
            project_experiment(store, EXPERIMENT)
        write_experiment_page(store, record, board)

    monkeypatch.setattr("imaging.analyses.projection.write_experiment_page", write)
    project_experiment(screen, EXPERIMENT)
    assert shown(screen)["analysis"] == newer[0].run


def test_people_are_told_of_an_analysis_once(screen: FolderStore) -> None:
    record = analyse(screen)
    assert tell_analysis(screen, record, page=f"{PAGE}index.html") == 1
    assert tell_analysis(screen, record, page=f"{PAGE}index.html") == 0
    facts = told(screen)["experiment-updated"]
    assert facts["plates"] == "2"
    assert facts["hits"] == str(record.content["scores"]["hits"])
    assert facts["treatments"] == str(record.content["scores"]["treatments"])


def test_only_failures_that_are_new_are_told_at_once(screen: FolderStore) -> None:
    small_analyses.declare(screen, b"hits: {permutations: 500}\n")
    decide(screen, EXPERIMENT, "P1", "B05", excluded=True, by="Ada", because="a bubble")
    first = analyse(screen)
    tell_analysis(screen, first)
    mark(screen, first)
    assert "bubble" in told(screen)["process-failures"]["failures"]
    publish(screen, "P3")
    second = analyse(screen)
    assert second.number == 2
    before = len(screen.list("messages/").objects)
    new = tell_analysis(screen, second)
    failures = [told for told in screen.list("messages/").objects if "process-failures" in told.key]
    assert new >= 1
    assert len(screen.list("messages/").objects) == before + new
    texts = [screen.read(item.key).decode() for item in failures]
    assert sum("bubble" in text for text in texts) == 1


def test_what_somebody_keeps_is_told_as_no_failure(screen: FolderStore) -> None:
    small_analyses.declare(screen, b"hits: {permutations: 500}\n")
    decide(screen, EXPERIMENT, "P1", "B05", excluded=False, by="Ada", because="no bubble")
    tell_analysis(screen, analyse(screen))
    assert "process-failures" not in told(screen)


def test_what_nobody_was_told_of_is_told_with_the_next_analysis(screen: FolderStore) -> None:
    small_analyses.declare(screen, b"hits: {permutations: 500}\n")
    decide(screen, EXPERIMENT, "P1", "B05", excluded=True, by="Ada", because="a bubble")
    analyse(screen)  # whoever did that was killed before it told
    publish(screen, "P3")
    tell_analysis(screen, analyse(screen))
    assert "bubble" in told(screen)["process-failures"]["failures"]


def test_a_lost_table_of_an_earlier_analysis_holds_up_no_message(screen: FolderStore) -> None:
    first = analyse(screen)
    mark(screen, first)
    for key in (first.tables["hits"], first.tables["process_failures"]):
        screen.delete(key)
    publish(screen, "P3")
    assert tell_analysis(screen, analyse(screen)) >= 1


def test_a_repair_that_records_an_analysis_anew_tells_nobody_again(screen: FolderStore) -> None:
    first = analyse(screen)
    tell_analysis(screen, first)
    mark(screen, first)
    screen.delete(first.tables["profiles"])
    mend_analyses(screen, EXPERIMENT, verify_analyses(screen, EXPERIMENT).damages)
    second = analyse(screen)
    assert (second.number, second.run) == (2, first.run)
    assert tell_analysis(screen, second) == 0


def test_an_analysis_that_is_there_again_after_a_failure_is_told(screen: FolderStore) -> None:
    first = analyse(screen)
    tell_analysis(screen, first)
    mark(screen, first)
    for plate in ("P1", "P2"):
        withdraw(screen, plate, 2)
    failed = analyse(screen)
    assert failed.reason
    tell_analysis(screen, failed)
    mark(screen, failed)
    for plate in ("P1", "P2"):
        publish(screen, plate, 3)
    again = analyse(screen)
    assert again.run == first.run
    for item in screen.list("messages/").objects:  # days pass: within one the first message stands for both
        screen.delete(item.key)
    assert tell_analysis(screen, again) >= 1


def mark(store: Store, record: AnalysisRecord) -> None:
    """Leave the mark that people were told, as a run does."""
    store.create(told_key(EXPERIMENT, record.recipe, record.number), to_json({"run": record.run}))


def test_an_analysis_that_failed_is_told_as_such(folder_store: FolderStore) -> None:
    small_analyses.declare(folder_store)
    publish(folder_store, "P1", controls=False)
    record = analyse(folder_store)
    assert tell_analysis(folder_store, record) == 1
    (kind,) = told(folder_store)
    assert (kind, record.reason in told(folder_store)[kind]["reasons"]) == ("experiment-failed", True)
