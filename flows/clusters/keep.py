"""Keeps a cluster at the size that its work asks for, for as long as it runs.

Dask's own adaptive scaling can stop for good after a preemption. Here each look stands for itself: what went wrong in
one is logged once, and the next one begins anew.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from flows.clusters.alerts import NoProgress
from flows.clusters.contract import Cluster
from flows.clusters.demand import Demand
from flows.clusters.look import Look
from flows.events import emit
from flows.settings import Settings
from imaging.errors import MissingPartError

log = logging.getLogger(__name__)


class Keeper:
    """Looks at a cluster's work and sets its number of workers.

    Parameters
    ----------
    cluster
        The cluster.
    ask
        Asks its scheduler; raises MissingPartError when that does not answer.
    settings
        For how long workers are kept without work or progress, and where alerts go.
    """

    def __init__(self, cluster: Cluster, ask: Callable[[], Look], settings: Settings) -> None:
        self.cluster, self.ask, self.settings = cluster, ask, settings
        self._demand: Demand | None = None
        self._busy: dict[str, int] = {}
        self._fault = ""
        self._is_alerted = False

    def look(self) -> None:
        """Look once; never raises because of what does not answer."""
        try:
            self._scale(self._wanted(time.monotonic()))
        except MissingPartError as error:
            self._tell_fault(str(error))
        else:
            self._tell_fault("")

    def let_go(self) -> None:
        """Go down to the floor, for nobody looks after the workers from now on."""
        try:
            # also where so many are there already: more may have been asked for and not have come yet
            self.cluster.scale(self.cluster.size.floor, self._busy)
        except MissingPartError as error:
            log.error("workers may be left: %s", error)

    def _wanted(self, now: float) -> int:
        if self._demand is None:
            times = {"idle_s": self.settings.idle_s, "no_progress_s": self.settings.no_progress_s}
            self._demand = Demand(self.cluster.size, self.cluster.count(), now=now, **times)
        try:
            look = self.ask()
        except MissingPartError:
            if self._demand.has_no_scheduler(now):
                self._scale(self.cluster.size.floor)
            raise
        self._busy = look.busy
        number = self._demand.number(look, now)
        if self._demand.is_stuck and not self._is_alerted:
            self._alert(look)
        self._is_alerted = self._demand.is_stuck
        return number

    def _scale(self, number: int) -> None:
        before = self.cluster.count()
        if number != before:
            log.info("%d workers instead of %d", number, before)
            self.cluster.scale(number, self._busy)

    def _alert(self, look: Look) -> None:
        settings = self.settings
        event = NoProgress(
            self.cluster.address, settings.environment, look.in_hand, look.waiting, settings.no_progress_s / 60
        )
        log.error("%s", event)
        try:
            emit(settings.api_url, event, auth=settings.auth)
        except MissingPartError as error:
            log.warning("%s", error)

    def _tell_fault(self, fault: str) -> None:
        if fault and fault != self._fault:
            log.warning("%s; looking again", fault)
        elif self._fault and not fault:
            log.info("all well again")
        self._fault = fault
