"""From the planes of a site to its numbers: the kernels in order, NaN turned into NULL."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from imaging.illumination import is_preview
from imaging.illumination_field import PlateField
from imaging.measure_cells import NOT_MEASURED, measure_cells
from imaging.recipes import Recipe
from imaging.site import Plane, SiteMeasurement
from kernels.device import free_memory, to_device, to_host
from kernels.image_quality import explain_missing, measure_image_quality
from kernels.planes import dtype_scale
from kernels.segmentation import segment_objects
from kernels.thumbnails import shrink, thumbnail_factor

Labels = dict[str, np.ndarray]

log = logging.getLogger(__name__)


def measure_planes(
    planes: dict[str, Plane], pins: Mapping[str, Any], field: PlateField | None = None, *, in_pieces: bool = False
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
    in_pieces
        Whether to measure channel by channel from the start: the same values, more slowly, in less memory. It is done
        anyway when the memory of the host or of the device does not suffice for all channels at once.

    Returns
    -------
    Image metrics, counts, cells, features of images, label images and thumbnails. Without the nucleus channel, and as
    long as the plate's field is awaited, there are no objects and their counts are ``None``.
    """
    if not in_pieces:
        with contextlib.suppress(MemoryError):  # what did not fit is let go with the error, before the next attempt
            return _measure(planes, pins, field, in_pieces=False)
        log.warning("the memory does not suffice for all channels of a site at once: measured one by one")
        free_memory()
    return _measure(planes, pins, field, in_pieces=True)


def _measure(
    planes: dict[str, Plane], pins: Mapping[str, Any], field: PlateField | None, *, in_pieces: bool
) -> SiteMeasurement:
    pixels = pins["pixels"]
    recipe = Recipe.model_validate(pixels["recipe"])
    image_metrics, thumbnails, factor = _measure_images(planes, pixels["channels"], in_pieces=in_pieces)
    corrected = field.correct(planes) if field else planes
    labels = {} if is_preview(pins) else _segment(corrected, pixels, recipe)
    if is_preview(pins):
        cells, image_features = NOT_MEASURED
    else:
        cells, image_features = measure_cells(corrected, labels, recipe, in_pieces=in_pieces)
    return SiteMeasurement(
        image_metrics=image_metrics,
        counts={name: int(labels[name].max(initial=0)) if name in labels else None for name in ("Nuclei", "Cells")},
        cells=cells,
        image_features=image_features,
        labels={name: labels[name] for name in ("Nuclei", "Cells") if name in labels},
        thumbnails=thumbnails,
        factor=factor,
    )


def _segment(planes: dict[str, Plane], pixels: Mapping[str, Any], recipe: Recipe) -> Labels:
    """Labels of nuclei, cells and cytoplasm; empty when the recipe finds no objects or the nuclei are not stained."""
    nucleus = _channel(recipe.nuclei.channel if recipe.nuclei else None, "nucleus", pixels["channels"])
    if recipe.nuclei is None or nucleus not in planes:
        return {}
    size = pixels["pixel_size_um"]
    cell = _channel(recipe.cells.channel, "cell", pixels["channels"]) if recipe.cells else ""
    return segment_objects(
        planes[nucleus],
        planes.get(cell),
        nuclei=recipe.nuclei.parameters(size),
        cells=recipe.cells.parameters(size) if recipe.cells else None,
        shared_rim=recipe.cells is not None and recipe.cells.shared_rim,
    )


def _channel(named: str | None, role: str, channels: list[dict[str, Any]]) -> str:
    """The channel that the recipe names, or the first with the role; empty if there is none."""
    return named or next((channel["name"] for channel in channels if channel["role"] == role), "")


def _measure_images(
    planes: dict[str, Plane], channels: list[dict[str, Any]], *, in_pieces: bool
) -> tuple[tuple[dict[str, Any], ...], np.ndarray, int]:
    """Metrics, one row per channel, and thumbnails with the factor they are shrunk by; of all channels at once or not.

    All planes are measured in the wider of their types, or that which holds the greatest full scale.
    """
    wider = np.result_type(*planes.values(), np.min_scalar_type(max(channel["full_scale"] for channel in channels)))
    rows: list[dict[str, Any]] = []
    thumbnails = []
    factor = thumbnail_factor(*next(iter(planes.values())).shape)
    for names in [[name] for name in planes] if in_pieces else [list(planes)]:
        piece = {name: planes[name] for name in names}
        stack = to_device(np.stack([plane.astype(wider, copy=False) for plane in piece.values()]))
        rows += _measure_stack(stack, piece, channels)
        thumbnails.append(to_host(shrink(stack, factor)))
    return tuple(rows), np.concatenate(thumbnails), factor


def _measure_stack(stack: Any, planes: dict[str, Plane], channels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row per channel: its metrics, NULL where one has no value, and why."""
    full_scale = {channel["name"]: channel["full_scale"] for channel in channels}
    metrics = measure_image_quality(
        stack,
        full_scale=[full_scale[name] for name in planes],
        divisor=[dtype_scale(plane) for plane in planes.values()],
    )
    for index, name in enumerate(planes):
        values = {metric: _or_none(column[index]) for metric, column in metrics.items()}
        unknown = [metric for metric, value in values.items() if value is None]
        reasons = [explain_missing(metric, stack.shape[1:]) for metric in unknown]
        yield {"channel": name} | values | ({"not_measured": reasons} if reasons else {})


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
