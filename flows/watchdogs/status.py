"""The alerts of a store as people ask for them, and whether anybody looks for them at all."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from flows.watchdogs.alert import since_words
from flows.watchdogs.memory import Memory, Standing, read_memory
from imaging.store import Store

STALE_TIMES = 5
"""Looks that may be missed before nobody is said to look."""


@dataclass(frozen=True)
class AlertStatus:
    """Alerts that stood at the last look, and when that was; ``silence`` says that nobody looks, empty if one does."""

    standing: tuple[Standing, ...]
    checked_at: float
    silence: str

    def rows(self) -> list[dict[str, Any]]:
        """The alerts as values for JSON; times are Unix seconds."""
        return [
            {
                name: getattr(each.alert, name)
                for name in ("kind", "subject", "experiment", "plate", "recipe", "run", "since", "what", "to_do")
            }
            | {"began_at": each.began_at, "is_told": each.is_told}
            for each in self.standing
        ]


def read_alerts(store: Store, *, every_s: float, now: float | None = None) -> AlertStatus:
    """Read the alerts that stood at the watcher's last look.

    Parameters
    ----------
    store
        Where the watcher keeps them.
    every_s
        Seconds between two looks.
    now
        Unix time.
    """
    now = time.time() if now is None else now
    memory = read_memory(store) or Memory()
    return AlertStatus(tuple(memory.shown), memory.checked_at, _say_silence(memory.checked_at, now, every_s))


def _say_silence(checked_at: float, now: float, every_s: float) -> str:
    cure = "start `platestream serve` or `platestream watch`"
    if not checked_at:
        return f"nobody has looked at this store for alerts yet; {cure}"
    if now - checked_at > STALE_TIMES * every_s:
        return f"nobody looks for alerts, and nobody wakes runs, {since_words(checked_at, now)}; {cure}"
    return ""
