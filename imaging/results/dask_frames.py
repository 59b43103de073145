"""Rows of a table as a Dask frame: row groups of one plate are a partition, read by whoever computes it.

The only module of ``imaging`` that knows Dask, and only its frames, as it knows those of pandas and Polars: nothing
here starts, finds or waits for a cluster. It is imported when a Dask frame is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING

import pyarrow as pa

from imaging.errors import MissingPartError
from imaging.export.selection import Published
from imaging.results.entry import open_entry
from imaging.results.frames import as_pandas
from imaging.results.sources import Source

if TYPE_CHECKING:
    import dask.dataframe as dd
    import pandas as pd

    from imaging.results.published import PublishedFrame
    from imaging.store import Store

    DaskFrame = dd.DataFrame

PARTITION_BYTES = 64_000_000
"""Size of a partition in memory at most, unless one row group is larger: a file's footer is read for each."""
_TEXT_BYTES = 16


@dataclass(frozen=True)
class _Piece:
    """Row groups of one file, with what reads them: a worker that is sent this knows no store yet."""

    url: str
    experiment: str
    plate: str
    recipe: str
    number: int
    table: str
    key: str
    groups: tuple[int, ...]


def dask_frames() -> ModuleType:
    """Dask's frames, where they are installed."""
    try:
        import dask.dataframe as frames
    except ModuleNotFoundError as error:
        raise MissingPartError(
            f"Dask frames need the package {error.name}, which is not installed: pip install 'dask[dataframe]'"
        ) from error
    return frames


def to_dask(frame: PublishedFrame) -> DaskFrame:
    """Make the Dask frame of published rows; see `PublishedFrame.to_dask`."""
    meta = as_pandas(frame.schema.empty_table())
    pieces = [piece for source in frame.sources for piece in _pieces(source, frame.schema)]
    if not pieces:
        return dask_frames().from_pandas(meta, npartitions=1)
    return dask_frames().from_map(_read_piece, pieces, schema=frame.schema, meta=meta, label=frame.table)


def _pieces(source: Source, schema: pa.Schema) -> Iterator[_Piece]:
    """Successive row groups of a file that together have the size of a partition."""
    width = sum(kind.bit_width / 8 if pa.types.is_primitive(kind) else _TEXT_BYTES for kind in schema.types)
    groups: list[int] = []
    size = 0.0
    for number, rows in enumerate(source.groups):
        if groups and size + rows * width > PARTITION_BYTES:
            yield _piece(source, groups)
            groups, size = [], 0.0
        groups.append(number)
        size += rows * width
    if groups:
        yield _piece(source, groups)


def _piece(source: Source, groups: list[int]) -> _Piece:
    taken = source.published
    place = (taken.store.url, taken.experiment, taken.plate, taken.recipe, taken.number)
    return _Piece(*place, source.table, taken.key(source.table), tuple(groups))


def _read_piece(piece: _Piece, schema: pa.Schema, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a partition; Dask gives ``columns`` where a computation needs these alone."""
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns])
    record = {"tables": {piece.table: piece.key}}
    place = (piece.experiment, piece.plate, piece.recipe, piece.number)
    source = Source(Published(_open(piece.url), *place, record), piece.table)
    with source.opened() as file:
        return as_pandas(source.read(file, piece.groups, schema))


@lru_cache(maxsize=8)
def _open(url: str) -> Store:
    """A store, once per process: to open a bucket asks for credentials."""
    return open_entry(url).store
