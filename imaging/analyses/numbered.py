"""Numbered records of an experiment's analyses: which recipe counts, and what a person decided about wells.

Both only grow: the last one that speaks of a thing counts, and whoever comes second of two at once looks again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imaging.analyses.analysis_records import analyses_folder, read_json
from imaging.columns import read_time
from imaging.errors import ConfigurationError, PlateError, StoredDataError
from imaging.names import to_json
from imaging.store import Store
from imaging.wells import parse_well

if TYPE_CHECKING:
    import pandas as pd

_RACES = 10
_NAME = re.compile(r"(\d{6,})[.]json")
CHOICES, DECISIONS = "_choices", "_decisions"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which analysis recipe counts from then on."""

    number: int
    recipe: str
    chosen_at: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about a well, or about all of a plate where ``well`` is empty."""

    number: int
    plate: str
    well: str
    excluded: bool
    by: str
    because: str
    decided_at: str


_SHAPES = {CHOICES: Choice, DECISIONS: Decision}
_CURES = {
    CHOICES: "platestream repair records it again",
    DECISIONS: "bring it back from a copy, or delete it and decide again by platestream exclude",
}


def read_choices(store: Store, experiment: str) -> list[Choice]:
    """Choices of the recipe that counts, the last one last.

    Raises
    ------
    StoredDataError
        If a record is damaged.
    """
    found = _read(store, experiment, CHOICES)
    return [Choice(item["number"], item["recipe"], item["chosen_at"]) for item in found]


def read_choice(store: Store, experiment: str, number: int) -> Choice:
    """One choice; errors as `read_choices`, also where it is gone."""
    item = _read_one(store, f"{analyses_folder(experiment)}{CHOICES}/{number:06d}.json", CHOICES)
    return Choice(item["number"], item["recipe"], item["chosen_at"])


def list_choices(store: Store, experiment: str) -> list[int]:
    """Numbers of the choices; none is read."""
    folder = f"{analyses_folder(experiment)}{CHOICES}/"
    return [
        int(match[1])
        for item in store.list(folder).objects
        if (match := _NAME.fullmatch(item.key.removeprefix(folder)))
    ]


def choose_recipe(store: Store, experiment: str, recipe: str) -> Choice:
    """Record that an analysis recipe counts, unless it does."""

    def make(found: list[dict[str, Any]]) -> dict[str, Any] | None:
        if found and found[-1]["recipe"] == recipe:
            return None
        return {"recipe": recipe, "chosen_at": _now()}

    item = _append(store, experiment, CHOICES, make)
    return Choice(item["number"], item["recipe"], item["chosen_at"])


def choice_row(experiment: str, choice: Choice) -> dict[str, Any]:
    """Row of the table ``analysis_choices``, but for ``is_current``."""
    return {
        "experiment": experiment,
        "number": choice.number,
        "analysis_recipe": choice.recipe,
        "chosen_at": read_time(choice.chosen_at),
    }


def read_decisions(store: Store, experiment: str) -> list[Decision]:
    """Decisions that count, one per plate and well, in their order.

    Raises
    ------
    StoredDataError
        If a record is damaged: what a person decided cannot be made again.
    """
    last = {(item["plate"], item["well"]): item for item in _read(store, experiment, DECISIONS)}
    return [Decision(**item) for _, item in sorted(last.items())]


def decide(store: Store, experiment: str, plate: str, well: str, *, excluded: bool, by: str, because: str) -> Decision:
    """Record that a well, or a plate, is left out of analyses or takes part whatever the rules say.

    Raises
    ------
    ConfigurationError
        Without a reason, or if the well is none.
    """
    if not because.strip():
        raise ConfigurationError("say why, by --because: it is recorded, and shown beside the result", plate=plate)
    try:
        well = str(parse_well(well)) if well else ""
    except ValueError as error:
        raise ConfigurationError(f"there is no well {well!r}: {error}", experiment=experiment, plate=plate) from error
    said = {"excluded": excluded, "by": by, "because": because}

    def make(found: list[dict[str, Any]]) -> dict[str, Any] | None:
        last = next((item for item in reversed(found) if (item["plate"], item["well"]) == (plate, well)), {})
        if {name: last.get(name) for name in said} == said:
            return None
        return {"plate": plate, "well": well, "decided_at": _now(), **said}

    _append(store, experiment, DECISIONS, make)
    return next(each for each in read_decisions(store, experiment) if (each.plate, each.well) == (plate, well))


def check_numbered(store: Store, experiment: str, kind: str) -> Iterator[tuple[str, bool]]:
    """Address of each record of a kind, and whether it can be read.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer.
    """
    for key in _keys(store, experiment, kind):
        try:
            _read_one(store, key, kind)
        except StoredDataError:
            yield key, False
        else:
            yield key, True


def decision_frame(decisions: list[Decision], experiment: str) -> pd.DataFrame:
    """Decisions as ``failures.find_failures`` takes them; an empty well means the plate."""
    import pandas as pd  # it takes a while, and queries read choices only

    columns = ["experiment", "plate", "well", "kind", "decided_by", "reason"]
    rows = [
        [experiment, item.plate, item.well, "excluded" if item.excluded else "kept", item.by, item.because]
        for item in decisions
    ]
    return pd.DataFrame(rows, columns=pd.Index(columns))


def _read(store: Store, experiment: str, kind: str) -> list[dict[str, Any]]:
    found = [_read_one(store, key, kind) for key in _keys(store, experiment, kind)]
    return sorted(found, key=lambda item: item["number"])


def _keys(store: Store, experiment: str, kind: str) -> list[str]:
    folder = f"{analyses_folder(experiment)}{kind}/"
    return [item.key for item in store.list(folder).objects if _NAME.fullmatch(item.key.removeprefix(folder))]


def _read_one(store: Store, key: str, kind: str) -> dict[str, Any]:
    found = read_json(store, key, cure=_CURES[kind])
    if set(found) != set(_SHAPES[kind].__slots__) or not isinstance(found["number"], int):
        raise StoredDataError(f"a record is damaged; {_CURES[kind]}", key=key)
    return found


def _append(
    store: Store, experiment: str, kind: str, make: Callable[[list[dict[str, Any]]], dict[str, Any] | None]
) -> dict[str, Any]:
    """Create the next record unless ``make`` has nothing to say; return the last one."""
    for _ in range(_RACES):
        found = _read(store, experiment, kind)
        content = make(found)
        if content is None:
            return found[-1]
        content["number"] = found[-1]["number"] + 1 if found else 1
        if store.create(f"{analyses_folder(experiment)}{kind}/{content['number']:06d}.json", to_json(content)):
            return content
    raise PlateError("others decide at the same time; look what counts", experiment=experiment)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
