"""What was made of one plate alone, kept from one analysis to the next: of 101 plates, a hundred are read back.

    wells      a publication's wells and what rules of failures look at, as columns that are read at once
    values     the plate normalised to itself, of the wells that take part

Each is named by what it is made of. Its data lie under a fresh name, and a record that is created if absent makes them
count. What is damaged or gone is made again, under the next name.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from imaging.analyses.analysis_records import PLATES, analyses_folder, read_json
from imaging.analyses.normalize import Normalized, normalize
from imaging.analyses.profiles import Profiles
from imaging.analyses.publications import identify
from imaging.analyses.published import PublishedPlate, read_published
from imaging.analyses.recipe import ANALYSIS_NUMBERS_VERSION, Annotate, Normalize
from imaging.errors import StoredDataError
from imaging.export.selection import Published
from imaging.fresh_data import fresh_data
from imaging.names import hash_of, stored, to_json
from imaging.store import Store

_LIVES = 5
"""Names under which something that was lost is made again."""
_VALUES, _SITES, _IMAGES = "values", "sites", "images"

Parts = dict[str, pa.Table]


@dataclass
class KeptPlates:
    """Reads and keeps what is made of single plates.

    Parameters
    ----------
    store, experiment
        Where it is kept.
    kept, made
        How many plates' wells, and how many plates' values, were read back and made so far.
    """

    store: Store
    experiment: str
    kept: dict[str, int] = field(default_factory=lambda: {"wells": 0, "values": 0})
    made: dict[str, int] = field(default_factory=lambda: {"wells": 0, "values": 0})
    _listed: frozenset[str] | None = None

    def read_wells(self, published: Published, annotate: Annotate) -> PublishedPlate:
        """The wells of a publication; errors as ``published.read_published``."""
        name = hash_of([ANALYSIS_NUMBERS_VERSION, *identify(published), annotate.model_dump(mode="json")])
        made: list[PublishedPlate] = []

        def make() -> Parts:
            made.append(read_published(published, annotate))
            return _tables_of(made[0])

        parts = self._find_or_make("wells", name, make)
        return made[0] if made else _plate_of(parts)

    def normalize(self, profiles: Profiles, recipe: Normalize) -> Normalized:
        """One published plate normalised to itself; errors as ``normalize.normalize``."""
        wells = profiles.wells
        name = hash_of(
            [
                ANALYSIS_NUMBERS_VERSION,
                [str(wells[column].iloc[0]) for column in ("experiment", "plate", "recipe", "run")],
                wells[["well", "time_point", "control"]].to_numpy().tolist(),
                list(profiles.features),
                recipe.model_dump(mode="json"),
            ]
        )
        made: list[Normalized] = []

        def make() -> Parts:
            made.append(normalize(profiles, recipe))
            values = _to_list(made[0].profiles.values)
            about = to_json({"notes": list(made[0].notes)})
            return {_VALUES: pa.table({_VALUES: values}).replace_schema_metadata({b"platestream": about})}

        table = self._find_or_make("values", name, make)[_VALUES]
        if made:
            return made[0]
        values = _to_matrix(table[_VALUES], len(profiles.features))
        return Normalized(profiles.with_values(values), tuple(_about(table)["notes"]))

    def _find_or_make(self, kind: str, name: str, make: Callable[[], Parts]) -> Parts:
        key = ""
        for life in range(_LIVES):
            key = f"{analyses_folder(self.experiment)}{PLATES}/{kind}-{name}-{life}.json"
            if key not in self._names():
                break
            try:
                found = self._read(key)
            except StoredDataError:
                key = ""
                continue
            self.kept[kind] += 1
            return found
        parts = make()
        self.made[kind] += 1
        if key:
            self._keep(key, parts)
        return parts

    def _names(self) -> frozenset[str]:
        """What was kept when it was first asked; what others keep meanwhile is found when ours comes second."""
        if self._listed is None:
            folder = f"{analyses_folder(self.experiment)}{PLATES}/"
            self._listed = frozenset(item.key for item in self.store.list(folder).objects)
        return self._listed

    def _read(self, key: str) -> Parts:
        record = read_json(self.store, key)
        try:
            return {name: _read_arrow(self.store, about) for name, about in record["data"].items()}
        except (FileNotFoundError, KeyError, TypeError, AttributeError, pa.ArrowException) as error:
            raise StoredDataError("what was kept of a plate is gone; it is made again", key=key) from error

    def _keep(self, key: str, parts: Mapping[str, pa.Table]) -> None:
        """Keep tables unless somebody did; whoever comes second deletes his data."""
        data: dict[str, Any] = {}
        with fresh_data(self.store) as fresh:
            for name, table in parts.items():
                data_key = f"{analyses_folder(self.experiment)}{PLATES}/data/{uuid.uuid4().hex}.arrow"
                encoded = _to_arrow(table)
                fresh.write(data_key, encoded)
                data[name] = stored(data_key, encoded)
        if not self.store.create(key, to_json({"data": data})):
            fresh.delete()


def _tables_of(plate: PublishedPlate) -> Parts:
    wells = pa.Table.from_pandas(plate.profiles.wells, preserve_index=False)
    wells = wells.append_column("_values", _to_list(plate.profiles.values))
    about = to_json({"features": list(plate.profiles.features)})
    return {
        "wells": wells.replace_schema_metadata({**(wells.schema.metadata or {}), b"platestream": about}),
        _SITES: pa.Table.from_pandas(plate.sites, preserve_index=False),
        _IMAGES: pa.Table.from_pandas(plate.images, preserve_index=False),
    }


def _plate_of(parts: Parts) -> PublishedPlate:
    wells = parts["wells"]
    features = tuple(_about(wells)["features"])
    values = _to_matrix(wells["_values"], len(features))
    profiles = Profiles(values, features, wells.drop_columns(["_values"]).to_pandas())
    return PublishedPlate(profiles, parts[_SITES].to_pandas(), parts[_IMAGES].to_pandas())


def _about(table: pa.Table) -> dict[str, Any]:
    return json.loads((table.schema.metadata or {})[b"platestream"])


def _to_list(values: np.ndarray) -> pa.Array:
    """A matrix as a column of lists: read at once, where thousands of columns would take a while."""
    flat = pa.array(np.ascontiguousarray(values, dtype=float).ravel(), pa.float64(), from_pandas=False)
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1]) if values.shape[1] else pa.nulls(len(values))


def _to_matrix(column: pa.ChunkedArray, width: int) -> np.ndarray:
    if not width or not len(column):
        return np.empty((len(column), width))
    parts = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, width) for chunk in column.chunks]
    return np.concatenate(parts)


def _to_arrow(table: pa.Table) -> bytes:
    """Arrow IPC, not compressed: measured numbers shrink little, and are read without a copy."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _read_arrow(store: Store, about: Mapping[str, Any]) -> pa.Table:
    data = store.read(about["key"])
    if stored(about["key"], data) != dict(about):
        raise StoredDataError("what was kept of a plate is damaged; it is made again", key=about["key"])
    return pa.ipc.open_file(pa.BufferReader(data)).read_all()
