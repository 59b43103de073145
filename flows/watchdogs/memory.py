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

from flows.watchdogs.alert import Alert
from imaging.names import to_json
from imaging.store import Store

KEY = "alerts/current.json"
OVER_AFTER_S = 300.0
"""An alert is over when nothing of it was seen for so long: what comes and goes is told once."""
OF_PLATES = frozenset(
    {
        "experiment-at-fault",
        "plate-at-fault",
        "plate-stuck",
        "plate-waiting",
        "cluster-silent",
        "cluster-idle",
        "queue-aging",
        "quality-collapsed",
    }
)
"""Kinds of alerts that are found by looking at plates."""
SIGHTED_PLATES = frozenset({"plate", "ready", "fault"})
"""First words of sightings of plates; what follows is the subject."""
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
    level_seen_at
        When it was found last at the level that was told.
    """

    alert: Alert
    began_at: float
    seen_at: float
    told_level: str | None = None
    logged: str = ""
    level_seen_at: float = 0.0

    @property
    def is_told(self) -> bool:
        """Whether people were told of it at its present level."""
        return self.told_level == self.alert.level

    @property
    def is_news(self) -> bool:
        """Whether people are to be told: of what is worse at once, of any other level once the last is really over.

        What hovers about a limit is told as the worse of two, once.
        """
        if self.told_level is None or self.is_told:
            return not self.is_told
        return _is_worse(self.alert.level, self.told_level) or self.seen_at - self.level_seen_at >= OVER_AFTER_S


@dataclass(frozen=True, slots=True)
class Message:
    """What people are to be told: that an alert is new, has another level than it last had at a moment, or is over."""

    news: News
    alert: Alert
    began_at: float
    changed_at: float = 0.0

    @property
    def sentence(self) -> str:
        """The words."""
        return f"over: {self.alert.what}" if self.news == "over" else self.alert.sentence

    @property
    def event_id(self) -> uuid.UUID:
        """The same message has the same identity, whoever sends it and however often."""
        moment = self.changed_at if self.news == "changed" else self.began_at  # it may change so more than once
        return uuid.uuid5(_NAMESPACE, f"{self.news} {self.alert.name} {self.alert.level} {moment:.0f}")


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
    _held: set[str] = field(default_factory=set)
    _before_at: float = 0.0
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
        self._before_at = self.checked_at
        self.checked_at, self._tick, self._touched, self._held = now, tick, set(), set()

    def _shift(self, by_s: float) -> None:
        self.checked_at += by_s
        self.sightings = {name: (what, since + by_s) for name, (what, since) in self.sightings.items()}
        self.standing = {name: _later(each, by_s) for name, each in self.standing.items()}

    def since(self, name: str, what: Any = True) -> float:
        """Since when a thing is seen as it is now; what is not seen in a look is forgotten at its end."""
        self._touched.add(name)
        known = self.sightings.get(name)
        if known is None or known[0] != what:
            self.sightings[name] = known = (what, self.checked_at)
        return known[1]

    def hold(self, subject: str) -> None:
        """Leave what is known of a plate, or of an experiment, as it is: it could not be looked at this time."""
        self._held.add(subject)

    def end(self, alerts: Iterable[Alert], *, is_whole: bool = True) -> None:
        """End a look with what it found; where it ``is_whole``, what was not seen is not there any more.

        What could not be looked at neither ages nor ends: a store that does not answer, or a watcher that has only
        begun, makes no plate's alert over and lets none count as without progress.
        """
        now, passed_s = self.checked_at, self.checked_at - self._before_at
        self.sightings = {
            name: seen if name in self._touched else (seen[0], seen[1] + passed_s)
            for name, seen in self.sightings.items()
            if name in self._touched or self._is_held(name, SIGHTED_PLATES, is_whole=is_whole)
        }
        for name, each in self.standing.items():
            if self._is_held(f"{each.alert.kind} {each.alert.subject}", OF_PLATES, is_whole=is_whole):
                # one that was seen at the last look is shown as long as nobody can look
                held = _later(each, passed_s)
                self.standing[name] = replace(held, seen_at=now) if each.seen_at >= self._before_at else held
        for alert in alerts:
            known = self.standing.get(alert.name)
            if known is None:
                self.standing[alert.name] = Standing(alert, now, now)
            else:
                level_seen_at = now if known.told_level == alert.level else known.level_seen_at
                self.standing[alert.name] = replace(known, alert=alert, seen_at=now, level_seen_at=level_seen_at)

    def _is_held(self, name: str, of_plates: frozenset[str], *, is_whole: bool) -> bool:
        kind, _, subject = name.partition(" ")
        return kind in of_plates and (not is_whole or subject in self._held)

    def messages(self) -> list[Message]:
        """What people are still to be told; of what is covered by a standing alert nothing."""
        found = []
        for each in self.standing.values():
            if self.is_over(each):
                if each.told_level is not None or each.logged:
                    found.append(Message("over", each.alert, each.began_at))
            elif self._is_seen(each) and each.is_news and not self._is_covered(each.alert):
                news: News = "new" if each.told_level is None else "changed"
                found.append(Message(news, each.alert, each.began_at, each.level_seen_at))
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
            level, known = message.alert.level, self.standing[name]
            self.standing[name] = replace(known, told_level=level, level_seen_at=known.seen_at)

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


def _later(each: Standing, by_s: float) -> Standing:
    """An alert that was seen so many seconds later."""
    return replace(each, seen_at=each.seen_at + by_s, level_seen_at=each.level_seen_at + by_s)


def _is_worse(level: str, than: str) -> bool:
    """Whether a level is higher; those that are no numbers, or no number of ours, are only different."""
    numbers = [int(text) for text in (level, than) if text.isdecimal() and len(text) < 10]
    return len(numbers) == 2 and numbers[0] > numbers[1]


def _frozen(what: Any) -> Any:
    """What a sighting said, as it was before it was JSON."""
    return tuple(map(_frozen, what)) if isinstance(what, list) else what
