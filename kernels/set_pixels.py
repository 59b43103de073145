"""Pixels of one object in such an order that each set is one stretch of them, for families that read pixel values.

The outer set holds the others, so that a pixel is in one of four *parts*: in the first inner set alone, in both, in the
second alone, in neither. Part after part, the first inner set is the parts 0 and 1, the second 1 and 2, and the outer
set all of them: sums over parts are added up to sums over sets, and no pixel is read twice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.object_sets import ObjectSets

LEVELS = 65536
SINGLE = np.arange(LEVELS, dtype=np.float32) / np.float32(LEVELS - 1)
"""Each count on CellProfiler's scale of 0 to 1, in its single precision; float32."""

PARTS = 4
_PART_OF_INNER_BITS = (3, 0, 2, 1)


class Parts(NamedTuple):
    """``of_member`` (256,) uint8: the part of a pixel by its byte in ``ObjectSets.member``; ``of_set`` (s, 2) int64:
    first part of each set, and the one behind its last.
    """

    of_member: npt.NDArray[np.uint8]
    of_set: npt.NDArray[np.int64]


def divide_into_parts(n_sets: int, outer: int) -> Parts:
    """Give the parts of ``n_sets`` sets of which ``outer`` holds the others."""
    inner = [index for index in range(n_sets) if index != outer]
    member = np.arange(256)
    bits = sum(((member >> index & 1) << place for place, index in enumerate(inner)), np.zeros(256, np.int64))
    of_set = np.array([(0, PARTS)] * n_sets, np.int64)
    for place, index in enumerate(inner):
        of_set[index] = (place, place + 2)
    return Parts(np.array(_PART_OF_INNER_BITS, np.uint8)[bits], of_set)


def check_object_planes(planes: Any, height: int, width: int) -> None:
    """Raise unless planes are those that objects of ``height`` times ``width`` pixels can be measured on.

    Raises
    ------
    TypeError
        If they are not uint16.
    ValueError
        If their shape is not ``(c, height, width)``.
    """
    if planes.dtype != np.uint16:
        raise TypeError(f"planes must be uint16 (8-bit counts times 257), got {planes.dtype}")
    if len(planes.shape) != 3 or tuple(planes.shape[1:]) != (height, width):
        raise ValueError(f"planes must have shape (c, {height}, {width}), as the labels, got {tuple(planes.shape)}")


def greatest_object(objects: ObjectSets) -> int:
    """Give the number of pixels of the greatest object, at least 1: the length of work buffers."""
    return max(1, int(np.diff(objects.start).max(initial=0)))


@compiled
def order_by_parts(member, position, of_member, ordered, bounds):
    """Write the positions of an object's pixels to ``ordered``, part after part, in their own order inside each.

    ``bounds`` (5,): where each part begins in ``ordered``, and the number of pixels.
    """
    bounds[:] = 0
    for i in range(len(member)):
        bounds[of_member[member[i]] + 1] += 1
    for part in range(PARTS):
        bounds[part + 1] += bounds[part]
    following = bounds.copy()
    for i in range(len(member)):
        part = of_member[member[i]]
        ordered[following[part]] = position[i]
        following[part] += 1


@compiled
def locate(position, width, rows, columns):
    """Write the row and the column of each ``position`` of a plane ``width`` pixels wide."""
    rows_per_pixel = 1.0 / width
    for i in range(len(position)):
        row = np.int32((position[i] + 0.5) * rows_per_pixel)  # half a pixel is far more than the product's error
        rows[i] = row
        columns[i] = np.int32(position[i] - row * width)


@compiled
def find_runs(position, runs):
    """Write where runs of neighbouring positions begin, and the number of all; give the number of runs."""
    count = 0
    runs[0] = 0
    for i in range(1, len(position)):
        runs[count + 1] = i
        count += position[i] != position[i - 1] + 1
    runs[count + 1] = len(position)
    return count + 1


@compiled
def gather_runs(plane, position, runs, count, values):
    """Copy the pixels at ``position`` of a plane, shape ``(y * x,)``, run by run."""
    for run in range(count):
        begin, end = runs[run], runs[run + 1]
        first = position[begin]
        target, source = values[begin:end], plane[first : first + end - begin]
        for i in range(len(target)):
            target[i] = source[i]
