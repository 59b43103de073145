"""Exports a plate of many cells; prints their size in memory, and after each form what Arrow held at most, in MB.

python -m tests.imaging.export_memory STORE OUT FORM...
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imaging.export.forms import Export
from imaging.export.selection import select_plates
from imaging.store import open_store

GROUPS, ROWS, FEATURES = 40, 1000, 500


def _make(path: Path) -> float:
    """Replace the plate's cells by many; return their size in MB."""
    few = pq.read_table(path)
    rows = few.drop_columns(few.column_names[7:]).take(pa.array([0] * ROWS))
    zeros = pa.array(np.zeros(ROWS, np.float32))
    group = pa.table(
        {**dict(zip(rows.column_names, rows.columns, strict=True)), **{f"F{n}": zeros for n in range(FEATURES)}}
    )
    with pq.ParquetWriter(path, group.schema) as writer:
        for _ in range(GROUPS):
            writer.write_table(group)
    return GROUPS * group.nbytes / 1e6


def main(root: str, out: str, *forms: str) -> None:
    store = open_store(root)
    (chosen,) = select_plates(store, "screen").plates
    path = store.local_path(chosen.key("cells"))
    held_mb = [_make(path) if path else 0.0]
    for form in forms:
        list(Export(form, "cells", Path(out)).write(chosen))
        held_mb.append(pa.default_memory_pool().max_memory() / 1e6)
    print(*held_mb)


if __name__ == "__main__":
    main(*sys.argv[1:])
