"""The steps of the ``fixpoint`` segmentation that look at pixels one by one, on the CPU; see ``fixpoint_steps.py``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.fixpoint_tables import LIMIT_STEPS, SHARE_STEPS, WHOLE_WEIGHT
from kernels.planes import Pixels

Wide = npt.NDArray[np.uint16]

_TAPS = 4
"""Weights that are added in one go over a row."""


@compiled
def _mirror(place, length):
    """Mirror a place beyond a line of pixels at its ends, the outermost pixels twice."""
    place %= 2 * length
    return place if place < length else 2 * length - 1 - place


def smooth(plane: Pixels, weights: npt.NDArray[np.uint32], scale: int) -> Wide:
    """The step of that name, counts multiplied by ``scale``."""
    sides = np.zeros(-(-(len(weights) - 1) // _TAPS) * _TAPS, np.uint32)
    sides[: len(weights) - 1] = weights[1:]
    return _smooth(np.ascontiguousarray(plane), weights[0], sides, scale)


@compiled
def _add_taps(total, weights, before, behind):
    """Add four weights times the pixels on both sides; all sums stay below 2**32."""
    near, second, third, far = weights
    (near_before, second_before, third_before, far_before) = before
    (near_behind, second_behind, third_behind, far_behind) = behind
    for x in range(total.size):
        total[x] = np.uint32(
            total[x]
            + near * (near_before[x] + near_behind[x])
            + second * (second_before[x] + second_behind[x])
            + third * (third_before[x] + third_behind[x])
            + far * (far_before[x] + far_behind[x])
        )


@compiled
def _smooth(plane, middle, sides, scale):
    """Rows keep four bits more than pixels have."""
    height, width = plane.shape
    reach = len(sides)
    half_row, half = np.uint32(WHOLE_WEIGHT // 32), np.uint32(8 * WHOLE_WEIGHT)
    line, total = np.empty(width + 2 * reach, np.uint32), np.empty(width, np.uint32)
    rows, smoothed = np.empty((height, width), np.uint32), np.empty((height, width), np.uint16)
    for y in range(height):
        for x in range(width):
            line[reach + x] = plane[y, x] * scale
        for x in range(reach):
            line[reach - 1 - x] = line[reach + _mirror(x, width)]
            line[reach + width + x] = line[reach + _mirror(width + x, width)]
        for x in range(width):
            total[x] = np.uint32(half_row + middle * line[reach + x])
        for k in range(1, reach + 1, _TAPS):
            at, to = reach - k, reach + k
            _add_taps(
                total,
                (sides[k - 1], sides[k], sides[k + 1], sides[k + 2]),
                (line[at:], line[at - 1 :], line[at - 2 :], line[at - 3 :]),
                (line[to:], line[to + 1 :], line[to + 2 :], line[to + 3 :]),
            )
        for x in range(width):
            rows[y, x] = total[x] >> np.uint32(8)
    for y in range(height):
        own = rows[y]
        for x in range(width):
            total[x] = np.uint32(half + middle * own[x])
        for k in range(1, reach + 1, _TAPS):
            _add_taps(
                total,
                (sides[k - 1], sides[k], sides[k + 1], sides[k + 2]),
                (_row(rows, y - k), _row(rows, y - k - 1), _row(rows, y - k - 2), _row(rows, y - k - 3)),
                (_row(rows, y + k), _row(rows, y + k + 1), _row(rows, y + k + 2), _row(rows, y + k + 3)),
            )
        for x in range(width):
            smoothed[y, x] = total[x] >> np.uint32(16)
    return smoothed


@compiled
def _row(rows, y):
    return rows[_mirror(y, rows.shape[0])]


@compiled
def count(plane):  # pyright: ignore[reportMissingParameterType]
    """The step of that name, by two partial histograms, so that equal neighbours do not wait for each other."""
    parts = np.zeros((2, 65_536), np.int32)
    flat = plane.ravel()
    for i in range(0, flat.size - 1, 2):
        parts[0, flat[i]] += 1
        parts[1, flat[i + 1]] += 1
    if flat.size % 2:
        parts[0, flat[flat.size - 1]] += 1
    counts = np.empty(65_536, np.int64)
    for value in range(65_536):
        counts[value] = np.int64(parts[0, value]) + parts[1, value]
    return counts


@compiled
def count_windows(plane, down, across):  # pyright: ignore[reportMissingParameterType]
    """The step of that name."""
    height, width = plane.shape
    counts = np.zeros((down, across, 65_536), np.uint32)
    for row in range(down):
        for column in range(across):
            window = counts[row, column]
            for y in range(row * height // down, (row + 1) * height // down):
                for x in range(column * width // across, (column + 1) * width // across):
                    window[plane[y, x]] += np.uint32(1)
    return counts


@compiled
def divide_locally(plane, limits):  # pyright: ignore[reportMissingParameterType]
    """The step of that name."""
    height, width = plane.shape
    down, across = limits.shape
    classes = np.empty((height, width), np.int32)
    for y in range(height):
        upper, upper_part = _between((2 * y + 1) * down - height, 2 * height, down)
        lower = min(upper + 1, down - 1)
        for x in range(width):
            left, left_part = _between((2 * x + 1) * across - width, 2 * width, across)
            right = min(left + 1, across - 1)
            above = limits[upper, left] * (2 * width - left_part) + limits[upper, right] * left_part
            below = limits[lower, left] * (2 * width - left_part) + limits[lower, right] * left_part
            limit = above * (2 * height - upper_part) + below * upper_part
            value = np.int64(plane[y, x]) * LIMIT_STEPS * 4 * height * width
            classes[y, x] = 1 if value > limit else -1
    return classes


@compiled
def _between(behind, whole, count):
    """Of ``count`` places, a ``whole`` apart, the one before what is so far behind the first, and the rest."""
    behind = min(max(behind, 0), whole * (count - 1))
    return behind // whole, behind % whole


@compiled
def reduce(plane, step, scale):  # pyright: ignore[reportMissingParameterType]
    """The step of that name."""
    height, width = plane.shape
    down, across = (height + step - 1) // step, (width + step - 1) // step
    small = np.empty((down, across), np.uint16)
    sums = np.empty(across, np.int64)
    for row in range(down):
        sums[:] = 0
        bottom = min((row + 1) * step, height)
        for y in range(row * step, bottom):
            for column in range(across):
                total = 0
                for x in range(column * step, min((column + 1) * step, width)):
                    total += np.int64(plane[y, x])
                sums[column] += total
        for column in range(across):
            pixels = (bottom - row * step) * (min((column + 1) * step, width) - column * step)
            small[row, column] = (2 * scale * sums[column] + pixels) // (2 * pixels)
    return small


@compiled
def flatten(plane, background, step):  # pyright: ignore[reportMissingParameterType]
    """The step of that name: the row of blocks is interpolated first, with the fractions kept."""
    height, width = plane.shape
    down, across = background.shape
    whole = 2 * step
    flat = np.empty((height, width), np.uint16)
    top = np.int64(background.max())
    blocks = np.empty(across, np.int64)
    left, part = np.empty(width, np.int64), np.empty(width, np.int64)
    for x in range(width):
        left[x], part[x] = _between(2 * x + 1 - step, whole, across)
    for y in range(height):
        upper, upper_part = _between(2 * y + 1 - step, whole, down)
        lower = min(upper + 1, down - 1)
        for column in range(across):
            above, below = np.int64(background[upper, column]), np.int64(background[lower, column])
            blocks[column] = above * (whole - upper_part) + below * upper_part
        for x in range(width):
            right = min(left[x] + 1, across - 1)
            ground = blocks[left[x]] * (whole - part[x]) + blocks[right] * part[x]
            ground = (ground + whole * whole // 2) // (whole * whole)
            flat[y, x] = min(np.int64(plane[y, x]) + top - ground, 65_535)
    return flat


@compiled
def cut(classes, smooth, share, twice_zero):  # pyright: ignore[reportMissingParameterType]
    """The step of that name."""
    height, width = smooth.shape
    inside = np.empty((height, width), np.int32)
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            kind = classes[y, x]
            if kind > 0:
                left, right = max(x - 1, 0), min(x + 1, width - 1)
                own = np.int64(smooth[y, x])
                around = np.int64(smooth[above, x]) + smooth[below, x] + smooth[y, left] + smooth[y, right]
                if (around - 4 * own) * 2 * SHARE_STEPS > share * (2 * own - twice_zero):
                    kind = -kind
            inside[y, x] = kind
    return inside
