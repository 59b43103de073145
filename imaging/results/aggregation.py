"""Statistics of cells per well, or of rows per anything, without holding the rows.

Row groups are joined to spans that no group of rows crosses: of cells by well a span is one row group, as publications
write whole wells into it; of cells by plate it is the plate. A span is read so many columns at a time that they take
``BATCH_BYTES``. The statistics are those that publications compute for ``wells``, by the same function.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imaging.cell_statistics import STATISTICS, Statistic, aggregate_cells, well_columns
from imaging.columns import column_of
from imaging.errors import ConfigurationError
from imaging.results.sources import Source
from imaging.sentences import name_unknown
from imaging.shared_columns import COUNTS, IMAGE_METRICS
from imaging.tables import TABLES

if TYPE_CHECKING:
    from imaging.results.published import PublishedFrame

BATCH_BYTES = 32_000_000
"""Size in memory of the columns that are read at once, all rows of a span."""
_AT_ONCE = 128
"""Columns that a thread takes at once; each is computed by itself, so that threads change no value."""


@dataclass(frozen=True, eq=False)
class _Group:
    """A row group: where it is, and which group of rows each of its rows belongs to."""

    source: int
    number: int
    rows: np.ndarray


def aggregate_rows(frame: PublishedFrame, by: tuple[str, ...], statistics: tuple[Statistic, ...]) -> pa.Table:
    """Compute statistics of each feature over the rows that are equal in some columns; NULL is left out.

    Parameters
    ----------
    frame
        The rows. Features are the columns that its table does not declare, counts of objects, and metrics of images.
    by
        Columns that name a group; NULL is a value like others.
    statistics
        Names of ``imaging.cell_statistics.STATISTICS``: median, mean, mad (median absolute deviation, not scaled) or
        count (of values).

    Returns
    -------
    One row per group in the order of their first rows: the columns of ``by``, then columns named as in ``wells``
    (medians as the feature, others beginning with ``Mean_``, ``MAD_`` or ``Count_``), float64; NULL where no row has a
    value, 0 for a count.

    Raises
    ------
    ConfigurationError
        If a column or statistic is not known, or there is no feature.
    StoredDataError
        If a published file is gone or damaged.
    """
    features = _features(frame, by, statistics)
    keys: dict[tuple[object, ...], int] = {}
    groups = list(_numbered(frame, by, keys))
    values = np.full((len(keys), len(statistics), len(features)), np.nan)
    with contextlib.closing(_OpenFile(frame.sources)) as file:
        for span in _spans(groups, len(keys)):
            _aggregate_span(file, span, pa.schema([frame.schema.field(name) for name in features]), statistics, values)
    named = list(zip(*keys, strict=True)) or [()] * len(by)
    columns = [pa.array(found, frame.schema.field(name).type) for name, found in zip(by, named, strict=True)]
    columns += [
        column_of(column, pa.float64()) for column in values.reshape(len(keys), len(statistics) * len(features)).T
    ]
    return pa.Table.from_arrays(columns, names=[*by, *well_columns(features, statistics)])


class _OpenFile:
    """The file that was read last, open: its footer, which describes each column of each row group, is read once."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources, self._number = sources, -1
        self._stack = contextlib.ExitStack()
        self._file: pq.ParquetFile | None = None

    def read(self, number: int, groups: Sequence[int], schema: pa.Schema) -> pa.Table:
        """Read row groups of a source."""
        if self._file is None or self._number != number:
            self.close()
            self._file = self._stack.enter_context(self._sources[number].opened())
            self._number = number
        return self._sources[number].read(self._file, groups, schema)

    def close(self) -> None:
        self._file = None
        self._stack.close()


def _features(frame: PublishedFrame, by: Sequence[str], statistics: Sequence[Statistic]) -> list[str]:
    known, where = frame.columns, f" in {frame.table}"
    problems = [name_unknown("column", name, known, where) for name in by if name not in known]
    problems += [name_unknown("statistic", name, list(STATISTICS)) for name in statistics if name not in STATISTICS]
    if problems:
        raise ConfigurationError("; ".join(problems))
    if not by or not statistics:
        raise ConfigurationError("an aggregation needs a column to aggregate by and a statistic, such as median")
    measured = {column.name for column in (*COUNTS, *IMAGE_METRICS)}
    set_aside = {column.name for column in TABLES[frame.table].columns} - measured | set(by)
    found = [name for name in known if name not in set_aside]
    if not found:
        raise ConfigurationError(f"{frame.table} has no features among the columns that were chosen; name some of them")
    return found


def _numbered(frame: PublishedFrame, by: Sequence[str], keys: dict[tuple[object, ...], int]) -> Iterator[_Group]:
    """Row groups with the number of each row's group; ``keys`` takes the groups' values, in the order they come."""
    schema = pa.schema([frame.schema.field(name) for name in by])
    for number, source in enumerate(frame.sources):
        with source.opened() as file:
            for group in range(len(source.groups)):
                yield _Group(number, group, _number_rows(source.read(file, [group], schema), keys))


def _number_rows(rows: pa.Table, keys: dict[tuple[object, ...], int]) -> np.ndarray:
    codes = np.zeros(rows.num_rows, np.int64)
    found = []
    for column in rows.columns:
        encoded = column.combine_chunks().dictionary_encode(null_encoding="encode")
        found.append(encoded.dictionary.to_pylist())
        codes = codes * len(found[-1]) + encoded.indices.to_numpy()
    unique, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    places = np.unravel_index(unique, [max(1, len(values)) for values in found])
    numbers = np.empty(len(unique), np.int32)
    for index in np.argsort(first):
        key = tuple(values[place[index]] for values, place in zip(found, places, strict=True))
        numbers[index] = keys.setdefault(key, len(keys))
    return numbers[inverse]


def _spans(groups: Sequence[_Group], n_keys: int) -> Iterator[list[_Group]]:
    """Successive row groups that no group of rows crosses the ends of."""
    last = np.zeros(n_keys, np.int64)
    for place, group in enumerate(groups):
        last[group.rows] = place
    span: list[_Group] = []
    end = 0
    for place, group in enumerate(groups):
        span.append(group)
        end = max(end, int(last[group.rows].max(initial=0)))
        if place >= end and any(len(item.rows) for item in span):
            yield span
            span = []


def _aggregate_span(
    file: _OpenFile, span: Sequence[_Group], schema: pa.Schema, statistics: Sequence[Statistic], values: np.ndarray
) -> None:
    """Fill the rows of ``values``, shape ``(group, statistic, feature)``, that are of this span's groups."""
    rows = np.concatenate([group.rows for group in span])
    order = np.argsort(rows, kind="stable")
    starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    ends = np.append(starts[1:], len(rows))
    numbers = rows[order[starts]]
    is_in_order = bool((np.diff(order) == 1).all())
    at_once = max(1, BATCH_BYTES // max(1, 4 * len(rows)))

    def fill(columns: Sequence[pa.ChunkedArray], place: int) -> None:
        matrix = _matrix(columns, len(rows))
        if not is_in_order:
            matrix = np.take(matrix, order, axis=1)  # whose rows lie together, unlike those of matrix[:, order]
        for number, start, end in zip(numbers, starts, ends, strict=True):
            found = aggregate_cells(matrix[:, start:end], statistics)
            values[number, :, place : place + len(columns)] = found.reshape(len(statistics), len(columns))

    with ThreadPoolExecutor(pa.cpu_count()) as pool:
        for begin in range(0, len(schema), at_once):
            columns = _read_columns(file, span, pa.schema(list(schema)[begin : begin + at_once]))
            parts = range(0, len(columns), _AT_ONCE)
            list(pool.map(fill, (columns[part : part + _AT_ONCE] for part in parts), [begin + part for part in parts]))


def _read_columns(file: _OpenFile, span: Sequence[_Group], schema: pa.Schema) -> list[pa.ChunkedArray]:
    """Columns of all rows of a span."""
    sources = dict.fromkeys(group.source for group in span)
    taken = {source: [group.number for group in span if group.source == source] for source in sources}
    return pa.concat_tables([file.read(source, groups, schema) for source, groups in taken.items()]).columns


def _matrix(columns: Sequence[pa.ChunkedArray], n_rows: int) -> np.ndarray:
    """Columns as shape ``(column, row)``, in their own precision; NULL is NaN."""
    is_single = all(column.type == pa.float32() for column in columns)
    matrix = np.empty((len(columns), n_rows), np.float32 if is_single else np.float64)
    for index, column in enumerate(columns):
        matrix[index] = (column if pa.types.is_floating(column.type) else column.cast(pa.float64())).to_numpy()
    return matrix
