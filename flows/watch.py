"""`platestream watch`: looks at all plates again and again and wakes a run for each that has work and no follower.

It keeps nothing that it could not find out again: what it forgets, a look at the folders tells. Plates that are being
imaged are looked at every ``rescan_s`` seconds, closed ones once a day, spread over the day.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from flows.budget import Budgets
from flows.events import ImagesArrived, emit
from flows.placement import find_run_refusal
from flows.settings import Settings
from imaging.errors import PlateError
from imaging.job import PlateJob, open_experiment, plate_job
from imaging.names import check_name
from imaging.planning import Plan
from imaging.publication import is_current
from imaging.records import heartbeat_key
from imaging.store import Store, open_store
from imaging.sweep import sweep

DAY_S = 86_400.0
REPEAT_S, LONGEST_REPEAT_S = 31.0, 600.0
"""Seconds between two events of one plate that nobody follows: Prefect's trigger swallows those within 30 s of the
last, and where runs wait for a place, each event would add one."""
FAULTS = (PlateError, OSError, ValueError, ArithmeticError, LookupError)
"""What one plate's files and records can raise: the watch of all others goes on."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Need:
    """Why a plate needs a follower."""

    experiment: str
    plate: str
    recipe: str
    reason: str


@dataclass
class Watch:
    """The state of one watcher: when to look at which plate, and whom it woke when.

    Parameters
    ----------
    store
        The root that holds ``raw/``, ``experiments/`` and ``results/``.
    wake
        Called for each plate that needs a follower; raises when nobody could be told, and is called again.
    refuse
        Says why no run may be woken for a plate that needs one; empty where one may.
    rescan_s, stale_s, settle_s
        Seconds between looks at an open plate; age at which a heartbeat means nobody; age at which a file is there.
    """

    store: Store
    wake: Callable[[Need], None]
    rescan_s: float = 2.0
    stale_s: float = 90.0
    settle_s: float = 3.0
    refuse: Callable[[PlateJob, Plan], str] = lambda job, plan: ""
    _look_at: dict[tuple[str, str], float] = field(default_factory=dict)
    _wakes: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def round(self, now: float | None = None, tick: float | None = None) -> int:
        """Look once at every plate whose time has come; return how many were looked at.

        ``now`` is the time of day, in Unix seconds, that files are as old by; ``tick``, by default the monotonic clock,
        decides whose turn it is: a clock that is set does not stop the watch.
        """
        tick = tick if tick is not None else time.monotonic() if now is None else now
        now = time.time() if now is None else now
        looked = 0
        for experiment in self._folders("raw", "experiment"):
            try:
                declared = open_experiment(self.store, experiment)
                plates = list(self._folders(f"raw/{experiment}", "plate"))
            except FAULTS as error:
                self._say_once(f"{experiment}: {error}")
                continue
            for plate in plates:
                if self._look_at.get((experiment, plate), float("-inf")) <= tick:
                    looked += self._look(plate_job(self.store, declared, plate, settle_s=self.settle_s), now, tick)
        return looked

    def _folders(self, prefix: str, kind: str) -> Iterator[str]:
        for name in self.store.list_folders(prefix):
            try:
                yield check_name(kind, name)
            except PlateError as error:
                self._say_once(str(error))

    def _look(self, job: PlateJob, now: float, tick: float) -> int:
        """Look at one plate; whatever is wrong with it is said, and the others' turn comes all the same."""
        place = (job.experiment.name, job.plate)
        try:
            if place not in self._look_at and self._is_closed(job, now):
                self._look_at[place] = tick + (_offset(place) - now) % DAY_S
                return 0
            self._look_at[place] = tick + self.rescan_s
            beat_at = self.store.modified(heartbeat_key(job.prefix))
            if beat_at is not None and abs(now - beat_at) < self.stale_s:
                self._wakes.pop(place, None)
                return 1
            plan = job.survey(now)
            reason = find_need(job, plan)
            if reason and not plan.records.has_pins and (others := self._published_recipes(job)):
                self._look_at[place] = tick + DAY_S
                self._say_once(
                    f"{place[0]}/{place[1]} is published with recipe {', '.join(others)}; to process it with "
                    f"{job.recipe} as well: platestream process --experiment {place[0]} --plate {place[1]}"
                )
            elif reason and (refusal := self.refuse(job, plan)):
                self._say_once(f"{place[0]}/{place[1]}: {refusal}")
            elif reason:
                self._wake(Need(*place, job.recipe, reason), tick)
            elif self._is_closed(job, now):
                self._look_at[place] = tick + DAY_S
                sweep(job, now=now)
        except FAULTS as error:
            self._look_at[place] = tick + self.rescan_s
            self._say_once(f"{place[0]}/{place[1]}: {error}")
        return 1

    def _wake(self, need: Need, tick: float) -> None:
        """Ask for a run; the longer none comes, the longer the pause before the next asking."""
        place = (need.experiment, need.plate)
        woken_at, pause_s = self._wakes.get(place, (float("-inf"), REPEAT_S))
        if tick - woken_at < pause_s:
            return
        self.wake(need)
        self._wakes[place] = (tick, pause_s if woken_at == float("-inf") else min(2 * pause_s, LONGEST_REPEAT_S))
        log.info("%s/%s: %s; a run is asked for", need.experiment, need.plate, need.reason)

    def _is_closed(self, job: PlateJob, now: float) -> bool:
        """Published more than a day ago."""
        published = self.store.list(f"{job.prefix}publications/").objects
        return bool(published) and now - max(item.modified for item in published) > DAY_S

    def _published_recipes(self, job: PlateJob) -> list[str]:
        """Other recipes that the plate is published under; a changed recipe must not reprocess all plates by itself."""
        folder = f"results/{job.experiment.name}/{job.plate}/"
        recipes = [recipe for recipe in self.store.list_folders(folder) if recipe != job.recipe]
        return [recipe for recipe in recipes if self.store.list(f"{folder}{recipe}/publications/").objects]

    def _say_once(self, sentence: str) -> None:
        """Log a sentence, once an hour."""
        hour = f"{int(time.monotonic() // 3600)} {sentence}"
        if hour not in self._said:
            self._said = {said for said in self._said if said.split(" ", 1)[0] == hour.split(" ", 1)[0]} | {hour}
            log.warning(sentence)


def watch(settings: Settings) -> None:
    """Watch all plates of the store until the process is stopped."""
    store = open_store(settings.store)

    def wake(need: Need) -> None:
        emit(settings.api_url, ImagesArrived(**asdict(need)), auth=settings.auth)

    watcher = open_watch(store, wake, settings)
    log.info("watching %s", settings.store)
    while True:
        try:
            watcher.round()
        except PlateError as error:  # the store did not answer; it is asked again
            log.warning("%s", error)
        time.sleep(settings.rescan_s)


def open_watch(store: Store, wake: Callable[[Need], None], settings: Settings) -> Watch:
    """Make a watch of a store as the settings want it."""
    budgets = Budgets(store, settings)

    def refuse(job: PlateJob, plan: Plan) -> str:
        return find_run_refusal(job.experiment, settings) or budgets.refuse(job, plan)

    return Watch(store, wake, settings.rescan_s, settings.heartbeat_stale_s, settings.settle_s, refuse)


def find_need(job: PlateJob, plan: Plan) -> str:
    """Say in words why a plate needs a follower; empty if it needs none."""
    if plan.todo:
        return f"{len(plan.todo)} sites to process"
    if plan.is_field_due:
        return "its field of illumination is due"
    if plan.due:
        return f"{len(plan.due)} images did not arrive within {job.experiment.patience_s:g} s"
    if plan.is_publishable and not is_current(job, plan):
        return "a publication is due"
    return ""


def _offset(place: tuple[str, str]) -> float:
    """Spread the daily looks over the day."""
    return zlib.crc32("/".join(place).encode()) % int(DAY_S)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    watch(Settings())
