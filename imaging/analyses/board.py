"""The leaderboard: analysis recipes of one experiment side by side.

A recipe gains a hit that is one under it and not under the first, and loses one that the first has; examples are named.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imaging.analyses.analysis_records import ANALYSED_STATUS, AnalysisRecord
from imaging.analysis_tables import HITS, SCORES
from imaging.store import Store
from imaging.table_schema import INTEGER, TEXT, TEXTS, Column, Table, table_of

LEADERBOARD = Table(
    "leaderboard",
    "One row per analysis recipe.",
    (
        Column("recipe", TEXT, "", "recipe of the analysis"),
        *SCORES,
        Column("gained", INTEGER, "", "hits that the first recipe does not have"),
        Column("lost", INTEGER, "", "hits that only the first recipe has"),
        Column("gained_examples", TEXTS, "", "which they are: treatment and concentration"),
        Column("lost_examples", TEXTS, "", "which they are"),
        Column("reason", TEXT, "", "why there is no analysis; NULL where there is one"),
    ),
)


@dataclass(frozen=True)
class Entry:
    """One recipe on the board: its scores, its hits (treatment and concentration), or why it has none."""

    recipe: str
    scores: Mapping[str, Any] = field(default_factory=dict)
    hits: frozenset[tuple[str, str]] = frozenset()
    notes: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Board:
    """The leaderboard: rows of `LEADERBOARD`, and what has to be said of each recipe."""

    rows: tuple[Mapping[str, Any], ...]
    notes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def table(self) -> pa.Table:
        """The rows as a table."""
        return table_of(LEADERBOARD, self.rows)


def compare(entries: Sequence[Entry]) -> Board:
    """Put recipes side by side; the first that could be analysed is what others gain or lose hits against."""
    first = next((entry for entry in entries if not entry.reason), None)
    rows = []
    for entry in entries:
        row: dict[str, Any] = {"recipe": entry.recipe, **entry.scores, "reason": entry.reason or None}
        if first and not entry.reason and entry is not first:
            gained, lost = sorted(entry.hits - first.hits), sorted(first.hits - entry.hits)
            row |= {"gained": len(gained), "lost": len(lost)}
            row |= {"gained_examples": _named(gained), "lost_examples": _named(lost)}
        rows.append(row)
    return Board(tuple(rows), {entry.recipe: entry.notes for entry in entries})


def hits_of(rows: Iterable[Mapping[str, Any]]) -> frozenset[tuple[str, str]]:
    """Treatments and concentrations that are hits, of rows of the table ``hits``."""
    return frozenset((row["treatment"], _dose(row)) for row in rows if row.get("is_hit") is True)


def board_of_records(store: Store, records: Sequence[AnalysisRecord]) -> Board:
    """The leaderboard of analyses that are recorded; one whose table is gone or damaged has that as its reason."""
    return compare([_entry_of(store, record) for record in records])


def _entry_of(store: Store, record: AnalysisRecord) -> Entry:
    if record.status != ANALYSED_STATUS:
        return Entry(record.recipe, reason=record.reason)
    key = record.tables[HITS.name]
    try:
        rows = pq.read_table(io.BytesIO(store.read(key))).to_pylist()
    except (FileNotFoundError, pa.ArrowException):
        return Entry(record.recipe, reason=f"its table {key} is gone or damaged; platestream repair makes it again")
    content = record.content
    return Entry(record.recipe, content.get("scores") or {}, hits_of(rows), tuple(content.get("notes") or ()))


def _dose(row: Mapping[str, Any]) -> str:
    concentration = row.get("concentration")
    if concentration is None:
        return ""
    return f"{concentration:g} {row.get('concentration_unit') or ''}".strip()


def _named(hits: Sequence[tuple[str, str]]) -> list[str]:
    return [" ".join(part for part in hit if part) for hit in hits]
