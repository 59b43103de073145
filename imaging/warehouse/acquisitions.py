"""Decisions about acquisitions: those that the dataset lacks are loaded, each by a job of its own.

A job's name follows from the decision, so it is done once whoever asks for it; the view shows each decision once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from imaging.acquisitions import decision_rows, list_decisions, read_decision
from imaging.errors import StoredDataError
from imaging.store import Store
from imaging.table_schema import table_of
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.jobs import job_name, load_rows
from imaging.warehouse.parquet import to_parquet
from imaging.warehouse.schemas import ACQUISITION_DECISIONS_ALL

Decision = tuple[str, str, int]
"""Experiment, barcode and number."""


@dataclass
class DecisionsLoader:
    """Loads decisions about acquisitions; keeps nothing that BigQuery could not tell again.

    Parameters
    ----------
    warehouse, store
        Where to, and where from.
    on_load
        Called with the experiment and the plates of each decision before it is loaded: it hides all but one of them, so
        that one's rows are wanted at once.
    """

    warehouse: Warehouse
    store: Store
    on_load: Callable[[str, Iterable[str]], None] = lambda experiment, plates: None
    _loaded: set[Decision] | None = field(default=None, init=False)

    def forget(self) -> None:
        """Ask BigQuery again what is loaded: the table may have been made anew."""
        self._loaded = None

    def find_missing(self, experiment: str) -> list[Decision]:
        """Find the last decisions of an experiment's barcodes that are not loaded.

        Raises
        ------
        WarehouseUnavailableError
            If BigQuery does not answer.
        """
        decided = list_decisions(self.store, experiment)
        last = {(experiment, barcode, numbers[-1]) for barcode, numbers in decided.items()}
        return sorted(last - self._known()) if last else []

    def load(self, decisions: Iterable[Decision]) -> None:
        """Load decisions, unless they are there by now.

        Raises
        ------
        StoredDataError
            If one is damaged; the others are loaded.
        WarehouseUnavailableError
            If BigQuery does not answer.
        """
        damaged: StoredDataError | None = None
        for decision in decisions:
            try:
                self._load(decision)
            except StoredDataError as error:
                damaged = error
        if damaged is not None:
            raise damaged

    def _load(self, decision: Decision) -> None:
        observed = {"observed_at": datetime.now(UTC)}
        rows = [row | observed for row in decision_rows(read_decision(self.store, *decision))]
        self.on_load(decision[0], [row["plate"] for row in rows])
        table = ACQUISITION_DECISIONS_ALL
        name = job_name(self.warehouse, table.name, *map(str, decision))
        attempt = 1
        while decision not in self._known():
            done = load_rows(self.warehouse, name, table.name, to_parquet(table_of(table, rows)), first=attempt)
            attempt = done.attempt + 1  # the table may have been made anew since that job
            self.forget()

    def _known(self) -> set[Decision]:
        if self._loaded is None:
            table = self.warehouse.table_id(ACQUISITION_DECISIONS_ALL.name)
            rows = self.warehouse.ask(f"SELECT DISTINCT experiment, barcode, number FROM `{table}`")
            self._loaded = {(row["experiment"], row["barcode"], row["number"]) for row in rows}
        return self._loaded
