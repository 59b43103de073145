"""Parents and children: which object of one set lies in which of another (CellProfiler's RelateObjects)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.feature import Feature
from kernels.planes import Labels, check_label_image

_SOURCE = "CellProfiler RelateObjects"
_MIX_OWNER, _MIX_OTHER = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
"""Odd numbers whose multiples are spread evenly over 64 bits."""
_HIGH_HALF = np.uint64(32)


class Tally(NamedTuple):
    """Weights of pairs of an owner and another, looked up by hash: an owner may have as many as there are objects.

    Parameters
    ----------
    slots
        Index of a pair, at the place of its hash or the next free one behind it, or -1; their number is a power of two.
    owner, other, weight
        The numbers of both, and the weight of the pair.
    used
        Number of pairs; above ``len(owner)`` if there was no room for all, shape ``(1,)``.
    """

    slots: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]
    weight: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]


def new_tally(room: int) -> Tally:
    """Make an empty tally with room for so many pairs."""
    slots = np.full(1 << (2 * room).bit_length(), -1, np.int64)
    owner, other, weight = np.empty((3, room), np.int64)
    return Tally(slots, owner, other, weight, np.zeros(1, np.int64))


@compiled
def add_to_tally(tally, owner, other, weight):  # pyright: ignore[reportMissingParameterType]
    """Add to the weight of a pair; if there is no room for it, only count it."""
    mixed = np.uint64(owner) * _MIX_OWNER + np.uint64(other) * _MIX_OTHER
    last = tally.slots.size - 1
    slot = np.int64(mixed >> _HIGH_HALF) & last
    while tally.slots[slot] >= 0:
        index = tally.slots[slot]
        if tally.owner[index] == owner and tally.other[index] == other:
            tally.weight[index] += weight
            return
        slot = (slot + 1) & last
    index = tally.used[0]
    tally.used[0] += 1
    if index < tally.owner.size:
        tally.owner[index], tally.other[index], tally.weight[index] = owner, other, weight
        tally.slots[slot] = index


def find_parents(children: Labels, parents: Labels) -> npt.NDArray[np.int64]:
    """Find the parent of each object: the object of another set that it shares most pixels with.

    Parameters
    ----------
    children, parents
        Label images of one shape ``(y, x)``, integer, 0 outside objects.

    Returns
    -------
    Number of the parent, shape ``(k,)``, int64, for children 1 to k, the greatest label; of several with equally many
    pixels the least number; 0 if the child lies in none, or is absent.

    Raises
    ------
    TypeError
        If labels are not integers.
    ValueError
        If a label image is not a plane or has negative labels, or the two differ in shape.
    """
    for name, labels in (("children", children), ("parents", parents)):
        check_label_image(name, labels)
        if int(labels.min(initial=0)) < 0:
            raise ValueError(f"{name} must be 0 or more, got {int(labels.min())}")
    if children.shape != parents.shape:
        raise ValueError(f"children and parents must have one shape, got {children.shape} and {parents.shape}")
    count = int(children.max(initial=0))
    room = 2 * count + 16
    while True:
        tally = new_tally(room)
        _overlap(np.ascontiguousarray(children, np.int32), np.ascontiguousarray(parents, np.int32), tally)
        if tally.used[0] <= room:
            return _heaviest(tally, count)
        room *= 2


def count_children(parent_of_child: npt.NDArray[np.integer], parents: int) -> npt.NDArray[np.int64]:
    """Count the children of parents 1 to ``parents``, from what ``find_parents`` gave; shape ``(parents,)``, int64."""
    return np.bincount(parent_of_child, minlength=parents + 1)[1 : parents + 1].astype(np.int64)


def describe_parent(parent_set: str) -> Feature:
    """Describe the column of ``find_parents``."""
    definition = (
        f"Number of the object of {parent_set} that the object belongs to: the one of its own number where the sets "
        "are numbered alike, else the one that it shares most pixels with; 0 if there is none."
    )
    return Feature(f"Parent_{parent_set}", "Parent", "", "1", definition, "", _SOURCE)


def describe_children(child_set: str) -> Feature:
    """Describe the column of ``count_children``."""
    definition = f"Number of objects of {child_set} whose parent is the object."
    name = f"Children_{child_set}_Count"
    return Feature(name, "Children", "", "1", definition, "", _SOURCE)


@compiled
def _overlap(children, parents, tally):  # pyright: ignore[reportMissingParameterType]
    """Tally the pixels that children and parents share, run by run."""
    height, width = children.shape
    for y in range(height):
        child, parent, pixels = 0, 0, 0
        for x in range(width):
            if children[y, x] != child or parents[y, x] != parent:
                if child != 0 and parent != 0:
                    add_to_tally(tally, child, parent, pixels)
                child, parent, pixels = children[y, x], parents[y, x], 0
            pixels += 1
        if child != 0 and parent != 0:
            add_to_tally(tally, child, parent, pixels)


@compiled
def _heaviest(tally, count):  # pyright: ignore[reportMissingParameterType]
    found, greatest = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for index in range(tally.used[0]):
        child, other, weight = tally.owner[index] - 1, tally.other[index], tally.weight[index]
        if weight > greatest[child] or (weight == greatest[child] and other < found[child]):
            greatest[child], found[child] = weight, other
    return found
