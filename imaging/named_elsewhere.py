"""Publications that records of other plates name: those they were compared with, and those that gave them their field.

Such a publication stays, however old (``imaging.retention``). To know them takes the records of all plates of an
experiment, so whoever cleans many plates looks once for all of them: records never change, so each is read once, and
what an hour-old look does not show cannot name a publication that was superseded a day ago.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from imaging.experiment import Experiment
from imaging.names import is_experimental, plate_folders, results_prefix
from imaging.records import field_key, publication_key, publication_numbers
from imaging.store import Store
from imaging.stored_records import FIELD, PUBLICATION, read_record

LOOK_S = 3600.0
"""Seconds for which a look at an experiment's plates is enough; far less than the grace."""
_READERS = 16
_CURE = "platestream repair mends it; nothing of the experiment's other plates is deleted before"


class NamedPublication(NamedTuple):
    """A publication as another plate's record names it: by its run, or, ``run`` being empty, by recipe and number."""

    experiment: str
    plate: str
    run: str = ""
    recipe: str = ""
    number: int = 0


@dataclass
class NamedElsewhere:
    """What plates of a store name of one another, as it was seen an hour ago or later; of one store only."""

    _read: dict[str, tuple[NamedPublication, ...]] = field(default_factory=dict, repr=False)
    _looked: dict[tuple[str, bool], tuple[float, frozenset[NamedPublication]]] = field(default_factory=dict, repr=False)

    def of(self, store: Store, experiment: Experiment) -> frozenset[NamedPublication]:
        """What plates of the experiment name; where it shares fields by instrument, plates of all experiments.

        Raises
        ------
        StoredDataError
            If one of their records is damaged.
        """
        is_shared = experiment.illumination.shelf is not None
        looked_at, named = self._looked.get((experiment.name, is_shared), (float("-inf"), frozenset()))
        if time.monotonic() - looked_at > LOOK_S:
            looked_at = time.monotonic()
            experiments = store.list_folders("results/") if is_shared else [experiment.name]
            named = frozenset(self._look(store, experiments))
            self._looked[experiment.name, is_shared] = looked_at, named
        return named

    def _look(self, store: Store, experiments: Iterable[str]) -> Iterator[NamedPublication]:
        folders = [(name, plate) for name in experiments for plate in plate_folders(store, name)]
        with ThreadPoolExecutor(_READERS) as readers:
            for keys in readers.map(partial(_list_records, store), folders):
                for named in readers.map(partial(self._name, store), keys):
                    yield from named

    def _name(self, store: Store, key: str) -> tuple[NamedPublication, ...]:
        if key in self._read:
            return self._read[key]
        is_publication = "/publications/" in key
        try:
            record = read_record(store, key, PUBLICATION if is_publication else FIELD, cure=_CURE)
        except FileNotFoundError:
            return ()
        found = _compared(key.split("/")[1], record) if is_publication else _gave_field(record)
        self._read[key] = tuple(found)
        return self._read[key]


def _list_records(store: Store, folder: tuple[str, str]) -> list[str]:
    """Addresses of a plate's publication records that count, and of its frozen fields' records."""
    keys: list[str] = []
    for recipe in store.list_folders("/".join(("results", *folder)) + "/"):
        if not is_experimental(recipe):
            prefix = results_prefix(*folder, recipe)
            numbers = publication_numbers(prefix, store.list(f"{prefix}publications/"))
            keys += [field_key(prefix), *(publication_key(prefix, number) for number in numbers)]
    return keys


def _compared(experiment: str, record: dict[str, Any]) -> Iterator[NamedPublication]:
    for used in record.get("history") or ():
        yield NamedPublication(experiment, used["plate"], used["run"])


def _gave_field(record: dict[str, Any]) -> Iterator[NamedPublication]:
    for said in (record.get("channels") or {}).values():
        source = said.get("from") or {}
        if "number" in source:
            yield NamedPublication(source["experiment"], source["plate"], "", source["recipe"], source["number"])
