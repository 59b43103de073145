"""Distances to the background on the CPU, exact; see ``kernels/fixpoint_steps.py``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.fixpoint_tables import HEIGHT_STEPS, Ints

_HIGHEST = 65_535
_FARTHEST = _HIGHEST // HEIGHT_STEPS + 1
"""Distance from which on the height is the greatest, pixels."""


def measure_heights(classes: Ints) -> npt.NDArray[np.uint16]:
    """The step of that name.

    Distances along columns, then the lower envelope of parabolas along rows (Meijster, Roerdink and Hesselink 2000);
    no pixel is nearer to background beyond the ends of its own run than to those ends.
    """
    return _measure_rows(_measure_columns(classes))


@compiled
def _measure_columns(classes):
    height, width = classes.shape
    near = np.empty((height, width), np.uint16)
    for x in range(width):
        near[0, x] = _FARTHEST if classes[0, x] > 0 else 0
    for y in range(1, height):
        for x in range(width):
            step = min(near[y - 1, x] + 1, _FARTHEST)
            near[y, x] = step if classes[y, x] > 0 else 0
    for y in range(height - 2, -1, -1):
        for x in range(width):
            near[y, x] = min(near[y, x], near[y + 1, x] + 1)
    return near


@compiled
def _measure_rows(near):
    height, width = near.shape
    heights = np.zeros((height, width), np.uint16)
    place, begin = np.empty(width, np.int64), np.empty(width, np.int64)
    squared = np.empty(width, np.int64)
    for y in range(height):
        x = 0
        while x < width:
            if near[y, x] == 0:
                x += 1
                continue
            first = max(x - 1, 0)
            while x < width and near[y, x] > 0:
                x += 1
            _measure_run(near[y], first, min(x, width - 1), place, begin, squared, heights[y])
    return heights


@compiled
def _measure_run(near, first, last, place, begin, squared, heights):
    """Parabola k of the envelope stands at ``place[k]`` and is the lowest from ``begin[k]`` on."""
    for x in range(first, last + 1):
        squared[x] = np.int64(near[x]) * near[x]
    top = 0
    place[0], begin[0] = first, first
    for x in range(first + 1, last + 1):
        while top >= 0:
            at, before = begin[top], place[top]
            if (at - before) * (at - before) + squared[before] <= (at - x) * (at - x) + squared[x]:
                break
            top -= 1
        if top < 0:
            top, place[0], begin[0] = 0, x, first
            continue
        before = place[top]
        crossing = 1 + (x * x - before * before + squared[x] - squared[before]) // (2 * (x - before))
        if crossing <= last:
            top += 1
            place[top], begin[top] = x, crossing
    for x in range(last, first - 1, -1):
        distance = x - place[top]
        least = distance * distance + squared[place[top]]
        if least >= _FARTHEST * _FARTHEST:
            heights[x] = _HIGHEST
        else:
            heights[x] = np.uint16(np.sqrt(np.float64(least * HEIGHT_STEPS * HEIGHT_STEPS)))
        if x == begin[top]:
            top -= 1
