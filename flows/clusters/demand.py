"""How many workers a cluster should have: a pure function of what its scheduler told and when.

A site per thread is wanted, within the cluster's size. Machines take minutes to come, so the cluster has the largest
number that was wanted within the last ``idle_s`` seconds; after that long without work it is down at its floor.
"""

from __future__ import annotations

import math
from collections import deque

from flows.clusters.contract import Size
from flows.clusters.look import Look


class Demand:
    """Remembers what was wanted, and when a site ended last.

    Parameters
    ----------
    size
        How many workers there may be.
    present
        Workers that there are at the beginning: kept for ``idle_s``, for another keeper may have wanted them just now.
    idle_s
        Seconds for which a number that was wanted is kept.
    no_progress_s
        Seconds without the end of any task, or without any worker that takes one, after which workers go. They are
        asked for again after as long without any worker that has one in hand.
    now
        The time, in seconds of a clock that never goes back.
    """

    def __init__(self, size: Size, present: int, *, idle_s: float, no_progress_s: float, now: float) -> None:
        self.size, self.idle_s, self.no_progress_s = size, idle_s, no_progress_s
        self._wanted: deque[tuple[float, int]] = deque([(now, present)])
        self._ended: int | None = None
        self._progress_at = self._in_hand_at = self._stuck_at = self._answer_at = now
        self.is_stuck = False

    def number(self, look: Look, now: float) -> int:
        """Workers that the cluster should have.

        While nothing gets on it is the floor, until a task ends or none is left: more workers would only cost. Where
        nobody works it is so for ``no_progress_s`` only, for without workers no task ever ends.
        """
        self._answer_at = now
        self._notice_progress(look, now)
        wanted = math.ceil(look.tasks / self.size.threads)
        self._wanted.append((now, min(max(wanted, self.size.floor), self.size.maximum)))
        while self._wanted[0][0] < now - self.idle_s:
            self._wanted.popleft()
        if self.is_stuck:
            return self.size.floor
        return max(number for _, number in self._wanted)

    def has_no_scheduler(self, now: float) -> bool:
        """Whether the scheduler has been silent for so long that its workers only cost."""
        return now - self._answer_at >= self.no_progress_s

    def _notice_progress(self, look: Look, now: float) -> None:
        has_ended = look.ended != self._ended
        self._ended = look.ended
        if has_ended or look.tasks == 0:
            self.is_stuck = False
            self._progress_at = self._in_hand_at = now
        elif look.in_hand:
            self._in_hand_at = now
            self._note_stuck(since=self._progress_at, now=now)
        elif self.is_stuck and now - self._stuck_at >= self.no_progress_s:
            self.is_stuck = False
            self._progress_at = self._in_hand_at = now
        else:
            self._progress_at = now  # nobody works: workers are still to come, or never will
            self._note_stuck(since=self._in_hand_at, now=now)

    def _note_stuck(self, *, since: float, now: float) -> None:
        if not self.is_stuck and now - since >= self.no_progress_s:
            self.is_stuck = True
            self._stuck_at = now
