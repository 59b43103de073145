"""What people see of a plate while it is followed: its page and the pictures of its run, made by a thread of its own.

The follower hands over each look and goes on. The thread takes the newest, shows it when it differs from the last, and
rests ten times as long as that took: it keeps a core busy for a tenth of the time at most, however large the plate. A
page that cannot be written costs the run nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Self

import pyarrow as pa

from flows.artifacts import Reporter
from flows.budget import PlateCosts
from flows.report import QUALITY_TABLES, ProgressReport, report_overview, report_page, report_quality
from imaging.costs import Spending
from imaging.errors import PlateError
from imaging.job import PlateJob
from imaging.live_page import LivePage
from imaging.planning import Plan
from imaging.projection import read_table
from imaging.publication import Publication

EVERY_S, RESTS = 10.0, 10.0
"""Least seconds between two pages, and how many times as long as it worked the thread rests."""

_FAULTS = (PlateError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError)
"""What may go wrong with a page without ending the thread: records and pixels that are not what they should be."""

log = logging.getLogger(__name__)


class Display:
    """Shows one plate; a context manager that shows the last look at its end.

    Parameters
    ----------
    job
        The plate.
    reporter
        Where the run's pictures and tables go, if anywhere.
    costs
        What the plate costs, if that is counted.
    flush_s
        Seconds that the end may wait for the last page; after an error it does not wait.
    """

    def __init__(
        self, job: PlateJob, reporter: Reporter | None = None, *, costs: PlateCosts | None = None, flush_s: float = 5.0
    ) -> None:
        self.job, self.reporter, self.costs, self.flush_s = job, reporter, costs, flush_s
        self._progress = ProgressReport(reporter, job) if reporter else None
        self._page = LivePage(job)
        self._seen: Plan | None = None
        self._published: tuple[Plan, Publication] | None = None
        self._shown: tuple[object, ...] | None = None
        self._awake, self._hurry, self._is_over = threading.Event(), threading.Event(), False
        self._thread = threading.Thread(target=self._show_all, name="display", daemon=True)

    def __enter__(self) -> Self:
        if self.reporter:
            report_page(self.reporter, self.job)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over = True
        self._hurry.set()
        self._awake.set()
        if error[0] is None:
            self._thread.join(self.flush_s)

    def show(self, plan: Plan) -> None:
        """Take a look of the follower, report its progress, and leave the rest to the thread."""
        if self._progress:
            self._progress(plan)
        self._seen = plan
        self._awake.set()

    def show_published(self, plan: Plan, publication: Publication) -> None:
        """Take a publication, whose page is written already, and the plan that it holds; returns at once.

        It is shown without a rest before.
        """
        self._published = plan, publication
        self._hurry.set()
        self._awake.set()

    def _show_all(self) -> None:
        while True:
            self._awake.wait()
            self._awake.clear()
            is_last = self._is_over
            began = time.monotonic()
            try:
                self._show_newest()
            except _FAULTS as error:
                log.warning("the page of %s/%s was not written: %s", self.job.experiment.name, self.job.plate, error)
                self._awake.set()
            if is_last:
                return
            self._hurry.wait(rest_s(time.monotonic() - began))
            self._hurry.clear()

    def _show_newest(self) -> None:
        """Show what was handed over; what could not be shown is shown with the next round, unless there is newer."""
        published, plan = self._published, self._seen
        if published:
            self._report_publication(*published)
            if self._published is published:
                self._published = None
        spent, notice = self._costs()
        shown = (*_signature(plan), notice) if plan else None
        if plan and shown != self._shown and not self._page.is_published():
            tables = self._page.look(plan)
            if self._page.write(tables, spent=spent, notice=notice):
                self._shown = shown
                self._report(tables, "provisional")
        if self._seen is plan:
            self._seen = None

    def _costs(self) -> tuple[Spending | None, str]:
        """What the plate cost so far, and the budget that is used up, in words."""
        return (self.costs.spent, str(self.costs.excess or "")) if self.costs else (None, "")

    def _report_publication(self, plan: Plan, publication: Publication) -> None:
        if self.reporter:
            self._page.read_sites(plan)
            tables = {name: read_table(self.job, publication, name) for name in QUALITY_TABLES}
            self._report(tables, f"publication {publication.number}")

    def _report(self, tables: dict[str, pa.Table], standing: str) -> None:
        if self.reporter:
            report_quality(self.reporter, self.job, tables, standing)
            if self._page.has_pictures:
                report_overview(self.reporter, self._page.atlas, standing)


def rest_s(worked_s: float) -> float:
    """Seconds to rest after so many of work."""
    return max(EVERY_S, RESTS * worked_s)


def _signature(plan: Plan) -> tuple[object, ...]:
    """What a page shows of a plan."""
    return plan.sites, plan.unknown, plan.faulted
