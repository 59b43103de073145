"""The tables of a publication that rest on what sites stored: ``cells`` and ``image_features``, well by well.

Cells of a well are read, written and let go but for their statistics, so memory holds one row group of cells.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imaging.aggregates import Row, SiteResult
from imaging.cell_statistics import aggregate_cells
from imaging.columns import column_of
from imaging.errors import PlateError, StoredDataError, StoreUnavailableError
from imaging.names import stored, stored_file
from imaging.publication_inputs import PublicationInputs, collect_sites
from imaging.store import Store
from imaging.table_schema import arrow_schema
from imaging.tables import CELLS, IMAGE_FEATURES
from imaging.time_points import site_columns, split_site

WellKey = tuple[str, int]
"""Well name and time point."""
ROW_GROUP_BYTES = 32_000_000
"""A row group of cells ends with the well that fills it to this size in memory. One group per well would make 460,000
column chunks of a plate with 1,500 features: a gigabyte of memory to write, and 28 times slower to read."""

_PARTS = {CELLS.name: "part", IMAGE_FEATURES.name: "image_part"}
"""Entry of a manifest that says where a site's rows of the table are."""


@dataclass
class _WellWriter:
    """Writes the rows of whole wells as row groups of about ``ROW_GROUP_BYTES``."""

    writer: pq.ParquetWriter
    waiting: list[pa.Table] = field(default_factory=list)

    def add(self, rows: pa.Table) -> None:
        """Take the rows of a well."""
        self.waiting.append(rows)
        if sum(table.nbytes for table in self.waiting) >= ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        group = pa.concat_tables(self.waiting) if self.waiting else None
        if group is not None and group.num_rows:
            self.writer.write_table(group, row_group_size=group.num_rows)
        self.waiting.clear()


def write_cells(
    store: Store, keys: Mapping[str, str], inputs: PublicationInputs, sums: dict[str, Any]
) -> dict[WellKey, Row]:
    """Write ``cells`` and ``image_features``.

    Parameters
    ----------
    store
        Where to write.
    keys
        Key of each table's Parquet file.
    inputs
        What is published.
    sums
        Takes size and checksum of each file, by its key.

    Returns
    -------
    Feature columns of each well at each time point.

    Raises
    ------
    StoredDataError
        If a site's part holds columns that no feature description explains.
    """
    schemas = {
        CELLS.name: arrow_schema(CELLS, inputs.features),
        IMAGE_FEATURES.name: arrow_schema(IMAGE_FEATURES, inputs.image_features),
    }
    wells: dict[WellKey, Row] = {}
    with ExitStack() as files:
        writers = {
            name: _WellWriter(files.enter_context(open_parquet(store, keys[name], schema, sums)))
            for name, schema in schemas.items()
        }
        for well, results in _by_well(inputs):
            for name, schema in schemas.items():
                rows = _rows_of_well(inputs, results, name, schema)
                writers[name].add(rows)
                if name == CELLS.name:
                    wells[well] = _features_of_well(inputs, rows)
        for writer in writers.values():
            writer.flush()
    return wells


def _by_well(inputs: PublicationInputs) -> Iterator[tuple[WellKey, list[SiteResult]]]:
    """Wells in plate order, at each time point, with how their sites ended."""

    def place(result: SiteResult) -> WellKey:
        return result.well, split_site(result.site)[1]

    for well, results in itertools.groupby(collect_sites(inputs), key=place):
        yield well, list(results)


def _rows_of_well(inputs: PublicationInputs, results: Iterable[SiteResult], table: str, schema: pa.Schema) -> pa.Table:
    """Rows of a well's measured sites, every declared column there; one that was not measured is NULL."""
    entry = _PARTS[table]
    measured = [result.manifest for result in results if result.manifest and result.manifest.get(entry)]
    found = [_rows_of_site(inputs, dict(manifest), entry, schema) for manifest in measured]
    return pa.concat_tables(found).combine_chunks() if found else schema.empty_table()


def _rows_of_site(inputs: PublicationInputs, manifest: dict[str, Any], entry: str, schema: pa.Schema) -> pa.Table:
    part = inputs.read_part(manifest, entry)
    given = inputs.place | {"well": manifest["well"], **site_columns(manifest["site"])}
    unknown = sorted(set(part.column_names) - set(schema.names) | set(part.column_names) & set(given))
    if unknown:
        raise StoredDataError(
            f"the site's data hold columns that the recipe does not describe: {', '.join(unknown)}",
            experiment=inputs.experiment.name,
            plate=inputs.plate,
            well=manifest["well"],
            site=manifest["site"],
        )
    measured = set(part.column_names)
    columns = [
        column_of(part[name] if name in measured else [given.get(name)] * part.num_rows, kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _features_of_well(inputs: PublicationInputs, cells: pa.Table) -> Row:
    if not inputs.features:
        return {}
    values = np.stack([cells[name].to_numpy() for name in inputs.features])
    measured = column_of(aggregate_cells(values, inputs.experiment.analysis.wells), pa.float64())
    return dict(zip(inputs.well_features, measured.to_pylist(), strict=True))


@contextmanager
def open_parquet(store: Store, key: str, schema: pa.Schema, sums: dict[str, Any]) -> Iterator[pq.ParquetWriter]:
    """Write a Parquet file at a fresh key: straight to disk in a folder, through memory (compressed) elsewhere.

    Size and checksum are then noted in ``sums``, as ``imaging.names.stored`` describes an object.

    Raises
    ------
    StoreUnavailableError
        If it cannot be written, e.g. because the disk is full.
    """
    path = store.local_path(key)
    sink = pa.BufferOutputStream()
    try:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(path or sink, schema, compression="zstd", use_dictionary=False) as writer:
            yield writer
    except OSError as error:
        if isinstance(error, PlateError):
            raise
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise StoreUnavailableError(f"the folder took no table: {reason}; make room or check it", key=key) from error
    if path is None:
        data = sink.getvalue().to_pybytes()
        store.write(key, data)
        sums[key] = stored(key, data)
    else:
        sums[key] = stored_file(key, path)
