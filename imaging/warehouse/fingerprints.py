"""What a run's rows come to, in any order: one query for both sides, Parquet files by DuckDB and tables by BigQuery.

Values are counted, whole numbers and lengths of texts summed, of floats the least and the greatest taken: all exact, so
that the two sides agree with ``==``. Feature columns, of which there are thousands, are counted by hundreds.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any

import duckdb
import sqlglot

from imaging.table_schema import FLAG, INTEGER, NUMBER, SINGLE, TEXT, TEXTS, TIME, Column
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.sheets import Sheet

CHUNK = 100
"""Feature columns that are counted together."""
_MEASURES = {
    TEXT: ("COUNT({0})", "SUM(CHAR_LENGTH({0}))"),
    TEXTS: ("SUM(ARRAY_LENGTH({0}))",),
    INTEGER: ("COUNT({0})", "SUM({0})"),
    NUMBER: ("COUNT({0})", "MIN({0})", "MAX({0})"),
    SINGLE: ("COUNT({0})", "MIN({0})", "MAX({0})"),
    FLAG: ("COUNT({0})", "SUM(CAST({0} AS INT64))"),
    TIME: ("COUNT({0})", "MIN(UNIX_MICROS({0}))", "MAX(UNIX_MICROS({0}))"),
}


@dataclass(frozen=True)
class Fingerprint:
    """Number of rows, and what their columns come to."""

    rows: int
    measures: tuple[int | float, ...]


def of_sheet(sheet: Sheet) -> Fingerprint:
    """Fingerprint of a published table."""
    sql = sqlglot.transpile(_query("sheet", sheet), read="bigquery", write="duckdb")[0]
    with closing(duckdb.connect(config={"python_enable_replacements": False})) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("sheet", sheet.rows)
        row = connection.execute(sql, sheet.place).fetchone()
    return _fingerprint(row or ())


def of_table(warehouse: Warehouse, sheet: Sheet, day: date | None = None) -> Fingerprint:
    """Fingerprint of the rows of the same run in BigQuery; of one partition alone, or of all, which costs more."""
    sql = _query(f"`{warehouse.table_id(sheet.name)}`", sheet) + in_partition(day)
    (row,) = warehouse.ask(sql, **sheet.place)
    return _fingerprint(tuple(row.values()))


def in_partition(day: date | None) -> str:
    """Ends a WHERE so that BigQuery reads, and bills, one partition only; empty for all."""
    return f" AND _PARTITIONTIME = TIMESTAMP '{day:%Y-%m-%d}'" if day else ""


def _fingerprint(row: tuple[Any, ...]) -> Fingerprint:
    # a sum or a least over no rows is NULL; whole numbers come as 128 bits from DuckDB
    values = [0 if value is None else value if isinstance(value, float) else int(value) for value in row]
    return Fingerprint(int(values[0]), tuple(values[1:]))


def _query(source: str, sheet: Sheet) -> str:
    held = set(sheet.rows.column_names)
    columns = [column for column in sheet.table.columns if column.name in held and column.name not in sheet.place]
    measures = ["COUNT(*)", *_measures(columns, sheet.features)]
    where = " AND ".join(f"`{name}` = @{name}" for name in sheet.place)
    listed = ", ".join(f"{measure} AS m{number}" for number, measure in enumerate(measures))
    return f"SELECT {listed} FROM {source} WHERE {where}"


def _measures(columns: list[Column], features: tuple[str, ...]) -> Iterator[str]:
    for column in columns:
        for measure in _MEASURES[column.kind]:
            yield measure.format(f"`{column.name}`")
    for start in range(0, len(features), CHUNK):
        chunk = list(itertools.islice(features, start, start + CHUNK))
        yield " + ".join(f"COUNT(`{name}`)" for name in chunk)
        yield f"MIN(`{chunk[0]}`)"
        yield f"MAX(`{chunk[0]}`)"
