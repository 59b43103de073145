"""Fields that published plates give for later ones: one small record each, named by time, on a shelf.

    illumination/experiment-<name>/<time>-<hash>.json     or instrument-<name>/, which experiments can share

A projection of the publication records: whoever projects a publication lays its field here, create-if-absent under a
name that follows from the publication, so nothing is lost or doubled however often that is done.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from imaging.errors import StoredDataError
from imaging.experiment import Experiment
from imaging.illumination import Illumination, Variant
from imaging.illumination_field import PlateField
from imaging.illumination_frozen import load_field
from imaging.names import hash_of, results_prefix, to_json
from imaging.records import publication_key, publication_numbers
from imaging.store import Store
from imaging.stored_records import PUBLICATION, read_record

SHELVES = "illumination/"
MOST_OFFERS = 100
"""Offers that are looked at, from the newest on: a channel that none of them knows well is not corrected."""

_OFFER = {
    **dict.fromkeys(("experiment", "plate", "recipe", "run", "published_at"), str),
    "number": int,
    "known": {"*": {"*": {"n_sites": int, "error_percent?": float}}},
    "fields": {"*": {"key": str}},
}
_PUBLICATION = ("experiment", "plate", "recipe", "number", "run", "published_at")


@dataclass(frozen=True, slots=True)
class Known:
    """How well a channel's field is known: the sites that it comes from, and its error in percent."""

    n_sites: int
    error_percent: float | None

    def is_enough(self, section: Illumination) -> bool:
        """Whether an experiment takes such a field."""
        if self.error_percent is None:
            return False
        return self.n_sites >= section.min_sites and self.error_percent <= section.max_error_percent


@dataclass(frozen=True)
class Offer:
    """One published plate's fields, as its record on the shelf describes them."""

    record: dict[str, Any]
    _loaded: dict[str, PlateField | None] = field(default_factory=dict, repr=False)

    def how_known(self, variant: Variant, channel: str) -> Known | None:
        """How well a channel's field is known; ``None`` where the plate gives none."""
        found = self.record["known"].get(variant, {}).get(channel)
        return Known(found["n_sites"], found["error_percent"]) if found else None

    def describe(self) -> dict[str, Any]:
        """Which publication it is."""
        return {name: self.record[name] for name in _PUBLICATION}

    def load(self, store: Store, variant: Variant) -> PlateField | None:
        """Read the fields of one variant; ``None`` if they are gone, or the plate has been withdrawn."""
        if variant not in self._loaded:
            self._loaded[variant] = None if _is_withdrawn(store, self.record) else _load(store, self.record, variant)
        return self._loaded[variant]


def offer_field(store: Store, experiment: Experiment, publication: dict[str, Any]) -> None:
    """Lay the fields of a publication on the shelf, if it has any.

    Parameters
    ----------
    store
        Where records are.
    experiment
        The plate's experiment.
    publication
        The publication's record.
    """
    described = publication.get("illumination")
    if not described:
        return
    record = {name: publication[name] for name in _PUBLICATION} | described
    moment = re.sub(r"\D", "", publication["published_at"])[:17]
    name = f"{moment}-{hash_of([publication['plate'], publication['recipe'], publication['number']])[:8]}"
    store.create(f"{shelf(experiment)}{name}.json", to_json(record))


def newest_offers(store: Store, experiment: Experiment) -> Iterator[Offer]:
    """Fields on the experiment's shelf, the newest first; damaged records are passed over."""
    keys = sorted((item.key for item in store.list(shelf(experiment)).objects), reverse=True)
    for key in keys[:MOST_OFFERS]:
        try:
            record = read_record(store, key, _OFFER)
        except (FileNotFoundError, StoredDataError):
            continue
        yield Offer(record)


def shelf(experiment: Experiment) -> str:
    """Folder of the fields that an experiment's plates give and take."""
    return f"{SHELVES}{experiment.illumination.shelf or f'experiment-{experiment.name}'}/"


def _is_withdrawn(store: Store, record: dict[str, Any]) -> bool:
    prefix = results_prefix(record["experiment"], record["plate"], record["recipe"])
    numbers = publication_numbers(prefix, store.list(f"{prefix}publications/"))
    try:
        key = publication_key(prefix, numbers[-1]) if numbers else ""
        return not numbers or read_record(store, key, PUBLICATION)["status"] == "withdrawn"
    except (FileNotFoundError, StoredDataError):
        return True


def _load(store: Store, record: dict[str, Any], variant: Variant) -> PlateField | None:
    try:
        return load_field(store, record["fields"][variant])
    except StoredDataError:
        return None
