"""The tables of one analysis, as Parquet files under fresh names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from imaging.analyses.analysis import Analysis
from imaging.analyses.profiles import Profiles
from imaging.analysis_tables import (
    ANALYSED,
    CONTROLS,
    DOSE_POINTS,
    DOSES,
    FEATURE_VARIANCE,
    HITS,
    PROCESS_FAILURES,
    PROFILES,
)
from imaging.columns import column_of
from imaging.publish_cells import open_parquet
from imaging.store import Store
from imaging.table_schema import FLAG, INTEGER, TEXT, TEXTS, Table, arrow_schema


def analysis_tables(
    analysis: Analysis, place: Mapping[str, Any], runs: Mapping[str, tuple[str, str]]
) -> dict[str, pa.Table]:
    """Every table of an analysis, by name.

    Parameters
    ----------
    analysis
        The analysis.
    place
        ``experiment``, ``analysis_recipe`` and ``analysis`` that every row carries.
    runs
        Recipe and run of each plate's publication; empty for profiles made elsewhere.
    """
    frames = {
        CONTROLS: analysis.controls,
        PROCESS_FAILURES: analysis.failures,
        HITS: analysis.hits,
        DOSES: analysis.doses,
        DOSE_POINTS: analysis.dose_points,
        FEATURE_VARIANCE: analysis.variance,
    }
    found = {PROFILES.name: _profiles(analysis, place, runs)}
    for table, frame in frames.items():
        found[table.name] = _table(table, _placed(frame, place, runs))
    return {table.name: found[table.name] for table in ANALYSED}


def write_analysis(store: Store, folder: str, tables: Mapping[str, pa.Table]) -> dict[str, dict[str, Any]]:
    """Write tables under a folder that nothing else writes to; key, size and checksum of each by its name.

    Raises
    ------
    StoreUnavailableError
        If they cannot be written.
    """
    sums: dict[str, Any] = {}
    keys = {name: f"{folder.rstrip('/')}/{name}.parquet" for name in tables}
    for name, table in tables.items():
        with open_parquet(store, keys[name], table.schema, sums) as writer:
            if table.num_rows:
                writer.write_table(table)
    return {name: sums[key] for name, key in keys.items()}


def _profiles(analysis: Analysis, place: Mapping[str, Any], runs: Mapping[str, tuple[str, str]]) -> pa.Table:
    """Wells, then treatments, with one column per feature."""
    features = analysis.profiles.features
    levels = (("well", analysis.profiles), ("treatment", analysis.consensus))
    parts = []
    for level, profiles in levels:
        frame = profiles.wells.drop(columns=["recipe", "run"], errors="ignore").assign(level=level)
        if level == "treatment":
            frame = frame.assign(plate=None, time_point=None, well=None, row=None, column=None)
        rows = _table(PROFILES, _placed(frame, place, runs))
        parts.append(_with_values(rows, profiles, features))
    return pa.concat_tables(parts)


def _with_values(rows: pa.Table, profiles: Profiles, features: tuple[str, ...]) -> pa.Table:
    schema = arrow_schema(PROFILES, features)
    position = {name: number for number, name in enumerate(profiles.features)}
    values = [column_of(np.ascontiguousarray(profiles.values[:, position[name]]), pa.float64()) for name in features]
    return pa.Table.from_arrays([*rows.columns, *values], schema=schema)


def _placed(frame: pd.DataFrame, place: Mapping[str, Any], runs: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """The rows with the columns that every row carries; recipe and run are those of its plate's publication."""
    plates = frame["plate"] if "plate" in frame else pd.Series([None] * len(frame), index=frame.index, dtype=object)
    known = [runs.get(str(plate), (None, None)) for plate in plates]
    carried: dict[str, Any] = {"plate": [plate or None for plate in plates]}
    carried |= {"recipe": [recipe for recipe, _ in known], "run": [run for _, run in known]}
    return frame.assign(**carried, **place)


def _table(table: Table, frame: pd.DataFrame) -> pa.Table:
    """Rows of a table of a frame; columns that it lacks are NULL, those that the table does not declare left out."""
    schema = arrow_schema(table)
    columns = []
    for column, field in zip(table.columns, schema, strict=True):
        given = frame[column.name].tolist() if column.name in frame else [None] * len(frame)
        columns.append(column_of([_cell(value, column.kind) for value in given], field.type))
    return pa.Table.from_arrays(columns, schema=schema)


def _cell(value: Any, kind: str) -> Any:
    """A cell as Arrow takes it; what is no value, and an empty text, becomes NULL."""
    if kind == TEXTS:
        return (
            value.split(", ") if isinstance(value, str) and value else list(map(str, value)) if _is_list(value) else []
        )
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    if kind == TEXT:
        return str(value) or None
    if kind == INTEGER:
        return None if value == "" else int(value)
    if kind == FLAG:
        return bool(value)
    return None if value == "" else value


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str)
