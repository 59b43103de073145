"""What a plate costs while it is followed, and the budgets that end new work.

Over a budget no new site is handed out; those in flight end, so a plate costs a few sites more than its budget. A plate
that is finished is published all the same.

Experimental results have a budget of their own, ``uploads.budget_usd`` of experiment.yaml. What they cost is in no sum
that ends the work of other plates, while they end with the day's budget of all.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self

from flows.settings import PREFIX, Settings
from imaging.cost_words import money_words
from imaging.costs import DAYS, Budget, CostBook, DayCosts, Spending, count_costs, day_key, read_book, write_book
from imaging.errors import PlateError
from imaging.job import PlateJob
from imaging.names import is_experimental
from imaging.planning import Plan
from imaging.store import Store

WRITE_EVERY_S = 10.0
"""Least seconds between two writings of a plate's costs: an object of a bucket takes one writing a second."""
COUNT_EVERY_S = 10.0
"""Least seconds between two counts where no budget asks for them."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Excess:
    """A budget that is used up: whose (``plate``, ``day`` or ``uploads``), USD spent and allowed."""

    of: Literal["plate", "day", "uploads"]
    spent: float
    limit: float

    def __str__(self) -> str:
        """Say what is used up and what to do, in one sentence."""
        said = f"{money_words(self.spent)} of {money_words(self.limit)} are spent"
        if self.of == "plate":
            return f"the plate's budget is used up ({said}), no new site is begun; raise {PREFIX}BUDGET_PER_PLATE"
        if self.of == "uploads":
            return (
                f"the day's budget of experimental results is used up ({said}), no new site is begun before 00:00 UTC; "
                "raise uploads.budget_usd in experiment.yaml to go on sooner"
            )
        return (
            f"the day's budget is used up ({said} by all plates), no new site is begun before 00:00 UTC; raise "
            f"{PREFIX}BUDGET_PER_DAY to go on sooner"
        )


class Budgets:
    """The budgets of the settings, against what plates of a store cost."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._budget = Budget(settings.budget_per_plate, settings.budget_per_day)
        self._days = DayCosts(store)

    def is_limited(self, job: PlateJob) -> bool:
        """Whether there is any budget for a plate."""
        return self._budget != Budget() or _uploads_budget(job) is not None

    def find_excess(self, job: PlateJob, book: CostBook) -> Excess | None:
        """Say which budget is used up: of uploads where it is theirs, the plate's, or that of all plates of the day."""
        own = _uploads_budget(job)
        if own is not None:
            spent_by_uploads = self._spent_today(job, book, _is_experimental_of(job)).cost
            if spent_by_uploads >= own:
                return Excess("uploads", spent_by_uploads, own)
        spent = Spending()
        if self._budget.per_day is not None:
            spent = self._spent_today(job, book, _any if is_experimental(job.recipe) else _is_no_experimental)
        found = self._budget.find_excess(book.total, spent)
        return Excess(*found) if found else None

    def _spent_today(self, job: PlateJob, book: CostBook, counts: Callable[[str], bool]) -> Spending:
        day = today()
        return book.on(day) + self._days.of(day, without=day_key(job, day), counts=counts)

    def refuse(self, job: PlateJob, plan: Plan) -> str:
        """Say why no run is to be woken for a plate's sites; empty where they may be done, or none is to be."""
        if not plan.todo or not self.is_limited(job):
            return ""
        book = count_costs(job.store, job.prefix, plan.records, read_book(job.store, job.prefix))
        return str(self.find_excess(job, book) or "")


def _uploads_budget(job: PlateJob) -> float | None:
    """USD that experimental results may cost on a day; ``None`` without a limit, and for any other recipe."""
    uploads = job.experiment.uploads
    return uploads.budget_usd if uploads and is_experimental(job.recipe) else None


def _any(key: str) -> bool:
    return True


def _is_no_experimental(key: str) -> bool:
    return not is_experimental(key)


def _is_experimental_of(job: PlateJob) -> Callable[[str], bool]:
    """Whether a part of a day, by its address, is that of experimental results of the same experiment."""
    folder = f"{DAYS}{today()}/{job.experiment.name}/"
    return lambda key: key.startswith(folder) and is_experimental(key)


class PlateCosts:
    """What one plate costs while it is followed; a context manager that writes the last count at its end.

    Parameters
    ----------
    job
        The plate.
    settings
        The budgets.

    Attributes
    ----------
    spent
        What the plate cost by the last look.
    excess
        The budget that was used up then while sites were left to do.
    """

    def __init__(self, job: PlateJob, settings: Settings) -> None:
        self.job = job
        self.spent = Spending()
        self.excess: Excess | None = None
        self._budgets = Budgets(job.store, settings)
        self._book, self._written = read_book(job.store, job.prefix), CostBook()
        self._counted_at = self._written_at = float("-inf")
        self._has_warned = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(PlateError):  # whoever follows or looks next counts again
            self._write()

    def refuse(self, plan: Plan) -> str:
        """Count what a look shows, and say why no further site may be begun; empty where one may, or none is left."""
        now = time.monotonic()
        if self._budgets.is_limited(self.job) or plan.is_publishable or now - self._counted_at >= COUNT_EVERY_S:
            self._book = count_costs(self.job.store, self.job.prefix, plan.records, self._book)
            self._counted_at, self.spent = now, self._book.total
        if now - self._written_at >= WRITE_EVERY_S:
            self._write()
        self.excess = self._budgets.find_excess(self.job, self._book) if plan.todo else None
        self._warn()
        return str(self.excess or "")

    def _write(self) -> None:
        if self._book != self._written:
            write_book(self.job, self._book, self._written)
            self._written = self._book
        self._written_at = time.monotonic()

    def _warn(self) -> None:
        """A budget that cannot be kept, because workers do not know their price, must not look as if it were."""
        if self.spent.unpriced and self._budgets.is_limited(self.job) and not self._has_warned:
            self._has_warned = True
            log.warning(
                "%s/%s: %d sites have no price, so no budget counts them; set %sPRICE_PER_WORKER_HOUR for the workers",
                self.job.experiment.name,
                self.job.plate,
                self.spent.unpriced,
                PREFIX,
            )


def today() -> str:
    """The day in UTC, e.g. ``2026-02-03``."""
    return datetime.now(UTC).date().isoformat()
