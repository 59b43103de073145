"""What plates cost: machine seconds and USD, counted from the manifests of their sites, by the day of the work.

    results/<experiment>/<plate>/<recipe>/costs.json          of one plate, and which manifests are counted in it
    costs/<day>/<experiment>/<plate>/<recipe>.json            its part of a day (UTC), for the sum of all plates

Both are projections, written again by whoever follows the plate from what the manifests say, not from what it did
itself: two followers write the same. A manifest is read once, and what was paid stays counted when its site is measured
again. What ended without a manifest (a killed worker, a site that failed) is in no manifest, and in no sum.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from imaging.errors import StoredDataError
from imaging.job import PlateJob
from imaging.names import to_json
from imaging.planning import Plan
from imaging.records import Records
from imaging.store import Store, StoredObject
from imaging.stored_records import PROVENANCE, read_record

DAYS = "costs/"
_READERS = 16
_DAMAGED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What comes of reading costs that are none."""


@dataclass(frozen=True, slots=True)
class Spending:
    """Sites measured, the worker seconds that took, the USD of those with a price, and how many have none."""

    sites: int = 0
    machine_seconds: float = 0.0
    cost: float = 0.0
    unpriced: int = 0

    def __add__(self, other: Spending) -> Spending:
        """Both together."""
        return Spending(
            self.sites + other.sites,
            round(self.machine_seconds + other.machine_seconds, 4),
            round(self.cost + other.cost, 8),
            self.unpriced + other.unpriced,
        )

    @property
    def has_price(self) -> bool:
        """Whether any site has a price."""
        return self.sites > self.unpriced

    @property
    def cost_per_site(self) -> float | None:
        """USD of a site, the mean of those with a price; ``None`` where none has one."""
        return self.cost / (self.sites - self.unpriced) if self.has_price else None

    def estimate(self, open_sites: int) -> float | None:
        """USD of the whole plate when so many more sites cost what those measured did; ``None`` without a price."""
        return None if self.cost_per_site is None else self.cost + open_sites * self.cost_per_site


NOTHING = Spending()


def spending_of(provenance: Mapping[str, Any]) -> Spending:
    """What one site took, by what its manifest or its row of ``site_runs`` says; before prices, time alone."""
    seconds = provenance.get("machine_seconds")
    if seconds is None:
        seconds = provenance.get("seconds") or 0.0
    cost = provenance.get("cost")
    return Spending(1, seconds, cost or 0.0, int(cost is None))


def add_up(parts: Iterable[Spending]) -> Spending:
    """All together."""
    return sum(parts, NOTHING)


def sum_costs(rows: Iterable[Mapping[str, Any]]) -> dict[str, Spending]:
    """Add up what plates cost, by experiment, as rows of the status say it."""
    found: dict[str, Spending] = {}
    for row in rows:
        if row.get("sites_measured"):
            part = Spending(row["sites_measured"], row["machine_seconds"], row["cost"] or 0.0, row["sites_unpriced"])
            found[row["experiment"]] = found.get(row["experiment"], Spending()) + part
    return found


def day_of(provenance: Mapping[str, Any]) -> str:
    """The day (UTC) that a site's work began on, e.g. ``2026-02-03``."""
    day = str(provenance.get("started_at"))[:10]
    return day if re.fullmatch(r"\d{4}-\d\d-\d\d", day) else "unknown"


@dataclass(frozen=True)
class CostBook:
    """What one plate cost on each day, and the manifests counted, ``sites/<name>`` or ``previews/<name>``."""

    days: dict[str, Spending] = field(default_factory=dict)
    counted: frozenset[str] = frozenset()

    @property
    def total(self) -> Spending:
        """All days together."""
        return add_up(self.days.values())

    def on(self, day: str) -> Spending:
        """One day's part."""
        return self.days.get(day, NOTHING)


def book_key(prefix: str) -> str:
    """Address of a plate's costs."""
    return f"{prefix}costs.json"


def day_key(job: PlateJob, day: str) -> str:
    """Address of a plate's part of a day."""
    return f"{DAYS}{day}/{job.experiment.name}/{job.plate}/{job.recipe}.json"


def read_book(store: Store, prefix: str) -> CostBook:
    """Read what is counted already; nothing where there is no such file, or a damaged one: then all is counted anew."""
    try:
        record = json.loads(store.read(book_key(prefix)))
        return CostBook(_days(record), frozenset(record["counted"]))
    except (FileNotFoundError, *_DAMAGED):
        return CostBook()


def count_costs(store: Store, prefix: str, records: Records, book: CostBook) -> CostBook:
    """Count the manifests that are not in a book yet.

    Parameters
    ----------
    store, prefix
        Where the plate's records are.
    records
        Their names.
    book
        What is counted already.
    """
    listed = {f"sites/{name}" for name in records.manifests} | {f"previews/{name}" for name in records.previews}
    new = sorted(listed - book.counted)
    if not new:
        return book

    def read(name: str) -> Mapping[str, Any] | None:
        try:
            return read_record(store, f"{prefix}{name}.json", {"provenance?": PROVENANCE}).get("provenance") or {}
        except (FileNotFoundError, StoredDataError):  # a publisher disowned it, or finds out that it is damaged
            return None

    days, counted = dict(book.days), set(book.counted)
    with ThreadPoolExecutor(_READERS) as pool:
        for name, provenance in zip(new, pool.map(read, new), strict=True):
            if provenance is not None:
                days[day_of(provenance)] = days.get(day_of(provenance), NOTHING) + spending_of(provenance)
                counted.add(name)
    return CostBook(days, frozenset(counted))


def write_book(job: PlateJob, book: CostBook, before: CostBook) -> None:
    """Write what changed: the days first, so that who is killed in between leaves a book that is counted on from."""
    for day, spent in sorted(book.days.items()):
        if spent != before.on(day):
            job.store.write(day_key(job, day), to_json({**_place(job), "day": day, **asdict(spent)}))
    if book != before:
        days = {day: asdict(spent) for day, spent in book.days.items()}
        record = {**_place(job), "days": days, "counted": sorted(book.counted)}
        job.store.write(book_key(job.prefix), to_json(record))


def plate_costs(job: PlateJob, plan: Plan) -> Spending:
    """What a plate cost so far, by its book and the manifests that are not in it yet."""
    return count_costs(job.store, job.prefix, plan.records, read_book(job.store, job.prefix)).total


class DayCosts:
    """What all plates of a store cost on a day: each plate's part is read when it changed.

    Parameters
    ----------
    store
        Where the parts are.
    age_s
        Seconds that a sum is good for.
    """

    def __init__(self, store: Store, *, age_s: float = 5.0) -> None:
        self._store, self._age_s = store, age_s
        self._read: dict[str, tuple[str, Spending]] = {}
        self._read_as, self._read_at = "", 0.0

    def of(self, day: str, *, without: str = "", counts: Callable[[str], bool] = lambda key: True) -> Spending:
        """Plates' parts of a day together, those whose address counts; ``without`` is that of one that is left out."""
        if day != self._read_as or time.monotonic() - self._read_at >= self._age_s:
            self._look(day)
            self._read_as, self._read_at = day, time.monotonic()
        return add_up(spent for key, (_, spent) in self._read.items() if key != without and counts(key))

    def _look(self, day: str) -> None:
        listed = [item for item in self._store.list(f"{DAYS}{day}/").objects if item.key.endswith(".json")]
        self._read = {item.key: self._read[item.key] for item in listed if item.key in self._read}
        changed = [item for item in listed if self._read.get(item.key, ("",))[0] != item.token]
        with ThreadPoolExecutor(_READERS) as pool:
            for item, spent in zip(changed, pool.map(self._read_part, changed), strict=True):
                self._read[item.key] = item.token, spent

    def _read_part(self, item: StoredObject) -> Spending:
        try:
            return _spending(json.loads(self._store.read(item.key)))
        except (FileNotFoundError, *_DAMAGED):  # its plate's follower writes it again
            return NOTHING


def _days(record: Mapping[str, Any]) -> dict[str, Spending]:
    return {day: _spending(part) for day, part in record["days"].items()}


def _spending(part: Mapping[str, Any]) -> Spending:
    return Spending(int(part["sites"]), float(part["machine_seconds"]), float(part["cost"]), int(part["unpriced"]))


def _place(job: PlateJob) -> dict[str, Any]:
    return {"experiment": job.experiment.name, "plate": job.plate, "recipe": job.recipe}


@dataclass(frozen=True, slots=True)
class Budget:
    """USD that one plate, and all plates on one day (UTC), may cost; ``None`` is no limit."""

    per_plate: float | None = None
    per_day: float | None = None

    def find_excess(self, plate: Spending, day: Spending) -> tuple[Literal["plate", "day"], float, float] | None:
        """Which budget is used up, ``plate`` before ``day``: its name, what was spent, and the limit in USD."""
        if self.per_plate is not None and plate.cost >= self.per_plate:
            return "plate", plate.cost, self.per_plate
        if self.per_day is not None and day.cost >= self.per_day:
            return "day", day.cost, self.per_day
        return None
