"""Connected regions on the CPU, each named by its first pixel, and their holes; see ``kernels/fixpoint_steps.py``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.fixpoint_tables import TOUCHES_BORDER, Ints


def connect_regions(classes: Ints, hole_area: int) -> tuple[Ints, npt.NDArray[np.uint32]]:
    """Fill holes of a class image, and give its regions and their sizes: the step ``connect``."""
    if hole_area > 0:
        _fill_holes(classes, *_connect(classes, True), hole_area)
    return _connect(classes, False)


@compiled
def _connect(classes, with_background):
    """Union-find over 1 + the index of each pixel; the first pixel of a region is its root."""
    height, width = classes.shape
    parent, size = np.zeros(height * width + 1, np.int32), np.zeros(height * width + 1, np.uint32)
    kinds = classes.ravel()
    for y in range(height):
        for x in range(width):
            place = y * width + x
            kind = max(kinds[place], 0)
            if kind == 0 and not with_background:
                continue
            left = x > 0 and max(kinds[place - 1], 0) == kind
            parent[place + 1] = parent[place] if left else place + 1
            if y == 0:
                continue
            above = place - width
            is_up = max(kinds[above], 0) == kind
            is_up_left = x > 0 and max(kinds[above - 1], 0) == kind
            if is_up:
                if not (left and is_up_left):
                    _unite(parent, place + 1, above + 1)
            elif kind > 0:
                if is_up_left and not left:
                    _unite(parent, place + 1, above)
                if x + 1 < width and kinds[above + 1] == kind:
                    _unite(parent, place + 1, above + 2)
    for y in range(height):
        for x in range(width):
            label = y * width + x + 1
            if parent[label] == 0:
                continue
            root = parent[parent[label]]
            parent[label] = root
            size[root] += np.uint32(1)
            if y == 0 or x == 0 or y == height - 1 or x == width - 1:
                size[root] |= np.uint32(TOUCHES_BORDER)
    return parent[1:].reshape(height, width), size[1:].reshape(height, width)


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
def _fill_holes(classes, regions, size, hole_area):
    kinds, labels, sizes = classes.ravel(), regions.ravel(), size.ravel()
    for place in range(kinds.size):
        if kinds[place] < 0 and sizes[labels[place] - 1] < hole_area:
            kinds[place] = -kinds[place]


@compiled
def list_regions(labels, size):  # pyright: ignore[reportMissingParameterType]
    """List regions from their image and sizes, both flat: the step of that name."""
    count = 0
    for place in range(labels.size):
        count += labels[place] == place + 1
    regions = np.empty(count, np.uint64)
    count = 0
    for place in range(labels.size):
        if labels[place] == place + 1:
            regions[count] = np.uint64(place) << np.uint64(32) | np.uint64(size[place])
            count += 1
    return regions
