"""What people and screen logs decided about wells: excluded, or kept although a rule excludes them.

Rows of the table ``decisions`` count whose kind is ``excluded`` or ``kept``: of a plate where no well is named, of a
row or column where the table has such columns, of a well, or of a site. A decision to keep a well also keeps it where
its row, column or plate is excluded. Of several decisions about one place the last in the table counts.

A screen log of a plate reader comes with the wells, in the columns ``flag`` and ``flag_reason``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from imaging.analyses.failures.finding import Failure
from imaging.analyses.profiles import Profiles

KINDS = ("excluded", "kept")
RULE = "decision"
SCREEN_LOG = "screen log"


def apply_decisions(
    failures: Iterable[Failure], profiles: Profiles, decisions: pd.DataFrame | None
) -> Iterator[Failure]:
    """Add what was decided to what rules found, and change what rules exclude where a person keeps it."""
    made = {_place(item): item for item in [*_of_log(profiles), *_of_people(decisions)]}
    yield from made.values()
    kept = {place: item for place, item in made.items() if not item.excluded}
    for item in failures:
        by = next((kept[place] for place in _reaches(item) if place in kept), None)
        if by is not None and item.excluded:
            yield replace(item, excluded=False, decided_by=by.decided_by, reason=by.reason)
        else:
            yield item


def count_kept(failures: Any) -> int:
    """How many rows of a table of failures say that a person keeps something: these are no failures."""
    if not {"rule", "excluded"} <= set(failures):
        return 0
    return int(((failures["rule"] == RULE) & ~failures["excluded"].astype(bool)).sum())


def _of_people(decisions: pd.DataFrame | None) -> Iterator[Failure]:
    if decisions is None or decisions.empty or "kind" not in decisions:
        return
    for row in decisions[decisions["kind"].isin(KINDS)].to_dict("records"):
        said = {key: value for key, value in row.items() if not _is_blank(value)}
        well, site = str(said.get("well", "")), said.get("site")
        line, column = str(said.get("row", "")), said.get("column")
        level = "site" if site else "well" if well else "row" if line else "column" if column else "plate"
        who, reason = str(said.get("decided_by", "a person")), str(said.get("reason", "no reason was given"))
        excluded = row["kind"] == "excluded" and level != "site"
        yield Failure(
            experiment=str(said.get("experiment", "")),
            plate=str(said.get("plate", "")),
            level=level,
            rule=RULE,
            evidence=f"{who} decided that it is {row['kind']}: {reason}",
            well=well,
            site=int(site) if site else None,
            row=line if level == "row" else "",
            column=int(column) if level == "column" and column else None,
            excluded=excluded,
            decided_by=who,
            reason=reason,
        )


def _of_log(profiles: Profiles) -> Iterator[Failure]:
    wells = profiles.wells
    if "flag" not in wells:
        return
    flagged = wells[wells["flag"].fillna("").astype(str) != ""]
    for row in flagged.to_dict("records"):
        reason = str(row.get("flag_reason") or "no reason was given")
        yield Failure(
            experiment=row["experiment"],
            plate=row["plate"],
            level="well",
            rule=RULE,
            evidence=f"the screen log flags the well as {row['flag']}: {reason}",
            well=row["well"],
            decided_by=SCREEN_LOG,
            reason=reason,
        )


def _is_blank(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and value != value) or value is pd.NA


def _place(item: Failure) -> tuple[Any, ...]:
    return item.experiment, item.plate, item.level, item.well, item.site, item.row, item.column


def _reaches(item: Failure) -> Iterator[tuple[Any, ...]]:
    """Places of decisions that decide about a failure: its own, its well's, its plate's, with an experiment or none."""
    for experiment in dict.fromkeys((item.experiment, "")):
        yield (experiment, *_place(item)[1:])
        if item.level == "site":
            yield experiment, item.plate, "well", item.well, None, "", None
        yield experiment, item.plate, "plate", "", None, "", None
