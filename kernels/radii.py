"""Distances of an object's pixels to the nearest pixel outside it: exact squares, and what AreaShape makes of them."""

from __future__ import annotations

from kernels.compiled import compiled

FRACTION = 2.0**32
"""A root is added as its whole part and its fraction in units of 1 / ``FRACTION``: sums are equal in any order."""
LEAST_SHORT = 181
"""Distances up to this are squared and added within 16 bits."""
BLOCK = 32
"""Columns that are taken at once."""


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

    ``padded`` and ``nearest`` are rows of the type of ``depth``, as long as ``room_of_rows`` says, all zeros to begin
    with; ``counts`` is all zeros and has a place for each square. What is outside counts for nothing.
    """
    rows, columns = depth.shape
    most = farthest(rows - 2, columns)
    greatest = 0
    for y in range(1, rows - 1):
        here, squares = depth[y], padded[most:]
        deepest = here[0]
        for x in range(columns):
            deepest = max(deepest, here[x])
            squares[x] = here[x] * here[x]
        nearest[:columns] = squares[:columns]
        first, last = 0, columns - 1
        while first < last and here[first] == 0:
            first += 1
        while first < last and here[last] == 0:
            last -= 1
        for step in range(1, min(deepest, most), 2):
            _reach(padded, most, step, nearest, first + step - 1, last - step + 1)
        for x in range(first, last + 1):
            square = nearest[x]
            if square > 0:
                counts[square] += 1
                greatest = max(greatest, square)
    return greatest


@compiled
def _reach(padded, most, step, nearest, first, last):  # pyright: ignore[reportMissingParameterType]
    """Lower the squares from ``first`` to ``last`` to what pixels ``step`` and ``step + 1`` columns away allow.

    Nearer to the row's ends than ``step`` they are lower already. Whole blocks are taken, for the sake of vectors.
    """
    near, far = padded.dtype.type(step * step), padded.dtype.type((step + 1) * (step + 1))
    begin = first // BLOCK * BLOCK
    columns = (last // BLOCK * BLOCK + BLOCK - begin) // BLOCK * BLOCK
    at = most + begin
    here, lefts, rights = nearest[begin:], padded[at - step :], padded[at + step :]
    far_lefts, far_rights = padded[at - step - 1 :], padded[at + step + 1 :]
    for x in range(columns):
        other = padded.dtype.type(min(lefts[x], rights[x]) + near)
        farther = padded.dtype.type(min(far_lefts[x], far_rights[x]) + far)
        here[x] = min(here[x], min(other, farther))


@compiled
def room_of_rows(rows, columns):  # pyright: ignore[reportMissingParameterType]
    """Give the lengths of ``padded`` and ``nearest`` for a box of that size: zeros all around, and whole blocks."""
    whole = (columns + BLOCK - 1) // BLOCK * BLOCK
    return whole + 2 * farthest(rows, columns), whole


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
