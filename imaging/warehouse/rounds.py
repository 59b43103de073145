"""Rounds over all plates: publications that nobody loaded, and rows of plates in progress.

Plates that are in progress, or were published within a day, are looked at in each round; closed ones once a day, spread
over the day; new ones are looked for every ten minutes: a lab of 200,000 plates could not list them all each minute. A
process that starts looks at every plate.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from imaging.errors import PlateError, StoreUnavailableError, WarehouseUnavailableError
from imaging.live import PlateFolder
from imaging.names import plate_folders, results_prefix
from imaging.publication_records import read_publications
from imaging.records import publication_key
from imaging.store import Store
from imaging.warehouse.live import LiveLoader
from imaging.warehouse.publications import Loader

DAY_S = 86_400.0
NEW_S = 600.0
"""Seconds between two looks for plates that are new."""
FAULTY_S = 3600.0
"""Seconds until a plate that something is wrong with is looked at again, once that was said."""

_USED = ("status", "published_at", "manifests")
"""What is kept of a record, and only while its plate is open."""

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
    _barred: dict[str, PlateError | None] = field(default_factory=dict)
    _plates: dict[str, list[str]] = field(default_factory=dict)
    _find_at: float = 0.0
    _is_prepared: bool = False
    _said: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.loader.decisions.on_load = self._look_soon

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
            self._known = {} if self.loader.compares_all else self.loader.loaded()
        self._is_prepared = False  # until this round ended well: what is gone from the dataset is made again
        self._barred.clear()
        self._find_plates(now)
        self._load_decisions()
        open_folders = [folder for plate in self._due(now) for folder in self._look(plate, now)]
        sent = self.live.load(open_folders, datetime.fromtimestamp(now, UTC))
        self._is_prepared = True
        return sent

    def _find_plates(self, now: float) -> None:
        """List all plates, if that was not done lately."""
        if now >= self._find_at:
            experiments = self.store.list_folders("results/")
            self._plates = {name: plate_folders(self.store, name) for name in experiments}
            self._find_at = now + NEW_S

    def _load_decisions(self) -> None:
        """Load promotions, decisions about acquisitions, analyses: they change what is shown of closed plates."""
        for experiment in self._plates:
            for load in (self.loader.load_promotions, self._load_decisions_of, self.loader.load_analyses):
                try:
                    load(experiment)
                except (WarehouseUnavailableError, StoreUnavailableError):
                    raise
                except PlateError as error:  # one that is damaged holds up none of the other kind
                    self._say_once(f"{experiment}: {error}")

    def _load_decisions_of(self, experiment: str) -> None:
        if missing := self.loader.decisions.find_missing(experiment):
            self._admit(experiment)
            self.loader.decisions.load(missing)

    def _look_soon(self, experiment: str, plates: Iterable[str]) -> None:
        """Have plates looked at in this round, also new ones that no listing has shown yet."""
        known = self._plates[experiment]
        for plate in plates:
            self._look_at.pop((experiment, plate), None)
            if plate not in known:
                known.append(plate)

    def _due(self, now: float) -> Iterator[tuple[str, str]]:
        for experiment, plates in self._plates.items():
            for plate in plates:
                if self._look_at.get((experiment, plate), 0.0) <= now:
                    yield experiment, plate

    def _look(self, plate: tuple[str, str], now: float) -> list[PlateFolder]:
        """Load what is missing of a plate; return its folders, unless it is closed or something is wrong with it."""
        try:
            self._admit(plate[0])
            folders = [(*plate, recipe) for recipe in self.store.list_folders(f"results/{plate[0]}/{plate[1]}/")]
            closed = [folder for folder in folders if self._look_into(folder, now)]
            if not folders or closed != folders:
                return folders
            for folder in folders:
                del self._records[folder]
            if not all(self.live.has_faults(folder) for folder in folders):
                return folders
        except (WarehouseUnavailableError, StoreUnavailableError):
            raise
        except PlateError as error:
            if not self._say_once(f"{plate[0]}/{plate[1]}: {error}"):
                self._look_at[plate] = now + FAULTY_S
            return []
        self._look_at[plate] = now + DAY_S - zlib.crc32("/".join(plate).encode()) % int(DAY_S / 2)
        return []

    def _admit(self, experiment: str) -> None:
        """Ask once a round whether the experiment's rows may be loaded."""
        if experiment not in self._barred:
            try:
                self.loader.admit(experiment)
            except (WarehouseUnavailableError, StoreUnavailableError):
                raise
            except PlateError as error:
                self._barred[experiment] = error
            else:
                self._barred[experiment] = None
        if error := self._barred[experiment]:
            raise error

    def _look_into(self, folder: PlateFolder, now: float) -> bool:
        """Load what is missing of a plate under a recipe; return whether it is published, long ago, and not live."""
        numbers = self.loader.numbers(folder)
        known = self._known.setdefault(folder, set())
        if not known.issuperset(numbers):
            self.loader.load_missing(folder, known)
            known.update(numbers)
        if numbers and self._records.get(folder, (0,))[0] != numbers[-1]:
            (record,) = read_publications(self.store, [publication_key(results_prefix(*folder), numbers[-1])])
            self._records[folder] = (numbers[-1], {name: record[name] for name in _USED if name in record})
        _, record = self._records.get(folder, (0, {}))
        published_at = record.get("published_at")
        is_old = bool(published_at) and now - datetime.fromisoformat(published_at).timestamp() > DAY_S
        return not self.live.look(folder, record) and is_old

    def _say_once(self, sentence: str) -> bool:
        """Log a sentence, unless it was before; return whether it was not."""
        if sentence in self._said:
            return False
        self._said.add(sentence)
        log.warning("%s", sentence)
        return True
