"""How far experiments are, for `platestream status`: the analysis that counts of each, and what failed."""

from __future__ import annotations

from collections.abc import Iterator

from imaging.analyses.analysis_records import (
    ANALYSED_STATUS,
    AnalysisRecord,
    analysed_experiments,
    list_numbers,
    read_analysis,
)
from imaging.analyses.declared_recipes import read_declared_recipes
from imaging.analyses.numbered import read_choices
from imaging.errors import ConfigurationError, StoredDataError
from imaging.sentences import counted
from imaging.store import Store


def describe_analyses(store: Store) -> Iterator[str]:
    """One sentence per experiment and recipe that counts or failed."""
    for experiment in analysed_experiments(store):
        numbers = list_numbers(store, experiment)
        try:
            choices = read_choices(store, experiment)
        except StoredDataError as error:
            yield f"{experiment}: {error}"
            continue
        counting = choices[-1].recipe if choices else ""
        declared = _declared(store, experiment) or set(numbers)
        for recipe, of_recipe in numbers.items():
            if recipe not in declared:
                continue
            record = read_analysis(store, experiment, recipe, of_recipe[-1])
            if record.status != ANALYSED_STATUS:
                yield f"{experiment}: the analysis under {recipe} is {record.status}: {record.reason}"
            elif recipe == counting:
                yield f"{experiment}: {_come_to(record)}"


def _declared(store: Store, experiment: str) -> set[str]:
    """Recipes that are declared; none where analysis.yaml is at fault."""
    try:
        return {recipe.id for recipe in read_declared_recipes(store, experiment).all}
    except ConfigurationError:
        return set()


def _come_to(record: AnalysisRecord) -> str:
    scores = record.content.get("scores") or {}
    plates = counted(len(record.publications), "plate")
    hits, treatments = scores.get("hits") or 0, scores.get("treatments") or 0
    return f"{plates} analysed under {record.recipe}, {counted(hits, 'hit')} of {counted(treatments, 'treatment')}"
