"""Rows of a published table over plates, straight from their Parquet files: a row group is in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from imaging.cell_statistics import Statistic
from imaging.results.frames import Frame, HeldFrame, count_words
from imaging.results.sources import Source
from imaging.sentences import list_words

if TYPE_CHECKING:
    from imaging.results.dask_frames import DaskFrame

WELL_KEYS = ("experiment", "plate", "well", "time_point")
"""What cells are aggregated by, unless something else is asked for."""


class PublishedFrame(Frame):
    """Rows of one table of some plates; nothing is read before a form is asked for.

    Parameters
    ----------
    table
        Name of the table.
    sources
        The plates' files, in the order in which rows come.
    schema
        The columns.
    remarks
        What has to be said of the choice of publications, one sentence each.
    """

    def __init__(self, table: str, sources: Sequence[Source], schema: pa.Schema, remarks: tuple[str, ...] = ()) -> None:
        self.table = table
        self.sources = tuple(sources)
        self.remarks = remarks
        self._schema = schema

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._schema

    @property
    def count(self) -> int:
        """Number of rows."""
        return sum(sum(source.groups) for source in self.sources)

    def blocks(self) -> Iterator[pa.Table]:
        """Rows in plate order, a row group at a time (about 32 MB of cells with all their columns).

        Raises
        ------
        StoredDataError
            If a file is gone or damaged.
        """
        for source in self.sources:
            with source.opened() as file:
                for number in range(len(source.groups)):
                    yield source.read(file, [number], self._schema)

    def to_arrow(self) -> pa.Table:
        """Read the rows as an Arrow table.

        Raises
        ------
        StoredDataError
            If a file is gone or damaged.
        """
        return pa.concat_tables([self._schema.empty_table(), *self.blocks()])

    def to_dask(self) -> DaskFrame:
        """The rows as a Dask frame, for what is larger than memory: a partition is some row groups of one plate.

        dtypes are those of `to_pandas`, texts as Dask holds them. Its workers read the store themselves, with this
        process's access where they are its threads.

        Raises
        ------
        MissingPartError
            If Dask's frames are not installed.
        """
        from imaging.results.dask_frames import to_dask

        return to_dask(self)

    def aggregate(
        self, by: str | Sequence[str] = WELL_KEYS, statistic: Statistic | Sequence[Statistic] = "median"
    ) -> HeldFrame:
        """Statistics of each feature over the rows of a group; see `imaging.results.aggregation.aggregate_rows`."""
        from imaging.results.aggregation import aggregate_rows

        return HeldFrame(
            aggregate_rows(
                self,
                (by,) if isinstance(by, str) else tuple(by),
                (statistic,) if isinstance(statistic, str) else tuple(statistic),
            )
        )

    def __repr__(self) -> str:
        plates = [f"{source.published.plate} ({source.published.recipe})" for source in self.sources]
        said = [
            f"{self.table}: {count_words(self.count, 'row')} of {count_words(len(plates), 'plate')}",
            f"  plates: {list_words(plates)}",
            f"  columns: {list_words(self.columns)}",
            *(f"  {remark}" for remark in self.remarks),
        ]
        return "\n".join(said)
