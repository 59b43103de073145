"""Find nuclei, cells and cytoplasm in a way that gives the same labels, pixel for pixel, on a CPU and on a GPU.

The steps are those of ``kernels/segmentation.py`` and parameters mean the same; every step is done in whole numbers
and needs no order (``kernels/fixpoint_steps.py``), so that on a GPU pixels never come to the host. The array decides:
NumPy arrays are segmented on the CPU, arrays of a device there, and labels stay where the plane was.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.fixpoint_cpu import cpu_steps
from kernels.fixpoint_gpu import gpu_steps
from kernels.fixpoint_steps import Steps
from kernels.fixpoint_tables import (
    MOST_LABEL,
    MOST_PIXELS,
    Limit,
    disk_offsets,
    find_limit,
    first_pixels,
    fixed_share,
    gaussian_weights,
    join_parts,
    number_regions,
    twice_background,
    window_grid,
)
from kernels.gpu import Array, gpu_of
from kernels.planes import check_label_image, check_plane

DECLUMP_METHODS = ("shape", "intensity", "none")
_OUTLINE_SIGMA_PX = 1.0
"""A slight blur of distances joins the maxima of a ragged outline."""


def segment_nuclei_fixpoint(
    plane: Array,
    *,
    diameter_px: tuple[float, float],
    threshold: str = "minimum-cross-entropy",
    threshold_correction: float = 1.0,
    adaptive_window_px: float | None = None,
    smoothing_px: float = 1.0,
    declump: str = "shape",
    neck: float = 0.9,
    edge_fraction: float = 0.25,
    drop_border: bool = False,
) -> Array:
    """Find the nuclei of one plane; see ``kernels.segmentation.segment_nuclei`` for the steps and parameters.

    Where it differs from there: seeds are single pixels (of equals, the first), the upper quartile of an object is one
    of its values, and the flood breaks ties by the smallest label (``kernels/fixpoint_flood.py``).

    Parameters
    ----------
    plane
        The nuclear stain, shape ``(y, x)``, uint8 or uint16, camera counts; a NumPy array or an array of a device.
    diameter_px, threshold, threshold_correction, smoothing_px, declump, neck, edge_fraction, drop_border
        As in ``segment_nuclei``; shares are rounded to 1/65536.
    adaptive_window_px
        Side of the windows that have thresholds of their own, pixels, at least 2 and at most 10 along a side; between
        their middles thresholds are interpolated, and none is further from the whole plane's than 0.7 and 1.5 times
        (CellProfiler's bounds; it interpolates by a spline). None: one threshold for the plane.

    Returns
    -------
    Labels, shape ``(y, x)``, int32, on the plane's device; 0 outside nuclei, numbered 1..n without gaps in the raster
    order of each nucleus' first pixel. All 0 without two classes of pixels.

    Raises
    ------
    TypeError
        If ``plane`` is not uint8 or uint16.
    ValueError
        If ``plane`` is not two-dimensional, has more than 2**24 pixels, or a parameter is outside its range.
    """
    _check_plane("plane", plane)
    least, greatest = diameter_px
    if not 0 < least < greatest:
        raise ValueError(f"diameter_px must be (min, max) with 0 < min < max, got {diameter_px}")
    if declump not in DECLUMP_METHODS:
        raise ValueError(f"declump must be one of {', '.join(DECLUMP_METHODS)}, got {declump!r}")
    for name, share in (("neck", neck), ("edge_fraction", edge_fraction)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {share}")
    grid = None if adaptive_window_px is None else window_grid(plane.shape, adaptive_window_px)
    steps = _steps_for(plane)
    smooth = steps.smooth(plane, gaussian_weights(smoothing_px))
    counts = steps.count(smooth)
    limit = find_limit(counts, threshold, threshold_correction)
    if limit is None:
        return _no_labels(plane)
    twice_base = twice_background(counts, limit.whole)
    hole_area = min(math.ceil(_disk_area(least)), MOST_PIXELS)
    classes = _divide(steps, smooth, limit, threshold, grid)
    regions, size = steps.connect(classes, hole_area)
    if declump == "none":
        table = steps.list_regions(regions, size)
        first, number = first_pixels(table), np.arange(1, len(table) + 1, dtype=np.int32)
        parts = regions
    else:
        by_shape = declump == "shape"
        height = (
            steps.smooth(steps.measure_heights(classes), gaussian_weights(_OUTLINE_SIGMA_PX)) if by_shape else smooth
        )
        base = 0 if by_shape else twice_base
        seeds, table = steps.find_seeds(height, regions, disk_offsets(least / 3))
        parts = steps.flood(height, classes, seeds)
        joins = steps.list_joins(height, parts, fixed_share(neck), base)
        first, number = first_pixels(table), join_parts(table, joins, fixed_share(neck), base)
    labels = steps.renumber(parts, first, number)
    objects = int(number.max(initial=0))
    trimmed = steps.trim(labels, objects, smooth, twice_base, fixed_share(edge_fraction))
    regions, size = steps.connect(trimmed, hole_area)
    table = steps.list_regions(regions, size)
    number = number_regions(table, _disk_area(least), _disk_area(greatest), drop_border=drop_border)
    return steps.renumber(regions, first_pixels(table), number)


def segment_cells_fixpoint(
    nuclei: Array,
    plane: Array | None,
    *,
    threshold: str = "otsu-log",
    threshold_correction: float = 0.5,
    adaptive_window_px: float | None = None,
    smoothing_px: float = 1.0,
    expansion_px: float = 10.0,
) -> Array:
    """Grow each nucleus to its cell; see ``kernels.segmentation.segment_cells``.

    Parameters
    ----------
    nuclei
        Labels of nuclei, shape ``(y, x)``, integer, 0 outside; a NumPy array, or int32 on a device.
    plane
        The cell stain, shape ``(y, x)``, uint8 or uint16, on the same device; None where the experiment has none.
    threshold, threshold_correction, smoothing_px, expansion_px
        As in ``segment_cells``. Of nuclei that are equally near the one with the smallest label takes the pixel.
    adaptive_window_px
        As in ``segment_nuclei_fixpoint``.

    Returns
    -------
    Labels, shape ``(y, x)``, int32, on the same device, each cell with its nucleus' number and containing all of it.

    Raises
    ------
    TypeError
        If ``nuclei`` is not integer, not int32 on a device, or ``plane`` is not uint8 or uint16.
    ValueError
        If the shapes differ, there are more than 2**24 pixels, labels are outside 0 to 2**24, or a parameter is
        outside its range.
    """
    seeds = _check_labels("nuclei", nuclei)
    if not expansion_px >= 0:
        raise ValueError(f"expansion_px must be 0 or more, got {expansion_px}")
    grid = None if adaptive_window_px is None else window_grid(seeds.shape, adaptive_window_px)
    steps = _steps_for(seeds)
    if plane is not None:
        _check_plane("plane", plane)
        if plane.shape != nuclei.shape:
            raise ValueError(f"plane must have the shape of nuclei, {nuclei.shape}, got {plane.shape}")
        smooth = steps.smooth(plane, gaussian_weights(smoothing_px))
        limit = find_limit(steps.count(smooth), threshold, threshold_correction)
        if limit is not None:
            classes = _divide(steps, smooth, limit, threshold, grid)
            return steps.flood(smooth, classes, seeds)
    reach_px = min(expansion_px, math.hypot(*nuclei.shape))
    return steps.expand(seeds, min(int(reach_px), max(nuclei.shape)), math.floor(reach_px**2))


def segment_cytoplasm_fixpoint(nuclei: Array, cells: Array, *, shared_rim: bool = False) -> Array:
    """Take the part of each cell outside its nucleus; see ``kernels.segmentation.segment_cytoplasm``.

    Parameters
    ----------
    nuclei, cells
        Labels, shape ``(y, x)``, integer, one number per cell; NumPy arrays, or int32 on one device.
    shared_rim
        True counts the outermost pixels of the nuclei to the cytoplasm too.

    Returns
    -------
    Labels, shape ``(y, x)``, int32, on the same device, with the cells' numbers.

    Raises
    ------
    TypeError
        If a label image is not integer, or not int32 on a device.
    ValueError
        If the shapes differ, there are more than 2**24 pixels, or labels are outside 0 to 2**24.
    """
    inner, outer = _check_labels("nuclei", nuclei), _check_labels("cells", cells)
    if nuclei.shape != cells.shape:
        raise ValueError(f"cells must have the shape of nuclei, {nuclei.shape}, got {cells.shape}")
    return _steps_for(inner).subtract(inner, outer, shared_rim)


def _steps_for(array: Array) -> Steps:
    gpu = gpu_of(array)
    return cpu_steps() if gpu is None else gpu_steps(gpu)


def _divide(steps: Steps, smooth: Array, limit: Limit, threshold: str, grid: tuple[int, int] | None) -> Array:
    """Give the class image of a plane by one limit, or by one for each window of a grid."""
    if grid is None:
        return steps.divide(smooth, limit.whole)
    return steps.divide_locally(smooth, limit.by_window(steps.count_windows(smooth, *grid), threshold))


def _no_labels(plane: Array) -> Array:
    gpu = gpu_of(plane)
    return np.zeros(plane.shape, np.int32) if gpu is None else gpu.zeros(plane.shape, np.int32)


def _check_plane(name: str, plane: Array) -> None:
    check_plane(name, plane)
    if plane.size > MOST_PIXELS:
        raise ValueError(f"{name} must have at most {MOST_PIXELS} pixels, got {plane.size}")


def _check_labels(name: str, labels: Array) -> Array:
    """Give labels as contiguous int32; what they are is only looked at on the host."""
    check_label_image(name, labels)
    if labels.size > MOST_PIXELS:
        raise ValueError(f"{name} must have at most {MOST_PIXELS} pixels, got {labels.size}")
    if gpu_of(labels) is not None:
        if labels.dtype != np.int32:
            raise TypeError(f"{name} must be int32 on a device, got {labels.dtype}")
        return labels
    for extreme in (labels.min(initial=0), labels.max(initial=0)):
        if not 0 <= extreme <= MOST_LABEL:
            raise ValueError(f"{name} must have labels from 0 to {MOST_LABEL}, got {extreme}")
    return np.ascontiguousarray(labels, np.int32)


def _disk_area(diameter: float) -> float:
    return math.pi / 4 * diameter**2
