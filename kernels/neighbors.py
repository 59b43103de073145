"""Neighbours of each object: CellProfiler's MeasureObjectNeighbors, among the objects of one label image."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt

from kernels.closest import find_two_closest
from kernels.compiled import compiled
from kernels.feature import Feature
from kernels.object_sets import Ints
from kernels.planes import Floats, Labels, check_label_image
from kernels.relations import add_to_tally, find_parents, new_tally
from kernels.row_runs import list_row_runs

Distance = int | Literal["adjacent"]

_DEFINITIONS = (
    ("NumberOfNeighbors", "1", "Number of other objects with a pixel {within} of one of the object's."),
    (
        "PercentTouching",
        "%",
        "Share of the object's rim, its pixels with one of the 8 neighbours outside the object or the plane, that has "
        "a pixel of another object within {touch} px.",
    ),
    ("FirstClosestObjectNumber", "1", "Number of the measured object whose centre is closest; 0 if there is none."),
    ("FirstClosestDistance", "px", "Distance to the closest centre of another object; 0 if there is none."),
    ("SecondClosestObjectNumber", "1", "Number of the measured object whose centre is second closest; 0 if none is."),
    ("SecondClosestDistance", "px", "Distance to the second closest centre of another object; 0 if there is none."),
    (
        "AngleBetweenNeighbors",
        "deg",
        "Angle at the object's centre between the closest and the second closest one, 0 to 180; 0 without them.",
    ),
)

_STRANGER = "neighbours are counted among other objects too, and the object has no pixel in any of them"
_COINCIDE = ", or its centre is that of one of the two closest objects"


def measure_neighbors(labels: Labels, *, distance: Distance, all_labels: Labels | None = None) -> Floats:
    """Measure the neighbours of each object.

    Parameters
    ----------
    labels
        The measured objects, shape ``(y, x)``, integer, 0 outside objects.
    distance
        Pixels up to which another object is a neighbour, 0 or more, or ``"adjacent"``: it shares a side of a pixel.
    all_labels
        The same objects with others that were taken out since, and maybe under other numbers. CellProfiler counts those
        as well, and takes the distances and the angle among them all, but names the closest objects among the measured
        ones; so do we. Its own are those before holes were filled and sizes filtered: of nuclei without the too small
        ones but with the too large ones, of cells all that were grown from any nucleus, both without what was filtered
        by a border. Without it, ``labels`` are all.

    Returns
    -------
    Values in the order of ``describe_neighbors``, shape ``(7, k)``, float64, ``k`` the greatest label. NaN for a number
    that no object has, and the angle also where a centre is that of the object itself.

    Raises
    ------
    TypeError
        If labels are not integers.
    ValueError
        If a label image is not a plane or has negative labels, the two differ in shape, or ``distance`` is negative.
    """
    everything = labels if all_labels is None else all_labels
    for name, image in (("labels", labels), ("all_labels", everything)):
        _check(name, image)
    if labels.shape != everything.shape:
        raise ValueError(f"labels and all_labels must have one shape, got {labels.shape} and {everything.shape}")
    reach = _reach(distance)
    count, own_count = int(everything.max(initial=0)), int(labels.max(initial=0))
    values = np.full((len(_DEFINITIONS), own_count), np.nan)
    if not own_count:
        return values
    first, runs = list_row_runs(everything)
    number, share = _count_neighbors(everything, first, runs, count, reach)
    centers = _centers(first, runs, count)
    if all_labels is None:
        own = np.arange(own_count)
        own_centers = centers
    else:
        own = find_parents(labels, everything) - 1
        own_centers = np.where(own[:, None] >= 0, centers[own], np.nan)
    values[0], values[1] = number[own], share[own]
    named = find_two_closest(own_centers, own_centers, np.arange(own_count))
    closest = named if all_labels is None else find_two_closest(own_centers, centers, own)
    values[2], values[4] = named[:, 0] + 1, named[:, 1] + 1
    values[3], values[5], values[6] = _measure_ways(own_centers, centers, closest)
    values[:, ~np.isfinite(own_centers[:, 0])] = np.nan
    return values


def describe_neighbors(*, distance: Distance) -> list[Feature]:
    """Describe the values of ``measure_neighbors``, in their order."""
    reach = _reach(distance)
    scale = "Adjacent" if distance == "adjacent" else str(reach)
    within = "beside or above or below one" if distance == "adjacent" else f"within {reach} px"
    return [
        Feature(
            f"Neighbors_{name}_{scale}",
            "Neighbors",
            "",
            unit,
            definition.format(within=within, touch=reach + 0.5),
            _STRANGER + (_COINCIDE if name.startswith("Angle") else ""),
            "CellProfiler MeasureObjectNeighbors",
        )
        for name, unit, definition in _DEFINITIONS
    ]


def _check(name: str, labels: Labels) -> None:
    check_label_image(name, labels)
    if int(labels.min(initial=0)) < 0:
        raise ValueError(f"{name} must be 0 or more, got {int(labels.min())}")


def _reach(distance: Distance) -> int:
    if distance == "adjacent":
        return 1
    if distance < 0:
        raise ValueError(f"distance must be 0 or more pixels, or 'adjacent', got {distance}")
    return int(distance)


def _centers(first: npt.NDArray[np.int64], runs: Ints, count: int) -> Floats:
    """Mean row and column of each object, shape ``(count, 2)``, NaN for absent ones."""
    label, length = runs[:, 2] - 1, (runs[:, 1] - runs[:, 0]).astype(np.float64)
    area = np.bincount(label, length, count)
    rows = np.repeat(np.arange(len(first) - 1), np.diff(first))
    down = np.bincount(label, length * rows, count)
    across = np.bincount(label, length * (runs[:, 0] + runs[:, 1] - 1.0) / 2, count)
    area[area == 0] = np.nan
    return np.stack([down / area, across / area], axis=1)


def _measure_ways(points: Floats, others: Floats, closest: npt.NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Measure distances to the closest and the second closest, and the angle between, where there are such."""
    ways = others[closest] - points[:, None]
    lengths = np.hypot(ways[..., 0], ways[..., 1])
    lengths[closest < 0] = 0
    both = lengths[:, 0] * lengths[:, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = np.clip((ways[:, 0] * ways[:, 1]).sum(axis=1) / both, -1, 1)
    angle = np.where((closest >= 0).all(axis=1), np.degrees(np.arccos(cosine)), 0)
    return lengths[:, 0], lengths[:, 1], angle


def _count_neighbors(
    labels: Labels, first: npt.NDArray[np.int64], runs: Ints, count: int, reach: int
) -> tuple[Floats, Floats]:
    """Count neighbours, and the percentage of the rim that touches others; shape ``(count,)`` each."""
    start = np.concatenate([[0], np.cumsum(runs[:, 1] - runs[:, 0], dtype=np.int64)])
    rim = np.empty(start[-1], np.uint8)
    _find_rim(np.ascontiguousarray(labels, np.int32), first, runs, start, rim)
    near, touching = _half_widths(reach, reach), _half_widths(reach, reach + 0.5)
    room = 8 * count + 64
    while True:
        tally = new_tally(room)
        _meet(first, runs, start, rim, near, touching, tally)
        if tally.used[0] <= room:
            break
        room *= 2
    return _summarise(runs, start, rim, tally, count)


def _half_widths(reach: int, radius: float) -> Ints:
    """Give how far a disc extends to either side, by rows from its middle to ``reach``."""
    return np.array([math.floor(math.sqrt(radius * radius - row * row)) for row in range(reach + 1)], np.int32)


@compiled
def _find_rim(labels, first, runs, start, rim):  # pyright: ignore[reportMissingParameterType]
    """Mark the pixels of runs that have one of 8 neighbours outside their object or the plane by 1, others by 0."""
    height = labels.shape[0]
    for y in range(height):
        on_border = y == 0 or y == height - 1
        above, below = labels[max(y - 1, 0)], labels[min(y + 1, height - 1)]
        for index in range(first[y], first[y + 1]):
            begin, end, label = runs[index]
            out = rim[start[index] : start[index + 1]]
            out[:] = 1
            if on_border:
                continue
            is_inner = above[begin] == label and below[begin] == label
            is_next_inner = end - begin > 1 and above[begin + 1] == label and below[begin + 1] == label
            for x in range(begin + 1, end - 1):
                was_inner, is_inner = is_inner, is_next_inner
                is_next_inner = above[x + 1] == label and below[x + 1] == label
                if was_inner and is_inner and is_next_inner:
                    out[x - begin] = 0


@compiled
def _meet(first, runs, start, rim, near, touching, tally):  # pyright: ignore[reportMissingParameterType]
    """Tally the objects that come near, and mark the pixels of the rim that touch another by 2 in addition.

    A run meets those of the rows around that its disc reaches; both rows are walked in step.
    """
    height, reach = first.size - 1, near.size - 1
    for y in range(height):
        for other_y in range(max(y - reach, 0), min(y + reach, height - 1) + 1):
            wide, close = touching[abs(other_y - y)], near[abs(other_y - y)]
            other_first = first[other_y]
            for index in range(first[y], first[y + 1]):
                begin, end, label = runs[index]
                while other_first < first[other_y + 1] and runs[other_first, 1] + wide <= begin:
                    other_first += 1
                for other in range(other_first, first[other_y + 1]):
                    other_begin, other_end, other_label = runs[other]
                    if other_begin - wide >= end:
                        break
                    if other_label == label:
                        continue
                    if other_begin - close < end and other_end + close > begin:
                        add_to_tally(tally, label, other_label, 1)
                    place = start[index] - begin
                    for x in range(max(begin, other_begin - wide), min(end, other_end + wide)):
                        rim[place + x] |= 2


@compiled
def _summarise(runs, start, rim, tally, count):  # pyright: ignore[reportMissingParameterType]
    number, share, whole = np.zeros(count), np.zeros(count), np.zeros(count)
    for index in range(runs.shape[0]):
        label = runs[index, 2] - 1
        edge, touching = 0, 0
        for place in range(start[index], start[index + 1]):
            edge += rim[place] & 1
            touching += rim[place] == 3
        whole[label] += edge
        share[label] += touching
    for label in range(count):
        if whole[label] > 0:
            share[label] = share[label] * 100.0 / whole[label]
    for pair in range(tally.used[0]):
        number[tally.owner[pair] - 1] += 1
    return number, share
