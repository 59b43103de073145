"""Which publication of a plate is exported or read: the current one under the recipe asked for, promoted or declared.

What the default views show is what is taken: of several recipes the one that was promoted last and that the plate
has, never an experimental one. Where none was promoted, the declared recipe comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from imaging.acquisitions import decision_rows, list_decisions, read_decision
from imaging.errors import ConfigurationError, StoredDataError
from imaging.job import open_experiment
from imaging.names import check_name, is_experimental, plate_folders, results_prefix
from imaging.promotions import read_promotions
from imaging.publication_records import read_publications
from imaging.records import publication_key, publication_numbers
from imaging.store import Store

WITHDRAWN = "withdrawn"

_USED = ("status", "run", "published_at", "first_image_at", "tables")
"""What is kept of a publication's record."""
_READERS = 16
"""Plates whose records are read at once."""


@dataclass(frozen=True)
class Published:
    """The publication of a plate that is exported or read."""

    store: Store
    experiment: str
    plate: str
    recipe: str
    number: int
    record: Mapping[str, Any]

    def key(self, table: str) -> str:
        """Address of a table's Parquet file.

        Raises
        ------
        StoredDataError
            If the publication has no such table.
        """
        try:
            return self.record["tables"][table]
        except KeyError:
            message = f"the publication has no table {table}: it is of older software; publish the plate again"
            raise StoredDataError(message, experiment=self.experiment, plate=self.plate) from None


@dataclass(frozen=True)
class Selection:
    """Publications in the order of their plates, and what has to be said of the choice, one sentence each."""

    plates: tuple[Published, ...]
    remarks: tuple[str, ...] = ()


def select_plates(store: Store, experiment: str, plates: Sequence[str] = (), *, recipe: str = "") -> Selection:
    """Choose a publication of each plate.

    Parameters
    ----------
    store
        Where the results are.
    experiment
        Name of the experiment.
    plates
        Names of its plates; none means all that are published, and of a barcode's acquisitions the current one.
    recipe
        A recipe such as ``v1-3fa9c2d4``, or its name (``v1``). Left out, the one that is promoted, or else declared; a
        plate that has no results of it is taken under the recipe promoted before, or published last, and a remark says
        so.

    Raises
    ------
    ConfigurationError
        If a plate is not there or not published, or none is; all such plates are named.
    """
    check_name("experiment", experiment)
    there = plate_folders(store, experiment)
    set_aside = {} if plates else _set_aside(store, experiment)
    wanted = list(dict.fromkeys(check_name("plate", plate) for plate in plates)) or there
    ranks = {} if recipe else _ranks(store, experiment)
    wanted_recipe = max(ranks, key=ranks.__getitem__, default="")
    found: list[Published] = []
    remarks: list[str] = []
    problems: list[str] = []
    read = [plate for plate in wanted if plate in there and plate not in set_aside]
    with ThreadPoolExecutor(_READERS) as pool:
        found_of = pool.map(lambda plate: _publications(store, experiment, plate), read)
        publications = dict(zip(read, found_of, strict=True))
    for plate in wanted:
        if plate not in there:
            problems.append(f"{plate}: {_no_such_plate(plate, there)}")
            continue
        if plate in set_aside:
            remarks.append(f"{plate}: left out, as {set_aside[plate]} is the current acquisition of its barcode")
            continue
        published = [item for item in publications[plate] if _is_asked(item.recipe, recipe)]
        shown = [item for item in published if item.record["status"] != WITHDRAWN]
        if not shown:
            reason = _why_none(plate, is_withdrawn=bool(published), recipe=recipe)
            (problems if plates else remarks).append(reason)
            continue
        chosen = max(shown, key=lambda item: (ranks.get(item.recipe, -1), item.record["published_at"]))
        if chosen.recipe != wanted_recipe and (wanted_recipe or len(shown) > 1):
            remarks.append(_other_recipe(chosen, wanted_recipe))
        found.append(chosen)
    if problems or not found:
        nothing = "none of these plates is published" if plates else "nothing is published"
        message = "not all of these plates are published" if found else nothing
        reasons = problems or remarks or ["no plate of it is published; `platestream status` shows how far plates are"]
        raise ConfigurationError(message, tuple(reasons), experiment=experiment)
    return Selection(tuple(found), tuple(remarks))


def _set_aside(store: Store, experiment: str) -> dict[str, str]:
    """Acquisitions that are not the current one of their barcode, and which is."""
    last = {barcode: numbers[-1] for barcode, numbers in list_decisions(store, experiment).items()}
    rows = [row for item in last.items() for row in decision_rows(read_decision(store, experiment, *item))]
    return {row["plate"]: row["chosen"] for row in rows if not row["is_chosen"]}


def _ranks(store: Store, experiment: str) -> dict[str, int]:
    """Recipes that go before others, the higher the sooner: those promoted, or else the declared one.

    Where experiment.yaml is gone or at fault there is none: what is published can still be exported.
    """
    ranks: dict[str, int] = {}
    for promotion in read_promotions(store, experiment):
        for recipe, number in ((promotion.instead_of, promotion.number - 1), (promotion.recipe, promotion.number)):
            ranks[recipe] = max(number, ranks.get(recipe, -1))
    if ranks:
        return ranks
    try:
        return {open_experiment(store, experiment).recipe_id: 0}
    except ConfigurationError:
        return {}


def _publications(store: Store, experiment: str, plate: str) -> list[Published]:
    """The newest publication of a plate under each recipe."""
    found = []
    for recipe in store.list_folders(f"results/{experiment}/{plate}/"):
        prefix = results_prefix(experiment, plate, recipe)
        numbers = publication_numbers(prefix, store.list(f"{prefix}publications/"))
        if numbers:
            key = publication_key(prefix, numbers[-1])
            (record,) = read_publications(store, [key])
            # without its lists of manifests: those of thousands of plates are held at once
            kept = {name: record[name] for name in _USED if name in record}
            found.append(Published(store, experiment, plate, recipe, numbers[-1], kept))
    return found


def _is_asked(found: str, asked: str) -> bool:
    """Whether a recipe is the one that is asked for, by its whole name or without its hash; else any for production."""
    return asked in (found, found.rpartition("-")[0]) if asked else not is_experimental(found)


def _no_such_plate(plate: str, there: Sequence[str]) -> str:
    near = get_close_matches(plate, there, n=1)
    hint = f"; did you mean {near[0]}?" if near else "; `platestream status` shows the plates"
    return f"the experiment has no such plate{hint}"


def _why_none(plate: str, *, is_withdrawn: bool, recipe: str) -> str:
    under = f" under the recipe {recipe}" if recipe else ""
    if is_withdrawn:
        return f"{plate}: the plate is withdrawn{under}"
    return f"{plate}: the plate is not published{under or ' yet'}; `platestream status` shows how far it is"


def _other_recipe(chosen: Published, wanted: str) -> str:
    if wanted:
        return f"{chosen.plate}: not published under the recipe {wanted}, shown under {chosen.recipe}"
    return f"{chosen.plate}: published under several recipes, shown under the newest, {chosen.recipe}"
