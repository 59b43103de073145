"""Parents and children: which object of one set lies in which of another (CellProfiler's RelateObjects)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.feature import Feature
from kernels.planes import Labels, check_label_image

_SOURCE = "CellProfiler RelateObjects"


class Tally(NamedTuple):
    """Weights of pairs of an owner and another, as one list per owner.

    Parameters
    ----------
    head
        Index of each owner's first pair, by its number from 1 on, or -1.
    link
        Index of the pair that follows each, or -1.
    other, weight
        The other's number, and the weight of the pair.
    used
        Number of pairs; above ``len(link)`` if there was no room for all, shape ``(1,)``.
    """

    head: npt.NDArray[np.int64]
    link: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]
    weight: npt.NDArray[np.int64]
    used: npt.NDArray[np.int64]


def new_tally(owners: int, room: int) -> Tally:
    """Make an empty tally of owners 1 to ``owners`` with room for so many pairs."""
    return Tally(
        np.full(owners + 1, -1, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.empty(room, np.int64),
        np.zeros(1, np.int64),
    )


@compiled
def add_to_tally(tally, owner, other, weight):  # pyright: ignore[reportMissingParameterType]
    """Add to the weight of a pair; if there is no room for it, only count it."""
    index = tally.head[owner]
    while index >= 0:
        if tally.other[index] == other:
            tally.weight[index] += weight
            return
        index = tally.link[index]
    index = tally.used[0]
    tally.used[0] += 1
    if index < tally.link.size:
        tally.other[index], tally.weight[index] = other, weight
        tally.link[index] = tally.head[owner]
        tally.head[owner] = index


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
        tally = new_tally(count, room)
        _overlap(np.ascontiguousarray(children, np.int32), np.ascontiguousarray(parents, np.int32), tally)
        if tally.used[0] <= room:
            return _heaviest(tally)
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
def _heaviest(tally):  # pyright: ignore[reportMissingParameterType]
    found = np.zeros(tally.head.size - 1, np.int64)
    for owner in range(1, tally.head.size):
        index, best = tally.head[owner], 0
        while index >= 0:
            other, weight = tally.other[index], tally.weight[index]
            if weight > best or (weight == best and other < found[owner - 1]):
                best, found[owner - 1] = weight, other
            index = tally.link[index]
    return found
