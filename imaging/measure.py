"""From the planes of a site to its numbers: the kernels in order, NaN turned into NULL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from imaging.illumination import is_preview
from imaging.illumination_field import PlateField
from imaging.recipes import Recipe
from imaging.site import Plane, SiteMeasurement
from kernels.features import measure_objects
from kernels.image_quality import measure_image_quality
from kernels.segmentation import segment_cells, segment_cytoplasm, segment_nuclei
from kernels.thumbnails import shrink, thumbnail_factor

Labels = dict[str, np.ndarray]


def measure_planes(
    planes: dict[str, Plane], pins: Mapping[str, Any], field: PlateField | None = None
) -> SiteMeasurement:
    """Measure one site: its images as they are, its objects on planes corrected for illumination.

    Parameters
    ----------
    planes
        Channel name to plane, each of shape (y, x), uint8 or uint16, camera counts.
    pins
        What is pinned for the plate: ``pixels`` with channels, pixel size and recipe.
    field
        The plate's field of illumination; without one, planes are not corrected.

    Returns
    -------
    Image metrics, counts, cells, label images and thumbnails. Without the nucleus channel, and as long as the plate's
    field is awaited, there are no objects and their counts are ``None``.
    """
    pixels = pins["pixels"]
    recipe = Recipe.model_validate(pixels["recipe"])
    corrected = field.correct(planes) if field else planes
    labels = {} if is_preview(pins) else _segment(corrected, pixels, recipe)
    stack = _stack(planes)
    factor = thumbnail_factor(*stack.shape[1:])
    return SiteMeasurement(
        image_metrics=tuple(_measure_images(planes, pixels["channels"])),
        counts={name: int(labels[name].max(initial=0)) if labels else None for name in ("Nuclei", "Cells")},
        cells=_measure_cells(corrected, labels, recipe),
        labels={name: labels[name] for name in ("Nuclei", "Cells")} if labels else {},
        thumbnails=shrink(stack, factor),
        factor=factor,
    )


def _segment(planes: dict[str, Plane], pixels: Mapping[str, Any], recipe: Recipe) -> Labels:
    """Labels of nuclei, cells and cytoplasm; empty when the recipe finds no objects or the nuclei are not stained."""
    nucleus = _channel(recipe.nuclei.channel if recipe.nuclei else None, "nucleus", pixels["channels"])
    if recipe.nuclei is None or nucleus not in planes:
        return {}
    nuclei = segment_nuclei(planes[nucleus], **recipe.nuclei.parameters(pixels["pixel_size_um"]))
    if recipe.cells is None:
        return {"Nuclei": nuclei, "Cells": nuclei, "Cytoplasm": np.zeros_like(nuclei)}
    cell = _channel(recipe.cells.channel, "cell", pixels["channels"])
    cells = segment_cells(nuclei, planes.get(cell), **recipe.cells.parameters())
    return {"Nuclei": nuclei, "Cells": cells, "Cytoplasm": segment_cytoplasm(nuclei, cells)}


def _channel(named: str | None, role: str, channels: list[dict[str, Any]]) -> str:
    """The channel that the recipe names, or the first with the role; empty if there is none."""
    return named or next((channel["name"] for channel in channels if channel["role"] == role), "")


def _stack(planes: dict[str, Plane]) -> np.ndarray:
    """All planes in one array (c, y, x), in the wider of their types."""
    return np.stack([plane.astype(np.result_type(*planes.values()), copy=False) for plane in planes.values()])


def _measure_images(planes: dict[str, Plane], channels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    full_scale = {channel["name"]: channel["full_scale"] for channel in channels}
    rows = []
    for name, plane in planes.items():
        metrics = measure_image_quality(plane[np.newaxis], full_scale=full_scale[name])
        rows.append({"channel": name} | {metric: _or_none(values[0]) for metric, values in metrics.items()})
    return rows


def _measure_cells(planes: dict[str, Plane], labels: Labels, recipe: Recipe) -> pa.Table:
    if not labels:
        return pa.table({"ObjectNumber": pa.array([], pa.int32())})
    features = measure_objects(
        planes,
        nuclei=labels["Nuclei"],
        cells=labels["Cells"],
        cytoplasm=labels["Cytoplasm"],
        ring_gap_px=recipe.ring.gap_px,
        ring_width_px=recipe.ring.width_px,
    )
    count = int(labels["Nuclei"].max(initial=0))
    columns = {name: pa.array(values, mask=~np.isfinite(values)) for name, values in features.items()}
    return pa.table({"ObjectNumber": pa.array(np.arange(1, count + 1, dtype=np.int32)), **columns})


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
