"""Rows of plates in progress: what is new in all of them goes into each live table by one job per round.

A row is sent again when its verdict changed; the views show the newest. What this process forgets, or a job that was
cut off took with it, is sent once more: nothing else knows, and nothing is lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from imaging.errors import PlateError, RefusedLoadError, StoreUnavailableError
from imaging.live import LivePlate, PlateFolder, list_faults, read_declared, read_faults
from imaging.names import digest_of, is_experimental
from imaging.store import Store
from imaging.table_schema import Table, table_of
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.jobs import job_name, load_rows
from imaging.warehouse.parquet import to_parquet
from imaging.warehouse.schemas import (
    FAULT_RECORDS_ALL,
    IMAGE_METRICS_LIVE,
    LIVE_DAYS,
    SITE_METRICS_LIVE,
    mark_of,
)

log = logging.getLogger(__name__)

RESEND = timedelta(days=LIVE_DAYS / 2)
"""Age at which a row of a plate that is still in progress is sent again, before it expires."""

_TABLES = (IMAGE_METRICS_LIVE, SITE_METRICS_LIVE, FAULT_RECORDS_ALL)
_COUNT_FAULTS = """
SELECT experiment, plate, recipe, COUNT(DISTINCT CONCAT(name, '/', token)) AS n
FROM `{table}`
GROUP BY experiment, plate, recipe
"""
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
    _faults: dict[PlateFolder, int] | None = None
    _waiting: list[_Batch] = field(default_factory=list)
    _said: set[str] = field(default_factory=set)

    def look(self, folder: PlateFolder, published: Mapping[str, Any]) -> bool:
        """Look at a plate's sites; return whether there are some that its publication lacks, and are to be shown.

        Parameters
        ----------
        folder
            The plate.
        published
            Its current publication record; empty where there is none.

        Raises
        ------
        StoredDataError
            If a manifest is damaged.
        """
        if is_experimental(folder[2]):
            return False
        plate = self._plates.get(folder) or LivePlate(self.store, folder)
        is_live = plate.look(published)
        if is_live:
            self._plates[folder] = plate
        else:
            self._plates.pop(folder, None)
        return is_live

    def has_faults(self, folder: PlateFolder) -> bool:
        """Whether BigQuery has every fault record of a plate.

        Raises
        ------
        WarehouseUnavailableError
            If BigQuery does not answer.
        """
        return self._loaded_faults().get(folder, 0) >= len(list_faults(self.store, folder))

    def load(self, folders: Iterable[PlateFolder], now: datetime) -> dict[str, int]:
        """Send what is new of these plates.

        Parameters
        ----------
        folders
            Plates that were looked at; what is remembered of others is forgotten.
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
            self._collect(list(folders), now)
        sent = {}
        while self._waiting:
            batch = self._waiting[0]
            try:
                load_rows(self.warehouse, batch.name, batch.table, batch.data)
            except RefusedLoadError:
                self._waiting.clear()  # what is refused now is refused for ever; the rows come with a newer look
                self._sent.clear()
                self._faults = None
                raise
            sent[batch.table] = batch.rows
            del self._waiting[0]
        return sent

    def _collect(self, folders: list[PlateFolder], now: datetime) -> None:
        """Make batches of what is new; nothing counts as sent before all of them are made."""
        found: dict[str, list[dict[str, Any]]] = {table.name: [] for table in _TABLES}
        self._plates = {folder: self._plates[folder] for folder in folders if folder in self._plates}
        all_sent: dict[PlateFolder, _Sent] = {}
        faults = dict(self._loaded_faults())
        for folder in folders:
            sent = dict(self._sent.get(folder, {}))
            try:
                rows, count = self._rows(folder, sent, faults.get(folder, 0), now)
            except StoreUnavailableError:
                raise
            except PlateError as error:
                self._say_once(f"{folder[0]}/{folder[1]}: {error}")
                all_sent[folder] = self._sent.get(folder, {})
                continue
            all_sent[folder], faults[folder] = sent, count
            for name, its_rows in rows.items():
                found[name] += its_rows
        self._waiting = [self._batch(table, found[table.name], now) for table in _TABLES if found[table.name]]
        self._sent, self._faults = all_sent, faults

    def _rows(
        self, folder: PlateFolder, sent: _Sent, loaded: int, now: datetime
    ) -> tuple[dict[str, list[dict[str, Any]]], int]:
        """Rows of a plate that are new, by table, noted in ``sent``; and how many fault records it has."""
        images: list[dict[str, Any]] = []
        sites: list[dict[str, Any]] = []
        if folder in self._plates:
            for site in self._plates[folder].judge(read_declared(self.store, folder[0])):
                at_site = site.row["well"], site.row["site"], site.row["time_point"]
                mark = {"manifest": mark_of(site.key)}
                if _is_new(sent, ("site", *at_site), _state(site.key, site.row), now):
                    sites.append(site.row | mark)
                for row in site.images:
                    if _is_new(sent, (*at_site, row["channel"]), _state(site.key, row), now):
                        images.append(row | mark)
        keys = list_faults(self.store, folder)
        new = [key for key in keys if ("fault", key) not in sent] if len(keys) > loaded else []
        sent |= {("fault", key): (key, now) for key in keys}
        faults = read_faults(self.store, new)
        return {IMAGE_METRICS_LIVE.name: images, SITE_METRICS_LIVE.name: sites, FAULT_RECORDS_ALL.name: faults}, len(
            keys
        )

    def _loaded_faults(self) -> dict[PlateFolder, int]:
        """How many fault records of each plate are loaded; asked once, and counted from then on."""
        if self._faults is None:
            table = self.warehouse.table_id(FAULT_RECORDS_ALL.name)
            rows = self.warehouse.ask(_COUNT_FAULTS.format(table=table))
            self._faults = {(row["experiment"], row["plate"], row["recipe"]): row["n"] for row in rows}
        return self._faults

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s", sentence)

    def _batch(self, table: Table, rows: list[dict[str, Any]], now: datetime) -> _Batch:
        names = [column.name for column in table.columns]
        given = [{name: row.get(name) for name in names} | {"observed_at": now} for row in rows]
        data = to_parquet(table_of(table, given))
        return _Batch(table.name, job_name(self.warehouse, table.name, digest_of(data)), data, len(rows))


def _state(key: str, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What can change of a row: the measurement it is from, and what is thought of it."""
    return key, row["verdict"], tuple(row["reasons"])


def _is_new(sent: _Sent, place: tuple[Any, ...], state: Any, now: datetime) -> bool:
    """Note a row as sent; return whether it was not, or long ago."""
    earlier = sent.get(place)
    if earlier is not None and earlier[0] == state and now - earlier[1] < RESEND:
        return False
    sent[place] = (state, now)
    return True
