"""Convex hulls of pixels, from the first and last pixel of each row; all in whole numbers, so exact."""

from __future__ import annotations

import math

import numpy as np

from kernels.compiled import compiled


@compiled
def find_hull(left, right, rows, hull_y, hull_x):  # pyright: ignore[reportMissingParameterType]
    """Find the convex hull of the pixels' centres.

    Parameters
    ----------
    left, right
        Column of the first and of the last pixel of each row, int32; a row with ``left > right`` is empty. The first
        and the last row are not.
    rows
        Number of rows.
    hull_y, hull_x
        Room for the corners, int32: ``2 * rows + 1`` each.

    Returns
    -------
    Number of corners. They go from the leftmost one (of several, the uppermost) over the top to the right and back
    below, without points on a straight line: the order of centrosome's ``convex_hull``.
    """
    count = 0
    for row in range(rows - 1, -1, -1):
        if left[row] <= right[row]:
            count = _append(hull_y, hull_x, 0, count, row, left[row])
    if rows == 1:
        if right[0] > left[0]:
            count = _append(hull_y, hull_x, 0, count, 0, right[0])
        return count
    base = count - 1
    for row in range(rows):
        if left[row] <= right[row] and (row > 0 or right[row] > left[row]):
            count = _append(hull_y, hull_x, base, count, row, right[row])
    if hull_y[count - 1] != hull_y[0] or hull_x[count - 1] != hull_x[0]:
        count = _append(hull_y, hull_x, base, count, hull_y[0], hull_x[0])
    count -= 1  # the first corner again
    _rotate(hull_y, hull_x, count)
    return count


@compiled
def _append(hull_y, hull_x, base, count, y, x):  # pyright: ignore[reportMissingParameterType]
    """Go on to a point, without the corners behind ``base`` that are none by then."""
    while count >= base + 2:
        to_y, to_x = hull_y[count - 1] - hull_y[count - 2], hull_x[count - 1] - hull_x[count - 2]
        on_y, on_x = y - hull_y[count - 1], x - hull_x[count - 1]
        if to_y * on_x - to_x * on_y < 0:
            break
        count -= 1
    hull_y[count] = y
    hull_x[count] = x
    return count + 1


@compiled
def _rotate(hull_y, hull_x, count):  # pyright: ignore[reportMissingParameterType]
    """Bring the leftmost corner, the uppermost of two, to the front."""
    first = 0
    for corner in range(1, count):
        if hull_x[corner] < hull_x[first] or (hull_x[corner] == hull_x[first] and hull_y[corner] < hull_y[first]):
            first = corner
    for begin, end in ((0, first), (first, count), (0, count)):
        low, high = begin, end - 1
        while low < high:
            hull_y[low], hull_y[high] = hull_y[high], hull_y[low]
            hull_x[low], hull_x[high] = hull_x[high], hull_x[low]
            low += 1
            high -= 1


@compiled
def measure_widths(hull_y, hull_x, corners):  # pyright: ignore[reportMissingParameterType]
    """Measure a hull between parallel lines: least and greatest distance (Feret diameters), of the pixels' centres.

    The least one is taken square to each side of the hull; it is 0 for pixels on a line.
    """
    farthest, narrowest = np.int64(0), np.inf
    for one in range(corners):
        two = one + 1 if one + 1 < corners else 0
        side_y, side_x = np.int64(hull_y[two] - hull_y[one]), np.int64(hull_x[two] - hull_x[one])
        widest = np.int64(0)
        for other in range(corners):
            to_y, to_x = np.int64(hull_y[other] - hull_y[one]), np.int64(hull_x[other] - hull_x[one])
            farthest = max(farthest, to_y * to_y + to_x * to_x)
            widest = max(widest, abs(side_y * to_x - side_x * to_y))
        if corners > 2:
            narrowest = min(narrowest, float(widest) * float(widest) / float(side_y * side_y + side_x * side_x))
    return math.sqrt(narrowest) if corners > 2 else 0.0, math.sqrt(farthest)


@compiled
def count_convex(hull_y, hull_x, corners, upper, lower):  # pyright: ignore[reportMissingParameterType]
    """Count the pixels whose centres lie in the convex hull of the pixels' diamonds or on its rim.

    A pixel's diamond ends half a pixel above, below, left and right of its centre: scikit-image's
    ``convex_hull_image``. The outline of such a hull is, at a column, the outermost of three: the pixels' own hull
    there, moved out by half a pixel, and half-way between the columns on either side. ``upper`` and ``lower`` are room
    for a number per column.
    """
    left, right = hull_x[0], hull_x[0]
    for corner in range(corners):
        right = max(right, hull_x[corner])
    if left == right:
        least, most = hull_y[0], hull_y[0]
        for corner in range(corners):
            least, most = min(least, hull_y[corner]), max(most, hull_y[corner])
        return np.int64(most - least + 1)
    upper[: right - left + 1] = np.inf
    lower[: right - left + 1] = -np.inf
    for one in range(corners):
        two = one + 1 if one + 1 < corners else 0
        if hull_x[one] < hull_x[two]:  # the upper side goes to the right; rows are mirrored, so that it is a lower one
            _stretch(-hull_y[one], hull_x[one] - left, -hull_y[two], hull_x[two] - left, upper, -1.0)
        elif hull_x[two] < hull_x[one]:
            _stretch(hull_y[two], hull_x[two] - left, hull_y[one], hull_x[one] - left, lower, 1.0)
    total = np.int64(0)
    for column in range(right - left + 1):
        total += max(np.int64(0), np.int64(lower[column] - upper[column]) + 1)
    return total


@compiled
def _stretch(begin_y, begin_x, end_y, end_x, rows, sign):  # pyright: ignore[reportMissingParameterType]
    """Find the last row that a side of the hull lets in, per column; quotients of such small numbers floor exactly."""
    across, rise = float(end_x - begin_x), float(end_y - begin_y)
    inner = max(across, abs(rise))
    for column in range(begin_x, end_x + 1):
        out = inner
        if column == begin_x:
            out = max(across, rise)
        elif column == end_x:
            out = max(across, -rise)
        height = 2.0 * (float(begin_y) * across + rise * float(column - begin_x)) + out
        row = math.floor(height / (2.0 * across))
        rows[column] = max(rows[column], row) if sign > 0 else min(rows[column], -row)
