"""Rows of a table, in the form of whichever library takes them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from imaging.errors import MissingPartError
from imaging.sentences import list_words

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from imaging.results.dask_frames import DaskFrame


class Frame(ABC):
    """Rows that can be had as Arrow, pandas or Polars; what is not known is NULL in each."""

    @abstractmethod
    def to_arrow(self) -> pa.Table:
        """Read the rows as an Arrow table."""

    @property
    @abstractmethod
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return self.schema.names

    def to_pandas(self) -> pd.DataFrame:
        """Read the rows as a pandas frame.

        A column has one dtype, whatever its rows hold: numbers are floats (NaN where NULL), whole numbers ``Int64``,
        flags ``boolean``, texts ``object``.
        """
        return as_pandas(self.to_arrow())

    def to_polars(self) -> pl.DataFrame:
        """Read the rows as a Polars frame.

        Raises
        ------
        MissingPartError
            If Polars is not installed.
        """
        try:
            import polars
        except ModuleNotFoundError as error:
            raise MissingPartError(
                "Polars frames need the package polars, which is not installed: pip install 'platestream[polars]'"
            ) from error
        frame = polars.from_arrow(self.to_arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame


class HeldFrame(Frame):
    """Rows that are in memory."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table."""
        return self._rows

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        return self._rows.schema

    def to_dask(self) -> DaskFrame:
        """The rows as a Dask frame of one partition.

        Raises
        ------
        MissingPartError
            If Dask's frames are not installed.
        """
        from imaging.results.dask_frames import dask_frames

        return dask_frames().from_pandas(self.to_pandas(), npartitions=1)

    def __repr__(self) -> str:
        return f"{count_words(self._rows.num_rows, 'row')}: {list_words(self.columns)}"


def as_pandas(rows: pa.Table) -> pd.DataFrame:
    """Rows as a pandas frame whose dtypes follow from the types of the columns alone."""
    import pandas as pd

    whole = {pa.int64(): pd.Int64Dtype(), pa.int32(): pd.Int32Dtype(), pa.bool_(): pd.BooleanDtype()}
    kinds: dict[Any, Any] = dict(whole)
    return rows.to_pandas(types_mapper=kinds.get)


def count_words(count: int, what: str) -> str:
    """``1 row``, ``1,234 rows``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
