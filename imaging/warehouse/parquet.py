"""Rows as the bytes of a Parquet file, for load jobs."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq


def to_parquet(rows: pa.Table) -> bytes:
    """Rows as a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    return sink.getvalue().to_pybytes()
