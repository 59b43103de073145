"""What the page of an experiment shows, as plain tables that anything can make.

    hits          one row per treatment and concentration: what it does, and which criteria it meets
    doses         one row per treatment, feature and concentration, each with the fit of its curve
    charts        control wells of each plate in the order of acquisition, with limits and what is out of them
    failures      what failed for technical reasons, with its evidence
    variance      share of each feature's variance by factor
    mixing        how well batches mix and treatments separate, one row per method
    plates        the plates, each with the address of its page
    points        profiles on their first two principal components
    leaderboard   recipes side by side

Each is a pandas frame with the columns of `COLUMNS`; columns that a frame lacks are empty, others that it has are left
out. NaN, None and infinite numbers are all "no value".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

COLUMNS: dict[str, tuple[str, ...]] = {
    "hits": (
        "treatment",
        "concentration",
        "unit",
        "mechanism",
        "n_replicates",
        "is_hit",
        "criteria",
        "map",
        "q",
        "distance",
        "effect",
        "ssmd",
        "viability",
        "nearest",
        "reason",
    ),
    "doses": (
        "treatment",
        "feature",
        "concentration",
        "unit",
        "value",
        "ec50",
        "low",
        "high",
        "bottom",
        "top",
        "hill",
        "is_linear",
        "reason",
    ),
    "charts": ("plate", "time", "feature", "mean", "centre", "low", "high", "signal"),
    "failures": ("plate", "level", "well", "site", "rule", "feature", "evidence", "excluded", "decided_by", "reason"),
    "variance": ("feature", "factor", "share"),
    "mixing": ("method", "silhouette_batch", "silhouette_label", "kbet", "map_batch", "map_label", "counts", "notes"),
    "plates": ("plate", "batch", "verdict", "z_prime", "page", "published_at"),
    "points": ("x", "y", "plate", "well", "treatment", "concentration", "control"),
    "leaderboard": (
        "recipe",
        "percent_replicating",
        "mechanism_recall",
        "map_label",
        "silhouette_batch",
        "hits",
        "gained",
        "lost",
        "counts",
    ),
}
"""Columns of each table that the page reads."""

NEEDED = {
    "hits": ("treatment",),
    "doses": ("treatment", "concentration", "value"),
    "charts": ("plate", "mean"),
    "failures": ("plate", "rule"),
    "variance": ("factor", "share"),
    "mixing": ("method",),
    "plates": ("plate",),
    "points": ("x", "y"),
    "leaderboard": ("recipe",),
}
"""Columns that a table which has rows must have."""


def _nothing() -> pd.DataFrame:
    return pd.DataFrame()


@dataclass(frozen=True)
class ReportCount:
    """A number of the page's head, such as hits 41 of 2,354."""

    label: str
    value: int
    of: int | None = None


@dataclass(frozen=True, eq=False)
class ExperimentReport:
    """All that the page of an experiment shows but its pictures.

    Parameters
    ----------
    experiment, analysis, recipe
        Names: the experiment, the analysis (its hash) and its recipe.
    verdict
        ``pass``, ``warn`` or ``fail``; ``None`` where nobody judges.
    reasons
        Why it does not pass, and what the analysis notes, in sentences.
    counts
        Numbers of the page's head.
    notes
        Sentences that end the page: what was left out, and where it is.
    explained
        Share of the variance along the two axes of the map, 0 to 1.
    criteria
        The recipe's criteria in words, by name, such as ``{"activity": "mAP at an FDR of 5 %"}``.
    hits, doses, charts, failures, variance, mixing, plates, points, leaderboard
        See the head of this module.

    Raises
    ------
    ValueError
        If a table that has rows lacks a column of `NEEDED`.
    """

    experiment: str
    analysis: str = ""
    recipe: str = ""
    verdict: str | None = None
    reasons: tuple[str, ...] = ()
    counts: tuple[ReportCount, ...] = ()
    notes: tuple[str, ...] = ()
    explained: tuple[float | None, float | None] = (None, None)
    criteria: Mapping[str, str] = field(default_factory=dict)
    hits: pd.DataFrame = field(default_factory=_nothing)
    doses: pd.DataFrame = field(default_factory=_nothing)
    charts: pd.DataFrame = field(default_factory=_nothing)
    failures: pd.DataFrame = field(default_factory=_nothing)
    variance: pd.DataFrame = field(default_factory=_nothing)
    mixing: pd.DataFrame = field(default_factory=_nothing)
    plates: pd.DataFrame = field(default_factory=_nothing)
    points: pd.DataFrame = field(default_factory=_nothing)
    leaderboard: pd.DataFrame = field(default_factory=_nothing)

    def __post_init__(self) -> None:
        for name, needed in NEEDED.items():
            frame = getattr(self, name)
            if len(frame) and (lacking := [column for column in needed if column not in frame.columns]):
                raise ValueError(f"{name} must have the columns {list(needed)}, without {lacking}")

    def rows(self, table: str) -> pd.DataFrame:
        """One table with exactly its columns, ``None`` where there is no value."""
        frame = getattr(self, table)
        return pd.DataFrame({name: _column(frame, name) for name in COLUMNS[table]})


def _column(frame: pd.DataFrame, name: str) -> pd.Series:
    values = frame[name] if name in frame.columns else pd.Series([None] * len(frame))
    return pd.Series([plain(value) for value in values], dtype=object)


def rank_hits(hits: pd.DataFrame) -> pd.DataFrame:
    """Rows of hits in the order in which they are read: hits, then by mAP, distance, effect and name; a new index."""
    size = len(hits)
    keys = pd.DataFrame(
        {
            "hit": [plain(value) is not True for value in (hits["is_hit"] if "is_hit" in hits else [None] * size)],
            **{name: -_sizes(hits, name) for name in ("map", "distance", "effect")},
            "treatment": hits["treatment"].astype(str).to_numpy() if size else [],
            "concentration": _sizes(hits, "concentration"),
        }
    )
    return hits.iloc[keys.sort_values(list(keys.columns), kind="stable", na_position="last").index].reset_index(
        drop=True
    )


def _sizes(frame: pd.DataFrame, name: str) -> np.ndarray:
    """Absolute values of a column, shape ``(rows,)``; NaN where there are none."""
    if name not in frame:
        return np.full(len(frame), np.nan)
    values: Any = pd.to_numeric(frame[name], errors="coerce")
    return np.abs(np.asarray(values.astype("float64")))


def plain(value: Any) -> Any:
    """A value as JSON takes it: numbers of six digits, texts, lists of texts; ``None`` for what is no value."""
    if value is None or value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, list | tuple | set | frozenset | np.ndarray):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
