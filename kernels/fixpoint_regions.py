"""Connected regions on the CPU, run by run, and what follows from them; see ``kernels/fixpoint_steps.py``."""

from __future__ import annotations

import numpy as np

from kernels.compiled import compiled
from kernels.fixpoint_tables import TOUCHES_BORDER, Ints, Words


def fill_small_holes(classes: Ints, hole_area: int) -> None:
    """The step ``fill``, in place."""
    _fill(classes, hole_area, *_connect_runs(classes, True))


def connect_regions(classes: Ints) -> tuple[Ints, Words]:
    """The step ``connect``."""
    return _label(classes, *_connect_runs(classes, False))


@compiled
def _connect_runs(classes, with_background):
    """Union-find over the runs of rows, in raster order: first pixel, pixel behind the last, root and size of each.

    The root of a region is its first run, so that the first pixel of that is the region's. Background is connected
    across sides only, regions across corners too.
    """
    height, width = classes.shape
    kinds = classes.ravel()
    start, end = np.empty(kinds.size, np.int32), np.empty(kinds.size, np.int32)
    parent = np.empty(kinds.size, np.int32)
    size = np.empty(kinds.size, np.uint32)
    count, above, behind_above = 0, 0, 0
    for y in range(height):
        first, x = count, 0
        row = y * width
        while x < width:
            kind, begin = max(kinds[row + x], 0), x
            x += 1
            while x < width and max(kinds[row + x], 0) == kind:
                x += 1
            if kind == 0 and not with_background:
                continue
            start[count], end[count], parent[count] = row + begin, row + x, count
            at_border = y == 0 or y == height - 1 or begin == 0 or x == width
            size[count] = np.uint32(x - begin) | (np.uint32(TOUCHES_BORDER) if at_border else np.uint32(0))
            reach = 1 if kind > 0 else 0
            while above < behind_above and end[above] + width + reach <= row + begin:
                above += 1
            other = above
            while other < behind_above and start[other] + width < row + x + reach:
                if max(kinds[start[other]], 0) == kind:
                    _unite(parent, count, other)
                other += 1
            count += 1
        above, behind_above = first, count
    for run in range(count):
        root = parent[parent[run]]
        parent[run] = root
        if root != run:
            pixels, border = np.uint32(TOUCHES_BORDER - 1), np.uint32(TOUCHES_BORDER)
            size[root] = ((size[root] & pixels) + (size[run] & pixels)) | ((size[root] | size[run]) & border)
    return start[:count], end[:count], parent[:count], size[:count]


@compiled
def _unite(parent, one, other):
    while parent[one] != one:
        parent[one] = parent[parent[one]]
        one = parent[one]
    while parent[other] != other:
        parent[other] = parent[parent[other]]
        other = parent[other]
    if one < other:
        parent[other] = one
    else:
        parent[one] = other


@compiled
def _fill(classes, hole_area, start, end, parent, size):
    kinds = classes.ravel()
    for run in range(start.size):
        if size[parent[run]] < hole_area and kinds[start[run]] <= 0:
            for place in range(start[run], end[run]):
                kinds[place] = -kinds[place]


@compiled
def _label(classes, start, end, parent, size):
    regions = np.zeros(classes.size, np.int32)
    count = 0
    for run in range(start.size):
        label = start[parent[run]] + 1
        count += parent[run] == run
        for place in range(start[run], end[run]):
            regions[place] = label
    table = np.empty(count, np.uint64)
    count = 0
    for run in range(start.size):
        if parent[run] == run:
            table[count] = np.uint64(start[run]) << np.uint64(32) | np.uint64(size[run])
            count += 1
    return regions.reshape(classes.shape), table


@compiled
def sum_depths(regions, height, least, greatest):  # pyright: ignore[reportMissingParameterType]
    """Sum and number of the heights in regions whose greatest height lies between two bounds."""
    labels, heights = regions.ravel(), height.ravel()
    deepest = np.zeros(labels.size + 1, np.int64)
    for place in range(labels.size):
        deepest[labels[place]] = max(deepest[labels[place]], np.int64(heights[place]))
    total, count = 0, 0
    for place in range(labels.size):
        if labels[place] > 0 and least <= deepest[labels[place]] <= greatest:
            total += np.int64(heights[place])
            count += 1
    return total, count
