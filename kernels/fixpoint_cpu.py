"""The steps of the ``fixpoint`` segmentation on the CPU; what they give is said in ``kernels/fixpoint_steps.py``."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.fixpoint_flood import flood_from_seeds
from kernels.fixpoint_regions import connect_regions, list_regions
from kernels.fixpoint_steps import Steps
from kernels.fixpoint_tables import (
    HEIGHT_STEPS,
    INDEX_BITS,
    LIMIT_STEPS,
    SHARE_STEPS,
    WHOLE_WEIGHT,
    Ints,
    Words,
)
from kernels.planes import Pixels

Wide = npt.NDArray[np.uint16]

_FAR = np.iinfo(np.int64).max
_HIGHEST = 65_535
_FARTHEST = (_HIGHEST // HEIGHT_STEPS + 1) ** 2
"""Squared distance from which on the height is the greatest."""


def cpu_steps() -> Steps:
    """Give the steps for NumPy arrays."""
    return _CpuSteps()


class _CpuSteps:
    def smooth(self, plane: Pixels, weights: npt.NDArray[np.uint32], stretch: int = 1) -> Wide:
        return _smooth(np.ascontiguousarray(plane), weights, stretch * _scale(plane))

    def reduce(self, plane: Pixels, step: int) -> Wide:
        return _reduce(plane, step, _scale(plane))

    def lower(self, plane: Wide, background: Wide, step: int) -> Wide:
        return _lower(plane, background, step)

    def count(self, plane: Wide) -> npt.NDArray[np.int64]:
        return _count(plane)

    def count_windows(self, plane: Wide, down: int, across: int) -> npt.NDArray[np.uint32]:
        return _count_windows(plane, down, across)

    def divide(self, plane: Wide, limit: int) -> Ints:
        return np.where(plane > limit, np.int32(1), np.int32(-1))

    def divide_locally(self, plane: Wide, limits: Ints) -> Ints:
        return _divide_locally(plane, limits)

    def cut(self, classes: Ints, smooth: Wide, share: int, twice_zero: int) -> Ints:
        return _cut(classes, smooth, share, twice_zero)

    def connect(self, classes: Ints, hole_area: int) -> tuple[Ints, npt.NDArray[np.uint32]]:
        return connect_regions(classes, hole_area)

    def list_regions(self, regions: Ints, size: npt.NDArray[np.uint32]) -> Words:
        return list_regions(regions.ravel(), size.ravel())

    def measure_heights(self, classes: Ints) -> Wide:
        distance = cv2.distanceTransform((classes > 0).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return _round_heights(distance)

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
def _mirror(place, length):
    """Mirror a place beyond a line of pixels at its ends, the outermost pixels twice."""
    place %= 2 * length
    return place if place < length else 2 * length - 1 - place


@compiled
def _smooth(plane, weights, scale):
    """Rows keep four bits more than pixels have; all sums stay below 2**32."""
    height, width = plane.shape
    reach = len(weights) - 1
    half_row, row_shift = np.uint32(WHOLE_WEIGHT // 32), np.uint32(8)
    half, shift = np.uint32(8 * WHOLE_WEIGHT), np.uint32(16)
    line, total = np.empty(width + 2 * reach, np.uint32), np.empty(width, np.uint32)
    rows = np.empty((height, width), np.uint32)
    smooth = np.empty((height, width), np.uint16)
    for y in range(height):
        for x in range(width):
            line[reach + x] = plane[y, x] * scale
        for x in range(reach):
            line[reach - 1 - x] = line[reach + _mirror(x, width)]
            line[reach + width + x] = line[reach + _mirror(width + x, width)]
        for x in range(width):
            total[x] = np.uint32(half_row + weights[0] * line[reach + x])
        for k in range(1, reach + 1):
            weight = weights[k]
            for x in range(width):
                total[x] = np.uint32(total[x] + weight * (line[reach + x - k] + line[reach + x + k]))
        for x in range(width):
            rows[y, x] = total[x] >> row_shift
    for y in range(height):
        middle = rows[y]
        for x in range(width):
            total[x] = np.uint32(half + weights[0] * middle[x])
        for k in range(1, reach + 1):
            weight = weights[k]
            above, below = rows[_mirror(y - k, height)], rows[_mirror(y + k, height)]
            for x in range(width):
                total[x] = np.uint32(total[x] + weight * (above[x] + below[x]))
        for x in range(width):
            smooth[y, x] = total[x] >> shift
    return smooth


@compiled
def _count(plane):
    """Two partial histograms, so that equal neighbours do not wait for each other."""
    parts = np.zeros((2, 65_536), np.int32)
    flat = plane.ravel()
    for i in range(0, flat.size - 1, 2):
        parts[0, flat[i]] += 1
        parts[1, flat[i + 1]] += 1
    if flat.size % 2:
        parts[0, flat[flat.size - 1]] += 1
    counts = np.empty(65_536, np.int64)
    for value in range(65_536):
        counts[value] = np.int64(parts[0, value]) + parts[1, value]
    return counts


@compiled
def _count_windows(plane, down, across):
    height, width = plane.shape
    counts = np.zeros((down, across, 65_536), np.uint32)
    for row in range(down):
        for column in range(across):
            window = counts[row, column]
            for y in range(row * height // down, (row + 1) * height // down):
                for x in range(column * width // across, (column + 1) * width // across):
                    window[plane[y, x]] += np.uint32(1)
    return counts


@compiled
def _divide_locally(plane, limits):
    height, width = plane.shape
    down, across = limits.shape
    classes = np.empty((height, width), np.int32)
    for y in range(height):
        upper, upper_part = _between((2 * y + 1) * down - height, 2 * height, down)
        lower = min(upper + 1, down - 1)
        for x in range(width):
            left, left_part = _between((2 * x + 1) * across - width, 2 * width, across)
            right = min(left + 1, across - 1)
            above = limits[upper, left] * (2 * width - left_part) + limits[upper, right] * left_part
            below = limits[lower, left] * (2 * width - left_part) + limits[lower, right] * left_part
            limit = above * (2 * height - upper_part) + below * upper_part
            value = np.int64(plane[y, x]) * LIMIT_STEPS * 4 * height * width
            classes[y, x] = 1 if value > limit else -1
    return classes


@compiled
def _between(behind, whole, count):
    """Of ``count`` places, a ``whole`` apart, the one before what is so far behind the first, and the rest."""
    behind = min(max(behind, 0), whole * (count - 1))
    return behind // whole, behind % whole


@compiled
def _reduce(plane, step, scale):
    height, width = plane.shape
    down, across = (height + step - 1) // step, (width + step - 1) // step
    small = np.empty((down, across), np.uint16)
    sums = np.empty(across, np.int64)
    for row in range(down):
        sums[:] = 0
        bottom = min((row + 1) * step, height)
        for y in range(row * step, bottom):
            for column in range(across):
                total = 0
                for x in range(column * step, min((column + 1) * step, width)):
                    total += np.int64(plane[y, x])
                sums[column] += total
        for column in range(across):
            pixels = (bottom - row * step) * (min((column + 1) * step, width) - column * step)
            small[row, column] = (2 * scale * sums[column] + pixels) // (2 * pixels)
    return small


@compiled
def _lower(plane, background, step):
    """Interpolate the row of blocks first, with the fractions kept."""
    height, width = plane.shape
    down, across = background.shape
    whole = 2 * step
    lowered = np.empty((height, width), np.uint16)
    blocks = np.empty(across, np.int64)
    left, part = np.empty(width, np.int64), np.empty(width, np.int64)
    for x in range(width):
        left[x], part[x] = _between(2 * x + 1 - step, whole, across)
    for y in range(height):
        upper, upper_part = _between(2 * y + 1 - step, whole, down)
        lower = min(upper + 1, down - 1)
        for column in range(across):
            above, below = np.int64(background[upper, column]), np.int64(background[lower, column])
            blocks[column] = above * (whole - upper_part) + below * upper_part
        for x in range(width):
            right = min(left[x] + 1, across - 1)
            ground = blocks[left[x]] * (whole - part[x]) + blocks[right] * part[x]
            ground = (ground + whole * whole // 2) // (whole * whole)
            lowered[y, x] = max(np.int64(plane[y, x]) - ground, 0)
    return lowered


@compiled
def _cut(classes, smooth, share, twice_zero):
    height, width = smooth.shape
    inside = np.empty((height, width), np.int32)
    for y in range(height):
        above, below = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            kind = classes[y, x]
            if kind > 0:
                left, right = max(x - 1, 0), min(x + 1, width - 1)
                own = np.int64(smooth[y, x])
                around = np.int64(smooth[above, x]) + smooth[below, x] + smooth[y, left] + smooth[y, right]
                if (around - 4 * own) * 2 * SHARE_STEPS > share * (2 * own - twice_zero):
                    kind = -kind
            inside[y, x] = kind
    return inside


@compiled
def _round_heights(distance):
    """Heights from distances whose squares are whole numbers but for their last bits."""
    height = np.empty(distance.shape, np.uint16)
    for y in range(distance.shape[0]):
        for x in range(distance.shape[1]):
            if distance[y, x] == 0:
                height[y, x] = 0
                continue
            squared = np.rint(np.float64(distance[y, x]) * np.float64(distance[y, x]))
            if squared >= _FARTHEST:
                height[y, x] = _HIGHEST
            else:
                height[y, x] = np.uint16(np.sqrt(squared * HEIGHT_STEPS**2))
    return height


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
            best = ((most_squared + 1) << 32) - 1
            for other in range(max(x - reach, 0), min(x + reach, width - 1) + 1):
                if squared[other] != _FAR:
                    best = min(best, squared[other] + (np.int64((x - other) * (x - other)) << 32))
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
