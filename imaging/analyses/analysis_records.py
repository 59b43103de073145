"""The records of analyses: which analyses an experiment has, what they are made of, and which count.

Everything lies under ``results/<experiment>/_analyses/``:

    <recipe>/records/<number>.json         an analysis under a recipe, or its failure; the highest number is current
    <recipe>/attempts/<run>-<number>-<n>.json    the n-th time that it was begun; after the third it counts as failed
    <recipe>/data/...                      its tables, under fresh names, named by a record
    <recipe>/told/<number>.json            its pages are written and its messages noted; without it both are done again
    _choices/<number>.json                 which recipe counts from then on; the highest number is current
    _decisions/<number>.json               what a person decided about a well or a plate
    _plates/<name>.json, _plates/data/...  what was made of one plate alone (imaging.analyses.kept_plates)
    _tests/<recipe>.json                   p-values of the last analysis (imaging.analyses.kept_tests; rewritten)
    heartbeat.json                         somebody analyses the experiment (rewritten; means nothing else)
    page/                                  pages, which can be written again

A record is created only if absent, so of two at once one wins and the other deletes its tables and looks again. It is
never changed: superseded analyses can still be asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from imaging.columns import read_time
from imaging.errors import PlateError, StoredDataError
from imaging.listing import Listing
from imaging.names import check_name
from imaging.store import Store
from imaging.stored_records import Shape, parse_record

ANALYSED_STATUS, FAILED, DAMAGED = "analysed", "failed", "damaged"
PLATES = "_plates"
"""Folder of what is kept of single plates (``imaging.analyses.kept_plates``)."""
ATTEMPTS = 3
"""Times that an analysis is begun; one that never ended by then counts as failed."""
CURE = "the experiment is analysed anew at its next look, or by platestream analyse"
RECORD: Shape = {
    "number": int,
    "run": str,
    "status": str,
    "experiment": str,
    "recipe": str,
    "analysed_at": str,
    "publications": [[str]],
    "tables": {"*": {"key": str, "size_bytes": int}},
    "scores?": {},
    "notes?": [str],
    "reason?": str,
}
_READERS = 16
_RECORD = re.compile(r"(?P<recipe>[^/]+)/records/(?P<number>\d{6,})[.]json")
_TOLD = re.compile(r"(?P<recipe>[^/]+)/told/(?P<number>\d{6,})[.]json")
_ATTEMPT = re.compile(r"(?P<recipe>[^/]+)/attempts/(?P<run>[0-9a-f]+)-(?P<number>\d{6,})-(?P<attempt>\d+)[.]json")


def analyses_folder(experiment: str) -> str:
    """Folder of an experiment's analyses."""
    return f"results/{experiment}/_analyses/"


def record_key(experiment: str, recipe: str, number: int) -> str:
    """Address of the record of an analysis."""
    return f"{analyses_folder(experiment)}{recipe}/records/{number:06d}.json"


def attempt_key(experiment: str, recipe: str, run: str, number: int, attempt: int) -> str:
    """Address of the record that an analysis was begun."""
    return f"{analyses_folder(experiment)}{recipe}/attempts/{run}-{number:06d}-{attempt}.json"


def told_key(experiment: str, recipe: str, number: int) -> str:
    """Address of the record that an analysis was told of."""
    return f"{analyses_folder(experiment)}{recipe}/told/{number:06d}.json"


def heartbeat_key(experiment: str) -> str:
    """Address of the heartbeat of whoever analyses the experiment."""
    return f"{analyses_folder(experiment)}heartbeat.json"


@dataclass(frozen=True)
class AnalysisRecord:
    """The record of an analysis.

    Parameters
    ----------
    experiment, recipe, number
        The number counts from 1 under each recipe.
    run
        Name of the analysis: the hash of its publications and its recipe.
    status
        ``analysed``, ``failed``, or ``damaged`` where the record cannot be read.
    content
        All that it says.
    """

    experiment: str
    recipe: str
    number: int
    run: str
    status: str
    content: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """Why it failed; empty when it did not."""
        return self.content.get("reason") or ""

    @property
    def tables(self) -> dict[str, str]:
        """Addresses of its tables by name."""
        return {name: item["key"] for name, item in (self.content.get("tables") or {}).items()}

    @property
    def publications(self) -> list[list[str]]:
        """Plate, recipe and run of each publication that it is made of."""
        return self.content.get("publications") or []

    @property
    def key(self) -> str:
        """Its address."""
        return record_key(self.experiment, self.recipe, self.number)


@dataclass(frozen=True)
class Listed:
    """What the names under an experiment's folder of analyses say.

    Parameters
    ----------
    numbers
        Numbers of records by recipe, in order.
    attempts
        How often each analysis was begun, by recipe, run and number.
    sizes
        Size of each object by its address.
    told
        Recipe and number of each analysis that was told of.
    """

    experiment: str
    numbers: Mapping[str, tuple[int, ...]]
    attempts: Mapping[tuple[str, str, int], int]
    sizes: Mapping[str, int]
    told: frozenset[tuple[str, int]] = frozenset()

    def last(self, recipe: str) -> int:
        """The highest number under a recipe; 0 where there is none."""
        return self.numbers.get(recipe, (0,))[-1]

    def holds(self, record: AnalysisRecord) -> bool:
        """Whether all tables of a record are there, as long as they were."""
        tables = record.content.get("tables") or {}
        return all(self.sizes.get(item["key"]) == item["size_bytes"] for item in tables.values())


def list_analyses(store: Store, experiment: str) -> Listed:
    """List an experiment's analyses; none is read."""
    return sort_analyses(experiment, store.list(analyses_folder(experiment)))


def sort_analyses(experiment: str, listing: Listing) -> Listed:
    """What a listing of an experiment's folder of analyses, or of a part of it, says."""
    folder = analyses_folder(experiment)
    numbers: dict[str, list[int]] = {}
    attempts: dict[tuple[str, str, int], int] = {}
    told: set[tuple[str, int]] = set()
    for item in listing.objects:
        name = item.key.removeprefix(folder)
        if match := _RECORD.fullmatch(name):
            numbers.setdefault(match["recipe"], []).append(int(match["number"]))
        elif match := _TOLD.fullmatch(name):
            told.add((match["recipe"], int(match["number"])))
        elif match := _ATTEMPT.fullmatch(name):
            key = match["recipe"], match["run"], int(match["number"])
            attempts[key] = max(attempts.get(key, 0), int(match["attempt"]))
    found = {recipe: tuple(sorted(of_recipe)) for recipe, of_recipe in sorted(numbers.items())}
    sizes = {item.key: item.size for item in listing.objects}
    return Listed(experiment, found, attempts, sizes, frozenset(told))


def list_numbers(store: Store, experiment: str) -> dict[str, tuple[int, ...]]:
    """Numbers of the records under each recipe, in order; nothing else of the folder is listed."""
    folder = analyses_folder(experiment)
    found: dict[str, tuple[int, ...]] = {}
    for recipe in store.list_folders(folder):
        if not recipe.startswith("_"):
            listed = sort_analyses(experiment, store.list(f"{folder}{recipe}/records/"))
            found |= listed.numbers
    return found


def read_analyses(store: Store, listed: Listed, recipes: Iterable[str] | None = None) -> list[AnalysisRecord]:
    """Read records of analyses, by recipe and number; one that is damaged has that as its status.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer.
    """
    wanted = listed.numbers if recipes is None else {name: listed.numbers.get(name, ()) for name in recipes}
    places = [(recipe, number) for recipe, numbers in wanted.items() for number in numbers]
    with ThreadPoolExecutor(_READERS) as pool:
        return list(pool.map(lambda place: read_analysis(store, listed.experiment, *place), places))


def read_analysis(store: Store, experiment: str, recipe: str, number: int) -> AnalysisRecord:
    """Read the record of one analysis; errors as `read_analyses`."""
    key = record_key(experiment, recipe, number)
    try:
        content = parse_record(store.read(key), RECORD, key=key, cure=CURE)
        read_time(content["analysed_at"])
    except FileNotFoundError:
        return AnalysisRecord(experiment, recipe, number, "", DAMAGED, {"reason": f"the record is gone; {CURE}"})
    except (StoredDataError, ValueError) as error:
        reason = error.message if isinstance(error, PlateError) else f"the record has no time; {CURE}"
        return AnalysisRecord(experiment, recipe, number, "", DAMAGED, {"reason": reason})
    return AnalysisRecord(experiment, recipe, number, content["run"], content["status"], content)


def is_known(store: Store, experiment: str) -> bool:
    """Whether there is anything of an experiment under ``results/``: else nothing is to be written there.

    Raises
    ------
    RefusedNameError
        If the name could be none.
    """
    return bool(store.list_folders(f"results/{check_name('experiment', experiment)}/"))


def analysed_experiments(store: Store) -> list[str]:
    """Experiments that have a folder of analyses."""
    return [name for name in store.list_folders("results/") if "_analyses" in store.list_folders(f"results/{name}/")]


def analysis_row(record: AnalysisRecord) -> dict[str, Any]:
    """Row of the table ``analyses``, but for ``is_current``."""
    content = record.content
    at = content.get("analysed_at")
    return {
        "experiment": record.experiment,
        "analysis_recipe": record.recipe,
        "analysis": record.run or None,
        "number": record.number,
        "status": record.status,
        "reason": record.reason or None,
        "analysed_at": read_time(at) if at else None,
        "publications": [" ".join(item) for item in record.publications],
        **(content.get("scores") or {}),
        "notes": content.get("notes") or [],
    }


def read_json(store: Store, key: str, cure: str = CURE) -> dict[str, Any]:
    """Read a small record of an experiment; ``cure`` says what to do where it is damaged.

    Raises
    ------
    StoredDataError
        If it is gone or no record.
    """
    try:
        found = json.loads(store.read(key))
    except (FileNotFoundError, ValueError, RecursionError) as error:
        raise StoredDataError(f"a record of the analyses is gone or damaged; {cure}", key=key) from error
    if not isinstance(found, dict):
        raise StoredDataError(f"a record of the analyses is no record; {cure}", key=key)
    return found
