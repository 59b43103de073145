"""Loading publications: what is published and not in ``plate_runs_all`` yet is loaded, table by table, the run last.

The rows of one table and run have a chain of jobs, each done once whoever asks for it: load 1; if the rows turn out
doubled or wrong, repair 1 (they are deleted) and load 2; and so on. So two loaders, or one that is killed anywhere and
repeated, do the same jobs, and a repair never deletes what was loaded after it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from imaging.columns import read_time
from imaging.errors import RefusedLoadError, StoredDataError
from imaging.live import PlateFolder
from imaging.names import hash_of, results_prefix
from imaging.promotions import list_promotions, read_promotions
from imaging.publication_records import read_publications
from imaging.records import publication_key, publication_numbers
from imaging.store import Store
from imaging.table_schema import table_of
from imaging.tables import PLATE_RUNS, SITE_RUNS
from imaging.warehouse.acquisitions import DecisionsLoader
from imaging.warehouse.analyses import AnalysesLoader
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.jobs import job_name, load_rows
from imaging.warehouse.outcomes import Loaded, Refused
from imaging.warehouse.parquet import to_parquet
from imaging.warehouse.promotions import load_promotions
from imaging.warehouse.rows import RowsLoader, equals
from imaging.warehouse.schemas import AT_ONCE, LOADED, RUNS_ALL, WORKED_OUT, Schemas, mark_of
from imaging.warehouse.sheets import Sheet, read_sheet
from imaging.warehouse.views import check_room, ensure_versions, ensure_views, no_room

WITHDRAWN = "withdrawn"


@dataclass
class Loader:
    """Loads publications of a store into a dataset.

    Parameters
    ----------
    warehouse, store
        Where to, and where from.
    said
        Called with each publication and each analysis that was loaded or refused.
    admit
        Called with an experiment before any of its rows leave the store; raises a ``PlateError`` that says why where
        they must not go to this dataset.
    compares_all
        Compare what is loaded already too, and load again what differs or is gone: a warehouse is rebuilt.
    """

    warehouse: Warehouse
    store: Store
    said: Callable[[Loaded | Refused], None] = lambda outcome: None
    admit: Callable[[str], None] = lambda experiment: None
    compares_all: bool = False
    schemas: Schemas = field(init=False)
    decisions: DecisionsLoader = field(init=False)
    rows: RowsLoader = field(init=False)
    analyses: AnalysesLoader = field(init=False)
    _joined: set[str] = field(default_factory=set, init=False)
    _promoted: dict[str, set[str]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.schemas = Schemas(self.warehouse)
        self.decisions = DecisionsLoader(self.warehouse, self.store)
        self.rows = RowsLoader(self.warehouse, self.store, self.compares_all)
        self.analyses = AnalysesLoader(self.rows)

    def prepare(self) -> None:
        """Make or widen dataset, tables and views; those seen before are looked at again, as they may be gone.

        Raises
        ------
        SchemaDriftError
            If something in the dataset contradicts them.
        WarehouseUnavailableError
            If BigQuery does not answer.
        """
        self.schemas = Schemas(self.warehouse)
        self._joined.clear()
        self._promoted.clear()
        self.decisions.forget()
        self.analyses.forget()
        self.schemas.ensure_base()
        ensure_views(self.warehouse)

    def loaded(self, folder: PlateFolder | None = None) -> dict[PlateFolder, set[int]]:
        """Numbers of the publications that are loaded, of one plate or of all."""
        runs = self.warehouse.table_id(RUNS_ALL.name)
        values = dict(zip(("experiment", "plate", "recipe"), folder or (), strict=False))
        where = f"WHERE {equals(values)}" if folder else ""
        rows = self.warehouse.ask(f"SELECT experiment, plate, recipe, number FROM `{runs}` {where}", **values)
        found: dict[PlateFolder, set[int]] = {}
        for row in rows:
            found.setdefault((row["experiment"], row["plate"], row["recipe"]), set()).add(row["number"])
        return found

    def numbers(self, folder: PlateFolder) -> tuple[int, ...]:
        """Numbers of a plate's publications in the store, in order."""
        prefix = results_prefix(*folder)
        return publication_numbers(prefix, self.store.list(f"{prefix}publications/"))

    def load_plate(self, experiment: str, plate: str) -> list[Loaded | Refused]:
        """Load every publication of a plate that is not loaded, under any recipe, and what says which rows are shown.

        That is its experiment's promotions and, after the rows, so that a damaged one holds up none, the decisions
        about acquisitions: until those are there, two acquisitions of a barcode are shown beside each other.
        """
        self.load_promotions(experiment)
        recipes = self.store.list_folders(f"results/{experiment}/{plate}/")
        outcomes = [item for recipe in recipes for item in self.load_missing((experiment, plate, recipe))]
        if missing := self.decisions.find_missing(experiment):
            self.admit(experiment)
            self.decisions.load(missing)
        return outcomes

    def load_promotions(self, experiment: str) -> int:
        """Load an experiment's promotions that are not loaded; return how many.

        Raises
        ------
        WarehouseUnavailableError
            If BigQuery does not answer.
        """
        listed = {item.key for item in list_promotions(self.store, experiment)}
        if listed <= self._promoted.get(experiment, set()):  # each round asks: only what is new is read
            return 0
        self.admit(experiment)
        loaded = load_promotions(self.warehouse, experiment, read_promotions(self.store, experiment))
        self._promoted[experiment] = listed
        return loaded

    def load_analyses(self, experiment: str) -> list[Loaded | Refused]:
        """Load an experiment's analyses that are not loaded, and which recipe counts.

        Raises
        ------
        WarehouseUnavailableError
            If BigQuery does not answer.
        """
        if not self.analyses.find_missing(experiment):
            return []
        self.admit(experiment)
        outcomes = self.analyses.load(experiment, self.schemas, self._join_versions)
        for outcome in outcomes:
            self.said(outcome)
        return outcomes

    def load_missing(self, folder: PlateFolder, known: Iterable[int] = ()) -> list[Loaded | Refused]:
        """Load the publications of a plate under one recipe that are not loaded, the newest first.

        Parameters
        ----------
        folder
            Experiment, plate and recipe.
        known
            Numbers that need no look, as they were found loaded or refused before.

        Raises
        ------
        WarehouseUnavailableError
            If BigQuery does not answer; what was loaded so far stays.
        """
        self.admit(folder[0])
        prefix = results_prefix(*folder)
        missing = set(self.numbers(folder)) - set(known)
        if missing and not self.compares_all:
            missing -= self.loaded(folder).get(folder, set())
        outcomes: list[Loaded | Refused] = []
        for number in sorted(missing, reverse=True):
            try:
                (record,) = read_publications(self.store, [publication_key(prefix, number)])
                outcome: Loaded | Refused = self._load(folder, record)
            except (RefusedLoadError, StoredDataError) as error:
                outcome = Refused(*folder, number, str(error))
            outcomes.append(outcome)
            self.said(outcome)
        return outcomes

    def _load(self, folder: PlateFolder, record: Mapping[str, Any]) -> Loaded:
        began = time.monotonic()
        place = {"experiment": folder[0], "plate": folder[1], "recipe": folder[2], "run": record["run"]}
        sheets = [] if record["status"] == WITHDRAWN else self._read_sheets(record, place)
        jobs = 0
        if sheets and (self.compares_all or not self._is_run_loaded(place)):
            for sheet in sheets:
                if sheet.table.has_features and sheet.name not in self._joined:
                    check_room(self.warehouse, sheet.table, sheet.name)
                self.schemas.ensure(sheet.table, sheet.features)
            day = self._day_of(folder, record)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                jobs += sum(pool.map(lambda sheet: self.rows.load(sheet, day), sheets))
        self._join_versions(sheets)
        jobs += self._add_run(record, place, _measured_until(sheets))
        rows = {sheet.table.name: sheet.rows.num_rows for sheet in sheets}
        return Loaded(*folder, record["number"], record["status"], rows, jobs, time.monotonic() - began)

    def _join_versions(self, sheets: Sequence[Sheet]) -> None:
        """Have the views join these versions before the run is shown.

        Each is looked at once, whoever made it: its maker may have ended before it wrote the view.
        """
        for sheet in sheets:
            if sheet.table.has_features and sheet.name not in self._joined:
                joined = ensure_versions(self.warehouse, sheet.table)
                if sheet.name not in joined:  # others made the last ones at the same time
                    raise no_room(sheet.table)
                self._joined.add(sheet.name)

    def _read_sheets(self, record: Mapping[str, Any], place: dict[str, str]) -> list[Sheet]:
        """Read and check every table before the first job."""
        keys = record["tables"]
        return [read_sheet(self.store, table, keys[table.name], place) for table in LOADED if table.name in keys]

    def _is_run_loaded(self, place: Mapping[str, str]) -> bool:
        """Whether the run's rows came with another publication, as those of a plate withdrawn and published again."""
        runs = self.warehouse.table_id(RUNS_ALL.name)
        rows = self.warehouse.ask(
            f"SELECT COUNT(*) AS n FROM `{runs}` WHERE {equals(place)} AND status <> '{WITHDRAWN}'",
            **place,
        )
        return rows[0]["n"] > 0

    def _day_of(self, folder: PlateFolder, record: Mapping[str, Any]) -> date:
        """Day whose partition takes a run's rows: that of its first publication, whichever of them is loaded."""
        prefix = results_prefix(*folder)
        earlier = [number for number in self.numbers(folder) if number < record["number"]]
        records = read_publications(self.store, [publication_key(prefix, number) for number in earlier])
        times = [item["published_at"] for item in (*records, record) if item["run"] == record["run"]]
        return min(filter(None, map(read_time, times))).date()

    def _add_run(self, record: Mapping[str, Any], place: Mapping[str, str], measured_until: datetime | None) -> int:
        """Append the publication's row, which makes its rows visible; return the jobs begun."""
        folder = (place["experiment"], place["plate"], place["recipe"])
        if self.compares_all and record["number"] in self.loaded(folder).get(folder, ()):
            return 0
        row = {column.name: record.get(column.name) for column in PLATE_RUNS.columns if column.name not in WORKED_OUT}
        manifests = sorted(map(mark_of, record.get("manifests") or ()))
        row |= {"measured_until": measured_until, "manifests": manifests, "loaded_at": datetime.now(UTC)}
        data = to_parquet(table_of(RUNS_ALL, [row]))
        name = job_name(self.warehouse, RUNS_ALL.name, hash_of(list(folder)), str(record["number"]))
        attempt, jobs = 1, 0
        while True:
            done = load_rows(self.warehouse, name, RUNS_ALL.name, data, first=attempt)
            jobs += done.begun
            if record["number"] in self.loaded(folder).get(folder, ()):
                return jobs
            attempt = done.attempt + 1  # the table was made anew since that job


def _measured_until(sheets: Sequence[Sheet]) -> datetime | None:
    """When the last of a publication's sites was measured."""
    for sheet in sheets:
        if sheet.table is SITE_RUNS:
            rows = sheet.rows.select(["started_at", "seconds"]).to_pylist()
            ends = [row["started_at"] + timedelta(seconds=row["seconds"] or 0) for row in rows if row["started_at"]]
            return max(ends, default=None)
    return None
