"""What failed for technical reasons: one finding, its evidence, and the table of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from imaging.wells import Well, parse_row, parse_well

LEVELS = ("site", "well", "row", "column", "plate")
COLUMNS = (
    "experiment",
    "plate",
    "level",
    "well",
    "site",
    "row",
    "column",
    "rule",
    "feature",
    "value",
    "limit",
    "evidence",
    "excluded",
    "decided_by",
    "reason",
)
BY_RULE = "rule"
"""Who decided, where no person did."""


@dataclass(frozen=True)
class Failure:
    """A site, well, row, column or plate that failed.

    ``value`` and ``limit`` are in the unit of the rule, mostly robust standard deviations; ``evidence`` says them in
    words. ``excluded`` is whether wells at this place do not take part, ``decided_by`` who said so, and ``reason`` why.
    """

    experiment: str
    plate: str
    level: str
    rule: str
    evidence: str
    feature: str = ""
    value: float | None = None
    limit: float | None = None
    well: str = ""
    site: int | None = None
    row: str = ""
    column: int | None = None
    excluded: bool = True
    decided_by: str = BY_RULE
    reason: str = ""


def as_table(failures: Iterable[Failure]) -> pd.DataFrame:
    """Table of failures, whole plates first, then lines, wells and sites in plate order; numbers NaN where none is."""
    ordered = sorted(failures, key=_order)
    frame = pd.DataFrame([[getattr(item, name) for name in COLUMNS] for item in ordered], columns=list(COLUMNS))
    for name in ("value", "limit"):
        frame[name] = frame[name].astype(float)
    for name in ("site", "column"):
        frame[name] = frame[name].astype("Int64")
    return frame.astype({"excluded": bool})


def _order(item: Failure) -> tuple[object, ...]:
    place = parse_well(item.well) if item.well else Well(parse_row(item.row) if item.row else 0, item.column or 0)
    level = len(LEVELS) - LEVELS.index(item.level)
    return item.experiment, item.plate, level, place, item.site or 0, item.rule, item.feature, item.evidence


def say_z(z: float) -> str:
    """``7.1 robust standard deviations below``."""
    return f"{abs(z):,.1f} robust standard deviations {'below' if z < 0 else 'above'}"


def say_list(items: Sequence[str], most: int = 6) -> str:
    """``B02, B03 and 4 more``."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return f"{', '.join(items[:most])}{more}"
