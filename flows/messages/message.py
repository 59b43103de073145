"""What is told: a kind of message, what it is about, and the facts that its words are made of."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from imaging.errors import StoredDataError
from imaging.names import hash_of

LONGEST_FACT = 1500
"""Characters of one fact: reasons of a plate may be many."""
PUBLISHED, FAILED, UPDATED, NOT_ANALYSED, FAILURES, DIGEST, TEST = (
    "plate-published",
    "plate-failed",
    "experiment-updated",
    "experiment-failed",
    "process-failures",
    "digest",
    "test",
)
_OF_PLATES = (
    "experiment",
    "plate",
    "recipe",
    "number",
    "verdict",
    "status",
    "reasons",
    "z_prime",
    "z_feature",
    "sites_done",
    "sites_expected",
    "images_missing",
)
FACTS: dict[str, tuple[str, ...]] = {
    PUBLISHED: _OF_PLATES,
    FAILED: _OF_PLATES,
    UPDATED: (
        "experiment",
        "recipe",
        "analysis",
        "verdict",
        "hits",
        "treatments",
        "z_prime",
        "plates",
        "failures",
        "gained",
        "lost",
        "reasons",
    ),
    NOT_ANALYSED: ("experiment", "recipe", "analysis", "verdict", "plates", "reasons"),
    FAILURES: ("experiment", "recipe", "analysis", "count", "failures"),
    DIGEST: ("day", "plates", "passed", "warned", "failed", "experiments", "failed_plates", "alerts", "untold"),
    TEST: ("environment",),
}
"""Kinds of messages and the facts that each may have; the names stand in templates as ``$name``."""


@dataclass(frozen=True)
class Message:
    """One thing that people are told.

    Parameters
    ----------
    kind
        One of `FACTS`.
    about
        What makes it this message and no other, such as plate, recipe and number of the publication.
    at
        When it happened, Unix seconds, as a record says it: the same whoever tells it, since it is part of the address.
    facts
        What its words are made of; texts are cleaned, numbers shortened.
    page
        Key of the page that shows more; empty for none.
    tables
        Key of the published table ``wells`` that a picture is drawn from; empty for no picture.

    Raises
    ------
    ValueError
        If the kind or a fact is unknown.
    """

    kind: str
    about: tuple[str, ...]
    at: float
    facts: Mapping[str, str] = field(default_factory=dict)
    page: str = ""
    tables: str = ""

    def __post_init__(self) -> None:
        if self.kind not in FACTS:
            raise ValueError(f"kind must be one of {sorted(FACTS)}, got {self.kind!r}")
        if unknown := sorted(self.facts.keys() - set(FACTS[self.kind])):
            raise ValueError(f"facts of {self.kind} must be among {list(FACTS[self.kind])}, got {unknown}")

    @property
    def folder(self) -> str:
        """Its address in the store: by the day (UTC) on which it happened, and what it is about."""
        day = datetime.fromtimestamp(self.at, UTC).date().isoformat()
        return f"messages/{day}/{self.kind}-{hash_of([self.kind, *self.about])[:16]}/"

    def as_json(self) -> dict[str, Any]:
        """The record's content."""
        return {
            "kind": self.kind,
            "about": list(self.about),
            "at": self.at,
            "facts": dict(self.facts),
            "page": self.page,
            "tables": self.tables,
        }


def make_message(
    kind: str, about: tuple[str, ...], at: float, facts: Mapping[str, Any], *, page: str = "", tables: str = ""
) -> Message:
    """Make a message of facts as they come: ``None`` is nothing, numbers are shortened, lists are joined."""
    return Message(kind, about, at, {name: fact_text(value) for name, value in facts.items()}, page, tables)


def read_message(said: Any, key: str) -> Message:
    """Read a record's content.

    Raises
    ------
    StoredDataError
        If it is no message.
    """
    try:
        facts = {name: fact_text(value) for name, value in said["facts"].items()}
        about = tuple(map(str, said["about"]))
        return Message(said["kind"], about, float(said["at"]), facts, str(said["page"]), str(said["tables"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoredDataError("the record of a message is damaged; delete it", key=key) from error


def fact_text(value: Any) -> str:
    """A fact as one line of printable text of bounded length; empty where there is none."""
    if value is None or value != value:  # NaN
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return clean("; ".join(filter(None, map(fact_text, value))))
    return clean(str(value))


def clean(text: str) -> str:
    """A text on one line, without characters that are not seen (also those that turn the direction of what follows)."""
    seen = "".join(sign if unicodedata.category(sign)[0] != "C" else " " for sign in text)
    line = " ".join(seen.split())
    return line if len(line) <= LONGEST_FACT else f"{line[: LONGEST_FACT - 1]}…"
