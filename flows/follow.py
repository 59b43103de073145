"""Following one plate: look, hand ready sites to the cluster, take back what ended, until nothing is left to do.

A follower holds nothing that is not in the store: kill it, start two, start it again tomorrow.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from distributed import Future, KilledWorker

from flows.sites import measure_site
from imaging.arrival_check import ArrivalCheck
from imaging.errors import CrashedSiteError, PlacementError, PlateError
from imaging.job import PlateJob
from imaging.planning import Plan, SitePlan
from imaging.records import heartbeat_key
from imaging.site import SiteTask
from imaging.steps import beat, decide_due, plan_work, record_attempt, site_task, stop_beating

TICK_S = 0.1
BACK_OFF_S = 5.0

log = logging.getLogger(__name__)


class Cluster(Protocol):
    """What a follower needs of a cluster (``flows.compute.Compute``)."""

    @property
    def workers(self) -> int:
        """Number of workers now."""
        ...

    def submit(self, function: Callable[..., object], *args: object, key: str, priority: int = 0) -> Future:
        """Start a task under a key, those of higher priority first; the same key anywhere shares its result."""
        ...

    def ensure_connected(self) -> bool:
        """Reconnect if the scheduler went away; ``False`` when what was in flight is lost."""
        ...


@dataclass
class _InFlight:
    future: Future
    site: SitePlan


@dataclass
class Follower:
    """Follows one plate on one cluster.

    Parameters
    ----------
    job
        The plate.
    cluster
        Where sites are processed.
    name
        Who follows, for the heartbeat: the flow run's id.
    linger_s
        How long nothing may happen before the follower is finished.
    relist_s
        How often files and records are listed, in seconds.
    heartbeat_s
        How often the heartbeat is written, in seconds.
    sites_in_flight
        Sites handed to each worker at a time.
    on_look
        Called with each new plan, for progress.
    refuse
        Called with each new plan: says why no further site may be handed out, such as a budget; empty where one may.
    priority
        Of the plate's sites on the cluster: those of a higher one go first, whoever came first.
    """

    job: PlateJob
    cluster: Cluster
    name: str
    linger_s: float = 60.0
    relist_s: float = 1.0
    heartbeat_s: float = 30.0
    sites_in_flight: int = 3
    on_look: Callable[[Plan], None] = lambda plan: None
    refuse: Callable[[Plan], str] = lambda plan: ""
    priority: int = 0
    refusal: str = ""
    plan: Plan | None = None
    finished_sites: int = 0
    _in_flight: dict[str, _InFlight] = field(default_factory=dict)
    _waiting: deque[SitePlan] = field(default_factory=deque)
    _not_before: dict[str, float] = field(default_factory=dict)
    _looked_at: float = 0.0
    _changed_at: float = field(default_factory=time.monotonic)
    _told: set[str] = field(default_factory=set)
    _beaten: tuple[float, float] | None = None
    _published: tuple[object, ...] | None = None
    _ended_one: threading.Event = field(default_factory=threading.Event)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _checking: concurrent.futures.Future[int] | None = None

    def __post_init__(self) -> None:
        self._check = ArrivalCheck(self.job)
        self._side = concurrent.futures.ThreadPoolExecutor(1, "arrivals")

    def __enter__(self) -> Self:
        """Say that somebody follows the plate, and go on saying so, also while it is being published."""
        self._beat()
        self._heart = threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True)
        self._heart.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Give up what is in flight (whoever else waits for it keeps it) and stop the heartbeat."""
        for item in self._in_flight.values():
            item.future.release()
        self._in_flight.clear()
        self._side.shutdown(cancel_futures=True)
        self._is_over.set()
        self._heart.join()
        with contextlib.suppress(PlateError):  # the store is out of order, and the last heartbeat gets old by itself
            stop_beating(self.job)

    def _beat(self) -> None:
        """Write the heartbeat, and learn from it what time it is for the store."""
        beat(self.job, self.name)
        beaten_at = self.job.store.modified(heartbeat_key(self.job.prefix))
        if beaten_at is not None:
            self._beaten = beaten_at, time.monotonic()

    def _now(self) -> float:
        """The time by the store's clock, which images get theirs from: patience must not end because ours is ahead."""
        beaten_at, then = self._beaten or (time.time(), time.monotonic())
        return beaten_at + time.monotonic() - then

    def _keep_beating(self) -> None:
        while not self._is_over.wait(self.heartbeat_s):
            with contextlib.suppress(PlateError):  # the store is out of order; whoever is woken meanwhile does no harm
                self._beat()

    def measure(self, sites: int) -> Plan:
        """Go on until so many more sites ended, or the plate can be published, or the follower is idle or stopped."""
        goal = self.finished_sites + sites
        while True:
            plan = self._step()
            is_over = self.finished_sites >= goal or self.is_idle or self.is_stopped
            if is_over or (plan.is_publishable and not self.is_published):
                return plan
            self._ended_one.wait(TICK_S)
            self._ended_one.clear()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be done and nothing came for ``linger_s``."""
        if self.plan is None or self._in_flight or self.plan.todo or self._is_checking:
            return False
        return time.monotonic() - self._changed_at >= self.linger_s

    @property
    def is_stopped(self) -> bool:
        """Whether no further site may be handed out, and those that were have ended."""
        return bool(self.refusal) and not self._in_flight

    @property
    def is_published(self) -> bool:
        """Whether the plan at hand was published by this follower's owner."""
        return self.plan is not None and self._signature(self.plan) == self._published

    def note_published(self) -> None:
        """Take note that the plan at hand is published."""
        self._published = self._signature(self.plan) if self.plan else None

    def _signature(self, plan: Plan) -> tuple[object, ...]:
        return (tuple(site.name for site in plan.sites), plan.unknown, len(plan.faulted))

    def _step(self) -> Plan:
        now = time.monotonic()
        if not self.cluster.ensure_connected():
            self._in_flight.clear()
        ended = self._collect()
        is_drained = ended and not self._waiting and not self._in_flight
        if self.plan is None or is_drained or now - self._looked_at >= self.relist_s:
            self._look()
        assert self.plan is not None
        self._submit()
        return self.plan

    def _look(self) -> None:
        try:
            self._plan_anew()
        except PlateError as error:
            if self.plan is None or not error.retryable:
                raise
            self._tell_once(error)  # a run that ended here would give up what is in flight
            self._looked_at = time.monotonic() + max(0.0, BACK_OFF_S - self.relist_s)

    def _plan_anew(self) -> None:
        before = self.plan
        self.plan = plan_work(self.job, self._now())
        self.refusal = self.refuse(self.plan)
        todo = () if self.refusal else self.plan.todo
        self._waiting = deque(site for site in todo if site.name not in self._in_flight)
        self._looked_at = time.monotonic()
        if before is None or self._signature(before) != self._signature(self.plan):
            self._changed_at = self._looked_at
        if decide_due(self.job, self.plan):
            self._looked_at = 0.0
        self._check_arrivals(self.plan)
        self.on_look(self.plan)

    @property
    def _is_checking(self) -> bool:
        return self._checking is not None and not self._checking.done()

    def _check_arrivals(self, plan: Plan) -> None:
        """Look at files of waiting sites beside everything else, one batch at a time; faults show at the next look."""
        if self._is_checking:
            return
        suspects = self._check.choose(plan)
        self._checking = self._side.submit(self._check.check, suspects) if suspects else None

    def _submit(self) -> None:
        """Hand the next sites to the cluster, as many as it has room for; sites that back off wait for a later look."""
        now = time.monotonic()
        room = self.sites_in_flight * max(self.cluster.workers, 1) - len(self._in_flight)
        while room > 0 and self._waiting:
            site = self._waiting.popleft()
            if self._not_before.get(site.name, 0.0) > now:
                continue
            self.job.ensure_pins()
            task: SiteTask = site_task(self.job, site)
            future = self.cluster.submit(measure_site, task, key=task.key, priority=self.priority)
            future.add_done_callback(lambda _: self._ended_one.set())
            self._in_flight[site.name] = _InFlight(future, site)
            room -= 1

    def _collect(self) -> bool:
        """Take back what ended; a future that is ``lost`` is left to Dask, which counts a site's deaths."""
        ended = [name for name, item in self._in_flight.items() if item.future.status in OVER]
        for name in ended:
            item = self._in_flight.pop(name)
            if item.future.status == "error":
                self._note_failure(item)
            if item.future.status != "cancelled":
                self.finished_sites += 1
                self._changed_at = time.monotonic()
            item.future.release()
        return bool(ended)

    def _note_failure(self, item: _InFlight) -> None:
        error: Any = item.future.exception()
        if isinstance(error, PlacementError):
            raise error  # no worker of this cluster is where the images may be; a run elsewhere finds the site to do
        if isinstance(error, PlateError) and error.retryable:
            self._not_before[item.site.name] = time.monotonic() + BACK_OFF_S
            self._tell_once(error)
            return
        reason, is_final = explain_failure(error, is_second=item.site.attempts > 0)
        record_attempt(self.job, item.site, reason, is_final=is_final)

    def _tell_once(self, error: PlateError) -> None:
        """Say why a site comes again; what ails many sites for long is one line."""
        if error.message not in self._told:
            self._told.add(error.message)
            log.warning("%s: %s; it is tried again", self.job.prefix.rstrip("/"), error)


def explain_failure(error: BaseException | None, *, is_second: bool) -> tuple[str, bool]:
    """Say why a site's task failed, and whether it is worth no further attempt.

    What ended workers is tried once more, apart and in pieces (``flows.sites``), where it takes none along.
    """
    if isinstance(error, KilledWorker):
        return "it ended its worker three times (out of memory, or a crash in a library)", is_second
    if isinstance(error, CrashedSiteError):
        return error.message, True
    if isinstance(error, MemoryError):
        return f"its memory does not suffice, not even for one channel at a time ({error or 'MemoryError'})", is_second
    return f"{type(error).__name__}: {error}", False


OVER = frozenset({"finished", "error", "cancelled"})
"""States of a future in which nothing more comes of it."""
