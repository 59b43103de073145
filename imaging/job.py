"""One plate under one recipe: where its files and records are, and how both are looked at."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from imaging import records
from imaging.arrivals import Arrivals, UnknownFile
from imaging.errors import ChangedObjectError, ConfigurationError
from imaging.experiment import Experiment, read_experiment
from imaging.experimental import MANIFEST, Asked, read_manifest, refuse_size
from imaging.folders import StoredFolder
from imaging.illumination import AWAITED, pinned_values
from imaging.illumination_record import read_frozen
from imaging.kept_arrivals import sort_folder
from imaging.names import (
    check_name,
    experiment_key,
    hash_of,
    is_experimental,
    plate_zarr,
    raw_prefix,
    results_prefix,
    to_json,
)
from imaging.plain_yaml import MAX_BYTES
from imaging.planning import Plan, plan_plate
from imaging.plate_recipes import find_plate_recipes
from imaging.platemaps import PlateMap, find_in_folder, read_plate_map
from imaging.recipe_book import RecipeBook, open_recipes
from imaging.store import Listing, Store
from imaging.stored_records import PINS, read_record

SETTLE_S = 3.0
"""A local file younger than this many seconds may still be being written: it is not there yet."""


@dataclass(frozen=True)
class PlateJob:
    """One plate and the recipe of its experiment.

    Parameters
    ----------
    store
        Where records, images and results are written.
    raw, raw_folder
        Store and prefix of the uploaded images, read only.
    experiment, plate
        What the plate should be, and its name.
    maps, maps_folder
        Store and prefix of the experiment's plate maps.
    settle_s
        Age in seconds below which a local file is not there yet.
    """

    store: Store
    raw: Store
    raw_folder: str
    experiment: Experiment
    plate: str
    maps: Store
    maps_folder: str
    settle_s: float = SETTLE_S
    _pinned: dict[str, Any] = field(default_factory=dict, repr=False)
    _frozen: dict[str, Any] = field(default_factory=dict, repr=False)
    _tokens: dict[str, str] = field(default_factory=dict, repr=False)
    _seen: dict[str, Arrivals] = field(default_factory=dict, repr=False)

    @cached_property
    def recipe(self) -> str:
        """Name of the recipe with the hash of all it says."""
        return self.experiment.recipe_id

    @cached_property
    def prefix(self) -> str:
        """Folder of this plate's records."""
        return results_prefix(self.experiment.name, self.plate, self.recipe)

    @property
    def zarr(self) -> str:
        """Address of this plate's OME-Zarr."""
        return plate_zarr(self.experiment.name, self.plate)

    def survey(self, now: float | None = None) -> Plan:
        """Look once at files and records, and plan; publications are listed before all else."""
        names = self._list_records()
        listing = self.raw.list(self.raw_folder, min_age_s=self.settle_s)
        arrivals = sort_folder(self.experiment, StoredFolder(self.raw, self.raw_folder), listing)
        asked = self._read_manifest(listing)
        if asked.refusal:
            arrivals = replace(arrivals, unknown=(*arrivals.unknown, UnknownFile(MANIFEST, asked.refusal)))
        self._seen["arrivals"] = arrivals
        field = self.field_name(is_frozen=names.has_field)
        pins = hash_of(pinned_values(self.read_pins() if names.has_pins else self._fresh_pins(), field))
        moment = time.time() if now is None else now
        plan = plan_plate(self.experiment, arrivals, names, pins=pins, now=moment, field=field)
        return replace(plan, asked=asked.experiment) if asked.experiment else plan

    def _list_records(self) -> records.Records:
        """List the records, publications before all else; again where a projection is of none of these.

        That publication came after the first listing, or it is lost: if the next listing lacks it too, it is, and its
        number is not given away a second time.
        """
        known = 0
        while True:
            published = self.store.list(f"{self.prefix}publications/")
            listing = self.store.list(self.prefix)
            names = records.read_names(self.prefix, listing, publications=published, known=known)
            known = max(records.numbers_in(names.projected), default=0)
            if known <= names.last_number:
                self._forget_field(listing)
                return names

    def _forget_field(self, listing: Listing) -> None:
        """Have the record of the frozen field read again where it is another one, mended or frozen anew."""
        key = records.field_key(self.prefix)
        token = next((item.token for item in listing.objects if item.key == key), "")
        if self._tokens.get(key, token) != token:
            self._frozen.clear()
        self._tokens[key] = token

    def under(self, experiment: Experiment) -> PlateJob:
        """The same plate under what another declaration says, such as another recipe."""
        return PlateJob(
            self.store, self.raw, self.raw_folder, experiment, self.plate, self.maps, self.maps_folder, self.settle_s
        )

    def _read_manifest(self, listing: Listing) -> Asked:
        """What the upload's manifest asks for, and nothing to who is asked for by it."""
        key = f"{self.raw_folder}{MANIFEST}"
        found = next((item for item in listing.objects if item.key == key), None)
        if found is None or is_experimental(self.recipe):
            return Asked()
        if found.size > MAX_BYTES:
            return refuse_size(found.size)
        try:
            return read_manifest(self.raw.read(key, token=found.token), self.experiment)
        except (FileNotFoundError, ChangedObjectError):  # gone or replaced since it was listed: the next look tells
            return Asked()

    @property
    def arrivals(self) -> Arrivals:
        """The uploaded files as they were at the last look; none before the first."""
        return self._seen.get("arrivals") or Arrivals({}, ())

    def field_name(self, *, is_frozen: bool) -> str | None:
        """The plate's field of illumination as sites know it: its digest, ``AWAITED``, or ``None`` without correction.

        Raises
        ------
        StoredDataError
            If the record that freezes it is damaged.
        """
        if self.experiment.illumination.source == "none":
            return None
        return self.read_frozen()["digest"] if is_frozen else AWAITED

    def read_frozen(self) -> dict[str, Any]:
        """Read the record that freezes the plate's field; once, unless a look at the plate shows another one.

        Raises
        ------
        FileNotFoundError
            If no field is frozen yet.
        StoredDataError
            If it is damaged.
        """
        if not self._frozen:
            self._frozen.update(read_frozen(self.store, self.prefix))
        return self._frozen

    def read_plate_map(self) -> PlateMap:
        """Read what is in the plate's wells.

        Raises
        ------
        ConfigurationError
            If a plate map is at fault.
        """
        return read_plate_map(
            lambda name: self.maps.read(self.maps_folder + name),
            self.experiment,
            self.plate,
            lambda path: find_in_folder(self.raw, self.raw_folder, path, min_age_s=self.settle_s),
        )

    def read_pins(self) -> dict[str, Any]:
        """Read what is pinned for this plate; once, for pins never change.

        Raises
        ------
        FileNotFoundError
            If nothing is pinned yet.
        StoredDataError
            If the pins are damaged.
        """
        if not self._pinned:
            key = records.pins_key(self.prefix)
            self._pinned.update(read_record(self.store, key, PINS))
        return self._pinned

    def ensure_pins(self) -> dict[str, Any]:
        """Pin the recipe and all else that a site's values depend on, unless somebody did, and read the pins."""
        if not self._pinned:
            self.store.create(records.pins_key(self.prefix), to_json(self._fresh_pins()))
        return self.read_pins()

    def with_fresh_pins(self) -> PlateJob:
        """The same plate as if what experiment.yaml says now were pinned."""
        return replace(self, _pinned=self._fresh_pins())

    def write_fresh_pins(self) -> None:
        """Write in the place of damaged pins what experiment.yaml says now."""
        self.store.write(records.pins_key(self.prefix), to_json(self._fresh_pins()))
        self._pinned.clear()

    def write_frozen(self, record: dict[str, Any]) -> None:
        """Write in the place of a damaged record of the frozen field what it said."""
        self.store.write(records.field_key(self.prefix), to_json(record))
        self._frozen.clear()

    def _fresh_pins(self) -> dict[str, Any]:
        illumination = self.experiment.illumination.pixel_part()
        return {"recipe": self.recipe, "pixels": self.experiment.pixel_part(), "illumination": illumination}


def open_job(store: Store, experiment: str, plate: str, *, settle_s: float = SETTLE_S, recipe: str = "") -> PlateJob:
    """Open a plate whose images lie under ``raw/`` of the store.

    Parameters
    ----------
    store, experiment, plate
        Where the plate is.
    settle_s
        Age in seconds below which a local file is not there yet.
    recipe
        Name or id of a recipe; left out, the promoted one, or where none is that of experiment.yaml.
        An experimental one by its id.

    Raises
    ------
    RefusedNameError
        If a name cannot serve as a folder.
    ConfigurationError
        If the experiment is not declared, its declaration is at fault, or it has no such recipe.
    """
    check_name("experiment", experiment)
    book = open_recipes(store, open_experiment(store, experiment))
    if is_experimental(recipe):
        return _experimental_job(store, book, plate, recipe, settle_s)
    return plate_job(store, book.find(recipe), plate, settle_s=settle_s)


def _experimental_job(store: Store, book: RecipeBook, plate: str, recipe: str, settle_s: float) -> PlateJob:
    """Open a plate under what its upload's manifest asks for, if that is this recipe."""
    for each in find_plate_recipes(store, book, check_name("plate", plate)):
        job = plate_job(store, each.experiment, plate, settle_s=settle_s)
        asked = job.survey().asked
        if asked and asked.recipe_id == recipe:
            return job.under(asked)
    raise ConfigurationError(
        f"the plate's {MANIFEST} does not ask for the recipe {recipe}, or not any more",
        experiment=book.declared.name,
        plate=plate,
    )


def plate_job(store: Store, declared: Experiment, plate: str, *, settle_s: float = SETTLE_S) -> PlateJob:
    """Open a plate of an experiment that is read already.

    Raises
    ------
    RefusedNameError
        If the plate's name cannot serve as a folder.
    """
    check_name("plate", plate)
    maps_folder = experiment_key(declared.name).rpartition("/")[0] + "/"
    folder = raw_prefix(declared.name, plate)
    return PlateJob(store, store, folder, declared, plate, store, maps_folder, settle_s)


def open_experiment(store: Store, experiment: str) -> Experiment:
    """Read an experiment's declaration from the store.

    Raises
    ------
    ConfigurationError
        If there is none, it is at fault, or it names another experiment.
    """
    key = experiment_key(experiment)
    try:
        data = store.read(key)
    except FileNotFoundError as error:
        raise ConfigurationError(
            "the experiment is not declared in the store; put its experiment.yaml there (platestream init makes one)",
            experiment=experiment,
            key=key,
        ) from error
    declared = read_experiment(data, place=key)
    if declared.name != experiment:
        raise ConfigurationError(f"the file declares experiment {declared.name!r}; the folder must agree", key=key)
    return declared
