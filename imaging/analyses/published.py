"""Published plates as profiles: the wells of a publication, what its plate map says of them, and its quality."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from imaging.analyses.annotate import describe_wells, rename_columns
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import Annotate
from imaging.errors import StoredDataError
from imaging.export.selection import Published
from imaging.tables import IMAGE_METRICS, IMAGES, SITES, WELL_ANNOTATIONS, WELLS


@dataclass(frozen=True, eq=False)
class PublishedPlate:
    """A plate as it was published: its wells, and the quality of its sites and images."""

    profiles: Profiles
    sites: pd.DataFrame
    images: pd.DataFrame


def read_published(published: Published, annotate: Annotate) -> PublishedPlate:
    """Read the wells of a publication as profiles in the features' own units.

    Parameters
    ----------
    published
        The publication.
    annotate
        Which columns of the wells and of the plate map are what.

    Raises
    ------
    StoredDataError
        If a table of it is gone or damaged.
    ConfigurationError
        If the plate map calls a control what is none.
    """
    rows = _read(published, WELLS.name)
    declared = {column.name for column in WELLS.columns}
    features = tuple(name for name in rows.column_names if name not in declared)
    described = [name for name in rows.column_names if name in declared and name != "reasons"]  # lists are no keys
    wells = rows.select(described).to_pandas()
    wells = _annotated(wells, _read(published, WELL_ANNOTATIONS.name).to_pandas())
    first_image_at = published.record.get("first_image_at")
    wells = rename_columns(wells, annotate).assign(
        experiment=published.experiment,
        plate=published.plate,
        first_image_at=np.nan if first_image_at is None else float(first_image_at),
    )
    known = describe_wells(
        wells, annotate, experiment=published.experiment, place=f"the publication of {published.plate}"
    )
    return PublishedPlate(
        Profiles(_values(rows, features), features, known),
        _looked_at(_read(published, SITES.name), _OF_SITES),
        _looked_at(_read(published, IMAGES.name), _OF_IMAGES),
    )


_OF_SITES = ("experiment", "plate", "well", "site", "time_point", "state", "verdict", "nuclei_count", "cells_count")
_OF_IMAGES = ("experiment", "plate", "well", "site", "time_point", "channel", "state", "verdict")


def _looked_at(rows: pa.Table, named: tuple[str, ...]) -> pd.DataFrame:
    """Columns that rules of failures look at: these, and of images all metrics."""
    metrics = {column.name for column in IMAGE_METRICS}
    return rows.select([name for name in rows.column_names if name in named or name in metrics]).to_pandas()


def _annotated(wells: pd.DataFrame, annotations: pd.DataFrame) -> pd.DataFrame:
    """Add the columns of the plate map that the table does not have itself."""
    if annotations.empty:
        return wells
    wide = annotations.pivot_table(index="well", columns="name", values="value", aggfunc="first")
    more = [name for name in wide.columns if name not in wells.columns]
    return wells.merge(wide[more].fillna(""), left_on="well", right_index=True, how="left").fillna(
        dict.fromkeys(more, "")
    )


def _values(rows: pa.Table, features: tuple[str, ...]) -> np.ndarray:
    """Feature columns side by side, shape ``(wells, features)``, float64, NaN for NULL."""
    values = np.empty((rows.num_rows, len(features)))
    for number, name in enumerate(features):
        values[:, number] = rows[name].to_numpy()
    return values


def _read(published: Published, table: str) -> pa.Table:
    key = published.key(table)
    place: dict[str, Any] = {"experiment": published.experiment, "plate": published.plate, "key": key}
    try:
        return pq.read_table(io.BytesIO(published.store.read(key)))
    except FileNotFoundError as error:
        raise StoredDataError(
            "a published table is gone; platestream repair publishes the plate anew", **place
        ) from error
    except pa.ArrowException as error:
        raise StoredDataError(
            f"a published table cannot be read: {str(error).splitlines()[0]}; platestream repair publishes the plate "
            "anew",
            **place,
        ) from error
