"""Moments of an object's pixels up to order 9 about a whole pixel, from its runs, and about any other point.

A moment (p, q) is the sum of ``y**p * x**q`` over the pixels. Those with ``p + q <= ORDER`` are kept in one row of
``MOMENTS`` numbers, by p and then by q. All that CellProfiler makes of them is linear in them: spatial, central and
normalised moments, the ellipse, and the Zernike moments, which are polynomials of degree 9.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np

from kernels.compiled import compiled
from kernels.planes import Floats

ORDER = 9
MOMENTS = (ORDER + 1) * (ORDER + 2) // 2


@compiled
def place(p, q):  # pyright: ignore[reportMissingParameterType]
    """Give where the moment (p, q) stands."""
    return p * (2 * ORDER + 3 - p) // 2 + q


@functools.lru_cache(maxsize=8)
def power_sums(reach: int) -> Floats:
    """Give sums of powers of whole numbers: entry ``[reach + b, q] - [reach + a, q]`` is the sum of x**q, a <= x < b.

    Shape ``(2 * reach + 1, ORDER + 1)``, float64; every entry is rounded once.
    """
    sums = np.empty((2 * reach + 1, ORDER + 1))
    for q in range(ORDER + 1):
        rising = list(itertools.accumulate((x**q for x in range(-reach, reach)), initial=0))
        middle = rising[reach]
        sums[:, q] = [float(value - middle) for value in rising]
    return sums


def reach_of(side: int) -> int:
    """Give a reach of ``power_sums`` for objects up to ``side`` pixels wide; few different ones, as they are kept."""
    return max(64, 1 << (side // 2 + 1).bit_length())


@compiled
def sum_moments(runs, count, middle_y, middle_x, sums, moments):  # pyright: ignore[reportMissingParameterType]
    """Sum the moments of runs about a pixel; ``sums`` is of ``power_sums``. Row after row, so the order is fixed."""
    reach = sums.shape[0] // 2
    of_row = np.zeros(ORDER + 1)
    moments[:] = 0
    index = 0
    while index < count:
        row = runs[index, 0]
        of_row[:] = 0
        while index < count and runs[index, 0] == row:
            begin, end = sums[reach + runs[index, 1] - middle_x], sums[reach + runs[index, 2] - middle_x]
            for q in range(ORDER + 1):
                of_row[q] += end[q] - begin[q]
            index += 1
        power, y = 1.0, float(row - middle_y)
        at = 0
        for p in range(ORDER + 1):
            for q in range(ORDER + 1 - p):
                moments[at + q] += power * of_row[q]
            at += ORDER + 1 - p
            power *= y


@compiled
def drop_pixel(moments, y, x):  # pyright: ignore[reportMissingParameterType]
    """Take one pixel out of moments, ``y`` and ``x`` counted from their point."""
    along_y = 1.0
    at = 0
    for p in range(ORDER + 1):
        both = along_y
        for q in range(ORDER + 1 - p):
            moments[at + q] -= both
            both *= x
        at += ORDER + 1 - p
        along_y *= y


@compiled
def shift_moments(moments, down, across):  # pyright: ignore[reportMissingParameterType]
    """Turn moments about a point into those about another, from which the first is ``down`` and ``across`` away.

    By the binomial theorem, in place: one more power of the distance is folded in at a time.
    """
    at = 0
    for p in range(ORDER + 1):
        most = ORDER - p
        for step in range(1, most + 1):
            for q in range(most, step - 1, -1):
                moments[at + q] += across * moments[at + q - 1]
        at += most + 1
    for q in range(ORDER + 1):
        most = ORDER - q
        for step in range(1, most + 1):
            for p in range(most, step - 1, -1):
                moments[place(p, q)] += down * moments[place(p - 1, q)]


@compiled
def scale_moments(moments, length):  # pyright: ignore[reportMissingParameterType]
    """Measure moments in units of a length, in place."""
    along_y = 1.0
    at = 0
    for p in range(ORDER + 1):
        both = along_y
        for q in range(ORDER + 1 - p):
            moments[at + q] *= both
            both /= length
        at += ORDER + 1 - p
        along_y /= length
