"""All analyses of a store for queries: what is current, which recipe counts, and where the tables are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from imaging.analyses.analysis_records import (
    AnalysisRecord,
    analysed_experiments,
    analysis_row,
    list_analyses,
    read_analyses,
)
from imaging.analyses.numbered import Choice, choice_row, read_choices
from imaging.analysis_tables import ANALYSES, ANALYSIS_CHOICES
from imaging.store import Store
from imaging.table_schema import table_of


@dataclass(frozen=True)
class AnalysisCatalog:
    """Every record of an analysis by experiment, recipe and number, and the choices of each experiment, in order."""

    records: tuple[AnalysisRecord, ...] = ()
    choices: tuple[tuple[str, Choice], ...] = ()

    def keys(self, table: str) -> list[str]:
        """Parquet files of a table: one per analysis, however often it was recorded."""
        files = {
            (record.experiment, record.recipe, record.run): record.tables[table]
            for record in self.records
            if table in record.tables
        }
        return sorted(set(files.values()))

    def analyses(self) -> pa.Table:
        """Rows of the table ``analyses``."""
        last = {(record.experiment, record.recipe): record.number for record in self.records}
        rows = [
            analysis_row(record) | {"is_current": record.number == last[record.experiment, record.recipe]}
            for record in self.records
        ]
        return table_of(ANALYSES, rows)

    def choices_table(self) -> pa.Table:
        """Rows of the table ``analysis_choices``."""
        last = {experiment: choice.number for experiment, choice in self.choices}
        rows = [
            choice_row(experiment, choice) | {"is_current": choice.number == last[experiment]}
            for experiment, choice in self.choices
        ]
        return table_of(ANALYSIS_CHOICES, rows)


def read_analysis_catalog(store: Store, experiments: Sequence[str] | None = None) -> AnalysisCatalog:
    """Read the records of all analyses; one that is damaged has that as its status.

    Raises
    ------
    StoredDataError
        If the record of a choice is damaged.
    """
    names = analysed_experiments(store) if experiments is None else experiments
    records = [record for name in names for record in read_analyses(store, list_analyses(store, name))]
    choices = [(name, choice) for name in names for choice in read_choices(store, name)]
    return AnalysisCatalog(tuple(records), tuple(choices))
