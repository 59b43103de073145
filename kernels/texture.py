"""Haralick texture of objects and of whole planes, with CellProfiler's names and values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from kernels import texture_gpu
from kernels.feature import Feature
from kernels.gpu import Array, gpu_of
from kernels.haralick import HARALICK, finish_texture
from kernels.object_sets import ObjectSets
from kernels.object_sets_gpu import GpuObjectSets
from kernels.planes import Floats
from kernels.texture_image import scan_planes
from kernels.texture_levels import full_table, percentile_table
from kernels.texture_scan import scan_objects
from kernels.texture_state import ANGLES, Bytes, Integers
from kernels.texture_terms import MOST_PIXELS

Scaling = Literal["full", "percentile"]
PREFIXES: dict[Scaling, str] = {"full": "Texture", "percentile": "TexturePercentile"}
"""Families of columns by scaling."""

_BATCH = 256
"""Objects whose states are held at a time."""
_STEPS = ("to the right", "to the right and down", "down", "to the left and down")
_LEVELS = {
    "full": "grey level = count / 65535 * 255, rounded; pixels of level 0 left out",
    "percentile": "grey levels 1 to 255 spread evenly from the plane's 0.1 to its 99.9 percentile",
}
_SOURCES = {
    "full": "CellProfiler MeasureTexture; Haralick, Shanmugam, Dinstein 1973",
    "percentile": "Haralick, Shanmugam, Dinstein 1973, as CellProfiler computes it; grey levels are ours",
}


def measure_texture(
    planes: Array,
    objects: ObjectSets | GpuObjectSets,
    *,
    scales_px: Sequence[int] = (3, 5, 10),
    scaling: Scaling = "full",
) -> Floats:
    """Measure the texture of every object in every set.

    A matrix counts how often two grey levels meet in pixels ``scale`` apart in one direction, both in the object and
    the set. CellProfiler's grey levels are those of the whole range of 16 bits; ``scaling="percentile"`` spreads them
    over what the plane has: CellProfiler leaves a dim image few. Both devices give the same bits.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, counts on CellProfiler's scale: 65535 is 1.
    objects
        The objects, on the device of the planes.
    scales_px
        Lengths of the steps, pixels, each at least 1.
    scaling
        Where grey levels come from, see ``describe_texture``.

    Returns
    -------
    Shape ``(s, c, len(scales_px), 4, 13, k)``, float64, on the host. NaN where an object is not in a set. 0 for all
    angles of a scale where one angle has no pair (an object not wider than the step; no level above 0), as CellProfiler
    has it.

    Raises
    ------
    TypeError
        If the planes are not uint16.
    ValueError
        If their shape is not that of the labels, a scale is below 1, the scaling is unknown, or a plane has more than
        2**26 pixels.
    """
    scales = _check(planes, scales_px, scaling)
    if tuple(planes.shape[1:]) != tuple(objects.labels.shape[1:]):
        raise ValueError(f"planes must have the labels' shape {objects.labels.shape[1:]}, got {planes.shape[1:]}")
    values = np.empty((objects.n_sets, len(planes), len(scales), ANGLES, len(HARALICK), objects.count))
    if isinstance(objects, GpuObjectSets):
        texture_gpu.measure_objects_on_gpu(planes, objects, scales, scaling, values)
        return values
    planes, tables = np.ascontiguousarray(planes), _tables(planes, scaling)
    for first in range(0, objects.count, _BATCH):
        last = min(first + _BATCH, objects.count)
        state = scan_objects(planes, tables, objects, scales, first, last)
        finish_texture(state, objects.area[:, first:last], values[..., first:last])
    return values


def measure_image_texture(planes: Array, *, scales_px: Sequence[int] = (3, 5, 10), scaling: Scaling = "full") -> Floats:
    """Measure the texture of whole planes: as ``measure_texture``, with every pixel in, those of level 0 too.

    Returns
    -------
    Shape ``(c, len(scales_px), 4, 13)``, float64, on the host; 0 for all angles of a scale not below a side of the
    plane.

    Raises
    ------
    TypeError, ValueError
        As ``measure_texture``.
    """
    scales = _check(planes, scales_px, scaling)
    values = np.empty((1, len(planes), len(scales), ANGLES, len(HARALICK), 1))
    if (gpu := gpu_of(planes)) is not None:
        texture_gpu.measure_planes_on_gpu(planes, gpu, scales, scaling, values)
    else:
        planes = np.ascontiguousarray(planes)
        state = scan_planes(planes, _tables(planes, scaling), scales)
        finish_texture(state, np.array([[planes[0].size]]) if len(planes) else np.zeros((1, 1), np.int64), values)
    return values[0, ..., 0]


def describe_texture(
    channels: Sequence[str], *, scales_px: Sequence[int] = (3, 5, 10), scaling: Scaling = "full"
) -> list[Feature]:
    """Describe the columns of ``measure_texture``; those of ``measure_image_texture`` have the same names."""
    prefix = PREFIXES[scaling]
    return [
        Feature(
            name=f"{prefix}_{feature}_{channel}_{scale}_{angle:02d}_256",
            family=prefix,
            channel=channel,
            unit=unit,
            definition=f"{definition} Pairs of pixels {scale} px apart, {step}; {_LEVELS[scaling]}.",
            null_when="",
            source=_SOURCES[scaling],
        )
        for channel in channels
        for scale in scales_px
        for angle, step in enumerate(_STEPS)
        for feature, (unit, definition) in HARALICK.items()
    ]


def _check(planes: Array, scales_px: Sequence[int], scaling: str) -> Integers:
    if len(planes.shape) != 3 or 0 in planes.shape[1:]:
        raise ValueError(f"planes must have shape (c, y, x) with at least one pixel, got {planes.shape}")
    if planes.dtype != np.uint16:
        raise TypeError(f"planes must be uint16, got {planes.dtype}")
    if planes.shape[1] * planes.shape[2] > MOST_PIXELS:
        raise ValueError(f"planes must have at most {MOST_PIXELS} pixels, got shape {planes.shape}")
    if scaling not in PREFIXES:
        raise ValueError(f"scaling must be one of {', '.join(PREFIXES)}, got {scaling}")
    if any(scale != int(scale) or scale < 1 for scale in scales_px):
        raise ValueError(f"scales_px must be whole numbers of at least 1, got {tuple(scales_px)}")
    longest = max(planes.shape[1:])
    return np.array([min(int(scale), longest) for scale in scales_px], np.int64)


def _tables(planes: npt.NDArray[Any], scaling: Scaling) -> Bytes:
    if scaling == "full":
        return np.tile(full_table(), (len(planes), 1))
    return np.array([percentile_table(plane) for plane in planes], np.uint8).reshape(len(planes), 65_536)
