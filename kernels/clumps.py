"""Clumps of touching objects: where their parts have their middle, and which parts are one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.flood import flood
from kernels.regions import connect, find_root, separate

Numbers = npt.NDArray[np.int32]


def find_maxima(height: npt.NDArray[Any], clumps: Numbers, radius: float) -> npt.NDArray[np.uint8]:
    """Mark the pixels of clumps that no pixel of their own clump within ``radius`` is higher than.

    Parameters
    ----------
    height
        Shape ``(y, x)``, any real type.
    clumps
        Labels, shape ``(y, x)``, int32, 0 outside.
    radius
        Of the disk around each pixel, in pixels.
    """
    return np.asarray(_find_maxima(height, clumps, *_disk(radius)), np.uint8)


def split_clumps(height: npt.NDArray[np.uint16], clumps: Numbers, *, radius: float, neck: float) -> Numbers:
    """Divide clumps of touching objects.

    Parameters
    ----------
    height
        What objects are high in and their borders low: distance to the background or brightness. Shape ``(y, x)``,
        uint16.
    clumps
        Labels of the clumps, shape ``(y, x)``, int32, 0 outside; different clumps must not touch.
    radius
        A pixel is a seed where none of its clump in a disk of this radius is higher, pixels.
    neck
        Least share of the lower peak that the highest point of a border reaches for its two parts to become one.

    Returns
    -------
    Labels of the parts, shape ``(y, x)``, int32, not numbered in order.
    """
    seeds = connect(find_maxima(height, clumps, radius))
    count = int(seeds.max()) + 1
    # only clumps with several seeds are flooded: most have one, and the flood is the slow step
    seed_clump = np.zeros(count, np.int32)
    seed_clump[seeds] = clumps
    seed_clump[0] = 0
    crowded = np.bincount(seed_clump, minlength=int(clumps.max()) + 1) > 1
    crowded[0] = False
    if not crowded.any():
        return clumps
    inside = crowded[clumps]
    parts = flood(np.iinfo(np.uint16).max - height, seeds, inside)
    number = _join_parts(parts, height, count, neck)
    return np.where(inside, number[parts] + clumps.max(), clumps).astype(np.int32)


def trim_edges(labels: Numbers, brightness: npt.NDArray[np.float32], fraction: float) -> Numbers:
    """Keep of each object what is at least ``fraction`` of its own upper quartile in brightness.

    Parameters
    ----------
    labels
        Shape ``(y, x)``, int32.
    brightness
        Above the background, shape ``(y, x)``, float32.
    fraction
        0 to 1.

    Returns
    -------
    Labels, shape ``(y, x)``, int32: pieces of one object are objects of their own, in the raster order of their first
    pixels.
    """
    return separate(_trim(labels, brightness, fraction))


@lru_cache(maxsize=16)
def _disk(radius: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Offsets within ``radius`` of a pixel but itself, nearest first."""
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    square = y**2 + x**2
    inside = (square <= radius**2) & (square > 0)
    order = np.argsort(square[inside], kind="stable")
    return y[inside][order].astype(np.int64), x[inside][order].astype(np.int64)


@compiled
def _find_maxima(height, clumps, down, right):  # pyright: ignore[reportMissingParameterType]
    rows, columns = height.shape
    found = np.zeros((rows, columns), np.uint8)
    for y in range(rows):
        for x in range(columns):
            clump = clumps[y, x]
            if clump == 0:
                continue
            value = height[y, x]
            is_highest = True
            for index in range(down.size):
                other_y, other_x = y + down[index], x + right[index]
                if other_y < 0 or other_x < 0 or other_y >= rows or other_x >= columns:
                    continue
                if clumps[other_y, other_x] == clump and height[other_y, other_x] > value:
                    is_highest = False
                    break
            found[y, x] = is_highest
    return found


@compiled
def _join_parts(parts, height, count, neck):  # pyright: ignore[reportMissingParameterType]
    """Join neighbours whose saddle is at least ``neck`` of the lower peak; give each part's new number.

    The saddle of two parts is the greatest height at which a pixel of one has an 8-neighbour of the other. Highest
    saddles are joined first, so that the order of labels does not matter.
    """
    rows, columns = parts.shape
    peak = np.zeros(count, np.int64)
    saddles = {(np.int64(0), np.int64(0)): np.int64(0)}
    for y in range(rows):
        for x in range(columns):
            here = np.int64(parts[y, x])
            if here == 0:
                continue
            level = np.int64(height[y, x])
            peak[here] = max(peak[here], level)
            for step in range(4):
                other_y, other_x = (y, x + 1) if step == 0 else (y + 1, x + step - 2)
                if other_y >= rows or other_x < 0 or other_x >= columns:
                    continue
                there = np.int64(parts[other_y, other_x])
                if there in (0, here):
                    continue
                pair = (min(here, there), max(here, there))
                saddles[pair] = max(saddles.get(pair, np.int64(0)), min(level, np.int64(height[other_y, other_x])))
    pairs = np.empty((len(saddles), 3), np.int64)
    for index, (pair, level) in enumerate(saddles.items()):
        pairs[index, 0], pairs[index, 1], pairs[index, 2] = pair[0], pair[1], level
    order = np.argsort(-((pairs[:, 2] * count + count - 1 - pairs[:, 0]) * count + count - 1 - pairs[:, 1]))
    root = np.arange(count).astype(np.int32)
    for index in order:
        one, other = find_root(root, pairs[index, 0]), find_root(root, pairs[index, 1])
        if one != other and pairs[index, 2] >= neck * min(peak[one], peak[other]):
            low, high = min(one, other), max(one, other)
            root[high] = low
            peak[low] = max(peak[low], peak[high])
    for number in range(count):
        root[number] = find_root(root, number)
    return root


@compiled
def _trim(labels, brightness, fraction):  # pyright: ignore[reportMissingParameterType]
    rows, columns = labels.shape
    count = 0
    for y in range(rows):
        for x in range(columns):
            count = max(count, labels[y, x])
    start = np.zeros(count + 2, np.int64)
    for y in range(rows):
        for x in range(columns):
            if labels[y, x] > 0:
                start[labels[y, x] + 1] += 1
    start = np.cumsum(start)
    values = np.empty(start[-1], np.float32)
    following = start.copy()
    for y in range(rows):
        for x in range(columns):
            label = labels[y, x]
            if label > 0:
                values[following[label]] = brightness[y, x]
                following[label] += 1
    least = np.zeros(count + 1, np.float32)
    for label in range(1, count + 1):
        inside = values[start[label] : start[label + 1]]
        if inside.size == 0:
            continue
        rank = min(inside.size * 3 // 4, inside.size - 1)
        least[label] = fraction * np.partition(inside, rank)[rank]
    trimmed = np.zeros((rows, columns), np.int32)
    for y in range(rows):
        for x in range(columns):
            label = labels[y, x]
            if label > 0 and brightness[y, x] >= least[label]:
                trimmed[y, x] = label
    return trimmed
