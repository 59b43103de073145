"""Parquet and CSV files, written block by block."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from imaging.export.rows import Rows
from imaging.table_files import join_texts, replacing, without_lists

MOST_BYTES = 128_000_000
"""Size of a row group in memory at most."""
_GZIP_LEVEL = 4
_CHUNK_BYTES = 32_000
"""Size of a column's values in a row group: of many columns fewer groups, as each costs every column an entry."""


def write_parquet(rows: Rows, out: Path) -> None:
    """Write rows as Parquet with zstd; memory holds one row group.

    Raises
    ------
    StoredDataError
        If the published file is gone or damaged.
    StoreUnavailableError
        If the file cannot be written.
    """
    size = min(MOST_BYTES, max(1, len(rows.schema)) * _CHUNK_BYTES)
    options = {"compression": "zstd", "use_dictionary": rows.metadata, "write_statistics": rows.metadata}
    with replacing(out) as file, pq.ParquetWriter(file, rows.schema, **options) as writer:
        for group in gathered(rows.blocks(), size):
            writer.write_table(group, row_group_size=group.num_rows)


def write_csv(rows: Rows, out: Path) -> None:
    """Write rows as CSV, with gzip where the name ends in ``.gz``; a NULL is empty, lists are joined by ``"; "``.

    Errors as ``write_parquet``.
    """
    texts = without_lists(rows.schema)
    with replacing(out) as file:
        packed = _packed(file) if out.suffix == ".gz" else contextlib.nullcontext(file)
        with packed as sink, pyarrow.csv.CSVWriter(sink, texts) as writer:
            for block in rows.blocks():
                writer.write_table(join_texts(block, texts))


def _packed(file: IO[bytes]) -> gzip.GzipFile:
    """Gzip without a name and a time in it: the same rows give the same bytes."""
    return gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0)


def gathered(blocks: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """Blocks put together until they have this size in bytes; empty ones are left out."""
    waiting: list[pa.Table] = []
    for block in blocks:
        if block.num_rows:
            waiting.append(block)
        if sum(table.nbytes for table in waiting) >= size:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
