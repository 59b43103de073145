"""What is written of a new analysis beside its record: pages. They can be written again from records at any time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from imaging.analyses.analysis_records import AnalysisRecord, analyses_folder, list_numbers, read_analysis
from imaging.analyses.board import board_of_records
from imaging.analyses.board_page import board_page
from imaging.analyses.declared_recipes import read_declared_recipes
from imaging.analyses.experiment_page import write_experiment_page
from imaging.analyses.numbered import read_choices
from imaging.page_parts import experiment_page_folder
from imaging.store import Store


def project_experiment(store: Store, experiment: str) -> None:
    """Write the pages of an experiment from the current records of its recipes; twice is as good as once.

    Raises
    ------
    ConfigurationError
        If analysis.yaml is at fault.
    """
    seen = None
    while (found := (list_numbers(store, experiment), counting_recipe(store, experiment))) != seen:
        seen = found  # whoever recorded more meanwhile may have written its pages first
        _write_pages(store, experiment, *found)


def _write_pages(store: Store, experiment: str, numbers: Mapping[str, Sequence[int]], counting: str) -> None:
    declared = [recipe.id for recipe in read_declared_recipes(store, experiment).all]
    current = [
        read_analysis(store, experiment, recipe, numbers[recipe][-1]) for recipe in declared if recipe in numbers
    ]
    board = board_of_records(store, current)
    store.write(board_key(experiment), board_page(experiment, board).encode())
    for record in current:
        if record.recipe == counting:
            write_experiment_page(store, record, board)


def page_of(store: Store, record: AnalysisRecord) -> str:
    """Key of the page that shows an analysis: the experiment's where its recipe counts, else that of all recipes."""
    if record.recipe == counting_recipe(store, record.experiment):
        return f"{experiment_page_folder(record.experiment)}index.html"
    return board_key(record.experiment)


def counting_recipe(store: Store, experiment: str) -> str:
    """The recipe that counts; empty where none was chosen yet."""
    choices = read_choices(store, experiment)
    return choices[-1].recipe if choices else ""


def board_key(experiment: str) -> str:
    """Address of the page that shows an experiment's recipes side by side."""
    return f"{analyses_folder(experiment)}page/leaderboard.html"
