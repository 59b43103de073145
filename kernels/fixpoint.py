"""Find nuclei, cells and cytoplasm in a way that gives the same labels, pixel for pixel, on a CPU and on a GPU.

The steps are those of ``kernels/segmentation.py``'s method ``automatic`` and parameters mean the same; every step is
done in whole numbers and needs no order (``kernels/fixpoint_steps.py``), so that on a GPU pixels never come to the
host. The array decides: NumPy arrays are segmented on the CPU, arrays of a device there, and labels stay where the
plane was.
"""

from __future__ import annotations

import math

import numpy as np

from kernels.fixpoint_cpu import cpu_steps
from kernels.fixpoint_gpu import gpu_steps
from kernels.fixpoint_nuclei import Division, Threshold, find_classes, find_nuclei
from kernels.fixpoint_steps import Steps
from kernels.fixpoint_tables import MOST_LABEL, MOST_PIXELS, MOST_REACH_PX, MOST_SMOOTHING_PX, gaussian_weights
from kernels.gpu import Array, gpu_of
from kernels.planes import check_label_image, check_plane
from kernels.thresholds import METHODS

DECLUMP_METHODS = ("shape", "intensity", "none")


def segment_nuclei_fixpoint(
    plane: Array,
    *,
    diameter_px: tuple[float, float],
    method: str = "automatic",
    threshold: str = "minimum-cross-entropy",
    threshold_correction: float = 1.0,
    threshold_bounds: tuple[float, float] = (0.0, 1.0),
    adaptive_window_px: float | None = None,
    smoothing_px: float | None = None,
    declump: str = "shape",
    valley: float = 0.25,
    neck: float = 0.9,
    edge_fraction: float = 0.4,
    background_block_px: float = 0.0,
    background_smoothing_px: float = 50.0,
    divide: str = "intensity",
    suppress_px: float | None = None,
    drop_border: bool = False,
) -> Array:
    """Find the nuclei of one plane; see ``kernels.segmentation.segment_nuclei`` for the steps and parameters.

    Where it differs from there: lengths and shares are rounded as ``kernels/fixpoint_steps.py`` says, seeds are single
    pixels (of equals, the first), and the flood breaks ties by the smallest label (``kernels/fixpoint_flood.py``).

    Parameters
    ----------
    plane
        The nuclear stain, shape ``(y, x)``, uint8 or uint16, camera counts; a NumPy array or an array of a device.
    method
        ``automatic``; ``cellprofiler`` takes CellProfiler's own flood, which needs an order.
    diameter_px, threshold, threshold_correction, threshold_bounds, smoothing_px, declump, valley, neck, edge_fraction
        As in ``segment_nuclei``; shares are rounded to 1/65536.
    adaptive_window_px
        Side of the windows that have thresholds of their own, pixels, at least 2 and at most 10 along a side; between
        their middles thresholds are interpolated, and none is further from the whole plane's than 0.7 and 1.5 times
        (CellProfiler's bounds; it interpolates by a spline). None: one threshold for the plane.
    background_block_px, background_smoothing_px, divide, suppress_px
        Only of the method ``cellprofiler``; not looked at.
    drop_border
        Leave out nuclei cut by the border.

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
    if not 0 < least < greatest < math.inf:
        raise ValueError(f"diameter_px must be (min, max) with 0 < min < max, got {diameter_px}")
    if declump not in DECLUMP_METHODS:
        raise ValueError(f"declump must be one of {', '.join(DECLUMP_METHODS)}, got {declump!r}")
    for name, share in (("neck", neck), ("edge_fraction", edge_fraction)):
        if not 0 <= share <= 1:
            raise ValueError(f"{name} must be from 0 to 1, got {share}")
    if not 0 <= valley < math.inf:
        raise ValueError(f"valley must be 0 or more, got {valley}")
    _check_smoothing(0.0 if smoothing_px is None else smoothing_px)
    found = find_nuclei(
        _steps_for(plane),
        plane,
        diameter_px,
        _threshold(method, threshold, threshold_correction, threshold_bounds, adaptive_window_px),
        smoothing_px,
        Division(declump, valley, neck, edge_fraction),
        drop_border=drop_border,
    )
    return _no_labels(plane) if found is None else found


def segment_cells_fixpoint(
    nuclei: Array,
    plane: Array | None,
    *,
    method: str = "automatic",
    threshold: str = "otsu-log",
    threshold_correction: float = 0.5,
    threshold_bounds: tuple[float, float] = (0.0, 1.0),
    adaptive_window_px: float | None = None,
    smoothing_px: float = 1.0,
    expansion_px: float = 10.0,
    rivals: Array | None = None,
) -> Array:
    """Grow each nucleus to its cell; see ``kernels.segmentation.segment_cells``.

    Parameters
    ----------
    nuclei
        Labels of nuclei, shape ``(y, x)``, integer, 0 outside; a NumPy array, or int32 on a device, where it is not
        looked at whether they lie between 0 and 2**24.
    plane
        The cell stain, shape ``(y, x)``, uint8 or uint16, on the same device; None where the experiment has none.
    method
        ``automatic``, as in ``segment_nuclei_fixpoint``.
    threshold, threshold_correction, threshold_bounds, smoothing_px, expansion_px
        As in ``segment_cells``. Of nuclei that are equally near the one with the smallest label takes the pixel.
        No cell reaches further than 16,384 pixels.
    adaptive_window_px
        As in ``segment_nuclei_fixpoint``.
    rivals
        None: they belong to the method ``cellprofiler``.

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
    if rivals is not None:
        raise ValueError("rivals must be None where the flood is fixpoint")
    if not expansion_px >= 0:
        raise ValueError(f"expansion_px must be 0 or more, got {expansion_px}")
    _check_smoothing(smoothing_px)
    limits = _threshold(method, threshold, threshold_correction, threshold_bounds, adaptive_window_px)
    steps = _steps_for(seeds)
    if plane is not None:
        _check_plane("plane", plane)
        if plane.shape != nuclei.shape:
            raise ValueError(f"plane must have the shape of nuclei, {nuclei.shape}, got {plane.shape}")
        smooth = steps.smooth(plane, gaussian_weights(smoothing_px))
        found = find_classes(steps, smooth, limits)
        if found is not None:
            return steps.flood(smooth, found[0], seeds)
    reach_px = min(expansion_px, math.hypot(*nuclei.shape), MOST_REACH_PX)
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


def _threshold(
    method: str, threshold: str, correction: float, bounds: tuple[float, float], window_px: float | None
) -> Threshold:
    if method != "automatic":
        raise ValueError(f"method must be automatic where the flood is fixpoint, got {method!r}")
    if threshold not in METHODS:
        raise ValueError(f"threshold must be one of {', '.join(METHODS)}, got {threshold!r}")
    if not 0 < correction < math.inf:
        raise ValueError(f"threshold_correction must be above 0, got {correction}")
    low, high = bounds
    if not 0 <= low <= high <= 1:
        raise ValueError(f"threshold_bounds must be (low, high) with 0 <= low <= high <= 1, got {bounds}")
    if window_px is not None and not window_px >= 1:
        raise ValueError(f"adaptive_window_px must be 1 or more, got {window_px}")
    return Threshold(threshold, correction, bounds, window_px)


def _check_smoothing(smoothing_px: float) -> None:
    if not 0 <= smoothing_px <= MOST_SMOOTHING_PX:
        raise ValueError(f"smoothing_px must be from 0 to {MOST_SMOOTHING_PX}, got {smoothing_px}")


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
