"""Messages of one subscription as Pub/Sub keeps them: a backlog, leases that run out, acknowledgements."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

POLL_S = 0.02
"""How often somebody who waits for a message looks for leases that ran out."""


@dataclass(frozen=True)
class Sent:
    """A message as it was published, with the number of times it was handed out already."""

    number: int
    data: bytes
    attributes: dict[str, str]
    published: float
    attempts: int = 0

    def again(self) -> Sent:
        """Return the same message, handed out once more."""
        return Sent(self.number, self.data, self.attributes, self.published, self.attempts + 1)


@dataclass
class Lease:
    """A message that somebody has, and until when."""

    message: Sent
    ends: float


@dataclass
class Disorder:
    """What is done to messages that are published from now on.

    ``copies`` of each are put into the backlog, and each of them is handed out not before ``delay_s`` and then a random
    part of ``spread_s`` passed: so they are doubled, late and in another order.
    """

    copies: int = 1
    delay_s: float = 0.0
    spread_s: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(0))


@dataclass
class Backlog:
    """One subscription.

    Parameters
    ----------
    name, topic
        Full names, ``projects/P/subscriptions/S`` and ``projects/P/topics/T``.
    deadline_s
        Seconds after which a message that nobody acknowledged is handed out again.
    """

    name: str
    topic: str
    deadline_s: float = 10.0
    disorder: Disorder = field(default_factory=Disorder)
    loses_acknowledgements: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    _waiting: list[tuple[float, int, Sent]] = field(default_factory=list)
    _leases: dict[str, Lease] = field(default_factory=dict)
    _ids: itertools.count[int] = field(default_factory=itertools.count)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def put(self, messages: Iterable[Sent]) -> None:
        """Take published messages in."""
        with self._changed:
            earliest = time.monotonic() + self.disorder.delay_s
            for message in messages:
                for _ in range(self.disorder.copies):
                    self._wait(earliest + self.disorder.spread_s * self.disorder.chance.random(), message)
            self._changed.notify_all()

    def take(self, limit: int, timeout_s: float) -> list[tuple[str, Sent]]:
        """Hand out messages with the names of their leases; wait for the first, at most ``timeout_s`` seconds."""
        until = time.monotonic() + timeout_s
        with self._changed:
            self._end_leases()
            while not self._is_due() and time.monotonic() < until:
                self._changed.wait(POLL_S)
                self._end_leases()
            taken = []
            while len(taken) < limit and self._is_due():
                message = heapq.heappop(self._waiting)[2].again()
                lease = f"lease-{next(self._ids)}"
                self._leases[lease] = Lease(message, time.monotonic() + self.deadline_s)
                taken.append((lease, message))
            self.counts["delivered"] += len(taken)
            return taken

    def acknowledge(self, leases: Iterable[str]) -> None:
        """Forget messages for good; an acknowledgement that comes after its lease ended is too late."""
        with self._changed:
            self._end_leases()
            for lease in leases:
                if self.loses_acknowledgements:
                    self.counts["acknowledgements lost"] += 1
                elif self._leases.pop(lease, None) is None:
                    self.counts["acknowledged too late"] += 1
                else:
                    self.counts["acknowledged"] += 1

    def extend(self, leases: Iterable[str], seconds: float) -> None:
        """Let leases end this many seconds from now; 0 gives the messages back at once."""
        with self._changed:
            for lease in leases:
                if lease in self._leases:
                    self._leases[lease].ends = time.monotonic() + seconds
            self._changed.notify_all()

    def expire(self) -> None:
        """End all leases now."""
        self.extend(list(self._leases), 0.0)

    def pending(self) -> int:
        """Messages that are not acknowledged: waiting, or handed out."""
        with self._changed:
            return len(self._waiting) + len(self._leases)

    def held(self, leases: Iterable[str]) -> set[str]:
        """Those of the leases that have not ended."""
        with self._changed:
            self._end_leases()
            return {lease for lease in leases if lease in self._leases}

    def _end_leases(self) -> None:
        now = time.monotonic()
        for lease in [lease for lease, held in self._leases.items() if held.ends <= now]:
            self._wait(now, self._leases.pop(lease).message)
            self.counts["expired"] += 1

    def _wait(self, due: float, message: Sent) -> None:
        heapq.heappush(self._waiting, (due, next(self._ids), message))

    def _is_due(self) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= time.monotonic()
