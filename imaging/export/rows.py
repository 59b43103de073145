"""Tables of a publication as other programs take them: columns under CellProfiler's names, rows block by block.

What identifies or describes a row begins with ``Metadata_``; all other columns are features, named as in the table
``features``. Every row gets what the plate map says of its well.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from imaging.cell_statistics import STATISTICS
from imaging.errors import StoredDataError, StoreUnavailableError
from imaging.export.selection import Published
from imaging.object_reader import opened
from imaging.table_schema import TEXTS, Table
from imaging.tables import CELLS, FEATURES, IMAGE_METRICS, IMAGES, PLACE, TABLES, WELL_ANNOTATIONS, WELLS

WHAT = {"profiles": "wells", "cells": "cells", "images": "images", "image_features": "image_features"}
"""What can be exported, and the table that holds it."""

_NAMES = {
    "plate": "Plate",
    "well": "Well",
    "site": "Site",
    "nuclei_count": "Count_Nuclei",
    "cells_count": "Count_Cells",
}
"""Columns that the field's programs know under names of their own, after ``Metadata_``."""
_UNFIT = re.compile(r"[\s/]+")
"""What the name of a plate map's column may have and a column of HDF5 not."""
_KEYS = ("well", "time_point")
_OF_WELLS_ONLY = ("sites_expected", "sites_done", "nuclei_count", "cells_count")
_IDENTITY = ("plate", "well", "time_point", "site", "channel", "ObjectNumber")


@dataclass(frozen=True)
class Rows:
    """Rows of one table of a plate.

    Parameters
    ----------
    published
        The publication that they are of.
    table
        Name of the table, such as ``cells``.
    schema
        Columns as they are exported: metadata first, then features; unit and description stand in the fields.
    n_metadata
        Number of metadata columns.
    count
        Number of rows.
    """

    published: Published
    table: str
    schema: pa.Schema
    n_metadata: int
    count: int

    @property
    def metadata(self) -> list[str]:
        """Names of the metadata columns."""
        return self.schema.names[: self.n_metadata]

    @property
    def features(self) -> list[str]:
        """Names of the feature columns."""
        return self.schema.names[self.n_metadata :]

    @property
    def identity(self) -> list[str]:
        """Metadata columns that together name a row."""
        return [metadata_name(name) for name in _IDENTITY if metadata_name(name) in self.metadata]

    def blocks(self) -> Iterator[pa.Table]:
        """Rows in plate order, a row group of the published file at a time.

        Raises
        ------
        StoredDataError
            If the file is gone or damaged.
        """
        described = read_wells(self.published)
        with open_published(self.published, self.table) as file:
            names = _in_order(self.table, file.schema_arrow)
            for number in range(file.num_row_groups):
                rows = file.read_row_group(number).select(names)
                columns = dict(zip(map(_exported_name(self.table), names), rows.columns, strict=True))
                columns |= _of_wells(rows, described)
                yield pa.Table.from_arrays([columns[field.name] for field in self.schema], schema=self.schema)


def metadata_name(column: str) -> str:
    """Name under which a column that is no feature is exported: ``Metadata_Plate``, ``Metadata_treatment``."""
    return f"Metadata_{_NAMES.get(column) or _UNFIT.sub('_', column)}"


def open_rows(published: Published, what: str) -> Rows:
    """Look at a table of a publication.

    Parameters
    ----------
    published
        The publication.
    what
        ``profiles``, ``cells``, ``images`` or ``image_features``.

    Raises
    ------
    StoredDataError
        If the file is gone or damaged.
    """
    table = WHAT[what]
    described = read_dictionary(published)
    with open_published(published, table) as file:
        stored, count = file.schema_arrow, file.metadata.num_rows
    names, features = _in_order(table, stored), _features(table, stored)
    fields = {_exported_name(table)(name): stored.field(name) for name in names}
    metadata = [metadata_name(name) for name in names if name not in features]
    wells = read_wells(published).schema
    joined = {metadata_name(name): wells.field(name) for name in _described(wells) if name not in names}
    fields |= joined
    metadata += joined
    schema = pa.schema([_field(name, fields[name].type, described) for name in [*metadata, *features]])
    return Rows(published, table, schema, len(metadata), count)


def read_dictionary(published: Published) -> dict[str, dict[str, Any]]:
    """What the publication's table ``features`` says of each feature, by its name."""
    with open_published(published, FEATURES.name) as file:
        rows = file.read().drop_columns([column.name for column in PLACE]).to_pylist()
    return {row["feature"]: row for row in rows} | {
        column.name: {"unit": column.unit or "1", "definition": column.description, "objects": "Image"}
        for column in IMAGE_METRICS
    }


def describe_feature(name: str, dictionary: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What is known of a feature column; those of ``wells`` may begin with the statistic of the cells' values."""
    for begin, _ in STATISTICS.values():
        base = name.removeprefix(begin) if begin else name
        if base != name and base in dictionary:
            return {**dictionary[base], "statistic": begin.rstrip("_").lower()}
    return dictionary.get(name, {})


def read_whole(published: Published, table: str) -> pa.Table:
    """Read a small table of a publication as it was published.

    Raises
    ------
    StoredDataError
        If the file is gone or damaged.
    """
    with open_published(published, table) as file:
        return file.read()


@contextlib.contextmanager
def open_published(published: Published, table: str) -> Iterator[pq.ParquetFile]:
    """Open the Parquet file of a published table.

    Raises
    ------
    StoredDataError
        If the file is gone or damaged, also while it is being read.
    """
    key = published.key(table)
    place: dict[str, Any] = {"experiment": published.experiment, "plate": published.plate, "key": key}
    try:
        with opened(published.store, key) as source, _undamaged(place), pq.ParquetFile(source) as file:
            yield file
    except FileNotFoundError as error:
        message = "a published table is gone; platestream repair publishes the plate anew"
        raise StoredDataError(message, **place) from error


@contextlib.contextmanager
def _undamaged(place: dict[str, Any]) -> Iterator[None]:
    """Give what Arrow says of a damaged file our words; of damaged pages it says OSError, without a number."""
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        if (isinstance(error, OSError) and error.errno is not None) or isinstance(error, StoreUnavailableError):
            raise
        words = str(error).splitlines()[0]
        raise StoredDataError(
            f"a published table cannot be read: {words}; platestream repair publishes the plate anew", **place
        ) from error


def _features(table: str, stored: pa.Schema) -> list[str]:
    """Columns of a stored table that hold features."""
    declared: Table = TABLES[table]
    known = {column.name for column in declared.columns}
    metrics = {column.name for column in IMAGE_METRICS} if table == "images" else set()
    return [name for name in stored.names if name not in known or name in metrics]


def _in_order(table: str, stored: pa.Schema) -> list[str]:
    """Columns of a stored table, metadata first."""
    features = set(_features(table, stored))
    return sorted(stored.names, key=lambda name: name in features)


def _exported_name(table: str) -> Any:
    known = {column.name for column in TABLES[table].columns} - {column.name for column in IMAGE_METRICS}
    return lambda name: metadata_name(name) if name in known else name


def _field(name: str, kind: pa.DataType, dictionary: dict[str, dict[str, Any]]) -> pa.Field:
    said = describe_feature(name, dictionary)
    about = {"unit": said.get("unit") or "", "description": said.get("definition") or ""} if said else None
    return pa.field(name, kind, metadata=about)


def read_wells(published: Published) -> pa.Table:
    """The wells of a plate without their features, and after their own columns all others of the plate map.

    Raises
    ------
    StoredDataError
        If a published table is gone or damaged.
    """
    with open_published(published, WELLS.name) as file:
        held = set(file.schema_arrow.names)
        wells = file.read([column.name for column in WELLS.columns if column.name in held])
    if WELL_ANNOTATIONS.name not in published.record["tables"]:
        return wells
    rows = read_whole(published, WELL_ANNOTATIONS.name).to_pylist()
    values = {(row["name"], row["well"]): row["value"] for row in rows}
    taken = {metadata_name(column.name).lower() for column in (*WELLS.columns, *CELLS.columns, *IMAGES.columns)}
    for name in dict.fromkeys(row["name"] for row in rows):
        if metadata_name(name).lower() not in taken:
            taken.add(metadata_name(name).lower())
            wells = wells.append_column(
                name, pa.array([values.get((name, well)) for well in wells["well"].to_pylist()], pa.string())
            )
    return wells


def _described(wells: pa.Schema) -> list[str]:
    """Columns of wells that their cells and images get too."""
    left_out = {*(column.name for column in PLACE), *_KEYS, *_OF_WELLS_ONLY}
    lists = {column.name for column in WELLS.columns if column.kind == TEXTS}
    return [name for name in wells.names if name not in left_out | lists]


def _of_wells(rows: pa.Table, wells: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Columns of wells for rows of their cells or images."""
    keys = [name for name in _KEYS if name in rows.column_names and name in wells.column_names]
    places = {place: number for number, place in enumerate(zip(*(wells[key].to_pylist() for key in keys), strict=True))}
    chosen = pa.array([places.get(place) for place in zip(*(rows[key].to_pylist() for key in keys), strict=True)])
    names = [name for name in _described(wells.schema) if name not in rows.column_names]
    return {metadata_name(name): wells[name].take(chosen.cast(pa.int64())) for name in names}
