"""One published Parquet file: its columns as they are declared today, and its rows, some row groups at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from imaging.export.rows import open_published
from imaging.export.selection import Published
from imaging.table_schema import arrow_schema
from imaging.tables import TABLES

IDENTITY = ("experiment", "plate", "recipe", "well", "site", "time_point", "channel", "ObjectNumber")
"""Columns that say which row it is, in every table that has them."""


@dataclass(frozen=True)
class Source:
    """The Parquet file of one table of a publication.

    Parameters
    ----------
    published
        The publication.
    table
        Name of the table, such as ``cells``.
    """

    published: Published
    table: str

    @cached_property
    def _footer(self) -> tuple[pa.Schema, tuple[int, ...]]:
        """Stored columns, and the number of rows of each row group."""
        with self.opened() as file:
            counted = (file.metadata.row_group(number).num_rows for number in range(file.num_row_groups))
            return file.schema_arrow.remove_metadata(), tuple(counted)

    @property
    def stored(self) -> pa.Schema:
        """Columns of the file."""
        return self._footer[0]

    @property
    def groups(self) -> tuple[int, ...]:
        """Number of rows of each row group."""
        return self._footer[1]

    @contextlib.contextmanager
    def opened(self) -> Iterator[pq.ParquetFile]:
        """Open the file.

        Raises
        ------
        StoredDataError
            If the file is gone or damaged, also while it is being read.
        """
        with open_published(self.published, self.table) as file:
            yield file

    def read(self, file: pq.ParquetFile, groups: Sequence[int], schema: pa.Schema) -> pa.Table:
        """Read these row groups; columns that the file lacks are NULL.

        Parameters
        ----------
        file
            The file, open.
        groups
            Numbers of the row groups.
        schema
            The columns to read.
        """
        wanted = list(schema.names)
        if "time_point" in wanted and "site" not in wanted:
            wanted.append("site")
        held = set(self.stored.names)
        rows = file.read_row_groups(list(groups), columns=[name for name in wanted if name in held])
        found = dict(zip(rows.column_names, rows.columns, strict=True))
        columns = {field.name: _as_declared(found.get(field.name), field.type, rows.num_rows) for field in schema}
        if "time_point" in columns:
            columns["time_point"] = self._time_points(rows, columns["time_point"])
        return pa.Table.from_arrays(list(columns.values()), schema=schema)

    def _time_points(self, rows: pa.Table, column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
        """Rows of earlier versions have no time point: they are of the first, as in the views."""
        first = pc.coalesce(column, pa.scalar(1, column.type))  # pyright: ignore[reportAttributeAccessIssue]
        if "site" not in (declared.name for declared in TABLES[self.table].columns):
            return first
        if "site" not in rows.column_names:
            return pa.nulls(rows.num_rows, column.type)
        nothing = pa.scalar(None, column.type)
        return pc.if_else(pc.is_null(rows["site"]), nothing, first)  # pyright: ignore[reportAttributeAccessIssue]


def _as_declared(column: pa.ChunkedArray | None, kind: pa.DataType, n_rows: int) -> pa.ChunkedArray | pa.Array:
    if column is None:
        return pa.nulls(n_rows, kind)
    return column if column.type == kind else column.cast(kind)


def schema_of(table: str, sources: Sequence[Source]) -> pa.Schema:
    """Columns of a table over several plates: those that are declared, then the features of any plate.

    A feature that one publication holds with more digits than another has the more digits.
    """
    declared = arrow_schema(TABLES[table])
    known = set(declared.names)
    found: dict[str, pa.DataType] = {}
    for source in sources:
        for field in source.stored:
            if field.name not in known:
                before = found.get(field.name, field.type)
                found[field.name] = before if before == field.type else pa.float64()
    return pa.schema([*declared, *(pa.field(name, kind) for name, kind in found.items())])
