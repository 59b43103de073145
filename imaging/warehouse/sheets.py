"""Published Parquet files held against what BigQuery takes, before a job is made of one.

The whole file is read: a Parquet file's statistics leave NaN out, so its footer cannot show that there is none.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imaging.errors import RefusedLoadError, SchemaDriftError, StoredDataError
from imaging.store import Store
from imaging.table_schema import Table, arrow_schema
from imaging.warehouse.schemas import base_name, check_width

_NAME = re.compile(r"(?!_table_|_file_|_partition|_row_timestamp|__root__|_colidentifier)[a-z_][a-z0-9_]{0,299}")
"""What BigQuery takes for a column's name, in lower case: names that differ in case only are one."""


@dataclass(frozen=True)
class Sheet:
    """One published table: its declaration, feature columns, rows, bytes and where they are from."""

    table: Table
    features: tuple[str, ...]
    rows: pa.Table
    data: bytes
    key: str
    place: dict[str, Any]

    @property
    def name(self) -> str:
        """Table of the dataset that takes the rows."""
        return base_name(self.table, self.features)


def read_sheet(store: Store, table: Table, key: str, place: dict[str, Any]) -> Sheet:
    """Read one table of a publication and hold it against the rules.

    Parameters
    ----------
    store, key
        Where the Parquet file is.
    table
        What it should hold.
    place
        ``experiment``, ``plate``, ``recipe`` and ``run`` that each row must have, or those that name an analysis.

    Raises
    ------
    StoredDataError
        If the file is gone or damaged.
    SchemaDriftError
        If a column has another type than declared.
    RefusedLoadError
        If there are too many columns, a NaN or an infinity, a name that BigQuery does not take, or rows of another run.
    """
    try:
        data = store.read(key)
        file = pq.ParquetFile(pa.BufferReader(data))
        schema = file.schema_arrow
        features = _check_columns(table, schema, key, place)
        rows = file.read()
    except FileNotFoundError as error:
        raise StoredDataError(
            "a published table is gone; platestream repair publishes the plate anew", key=key
        ) from error
    except pa.ArrowException as error:
        raise StoredDataError(f"a published table cannot be read: {error}; publish the plate again", key=key) from error
    for name in schema.names:
        _check_numbers(table, rows[name], name, key, place)
    for name, value in place.items():
        if rows.num_rows and pc.unique(rows[name]).to_pylist() != [value]:  # pyright: ignore[reportAttributeAccessIssue]
            raise RefusedLoadError(f"{table.name} holds rows whose {name} is not {value!r}", key=key, **_where(place))
    return Sheet(table, features, rows, data, key, place)


def _check_columns(table: Table, schema: pa.Schema, key: str, place: dict[str, Any]) -> tuple[str, ...]:
    """Hold names and types of columns against the declaration; return the feature columns."""
    declared = {column.name for column in table.columns}
    more = tuple(name for name in schema.names if name not in declared)
    where: dict[str, Any] = {"key": key, **_where(place)}
    if more and not table.has_features:
        raise SchemaDriftError(
            f"{table.name} has the column {more[0]}, which this version of the software does not know; update it",
            **where,
        )
    lacking = [name for name in place if name not in schema.names]
    if lacking:
        raise SchemaDriftError(f"{table.name} lacks the column {lacking[0]}", **where)
    try:
        check_width(base_name(table, more), len(declared) + len(more))
    except RefusedLoadError as error:
        raise RefusedLoadError(error.message, **where) from error
    counted = Counter(name.lower() for name in (*declared, *more))
    for name in more:
        if _NAME.fullmatch(name.lower()) is None or counted[name.lower()] > 1:
            raise RefusedLoadError(
                f"{table.name} has the column {name!r}, and BigQuery takes letters, digits and _ only, each name once "
                "whatever its case; rename the channel",
                **where,
            )
    for wanted in arrow_schema(table, more):
        found = schema.field(wanted.name).type if wanted.name in schema.names else wanted.type
        if not _is_like(found, wanted.type):
            raise SchemaDriftError(
                f"the column {wanted.name} of {table.name} is {found}, and must be {wanted.type}", **where
            )
    return more


def _is_like(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether two types are one, whatever the items of a list are called."""
    if pa.types.is_list(found) and pa.types.is_list(wanted):
        return found.value_type == wanted.value_type
    return found == wanted


def _check_numbers(table: Table, column: pa.ChunkedArray, name: str, key: str, place: dict[str, Any]) -> None:
    if not pa.types.is_floating(column.type):
        return
    finite = pc.all(pc.is_finite(column)).as_py()  # pyright: ignore[reportAttributeAccessIssue]
    if finite is False:
        raise RefusedLoadError(
            f"the column {name} of {table.name} holds NaN or an infinity, where NULL must stand; publish the plate "
            "again with the current software",
            key=key,
            **_where(place),
        )


def _where(place: dict[str, Any]) -> dict[str, Any]:
    return {"experiment": place["experiment"], "plate": place.get("plate", "")}
