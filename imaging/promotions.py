"""Promotions: numbered records that say which recipe of an experiment its plates are shown and processed under.

    experiments/<experiment>/promotions/<number>.json

A record is created only if absent, so of two at once one wins and the other looks again. It holds the whole recipe: a
file that is edited afterwards changes nothing until it is promoted too. To go back, the former recipe is promoted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from imaging.columns import read_time
from imaging.damage import CURES
from imaging.errors import PlateError, StoredDataError
from imaging.experiment import Experiment
from imaging.names import to_json
from imaging.store import Store, StoredObject
from imaging.stored_records import Shape, parse_record

_RECORD = re.compile(r"(\d{6,})[.]json")
_RACES = 10
_SHAPE: Shape = {
    "number": int,
    "recipe": str,
    "name": str,
    "instead_of": str,
    "because": str,
    "promoted_at": str,
    "declared": {},
}


@dataclass(frozen=True, slots=True)
class Promotion:
    """One record.

    Parameters
    ----------
    number
        Promotions of an experiment count from 1; the last counts.
    recipe, name
        The recipe's id, such as ``v2-3fa9c2d4``, and its name.
    instead_of
        Id of the recipe that plates were processed under before.
    because, promoted_at
        Why, in somebody's words, and when (UTC).
    declared
        The recipe section, whole.
    """

    number: int
    recipe: str
    name: str
    instead_of: str
    because: str
    promoted_at: str
    declared: dict[str, Any]


def promotions_folder(experiment: str) -> str:
    """Folder of an experiment's promotions."""
    return f"experiments/{experiment}/promotions/"


def read_promotions(store: Store, experiment: str) -> tuple[Promotion, ...]:
    """Read an experiment's promotions, the last one last.

    Raises
    ------
    StoredDataError
        If a record is damaged.
    """
    keys = [item.key for item in list_promotions(store, experiment)]
    return tuple(sorted((_read(store, key) for key in keys), key=lambda promotion: promotion.number))


def list_promotions(store: Store, experiment: str) -> list[StoredObject]:
    """List the records of an experiment's promotions; none is read."""
    folder = promotions_folder(experiment)
    return [item for item in store.list(folder).objects if _RECORD.fullmatch(item.key.removeprefix(folder))]


def promotion_row(experiment: str, promotion: Promotion) -> dict[str, Any]:
    """Row of the table ``promotions``, but for ``is_current``."""
    shown = {name: getattr(promotion, name) for name in ("number", "recipe", "instead_of", "because")}
    return {"experiment": experiment, **shown, "promoted_at": read_time(promotion.promoted_at)}


def _read(store: Store, key: str) -> Promotion:
    try:
        record = parse_record(store.read(key), _SHAPE, key=key, cure=CURES["promotion"])
        read_time(record["promoted_at"])
        return Promotion(**{name: record[name] for name in Promotion.__slots__})
    except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoredDataError(f"the record of a promotion is gone or damaged; {CURES['promotion']}", key=key) from error


def record_promotion(store: Store, chosen: Experiment, *, instead_of: str, because: str = "") -> tuple[Promotion, bool]:
    """Record that an experiment's plates are shown and processed under a recipe, unless that is so.

    Parameters
    ----------
    store
        Where the experiment is.
    chosen
        The experiment with the recipe that is promoted.
    instead_of
        Id of the recipe that plates are processed under where there is no promotion yet.
    because
        Why, in a few words.

    Returns
    -------
    The promotion that counts, and whether it is new.

    Raises
    ------
    PlateError
        If others promote recipes all the time.
    """
    for _ in range(_RACES):
        earlier = read_promotions(store, chosen.name)
        last = earlier[-1] if earlier else None
        if last and last.recipe == chosen.recipe_id:
            return last, False
        promotion = Promotion(
            number=last.number + 1 if last else 1,
            recipe=chosen.recipe_id,
            name=chosen.recipe.name,
            instead_of=last.recipe if last else instead_of,
            because=because,
            promoted_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            declared=chosen.recipe.model_dump(mode="json", exclude_unset=True),
        )
        record = {"experiment": chosen.name, **{name: getattr(promotion, name) for name in Promotion.__slots__}}
        if store.create(f"{promotions_folder(chosen.name)}{promotion.number:06d}.json", to_json(record)):
            return promotion, True
    raise PlateError("others promote recipes at the same time; look which one counts", experiment=chosen.name)
