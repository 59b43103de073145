"""What people are told of a new analysis: made of its record and tables, whoever looks, and as often as one looks."""

from __future__ import annotations

import io
from collections.abc import Sequence
from statistics import median
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.messages.news import tell_experiment
from imaging.analyses.analysis_records import (
    ANALYSED_STATUS,
    AnalysisRecord,
    list_analyses,
    read_analysis,
    read_json,
    told_key,
)
from imaging.analyses.board import board_of_records
from imaging.analyses.effects import CELLS_COUNT
from imaging.analyses.failures.decided import RULE as DECISION
from imaging.columns import read_time
from imaging.errors import StoredDataError
from imaging.store import Store

_NAMED = 5
"""Hits gained and lost that a message names."""
_OF_FAILURE = ("plate", "level", "well", "site", "row", "column", "rule", "feature", "evidence")


def tell_analysis(store: Store, record: AnalysisRecord, *, page: str = "") -> int:
    """Take note of what people are to be told of an analysis; return how many messages are new.

    Parameters
    ----------
    store
        Where everything is.
    record
        A record that was just created; told once, however often this is called.
    page
        Key of the experiment's page.

    Raises
    ------
    StoredDataError
        If a table of the analysis is gone.
    """
    told = _told_before(store, record)
    if told and _run_told(store, record, told[0]) == record.run:  # a repair recorded it under another number
        return 0
    before = _last_analysed(store, record, told)
    failures, known = _failures(store, record), {}
    if before is not None:
        try:
            known = _failures(store, before)
        except StoredDataError:  # what it said is lost: then everything is new
            before = None
    new = [evidence for place, evidence in failures.items() if place not in known]
    moment = read_time(record.content["analysed_at"])
    messages = tell_experiment(
        store,
        experiment=record.experiment,
        analysis=record.run,
        recipe=record.recipe,
        at=moment.timestamp() if moment else 0.0,
        facts=_facts(store, record, before, len(failures)),
        failures=new,
        page=page,
        is_failed=record.status != ANALYSED_STATUS,
    )
    return len(messages)


def _told_before(store: Store, record: AnalysisRecord) -> list[int]:
    """Numbers of the analyses before this one that people were told of, the last one first."""
    told = list_analyses(store, record.experiment).told
    return sorted((n for recipe, n in told if recipe == record.recipe and n < record.number), reverse=True)


def _run_told(store: Store, record: AnalysisRecord, number: int) -> str:
    """The analysis that people were told of under a number: its record may be gone, the mark holds it."""
    try:
        return str(read_json(store, told_key(record.experiment, record.recipe, number)).get("run"))
    except StoredDataError:
        return ""


def _last_analysed(store: Store, record: AnalysisRecord, numbers: Sequence[int]) -> AnalysisRecord | None:
    """The first of these that gave tables."""
    for number in numbers:
        before = read_analysis(store, record.experiment, record.recipe, number)
        if before.status == ANALYSED_STATUS:
            return before
    return None


def _facts(store: Store, record: AnalysisRecord, before: AnalysisRecord | None, failures: int) -> dict[str, Any]:
    scores = record.content.get("scores") or {}
    facts: dict[str, Any] = {
        "plates": len(record.publications),
        "hits": scores.get("hits"),
        "treatments": scores.get("treatments"),
        "failures": failures,
        "z_prime": _z_prime(store, record),
        "verdict": "fail" if record.reason else "warn" if failures else "pass",
        "reasons": [record.reason] if record.reason else [],
    }
    if before and record.status == ANALYSED_STATUS:
        row = board_of_records(store, [before, record]).rows[-1]
        facts |= {what: row[f"{what}_examples"][:_NAMED] for what in ("gained", "lost")}
    return {name: value for name, value in facts.items() if value is not None}


def _z_prime(store: Store, record: AnalysisRecord) -> float | None:
    """Median over the plates of the best Z' that a named feature and positive control has there, if any has one."""
    best: dict[str, float] = {}
    for row in _rows(store, record, "controls", ("plate", "feature", "z_prime")):
        if row["z_prime"] is not None and row["feature"] != CELLS_COUNT:
            best[row["plate"]] = max(row["z_prime"], best.get(row["plate"], row["z_prime"]))
    return median(best.values()) if best else None


def _failures(store: Store, record: AnalysisRecord) -> dict[tuple[Any, ...], str]:
    """Evidence of each process failure by its place and rule."""
    rows = _rows(store, record, "process_failures", (*_OF_FAILURE, "excluded"))
    found = [row for row in rows if row["rule"] != DECISION or row["excluded"]]  # what is kept is no failure
    return {tuple(row[name] for name in _OF_FAILURE[:-1]): _sentence(row) for row in found}


def _sentence(row: dict[str, Any]) -> str:
    place = " ".join(str(row[name]) for name in ("plate", "well") if row[name] is not None)
    return f"{place}: {row['evidence']}"


def _rows(store: Store, record: AnalysisRecord, table: str, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    key = record.tables.get(table)
    if key is None:
        return []
    try:
        return pq.read_table(io.BytesIO(store.read(key)), columns=list(columns)).to_pylist()
    except (FileNotFoundError, pa.ArrowException) as error:
        said = "a table of the analysis is gone or damaged; platestream repair makes it again"
        raise StoredDataError(said, key=key) from error
