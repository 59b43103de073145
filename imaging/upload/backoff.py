"""When a store that does not answer is asked again: by one transfer at a time, at growing, uneven intervals."""

from __future__ import annotations

import random

FIRST_S, LONGEST_S = 0.5, 30.0
"""Seconds before the second try, at most, and the longest that a pause can grow to."""


class Backoff:
    """Whether the store answers, and who may try when it does not; times are of one monotonic clock, in seconds.

    Attributes
    ----------
    away_since
        When the first request failed of those that failed since the last answer; ``None`` while it answers.
    reason
        What the last failure said.
    """

    def __init__(self, *, first_s: float = FIRST_S, longest_s: float = LONGEST_S) -> None:
        self.first_s, self.longest_s = first_s, longest_s
        self.away_since: float | None = None
        self.reason = ""
        self._tries = 0
        self._next = 0.0
        self._is_probed = False

    def may_try(self, now: float) -> bool:
        """Take leave for one request; while the store is away it is given to one caller at a time."""
        if self.away_since is None:
            return True
        if self._is_probed or now < self._next:
            return False
        self._is_probed = True
        return True

    def failed(self, now: float, reason: str) -> None:
        """A request was not answered; those that were under way together count as one."""
        if self.away_since is None:
            self.away_since = now
        elif not self._is_probed:  # it set out before the first one failed
            return
        self.reason = reason
        self._is_probed = False
        self._tries += 1
        longest = min(self.longest_s, self.first_s * 2 ** min(self._tries - 1, 30))
        self._next = now + random.uniform(longest / 2, longest)

    def unused(self) -> None:
        """The leave was not used; somebody else may try."""
        self._is_probed = False

    def answered(self) -> None:
        """A request was answered."""
        self.away_since, self.reason, self._tries, self._is_probed = None, "", 0, False
