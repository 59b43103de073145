"""How tables are declared, and what follows from a declaration: Arrow's schema, BigQuery's, and the documentation.

Missing values are NULL, never NaN or infinite; ``imaging.columns`` is the only place that converts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from imaging.columns import column_of
from imaging.errors import StoredDataError

TEXT, TEXTS, INTEGER, NUMBER, SINGLE, FLAG, TIME = "text", "texts", "integer", "number", "single", "flag", "time"
"""Kinds of columns; ``SINGLE`` is a number of seven digits, half as large."""

_ARROW: dict[str, pa.DataType] = {
    TEXT: pa.string(),
    TEXTS: pa.list_(pa.string()),
    INTEGER: pa.int64(),
    NUMBER: pa.float64(),
    SINGLE: pa.float32(),
    FLAG: pa.bool_(),
    TIME: pa.timestamp("us", tz="UTC"),
}
_BIGQUERY = {
    TEXT: "STRING",
    TEXTS: "STRING",
    INTEGER: "INTEGER",
    NUMBER: "FLOAT",
    SINGLE: "FLOAT",
    FLAG: "BOOLEAN",
    TIME: "TIMESTAMP",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, kind, unit ("" where it has none) and what it holds."""

    name: str
    kind: str
    unit: str
    description: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table: what a row is, its columns, and the kind of the feature columns that follow them, if any do."""

    name: str
    description: str
    columns: tuple[Column, ...]
    feature_kind: str = ""

    @property
    def has_features(self) -> bool:
        """Whether columns of features follow the declared ones."""
        return bool(self.feature_kind)


def arrow_schema(table: Table, features: Iterable[str] = ()) -> pa.Schema:
    """Schema of a table; ``features`` become columns where the table takes them."""
    fields = [pa.field(column.name, _ARROW[column.kind]) for column in table.columns]
    wide = [pa.field(name, _ARROW[table.feature_kind]) for name in features] if table.has_features else []
    return pa.schema(fields + wide)


def bigquery_schema(table: Table, features: Iterable[str] = ()) -> list[dict[str, str]]:
    """Schema of a table as BigQuery's API takes it: name, type, mode and description of each column."""
    declared = [_bigquery_field(column) for column in table.columns]
    wide = [{"name": name, "type": "FLOAT", "mode": "NULLABLE"} for name in features] if table.has_features else []
    return declared + wide


def table_of(table: Table, rows: Sequence[Mapping[str, Any]], features: Iterable[str] = ()) -> pa.Table:
    """Make an Arrow table of rows; columns a row lacks are NULL (empty for lists of texts).

    Raises
    ------
    ValueError
        If a row holds something the table does not declare.
    """
    schema = arrow_schema(table, features)
    unknown = {key for row in rows for key in row} - set(schema.names)
    if unknown:
        raise ValueError(f"rows of {table.name} must hold declared columns only, got {sorted(unknown)}")
    columns = [column_of([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _bigquery_field(column: Column) -> dict[str, str]:
    unit = f" [{column.unit}]" if column.unit else ""
    return {
        "name": column.name,
        "type": _BIGQUERY[column.kind],
        "mode": "REPEATED" if column.kind == TEXTS else "NULLABLE",
        "description": f"{column.description}{unit}",
    }


def table_markdown(table: Table) -> str:
    """Describe a table and its columns as Markdown."""
    lines = [f"## {table.name}", "", table.description, ""]
    lines += ["| column | type | unit | description |", "|---|---|---|---|"]
    lines += [
        f"| `{column.name}` | {_BIGQUERY[column.kind]}{' list' if column.kind == TEXTS else ''} | {column.unit} | "
        f"{column.description} |"
        for column in table.columns
    ]
    if table.has_features:
        lines.append("| one per feature | FLOAT | see `features` | named as in the table `features` |")
    return "\n".join([*lines, ""])


def table_of_records(table: Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Make an Arrow table of what records say; a value of another kind is a record's damage.

    Raises
    ------
    StoredDataError
        If there is such a value.
    """
    try:
        return table_of(table, rows)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        said = " ".join(str(error).split())
        raise StoredDataError(
            f"a record that {table.name} shows is damaged, as it holds a value of another kind ({said}); "
            "platestream verify finds it"
        ) from error
