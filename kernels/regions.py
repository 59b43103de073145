"""Connected regions of masks and label images, and the holes in them."""

from __future__ import annotations


import cv2
import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.planes import Labels

Numbers = npt.NDArray[np.int32]


def connect(mask: npt.NDArray[np.bool_ | np.uint8], connectivity: int = 8) -> Numbers:
    """Give numbers to the connected parts of ``mask``, in the raster order of their first pixels."""
    found = cv2.connectedComponentsWithAlgorithm(
        np.ascontiguousarray(mask).view(np.uint8), connectivity, cv2.CV_32S, cv2.CCL_SAUF
    )
    return np.asarray(found[1], np.int32)


def separate(labels: Numbers) -> Numbers:
    """Number 8-connected pixels of equal label, in the raster order of their first pixels; 0 stays 0."""
    return _separate(np.ascontiguousarray(labels))


def fill_small_holes(foreground: npt.NDArray[np.uint8], greatest_area: float) -> None:
    """Fill what foreground encloses and is smaller than ``greatest_area`` pixels, in place.

    Background is 4-connected where foreground is 8-connected; what touches the border of the plane is no hole.
    """
    _, holes, statistics, _ = cv2.connectedComponentsWithStats((foreground == 0).view(np.uint8), connectivity=4)
    fill = statistics[:, cv2.CC_STAT_AREA] < greatest_area
    fill[0] = False
    fill[border_labels(holes)] = False
    if fill.any():
        foreground[fill[holes]] = 1


def fill_holes(labels: Numbers) -> Numbers:
    """Fill the holes of each object: what one object alone encloses, other objects in there included.

    CellProfiler's ``fill_labeled_holes``: regions of background and objects are neighbours where they share the side
    of a pixel. What touches the border of the plane is no hole, nor what has two neighbours that are objects and no
    holes, nor an object beside background that is no hole. A hole gets the number of the object around it.
    """
    regions, count, objects = _list_regions(np.ascontiguousarray(labels))
    is_kept = np.zeros(count + 1, np.bool_)
    is_kept[0] = True
    is_kept[border_labels(regions)] = True
    pairs = _neighbours_of_candidates(regions, objects, is_kept)
    if not len(pairs):
        return labels
    owner = _find_owners(pairs, objects, is_kept)
    numbers = np.arange(count + 1, dtype=np.int32)
    numbers[objects + 1 :] = 0
    numbers[~is_kept] = owner[~is_kept]
    return numbers[regions]


def border_labels(labels: Labels) -> Labels:
    """Labels on the border of the plane, each once."""
    return np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))


def keep_labels(labels: Numbers, keep: npt.NDArray[np.bool_]) -> Numbers:
    """Keep the labels that ``keep[label]`` names and number them without gaps, in the same order."""
    keep[0] = False
    return np.where(keep, np.cumsum(keep), 0).astype(np.int32)[labels]


def outermost(labels: Labels) -> npt.NDArray[np.bool_]:
    """Mark pixels that have an 8-neighbour of another label; the border of the plane is none of an object's."""
    wide = np.pad(np.ascontiguousarray(labels), 1)
    return np.asarray(_outermost(wide), np.bool_)


@compiled
def find_root(parent, index):  # pyright: ignore[reportMissingParameterType]
    """Follow a forest to the root of a node, and shorten the way."""
    while parent[index] != index:
        parent[index] = parent[parent[index]]
        index = parent[index]
    return index


@compiled
def join(parent, one, other):  # pyright: ignore[reportMissingParameterType]
    """Join two trees of a forest; the lower root remains. Gives that root."""
    one, other = find_root(parent, one), find_root(parent, other)
    if one < other:
        parent[other] = one
        return one
    parent[one] = other
    return other


@compiled
def _separate(labels):  # pyright: ignore[reportMissingParameterType]
    rows, columns = labels.shape
    parts = np.zeros((rows, columns), np.int32)
    parent = np.zeros(rows * columns // 2 + columns + 2, np.int32)
    count = 0
    for y in range(rows):
        for x in range(columns):
            label = labels[y, x]
            if label == 0:
                continue
            part = 0
            if x > 0 and labels[y, x - 1] == label:
                part = parts[y, x - 1]
            if y > 0:
                for beside in range(max(x - 1, 0), min(x + 2, columns)):
                    if labels[y - 1, beside] == label:
                        other = parts[y - 1, beside]
                        part = other if part == 0 else join(parent, part, other)
            if part == 0:
                count += 1
                if count == parent.size:
                    parent = np.concatenate((parent, np.zeros(parent.size, np.int32)))
                parent[count] = count
                part = count
            parts[y, x] = part
    numbers = np.zeros(count + 1, np.int32)
    found = 0
    for part in range(1, count + 1):
        root = find_root(parent, part)
        if root == part:
            found += 1
            numbers[part] = found
        else:
            numbers[part] = numbers[root]
    for y in range(rows):
        for x in range(columns):
            parts[y, x] = numbers[parts[y, x]]
    return parts


def _list_regions(labels: Numbers) -> tuple[Numbers, int, int]:
    """Number objects and, behind them, 4-connected regions of background: numbers, how many, how many objects."""
    objects = int(labels.max(initial=0))
    found, background = cv2.connectedComponents((labels == 0).view(np.uint8), connectivity=4)
    regions = np.where(labels == 0, background + np.int32(objects), labels)
    return np.asarray(regions, np.int32), objects + found - 1, objects


@compiled
def _neighbours_of_candidates(regions, objects, is_kept):  # pyright: ignore[reportMissingParameterType]
    """Keep objects beside background that is kept; list pairs of neighbours of which one may be a hole."""
    rows, columns = regions.shape
    for pass_number in range(2):
        pairs = [(np.int64(0), np.int64(0)) for _ in range(0)]
        for y in range(rows):
            for x in range(columns):
                here = regions[y, x]
                for step in range(2):
                    if (y if step == 0 else x) == 0:
                        continue
                    there = regions[y - 1, x] if step == 0 else regions[y, x - 1]
                    if here == there:
                        continue
                    if pass_number == 0:
                        if there > objects and is_kept[there]:
                            is_kept[here] = True
                        elif here > objects and is_kept[here]:
                            is_kept[there] = True
                    elif not (is_kept[here] and is_kept[there]):
                        pairs.append((np.int64(here), np.int64(there)))
                        pairs.append((np.int64(there), np.int64(here)))
    found = np.empty((len(pairs), 2), np.int64)
    for index in range(len(pairs)):
        found[index, 0], found[index, 1] = pairs[index]
    return found


@compiled
def _find_owners(pairs, objects, is_kept):  # pyright: ignore[reportMissingParameterType]
    """Tell holes from what is kept, until nothing changes, and give each hole the object around it."""
    owner = np.zeros(is_kept.size, np.int32)
    has_changed = True
    while has_changed:
        has_changed = False
        for index in range(len(pairs)):
            one, other = pairs[index]
            if not is_kept[one] or is_kept[other]:
                continue
            if one <= objects:
                if owner[other] == 0:
                    owner[other] = one
                    has_changed = True
                if owner[other] == one:
                    continue
            elif other > objects:
                continue
            is_kept[other] = True
            has_changed = True
    has_changed = True
    while has_changed:
        has_changed = False
        for index in range(len(pairs)):
            one, other = pairs[index]
            if not is_kept[one] and not is_kept[other] and owner[one] != 0 and owner[other] == 0:
                owner[other] = owner[one]
                has_changed = True
    return owner


@compiled
def _outermost(wide):  # pyright: ignore[reportMissingParameterType]
    rows, columns = wide.shape[0] - 2, wide.shape[1] - 2
    found = np.zeros((rows, columns), np.uint8)
    for y in range(rows):
        for x in range(columns):
            label = wide[y + 1, x + 1]
            is_inside = True
            for down in range(3):
                for right in range(3):
                    is_inside &= wide[y + down, x + right] == label
            found[y, x] = not is_inside
    return found
