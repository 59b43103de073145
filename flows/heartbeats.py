"""Heartbeats of plates as a watcher sees them: by the clock, and by their changing, should a clock be wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

Key = tuple[str, str, str]
"""Experiment, plate and recipe."""
NEVER = float("-inf")


@dataclass
class Heartbeats:
    """When heartbeats were written, and when they were seen to change.

    Parameters
    ----------
    stale_s
        Age in seconds at which a heartbeat means nobody.
    """

    stale_s: float
    _seen: dict[Key, tuple[float, float]] = field(default_factory=dict)

    def is_young(self, key: Key, beat_at: float, now: float, tick: float) -> bool:
        """Whether a heartbeat that was written at ``beat_at`` is young, or was seen to change a moment ago.

        ``now`` is the time of day, as ``beat_at`` in Unix seconds; ``tick`` a clock that nobody sets.
        """
        known_at, changed_at = self._seen.get(key, (beat_at, NEVER))
        self._seen[key] = (beat_at, changed_at if known_at == beat_at else tick)
        return abs(now - beat_at) < self.stale_s or tick - self._seen[key][1] < self.stale_s

    def forget(self, experiment: str, plate: str) -> None:
        """Forget a plate whose folder is gone."""
        for key in [key for key in self._seen if key[:2] == (experiment, plate)]:
            del self._seen[key]
