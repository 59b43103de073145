"""Nuclei by the ``fixpoint`` segmentation: the steps of ``kernels/nuclei_automatic.py`` in whole numbers.

Every length follows the size that nuclei have in the plane; a threshold of the whole plane only says where nuclei are,
and each is drawn by its own brightness. What is estimated on a reduced plane is estimated on the host.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kernels.fixpoint_cpu import cpu_steps
from kernels.fixpoint_regions import sum_depths
from kernels.fixpoint_steps import Steps
from kernels.fixpoint_tables import (
    HEIGHT_STEPS,
    MOST_PIXELS,
    MOST_SMOOTHING_PX,
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
from kernels.gpu import Array

SMOOTHING_SHARE, SMOOTHING_BOUNDS_PX = 1 / 24, (0.6, 3.0)
"""Standard deviation of the smoothing, as a share of the typical diameter, and its bounds."""
SEED_SHARE = 0.3
"""Radius in which a seed is the highest pixel, as a share of the typical diameter."""
VALLEY_SHARE = 0.1
"""Standard deviation at which valleys are looked for, as a share of the typical diameter."""
BACKGROUND_REACH = 4.0
"""Side of the window whose darkest part is the background, in typical diameters."""
_BLOCKS_PER_WINDOW = 12
_OUTLINE_SIGMA_PX = 1.0
"""A slight blur of distances joins the maxima of a ragged outline."""
_HIGHEST = 65_535


@dataclass(frozen=True)
class Threshold:
    """How the limit between background and foreground is found; see ``segment_nuclei_fixpoint``."""

    method: str
    correction: float = 1.0
    bounds: tuple[float, float] = (0.0, 1.0)
    window_px: float | None = None


@dataclass(frozen=True)
class Division:
    """How clumps are divided and objects drawn; see ``segment_nuclei_fixpoint``."""

    declump: str
    valley: float
    neck: float
    edge_fraction: float


class _Look(NamedTuple):
    """A plane on one level of background, the class image of its foreground, twice that level, its maximum."""

    brightness: Array
    classes: Array
    twice_base: int
    brightest: int


def find_nuclei(
    steps: Steps,
    plane: Array,
    diameter_px: tuple[float, float],
    threshold: Threshold,
    smoothing_px: float | None,
    division: Division,
    *,
    drop_border: bool,
) -> Array | None:
    """Find the nuclei of one plane; None where it has no two classes of pixels."""
    least, greatest = diameter_px
    typical = estimate_diameter(steps, plane, diameter_px, threshold.method)
    if typical is None:
        return None
    if smoothing_px is None:
        smoothing_px = min(max(typical * SMOOTHING_SHARE, SMOOTHING_BOUNDS_PX[0]), SMOOTHING_BOUNDS_PX[1])
    reach = min(max(BACKGROUND_REACH * typical, 3 * least), 1.5 * greatest)
    look = _look_at(steps, plane, smoothing_px, reach, threshold)
    if look is None:
        return None
    hole_area = _whole_area(least)
    steps.fill(look.classes, hole_area)
    labels, count = _divide_clumps(steps, look, least, typical, smoothing_px, division)
    trimmed = steps.trim(labels, count, look.brightness, look.twice_base, fixed_share(division.edge_fraction))
    steps.fill(trimmed, hole_area)
    regions, sizes = steps.connect(trimmed)
    table = steps.list_regions(regions, sizes)
    number = number_regions(table, _disk_area(least), _disk_area(greatest), drop_border=drop_border)
    return steps.renumber(regions, first_pixels(table), number)


def estimate_diameter(steps: Steps, plane: Array, diameter_px: tuple[float, float], threshold: str) -> float | None:
    """Estimate the typical diameter of the nuclei of a plane.

    Pixels of a disk are on average a third of its radius away from its edge. The plane is looked at in blocks of a
    quarter of the least diameter; foreground whose inscribed circle is larger than any nucleus (a glow out of focus)
    does not count.

    Parameters
    ----------
    steps
        Those of the plane's device.
    plane
        Shape ``(y, x)``, uint8 or uint16.
    diameter_px
        Least and greatest diameter, pixels: the estimate lies between them.
    threshold
        As for ``kernels.thresholds.find_threshold``.

    Returns
    -------
    Diameter in pixels, or None where nothing is in the plane.
    """
    least, greatest = diameter_px
    step = _bounded_step(least / 4, plane)
    on_host = cpu_steps()
    look = _look_at(on_host, steps.reduce(plane, step), 0.7, 1.5 * greatest / step, Threshold(threshold))
    if look is None:
        return None
    regions, _ = on_host.connect(look.classes)
    bounds = (share * side / step * HEIGHT_STEPS for share, side in ((0.35, least), (0.5, greatest)))
    total, count = sum_depths(regions, on_host.measure_heights(look.classes), *bounds)
    if count == 0:
        return math.sqrt(least * greatest)
    return min(max(6 * step * (total / (HEIGHT_STEPS * count) - 0.5), least), greatest)


def find_classes(steps: Steps, plane: Array, threshold: Threshold) -> tuple[Array, int, int] | None:
    """Divide a smoothed plane into background and foreground; None where it has no two classes of pixels.

    Parameters
    ----------
    steps
        Those of the plane's device.
    plane
        Shape ``(y, x)``, uint16.
    threshold
        How the limit is found.

    Returns
    -------
    The class image, on the device; twice the median of the background; the greatest value.
    """
    counts = steps.count(plane)
    limit = find_limit(counts, threshold.method, threshold.correction, threshold.bounds)
    if limit is None:
        return None
    if threshold.window_px is None:
        classes = steps.divide(plane, limit.whole)
    else:
        grid = window_grid(plane.shape, threshold.window_px)
        classes = steps.divide_locally(plane, limit.by_window(steps.count_windows(plane, *grid), threshold.method))
    return classes, twice_background(counts, limit.whole), int(np.flatnonzero(counts)[-1])


def _look_at(steps: Steps, plane: Array, smoothing_px: float, reach: float, threshold: Threshold) -> _Look | None:
    """Smooth, level the background and find the foreground."""
    smooth = steps.smooth(plane, gaussian_weights(smoothing_px))
    step = _bounded_step(reach / _BLOCKS_PER_WINDOW, plane)
    # raised to the background's highest place, not lowered: noise that is cut off at 0 looks like two classes
    flat = steps.flatten(smooth, _open(steps.reduce(smooth, step), int(min(reach / step, MOST_PIXELS))), step)
    found = find_classes(steps, flat, threshold)
    return None if found is None else _Look(flat, *found)


def _open(small: npt.NDArray[np.uint16], side: int) -> npt.NDArray[np.uint16]:
    """Estimate the background that objects narrower than ``side`` stand on.

    A morphological opening by a square, smoothed: what is brighter than its surroundings but wider than the square is
    background too.
    """
    side = min(max(3, side | 1), 2 * max(small.shape) + 1)
    opened = cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(
        cpu_steps().smooth(np.asarray(opened, np.uint16), gaussian_weights(min(side / 4, MOST_SMOOTHING_PX)))
    )


def _divide_clumps(
    steps: Steps, look: _Look, least_px: float, typical_px: float, smoothed_px: float, division: Division
) -> tuple[Array, int]:
    """Label the parts of clumps, and say how many there are."""
    regions, sizes = steps.connect(look.classes)
    if division.declump == "none":
        table = steps.list_regions(regions, sizes)
        return steps.renumber(regions, first_pixels(table), np.arange(1, len(table) + 1, dtype=np.int32)), len(table)
    height, base = look.brightness, look.twice_base
    if division.declump == "shape":
        inside = _cut_valleys(steps, look, division.valley, smoothed_px, VALLEY_SHARE * typical_px)
        steps.fill(inside, _whole_area(least_px / 2))
        height, base = steps.smooth(steps.measure_heights(inside), gaussian_weights(_OUTLINE_SIGMA_PX)), 0
    seeds, table = steps.find_seeds(height, regions, disk_offsets(max(least_px / 3, SEED_SHARE * typical_px)))
    parts = steps.flood(height, look.classes, seeds)
    neck = fixed_share(division.neck)
    number = join_parts(table, steps.list_joins(height, parts, neck, base), neck, base)
    return steps.renumber(parts, first_pixels(table), number), int(number.max(initial=0))


def _cut_valleys(steps: Steps, look: _Look, valley: float, smoothed_px: float, sigma_px: float) -> Array:
    """Take from the foreground what lies in a valley of brightness or at the foot of something brighter.

    That is where the second derivative at scale ``sigma_px`` is more than ``valley`` times the brightness: sigma**2
    times the Laplacian of the smoothed plane, over the plane (Lindeberg 1998). A dim plane is stretched first, so that
    its Laplacian is not lost in rounding. Without a valley nothing is cut.
    """
    if valley == 0:
        return look.classes
    sigma = max(sigma_px, smoothed_px)
    further = math.sqrt(sigma**2 - smoothed_px**2)
    stretch = _HIGHEST // max(look.brightest, 1)
    smooth = steps.smooth(
        look.brightness, gaussian_weights(min(further, MOST_SMOOTHING_PX) if further > 0.3 else 0), stretch
    )
    # one count more than the brightness, so that where there is none nothing curves by chance
    share = min(round(valley / max(sigma, 1e-3) ** 2 * (1 << 16)), 1 << 40)
    return steps.cut(look.classes, smooth, share, stretch * (look.twice_base - 2))


def _bounded_step(step: float, plane: Array) -> int:
    return int(min(max(1.0, step), max(plane.shape)))


def _whole_area(diameter_px: float) -> int:
    """Pixels from which on a hole is no smaller than a disk."""
    return min(math.ceil(_disk_area(diameter_px)), MOST_PIXELS)


def _disk_area(diameter_px: float) -> float:
    """Area of a disk, square pixels."""
    return math.pi / 4 * diameter_px**2
