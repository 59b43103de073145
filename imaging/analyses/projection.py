"""What is written of a new analysis beside its record: pages. They can be written again from records at any time."""

from __future__ import annotations

from imaging.analyses.analysis_records import AnalysisRecord, analyses_folder, list_analyses, read_analysis
from imaging.analyses.board import board_of_records
from imaging.analyses.board_page import board_page
from imaging.analyses.experiment_page import write_experiment_page
from imaging.analyses.numbered import read_choices
from imaging.store import Store


def project_analysis(store: Store, record: AnalysisRecord) -> str:
    """Write the pages of an experiment after one of its analyses got a new record; twice is as good as once.

    Returns
    -------
    Key of the page that shows the analysis: the experiment's where its recipe counts, else the one of all recipes.
    """
    listed = list_analyses(store, record.experiment)
    current = [
        read_analysis(store, record.experiment, recipe, numbers[-1]) for recipe, numbers in listed.numbers.items()
    ]
    board = board_of_records(store, current)
    store.write(board_key(record.experiment), board_page(record.experiment, board).encode())
    choices = read_choices(store, record.experiment)
    counting = choices[-1].recipe if choices else record.recipe
    return write_experiment_page(store, record, board) if record.recipe == counting else board_key(record.experiment)


def board_key(experiment: str) -> str:
    """Address of the page that shows an experiment's recipes side by side."""
    return f"{analyses_folder(experiment)}page/leaderboard.html"
