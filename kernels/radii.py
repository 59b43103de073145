"""Distances of an object's pixels to the nearest pixel outside it: exact squares, and what AreaShape makes of them."""

from __future__ import annotations

import numpy as np

from kernels.compiled import compiled

FRACTION = 2.0**32
"""A root is added as its whole part and its fraction in units of 1 / ``FRACTION``: sums are equal in any order."""
LEAST_SHORT = 181
"""Distances up to this are squared and added within 16 bits."""


@compiled
def farthest(rows, columns):  # pyright: ignore[reportMissingParameterType]
    """Give a distance that no pixel of a box of that size exceeds."""
    return (min(rows, columns) + 1) // 2


@compiled
def measure_depths(runs, count, top, left, depth):  # pyright: ignore[reportMissingParameterType]
    """Measure each pixel's distance to the outside along its column, at most the farthest that is possible at all.

    ``depth`` has an empty row above and below and becomes 0 outside the object.
    """
    rows, columns = depth.shape
    depth[:] = 0
    for index in range(count):
        depth[runs[index, 0] - top + 1, runs[index, 1] - left : runs[index, 2] - left] = 1
    most = farthest(rows - 2, columns)
    for y in range(1, rows):
        above, here = depth[y - 1], depth[y]
        for x in range(columns):
            here[x] = here.dtype.type(min(above[x] + 1, most)) * here[x]
    for y in range(rows - 2, 0, -1):
        below, here = depth[y + 1], depth[y]
        for x in range(columns):
            here[x] = min(here[x], here.dtype.type(below[x] + 1))


@compiled
def count_distances(depth, padded, nearest, counts):  # pyright: ignore[reportMissingParameterType]
    """Count the pixels of each squared distance; gives the greatest one.

    ``padded`` is a row with ``farthest`` zeros on either side, ``nearest`` a row, both of the type of ``depth``;
    ``counts`` is all zeros and has a place for each square. What is outside counts as square 0.
    """
    rows, columns = depth.shape
    most = farthest(rows - 2, columns)
    greatest = 0
    for y in range(1, rows - 1):
        deepest = 0
        for x in range(columns):
            square = depth[y, x] * depth[y, x]
            nearest[x] = square
            padded[most + x] = square
            deepest = max(deepest, depth[y, x])
        for step in range(1, min(deepest, most)):
            _reach(padded, most, step, nearest, columns)
        for x in range(columns):
            counts[nearest[x]] += 1
            greatest = max(greatest, nearest[x])
    return greatest


@compiled
def _reach(padded, most, step, nearest, columns):  # pyright: ignore[reportMissingParameterType]
    """Lower the squares to what the pixels ``step`` columns to the left and right allow."""
    square = padded.dtype.type(step * step)
    lefts, rights = padded[most - step :], padded[most + step :]
    for x in range(columns):
        other = padded.dtype.type(min(lefts[x], rights[x]) + square)
        nearest[x] = min(nearest[x], other)


@compiled
def summarise_distances(counts, greatest, roots, radii):  # pyright: ignore[reportMissingParameterType]
    """Reduce the counts of squared distances, and clear them.

    ``radii`` becomes: the greatest square, the lower and the upper of the middle ones, the sums of the whole parts and
    of the fractions of the roots.
    """
    counts[0] = 0
    area = 0
    whole, fraction = 0, 0
    for square in range(1, greatest + 1):
        found = counts[square]
        if found:
            area += found
            part = int(roots[square])
            whole += found * part
            fraction += found * int((roots[square] - part) * FRACTION)
    radii[0], radii[1], radii[2], radii[3], radii[4] = greatest, -1, -1, whole, fraction
    before = 0
    for square in range(1, greatest + 1):
        before += counts[square]
        counts[square] = 0
        if radii[1] < 0 and before > (area - 1) // 2:
            radii[1] = square
        if radii[2] < 0 and before > area // 2:
            radii[2] = square
