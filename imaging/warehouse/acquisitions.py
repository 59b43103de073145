"""Decisions about acquisitions: those that the dataset lacks are loaded, each by a job of its own.

A job's name follows from the decision, so it is done once whoever asks for it; the view shows each decision once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from imaging.acquisitions import decision_rows, list_decisions, read_decision
from imaging.store import Store
from imaging.table_schema import table_of
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.jobs import job_name, load_rows
from imaging.warehouse.publications import to_parquet
from imaging.warehouse.schemas import ACQUISITION_DECISIONS_ALL

_Decision = tuple[str, str, int]


@dataclass
class DecisionsLoader:
    """Loads decisions about acquisitions; keeps nothing that BigQuery could not tell again.

    Parameters
    ----------
    warehouse, store
        Where to, and where from.
    """

    warehouse: Warehouse
    store: Store
    _loaded: set[_Decision] | None = field(default=None, init=False)

    def forget(self) -> None:
        """Ask BigQuery again what is loaded: the table may have been made anew."""
        self._loaded = None

    def load(self, experiment: str) -> int:
        """Load the last decision of each of an experiment's barcodes, if it is not there; return how many were.

        Raises
        ------
        StoredDataError
            If a decision is damaged.
        WarehouseUnavailableError
            If BigQuery does not answer.
        """
        last = {
            (experiment, barcode, numbers[-1]) for barcode, numbers in list_decisions(self.store, experiment).items()
        }
        if not last:
            return 0
        missing = sorted(last - self._known())
        for decision in missing:
            self._load(decision)
        return len(missing)

    def _load(self, decision: _Decision) -> None:
        observed = {"observed_at": datetime.now(UTC)}
        rows = [row | observed for row in decision_rows(read_decision(self.store, *decision))]
        table = ACQUISITION_DECISIONS_ALL
        name = job_name(self.warehouse, table.name, *map(str, decision))
        attempt = 1
        while decision not in self._known():
            done = load_rows(self.warehouse, name, table.name, to_parquet(table_of(table, rows)), first=attempt)
            attempt = done.attempt + 1  # the table may have been made anew since that job
            self.forget()

    def _known(self) -> set[_Decision]:
        if self._loaded is None:
            table = self.warehouse.table_id(ACQUISITION_DECISIONS_ALL.name)
            rows = self.warehouse.ask(f"SELECT DISTINCT experiment, barcode, number FROM `{table}`")
            self._loaded = {(row["experiment"], row["barcode"], row["number"]) for row in rows}
        return self._loaded
