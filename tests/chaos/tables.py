"""Result tables by key, and what differs between two runs of a plate."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.parquet as pq

from imaging.job import PlateJob
from imaging.publication import Publication

Row = Mapping[str, Any]
Tables = Mapping[str, Mapping[tuple[Any, ...], Row]]
"""Rows of each table by their key."""

_SITE = ("well", "site", "time_point")
KEYS: dict[str, tuple[str, ...]] = {
    "images": (*_SITE, "channel"),
    "sites": _SITE,
    "wells": ("well", "time_point"),
    "well_annotations": ("well", "name"),
    "plates": (),
    "plate_metrics": ("time_point", "channel", "metric"),
    "statistics": ("time_point", "feature"),
    "features": ("feature",),
    "faults": ("kind", "name"),
    "decisions": ("kind", *_SITE, "channel", "plane"),
    "cells": (*_SITE, "ObjectNumber"),
    "image_features": (*_SITE, "channel"),
    "illumination": ("channel", "variant"),
    "suspicions": ("kind", "points_to"),
}
"""All tables but ``site_runs``, which tells times and processes."""
_HISTORY = ("history_plates", "history_median", "history_robust_sd", "robust_z", "reason")
UNCOMPARED: dict[str, tuple[str, ...]] = {
    "plate_metrics": _HISTORY,  # depends on which of two plates was published first
    "decisions": ("reason", "decided_by"),  # patience may have decided before the instrument's manifest came
}


def read_tables(job: PlateJob, publication: Publication) -> Tables:
    """Read what a publication says.

    Raises
    ------
    ValueError
        If two rows of a table have one key.
    """
    return {name: dict(_by_key(name, job.store.read(publication.tables[name]))) for name in KEYS}


def _by_key(name: str, data: bytes) -> Iterator[tuple[tuple[Any, ...], Row]]:
    rows = pq.read_table(io.BytesIO(data)).to_pylist()
    keys = [tuple(row[column] for column in KEYS[name]) for row in rows]
    if len(set(keys)) < len(keys):
        raise ValueError(f"rows of {name} must have different keys {KEYS[name]}")
    return zip(keys, rows, strict=True)


def find_differences(found: Tables, expected: Tables) -> list[str]:
    """Say which rows and values differ; the name of the run, which depends on what came before, is left out."""
    differences = []
    for name in KEYS:
        left_out = {"run", *UNCOMPARED.get(name, ())}
        ours, theirs = found[name], expected[name]
        differences += [f"{name} has no row {key}" for key in theirs.keys() - ours.keys()]
        differences += [f"{name} has a row {key} too many" for key in ours.keys() - theirs.keys()]
        for key in ours.keys() & theirs.keys():
            row, other = ours[key], theirs[key]
            differences += [
                f"{name} {key}: {column} is {row.get(column)!r} instead of {other.get(column)!r}"
                for column in sorted((row.keys() | other.keys()) - left_out)
                if row.get(column) != other.get(column)
            ]
    return differences
