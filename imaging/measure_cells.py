"""From the planes and labels of a site to the rows of ``cells`` and ``image_features``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from imaging.recipes import Recipe
from kernels.feature import IMAGE, FeatureDescription
from kernels.features import (
    SETS,
    ObjectFeatures,
    describe_features,
    describe_image_features,
    measure_features,
)
from kernels.planes import Labels, Pixels
from kernels.segmentation import INCLUDING_EDGES
from kernels.translocation import describe_ratios, measure_ratios

NOT_MEASURED = (pa.table({"ObjectNumber": pa.array([], pa.int32())}), pa.table({"channel": pa.array([], pa.string())}))
"""Rows of cells and of images where neither is measured."""
_ANY = "@"
"""Stands for a channel where names are made that hold for every channel; no channel is called so."""


def measure_cells(
    planes: Mapping[str, Pixels], labels: Mapping[str, Labels], recipe: Recipe, *, in_pieces: bool = False
) -> tuple[pa.Table, pa.Table]:
    """Measure the objects of a site, and its images as wholes.

    Parameters
    ----------
    planes
        Channel name to plane, shape (y, x), uint8 or uint16, camera counts.
    labels
        Object set to label image, shape (y, x), integer; objects of one cell have one number in all sets. Where there
        is a set ``NucleiIncludingEdges``, neighbours of nuclei are counted among its objects; so for other sets.
    recipe
        What is measured.
    in_pieces
        Whether to measure channel by channel (``kernels.features.measure_features``).

    Returns
    -------
    One row per cell, by ``ObjectNumber``, and one row per image, by ``channel``: float32, which keeps seven digits,
    NULL where a value is not defined. Columns of channels that are not there are left out.
    """
    options = recipe.features.options()
    sets = {name: labels[name] for name in SETS if name in labels}
    others = {name: labels[name + INCLUDING_EDGES] for name in sets if name + INCLUDING_EDGES in labels}
    whole_images = recipe.features.whole_images
    measured = measure_features(
        planes, sets, options, whole_images=whole_images, all_labels=others, in_pieces=in_pieces
    )
    cells = _join(measured.objects)
    if "Nuclei" in labels and "Intensity" in options.families:
        ratios = measure_ratios(planes, labels["Nuclei"], gap_px=recipe.ring.gap_px, width_px=recipe.ring.width_px)
        numbers = cells["ObjectNumber"].to_numpy() - 1
        for name, values in ratios.items():
            cells = cells.append_column(name, _single(np.append(values, np.nan)[np.minimum(numbers, len(values))]))
    return cells, _rows_of_images(measured.images, planes, recipe)


def describe_columns(channels: Iterable[str], recipe: Recipe) -> list[FeatureDescription]:
    """Describe the columns of ``cells`` and, as those of the object set ``Image``, of ``image_features``, in order."""
    channels, options = list(channels), recipe.features.options()
    described: list[FeatureDescription] = []
    if recipe.nuclei is not None:
        described += describe_features(channels, SETS if recipe.cells is not None else SETS[:1], options)
        described += describe_ratios(channels) if "Intensity" in options.families else []
    if recipe.features.whole_images:
        for name, family, _, *rest in describe_image_features([_ANY], options):
            described.append(FeatureDescription(_for_any(name), family, IMAGE, "", *rest))
    return described


def _join(sets: Mapping[str, ObjectFeatures]) -> pa.Table:
    """One row per cell from the rows of its objects."""
    if not sets:
        return NOT_MEASURED[0]
    numbers = np.unique(np.concatenate([features.numbers for features in sets.values()])).astype(np.int32)
    columns: dict[str, pa.Array] = {"ObjectNumber": pa.array(numbers)}
    for objects, features in sets.items():
        place = np.searchsorted(numbers, features.numbers)
        for name, values in features.columns.items():
            wide = np.full(numbers.size, np.nan)
            wide[place] = values
            columns[f"{objects}_{name}"] = _single(wide)
    return pa.table(columns)


def _rows_of_images(values: Mapping[str, float], planes: Iterable[str], recipe: Recipe) -> pa.Table:
    """One row per image from values that are named with their channel."""
    channels = list(planes)
    if not values or not channels:
        return NOT_MEASURED[1]
    options = recipe.features.options()
    described = [describe_image_features([channel], options) for channel in channels]
    columns = {
        _for_any(feature.name): _single(np.array([values[names[index].name] for names in described]))
        for index, feature in enumerate(describe_image_features([_ANY], options))
    }
    return pa.table({"channel": pa.array(channels), **columns})


def _for_any(name: str) -> str:
    return name.replace(f"_{_ANY}", "", 1)


def _single(values: np.ndarray) -> pa.Array:
    single = values.astype(np.float32)
    return pa.array(single, mask=~np.isfinite(single))
