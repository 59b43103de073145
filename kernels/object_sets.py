"""The objects of up to three label images over one plane, listed once for all families of features.

A *set* is one label image such as Nuclei, Cells or Cytoplasm. The sets of one ``ObjectSets`` share their numbers:
object 7 of each is part of object 7 of the *outer* set (Cells), so that one list of pixels serves them all. Sets that
are numbered otherwise are listed each for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled

MOST_SETS = 3
EDGE = 3
"""Bit ``z`` of a pixel says that it is in set z, bit ``EDGE + z`` that it is on its object's edge there."""

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True)
class ObjectSets:
    """Objects 1..``count`` of the sets and their pixels, on the host. An absent number has area 0 and an empty box.

    Parameters
    ----------
    labels
        Label images, shape ``(s, y, x)``, int32, contiguous.
    outer
        Index of the set that holds all others.
    count
        Greatest number among the labels; arrays below have one entry per number from 1 on.
    boxes
        First row, first column, row behind the last, column behind the last; shape ``(count, 4)``, int32.
    start
        Where each object's pixels begin in ``position``; shape ``(count + 1,)``, int64.
    position
        Index ``y * width + x`` of each pixel, object by object, in raster order inside each; shape ``(p,)``, int32.
    member
        Which sets each pixel is in, and on whose edge (see ``EDGE``): a pixel of an edge has a 4-neighbour of another
        label in that set; the border of the plane is no edge. Shape ``(p,)``, uint8.
    area
        Pixels per set and object; shape ``(s, count)``, int64.
    """

    labels: Ints
    outer: int
    count: int
    boxes: Ints
    start: npt.NDArray[np.int64]
    position: Ints
    member: npt.NDArray[np.uint8]
    area: npt.NDArray[np.int64]

    @property
    def n_sets(self) -> int:
        """Number of sets."""
        return len(self.labels)


def find_outer(labels: Sequence[npt.NDArray[np.integer]]) -> int | None:
    """Give the index of the label image of which every object of all others is part, by number; ``None`` if none is."""
    for index, outer in enumerate(labels):
        if all(other is outer or bool(np.all((other == 0) | (other == outer))) for other in labels):
            return index
    return None


def list_object_sets(labels: npt.NDArray[np.integer], outer: int) -> ObjectSets:
    """List the objects of sets on the host.

    Parameters
    ----------
    labels
        One to three label images, shape ``(s, y, x)``, integer, 0 outside objects.
    outer
        Index of the set that holds all others.

    Raises
    ------
    TypeError
        If labels are not integers.
    ValueError
        If there are not one to three images of at least one pixel, a label is negative, or an object of one set is not
        part of the outer set's object of the same number.
    """
    stack = check_label_sets(labels, outer)
    count = int(stack.max(initial=0))
    if int(stack.min(initial=0)) < 0:
        raise ValueError(f"labels must be 0 or more, got {int(stack.min())}")
    start, boxes, area, stray = _count(stack, outer, count)
    if stray >= 0:
        y, x = divmod(stray % (stack.shape[1] * stack.shape[2]), stack.shape[2])
        raise ValueError(f"labels of each set must be those of set {outer} or 0, got another at row {y}, column {x}")
    position = np.empty(start[-1], np.int32)
    member = np.empty(start[-1], np.uint8)
    _list(stack, outer, start, position, member)
    return ObjectSets(stack, outer, count, boxes, start, position, member, area)


def check_label_sets(labels: npt.NDArray[np.integer], outer: int) -> Ints:
    """Give label images as int32 and contiguous, on the host.

    Raises
    ------
    TypeError, ValueError
        As ``list_object_sets``, but for the values of the labels.
    """
    if labels.ndim != 3 or not 1 <= len(labels) <= MOST_SETS or 0 in labels.shape:
        raise ValueError(f"labels must have shape (s, y, x) with 1 to {MOST_SETS} sets, got {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels must have an integer type, got {labels.dtype}")
    if not 0 <= outer < len(labels):
        raise ValueError(f"outer must be the index of one of {len(labels)} sets, got {outer}")
    if labels.dtype.itemsize >= 4 and int(labels.max()) > np.iinfo(np.int32).max:
        raise ValueError(f"labels must be below 2**31, got {int(labels.max())}")
    return np.ascontiguousarray(labels, np.int32)


@compiled
def _count(labels, outer, count):  # pyright: ignore[reportMissingParameterType]
    """Count pixels and frame objects; ``stray`` is the place of a pixel of no object of the outer set, or -1."""
    n_sets, height, width = labels.shape
    start = np.zeros(count + 1, np.int64)
    area = np.zeros((n_sets, count), np.int64)
    boxes = np.zeros((count, 4), np.int32)
    stray = -1
    for y in range(height):
        for x in range(width):
            label = labels[outer, y, x]
            for z in range(n_sets):
                other = labels[z, y, x]
                if other != 0:
                    area[z, other - 1] += 1
                    if other != label:
                        stray = (z * height + y) * width + x
            if label == 0:
                continue
            start[label] += 1
            box = boxes[label - 1]
            if box[2] == 0:
                box[0], box[1], box[3] = y, x, x + 1
            box[2] = y + 1
            if x < box[1]:
                box[1] = x
            if x >= box[3]:
                box[3] = x + 1
    for index in range(count):
        start[index + 1] += start[index]
    return start, boxes, area, stray


@compiled
def _list(labels, outer, start, position, member):  # pyright: ignore[reportMissingParameterType]
    n_sets, height, width = labels.shape
    following = start.copy()
    for y in range(height):
        for x in range(width):
            label = labels[outer, y, x]
            if label == 0:
                continue
            bits = 0
            for z in range(n_sets):
                if labels[z, y, x] != label:
                    continue
                bits |= 1 << z
                if (
                    (y > 0 and labels[z, y - 1, x] != label)
                    or (y + 1 < height and labels[z, y + 1, x] != label)
                    or (x > 0 and labels[z, y, x - 1] != label)
                    or (x + 1 < width and labels[z, y, x + 1] != label)
                ):
                    bits |= 1 << (EDGE + z)
            index = following[label - 1]
            position[index] = y * width + x
            member[index] = bits
            following[label - 1] = index + 1
