"""Bringing an experiment's analyses up to its publications: what is asked is what is there, not what happened.

An analysis is named by the hash of its set of publications, of what a person decided, and of its recipe. Where the
current record of a recipe has that name, nothing is to be done; else the experiment is analysed, the tables are written
under fresh names, and a record that is created if absent makes them count. Safe to call at any time, by anyone, at
once; killed anywhere it leaves at most data that no record names, which are swept.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from imaging.analyses.analysis_records import (
    ANALYSED_STATUS,
    ATTEMPTS,
    DAMAGED,
    FAILED,
    AnalysisRecord,
    Listed,
    analyses_folder,
    attempt_key,
    list_analyses,
    read_analyses,
    read_analysis,
    record_key,
)
from imaging.analyses.declared_recipes import DeclaredRecipes, read_declared_recipes
from imaging.analyses.numbered import Decision, choose_recipe, read_choices, read_decisions
from imaging.analyses.publications import identify, select_published
from imaging.analyses.recipe import AnalysisRecipe
from imaging.errors import PlateError
from imaging.export.selection import Published
from imaging.grace import Stopwatch
from imaging.names import check_name, hash_of, to_json
from imaging.store import Store

_RACES = 5
NEVER_ENDED = (
    f"the analysis was begun {ATTEMPTS} times and never ended: its process was killed, perhaps for its memory, or the "
    "software failed; look at its flow runs, then ask for it once more by platestream analyse --again"
)


@dataclass(frozen=True)
class Outcome:
    """What became of one recipe: its record, whether that is new, and how many plates were read back or made for it."""

    record: AnalysisRecord
    is_new: bool = False
    kept: int = 0
    made: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Due:
    """What an experiment's analyses should be made of, and for which recipes they are not yet.

    Parameters
    ----------
    listed
        The records as they were listed before all else.
    publications
        The publications that count.
    decisions
        What a person decided.
    recipes
        The recipes.
    runs
        Name that the analysis of each recipe has, by the recipe's id.
    current
        The current record of each recipe that has one, by the recipe's id.
    due
        Ids of the recipes that are to be analysed, or whose choice is to be recorded.
    untold
        Current records whose analysis nobody was told of, also where a newer one is due: while plates are published
        on and on each is told all the same.
    """

    listed: Listed
    publications: tuple[Published, ...]
    decisions: list[Decision]
    recipes: DeclaredRecipes
    runs: dict[str, str] = field(default_factory=dict)
    current: dict[str, AnalysisRecord] = field(default_factory=dict)
    due: tuple[str, ...] = ()
    untold: tuple[AnalysisRecord, ...] = ()


def find_due(store: Store, experiment: str, *, with_recipe: AnalysisRecipe | None = None) -> Due:
    """Say what is to be analysed.

    Parameters
    ----------
    store, experiment
        Where it is.
    with_recipe
        A recipe that is looked at also where no file declares it any more.

    Raises
    ------
    ConfigurationError
        If analysis.yaml is at fault.
    StoredDataError
        If a publication record or a decision is damaged.
    """
    check_name("experiment", experiment)
    listed = list_analyses(store, experiment)
    recipes = read_declared_recipes(store, experiment)
    decisions = read_decisions(store, experiment)
    publications = select_published(store, experiment).plates
    if not publications and not listed.numbers:  # an experiment that never had anything to analyse
        return Due(listed, (), decisions, recipes)
    wanted = {recipe.id: recipe for recipe in (*recipes.all, *([with_recipe] if with_recipe else []))}
    runs = {name: name_analysis(publications, decisions, recipe) for name, recipe in wanted.items()}
    current = {name: _current(store, listed, name) for name in wanted}
    known = {name: record for name, record in current.items() if record}
    due = [name for name, run in runs.items() if not _is_done(known.get(name), run, listed)]
    choices = read_choices(store, experiment)
    if not due and (not choices or choices[-1].recipe != recipes.counting.id):
        due.append(recipes.counting.id)
    untold = tuple(record for record in known.values() if _is_untold(record, listed))
    return Due(listed, publications, decisions, recipes, runs, known, tuple(due), untold)


def name_analysis(publications: Sequence[Published], decisions: Sequence[Decision], recipe: AnalysisRecipe) -> str:
    """Name of an analysis: the hash of its publications, of what was decided about their wells, and of its recipe."""
    plates = {item.plate for item in publications}
    decided = [[item.plate, item.well, item.excluded, item.by, item.because] for item in decisions]
    return hash_of([sorted(map(identify, publications)), [item for item in decided if item[0] in plates], recipe.id])


def reconcile(store: Store, experiment: str, *, again: bool = False) -> list[Outcome]:
    """Analyse an experiment under each of its recipes, as far as that is not done; the one that counts comes first.

    Parameters
    ----------
    store, experiment
        Where it is.
    again
        Analyse also what failed before.

    Raises
    ------
    ConfigurationError
        If analysis.yaml is at fault.
    StoredDataError
        If a record is damaged.
    StoreUnavailableError
        If the storage does not answer.
    """
    look = find_due(store, experiment)
    if not look.runs:
        return []
    outcomes = [_bring_up(store, experiment, look, recipe, again=again) for recipe in look.recipes.all]
    choose_recipe(store, experiment, look.recipes.counting.id)
    return outcomes


def _current(store: Store, listed: Listed, recipe: str) -> AnalysisRecord | None:
    last = listed.last(recipe)
    return read_analysis(store, listed.experiment, recipe, last) if last else None


def _is_untold(record: AnalysisRecord, listed: Listed) -> bool:
    return record.status != DAMAGED and listed.holds(record) and (record.recipe, record.number) not in listed.told


def _is_done(record: AnalysisRecord | None, run: str, listed: Listed) -> bool:
    return record is not None and record.run == run and record.status != DAMAGED and listed.holds(record)


def _bring_up(store: Store, experiment: str, look: Due, recipe: AnalysisRecipe, *, again: bool) -> Outcome:
    """Analyse under one recipe unless that is done; whoever does not win deletes the tables and looks again.

    The record's number is from a listing before all that goes into the analysis: else a slow one could put an older set
    of publications above a newer.
    """
    for _ in range(_RACES):
        run, listed, record = look.runs[recipe.id], look.listed, look.current.get(recipe.id)
        if record and _is_done(record, run, listed) and not (again and record.status == FAILED):
            return Outcome(record)
        number = listed.last(recipe.id) + 1
        if earlier := _find_earlier(store, listed, recipe.id, run):
            same = dict(earlier.content) | {"number": number, "analysed_at": _now()}
            if store.create(record_key(experiment, recipe.id, number), to_json(same)):
                return Outcome(read_analysis(store, experiment, recipe.id, number), is_new=True)
        elif outcome := _analyse_as(store, experiment, look, recipe, number):
            return outcome
        look = find_due(store, experiment, with_recipe=recipe)
    raise PlateError("others analyse the experiment at the same time; look what counts", experiment=experiment)


def _find_earlier(store: Store, listed: Listed, recipe: str, run: str) -> AnalysisRecord | None:
    """An earlier analysis of the same name whose tables are there, as when a plate was withdrawn and came back."""
    for record in reversed(read_analyses(store, listed, [recipe])):
        if record.run == run and record.status == ANALYSED_STATUS and listed.holds(record):
            return record
    return None


def _analyse_as(store: Store, experiment: str, look: Due, recipe: AnalysisRecipe, number: int) -> Outcome | None:
    """Analyse and try to create the record; ``None`` where somebody else was first."""
    run, working, began = look.runs[recipe.id], Stopwatch(), time.monotonic()
    content: dict[str, Any] = {
        "number": number,
        "run": run,
        "experiment": experiment,
        "recipe": recipe.id,
        "declared": recipe.model_dump(mode="json"),
        "publications": sorted(map(identify, look.publications)),
        "tables": {},
    }
    attempt = look.listed.attempts.get((recipe.id, run, number), 0) + 1
    key = attempt_key(experiment, recipe.id, run, number, attempt)
    folder = f"{analyses_folder(experiment)}{recipe.id}/data/{number:06d}-{uuid.uuid4().hex[:12]}/"
    kept = made = 0
    if attempt > ATTEMPTS:
        content |= {"status": FAILED, "reason": NEVER_ENDED}
    else:
        store.create(key, to_json({"run": run, "begun_at": _now()}))
        try:
            analysed, kept, made = _compute(store, folder, look, recipe, content)
            content |= {"status": ANALYSED_STATUS, **analysed}
        except (PlateError, OSError) as error:
            with contextlib.suppress(PlateError):
                _delete_all(store, folder)
            if not isinstance(error, PlateError) or error.retryable:
                with contextlib.suppress(PlateError):
                    store.delete(key)  # it is no fault of the experiment: that does not count
                raise
            content |= {"status": FAILED, "reason": str(error), "notes": []}
    content["analysed_at"] = _now()
    if not working.is_overdue and store.create(record_key(experiment, recipe.id, number), to_json(content)):
        record = read_analysis(store, experiment, recipe.id, number)
        return Outcome(record, is_new=True, kept=kept, made=made, seconds=time.monotonic() - began)
    _delete_all(store, folder)
    return None


def _compute(
    store: Store, folder: str, look: Due, recipe: AnalysisRecipe, place: dict[str, Any]
) -> tuple[dict[str, Any], int, int]:
    """Analyse and write the tables; what the record says of them, and how many plates were read back and made."""
    from imaging.analyses.kept_plates import KeptPlates  # the statistics take a second to import
    from imaging.analyses.kept_tests import keeping_tests
    from imaging.analyses.result_tables import analysis_tables, write_analysis
    from imaging.analyses.stored_analysis import analyse_published

    plates = KeptPlates(store, place["experiment"])
    with keeping_tests(store, place["experiment"], recipe.id):
        analysis = analyse_published(look.publications, recipe, look.decisions, plates)
    carried = {"experiment": place["experiment"], "analysis_recipe": recipe.id, "analysis": place["run"]}
    runs = {item.plate: (item.recipe, item.record["run"]) for item in look.publications}
    tables = analysis_tables(analysis, carried, runs)
    said = {
        "tables": write_analysis(store, folder, tables),
        "scores": analysis.scores,
        "notes": list(analysis.notes),
        "details": analysis.as_details(),
    }
    return said, plates.kept["wells"], plates.made["wells"]


def _delete_all(store: Store, folder: str) -> None:
    for item in store.list(folder).objects:
        store.delete(item.key)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
