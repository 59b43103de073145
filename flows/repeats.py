"""What is not done, or said, over and over: events that nobody answers, and sentences that stay true."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Repeats:
    """When something may be done again, by what it is about: after a pause that doubles each time.

    Parameters
    ----------
    first_s, longest_s
        Seconds before the second time, and the most between any two.
    """

    first_s: float
    longest_s: float
    _known: dict[Hashable, tuple[float, float]] = field(default_factory=dict)

    def is_due(self, key: Hashable, tick: float) -> bool:
        """Whether the time has come, by a monotonic clock; the first time it always has."""
        at, pause_s = self._known.get(key, (float("-inf"), 0.0))
        return tick - at >= pause_s

    def note(self, key: Hashable, tick: float) -> None:
        """Note that it was done."""
        _, pause_s = self._known.get(key, (0.0, self.first_s / 2))
        self._known[key] = (tick, min(2 * pause_s, self.longest_s))

    def wait(self, key: Hashable, tick: float) -> None:
        """Put it off by the first pause, for somebody is about to answer."""
        self._known[key] = (tick, self.first_s)

    def pop(self, key: Hashable, default: None = None) -> None:
        """Forget what was done: the next time is the first."""
        self._known.pop(key, default)

    def __iter__(self) -> Iterator[Any]:
        """What was done, as it is now."""
        return iter(list(self._known))


@dataclass
class SaidOnce:
    """Logs each sentence once an hour."""

    log: logging.Logger
    _hour: int = -1
    _said: set[str] = field(default_factory=set)

    def __call__(self, sentence: str) -> None:
        """Log a sentence unless it was logged in this hour."""
        hour = int(time.monotonic() // 3600)
        if hour != self._hour:
            self._hour, self._said = hour, set()
        if sentence not in self._said:
            self._said.add(sentence)
            self.log.warning("%s", sentence)
