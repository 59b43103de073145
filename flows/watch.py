"""`platestream watch`: looks at all plates again and again and wakes a run for each that has work and no follower.

It keeps nothing that it could not find out again: what it forgets, a look at the folders tells. Plates that are being
imaged are looked at every ``rescan_s`` seconds, published ones the more seldom the longer nothing came, closed ones
once a day, spread over the day, and old ones when they have aged by an eighth. Where messages tell of new images, a
plate is looked at when one names it and, as a message may be lost, every ``sweep_s`` seconds besides.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from flows.budget import Budgets
from flows.events import Sender
from flows.google import open_data_store
from flows.heartbeats import NEVER, Heartbeats
from flows.messages.rounds import Messenger
from flows.needs import Need, event_of, find_age_s, find_need, find_other_recipes
from flows.placement import find_run_refusal
from flows.plate_list import FAULTS, list_plates
from flows.repeats import Repeats, SaidOnce
from flows.settings import Settings
from flows.waiting_runs import WaitingRuns
from flows.watch_experiments import watch_experiments
from flows.watchdogs.open_plates import OpenPlates
from flows.watchdogs.rounds import open_watchdogs
from imaging.errors import MissingPartError, PlateError, StoreUnavailableError
from imaging.experiment import Experiment
from imaging.job import PlateJob, open_experiment, plate_job
from imaging.named_elsewhere import NamedElsewhere
from imaging.planning import Plan
from imaging.plate_recipes import EXPERIMENTAL, PRODUCTION, PlateRecipe, find_plate_recipes
from imaging.recipe_book import RecipeBook, open_recipes
from imaging.records import heartbeat_key
from imaging.retention import clean_plate
from imaging.store import Store

DAY_S = 86_400.0
REPEAT_S, LONGEST_REPEAT_S = 31.0, 600.0
"""Seconds between two events of one plate that nobody follows: each adds a run, and a run takes its time to begin."""
LONGEST_SWEEP_S, LONGEST_QUIET_S = 3600.0, 600.0
"""Longest time between two looks at a plate published today: where messages tell of new images, and where none does."""
OLD_BY, LONGEST_CLOSED_S = 8.0, 7 * DAY_S
"""A closed plate is looked at again when it is older by this part, and every week."""
ROUND_S = 30.0
"""Seconds after which a round leaves the plates that are still due to the next one."""
LISTING_SHARE = 0.05
"""Share of its time that the watcher spends on finding plates: a store of many is listed more seldom."""
JUMP_S = 60.0
"""By how many seconds the time of day must differ from what went by for the clock to have been set, or slept."""
log = logging.getLogger(__name__)


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
    sweep_s
        Seconds between looks at an open plate that nobody marked; ``None`` where nobody marks plates.
    is_waiting
        Whether a run that was asked for waits to begin: then none is asked for.
    keep_publications
        Newest publications of a closed plate that stay; ``None`` keeps all.
    plates
        Takes note of the plates that are not done, for the watchdogs.
    stir
        Called with the experiment of each plate that has become quiet.
    """

    store: Store
    wake: Callable[[Need], None]
    rescan_s: float = 2.0
    stale_s: float = 90.0
    settle_s: float = 3.0
    refuse: Callable[[PlateJob, Plan], str] = lambda job, plan: ""
    sweep_s: float | None = None
    is_waiting: Callable[[Need], bool] = lambda need: False
    keep_publications: int | None = None
    plates: OpenPlates = field(default_factory=OpenPlates)
    stir: Callable[[str], None] = lambda experiment: None
    _look_at: dict[tuple[str, str], float] = field(default_factory=dict)
    _list_at: float = NEVER
    _look_under_at: dict[tuple[str, str, str], float] = field(default_factory=dict)
    _quiet_s: dict[tuple[str, str, str], float] = field(default_factory=dict)
    _asked: dict[tuple[str, str], Experiment] = field(default_factory=dict)
    _books: dict[str, RecipeBook] = field(default_factory=dict)
    _marks: set[tuple[str, str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wakes: Repeats = field(default_factory=lambda: Repeats(REPEAT_S, LONGEST_REPEAT_S))
    _say_once: SaidOnce = field(default_factory=lambda: SaidOnce(log))
    _clock_ahead: float | None = None
    _listed_at: float = NEVER
    _had_plates: bool = False
    _named: NamedElsewhere = field(default_factory=NamedElsewhere)
    _beats: Heartbeats = field(init=False)

    def __post_init__(self) -> None:
        self._beats = Heartbeats(self.stale_s)

    def mark(self, experiment: str, plate: str) -> None:
        """Have a plate looked at in the next round, however soon its turn is; any thread may call this."""
        with self._lock:
            self._marks.add((experiment, plate))

    def round(self, now: float | None = None, tick: float | None = None) -> int:
        """Look once at every plate that is marked or whose time has come; return how many were looked at.

        ``now`` is the time of day, in Unix seconds, that files are as old by; ``tick``, by default the monotonic clock,
        decides whose turn it is: a clock that is set does not stop the watch.
        """
        tick = tick if tick is not None else time.monotonic() if now is None else now
        now = time.time() if now is None else now
        self._note_clock(now - tick)
        began = time.monotonic()
        if self._list_at <= tick:
            self._find_plates()
            self._listed_at, listing_s = tick, time.monotonic() - began
            self._list_at = tick + max(self.sweep_s or 0.0, listing_s / LISTING_SHARE)
        books: dict[str, RecipeBook | None] = {}
        looked = self._look_at_marked(books, now, tick)
        for at, place in sorted((at, place) for place, at in self._look_at.items() if at <= tick):
            if at > NEVER:
                self.plates.complete()
            if self._look_at.get(place) != at:
                continue  # it was marked meanwhile, and looked at
            if time.monotonic() - began >= ROUND_S:
                return looked
            looked += self._look_with(books, place, now, tick)
            looked += self._look_at_marked(books, now, tick)
        self.plates.complete()
        return looked

    def _note_clock(self, ahead: float) -> None:
        """Look at all plates anew once the clock was set: those that a wrong one took for closed may not be."""
        jump = 0.0 if self._clock_ahead is None else ahead - self._clock_ahead
        self._clock_ahead = ahead
        if abs(jump) > JUMP_S:
            log.warning("the clock of this machine jumped by %+.0f s; all plates are looked at again", jump)
            self._look_at = dict.fromkeys(self._look_at, NEVER)
            self._look_under_at.clear()
            self._quiet_s.clear()  # a look because of this is no sign that the plate is quiet

    def _look_at_marked(self, books: dict[str, RecipeBook | None], now: float, tick: float) -> int:
        """Look at the plates that messages named since the last time: they go before all whose turn it is."""
        return sum(self._look_with(books, place, now, tick, is_marked=True) for place in sorted(self._take_marks()))

    def _look_with(
        self,
        books: dict[str, RecipeBook | None],
        place: tuple[str, str],
        now: float,
        tick: float,
        *,
        is_marked: bool = False,
    ) -> int:
        """Look at a plate with the recipes of its experiment, which are read once a round."""
        name, plate = place
        if name not in books:
            books[name] = self._open_recipes(name)
        if (book := books[name]) is None:
            self._put_off(place, tick)
            return 0
        return self._look(book, plate, now, tick, is_marked=is_marked)

    def _take_marks(self) -> set[tuple[str, str]]:
        """Take the marks before a plate is listed: an image that the listing is too early for marks the plate anew."""
        with self._lock:
            marked, self._marks = self._marks, set()
        return marked

    def _find_plates(self) -> None:
        """List the folders of all plates; new ones are looked at in this round, those that are gone never again."""
        try:
            found = list_plates(self.store, self._say_once, had_some=self._had_plates)
        except PlateError as error:
            self.plates.lose(str(error))
            raise
        self._had_plates = bool(found.places)
        self.plates.regain(found.experiments)
        for place in [place for place in self._look_at if found.lacks(place)]:
            self._look_at.pop(place, None)
            self._asked.pop(place, None)
            self.plates.forget(*place)
            self._beats.forget(*place)
            for known in (self._look_under_at, self._wakes, self._quiet_s):
                for key in [key for key in known if key[:2] == place]:
                    known.pop(key, None)
        for place in found.places:
            self._look_at.setdefault(place, NEVER)

    def _open_recipes(self, name: str) -> RecipeBook | None:
        """Read what an experiment should be, and its recipes; what is wrong with it is said."""
        try:
            declared = open_experiment(self.store, name)
            self._books[name] = open_recipes(self.store, declared, known=self._books.get(name))
        except FAULTS as error:
            self._say_once(f"{name}: {error}")
            self._note_fault(name, "", "", error)
            return None
        self.plates.mend(name, "", "")
        return self._books[name]

    def _put_off(self, place: tuple[str, str], tick: float) -> None:
        """Look again soon at a plate that could not be looked at; one never seen before is found by its folder."""
        if self._look_at.get(place, NEVER) != NEVER:
            self._look_at[place] = tick + self.rescan_s
            for key in [key for key in self._look_under_at if key[:2] == place]:
                del self._look_under_at[key]

    def _look(self, book: RecipeBook, plate: str, now: float, tick: float, *, is_marked: bool) -> int:
        """Look at one plate under each recipe whose turn it is; return whether at any."""
        place = (book.declared.name, plate)
        is_new = not is_marked and self._look_at.get(place, NEVER) == NEVER
        looked = 0
        try:
            recipes = list(find_plate_recipes(self.store, book, plate))
        except FAULTS as error:
            self._put_off(place, tick)
            self._say_once(f"{place[0]}/{plate}: {error}")
            self._note_fault(*place, "", error)
            return 1
        self.plates.mend(*place, "")
        keys = []
        for each in recipes:
            key = (*place, each.experiment.recipe_id)
            keys.append(key)
            if is_marked or self._look_under_at.get(key, NEVER) <= tick:
                job = plate_job(self.store, each.experiment, plate, settle_s=self.settle_s)
                looked |= self._look_under(job, each.priority, now, tick, is_new=is_new)
            if each.priority == PRODUCTION and (asked := self._asked.get(place)):
                recipes.append(PlateRecipe(asked, EXPERIMENTAL))
        self.plates.keep_recipes(*place, {recipe for *_, recipe in keys})
        self._look_at[place] = min(self._look_under_at[key] for key in keys)
        return looked

    def _look_under(self, job: PlateJob, priority: int, now: float, tick: float, *, is_new: bool) -> int:
        """Look at a plate under one recipe; whatever is wrong is said, and the others' turn comes all the same."""
        place = (job.experiment.name, job.plate)
        key = (*place, job.recipe)
        try:
            looked = self._look_at_work(job, priority, now, tick, is_new=is_new)
        except FAULTS as error:
            self._look_under_at[key] = tick + self.rescan_s
            self._say_once(f"{place[0]}/{place[1]}: {error}")
            if not isinstance(error, MissingPartError):  # a server that cannot be told is no fault of the plate
                self._note_fault(*key, error)
            return 1
        self.plates.mend(*key)
        return looked

    def _look_at_work(self, job: PlateJob, priority: int, now: float, tick: float, *, is_new: bool) -> int:
        """Wake a run where there is work that nobody does, and say when to look again; return whether it was looked."""
        place = (job.experiment.name, job.plate)
        key = (*place, job.recipe)
        if is_new and find_age_s(job, now) > DAY_S:
            spread = zlib.crc32("/".join(place).encode())  # over the day
            self._look_under_at[key] = tick + (spread - now) % DAY_S
            return 0
        pause_s = self.sweep_s or self.rescan_s
        self._look_under_at[key] = tick + pause_s
        beat_at = self.store.modified(heartbeat_key(job.prefix))
        if beat_at is not None and self._beats.is_young(key, beat_at, now, tick):
            self._wakes.answer(key, tick)
            self._look_under_at[key] = tick + min(pause_s, max(self.rescan_s, beat_at + self.stale_s - now))
            self._note_state(job, priority, is_open=True)
            return 1
        plan = job.survey(now)
        if priority == PRODUCTION:
            self._note_asked(place, plan)
        reason = find_need(job, plan)
        others = [] if plan.records.has_pins or priority != PRODUCTION else find_other_recipes(job)
        refusal = self.refuse(job, plan) if reason and not others else ""
        is_awaited = plan.has_arrivals and not plan.is_publishable
        self._note_state(job, priority, refusal, is_open=not others and bool(reason or is_awaited))
        if reason and others:
            self._look_under_at[key] = tick + DAY_S
            self._say_once(
                f"{place[0]}/{place[1]} is published with recipe {', '.join(others)}; to process it with "
                f"{job.recipe} as well: platestream process --experiment {place[0]} --plate {place[1]}"
            )
        elif refusal:
            self._say_once(f"{place[0]}/{place[1]}: {refusal}")
        elif reason:
            self._quiet_s.pop(key, None)
            self._wake(Need(*key, reason, priority), tick)
        elif (age_s := find_age_s(job, now)) > DAY_S:
            self._look_under_at[key] = tick + min(max(DAY_S, age_s / OLD_BY), LONGEST_CLOSED_S)
            self._sweep(job, plan)
        elif plan.is_publishable:
            # a lab publishes hundreds of plates a day: looking at each every minute would hold up those with work
            if key not in self._quiet_s:
                self.stir(place[0])
            longest_s = LONGEST_SWEEP_S if self.sweep_s else LONGEST_QUIET_S
            self._quiet_s[key] = min(2 * self._quiet_s.get(key, pause_s / 2), longest_s)
            self._look_under_at[key] = tick + self._quiet_s[key]
        return 1

    def _note_state(self, job: PlateJob, priority: int, refusal: str = "", *, is_open: bool) -> None:
        """Tell the watchdogs whether a plate is done; work that can wait is none of theirs, for it does wait."""
        if is_open and priority >= PRODUCTION:
            self.plates.note(job, refusal)
        else:
            self.plates.close(job)

    def _note_fault(self, experiment: str, plate: str, recipe: str, error: Exception) -> None:
        """Tell the watchdogs what is wrong; a store that may be down as a whole is soon listed."""
        if isinstance(error, StoreUnavailableError):
            self._list_at = min(self._list_at, self._listed_at + ROUND_S)
        self.plates.fault(experiment, plate, recipe, str(error))

    def _note_asked(self, place: tuple[str, str], plan: Plan) -> None:
        """Remember what the upload's manifest asks for beside the plate's production."""
        if plan.asked:
            self._asked[place] = plan.asked
        else:
            self._asked.pop(place, None)

    def _sweep(self, job: PlateJob, plan: Plan) -> None:
        """Delete what nothing names; where that fails, e.g. for want of a right, only the next look tries it again."""
        try:
            clean_plate(job, plan, keep=self.keep_publications, named=self._named)
        except FAULTS as error:
            self._say_once(f"{job.experiment.name}/{job.plate}: what no record names was not deleted: {error}")

    def _wake(self, need: Need, tick: float) -> None:
        """Ask for a run unless one waits to begin; the longer none comes, the longer the pause before the next time."""
        key = (need.experiment, need.plate, need.recipe)
        if not self._wakes.is_due(key, tick):
            return
        if self.is_waiting(need):
            self._wakes.wait(key, tick)
            return
        self.wake(need)
        self._wakes.note(key, tick)
        log.info("%s/%s: %s; a run is asked for", need.experiment, need.plate, need.reason)


def watch(settings: Settings) -> None:
    """Watch all plates of the store until the process is stopped."""
    store = open_data_store(settings)
    sender, waiting = Sender(settings.api_url, settings.auth), WaitingRuns(settings.api_url, settings.auth)
    watcher = open_watch(store, lambda need: sender.send(event_of(need)), settings)
    watcher.is_waiting = lambda need: waiting.has(need.experiment, need.plate, need.recipe)
    watcher.keep_publications = settings.keep_publications
    arrivals = None
    if settings.subscription:
        from flows.arrivals_subscription import open_arrivals  # imports Google's libraries, which most do without

        arrivals = open_arrivals(settings, watcher.mark)
    watchdogs = open_watchdogs(store, settings, watcher.plates, find_need)
    messenger = Messenger(store, settings)
    experiments = watch_experiments(store, settings)
    watcher.stir = experiments.watched.stir
    log.info("watching %s", settings.store)
    while True:
        if arrivals is not None:
            arrivals.keep_open()
        try:
            watcher.round()
        except PlateError as error:  # the store did not answer; it is asked again
            log.warning("%s", error)
        experiments.tend()
        watchdogs.tend()
        messenger.tend()
        time.sleep(settings.rescan_s)


def open_watch(store: Store, wake: Callable[[Need], None], settings: Settings) -> Watch:
    """Make a watch of a store as the settings want it."""
    budgets = Budgets(store, settings)

    def refuse(job: PlateJob, plan: Plan) -> str:
        return find_run_refusal(job.experiment, settings) or budgets.refuse(job, plan)

    sweep_s = settings.sweep_s if settings.subscription else None
    return Watch(store, wake, settings.rescan_s, settings.heartbeat_stale_s, settings.settle_s, refuse, sweep_s)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("google").setLevel(logging.WARNING)
    watch(Settings())
