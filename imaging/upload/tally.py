"""What an upload did so far, counted."""

from __future__ import annotations

import time
from collections import Counter, deque
from typing import Any

from imaging.upload.ledger import OPEN, Ledger
from imaging.upload.source import Refusal
from imaging.upload.summary import Progress
from imaging.upload.transfer import Sent

RATE_S = 10.0
"""Seconds that the rate of a progress is taken over."""


class Tally:
    """Counts of one run, from its start on a monotonic clock; whoever shares it between threads holds a lock."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.retries = self.size_sent = 0
        self._how: Counter[str] = Counter()
        self._replaced: dict[str, None] = {}
        self._cut: dict[str, str] = {}
        self._passed: deque[tuple[float, int]] = deque()

    def take(self, path: str, sent: Sent, now: float) -> None:
        """Count a file that is in the store now."""
        self._how[sent.how] += 1
        if sent.how != "present":
            self.size_sent += sent.sums.size
            self._passed.append((now, sent.sums.size))
        if sent.how == "replaced":
            self._replaced[path] = None
        self._cut.pop(path, None)
        if sent.cut:
            self._cut[path] = sent.cut

    def progress(
        self,
        ledger: Ledger,
        *,
        now: float,
        refused: int,
        away_s: float | None,
        folder_away_s: float | None,
        reason: str,
    ) -> Progress:
        """Where the upload stands: what the ledger and these counts say, and how long what does not answer."""
        while self._passed and now - self._passed[0][0] > RATE_S:
            self._passed.popleft()
        over_s = min(RATE_S, max(now - self.started, 1e-3))
        return Progress(
            files=len(ledger.entries),
            done=ledger.count("done"),
            waiting=ledger.count(*OPEN),
            size=ledger.size(*OPEN, "done", "failed"),
            size_done=ledger.size("done"),
            size_per_s=sum(size for _, size in self._passed) / over_s,
            retries=self.retries,
            refused=refused + ledger.count("failed"),
            away_s=away_s,
            folder_away_s=folder_away_s,
            reason=reason,
        )

    def figures(self) -> dict[str, Any]:
        """The counts as fields of a summary."""
        return {
            "sent": self._how["sent"] + self._how["replaced"],
            "present": self._how["present"],
            "size_sent": self.size_sent,
            "replaced": tuple(self._replaced),
            "cut_short": tuple(Refusal(path, reason) for path, reason in self._cut.items()),
            "retries": self.retries,
            "seconds": time.monotonic() - self.started,
        }
