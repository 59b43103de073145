"""The steps of the ``fixpoint`` segmentation on the CPU; what they give is said in ``kernels/fixpoint_steps.py``."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels import fixpoint_planes
from kernels.compiled import compiled
from kernels.fixpoint_flood import flood_from_seeds
from kernels.fixpoint_heights import measure_heights
from kernels.fixpoint_regions import connect_regions, fill_small_holes
from kernels.fixpoint_steps import Steps
from kernels.fixpoint_tables import (
    INDEX_BITS,
    SHARE_STEPS,
    Ints,
    Words,
)
from kernels.planes import Pixels

Wide = npt.NDArray[np.uint16]

_FAR = np.iinfo(np.int64).max
_HIGHEST = 65_535


def cpu_steps() -> Steps:
    """Give the steps for NumPy arrays."""
    return _CpuSteps()


class _CpuSteps:
    def smooth(self, plane: Pixels, weights: npt.NDArray[np.uint32], stretch: int = 1) -> Wide:
        return fixpoint_planes.smooth(plane, weights, stretch * _scale(plane))

    def reduce(self, plane: Pixels, step: int) -> Wide:
        return fixpoint_planes.reduce(plane, step, _scale(plane))

    def flatten(self, plane: Wide, background: Wide, step: int) -> Wide:
        return fixpoint_planes.flatten(plane, background, step)

    def count(self, plane: Wide) -> npt.NDArray[np.int64]:
        return fixpoint_planes.count(plane)

    def count_windows(self, plane: Wide, down: int, across: int) -> npt.NDArray[np.uint32]:
        return fixpoint_planes.count_windows(plane, down, across)

    def divide(self, plane: Wide, limit: int) -> Ints:
        return np.where(plane > limit, np.int32(1), np.int32(-1))

    def divide_locally(self, plane: Wide, limits: Ints) -> Ints:
        return fixpoint_planes.divide_locally(plane, limits)

    def cut(self, classes: Ints, smooth: Wide, share: int, twice_zero: int) -> Ints:
        return fixpoint_planes.cut(classes, smooth, share, twice_zero)

    def fill(self, classes: Ints, hole_area: int) -> None:
        fill_small_holes(classes, hole_area)

    def connect(self, classes: Ints) -> tuple[Ints, Words]:
        return connect_regions(classes)

    def list_regions(self, regions: Ints, sizes: Words) -> Words:
        return sizes

    def measure_heights(self, classes: Ints) -> Wide:
        return measure_heights(classes)

    def find_seeds(self, height: Wide, regions: Ints, offsets: Ints) -> tuple[Ints, Words]:
        seeds = np.zeros(height.shape, np.int32)
        return seeds, _find_seeds(height, regions, offsets, seeds)

    def flood(self, height: Wide, classes: Ints, seeds: Ints) -> Ints:
        return flood_from_seeds(height, classes, seeds)

    def list_joins(self, height: Wide, parts: Ints, neck: int, twice_base: int) -> Words:
        found = np.empty(max(64, height.size // 64), np.uint64)
        count = _list_joins(height, parts, neck, twice_base, found)
        if count > len(found):
            found = np.empty(count, np.uint64)
            _list_joins(height, parts, neck, twice_base, found)
        return found[:count]

    def renumber(self, parts: Ints, first: Ints, number: Ints) -> Ints:
        table = np.zeros(parts.size, np.int32)
        table[first] = number
        return _renumber(parts, table)

    def trim(self, labels: Ints, count: int, plane: Wide, twice_base: int, fraction: int) -> Ints:
        return _trim(labels, count, plane, twice_base, fraction)

    def expand(self, labels: Ints, reach: int, most_squared: int) -> Ints:
        return _expand(labels, reach, most_squared)

    def subtract(self, nuclei: Ints, cells: Ints, shared_rim: bool) -> Ints:
        return _subtract(nuclei, cells, shared_rim)


def _scale(plane: Pixels) -> int:
    return 257 if plane.dtype == np.uint8 else 1


@compiled
def _find_seeds(height, regions, offsets, seeds):
    found = np.empty(height.size, np.uint64)
    count = 0
    for y in range(height.shape[0]):
        for x in range(height.shape[1]):
            if regions[y, x] > 0 and _is_highest(height, regions, offsets, y, x):
                place = y * height.shape[1] + x
                seeds[y, x] = place + 1
                found[count] = np.uint64(place) << np.uint64(32) | np.uint64(height[y, x])
                count += 1
    return found[:count].copy()


@compiled
def _is_highest(height, regions, offsets, y, x):
    """Whether no pixel of its region, in a disk around it, is higher, or as high and comes before it."""
    own, region = height[y, x], regions[y, x]
    for k in range(len(offsets)):
        other_y, other_x = y + offsets[k, 0], x + offsets[k, 1]
        if not (0 <= other_y < height.shape[0] and 0 <= other_x < height.shape[1]):
            continue
        other = height[other_y, other_x]
        if other < own or regions[other_y, other_x] != region:
            continue
        if other > own or offsets[k, 0] < 0 or (offsets[k, 0] == 0 and offsets[k, 1] < 0):
            return False
    return True


@compiled
def _list_joins(height, parts, neck, twice_base, found):
    """Write as many as there is room for, and say how many there are."""
    rows, columns = parts.shape
    heights = height.ravel()
    count = 0
    for y in range(rows):
        for x in range(columns):
            part = parts[y, x]
            if part == 0:
                continue
            for k in range(4):  # right, below left, below, below right
                other_y, other_x = y + (k > 0), x + (1 if k == 0 else k - 2)
                if other_y >= rows or not 0 <= other_x < columns:
                    continue
                other = parts[other_y, other_x]
                if other == 0 or other == part:
                    continue
                saddle = np.int64(min(height[y, x], height[other_y, other_x]))
                lower, upper = min(part, other) - 1, max(part, other) - 1
                peak = np.int64(min(heights[lower], heights[upper]))
                if (2 * saddle - twice_base) * SHARE_STEPS < neck * (2 * peak - twice_base):
                    continue
                if count < len(found):
                    found[count] = (
                        np.uint64(_HIGHEST - saddle) << np.uint64(2 * INDEX_BITS)
                        | np.uint64(lower) << np.uint64(INDEX_BITS)
                        | np.uint64(upper)
                    )
                count += 1
    return count


@compiled
def _renumber(parts, table):
    labels = np.empty(parts.shape, np.int32)
    for y in range(parts.shape[0]):
        for x in range(parts.shape[1]):
            labels[y, x] = table[parts[y, x] - 1] if parts[y, x] > 0 else 0
    return labels


@compiled
def _trim(labels, count, plane, twice_base, fraction):
    """The quartile's upper byte from one histogram an object, its lower byte from a second one."""
    classes = labels.copy()
    pixels, byte = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    quartile = np.zeros(count + 1, np.int64)
    rank = np.zeros(count + 1, np.int64)
    for is_lower in range(2):
        counts = np.zeros((count + 1, 256), np.int32)
        for y in range(labels.shape[0]):
            for x in range(labels.shape[1]):
                label = labels[y, x]
                if label == 0:
                    continue
                value = np.int64(plane[y, x])
                if is_lower == 0:
                    counts[label, value >> 8] += 1
                    pixels[label] += 1
                elif value >> 8 == byte[label]:
                    counts[label, value & 255] += 1
        for label in range(1, count + 1):
            if is_lower == 0:
                rank[label] = 3 * pixels[label] // 4
            digit = 0
            while digit < 255 and rank[label] >= counts[label, digit]:
                rank[label] -= counts[label, digit]
                digit += 1
            byte[label] = digit
            quartile[label] = 256 * quartile[label] + digit
    for y in range(labels.shape[0]):
        for x in range(labels.shape[1]):
            label = labels[y, x]
            if label == 0:
                continue
            own, upper = 2 * np.int64(plane[y, x]) - twice_base, 2 * quartile[label] - twice_base
            if own * SHARE_STEPS < fraction * upper:
                classes[y, x] = -label
    return classes


@compiled
def _expand(labels, reach, most_squared):
    """The nearest label of each column, then of the row of those: ``distance << 32 | label``, least first."""
    height, width = labels.shape
    near = np.empty((height, width), np.int64)
    for x in range(width):
        near[0, x] = labels[0, x] if labels[0, x] > 0 else _FAR
    for y in range(1, height):
        for x in range(width):
            near[y, x] = labels[y, x] if labels[y, x] > 0 else _step(near[y - 1, x], reach)
    for y in range(height - 2, -1, -1):
        for x in range(width):
            near[y, x] = min(near[y, x], _step(near[y + 1, x], reach))
    grown = np.zeros((height, width), np.int32)
    squared = np.empty(width, np.int64)
    for y in range(height):
        for x in range(width):
            distance = near[y, x] >> 32
            squared[x] = _FAR if near[y, x] == _FAR else ((distance * distance) << 32) | (near[y, x] & (2**32 - 1))
        for x in range(width):
            best = min(((most_squared + 1) << 32) - 1, squared[x])
            for offset in range(1, reach + 1):
                added = np.int64(offset * offset) << 32
                if added > best:
                    break
                if offset <= x and squared[x - offset] < _FAR - added:
                    best = min(best, squared[x - offset] + added)
                if offset < width - x and squared[x + offset] < _FAR - added:
                    best = min(best, squared[x + offset] + added)
            label = best & (2**32 - 1)
            grown[y, x] = label if label < 2**31 else 0
    return grown


@compiled
def _step(near, reach):
    return near + (np.int64(1) << 32) if near >> 32 < reach else _FAR


@compiled
def _subtract(nuclei, cells, shared_rim):
    """Cells without nuclei, or without the inside of nuclei; the border of the plane ends a nucleus as well."""
    height, width = nuclei.shape
    rest = np.empty((height, width), np.int32)
    for y in range(height):
        for x in range(width):
            label = nuclei[y, x]
            is_out = label == 0
            if shared_rim and not is_out:
                is_out = y == 0 or x == 0 or y == height - 1 or x == width - 1
                if not is_out:
                    for dy in range(-1, 2):
                        for dx in range(-1, 2):
                            is_out = is_out or nuclei[y + dy, x + dx] != label
            rest[y, x] = cells[y, x] if is_out else 0
    return rest
