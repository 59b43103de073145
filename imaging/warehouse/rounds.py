"""Rounds over all plates: publications that nobody loaded, and rows of plates in progress.

Plates that are in progress, or were published within a day, are looked at in each round; closed ones once a day, spread
over the day: a lab of 200,000 plates could not list them all each minute. A process that starts looks at every plate.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from imaging.errors import PlateError, StoreUnavailableError, WarehouseUnavailableError
from imaging.live import PlateFolder, read_records
from imaging.names import results_prefix
from imaging.records import publication_key
from imaging.store import Store
from imaging.warehouse.live import LiveLoader
from imaging.warehouse.publications import Loader

DAY_S = 86_400.0

log = logging.getLogger(__name__)


@dataclass
class Rounds:
    """Looks at plates again and again; keeps nothing that it could not find out again.

    Parameters
    ----------
    loader, live
        What loads publications, and what sends rows of plates in progress.
    """

    loader: Loader
    live: LiveLoader
    _known: dict[PlateFolder, set[int]] = field(default_factory=dict)
    _records: dict[PlateFolder, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    _look_at: dict[tuple[str, str], float] = field(default_factory=dict)
    _is_prepared: bool = False
    _said: set[str] = field(default_factory=set)

    @property
    def store(self) -> Store:
        """Where the plates are."""
        return self.loader.store

    def round(self, now: float | None = None) -> dict[str, int]:
        """Look once at each plate whose turn it is; return the number of live rows sent, by table.

        Parameters
        ----------
        now
            Time of day in Unix seconds.

        Raises
        ------
        WarehouseUnavailableError, StoreUnavailableError
            If BigQuery or the store does not answer; the next round goes on where this one ended.
        """
        now = time.time() if now is None else now
        if not self._is_prepared:
            self.loader.prepare()
            self._known = self.loader.loaded()
        self._is_prepared = False  # until this round ended well: what is gone from the dataset is made again
        open_folders = [folder for plate in self._due(now) for folder in self._look(plate, now)]
        published = {folder: self._records[folder][1] for folder in open_folders if folder in self._records}
        sent = self.live.load(open_folders, published, datetime.fromtimestamp(now, UTC))
        self._close(open_folders, now)
        self._is_prepared = True
        return sent

    def _due(self, now: float) -> Iterator[tuple[str, str]]:
        for experiment in self.store.list_folders("results/"):
            for plate in self.store.list_folders(f"results/{experiment}/"):
                if self._look_at.get((experiment, plate), 0.0) <= now:
                    yield experiment, plate

    def _look(self, plate: tuple[str, str], now: float) -> list[PlateFolder]:
        """Load what is missing of a plate; return its folders, unless something is wrong with them."""
        try:
            self.loader.admit(plate[0])
            folders = [(*plate, recipe) for recipe in self.store.list_folders(f"results/{plate[0]}/{plate[1]}/")]
            for folder in folders:
                numbers = self.loader.numbers(folder)
                known = self._known.setdefault(folder, set())
                if not known.issuperset(numbers):
                    self.loader.load_missing(folder, known)
                    known.update(numbers)
                self._read_current(folder, numbers)
        except (WarehouseUnavailableError, StoreUnavailableError):
            raise
        except PlateError as error:
            self._say_once(f"{plate[0]}/{plate[1]}: {error}")
            return []
        return folders

    def _read_current(self, folder: PlateFolder, numbers: Sequence[int]) -> None:
        """Keep the record of the newest publication."""
        if numbers and self._records.get(folder, (0,))[0] != numbers[-1]:
            (record,) = read_records(self.store, [publication_key(results_prefix(*folder), numbers[-1])])
            self._records[folder] = (numbers[-1], record)

    def _close(self, folders: list[PlateFolder], now: float) -> None:
        """Look at plates that are published, long enough ago, and not live once a day from now on."""
        by_plate: dict[tuple[str, str], list[PlateFolder]] = {}
        for folder in folders:
            by_plate.setdefault(folder[:2], []).append(folder)
        for plate, its_folders in by_plate.items():
            if all(self._is_closed(folder, now) for folder in its_folders):
                self._look_at[plate] = now + DAY_S - zlib.crc32("/".join(plate).encode()) % int(DAY_S / 2)
                for folder in its_folders:
                    del self._records[folder]

    def _is_closed(self, folder: PlateFolder, now: float) -> bool:
        if folder not in self._records or self.live.is_live(folder):
            return False
        published_at = self._records[folder][1].get("published_at")
        return bool(published_at) and now - datetime.fromisoformat(published_at).timestamp() > DAY_S

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            log.warning("%s", sentence)
