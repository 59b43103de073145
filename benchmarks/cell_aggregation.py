"""Medians of cells per well: our aggregation against pandas, Polars and DuckDB, each in a process of its own.

    cells           300,000 cells of 384 wells with 1,500 features, float32, one in a hundred NULL, written as
                    publications write them: row groups of about 32 MB that end with a well
    aggregate       ``imaging.open_results(...).cells(...).aggregate()``
    pandas          ``read_parquet`` of the same columns, ``groupby("well").median()``; the two are timed apart
    polars, duckdb  the same question, where they are installed

Each reads the same file from the page cache. Memory is the greatest resident size of the process, imports included, and
beside it what it had before the work began. Before anything is measured, medians are compared with pandas' to the bit.

python -m benchmarks.cell_aggregation WAY STORE      measures one of them
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.results_file import write_result
from imaging import open_results
from imaging.publish_cells import ROW_GROUP_BYTES
from imaging.store import open_store
from imaging.table_schema import arrow_schema
from imaging.tables import CELLS
from imaging.wells import row_name
from tests.imaging import small_screen

CELLS_OF_PLATE, WELLS, FEATURES = 300_000, 384, 1_500
RUNS = 5
PLATE = "P1"
_KEYS = ["experiment", "plate", "well", "time_point"]


def feature_names() -> list[str]:
    """Names of the features."""
    return [f"Cells_Intensity_MeanIntensity_{number}" for number in range(FEATURES)]


def write_plate(folder: str) -> None:
    """Write a publication whose cells are random numbers from a fixed seed."""
    import pyarrow.parquet as pq

    store = open_store(folder)
    key = f"{small_screen.results(PLATE)}published/000001-x/cells.parquet"
    path = Path(folder) / key
    path.parent.mkdir(parents=True)
    schema = arrow_schema(CELLS, feature_names())
    wells = [f"{row_name(number // 24)}{number % 24 + 1:02d}" for number in range(WELLS)]
    counts = np.full(WELLS, CELLS_OF_PLATE // WELLS) + (np.arange(WELLS) < CELLS_OF_PLATE % WELLS)
    random = np.random.default_rng(0)
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        waiting: list[pa.Table] = []
        for well, count in zip(wells, counts, strict=True):
            waiting.append(_rows(schema, well, int(count), random))
            if sum(rows.nbytes for rows in waiting) >= ROW_GROUP_BYTES or well == wells[-1]:
                group = pa.concat_tables(waiting)
                writer.write_table(group, row_group_size=group.num_rows)
                waiting = []
    small_screen.record(store, 1, plate=PLATE, tables={"cells": key})


def _rows(schema: pa.Schema, well: str, count: int, random: np.random.Generator) -> pa.Table:
    place = {"experiment": "screen", "plate": PLATE, "recipe": small_screen.RECIPE, "run": "run1", "well": well}
    given: dict[str, Any] = {name: pa.array([value] * count) for name, value in place.items()}
    given |= {name: pa.array([1] * count) for name in ("site", "time_point")}
    given["ObjectNumber"] = pa.array(range(1, count + 1))
    values = random.normal(size=(FEATURES, count)).astype(np.float32)
    is_missing = random.random((FEATURES, count)) < 0.01
    for name, row, mask in zip(feature_names(), values, is_missing, strict=True):
        given[name] = pa.array(row, mask=mask)
    return pa.Table.from_arrays([given[name] for name in schema.names], schema=schema)


def _file(folder: str) -> str:
    return f"{folder}/{small_screen.results(PLATE)}published/000001-x/cells.parquet"


def by_aggregate(folder: str) -> Callable[[], Any]:
    """Our way."""
    import imaging.results.aggregation  # noqa: F401 - so that imports are no part of the work

    return lambda: open_results(folder).cells("screen").aggregate().to_arrow()


def by_pandas(folder: str) -> Callable[[], Any]:
    """Pandas' way."""
    import pandas as pd

    def work() -> Any:
        begin = time.perf_counter()
        frame = pd.read_parquet(_file(folder), columns=[*_KEYS, *feature_names()])
        parts["read_s"] = time.perf_counter() - begin
        return frame.groupby(_KEYS)[feature_names()].median()

    return work


def by_polars(folder: str) -> Callable[[], Any]:
    """The way of Polars."""
    import polars as pl

    medians = [pl.col(name).median() for name in feature_names()]
    return lambda: pl.scan_parquet(_file(folder)).group_by(_KEYS).agg(medians).collect()


def by_duckdb(folder: str) -> Callable[[], Any]:
    """DuckDB's way."""
    import duckdb

    medians = ", ".join(f'MEDIAN("{name}") AS "{name}"' for name in feature_names())
    keys = ", ".join(_KEYS)
    query = f"SELECT {keys}, {medians} FROM read_parquet('{_file(folder)}') GROUP BY {keys}"
    return lambda: duckdb.execute(query).to_arrow_table()


WAYS = {"aggregate": by_aggregate, "pandas": by_pandas, "polars": by_polars, "duckdb": by_duckdb}
parts: dict[str, float] = {}
"""Seconds of parts of the work, by name."""


def check(folder: str) -> None:
    """Hold our medians of some features against pandas', to the last bit."""
    import pandas as pd

    some = feature_names()[::100]
    ours = open_results(folder).cells("screen", columns=some).aggregate().to_pandas().set_index(_KEYS)
    frame = pd.read_parquet(_file(folder), columns=[*_KEYS, *some]).astype(dict.fromkeys(some, np.float64))
    theirs = frame.groupby(_KEYS)[some].median()
    if not (ours.loc[theirs.index].to_numpy() == theirs.to_numpy()).all():
        raise AssertionError("our medians must be those of pandas")


def measure_one(way: str, folder: str) -> dict[str, float]:
    """Seconds and memory of one way, in this process."""
    work = WAYS[way](folder)
    before = _peak_mb()
    begin, cpu = time.perf_counter(), time.process_time()
    work()
    figures = {"wall_s": time.perf_counter() - begin, "cpu_s": time.process_time() - cpu}
    return {**figures, **parts, "peak_mb": _peak_mb(), "before_mb": before}


def _peak_mb() -> float:
    """Greatest resident size since this program began; getrusage would count the process that started it too."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1e3


def _in_child(way: str, folder: str) -> dict[str, float]:
    program = [sys.executable, "-m", "benchmarks.cell_aggregation", way, folder]
    made = subprocess.run(program, capture_output=True, text=True, check=True)
    return json.loads(made.stdout.splitlines()[-1])


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(run[name] for run in runs), 3) for name in runs[0]}


def main() -> None:
    """Measure each way in turn, several times, and write the results."""
    with tempfile.TemporaryDirectory() as folder:
        write_plate(folder)
        check(folder)
        ways = [name for name in WAYS if name != "polars" or importlib.util.find_spec("polars")]
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        for _ in range(RUNS):
            for name in ways:
                found[name].append(_in_child(name, folder))
        figures = {name: _medians(runs) for name, runs in found.items()}
        size_mb = round(Path(_file(folder)).stat().st_size / 1e6)
    ours, pandas = figures["aggregate"], figures["pandas"]
    record = {
        "cells": CELLS_OF_PLATE,
        "wells": WELLS,
        "features": FEATURES,
        "runs": RUNS,
        "load_average": os.getloadavg()[0],
        "file_mb": size_mb,
        **figures,
        "pandas_over_ours": {name: round(pandas[name] / ours[name], 2) for name in ("wall_s", "cpu_s", "peak_mb")},
        "pandas_without_reading_over_ours_with": round((pandas["wall_s"] - pandas["read_s"]) / ours["wall_s"], 2),
    }
    print(write_result("cell_aggregation", record).read_text())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure_one(*sys.argv[1:])))
    else:
        main()
