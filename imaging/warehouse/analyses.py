"""Analyses in the warehouse: their rows as those of publications, the row in ``analyses_all`` last.

What is half loaded is not seen: every view joins ``analyses``. A superseded analysis that was never loaded is loaded
too, so that it can be asked for; the newest comes first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from imaging.analyses.analysis_records import (
    ANALYSED_STATUS,
    DAMAGED,
    AnalysisRecord,
    analysis_row,
    list_numbers,
    read_analysis,
)
from imaging.analyses.numbered import choice_row, list_choices, read_choice
from imaging.analysis_tables import ANALYSED
from imaging.columns import read_time
from imaging.errors import RefusedLoadError, StoredDataError
from imaging.names import hash_of
from imaging.table_schema import Table, table_of
from imaging.warehouse.jobs import job_name, load_rows
from imaging.warehouse.outcomes import Loaded, Refused
from imaging.warehouse.parquet import to_parquet
from imaging.warehouse.rows import RowsLoader
from imaging.warehouse.schemas import ANALYSES_ALL, ANALYSIS_CHOICES_ALL, AT_ONCE, Schemas
from imaging.warehouse.sheets import Sheet, read_sheet
from imaging.warehouse.views import check_room

Named = tuple[str, int]
"""Recipe and number of an analysis; of a choice the recipe is empty."""


@dataclass
class AnalysesLoader:
    """Loads analyses; keeps nothing that BigQuery could not tell again.

    Parameters
    ----------
    rows
        What loads the rows of a table.
    """

    rows: RowsLoader
    _done: dict[str, set[Named]] = field(default_factory=dict, init=False)

    def forget(self) -> None:
        """Ask BigQuery again what is loaded: a table may have been made anew."""
        self._done.clear()

    def find_missing(self, experiment: str) -> list[Named]:
        """Analyses and choices of an experiment that are not loaded, or not compared yet, the newest first.

        Raises
        ------
        WarehouseUnavailableError
            If BigQuery does not answer.
        """
        store = self.rows.store
        there = {(recipe, n) for recipe, numbers in list_numbers(store, experiment).items() for n in numbers}
        there |= {("", number) for number in list_choices(store, experiment)}
        if there - self._done.get(experiment, set()) and not self.rows.compares_all:
            self._done[experiment] = self._done.get(experiment, set()) | self._loaded(experiment)
        return sorted(there - self._done.get(experiment, set()), key=lambda named: (-named[1], named[0]))

    def load(
        self, experiment: str, schemas: Schemas, join: Callable[[Sequence[Sheet]], None]
    ) -> list[Loaded | Refused]:
        """Load what is missing; what became of each analysis, and of a choice that cannot be loaded.

        What is refused is not tried again.

        Parameters
        ----------
        experiment
            The experiment.
        schemas
            Makes the tables that take the rows.
        join
            Has the views join the versions of tables with features.

        Raises
        ------
        WarehouseUnavailableError
            If BigQuery does not answer; what was loaded so far stays.
        """
        outcomes: list[Loaded | Refused] = []
        for recipe, number in self.find_missing(experiment):
            try:
                if recipe:
                    record = read_analysis(self.rows.store, experiment, recipe, number)
                    outcomes.append(self._load(record, schemas, join))
                else:
                    self._load_choice(experiment, number)
            except (RefusedLoadError, StoredDataError) as error:
                outcomes.append(Refused(experiment, "", recipe or "the recipe that counts", number, str(error)))
            self._done.setdefault(experiment, set()).add((recipe, number))
        return outcomes

    def _load(self, record: AnalysisRecord, schemas: Schemas, join: Callable[[Sequence[Sheet]], None]) -> Loaded:
        began, jobs = time.monotonic(), 0
        if record.status == DAMAGED:
            raise StoredDataError(record.reason, key=record.key)
        place = {"experiment": record.experiment, "analysis_recipe": record.recipe, "analysis": record.run}
        sheets = []
        if record.status == ANALYSED_STATUS:
            tables = record.tables
            sheets = [
                read_sheet(self.rows.store, table, tables[table.name], dict(place))
                for table in ANALYSED
                if table.name in tables
            ]
            for sheet in sheets:
                if sheet.table.has_features:
                    check_room(self.rows.warehouse, sheet.table, sheet.name)
                schemas.ensure(sheet.table, sheet.features)
            day = self._day_of(record)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                jobs += sum(pool.map(lambda sheet: self.rows.load(sheet, day), sheets))
            join(sheets)
        row = {name: value for name, value in analysis_row(record).items() if name != "is_current"}
        jobs += self._append(ANALYSES_ALL, row, record.experiment, record.recipe, record.number)
        rows = {sheet.table.name: sheet.rows.num_rows for sheet in sheets}
        seconds = time.monotonic() - began
        return Loaded(record.experiment, "", record.recipe, record.number, record.status, rows, jobs, seconds)

    def _load_choice(self, experiment: str, number: int) -> None:
        choice = read_choice(self.rows.store, experiment, number)
        self._append(ANALYSIS_CHOICES_ALL, choice_row(experiment, choice), experiment, "", number)

    def _append(self, table: Table, row: dict[str, object], experiment: str, recipe: str, number: int) -> int:
        """Append a row, which makes others visible; return the jobs begun."""
        warehouse = self.rows.warehouse
        data = to_parquet(table_of(table, [{**row, "loaded_at": datetime.now(UTC)}]))
        name = job_name(warehouse, table.name, hash_of([experiment, recipe]), str(number))
        attempt, jobs = 1, 0
        while (recipe, number) not in self._loaded(experiment):
            done = load_rows(warehouse, name, table.name, data, first=attempt)
            jobs += done.begun
            attempt = done.attempt + 1  # the table may have been made anew since that job
        return jobs

    def _day_of(self, record: AnalysisRecord) -> date:
        """Day whose partition takes an analysis's rows: that of the first record of it, whichever is loaded."""
        numbers = list_numbers(self.rows.store, record.experiment).get(record.recipe, ())
        earlier = [n for n in numbers if n < record.number]
        records = [read_analysis(self.rows.store, record.experiment, record.recipe, n) for n in earlier]
        times = [item.content["analysed_at"] for item in (*records, record) if item.run == record.run]
        return min(filter(None, map(read_time, times))).date()

    def _loaded(self, experiment: str) -> set[Named]:
        warehouse = self.rows.warehouse
        analyses, choices = (warehouse.table_id(table.name) for table in (ANALYSES_ALL, ANALYSIS_CHOICES_ALL))
        rows = warehouse.ask(
            f"SELECT analysis_recipe, number FROM `{analyses}` WHERE experiment = @experiment", experiment=experiment
        )
        chosen = warehouse.ask(f"SELECT number FROM `{choices}` WHERE experiment = @experiment", experiment=experiment)
        return {(row["analysis_recipe"], row["number"]) for row in rows} | {("", row["number"]) for row in chosen}
