"""What is not done, or said, over and over: events that nobody answers, and sentences that stay true."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

SLOWER = 0.8
"""Share of the time of earlier answers that is kept for each quick one."""


@dataclass
class Repeats:
    """When something may be asked again, by what it is about: after a pause that doubles each time.

    The first pause is at least twice what the last answers took: where answers come late because too much is asked,
    asking again only makes it worse.

    Parameters
    ----------
    first_s, longest_s
        Seconds before the second time at least, and the most between any two.
    """

    first_s: float
    longest_s: float
    _answer_s: float = 0.0
    _known: dict[Hashable, _Asked] = field(default_factory=dict)

    def is_due(self, key: Hashable, tick: float) -> bool:
        """Whether the time has come, by a monotonic clock; the first time it always has."""
        asked = self._known.get(key)
        return asked is None or tick - asked.last >= asked.pause_s

    def note(self, key: Hashable, tick: float) -> None:
        """Note that it was asked."""
        asked = self._known.get(key)
        pause_s = 2 * asked.pause_s if asked else max(self.first_s, 2 * self._answer_s)
        self._known[key] = _Asked(asked.first if asked else tick, tick, min(pause_s, self.longest_s))

    def wait(self, key: Hashable, tick: float) -> None:
        """Put it off by the first pause, for somebody is about to answer."""
        self._learn(key, tick)
        self._known[key] = _Asked(tick, tick, self.first_s)

    def answer(self, key: Hashable, tick: float) -> None:
        """Note that somebody answered: the next time is the first."""
        self._learn(key, tick)
        self._known.pop(key, None)

    def pop(self, key: Hashable, default: None = None) -> None:
        """Forget what was asked: nothing is learnt from it."""
        self._known.pop(key, default)

    def __iter__(self) -> Iterator[Any]:
        """What was asked, as it is now."""
        return iter(list(self._known))

    def _learn(self, key: Hashable, tick: float) -> None:
        """Take the time of an answer for that of the next ones; quick ones make up for a slow one little by little."""
        if (asked := self._known.get(key)) is not None:
            self._answer_s = max(tick - asked.first, SLOWER * self._answer_s)


@dataclass(frozen=True, slots=True)
class _Asked:
    """When it was first and last asked, and the pause after that."""

    first: float
    last: float
    pause_s: float


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
