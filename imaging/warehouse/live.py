"""Rows of plates in progress: what is new in all of them goes into each live table by one job per round.

A row is sent again when its verdict changed; the views show the newest. What this process forgets, or a job that was
cut off took with it, is sent once more: nothing else knows, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from imaging.errors import RefusedLoadError
from imaging.live import LivePlate, PlateFolder, list_faults, read_declared, read_faults
from imaging.names import digest_of
from imaging.store import Store
from imaging.table_schema import Table, table_of
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.jobs import job_name, load_rows
from imaging.warehouse.publications import to_parquet
from imaging.warehouse.schemas import FAULT_RECORDS_ALL, IMAGE_METRICS_LIVE, LIVE_DAYS, SITE_METRICS_LIVE

RESEND = timedelta(days=LIVE_DAYS / 2)
"""Age at which a row of a plate that is still in progress is sent again, before it expires."""

_Sent = dict[tuple[Any, ...], tuple[Any, datetime]]


@dataclass(frozen=True, slots=True)
class _Batch:
    """A job to be done: its table, name and file."""

    table: str
    name: str
    data: bytes
    rows: int


@dataclass
class LiveLoader:
    """Sends rows of plates in progress.

    Parameters
    ----------
    warehouse, store
        Where to, and where from.
    """

    warehouse: Warehouse
    store: Store
    _plates: dict[PlateFolder, LivePlate] = field(default_factory=dict)
    _sent: dict[PlateFolder, _Sent] = field(default_factory=dict)
    _waiting: list[_Batch] = field(default_factory=list)

    def load(
        self, folders: Iterable[PlateFolder], published: Mapping[PlateFolder, Mapping[str, Any]], now: datetime
    ) -> dict[str, int]:
        """Send what is new of these plates.

        Parameters
        ----------
        folders
            Plates to look at; what is remembered of others is forgotten.
        published
            Current publication record of each that has one.
        now
            Time of the look.

        Returns
        -------
        Number of rows sent, by table; empty when there was nothing new.

        Raises
        ------
        WarehouseUnavailableError
            If BigQuery does not answer; the rows are sent with the next round, under the same name.
        """
        if not self._waiting:
            self._waiting = self._collect(list(folders), published, now)
        sent = {}
        while self._waiting:
            batch = self._waiting[0]
            try:
                load_rows(self.warehouse, batch.name, batch.table, batch.data)
            except RefusedLoadError:
                self._waiting.clear()  # what is refused now is refused for ever; the rows come with a newer look
                self._sent.clear()
                raise
            sent[batch.table] = batch.rows
            del self._waiting[0]
        return sent

    def is_live(self, folder: PlateFolder) -> bool:
        """Whether a plate had sites that its publication lacks, at the last look."""
        return folder in self._plates

    def _collect(
        self, folders: list[PlateFolder], published: Mapping[PlateFolder, Mapping[str, Any]], now: datetime
    ) -> list[_Batch]:
        images: list[dict[str, Any]] = []
        sites: list[dict[str, Any]] = []
        faults: list[dict[str, Any]] = []
        plates = {folder: self._plates.get(folder) or LivePlate(self.store, folder) for folder in folders}
        self._plates = {folder: plate for folder, plate in plates.items() if plate.look(published.get(folder, {}))}
        self._sent = {folder: self._sent.get(folder, {}) for folder in folders}
        for folder, plate in self._plates.items():
            for site in plate.judge(read_declared(self.store, folder[0])):
                if self._is_new(folder, ("site", site.row["well"], site.row["site"]), _state(site.key, site.row), now):
                    sites.append(site.row)
                for row in site.images:
                    if self._is_new(folder, (row["well"], row["site"], row["channel"]), _state(site.key, row), now):
                        images.append(row)
        for folder in folders:
            keys = list_faults(self.store, folder)
            new = [key for key in keys if ("fault", key) not in self._sent[folder]]
            self._sent[folder] |= {("fault", key): (key, now) for key in new}
            faults += read_faults(self.store, new)
        tables = ((IMAGE_METRICS_LIVE, images), (SITE_METRICS_LIVE, sites), (FAULT_RECORDS_ALL, faults))
        return [self._batch(table, rows, now) for table, rows in tables if rows]

    def _is_new(self, folder: PlateFolder, place: tuple[Any, ...], state: Any, now: datetime) -> bool:
        """Note a row as sent; return whether it was not, or long ago."""
        sent = self._sent[folder].get(place)
        if sent is not None and sent[0] == state and now - sent[1] < RESEND:
            return False
        self._sent[folder][place] = (state, now)
        return True

    def _batch(self, table: Table, rows: list[dict[str, Any]], now: datetime) -> _Batch:
        names = [column.name for column in table.columns]
        given = [{name: row.get(name) for name in names} | {"observed_at": now} for row in rows]
        data = to_parquet(table_of(table, given))
        return _Batch(table.name, job_name(self.warehouse, table.name, digest_of(data)), data, len(rows))


def _state(key: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What can change of a row: the measurement it is from, and what is thought of it."""
    return key, row["verdict"], tuple(row["reasons"])
