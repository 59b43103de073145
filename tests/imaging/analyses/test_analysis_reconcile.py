"""An experiment's analyses are what its publications are, whatever happened on the way."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from imaging.analyses import reconcile as module
from imaging.analyses.analysis_records import (
    DAMAGED,
    FAILED,
    analyses_folder,
    attempt_key,
    list_analyses,
    record_key,
    told_key,
)
from imaging.analyses.analysis_sweep import sweep_analyses
from imaging.analyses.numbered import decide, read_choices
from imaging.analyses.reconcile import find_due, reconcile
from imaging.errors import ConfigurationError, StoreUnavailableError
from imaging.query import run_query
from imaging.store import FolderStore, Store, open_store
from tests.imaging import small_analyses
from tests.imaging.small_analyses import EXPERIMENT, publish, tables_of_analyses, withdraw
from tests.parts import ROOT

FOLDER = analyses_folder(EXPERIMENT)


@pytest.fixture
def screen(folder_store: FolderStore) -> FolderStore:
    small_analyses.publish_two(folder_store)
    return folder_store


def analyse(store: Store, **how: Any) -> module.Outcome:
    (outcome,) = reconcile(store, EXPERIMENT, **how)
    return outcome


def plates_of(outcome: module.Outcome) -> list[str]:
    return [plate for plate, _, _ in outcome.record.publications]


def ask(store: Store, sql: str) -> list[dict[str, Any]]:
    return run_query(store, sql).to_pylist()


def test_what_is_published_is_analysed_once(store: Store) -> None:
    small_analyses.declare(store)
    for plate in ("P1", "P2"):
        publish(store, plate)
    first = analyse(store)
    assert (first.is_new, first.record.number, first.record.status, plates_of(first)) == (
        True,
        1,
        "analysed",
        ["P1", "P2"],
    )
    assert first.record.content["scores"]["wells"] == 2 * 96
    again = analyse(store)
    assert (again.is_new, again.record.run) == (False, first.record.run)
    assert ask(store, "SELECT treatment FROM hits WHERE is_hit ORDER BY treatment") == [
        {"treatment": f"t{number}"} for number in (1, 2, 3, 4)
    ]


def test_an_experiment_without_publications_needs_nothing(folder_store: FolderStore) -> None:
    small_analyses.declare(folder_store)
    assert find_due(folder_store, EXPERIMENT).due == ()
    assert reconcile(folder_store, EXPERIMENT) == []


def test_a_plate_that_comes_changes_or_is_withdrawn_makes_a_new_analysis(screen: FolderStore) -> None:
    first = analyse(screen)
    publish(screen, "P3")
    assert find_due(screen, EXPERIMENT).due == (first.record.recipe,)
    second = analyse(screen)
    assert (plates_of(second), second.kept, second.made) == (["P1", "P2", "P3"], 2, 1)
    publish(screen, "P1", 2, seed=7)
    third = analyse(screen)
    assert (third.record.number, third.kept, third.made) == (3, 2, 1)
    withdraw(screen, "P2", 2)
    fourth = analyse(screen)
    assert (plates_of(fourth), fourth.kept, fourth.made) == (["P1", "P3"], 2, 0)
    assert len({item.record.run for item in (first, second, third, fourth)}) == 4


def test_a_withdrawn_plate_that_comes_back_takes_up_the_analysis_that_was(screen: FolderStore) -> None:
    run = publish(screen, "P3")
    first = analyse(screen)
    withdraw(screen, "P3", 2)
    analyse(screen)
    small_analyses.publish_rows(screen, "P3", 3, run, small_analyses.rows_of("P3"), small_analyses.FEATURES)
    there = tables_of_analyses(screen)
    back = analyse(screen)
    assert (back.is_new, back.record.number, back.record.run) == (True, 3, first.record.run)
    assert (back.record.tables, tables_of_analyses(screen)) == (first.record.tables, there)
    rows = ask(screen, "SELECT COUNT(*) AS n FROM profiles WHERE level = 'well'")
    assert rows == [{"n": 3 * 96}]


def test_superseded_analyses_can_be_asked_for_and_are_never_mixed(screen: FolderStore) -> None:
    first = analyse(screen)
    publish(screen, "P3")
    second = analyse(screen)
    shown = ask(screen, "SELECT analysis, COUNT(*) AS n FROM profiles WHERE level = 'well' GROUP BY analysis")
    assert shown == [{"analysis": second.record.run, "n": 3 * 96}]
    everything = ask(
        screen, "SELECT analysis, COUNT(*) AS n FROM profiles_all WHERE level = 'well' GROUP BY analysis ORDER BY n"
    )
    assert everything == [{"analysis": first.record.run, "n": 2 * 96}, {"analysis": second.record.run, "n": 3 * 96}]
    current = ask(screen, "SELECT number, is_current FROM analyses ORDER BY number")
    assert current == [{"number": 1, "is_current": False}, {"number": 2, "is_current": True}]


def test_rows_carry_the_publication_that_they_are_of(screen: FolderStore) -> None:
    outcome = analyse(screen)
    rows = ask(screen, "SELECT DISTINCT plate, recipe, run FROM profiles WHERE level = 'well' ORDER BY plate")
    assert [list(row.values()) for row in rows] == outcome.record.publications
    assert ask(screen, "SELECT DISTINCT plate, run, well FROM profiles WHERE level = 'treatment'") == [
        {"plate": None, "run": None, "well": None}
    ]


def test_when_every_plate_is_withdrawn_no_hit_is_left(screen: FolderStore) -> None:
    analyse(screen)
    for plate in ("P1", "P2"):
        withdraw(screen, plate, 2)
    outcome = analyse(screen)
    assert (outcome.record.status, "no plate of the experiment is published any more" in outcome.record.reason) == (
        FAILED,
        True,
    )
    assert ask(screen, "SELECT * FROM hits") == []
    assert len(ask(screen, "SELECT * FROM hits_all")) > 0


def test_a_plate_map_that_comes_after_the_hits_makes_a_new_analysis(screen: FolderStore) -> None:
    withdraw(screen, "P2", 2)
    rows = small_analyses.rows_of("P1")
    unnamed = [row | {"treatment": None, "control": None} for row in rows["wells"]]
    small_analyses.publish_rows(screen, "P1", 2, "aa", {"wells": unnamed}, small_analyses.FEATURES)
    before = analyse(screen)
    assert before.record.status == FAILED
    assert "no negative controls" in before.record.reason
    small_analyses.publish_rows(screen, "P1", 3, "bb", rows, small_analyses.FEATURES)
    after = analyse(screen)
    assert (after.record.number, after.record.status) == (2, "analysed")
    assert ask(screen, "SELECT DISTINCT analysis FROM hits") == [{"analysis": after.record.run}]


def test_plates_with_different_features_are_compared_by_those_they_share(screen: FolderStore) -> None:
    publish(screen, "P3", features=small_analyses.FEATURES[:6])
    outcome = analyse(screen)
    assert outcome.record.content["scores"]["features"] <= 6
    note = "plates have different features: 6 of 8 are on all plates and are used, P3 has 6"
    assert note in outcome.record.content["notes"]


def test_plates_without_a_feature_in_common_are_refused_in_one_sentence(screen: FolderStore) -> None:
    publish(screen, "P3", features=[f"Nuclei_{number}" for number in range(8)])
    outcome = analyse(screen)
    assert outcome.record.status == FAILED
    assert outcome.record.reason.startswith("the plates have no feature in common")


def test_a_plate_without_controls_is_left_out_and_said(screen: FolderStore) -> None:
    publish(screen, "P3", controls=False)
    analyse(screen)
    assert ask(screen, "SELECT DISTINCT plate FROM profiles WHERE level = 'well' ORDER BY plate") == [
        {"plate": "P1"},
        {"plate": "P2"},
    ]
    (row,) = ask(screen, "SELECT plate, level, excluded, evidence FROM process_failures WHERE rule = 'controls'")
    assert (row["plate"], row["level"], row["excluded"]) == ("P3", "plate", True)
    assert "0 negative control wells" in row["evidence"]


def test_a_plate_that_is_alone_is_analysed(screen: FolderStore) -> None:
    withdraw(screen, "P2", 2)
    outcome = analyse(screen)
    assert (outcome.record.status, plates_of(outcome)) == ("analysed", ["P1"])
    assert outcome.record.content["scores"]["silhouette_batch"] is None


def test_what_fails_is_recorded_and_not_tried_again_until_something_changes(screen: FolderStore) -> None:
    for plate in ("P1", "P2"):
        publish(screen, plate, 2, controls=False)
    first = analyse(screen)
    assert (first.record.status, first.is_new) == (FAILED, True)
    assert "say which wells are negcon in the plate map" in first.record.reason
    assert (find_due(screen, EXPERIMENT).due, analyse(screen).is_new) == ((), False)
    asked_again = analyse(screen, again=True)
    assert (asked_again.record.number, asked_again.record.status) == (2, FAILED)
    publish(screen, "P1", 3)
    assert analyse(screen).record.status == "analysed"


def test_an_analysis_that_never_ends_is_begun_three_times(screen: FolderStore) -> None:
    (recipe,) = find_due(screen, EXPERIMENT).due
    run = find_due(screen, EXPERIMENT).runs[recipe]
    for attempt in (1, 2, 3):
        screen.create(attempt_key(EXPERIMENT, recipe, run, 1, attempt), b"{}")
    outcome = analyse(screen)
    assert (outcome.record.status, outcome.record.reason) == (FAILED, module.NEVER_ENDED)
    assert analyse(screen, again=True).record.status == "analysed"


def test_a_store_that_does_not_answer_is_no_failure_of_the_analysis(
    screen: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(key: str, data: bytes) -> None:
        raise StoreUnavailableError("the folder took no file: No space left on device", key=key)

    with monkeypatch.context() as full:
        full.setattr(screen, "write", refuse)
        for _ in range(4):
            with pytest.raises(StoreUnavailableError):
                reconcile(screen, EXPERIMENT)
    assert (tables_of_analyses(screen), list_analyses(screen, EXPERIMENT).attempts) == ([], {})
    assert analyse(screen).record.status == "analysed"


@pytest.mark.parametrize("at", ["/records/", "/_choices/", "hits.parquet", "/_plates/values-"])
def test_a_process_killed_anywhere_leaves_nothing_that_counts_and_is_made_up_for(screen: FolderStore, at: str) -> None:
    program = (
        "import os, sys, signal\n"
        "from imaging.store import FolderStore\n"
        "from imaging.analyses.reconcile import reconcile\n"
        "from pathlib import Path\n"
        "class Deadly(FolderStore):\n"
        "    def create(self, key, data):\n"
        f"        if {at!r} in key: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return super().create(key, data)\n"
        "import imaging.analyses.result_tables as tables\n"
        "whole = tables.open_parquet\n"
        "def deadly(store, key, *more):\n"
        f"    if {at!r} in key: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return whole(store, key, *more)\n"
        "tables.open_parquet = deadly\n"
        f"reconcile(Deadly(Path(sys.argv[1])), {EXPERIMENT!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(screen.root)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    is_recorded = at == "/_choices/"
    assert bool(list_analyses(screen, EXPERIMENT).numbers) == is_recorded
    assert ask(screen, "SELECT * FROM hits") == []  # no choice says yet that they count
    outcome = analyse(screen)
    assert (outcome.record.status, outcome.is_new) == ("analysed", not is_recorded)
    left = set(tables_of_analyses(screen)) - set(outcome.record.tables.values())
    swept = sweep_analyses(screen, EXPERIMENT, grace_s=0.0, now=4e9)
    assert left <= set(swept)
    assert set(tables_of_analyses(screen)) == set(outcome.record.tables.values())
    assert len(ask(screen, "SELECT * FROM hits WHERE is_hit")) == 4


def test_an_analysis_is_told_though_a_plate_came_meanwhile(screen: FolderStore) -> None:
    first = analyse(screen).record
    publish(screen, "P3")
    look = find_due(screen, EXPERIMENT)
    assert (look.due, look.untold) == ((first.recipe,), (first,))
    screen.create(told_key(EXPERIMENT, first.recipe, first.number), b"{}")
    assert find_due(screen, EXPERIMENT).untold == ()


def test_of_two_at_once_one_is_recorded_and_the_other_leaves_nothing(screen: FolderStore) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: analyse(open_store(str(screen.root))), range(2)))
    assert {item.record.number for item in both} == {1}
    assert list_analyses(screen, EXPERIMENT).numbers == {both[0].record.recipe: (1,)}
    assert sorted(tables_of_analyses(screen)) == sorted(both[0].record.tables.values())
    assert len(read_choices(screen, EXPERIMENT)) == 1


def test_a_slow_analysis_never_lies_above_a_newer_set_of_plates(
    screen: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute = module._compute
    newer: list[module.Outcome] = []

    def slow(*values: Any) -> Any:
        monkeypatch.setattr(module, "_compute", compute)
        publish(screen, "P3")
        newer.append(analyse(screen))  # another process, that began later and is done first
        return compute(*values)

    monkeypatch.setattr(module, "_compute", slow)
    outcome = analyse(screen)
    assert (outcome.is_new, outcome.record.number, plates_of(outcome)) == (False, 1, ["P1", "P2", "P3"])
    assert newer[0].is_new
    assert sorted(tables_of_analyses(screen)) == sorted(outcome.record.tables.values())


def test_a_damaged_record_or_a_lost_table_is_made_up_for(screen: FolderStore) -> None:
    first = analyse(screen)
    screen.delete(first.record.tables["hits"])
    second = analyse(screen)
    assert (second.is_new, second.record.number, second.record.run) == (True, 2, first.record.run)
    screen.write(record_key(EXPERIMENT, second.record.recipe, 2), b"no record")
    shown = ask(screen, "SELECT number, status FROM analyses WHERE is_current")
    assert shown == [{"number": 2, "status": DAMAGED}]
    third = analyse(screen)
    assert (third.record.number, third.record.run) == (3, first.record.run)
    assert len(ask(screen, "SELECT * FROM hits WHERE is_hit")) == 4


def test_what_was_kept_of_a_plate_and_is_damaged_is_made_again(screen: FolderStore) -> None:
    first = analyse(screen)
    kept = [item.key for item in screen.list(f"{FOLDER}_plates/data/").objects]
    for key in kept:
        screen.write(key, b"damaged")
    publish(screen, "P3")
    second = analyse(screen)
    assert (second.kept, second.made) == (0, 3)
    withdraw(screen, "P3", 2)
    third = analyse(screen)
    assert third.record.run == first.record.run


def test_values_that_were_kept_are_those_that_were_made(screen: FolderStore, tmp_path: Path) -> None:
    publish(screen, "P3")
    analyse(screen)
    withdraw(screen, "P3", 2)
    analyse(screen)  # from what was kept
    fresh = FolderStore(tmp_path / "fresh")
    small_analyses.declare(fresh)
    for plate in ("P2", "P1"):
        publish(fresh, plate)
    analyse(fresh)
    for table in ("profiles", "hits", "process_failures"):
        columns = "* EXCEPT (analysis)"
        rows = [sorted(map(str, ask(store, f"SELECT {columns} FROM {table}"))) for store in (screen, fresh)]
        assert rows[0] == rows[1]


def test_recipes_lie_beside_each_other_and_one_counts(screen: FolderStore) -> None:
    other = small_analyses.QUICK + b"normalize: {method: standardize}\n"
    small_analyses.declare(screen, z=other)
    outcomes = reconcile(screen, EXPERIMENT)
    assert [item.record.recipe.rpartition("-")[0] for item in outcomes] == ["standard", "z"]
    shown = ask(screen, "SELECT DISTINCT analysis_recipe FROM hits")
    assert shown == [{"analysis_recipe": outcomes[0].record.recipe}]
    small_analyses.declare(screen, b"name: z\n" + other)
    assert find_due(screen, EXPERIMENT).due == (outcomes[1].record.recipe,)
    (chosen,) = reconcile(screen, EXPERIMENT)
    assert (chosen.is_new, chosen.record.recipe) == (False, outcomes[1].record.recipe)
    assert ask(screen, "SELECT DISTINCT analysis_recipe FROM hits") == [{"analysis_recipe": chosen.record.recipe}]
    assert find_due(screen, EXPERIMENT).due == ()


def test_a_recipe_at_fault_beside_the_one_that_counts_stops_nobody(screen: FolderStore) -> None:
    small_analyses.declare(screen, broken=b"normalise: {}\n")
    look = find_due(screen, EXPERIMENT)
    assert list(look.recipes.faults) == ["broken"]
    assert analyse(screen).record.status == "analysed"
    small_analyses.declare(screen, b"hits: {fdr: 7}\n")
    with pytest.raises(ConfigurationError, match="has 1 fault"):
        reconcile(screen, EXPERIMENT)


def test_a_person_s_decision_leaves_a_well_out_with_name_and_reason(screen: FolderStore) -> None:
    first = analyse(screen)
    decide(screen, EXPERIMENT, "P1", "b2", excluded=True, by="Ada", because="a hair in the well")
    assert find_due(screen, EXPERIMENT).due == (first.record.recipe,)
    second = analyse(screen)
    assert second.record.content["scores"]["wells"] == 2 * 96 - 1
    (row,) = ask(screen, "SELECT plate, well, excluded, decided_by, reason FROM process_failures")
    assert list(row.values()) == ["P1", "B02", True, "Ada", "a hair in the well"]
    decide(screen, EXPERIMENT, "P1", "B02", excluded=False, by="Ada", because="it was a fibre of the label")
    third = analyse(screen)
    assert third.record.content["scores"]["wells"] == 2 * 96


def test_decisions_need_a_reason_and_a_well(folder_store: FolderStore) -> None:
    with pytest.raises(ConfigurationError, match="say why"):
        decide(folder_store, EXPERIMENT, "P1", "B02", excluded=True, by="Ada", because=" ")
    with pytest.raises(ConfigurationError, match="there is no well 'hair'"):
        decide(folder_store, EXPERIMENT, "P1", "hair", excluded=True, by="Ada", because="so")
    first = decide(folder_store, EXPERIMENT, "P1", "B02", excluded=True, by="Ada", because="so")
    assert decide(folder_store, EXPERIMENT, "P1", "B02", excluded=True, by="Ada", because="so") == first
