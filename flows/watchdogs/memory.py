"""What the watchdogs remember: since when things are as they are, and which alerts were told.

    alerts/current.json      all of it, written again after each look

It is a projection that means nothing to anybody else, like a heartbeat: without it each alert is told once more, and
what lasts is counted anew.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self

from flows.watchdogs.alerts import Alert
from imaging.names import to_json
from imaging.store import Store

KEY = "alerts/current.json"
OVER_AFTER_S = 300.0
"""An alert is over when nothing of it was seen for so long: what comes and goes is told once."""
_LAST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_NAMESPACE = uuid.UUID("8b6a3f5e-3f59-5f0e-9d5c-6d1f4c1b7a20")

News = Literal["new", "changed", "over"]


@dataclass(frozen=True, slots=True)
class Standing:
    """An alert that was found, and what was told of it.

    Parameters
    ----------
    alert
        Its newest words.
    began_at
        When it was found first; Unix seconds, as all times here.
    seen_at
        When it was found last.
    told_level
        The level that was told last; ``None`` before anything was.
    logged
        The news and level that the log has.
    """

    alert: Alert
    began_at: float
    seen_at: float
    told_level: str | None = None
    logged: str = ""

    @property
    def is_told(self) -> bool:
        """Whether people were told of it at its present level."""
        return self.told_level == self.alert.level


@dataclass(frozen=True, slots=True)
class Message:
    """What people are to be told: that an alert is new, has another level, or is over."""

    news: News
    alert: Alert
    began_at: float

    @property
    def sentence(self) -> str:
        """The words."""
        return f"over: {self.alert.what}" if self.news == "over" else self.alert.sentence

    @property
    def event_id(self) -> uuid.UUID:
        """The same message has the same identity, whoever sends it and however often."""
        return uuid.uuid5(_NAMESPACE, f"{self.news} {self.alert.name} {self.alert.level} {self.began_at:.0f}")


@dataclass
class Memory:
    """All that is remembered; the clock of the day may be set, and nobody may have looked for a while.

    Parameters
    ----------
    checked_at
        When somebody looked last; 0 for never.
    sightings
        What was seen of each thing, and since when it is so.
    standing
        Alerts by their names.
    """

    checked_at: float = 0.0
    sightings: dict[str, tuple[Any, float]] = field(default_factory=dict)
    standing: dict[str, Standing] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)
    _tick: float | None = None

    def begin(self, now: float, *, every_s: float, tick: float | None = None) -> None:
        """Begin a look at a time of day; time in which nobody looked does not count as time without progress.

        ``tick`` is a clock that nobody sets, by default the monotonic one; before the first look of this process a
        pause of up to three times ``every_s`` counts.
        """
        tick = time.monotonic() if tick is None else tick
        if self.checked_at:
            passed_s = now - self.checked_at
            seen_s = min(max(passed_s, 0.0), 3 * every_s) if self._tick is None else tick - self._tick
            if abs(passed_s - seen_s) > 1.0:
                self._shift(passed_s - seen_s)
        self.checked_at, self._tick, self._touched = now, tick, set()

    def _shift(self, by_s: float) -> None:
        self.sightings = {name: (what, since + by_s) for name, (what, since) in self.sightings.items()}
        self.standing = {name: replace(each, seen_at=each.seen_at + by_s) for name, each in self.standing.items()}

    def since(self, name: str, what: Any = True) -> float:
        """Since when a thing is seen as it is now; what is not seen in a look is forgotten at its end."""
        self._touched.add(name)
        known = self.sightings.get(name)
        if known is None or known[0] != what:
            self.sightings[name] = known = (what, self.checked_at)
        return known[1]

    def end(self, alerts: Iterable[Alert]) -> None:
        """End a look with what it found."""
        self.sightings = {name: seen for name, seen in self.sightings.items() if name in self._touched}
        now = self.checked_at
        for alert in alerts:
            known = self.standing.get(alert.name)
            if known is None:
                self.standing[alert.name] = Standing(alert, now, now)
            else:
                self.standing[alert.name] = replace(known, alert=alert, seen_at=now)

    def messages(self) -> list[Message]:
        """What people are still to be told; of what is covered by a standing alert nothing."""
        found = []
        for each in self.standing.values():
            if self.is_over(each):
                if each.told_level is not None or each.logged:
                    found.append(Message("over", each.alert, each.began_at))
            elif self._is_seen(each) and not each.is_told and not self._is_covered(each.alert):
                found.append(Message("new" if each.told_level is None else "changed", each.alert, each.began_at))
        return found

    def is_over(self, each: Standing) -> bool:
        """Whether an alert was not seen for long enough."""
        return self.checked_at - each.seen_at >= OVER_AFTER_S

    def _is_seen(self, each: Standing) -> bool:
        return each.seen_at >= self.checked_at

    def _is_covered(self, alert: Alert) -> bool:
        cover = self.standing.get(alert.covered_by)
        return cover is not None and not self.is_over(cover)

    def note_told(self, message: Message) -> None:
        """Take note that people were told."""
        name = message.alert.name
        if message.news == "over":
            del self.standing[name]
        else:
            self.standing[name] = replace(self.standing[name], told_level=message.alert.level)

    def note_logged(self, message: Message) -> bool:
        """Take note that the log has a message; ``False`` where it had it before."""
        known = self.standing[message.alert.name]
        stamp = f"{message.news} {message.alert.level}"
        if known.logged == stamp:
            return False
        self.standing[message.alert.name] = replace(known, logged=stamp)
        return True

    def forget_untold(self) -> None:
        """Forget what is over and was never told."""
        told = {message.alert.name for message in self.messages()}
        self.standing = {name: each for name, each in self.standing.items() if name in told or not self.is_over(each)}

    @property
    def shown(self) -> list[Standing]:
        """Alerts that stand now and that no other one explains, in the order of their beginning."""
        seen = [each for each in self.standing.values() if self._is_seen(each)]
        return sorted((each for each in seen if not self._is_covered(each.alert)), key=lambda each: each.began_at)

    def as_json(self) -> bytes:
        """The projection's content."""
        return to_json(
            {
                "checked_at": self.checked_at,
                "sightings": {name: list(seen) for name, seen in self.sightings.items()},
                "standing": [asdict(each) for each in self.standing.values()],
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read the projection; one that is damaged, or of another version, is an empty memory."""
        try:
            said = json.loads(data)
            to_json(said)  # refuses numbers that could not be written again
            standing = [_standing(each) for each in said["standing"]]
            sightings = {name: (_frozen(what), _moment(since)) for name, (what, since) in said["sightings"].items()}
            return cls(_moment(said["checked_at"]), sightings, {each.alert.name: each for each in standing})
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return cls()


def read_memory(store: Store) -> Memory | None:
    """Read what is remembered in a store; ``None`` where nobody ever looked."""
    try:
        return Memory.from_json(store.read(KEY))
    except FileNotFoundError:
        return None


def write_memory(store: Store, memory: Memory) -> None:
    """Write the projection."""
    store.write(KEY, memory.as_json())


def _standing(said: Mapping[str, Any]) -> Standing:
    alert = Alert(**{name: _checked(name, value) for name, value in said["alert"].items()})
    return Standing(alert, **{name: _checked(name, value) for name, value in said.items() if name != "alert"})


def _checked(name: str, value: Any) -> Any:
    """A time by a name that says so, else a text."""
    if name == "since" or name.endswith("_at"):
        return _moment(value)
    is_text = isinstance(value, str) and value.isprintable()
    if not is_text and not (value is None and name == "told_level"):
        raise TypeError(f"{value!r} is no text")
    return value


def _moment(value: Any) -> float:
    """A time that a calendar has."""
    moment = float(value)
    if isinstance(value, str) or not 0 <= moment < _LAST:
        raise ValueError(f"{value!r} is no time")
    return moment


def _frozen(what: Any) -> Any:
    """What a sighting said, as it was before it was JSON."""
    return tuple(map(_frozen, what)) if isinstance(what, list) else what
