"""The smallest circle around each object, as CellProfiler's Zernike moments use it."""

from __future__ import annotations

import math

import numpy as np

from kernels.compiled import compiled
from kernels.convex_hull import find_hull
from kernels.object_runs import find_row_ends, list_runs, make_runs
from kernels.object_sets import ObjectSets
from kernels.planes import Floats


def enclosing_circles(objects: ObjectSets) -> Floats:
    """Find the smallest circle that holds the centres of all pixels of each object.

    By Chrystal's algorithm (Proceedings of the Edinburgh Mathematical Society 3, 1884) on the corners of the convex
    hull, from the corner and in the direction that centrosome's ``minimum_enclosing_circle`` takes, and with its
    operations on floats: whether a pixel of the rim lies within the circle is decided by its last bit. Angles are
    compared exactly, where centrosome compares arc cosines.

    Parameters
    ----------
    objects
        Objects of the sets.

    Returns
    -------
    Row and column of the centre, and the radius, in pixels; shape ``(s, count, 3)``, float64. The radius of a single
    pixel is 0. NaN where an object is not in a set.
    """
    circles = np.full((objects.n_sets, objects.count, 3), np.nan)
    if objects.count:
        _enclose_all(objects.position, objects.member, objects.start, objects.boxes, objects.labels.shape[2], circles)
    return circles


@compiled
def _enclose_all(position, member, start, boxes, width, circles):  # pyright: ignore[reportMissingParameterType]
    n_sets = circles.shape[0]
    most_rows = 0
    for box in boxes:
        most_rows = max(most_rows, box[2] - box[0])
    runs, count = make_runs(n_sets, boxes), np.zeros(n_sets, np.int64)
    left, right = np.empty(most_rows, np.int32), np.empty(most_rows, np.int32)
    hull_y, hull_x = np.empty(2 * most_rows + 1, np.int32), np.empty(2 * most_rows + 1, np.int32)
    for index in range(boxes.shape[0]):
        box, begin, end = boxes[index], start[index], start[index + 1]
        runs = list_runs(position[begin:end], member[begin:end], width, box, runs, count)
        for z in range(n_sets):
            if count[z] == 0:
                continue
            top, _, bottom, _ = find_row_ends(runs[z], count[z], left, right)
            corners = find_hull(left, right, bottom - top, hull_y, hull_x)
            for corner in range(corners):
                hull_y[corner] += box[0] + top
                hull_x[corner] += box[1]
            circles[z, index] = enclose(hull_y, hull_x, corners)


@compiled
def enclose(hull_y, hull_x, corners):  # pyright: ignore[reportMissingParameterType]
    """Find the smallest circle around a convex hull (``find_hull``, in coordinates of the plane below 32,768).

    Returns row, column, radius. Coordinates of the plane matter: the last bits depend on them.
    """
    if corners == 1:
        return float(hull_y[0]), float(hull_x[0]), 0.0
    if corners == 2:
        y, x = (hull_y[0] + hull_y[1]) / 2.0, (hull_x[0] + hull_x[1]) / 2.0
        return y, x, _distance(hull_y[0], hull_x[0], y, x)
    one, two = 0, 1
    while True:
        third, cosine = _sharpest(hull_y, hull_x, corners, one, two)
        if cosine <= 0:
            return _on_diameter(hull_y[one], hull_x[one], hull_y[two], hull_x[two])
        if _cosine(hull_y, hull_x, one, two, third) < 0:
            one = third
        elif _cosine(hull_y, hull_x, two, one, third) < 0:
            two = third
        else:
            return _through(
                float(hull_y[one]),
                float(hull_x[one]),
                float(hull_y[two]),
                float(hull_x[two]),
                float(hull_y[third]),
                float(hull_x[third]),
            )


@compiled
def _sharpest(hull_y, hull_x, corners, one, two):  # pyright: ignore[reportMissingParameterType]
    """Find the corner that sees the side at the smallest angle, and the sign of that angle's cosine."""
    found, found_cosine, found_sine = -1, np.int64(0), np.int64(1)
    for corner in range(corners):
        if corner in (one, two):
            continue
        one_y, one_x = np.int64(hull_y[one] - hull_y[corner]), np.int64(hull_x[one] - hull_x[corner])
        two_y, two_x = np.int64(hull_y[two] - hull_y[corner]), np.int64(hull_x[two] - hull_x[corner])
        cosine, sine = one_y * two_y + one_x * two_x, abs(one_y * two_x - one_x * two_y)
        if found < 0 or cosine * found_sine > found_cosine * sine:
            found, found_cosine, found_sine = corner, cosine, sine
    return found, found_cosine


@compiled
def _cosine(hull_y, hull_x, at, one, two):  # pyright: ignore[reportMissingParameterType]
    """Give the sign of the cosine of the angle at a corner towards two others."""
    one_y, one_x = np.int64(hull_y[one] - hull_y[at]), np.int64(hull_x[one] - hull_x[at])
    two_y, two_x = np.int64(hull_y[two] - hull_y[at]), np.int64(hull_x[two] - hull_x[at])
    return one_y * two_y + one_x * two_x


@compiled
def _on_diameter(one_y, one_x, two_y, two_x):  # pyright: ignore[reportMissingParameterType]
    length = _distance(float(one_y), float(one_x), float(two_y), float(two_x))
    return (one_y + two_y) / 2.0, (one_x + two_x) / 2.0, length / 2.0


@compiled
def _through(one_y, one_x, two_y, two_x, three_y, three_x):  # pyright: ignore[reportMissingParameterType]
    """Give the circle through three points; the order of operations is centrosome's."""
    twice_area = one_x * (two_y - three_y) + two_x * (three_y - one_y) + three_x * (one_y - two_y)
    one, two = one_y * one_y + one_x * one_x, two_y * two_y + two_x * two_x
    three = three_y * three_y + three_x * three_x
    x = (one * (two_y - three_y) + two * (three_y - one_y) + three * (one_y - two_y)) / (2.0 * twice_area)
    y = (one * (three_x - two_x) + two * (one_x - three_x) + three * (two_x - one_x)) / (2.0 * twice_area)
    return y, x, _distance(one_y, one_x, y, x)


@compiled
def _distance(one_y, one_x, two_y, two_x):  # pyright: ignore[reportMissingParameterType]
    down, across = one_y - two_y, one_x - two_x
    return math.sqrt(down * down + across * across)
