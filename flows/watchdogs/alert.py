"""What an alert is, and the words that alerts are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from flows.watchdogs.facts import PlateFacts
from imaging.cost_words import time_words

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that is wrong.

    Parameters
    ----------
    kind
        One of the table in ``flows.watchdogs.alerts``.
    subject
        What it is about: a plate, a worker, a folder; with the kind it names the alert.
    since
        Since when, Unix seconds.
    what, to_do
        What is wrong, where and since when; what to do about it.
    experiment, plate, recipe, run
        The plate, as far as there is one; ``run`` is the flow run that follows it.
    level
        A change of it is told, while other words are not; of two numbers the higher one is worse.
    covered_by
        Name of an alert that explains this one; it is then not told by itself.
    """

    kind: str
    subject: str
    since: float
    what: str
    to_do: str
    experiment: str = ""
    plate: str = ""
    recipe: str = ""
    run: str = ""
    level: str = ""
    covered_by: str = ""

    @property
    def name(self) -> str:
        """What makes it the same alert at the next look."""
        return f"{self.kind}:{self.subject}"

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        return f"{self.what}; {self.to_do}"


def moment_words(moment: float) -> str:
    """A moment as people read it: ``2026-02-03 04:05 UTC``."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def since_words(since: float, now: float) -> str:
    """``since 2026-02-03 04:05 UTC (42 min)``."""
    return f"since {moment_words(since)} ({time_words(max(0.0, now - since))})"


def named(plates: Iterable[PlateFacts]) -> str:
    """``screen/P1``, ``screen/P1 and screen/P2``, ``screen/P1, screen/P2 and 4 more``; each plate once."""
    names = [*dict.fromkeys(plate.place for plate in plates)]
    if len(names) > MOST_NAMED:
        return f"{', '.join(names[:2])} and {len(names) - 2} more plates"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def inline(sentence: str) -> str:
    """What others say, on one line and without its full stop."""
    return " ".join(sentence.split()).rstrip(".")
