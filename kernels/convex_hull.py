"""Convex hulls of pixels, from the first and last pixel of each row; all in whole numbers, so exact."""

from __future__ import annotations

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
