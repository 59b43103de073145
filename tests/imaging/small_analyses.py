"""A small experiment for tests of analyses: published plates of 96 wells with eight features, made without images.

Columns 1 and 12 are DMSO. Treatment ``t<n>`` is in every fourth well that follows; ``t1`` and ``t2`` (of one mechanism)
move the features f0 to f3 by five standard deviations, ``t3`` and ``t4`` (of another) f4 to f7, all others none.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imaging.analyses.analysis_records import analyses_folder, record_key
from imaging.analyses.numbered import choose_recipe
from imaging.analysis_tables import ANALYSED, PROFILES
from imaging.names import hash_of, stored, to_json
from imaging.store import Store
from imaging.table_schema import FLAG, INTEGER, TEXT, TEXTS, Table, table_of
from imaging.tables import PUBLISHED

EXPERIMENT, RECIPE = "screen", "v1-0123abcd"
FEATURES = tuple(f"Cells_Intensity_f{number}" for number in range(8))
ROWS, COLUMNS = "ABCDEFGH", range(1, 13)
TREATMENTS = 20
MOVED = {1: slice(0, 4), 2: slice(0, 4), 3: slice(4, 8), 4: slice(4, 8)}
MECHANISM = {1: "one", 2: "one", 3: "two", 4: "two"}
QUICK = b"hits: {permutations: 500}\nfailures: {rules: none}\n"
"""An analysis recipe that is quick."""


def rows_of(plate: str, *, seed: int = 0, features: Sequence[str] = FEATURES, controls: bool = True) -> dict[str, Any]:
    """Rows of the tables wells and well_annotations of a plate, without the columns of its place."""
    random = np.random.default_rng([seed, *plate.encode()])
    wells, annotations = [], []
    treated = itertools.cycle(range(1, TREATMENTS + 1))
    for row, column in itertools.product(ROWS, COLUMNS):
        name = f"{row}{column:02d}"
        values = random.normal(10.0, 1.0, len(features))
        is_control = column in (1, 12)
        number = 0 if is_control else next(treated)
        if number in MOVED:
            values[MOVED[number]] += 5.0
        wells.append(
            {
                "well": name,
                "time_point": 1,
                "row": row,
                "column": column,
                "treatment": "DMSO" if is_control else f"t{number}",
                "concentration": None if is_control else 1.0,
                "concentration_unit": None if is_control else "uM",
                "control": ("negcon" if controls else "trt") if is_control else "trt",
                "sites_expected": 1,
                "sites_done": 1,
                "nuclei_count": 100 + int(random.integers(0, 9)),
                "cells_count": 100 + int(random.integers(0, 9)),
                "verdict": "pass",
                "reasons": [],
                **dict(zip(features, values.tolist(), strict=True)),
            }
        )
        if number in MECHANISM:
            annotations.append({"well": name, "name": "moa", "value": MECHANISM[number]})
    return {"wells": wells, "well_annotations": annotations}


def publish(
    store: Store, plate: str, number: int = 1, *, run: str = "", features: Sequence[str] = FEATURES, **how: Any
) -> str:
    """Publish a plate; its run is named by what is in it unless one is given."""
    rows = rows_of(plate, features=features, **how)
    run = run or hash_of([plate, rows["wells"]])
    return publish_rows(store, plate, number, run, rows, features)


def publish_rows(
    store: Store,
    plate: str,
    number: int,
    run: str,
    rows: Mapping[str, Sequence[dict[str, Any]]],
    features: Sequence[str],
) -> str:
    """Publish rows as a plate."""
    place = {"experiment": EXPERIMENT, "plate": plate, "recipe": RECIPE, "run": run}
    folder = f"results/{EXPERIMENT}/{plate}/{RECIPE}/"
    keys = {}
    for table in PUBLISHED:
        made = table_of(
            table, [row | place for row in rows.get(table.name, ())], features if table.has_features else ()
        )
        sink = pa.BufferOutputStream()
        pq.write_table(made, sink)
        keys[table.name] = f"{folder}published/{number:06d}-{run[:8]}/{table.name}.parquet"
        store.write(keys[table.name], sink.getvalue().to_pybytes())
    record(store, plate, number, run=run, tables=keys)
    return run


def record(store: Store, plate: str, number: int, *, status: str = "complete", **more: Any) -> None:
    """Write a publication record."""
    content = {"experiment": EXPERIMENT, "plate": plate, "recipe": RECIPE, "number": number, "status": status}
    content |= {"published_at": f"2026-02-0{number}T05:00:00.000+00:00", "tables": {}, "run": "none"}
    key = f"results/{EXPERIMENT}/{plate}/{RECIPE}/publications/{number:06d}.json"
    assert store.create(key, to_json(content | more))


def withdraw(store: Store, plate: str, number: int) -> None:
    """Withdraw a plate."""
    record(store, plate, number, status="withdrawn", run="withdrawn")


def declare(store: Store, recipe: bytes = QUICK, **others: bytes) -> None:
    """Write analysis.yaml, and recipes beside it by their names."""
    store.write(f"experiments/{EXPERIMENT}/analysis.yaml", recipe)
    for name, data in others.items():
        store.write(f"experiments/{EXPERIMENT}/analyses/{name}.yaml", data)


def publish_two(store: Store) -> None:
    """Publish two plates under a quick recipe."""
    declare(store)
    for plate in ("P1", "P2"):
        publish(store, plate)


def tables_of_analyses(store: Store) -> list[str]:
    """Tables of analyses that lie in the store, named by a record or not."""
    keys = [item.key for item in store.list(analyses_folder(EXPERIMENT)).objects]
    return [key for key in keys if "/data/" in key and "/_plates/" not in key]


def record_analysis(
    store: Store,
    number: int,
    *,
    recipe: str = "standard-0123abcd",
    hits: Sequence[str] = ("x",),
    run: str = "",
    **more: Any,
) -> str:
    """Record an analysis whose tables hold a made-up row per hit; the recipe of the first counts."""
    run = run or hash_of([recipe, list(hits)])
    place = {"experiment": EXPERIMENT, "analysis_recipe": recipe, "analysis": run}
    tables = {}
    for table in ANALYSED:
        features = FEATURES if table is PROFILES else ()
        rows = [_made_up(table, name, count) | place for count, name in enumerate(hits, start=1)]
        rows = [row | dict.fromkeys(features, 0.25 * count) for count, row in enumerate(rows, start=1)]
        sink = pa.BufferOutputStream()
        pq.write_table(table_of(table, rows, features), sink)
        key = f"{analyses_folder(EXPERIMENT)}{recipe}/data/{number:06d}-{run[:8]}/{table.name}.parquet"
        store.write(key, sink.getvalue().to_pybytes())
        tables[table.name] = stored(key, sink.getvalue().to_pybytes())
    content = {"number": number, "run": run, "status": "analysed", "experiment": EXPERIMENT, "recipe": recipe}
    content |= {"analysed_at": f"2026-02-0{number}T06:00:00.000+00:00", "publications": [["P1", RECIPE, "run1"]]}
    content |= {"tables": tables, "scores": {"wells": 96, "hits": len(hits), "nsc": 0.5}, "notes": ["made up"]}
    assert store.create(record_key(EXPERIMENT, recipe, number), to_json(content | more))
    if number == 1 and recipe.startswith("standard"):
        choose_recipe(store, EXPERIMENT, recipe)
    return run


def _made_up(table: Table, name: str, count: int) -> dict[str, Any]:
    """A row with a value in every column."""
    values = {TEXT: name, TEXTS: [name], INTEGER: count, FLAG: True}
    return {column.name: values.get(column.kind, 0.5 * count) for column in table.columns}
