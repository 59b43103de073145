"""Planes at half resolution without their background, as CellProfiler's MeasureGranularity makes them.

Every second pixel of a plane is an *image* of granularity. Its background is every second pixel of that, opened by a
disk and stretched again. Shapes are CellProfiler's: half of 1079 is 539.5 there, so that stretching does not reach the
last row. Both devices take their coordinates and weights from here.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.planes import Floats

FULL_SCALE = 65535
"""The count that is 1."""
RADIUS_PX = 10
"""Radius of the disk, in pixels of the background, four pixels of the plane each."""
LEAST_SIDE_PX = 3
"""Sides below are divided by zero in CellProfiler: such planes have no value."""
HALF_WIDTHS = tuple(math.isqrt(RADIUS_PX**2 - dy**2) for dy in range(-RADIUS_PX, RADIUS_PX + 1))
"""How far each row of the disk reaches to both sides."""
OUTSIDE = -1
"""What stands around an image: below every height."""

Ints = npt.NDArray[np.int32]


class Taps(NamedTuple):
    """Linear interpolation along one axis.

    Place i is ``lower_weight[i] * samples[lower[i]] + upper_weight[i] * samples[upper[i]]``; both weights are 0 where
    scipy's ``map_coordinates`` looks outside of the samples. Places int32, weights float64.
    """

    lower: Ints
    upper: Ints
    lower_weight: Floats
    upper_weight: Floats


class Windows(NamedTuple):
    """Linear interpolation along one axis, seen from the samples: which places each is part of, and by how much.

    Sample k has ``weights[k, j]`` in place ``first[k] + j`` for j below ``count[k]``, and ``total[k]`` in all of them;
    ``first``, ``count`` int32, ``weights`` float64 of shape (samples, greatest count), ``total`` float64.
    """

    first: Ints
    count: Ints
    weights: Floats
    total: Floats


class Grid(NamedTuple):
    """What follows from the shape of a plane: that of the image, that of its background, and how both are stretched."""

    shape: tuple[int, int]
    background_shape: tuple[int, int]
    rows: Taps
    columns: Taps
    row_windows: Windows
    column_windows: Windows


@lru_cache(maxsize=8)
def plan_grid(height: int, width: int) -> Grid:
    """Give the grid of planes of at least ``LEAST_SIDE_PX`` by ``LEAST_SIDE_PX`` pixels."""
    shape = math.ceil(height / 2), math.ceil(width / 2)
    background_shape = math.ceil(height / 4), math.ceil(width / 4)
    rows, columns = (
        _interpolate(sampled, samples, (side / 4 - 1) / (side / 2 - 1))
        for side, sampled, samples in zip((height, width), shape, background_shape, strict=True)
    )
    row_windows, column_windows = (
        _turn_round(_interpolate(side, samples, (side / 2 - 1) / (side - 1)), samples)
        for side, samples in zip((height, width), shape, strict=True)
    )
    return Grid(shape, background_shape, rows, columns, row_windows, column_windows)


def _interpolate(places: int, samples: int, factor: float) -> Taps:
    """Taps at ``factor`` times 0, 1, ... ``places - 1``."""
    at = np.arange(places) * factor
    is_inside = (at >= 0) & (at <= samples - 1)
    lower = np.where(is_inside, np.floor(at), 0).astype(np.int32)
    part = at - lower
    return Taps(
        lower, np.minimum(lower + 1, samples - 1), np.where(is_inside, 1 - part, 0), np.where(is_inside, part, 0)
    )


def _turn_round(taps: Taps, samples: int) -> Windows:
    windows: list[dict[int, float]] = [{} for _ in range(samples)]
    for place, (lower, upper, low, high) in enumerate(zip(*(part.tolist() for part in taps), strict=True)):
        if low > 0:
            windows[lower][place] = low
        if high > 0:
            windows[upper][place] = high
    count = np.array([len(window) for window in windows], np.int32)
    first = np.array([min(window, default=0) for window in windows], np.int32)
    weights = np.zeros((samples, int(count.max())))
    for row, window in zip(weights, windows, strict=True):
        row[: len(window)] = list(window.values())
    return Windows(first, count, weights, weights.sum(axis=1))


class BackgroundWork:
    """Buffers for the planes of one shape."""

    def __init__(self, grid: Grid) -> None:
        height, width = grid.background_shape
        self.background = np.empty((height, width), np.float32)
        self.lowest = np.empty((len(set(HALF_WIDTHS)), height, width), np.float32)
        self.doubled = np.empty((5, width + 2 * RADIUS_PX + 1), np.float32)
        self.stretched = np.empty((2, width), np.float64)


_WIDTHS = np.array(sorted(set(HALF_WIDTHS)))
_WIDTH_OF_ROW = np.searchsorted(_WIDTHS, HALF_WIDTHS)


def subtract_background(plane: npt.NDArray[np.uint16], grid: Grid, work: BackgroundWork, image: Ints) -> None:
    """Give a plane without its background.

    Parameters
    ----------
    plane
        Shape ``(y, x)``, uint16, contiguous.
    grid, work
        Those of its shape.
    image
        Filled, but for its rim of one pixel: shape ``grid.shape`` plus 2 each, int32, the bits of float32 from 0 to 1,
        in the order of their values.
    """
    background = work.background
    _sample(plane, background)
    _erode(background, _WIDTHS, _WIDTH_OF_ROW, work.doubled, work.lowest)
    np.negative(background, out=background)
    _erode(background, _WIDTHS, _WIDTH_OF_ROW, work.doubled, work.lowest)
    np.negative(background, out=background)
    _subtract(plane, background, grid.rows, grid.columns, work.stretched, image.view(np.float32))


@compiled
def _sample(plane, background):
    for y in range(background.shape[0]):
        row, samples = plane[4 * y], background[y]
        for x in range(background.shape[1]):
            samples[x] = np.float32(row[4 * x]) / np.float32(FULL_SCALE)


@compiled
def _erode(image, widths, width_of_row, doubled, lowest):
    """Take the least value in the disk around each pixel; outside of the image there is nothing.

    ``lowest[k]`` is the least value of 2 * widths[k] + 1 pixels of a row, from the least of 1, 2, 4, 8, 16 pixels.
    """
    height, width = image.shape
    radius = len(width_of_row) // 2
    doubled[:] = np.inf
    for y in range(height):
        for x in range(width):
            doubled[0, radius + x] = image[y, x]
        span = 1
        for level in range(1, 5):
            _take_lower(doubled[level - 1], doubled[level - 1, span:], doubled[level])
            span *= 2
        for k in range(len(widths)):
            level, span, reach = 0, 1, 2 * widths[k] + 1
            while 2 * span <= reach:
                level, span = level + 1, 2 * span
            left = radius - widths[k]
            _take_lower(doubled[level, left:], doubled[level, left + reach - span :], lowest[k, y])
    for y in range(height):
        out = image[y]
        _take_lower(lowest[width_of_row[radius], y], lowest[width_of_row[radius], y], out)
        for dy in range(1, radius + 1):
            if y < dy and y + dy >= height:
                continue
            above, below = y - dy if y >= dy else y + dy, y + dy if y + dy < height else y - dy
            rows = lowest[width_of_row[radius + dy]]
            _lower_by(rows[above], rows[below], out)


@compiled
def _lower_by(first, second, out):
    for x in range(len(out)):
        out[x] = min(out[x], min(first[x], second[x]))


@compiled
def _take_lower(first, second, out):
    for x in range(min(len(out), len(second))):
        out[x] = min(first[x], second[x])


@compiled
def _subtract(plane, background, rows, columns, stretched, image):
    """Products and sums of the interpolation in the order of scipy's map_coordinates, in double precision."""
    left, right, left_weight, right_weight = columns
    above, below = stretched[0], stretched[1]
    for y in range(image.shape[0] - 2):
        pixels, out = plane[2 * y], image[y + 1]
        upper, lower = background[rows.lower[y]], background[rows.upper[y]]
        upper_weight, lower_weight = rows.lower_weight[y], rows.upper_weight[y]
        for x in range(background.shape[1]):
            above[x] = upper[x] * upper_weight
            below[x] = lower[x] * lower_weight
        for x in range(image.shape[1] - 2):
            value = above[left[x]] * left_weight[x] + above[right[x]] * right_weight[x]
            value += below[left[x]] * left_weight[x]
            value += below[right[x]] * right_weight[x]
            height = np.float32(pixels[2 * x]) / np.float32(FULL_SCALE) - np.float32(value)
            out[x + 1] = max(height, np.float32(0))
