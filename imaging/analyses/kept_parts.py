"""What was made of one plate alone, kept: of 101 plates that are analysed, a hundred are read back.

A part is named by the plate's publication and by the sections of the recipe that it depends on. Its data lie under a
fresh name, and a record that is created if absent makes them count. What is damaged or gone is made again, under the
next name.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from imaging.analyses.analysis_records import analyses_folder, read_json
from imaging.analyses.numbered import Decision, decisions_of
from imaging.analyses.plate_part import ACROSS, FAILURE_COLUMNS, PlatePart, prepare_plate
from imaging.analyses.profiles import Profiles
from imaging.analyses.publications import identify
from imaging.analyses.published import read_published
from imaging.analyses.recipe import ANALYSIS_NUMBERS_VERSION, AnalysisRecipe
from imaging.errors import StoredDataError
from imaging.export.selection import Published
from imaging.fresh_data import fresh_data
from imaging.names import hash_of, stored, to_json
from imaging.store import Store

FOLDER = "_plates"
_LIVES = 5
"""Names under which a part that was lost is made again."""


@dataclass
class Counted:
    """How many plates were read back and how many were made."""

    kept: int = 0
    made: int = 0


def part_name(published: Published, recipe: AnalysisRecipe, decisions: list[Decision]) -> str:
    """Name of what is made of a plate alone: equal for recipes that differ in later steps only."""
    by_plate = recipe.normalize.by == "plate"
    failures = recipe.failures.model_dump(mode="json")
    failures["rules"] = [rule for rule in recipe.failures.rules if rule not in ACROSS]
    return hash_of(
        [
            ANALYSIS_NUMBERS_VERSION,
            published.experiment,
            *identify(published),
            recipe.annotate.model_dump(mode="json"),
            recipe.filter.model_dump(mode="json"),
            recipe.normalize.model_dump(mode="json") if by_plate else None,
            failures,
            [[item.well, item.excluded, item.by, item.because] for item in decisions if item.plate == published.plate],
        ]
    )


def plate_part(
    published: Published, recipe: AnalysisRecipe, decisions: list[Decision], counted: Counted | None = None
) -> PlatePart:
    """Read what was made of a plate alone, or make and keep it.

    Raises
    ------
    StoredDataError, ConfigurationError
        If the publication is damaged, or its wells cannot be understood.
    """
    store, counted = published.store, counted or Counted()
    name = part_name(published, recipe, decisions)
    for life in range(_LIVES):
        key = f"{analyses_folder(published.experiment)}{FOLDER}/{name}-{life}.json"
        try:
            found = _read(store, key)
        except FileNotFoundError:
            break
        except StoredDataError:
            continue
        counted.kept += 1
        return found
    else:
        key = ""
    plate = read_published(published, recipe.annotate)
    part = prepare_plate(
        plate.profiles,
        recipe,
        sites=plate.sites,
        images=plate.images,
        decisions=decisions_of(decisions, published.plate) if decisions else None,
    )
    counted.made += 1
    if key:
        _keep(store, key, part, published)
    return part


def _read(store: Store, key: str) -> PlatePart:
    if not store.exists(key):
        raise FileNotFoundError(key)
    record = read_json(store, key)
    try:
        data = store.read(record["data"]["key"])
        if stored(record["data"]["key"], data) != record["data"]:
            raise StoredDataError("what was kept of a plate is damaged; it is made again", key=key)
        return from_arrow(data)
    except (FileNotFoundError, KeyError, TypeError, pa.ArrowException) as error:
        raise StoredDataError("what was kept of a plate is gone; it is made again", key=key) from error


def _keep(store: Store, key: str, part: PlatePart, published: Published) -> None:
    """Keep a part unless somebody did; whoever comes second deletes his data."""
    data_key = f"{analyses_folder(published.experiment)}{FOLDER}/data/{uuid.uuid4().hex}.arrow"
    data = to_arrow(part)
    with fresh_data(store) as fresh:
        fresh.write(data_key, data)
    record = {"data": stored(data_key, data), "publication": identify(published)}
    if not store.create(key, to_json(record)):
        fresh.delete()


def to_arrow(part: PlatePart) -> bytes:
    """A part as Arrow IPC: wells as columns, values as lists; not compressed, for numbers of this kind shrink little."""
    raw = part.raw
    wells = pa.Table.from_pandas(raw.wells, preserve_index=False)
    width = len(raw.features)
    arrays = {"_raw": raw.values} if part.values is raw.values else {"_raw": raw.values, "_values": part.values}
    for name, values in arrays.items():
        flat = pa.array(np.ascontiguousarray(values).ravel(), pa.float64())
        wells = wells.append_column(name, pa.FixedSizeListArray.from_arrays(flat, width) if width else pa.nulls(len(raw)))
    about: dict[str, Any] = {
        "features": list(raw.features),
        "left_out": part.left_out,
        "notes": list(part.notes),
        "failures": [[_plain(value) for value in row] for row in part.failures[list(FAILURE_COLUMNS)].to_numpy()],
    }
    table = wells.replace_schema_metadata({**(wells.schema.metadata or {}), b"platestream": to_json(about)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def from_arrow(data: bytes) -> PlatePart:
    """A part as `to_arrow` wrote it."""
    table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
    about = json.loads((table.schema.metadata or {})[b"platestream"])
    features = tuple(about["features"])
    arrays = {
        name: _matrix(table[name], len(features)) for name in ("_raw", "_values") if name in table.column_names
    }
    wells = table.drop_columns(list(arrays)).to_pandas()
    raw = Profiles(arrays["_raw"], features, wells)
    failures = pd.DataFrame(about["failures"], columns=list(FAILURE_COLUMNS), dtype=object)
    return PlatePart(raw, arrays.get("_values", raw.values), failures, about["left_out"], tuple(about["notes"]))


def _matrix(column: pa.ChunkedArray, width: int) -> np.ndarray:
    if not width:
        return np.empty((len(column), 0))
    flat = column.combine_chunks()
    values = flat.values if isinstance(flat, pa.FixedSizeListArray) else flat.chunk(0).values
    return np.array(values.to_numpy(zero_copy_only=False)).reshape(len(column), width)


def _plain(value: Any) -> Any:
    """A cell as JSON takes it, NaN as nothing."""
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and not np.isfinite(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value
