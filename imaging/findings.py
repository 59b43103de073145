"""What was found wrong with a plate, one row per finding at the place where it was seen, the worst first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from imaging.wells import parse_well

Row = dict[str, Any]
_LEVELS = ("image", "site", "well")
_WORST_FIRST = ("fail", "warn")


def list_findings(tables: Mapping[str, pa.Table]) -> list[Row]:
    """List images, sites and wells that warn or fail.

    Reasons rise from images to sites to wells; each is listed once, where it was seen. A site without any image is
    listed, its images are not.

    Parameters
    ----------
    tables
        The tables ``images``, ``sites`` and ``wells`` of a plate.

    Returns
    -------
    Rows of verdict, level (image, site or well), well, site, channel and reason: fails before warnings, then in plate
    order.
    """
    images, sites, wells = (_judged(tables[name]) for name in ("images", "sites", "wells"))
    missing = {_place(row) for row in sites if row["state"] == "missing"}
    seen = [row for row in images if _place(row) not in missing]
    risen_to_site, risen_to_well = _reasons(seen, _place), _reasons(sites, _well)
    found = [_finding("image", row, set()) for row in seen]
    found += [_finding("site", row, risen_to_site[_place(row)]) for row in sites]
    found += [_finding("well", row, risen_to_well[_well(row)]) for row in wells]
    return sorted((row for row in found if row["reason"]), key=_order)


def _judged(table: pa.Table) -> list[Row]:
    names = [
        name
        for name in ("well", "site", "time_point", "channel", "state", "verdict", "reasons")
        if name in table.column_names
    ]
    return [row for row in table.select(names).to_pylist() if row["verdict"] in _WORST_FIRST]


def _place(row: Row) -> tuple[Any, ...]:
    return row["well"], row["site"], row.get("time_point")


def _well(row: Row) -> tuple[Any, ...]:
    return row["well"], row.get("time_point")


def _reasons(rows: list[Row], place: Callable[[Row], tuple[Any, ...]]) -> dict[tuple[Any, ...], set[str]]:
    """Reasons of the rows at each place."""
    found: dict[tuple[Any, ...], set[str]] = defaultdict(set)
    for row in rows:
        found[place(row)].update(row["reasons"] or ())
    return found


def _finding(level: str, row: Row, risen: set[str]) -> Row:
    """One row with the reasons that did not rise to it from below."""
    place = {name: row.get(name) for name in ("well", "site", "channel")}
    if (row.get("time_point") or 1) > 1:
        place["time_point"] = row["time_point"]
    reasons = [reason for reason in row["reasons"] or () if reason not in risen]
    return {"verdict": row["verdict"], "level": level, **place, "reason": "; ".join(reasons)}


def _order(row: Row) -> tuple[Any, ...]:
    place = (
        parse_well(row["well"]),
        row.get("time_point") or 1,
        row["site"] or 0,
        _LEVELS.index(row["level"]),
        row["channel"] or "",
    )
    return _WORST_FIRST.index(row["verdict"]), place
