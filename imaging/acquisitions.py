"""Plates that were measured more than once: which acquisition of a barcode is current, decided once and recorded.

An acquisition is one folder of ``raw/<experiment>/``; ``Experiment.barcode_of`` says which physical plate it shows.
Each decision is a record of its own, created if absent and never changed, and the highest number counts:

    results/<experiment>/_acquisitions/<barcode>/<number>.json

Whoever publishes a plate decides by the experiment's rule, also where only the rule is new; a person's choice stands
until a person chooses again, or gives the choice back to the rule. The rows of all acquisitions stay where they are;
views show the current.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from imaging.damage import CURES
from imaging.errors import ConfigurationError, StoredDataError
from imaging.experiment import DEFAULT_ACQUISITION, Experiment
from imaging.names import is_experimental, plate_folders, results_prefix, to_json
from imaging.records import publication_key, publication_numbers
from imaging.store import Store
from imaging.stored_records import ACQUISITIONS, PUBLICATION, read_record

Status = Literal["complete", "with-missing", "withdrawn"]

WITHDRAWN = "withdrawn"
_READERS = 16
_RACES = 10
_NUMBER = re.compile(r"(?P<barcode>[^/]+)/(?P<number>\d{6,})[.]json")


@dataclass(frozen=True, slots=True)
class Acquisition:
    """A published acquisition: the best status of its current publications, and the time of its first image.

    ``first_image_at`` is in Unix seconds: when the earliest of its images was written.
    """

    plate: str
    status: str
    first_image_at: float


@dataclass(frozen=True, slots=True)
class Choice:
    """Which acquisition is current, and why in words; ``decided_by`` is a person, or the rule."""

    plate: str
    reason: str
    decided_by: str


@dataclass(frozen=True, slots=True)
class ByHand:
    """What a person chose, who and why."""

    plate: str
    by: str
    because: str


def acquisitions_folder(experiment: str) -> str:
    """Folder of an experiment's decisions about acquisitions."""
    return f"results/{experiment}/_acquisitions/"


def decision_key(experiment: str, barcode: str, number: int) -> str:
    """Address of a decision by its barcode and number."""
    return f"{acquisitions_folder(experiment)}{barcode}/{number:06d}.json"


def choose_acquisition(found: Sequence[Acquisition], rule: str | None, by_hand: ByHand | None = None) -> Choice | None:
    """Choose the current one of a barcode's acquisitions.

    Parameters
    ----------
    found
        The published acquisitions; withdrawn ones are passed over.
    rule
        ``newest-complete``, ``first`` or ``by-hand``; ``None`` where none is declared: newest-complete.
    by_hand
        What a person chose; it stands whatever the rule says, unless that acquisition is gone or withdrawn.

    Returns
    -------
    The choice; ``None`` where there is no acquisition to choose.
    """
    ordered = sorted(
        (item for item in found if item.status != WITHDRAWN), key=lambda item: (item.first_image_at, item.plate)
    )
    if not ordered:
        return None
    plates = {item.plate for item in ordered}
    if by_hand and by_hand.plate in plates:
        return Choice(by_hand.plate, by_hand.because, by_hand.by)
    decided_by = f"the rule {rule or DEFAULT_ACQUISITION}"
    lost = f"{by_hand.plate}, chosen by {by_hand.by}, is withdrawn or gone; " if by_hand else ""
    chosen, reason = _by_rule(ordered, rule or DEFAULT_ACQUISITION)
    return Choice(chosen.plate, lost + reason, decided_by)


def _by_rule(ordered: Sequence[Acquisition], rule: str) -> tuple[Acquisition, str]:
    """The chosen one of acquisitions in the order of their first images, and why."""
    if len(ordered) == 1:
        return ordered[0], "it is the only acquisition"
    count = f"of {len(ordered)} acquisitions"
    if rule == "first":
        return ordered[0], f"it was imaged first {count}"
    if rule == "by-hand":
        return ordered[0], f"nobody has chosen one {count} yet, so the one imaged first stays"
    complete = [item for item in ordered if item.status == "complete"]
    if complete:
        which = "all" if len(complete) == len(ordered) else str(len(complete))
        return complete[-1], f"it was imaged last of those that are complete ({which} {count})"
    return ordered[-1], f"it was imaged last {count}, none of which is complete"


def first_image_at(manifests: Iterable[Mapping[str, Any]]) -> float | None:
    """When the earliest of the images of some sites was written, in Unix seconds; ``None`` without any image."""
    return min((image["modified"] for manifest in manifests for image in manifest["images"]), default=None)


def find_acquisitions(store: Store, experiment: Experiment, barcode: str) -> list[Acquisition]:
    """Look up the published acquisitions of a barcode, in the order of their names; damaged records are passed over."""
    plates = [name for name in plate_folders(store, experiment.name) if experiment.barcode_of(name) == barcode]
    with ThreadPoolExecutor(_READERS) as pool:
        found = pool.map(lambda plate: _look_up(store, experiment.name, plate), plates)
    return [item for item in found if item is not None]


def _look_up(store: Store, experiment: str, plate: str) -> Acquisition | None:
    """A plate as its current publications, one for each recipe, show it; ``None`` where there is none.

    Experimental results do not count: views never show them, so they must not make a plate the current acquisition.
    """
    records = []
    for recipe in store.list_folders(f"results/{experiment}/{plate}/"):
        if is_experimental(recipe):
            continue
        prefix = results_prefix(experiment, plate, recipe)
        numbers = publication_numbers(prefix, store.list(f"{prefix}publications/"))
        if numbers:
            with suppress(StoredDataError):
                records.append(_read_publication(store, publication_key(prefix, numbers[-1])))
    if not records:
        return None
    statuses = {record["status"] for record in records}
    status = next((item for item in ("complete", "with-missing") if item in statuses), WITHDRAWN)
    times = [record["first_image_at"] for record in records if record.get("first_image_at") is not None]
    published = [record["published_at"] for record in records]
    return Acquisition(plate, status, min(times or published))


def decide_acquisition(store: Store, experiment: Experiment, plate: str) -> dict[str, Any] | None:
    """Decide by the rule which acquisition of a plate's barcode is current, and record it if anything changed.

    Safe to repeat, to race and to be killed in: decisions are listed before the publications they rest on, so a
    decision never stands above one that knew more.

    Returns
    -------
    The decision that counts; ``None`` where the barcode has one acquisition only and nothing was ever decided.
    """
    return _decide(store, experiment, experiment.barcode_of(plate), _hand_of)


def choose_by_hand(store: Store, experiment: Experiment, plate: str, *, by: str, because: str) -> dict[str, Any]:
    """Record that a person chose an acquisition.

    Raises
    ------
    ConfigurationError
        If the acquisition has no publication that counts, or no reason is given.
    """
    barcode = experiment.barcode_of(plate)
    if not because.strip():
        raise ConfigurationError("say why this acquisition is the right one, with --because")
    found = find_acquisitions(store, experiment, barcode)
    if plate not in {item.plate for item in found if item.status != WITHDRAWN}:
        others = ", ".join(item.plate for item in found if item.status != WITHDRAWN)
        known = f"; published acquisitions of {barcode}: {others}" if others else "; publish it first"
        raise ConfigurationError(
            f"this acquisition has no publication that counts{known}", experiment=experiment.name, plate=plate
        )
    chosen = ByHand(plate, by, because.strip())
    return _decide(store, experiment, barcode, lambda last: chosen, must_record=True) or {}


def return_to_rule(store: Store, experiment: Experiment, plate: str) -> dict[str, Any] | None:
    """Forget what a person chose for a plate's barcode: the rule decides again."""
    return _decide(store, experiment, experiment.barcode_of(plate), lambda last: None)


def _decide(
    store: Store,
    experiment: Experiment,
    barcode: str,
    hand: Callable[[dict[str, Any] | None], ByHand | None],
    *,
    must_record: bool = False,
) -> dict[str, Any] | None:
    for _ in range(_RACES):
        number, last = _last_decision(store, experiment.name, barcode)
        found = find_acquisitions(store, experiment, barcode)
        if last is None and len(found) < 2 and not must_record:
            return None
        by_hand = hand(last)
        choice = choose_acquisition(found, experiment.current_acquisition, by_hand)
        if choice is None:
            return last
        record = _record(experiment, barcode, number + 1, found, choice, by_hand)
        if last is not None and _says_same(last, record):
            return last
        if store.create(decision_key(experiment.name, barcode, number + 1), to_json(record)):
            return record
    raise StoredDataError(
        f"others decide about the acquisitions of {barcode} all the time; try again later", experiment=experiment.name
    )


def _record(
    experiment: Experiment,
    barcode: str,
    number: int,
    found: Iterable[Acquisition],
    choice: Choice,
    by_hand: ByHand | None,
) -> dict[str, Any]:
    listed = [
        {"plate": item.plate, "status": item.status, "first_image_at": item.first_image_at}
        for item in sorted(found, key=lambda item: (item.first_image_at, item.plate))
    ]
    return {
        "experiment": experiment.name,
        "barcode": barcode,
        "number": number,
        "plate": choice.plate,
        "reason": choice.reason,
        "decided_by": choice.decided_by,
        "decided_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "rule": experiment.current_acquisition,
        "by_hand": {"plate": by_hand.plate, "by": by_hand.by, "because": by_hand.because} if by_hand else None,
        "acquisitions": listed,
    }


def _says_same(last: dict[str, Any], record: dict[str, Any]) -> bool:
    names = ("plate", "reason", "decided_by", "rule", "by_hand", "acquisitions")
    return all(last.get(name) == record[name] for name in names)


def _hand_of(last: dict[str, Any] | None) -> ByHand | None:
    given = (last or {}).get("by_hand")
    return ByHand(given["plate"], given["by"], given["because"]) if given else None


def _last_decision(store: Store, experiment: str, barcode: str) -> tuple[int, dict[str, Any] | None]:
    folder = acquisitions_folder(experiment)
    numbers = _numbers(folder, (item.key for item in store.list(f"{folder}{barcode}/").objects)).get(barcode, [])
    last = max(numbers, default=0)
    return last, _read(store, decision_key(experiment, barcode, last)) if last else None


def list_decisions(store: Store, experiment: str) -> dict[str, list[int]]:
    """Numbers of all decisions of an experiment, in order, by barcode."""
    folder = acquisitions_folder(experiment)
    return _numbers(folder, (item.key for item in store.list(folder).objects))


def _numbers(folder: str, keys: Iterable[str]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for key in keys:
        if match := _NUMBER.fullmatch(key.removeprefix(folder)):
            found.setdefault(match["barcode"], []).append(int(match["number"]))
    return {barcode: sorted(numbers) for barcode, numbers in found.items()}


def read_decision(store: Store, experiment: str, barcode: str, number: int) -> dict[str, Any]:
    """Read a decision by its barcode and number.

    Raises
    ------
    StoredDataError
        If it is gone or damaged.
    """
    return _read(store, decision_key(experiment, barcode, number))


def decision_rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table ``acquisition_decisions`` of one decision: one for each acquisition that it knew."""
    shared = {name: record[name] for name in ("experiment", "barcode", "number", "reason", "decided_by", "decided_at")}
    warning = _warning(record)
    return [
        shared
        | {
            "plate": item["plate"],
            "is_chosen": item["plate"] == record["plate"],
            "chosen": record["plate"],
            "status": item["status"],
            "first_image_at": item.get("first_image_at"),
            "acquisitions": len(record["acquisitions"]),
            "warning": warning,
        }
        for item in record["acquisitions"]
    ]


def _warning(record: dict[str, Any]) -> str | None:
    """What a person should look at: a choice that nobody made, or that others came after."""
    several = len(record["acquisitions"]) > 1
    if several and record["rule"] is None and not record["by_hand"]:
        return (
            f"{len(record['acquisitions'])} acquisitions have the barcode {record['barcode']} and experiment.yaml has "
            "no current_acquisition: the newest complete one is shown"
        )
    if several and record["rule"] == "by-hand" and not record["by_hand"]:
        return f"nobody has chosen an acquisition of {record['barcode']} yet: platestream choose"
    return None


def _read(store: Store, key: str) -> dict[str, Any]:
    try:
        return read_record(store, key, ACQUISITIONS, cure=CURES["acquisition"])
    except FileNotFoundError as error:
        raise StoredDataError(f"the record is gone; {CURES['acquisition']}", key=key) from error


def _read_publication(store: Store, key: str) -> dict[str, Any]:
    """A publication's record, with its moment in Unix seconds."""
    try:
        record = read_record(store, key, {**PUBLICATION, "published_at": str, "first_image_at?": float})
        return record | {"published_at": datetime.fromisoformat(record["published_at"]).timestamp()}
    except (FileNotFoundError, ValueError) as error:
        raise StoredDataError("the record is gone or damaged", key=key) from error
