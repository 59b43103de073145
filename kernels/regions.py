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
    runs, region, count = _list_background(foreground)
    _fill_small(foreground, runs, region, count, greatest_area)


def fill_holes(labels: Numbers) -> Numbers:
    """Fill the holes of each object: what one object alone encloses, other objects in there included.

    CellProfiler's ``fill_labeled_holes``: regions of background and objects are neighbours where they share the side
    of a pixel. What touches the border of the plane is no hole, nor what has two neighbours that are objects and no
    holes, nor an object beside background that is no hole. A hole gets the number of the object around it.
    """
    runs, region, count = _list_background(labels)
    objects = int(labels.max(initial=0))
    is_kept = _keep_open(labels, runs, region, count, objects)
    if is_kept.all():
        return labels
    _keep_absent(labels, objects, is_kept)
    if not is_kept.all():
        _keep_beside_open(labels, runs, region, objects, is_kept)
    if is_kept.all():
        return labels
    regions = labels.copy()
    _paint(regions, runs, region, objects)
    pairs = _list_neighbours(regions, is_kept)
    owner = _find_owners(pairs, objects, is_kept)
    numbers = np.arange(is_kept.size, dtype=np.int32)
    numbers[objects + 1 :] = 0
    numbers[~is_kept] = owner[~is_kept]
    return numbers[regions]


def border_labels(labels: Labels) -> Labels:
    """Labels on the border of the plane, each once."""
    return np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))


def keep_labels(labels: Numbers, keep: npt.NDArray[np.bool_]) -> Numbers:
    """Keep the labels that ``keep[label]`` names and number them without gaps, in the same order."""
    keep[0] = False
    return renumber(labels, np.where(keep, np.cumsum(keep), 0).astype(np.int32))


@compiled
def renumber(labels, numbers):  # pyright: ignore[reportMissingParameterType]
    """Give each label another number, ``numbers[label]``."""
    found = np.empty(labels.shape, np.int32)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            found[y, x] = numbers[labels[y, x]]
    return found


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


@compiled
def _list_background(labels):  # pyright: ignore[reportMissingParameterType]
    """List the background's runs of pixels along lines and join those that touch, 4-connected.

    Gives the runs (line, first column, column behind the last), the region of each, from 0 on, and their number.
    """
    rows, columns = labels.shape
    count = 0
    for y in range(rows):
        for x in range(columns):
            count += labels[y, x] == 0 and (x == 0 or labels[y, x - 1] != 0)
    runs = np.empty((count, 3), np.int32)
    parent = np.arange(count).astype(np.int32)
    above, first, index = 0, 0, 0
    for y in range(rows):
        x = 0
        while x < columns:
            if labels[y, x] != 0:
                x += 1
                continue
            start = x
            while x < columns and labels[y, x] == 0:
                x += 1
            runs[index, 0], runs[index, 1], runs[index, 2] = y, start, x
            while above < first and runs[above, 2] <= start:
                above += 1
            other = above
            while other < first and runs[other, 1] < x:
                join(parent, index, other)
                other += 1
            index += 1
        above, first = first, index
    region = np.empty(count, np.int32)
    found = 0
    for index in range(count):
        root = find_root(parent, index)
        if root == index:
            region[index] = found
            found += 1
        else:
            region[index] = region[root]
    return runs, region, found


@compiled
def _find_open(shape, runs, region, count):  # pyright: ignore[reportMissingParameterType]
    """Mark the regions of background that touch the border of the plane."""
    is_open = np.zeros(count, np.bool_)
    for index in range(len(runs)):
        y, start, end = runs[index]
        if y == 0 or start == 0 or y == shape[0] - 1 or end == shape[1]:
            is_open[region[index]] = True
    return is_open


@compiled
def _fill_small(foreground, runs, region, count, greatest_area):  # pyright: ignore[reportMissingParameterType]
    is_open = _find_open(foreground.shape, runs, region, count)
    area = np.zeros(count, np.int64)
    for index in range(len(runs)):
        area[region[index]] += runs[index, 2] - runs[index, 1]
    for index in range(len(runs)):
        if not is_open[region[index]] and area[region[index]] < greatest_area:
            y, start, end = runs[index]
            foreground[y, start:end] = 1


@compiled
def _keep_open(labels, runs, region, count, objects):  # pyright: ignore[reportMissingParameterType]
    """Mark what is no hole at first sight: what touches the border of the plane, and objects beside such background.

    Objects have their own numbers, regions of background those behind them. Only neighbours along lines are
    asked: that is cheap and finds nearly every object.
    """
    rows, columns = labels.shape
    is_open = _find_open(labels.shape, runs, region, count)
    is_kept = np.zeros(objects + 1 + count, np.bool_)
    is_kept[0] = True
    is_kept[objects + 1 :] = is_open
    for y in range(rows):
        is_kept[labels[y, 0]] = is_kept[labels[y, columns - 1]] = True
    for x in range(columns):
        is_kept[labels[0, x]] = is_kept[labels[rows - 1, x]] = True
    for index in range(len(runs)):
        if not is_open[region[index]]:
            continue
        y, start, end = runs[index]
        if start > 0:
            is_kept[labels[y, start - 1]] = True
        if end < columns:
            is_kept[labels[y, end]] = True
    return is_kept


@compiled
def _keep_beside_open(labels, runs, region, objects, is_kept):  # pyright: ignore[reportMissingParameterType]
    """Mark objects above and below background that is no hole."""
    for index in range(len(runs)):
        y, start, end = runs[index]
        if not is_kept[objects + 1 + region[index]]:
            continue
        for x in range(start, end):
            if y > 0:
                is_kept[labels[y - 1, x]] = True
            if y + 1 < labels.shape[0]:
                is_kept[labels[y + 1, x]] = True


@compiled
def _keep_absent(labels, objects, is_kept):  # pyright: ignore[reportMissingParameterType]
    """Mark numbers that no object has."""
    is_present = np.zeros(objects + 1, np.bool_)
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            is_present[labels[y, x]] = True
    for number in range(objects + 1):
        is_kept[number] |= not is_present[number]


@compiled
def _paint(regions, runs, region, objects):  # pyright: ignore[reportMissingParameterType]
    for index in range(len(runs)):
        y, start, end = runs[index]
        regions[y, start:end] = objects + 1 + region[index]


@compiled
def _list_neighbours(regions, is_kept):  # pyright: ignore[reportMissingParameterType]
    """List pairs of neighbours of which one may be a hole, both ways round."""
    rows, columns = regions.shape
    pairs = [(np.int64(0), np.int64(0)) for _ in range(0)]
    for y in range(rows):
        for x in range(columns):
            here = regions[y, x]
            for step in range(2):
                if (y if step == 0 else x) == 0:
                    continue
                there = regions[y - 1, x] if step == 0 else regions[y, x - 1]
                if here != there and not (is_kept[here] and is_kept[there]):
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
