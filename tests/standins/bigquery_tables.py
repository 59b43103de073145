"""Tables and views of the BigQuery stand-in: DuckDB underneath, SQL from BigQuery's dialect by sqlglot.

Kept as the service does it: views follow the tables that they read, a load adds all of a file's rows or none, a file
must fit the table, lists are records unless list inference is asked for, at most 10,000 columns. The pseudocolumn
``_PARTITIONTIME`` is that of the partition that a load named, and no ``*`` shows it.
"""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
from sqlglot import exp

COLUMN_LIMIT = 10_000
_PARTITION = "_PARTITIONTIME"
_ROWS = "$rows"
"""Ends the name of what holds a table's rows with their partitions; under the table's own name a view shows them."""
VIEW_LIMIT = 256 * 1024
_DUCKDB = {
    "STRING": "VARCHAR",
    "INTEGER": "BIGINT",
    "INT64": "BIGINT",
    "FLOAT": "DOUBLE",
    "FLOAT64": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMPTZ",
}

_PARAMETERS: dict[str, Callable[[str], Any]] = {"INT64": int, "FLOAT64": float}


class RefusedError(Exception):
    """What the service answers with an error: HTTP status, reason, message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass
class Tables:
    """Datasets with their tables; every method is one step for all others.

    ``loads`` notes each file that was added: table, partition, rows.
    """

    project: str
    datasets: dict[str, dict[str, Any]] = field(default_factory=dict)
    tables: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    loads: list[tuple[str, str, int]] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _edits: int = 0

    def __post_init__(self) -> None:
        self._duckdb = duckdb.connect(config={"python_enable_replacements": False})
        self._duckdb.execute("SET TimeZone = 'UTC'")

    def close(self) -> None:
        self._duckdb.close()
        del self._duckdb  # threads of connections that clients keep open outlive it

    def create_dataset(self, resource: dict[str, Any]) -> dict[str, Any]:
        name = resource["datasetReference"]["datasetId"]
        with self.lock:
            if name in self.datasets:
                raise RefusedError(409, "duplicate", f"Already Exists: Dataset {self.project}:{name}")
            self._duckdb.execute(f'CREATE SCHEMA "{name}"')
            self.datasets[name] = {"location": "US", **resource, "id": f"{self.project}:{name}"}
            return self.datasets[name]

    def dataset(self, name: str) -> dict[str, Any]:
        if name not in self.datasets:
            raise RefusedError(404, "notFound", f"Not found: Dataset {self.project}:{name}")
        return self.datasets[name]

    def table(self, dataset: str, name: str) -> dict[str, Any]:
        self.dataset(dataset)
        if (dataset, name) not in self.tables:
            raise RefusedError(404, "notFound", f"Not found: Table {self.project}:{dataset}.{name}")
        return self.tables[dataset, name]

    def create_table(self, dataset: str, resource: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            self.dataset(dataset)
            name = resource["tableReference"]["tableId"]
            if (dataset, name) in self.tables:
                raise RefusedError(409, "duplicate", f"Already Exists: Table {self.project}:{dataset}.{name}")
            fields = resource["schema"]["fields"]
            _check_width(len(fields))
            columns = "".join(f'"{item["name"]}" {_column_type(item)}, ' for item in fields)
            self._duckdb.execute(f'CREATE TABLE "{dataset}"."{name}{_ROWS}" ({columns}{_PARTITION} TIMESTAMPTZ)')
            self._show_rows(dataset, name)
            made = _named(self.project, dataset, name, len(self.tables))
            return self._stamp(dataset, name, {**resource, **made, "type": "TABLE"})

    def _show_rows(self, dataset: str, name: str) -> None:
        rows = f'SELECT * EXCLUDE ({_PARTITION}) FROM "{dataset}"."{name}{_ROWS}"'
        self._duckdb.execute(f'CREATE OR REPLACE VIEW "{dataset}"."{name}" AS {rows}')

    def change_table(self, dataset: str, name: str, changes: dict[str, Any], etag: str | None) -> dict[str, Any]:
        with self.lock:
            found = self.table(dataset, name)
            if etag is not None and etag != found["etag"]:
                raise RefusedError(412, "conditionNotMet", "Precondition Failed")
            if "schema" in changes:
                self._widen(dataset, name, found["schema"]["fields"], changes["schema"]["fields"])
            changed = self._stamp(dataset, name, {**found, **changes})
            self._refresh_views()
            return changed

    def _widen(self, dataset: str, name: str, old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
        _check_width(len(new))
        given = {item["name"]: item for item in new}
        for item in old:
            if item["name"] not in given or _column_type(given[item["name"]]) != _column_type(item):
                raise RefusedError(400, "invalid", f"Provided Schema does not match Table: field {item['name']}")
        known = {item["name"] for item in old}
        for item in new:
            if item["name"] not in known:
                if item.get("mode") == "REQUIRED":
                    raise RefusedError(
                        400, "invalid", f"Cannot add required fields to an existing schema: {item['name']}"
                    )
                self._duckdb.execute(
                    f'ALTER TABLE "{dataset}"."{name}{_ROWS}" ADD COLUMN "{item["name"]}" {_column_type(item)}'
                )
        self._show_rows(dataset, name)

    def drop_table(self, dataset: str, name: str) -> None:
        with self.lock:
            kind = self.table(dataset, name)["type"]
            self._duckdb.execute(f'DROP VIEW "{dataset}"."{name}"')
            if kind == "TABLE":
                self._duckdb.execute(f'DROP TABLE "{dataset}"."{name}{_ROWS}"')
            del self.tables[dataset, name]

    def drop_dataset(self, name: str) -> None:
        """Drop a dataset with all that is in it."""
        with self.lock:
            self.dataset(name)
            self._duckdb.execute(f'DROP SCHEMA "{name}" CASCADE')
            for key in [key for key in self.tables if key[0] == name]:
                del self.tables[key]
            del self.datasets[name]

    def _stamp(self, dataset: str, name: str, resource: dict[str, Any]) -> dict[str, Any]:
        self._edits += 1
        self.tables[dataset, name] = resource | {"etag": f"e{self._edits}"}
        return self.tables[dataset, name]

    def _put_view(self, dataset: str, name: str, sql: str) -> None:
        if len(sql) > VIEW_LIMIT:
            raise RefusedError(400, "invalid", "View query text is too long")
        try:
            self._duckdb.execute(f'CREATE OR REPLACE VIEW "{dataset}"."{name}" AS {self.to_duckdb(sql)}')
        except duckdb.Error as error:
            raise RefusedError(400, "invalidQuery", str(error)) from error

    def _replace_view(self, view: exp.Table, text: str) -> None:
        self.dataset(view.db)
        is_new = (view.db, view.name) not in self.tables
        found = self.tables.get((view.db, view.name), _named(self.project, view.db, view.name, len(self.tables)))
        if found.get("type", "VIEW") != "VIEW":
            raise RefusedError(400, "invalid", f"{view.name} is not allowed for this operation because it is a table")
        self._put_view(view.db, view.name, text)
        self._stamp(view.db, view.name, {**found, "type": "VIEW", "view": {"query": text, "useLegacySql": False}})
        if not is_new:
            self._refresh_views()

    def _refresh_views(self) -> None:
        """Views show what their tables have now; DuckDB would hold on to the columns that they had."""
        for (dataset, name), resource in self.tables.items():
            if resource["type"] == "VIEW":
                self._put_view(dataset, name, resource["view"]["query"])

    def to_duckdb(self, sql: str) -> str:
        return _to_duckdb(sql, self.project)

    def query(self, sql: str, values: Mapping[str, Any]) -> pa.Table:
        """Run one statement."""
        with self.lock:
            try:
                tree = _parse(sql)
                if isinstance(tree, exp.Create):
                    self._replace_view(tree.this, sql.partition(" AS ")[2])
                    return pa.table({})
                if not isinstance(tree, exp.Query):
                    self._duckdb.execute(self.to_duckdb(sql), dict(values))
                    return pa.table({})
                return self._duckdb.sql(self.to_duckdb(sql), params=dict(values)).to_arrow_table()
            except sqlglot.errors.ParseError as error:
                raise RefusedError(400, "invalidQuery", str(error)) from error
            except duckdb.CatalogException as error:
                raise RefusedError(404, "notFound", str(error)) from error
            except duckdb.Error as error:
                raise RefusedError(400, "invalidQuery", str(error)) from error

    def load(self, target: Mapping[str, str], files: list[bytes], *, infers_lists: bool) -> int:
        """Add the rows of Parquet files, all or none."""
        name, _, partition = target["tableId"].partition("$")
        with self.lock:
            table = self.table(target["datasetId"], name)
            if partition and ("timePartitioning" not in table or re.fullmatch(r"\d{8}", partition) is None):
                raise RefusedError(400, "invalid", f"Invalid table partition {target['tableId']}")
            try:
                rows = pa.concat_tables([pq.read_table(io.BytesIO(data)) for data in files])
            except pa.ArrowInvalid as error:
                raise RefusedError(400, "invalid", f"Error while reading data: {error}") from error
            _check_fit(table["schema"]["fields"], rows, infers_lists)
            with closing(self._duckdb.cursor()) as cursor:
                cursor.execute("SET TimeZone = 'UTC'")
                cursor.register("file", rows)
                day = partition or f"{datetime.now(UTC):%Y%m%d}"
                rows_of = f"SELECT *, strptime('{day} +0000', '%Y%m%d %z') AS {_PARTITION} FROM file"
                cursor.execute(f'INSERT INTO "{target["datasetId"]}"."{name}{_ROWS}" BY NAME {rows_of}')
            self.loads.append((name, partition, rows.num_rows))
            return rows.num_rows


@lru_cache(2_000)
def _to_duckdb(sql: str, project: str) -> str:
    tree = _parse(sql).copy()
    is_query = isinstance(tree, exp.Query)
    changed = [] if is_query else list(tree.this.find_all(exp.Table))
    for item in tree.find_all(exp.Table):
        if item.catalog not in ("", project):
            raise RefusedError(404, "notFound", f"Not found: Project {item.catalog}")
        item.set("catalog", None)
        if item in changed or (is_query and _PARTITION in sql):
            item.set("this", exp.to_identifier(f"{item.name}{_ROWS}", quoted=True))
    return tree.sql("duckdb").replace("FULL OUTER UNION ALL BY NAME", "UNION ALL BY NAME")


@lru_cache(2_000)
def _parse(sql: str) -> Any:
    return sqlglot.parse_one(sql, read="bigquery")


def _named(project: str, dataset: str, name: str, number: int) -> dict[str, Any]:
    return {
        "id": f"{project}:{dataset}.{name}",
        "tableReference": {"projectId": project, "datasetId": dataset, "tableId": name},
        "creationTime": str(_now_ms() + number),
    }


def _check_fit(fields: list[dict[str, Any]], rows: pa.Table, infers_lists: bool) -> None:
    known = {item["name"]: item for item in fields}
    for column in rows.schema:
        if column.name not in known:
            raise RefusedError(
                400, "invalid", f"Provided Schema does not match Table. Cannot add fields (field: {column.name})"
            )
        wanted, found = known[column.name], _api_type(column.type, infers_lists)
        if found != (_short(wanted["type"]), wanted.get("mode") == "REPEATED"):
            raise RefusedError(
                400, "invalid", f"Field {column.name} has changed type from {wanted['type']} to {found[0]}"
            )
    for item in fields:
        lacks = item["name"] not in rows.column_names or rows[item["name"]].null_count
        if item.get("mode") == "REQUIRED" and lacks:
            raise RefusedError(400, "invalid", f"Required field {item['name']} cannot be null")


def _api_type(kind: pa.DataType, infers_lists: bool = True) -> tuple[str, bool]:
    if pa.types.is_list(kind):
        return (_api_type(kind.value_type)[0], True) if infers_lists else ("RECORD", False)
    if pa.types.is_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0):
        return "INTEGER", False
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "FLOAT", False
    if pa.types.is_boolean(kind):
        return "BOOLEAN", False
    return ("TIMESTAMP" if pa.types.is_timestamp(kind) else "STRING"), False


def values_of(query: Mapping[str, Any]) -> dict[str, Any]:
    """Named parameters of a query."""
    return {
        item["name"]: _PARAMETERS.get(item["parameterType"]["type"], str)(item["parameterValue"]["value"])
        for item in query.get("queryParameters") or ()
    }


def describe(schema: pa.Schema) -> list[dict[str, str]]:
    """Schema of an answer, as the API tells it."""
    types = [(item.name, *_api_type(item.type)) for item in schema]
    return [{"name": name, "type": kind, "mode": "REPEATED" if many else "NULLABLE"} for name, kind, many in types]


def cells(rows: pa.Table) -> list[dict[str, Any]]:
    """Rows of an answer, as the API tells them."""
    lists = {item.name for item in rows.schema if pa.types.is_list(item.type)}  # BigQuery has no NULL there
    found = [
        {name: [] if value is None and name in lists else value for name, value in row.items()}
        for row in rows.to_pylist()
    ]
    return [{"f": [{"v": _cell(value)} for value in row.values()]} for row in found]


def _cell(value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [{"v": _cell(item)} for item in value]
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return str(round(moment.timestamp() * 1_000_000))
    return repr(value) if isinstance(value, float) else str(value)


def _short(kind: str) -> str:
    return {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}.get(kind, kind)


def _column_type(item: Mapping[str, Any]) -> str:
    return _DUCKDB[item["type"]] + ("[]" if item.get("mode") == "REPEATED" else "")


def _check_width(columns: int) -> None:
    if columns > COLUMN_LIMIT:
        raise RefusedError(400, "invalid", f"Too many columns: {columns}, the limit is {COLUMN_LIMIT}")


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
