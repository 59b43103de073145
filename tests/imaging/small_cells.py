"""Publications whose cells are rows that a test makes; as a program, what it costs to go through many of them.

python -m tests.imaging.small_cells STORE WAY    prints their size, and what Arrow and the process held at most, in MB
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imaging.store import Store, open_store
from imaging.table_schema import arrow_schema
from imaging.tables import CELLS
from tests.imaging import small_screen

FEATURES = ("Nuclei_A", "Cells_B", "Cells_C")
GROUPS, ROWS, MANY = 40, 2_000, 500


def publish_cells(store: Store, rows: pa.Table, groups: Sequence[int] = (), *, plate: str = "P1") -> str:
    """Publish rows of cells in row groups of these sizes, or in one."""
    key = f"{small_screen.results(plate)}published/000001-made/cells.parquet"
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, rows.schema, compression="zstd", use_dictionary=False) as writer:
        begin = 0
        for size in groups or [rows.num_rows]:
            writer.write_table(rows.slice(begin, size), row_group_size=max(1, size))
            begin += size
    assert begin == rows.num_rows
    store.write(key, sink.getvalue().to_pybytes())
    small_screen.record(store, 1, plate=plate, tables={"cells": key})
    return key


def cells(wells: Sequence[str], *, plate: str = "P1", seed: int = 0, missing: float = 0.1) -> pa.Table:
    """One random cell for each name of a well, some values NULL; the last feature has none in A01."""
    random = np.random.default_rng(seed)
    place = {"experiment": "screen", "plate": plate, "recipe": small_screen.RECIPE, "run": "run1"}
    columns = {name: pa.array([value] * len(wells)) for name, value in place.items()}
    columns |= {"well": pa.array(wells), "site": pa.array([1] * len(wells)), "time_point": pa.array([1] * len(wells))}
    columns["ObjectNumber"] = pa.array(range(1, len(wells) + 1))
    for name in FEATURES:
        is_missing = random.random(len(wells)) < missing
        if name == FEATURES[-1]:
            is_missing |= np.array(wells) == "A01"
        columns[name] = pa.array(random.normal(100, 30, len(wells)).astype(np.float32), mask=is_missing)
    return pa.table(columns, schema=arrow_schema(CELLS, FEATURES))


def _publish_many(root: str) -> float:
    """Publish 80,000 cells with 500 features; their size in MB."""
    few = cells(["A01"] * ROWS, missing=0.0)
    zeros = pa.array(np.zeros(ROWS, np.float32))
    group = pa.table(
        {**{name: few[name] for name in few.column_names[:8]}, **{f"Cells_F{number}": zeros for number in range(MANY)}}
    )
    store = open_store(root)
    key = f"{small_screen.results()}published/000001-made/cells.parquet"
    path = store.local_path(key)
    path.parent.mkdir(parents=True)
    with pq.ParquetWriter(path, group.schema) as writer:
        for number in range(GROUPS):
            writer.write_table(group.set_column(4, "well", pa.array([f"A{number + 1:02d}"] * ROWS)))
    small_screen.record(store, 1, tables={"cells": key})
    return GROUPS * group.nbytes / 1e6


def main(root: str, way: str) -> None:
    import dask

    from imaging import open_results

    size_mb = _publish_many(root)
    frame = open_results(root).cells("screen")
    if way == "blocks":
        assert sum(block.num_rows for block in frame.blocks()) == GROUPS * ROWS
    elif way == "aggregate":
        assert frame.aggregate().to_arrow().num_rows == GROUPS
    else:
        with dask.config.set(scheduler="synchronous"):
            assert float(frame.to_dask()["Cells_F7"].sum().compute()) == 0.0
    held_mb = pa.default_memory_pool().max_memory() / 1e6
    print(size_mb, held_mb, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3)


if __name__ == "__main__":
    main(*sys.argv[1:])
