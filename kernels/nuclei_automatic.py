"""Nuclei without tuning: every length follows the size that nuclei have in the plane.

The steps are textbook ones; their combination is ours. Bright outliers, uneven background and nuclei of very different
brightness are what it is made for: a threshold of the whole plane only says where nuclei are, and each nucleus is
drawn by its own brightness.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kernels.clumps import split_clumps, trim_edges
from kernels.compiled import compiled
from kernels.distances import measure_distance
from kernels.planes import Pixels, smooth_plane
from kernels.regions import connect, fill_small_holes, keep_labels
from kernels.thresholds import count_values, find_local_thresholds, find_threshold

SMOOTHING_SHARE, LEAST_SMOOTHING_PX, MOST_SMOOTHING_PX = 1 / 24, 0.6, 3.0
"""Standard deviation of the smoothing, as a share of the typical diameter, and its bounds."""
SEED_SHARE = 0.3
"""Radius in which a seed is the highest pixel, as a share of the typical diameter."""
VALLEY_SHARE = 0.1
"""Standard deviation at which valleys are looked for, as a share of the typical diameter."""
BACKGROUND_REACH = 4.0
"""Side of the window whose darkest part is the background, in typical diameters."""
_STEPS_PER_PX = 64
"""Steps of a distance of one pixel when it becomes a height of 16 bits."""
_CELLS_PER_WINDOW = 12

Numbers = npt.NDArray[np.int32]
Single = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]


class _Look(NamedTuple):
    """A smoothed plane above its background, and what of it is foreground."""

    brightness: Single
    foreground: Mask


def find_nuclei(
    plane: Pixels,
    *,
    diameter_px: tuple[float, float],
    threshold: str,
    threshold_correction: float,
    threshold_bounds: tuple[float, float],
    adaptive_window_px: float | None,
    smoothing_px: float | None,
    declump: str,
    valley: float,
    neck: float,
    edge_fraction: float,
) -> Numbers:
    """Find the nuclei of one plane; parameters as in ``kernels.segmentation.segment_nuclei``."""
    least, greatest = diameter_px
    wide = smooth_plane(plane, 0)
    parameters = threshold, threshold_correction, threshold_bounds, adaptive_window_px
    nothing = np.zeros(plane.shape, np.int32)
    typical = estimate_diameter(wide, diameter_px, threshold)
    if typical is None:
        return nothing
    if smoothing_px is None:
        smoothing_px = min(max(typical * SMOOTHING_SHARE, LEAST_SMOOTHING_PX), MOST_SMOOTHING_PX)
    reach = min(max(BACKGROUND_REACH * typical, 3 * least), 1.5 * greatest)
    look = _look_at(wide, smoothing_px, reach, *parameters)
    if look is None:
        return nothing
    brightness, foreground = look
    fill_small_holes(foreground, _disk_area(least))
    clumps = connect(foreground)
    radius = max(least / 3, SEED_SHARE * typical)
    if declump == "shape":
        inside = cut_valleys(brightness, foreground, valley, smoothing_px, VALLEY_SHARE * typical)
        fill_small_holes(inside, _disk_area(least) / 4)
        clumps = split_clumps(_distance_to_background(inside), clumps, radius=radius, neck=neck)
    elif declump == "intensity":
        height = np.rint(np.minimum(brightness, 65535)).astype(np.uint16)
        clumps = split_clumps(height, clumps, radius=radius, neck=neck)
    trimmed = trim_edges(clumps, brightness, edge_fraction)
    return _drop_sizes(_fill_objects(trimmed, _disk_area(least)), least, greatest)


def estimate_diameter(wide: npt.NDArray[np.uint16], diameter_px: tuple[float, float], threshold: str) -> float | None:
    """Estimate the typical diameter of the nuclei of a plane.

    Pixels of a disk are on average a third of its radius away from its edge. The plane is looked at in steps of a
    quarter of the least diameter; foreground whose inscribed circle is larger than any nucleus (a glow out of focus)
    does not count.

    Parameters
    ----------
    wide
        Shape ``(y, x)``, uint16.
    diameter_px
        Least and greatest diameter, pixels: the estimate lies between them.
    threshold
        As for ``kernels.thresholds.find_threshold``.

    Returns
    -------
    Diameter in pixels, or None where nothing is in the plane.
    """
    least, greatest = diameter_px
    step = max(1, int(least / 4))
    height, width = (max(1, round(side / step)) for side in wide.shape)
    small = cv2.resize(wide, (width, height), interpolation=cv2.INTER_AREA) if step > 1 else wide
    look = _look_at(np.asarray(small, np.uint16), 0.7, 1.5 * greatest / step, threshold, 1.0, (0.0, 1.0), None)
    if look is None:
        return None
    regions = connect(look.foreground)
    distance = measure_distance(look.foreground)
    deepest = np.zeros(int(regions.max()) + 1)
    total, count = _measure_depths(regions, distance, deepest, 0.35 * least / step, 0.5 * greatest / step)
    if count == 0:
        return float(np.sqrt(least * greatest))
    return float(min(max(6 * step * (total / count - 0.5), least), greatest))


def cut_valleys(brightness: Single, foreground: Mask, valley: float, smoothed_px: float, sigma: float) -> Mask:
    """Take from the foreground what lies in a valley of brightness or at the foot of something brighter.

    That is where the second derivative at scale ``sigma`` is more than ``valley`` times the brightness: sigma**2 times
    the Laplacian of the smoothed plane, over the plane (Lindeberg 1998).

    Parameters
    ----------
    brightness
        Above the background, shape ``(y, x)``, float32, smoothed by ``smoothed_px`` already.
    foreground
        Shape ``(y, x)``, uint8.
    valley
        0 leaves the foreground as it is.
    smoothed_px, sigma
        Standard deviations in pixels.
    """
    if valley == 0:
        return foreground.copy()
    sigma = max(sigma, smoothed_px)
    further = np.sqrt(sigma**2 - smoothed_px**2)
    smooth = brightness
    if further > 0.3:
        smooth = cv2.GaussianBlur(brightness, (0, 0), further, borderType=cv2.BORDER_REFLECT)
    curvature = cv2.Laplacian(smooth, cv2.CV_32F, borderType=cv2.BORDER_REFLECT)
    return _cut(np.asarray(curvature, np.float32), np.asarray(smooth, np.float32), foreground, valley / sigma**2)


def _look_at(
    wide: npt.NDArray[np.uint16],
    smoothing_px: float,
    reach: float,
    threshold: str,
    correction: float,
    bounds: tuple[float, float],
    window_px: float | None,
) -> _Look | None:
    """Smooth, take the background away and find the foreground; None where the plane has no two classes."""
    smooth = smooth_plane(wide, smoothing_px)
    background = estimate_background(smooth, reach)
    # raised to the background's highest place, not lowered: noise that is cut off at 0 looks like two classes
    flat = np.asarray(cv2.add(smooth, background.max() - background), np.uint16)
    level = find_threshold(count_values(flat), threshold)
    if level is None:
        return None
    darkest = np.float32(flat.min())
    levels = np.float32(level)
    if window_px is not None:
        levels = find_local_thresholds(flat, level, threshold, window_px=window_px)
    low, high = (np.float32(bound * np.iinfo(np.uint16).max) for bound in bounds)
    foreground = flat > np.clip(darkest + (levels - darkest) * np.float32(correction), low, high)
    if foreground.all() or not foreground.any():
        return None
    dark = _median(count_values(flat, foreground.view(np.uint8)))
    return _Look(np.maximum(flat.astype(np.float32) - np.float32(dark), 0), foreground.view(np.uint8))


def estimate_background(plane: npt.NDArray[np.uint16], reach: float) -> npt.NDArray[np.uint16]:
    """Estimate the background that objects smaller than ``reach`` pixels stand on.

    A morphological opening by a square of that side on a reduced plane, smoothed: what is brighter than its
    surroundings but wider than the square is background too.

    Parameters
    ----------
    plane
        Shape ``(y, x)``, uint16.
    reach
        Pixels.

    Returns
    -------
    Shape ``(y, x)``, uint16.
    """
    height, width = plane.shape
    step = max(1, int(reach / _CELLS_PER_WINDOW))
    size = max(1, round(width / step)), max(1, round(height / step))
    small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    side = max(3, int(reach / step) | 1)
    opened = cv2.morphologyEx(small, cv2.MORPH_OPEN, np.ones((side, side), np.uint8), borderType=cv2.BORDER_REPLICATE)
    smooth = cv2.GaussianBlur(opened, (0, 0), side / 4, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR), np.uint16)


def _median(counts: npt.NDArray[np.int64]) -> float:
    """Median of a histogram, the lower of two."""
    below = np.cumsum(counts)
    return float(np.searchsorted(below, (below[-1] + 1) // 2))


def _distance_to_background(foreground: Mask) -> npt.NDArray[np.uint16]:
    distance = measure_distance(foreground).astype(np.float32)
    # a slight blur joins the maxima of a ragged outline; a pixel's own distance moves by less than one pixel
    smooth = cv2.GaussianBlur(distance, (0, 0), 1.0)
    steps = np.minimum(np.rint(smooth * np.float32(_STEPS_PER_PX)), np.iinfo(np.uint16).max)
    return steps.astype(np.uint16) * foreground


def _fill_objects(labels: Numbers, hole_area: float) -> Numbers:
    """Fill small holes of objects; one between two objects goes to the object left of it or, if none is, above."""
    foreground = (labels > 0).view(np.uint8)
    filled = foreground.copy()
    fill_small_holes(filled, hole_area)
    return _fill(labels, filled) if (filled != foreground).any() else labels


def _drop_sizes(labels: Numbers, least: float, greatest: float) -> Numbers:
    area = np.bincount(labels.ravel())
    return keep_labels(labels, (area >= _disk_area(least)) & (area <= _disk_area(greatest)))


def _disk_area(diameter: float) -> float:
    return np.pi / 4 * diameter**2


@compiled
def _measure_depths(regions, distance, deepest, least, greatest):  # pyright: ignore[reportMissingParameterType]
    """Sum and number of the distances in regions whose greatest distance lies between two bounds."""
    rows, columns = regions.shape
    for y in range(rows):
        for x in range(columns):
            region = regions[y, x]
            deepest[region] = max(deepest[region], distance[y, x])
    total, count = 0.0, 0
    for y in range(rows):
        for x in range(columns):
            region = regions[y, x]
            if region > 0 and least <= deepest[region] <= greatest:
                total += distance[y, x]
                count += 1
    return total, count


@compiled
def _cut(curvature, brightness, foreground, share):  # pyright: ignore[reportMissingParameterType]
    rows, columns = foreground.shape
    inside = np.zeros((rows, columns), np.uint8)
    for y in range(rows):
        for x in range(columns):
            inside[y, x] = foreground[y, x] != 0 and curvature[y, x] <= share * (brightness[y, x] + 1)
    return inside


@compiled
def _fill(labels, filled):  # pyright: ignore[reportMissingParameterType]
    """Give pixels that were filled the number left of them or above: scanned in raster order, one of them has one."""
    found = labels.copy()
    rows, columns = labels.shape
    for y in range(rows):
        for x in range(columns):
            if found[y, x] == 0 and filled[y, x] != 0:
                number = found[y, x - 1] if x > 0 else 0
                if number == 0 and y > 0:
                    number = found[y - 1, x]
                found[y, x] = number
    return found
