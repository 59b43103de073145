"""What `platestream watch` does about experiments: wakes a run for each whose publications differ from its analysis.

It is the watcher that asks, and not the event of each publication: a burst of plates would be as many runs, all but
one of which wait for their turn to find nothing. An experiment is looked at within seconds after one of its plates was
published, ever more seldom while nothing happens, and not more often than takes a small share of the watcher's time:
one of four thousand plates is looked at every few minutes. Nothing is kept that could not be found out again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flows.beside import Beside
from flows.events import ExperimentChanged, emit
from flows.plate_list import FAULTS
from flows.repeats import Repeats, SaidOnce
from flows.settings import Settings
from imaging.analyses.pulse import is_analysed
from imaging.analyses.reconcile import find_due
from imaging.errors import MissingPartError, PlateError
from imaging.names import check_name
from imaging.sentences import counted
from imaging.store import Store

FIRST_S, LONGEST_S = 60.0, 600.0
"""Seconds between two looks at an experiment: the first, and the most while nothing changes."""
SOON_S = 5.0
"""Seconds from a sign that an experiment has changed to the look at it: others of a burst come with it."""
SHARE = 0.02
"""Share of its time that the watcher spends on one experiment."""
ROUND_S = 5.0
"""Seconds after which a round leaves the experiments that are still due to the next one: plates are waiting."""
REPEAT_S, LONGEST_REPEAT_S = 60.0, 3600.0
"""Seconds between two events of one experiment that nobody analyses."""

BUSY = "somebody is at it"

log = logging.getLogger(__name__)


@dataclass
class ExperimentWatch:
    """When to look at which experiment, and whom it woke when.

    Parameters
    ----------
    store
        The root that holds ``results/``.
    wake
        Called with what an experiment needs; raises when nobody could be told, and is called again.
    stale_s
        Age in seconds at which a heartbeat means nobody.
    """

    store: Store
    wake: Callable[[ExperimentChanged], None]
    stale_s: float = 90.0
    _look_at: dict[str, float] = field(default_factory=dict)
    _pause_s: dict[str, float] = field(default_factory=dict)
    _not_before: dict[str, float] = field(default_factory=dict)
    _stirred: set[str] = field(default_factory=set)
    _wakes: Repeats = field(default_factory=lambda: Repeats(REPEAT_S, LONGEST_REPEAT_S))
    _list_at: float = float("-inf")
    _say_once: SaidOnce = field(default_factory=lambda: SaidOnce(log))

    def stir(self, experiment: str, tick: float | None = None) -> None:
        """Have an experiment looked at soon, for one of its plates was perhaps published."""
        soon = (time.monotonic() if tick is None else tick) + SOON_S
        at = max(soon, self._not_before.get(experiment, soon))
        self._stirred.add(experiment)
        self._look_at[experiment] = min(at, self._look_at.get(experiment, at))
        self._pause_s.pop(experiment, None)

    def round(self, tick: float | None = None) -> int:
        """Look at each experiment whose time has come; return how many were looked at.

        ``tick`` is by default the monotonic clock.
        """
        tick = time.monotonic() if tick is None else tick
        began = time.monotonic()
        if self._list_at <= tick:
            self._find_experiments()
            self._list_at = tick + FIRST_S
        looked = 0
        for _, experiment in sorted((at, name) for name, at in list(self._look_at.items()) if at <= tick):
            if looked and time.monotonic() - began >= ROUND_S:
                break
            self._look(experiment, tick)
            looked += 1
        return looked

    def _find_experiments(self) -> None:
        there = set(self.store.list_folders("results/"))
        for gone in set(self._look_at) - there:
            for known in (self._look_at, self._pause_s, self._not_before, self._wakes):
                known.pop(gone, None)
        for name in there:
            self._look_at.setdefault(name, float("-inf"))

    def _look(self, experiment: str, tick: float) -> None:
        """Look at one experiment; whatever is wrong with it is said, once, and the others' turn comes all the same."""
        began = time.monotonic()
        self._stirred.discard(experiment)
        reason = ""
        try:
            reason = self._find_reason(check_name("experiment", experiment))
            if reason and reason != BUSY:
                self._wake(experiment, reason, tick)
            elif not reason:
                self._wakes.answer(experiment, tick)
        except FAULTS as error:
            if isinstance(error, MissingPartError):  # nobody could be told: soon again
                reason = reason or "unsaid"
            self._say_once(f"{experiment}: {error}")
        least_s = (time.monotonic() - began) / SHARE
        self._not_before[experiment] = tick + least_s
        pause_s = FIRST_S if reason else min(2 * self._pause_s.get(experiment, FIRST_S / 2), LONGEST_S)
        self._pause_s[experiment] = pause_s
        is_stirred = experiment in self._stirred  # while it was looked at: perhaps that was too early
        self._look_at[experiment] = tick + max(SOON_S if is_stirred else pause_s, least_s)

    def _find_reason(self, experiment: str) -> str:
        """Why a run is needed: empty where none is, `BUSY` where somebody is at it."""
        look = find_due(self.store, experiment)
        if not (look.due or look.untold):
            return ""
        if is_analysed(self.store, experiment, stale_s=self.stale_s):
            return BUSY
        if look.due:
            return f"{counted(len(look.publications), 'plate')} to analyse under {', '.join(look.due)}"
        return f"nobody was told of the analysis under {', '.join(record.recipe for record in look.untold)}"

    def _wake(self, experiment: str, reason: str, tick: float) -> None:
        """Ask for a run; the longer none comes, the longer the pause before the next time."""
        if not self._wakes.is_due(experiment, tick):
            return
        self.wake(ExperimentChanged(experiment=experiment, reason=reason))
        self._wakes.note(experiment, tick)
        log.info("%s: %s; a run is asked for", experiment, reason)


class ExperimentRounds:
    """Rounds of a watch in a thread of their own: to look at an experiment of thousands of plates takes a while."""

    def __init__(self, watched: ExperimentWatch) -> None:
        self.watched = watched
        self._beside = Beside("experiments", self.round, every_s=0.0, failed="experiments could not be looked at")

    def tend(self) -> None:
        """Begin a round unless one goes on; what goes wrong with one is logged."""
        self._beside.tend()

    def round(self) -> None:
        """Do a round; a store that does not answer is asked again at the next."""
        try:
            self.watched.round()
        except PlateError as error:
            log.warning("%s", error)


def watch_experiments(store: Store, settings: Settings) -> ExperimentRounds:
    """Watch the experiments of a store; runs are asked for by events to the settings' server."""

    def wake(event: ExperimentChanged) -> None:
        emit(settings.api_url, event, auth=settings.auth)

    return ExperimentRounds(ExperimentWatch(store, wake, settings.heartbeat_stale_s))
