"""Sums of reconstructions over objects and over the image, as whole numbers that are the same on both devices.

Objects have the plane's resolution, reconstructions half of it; CellProfiler stretches each of them before it averages.
Stretching is linear, so that an object's sum is one of pixels of the image, with weights that are the same for all
channels and steps. Each product is rounded to a multiple of ``2**-bits``: sums of those are exact in any order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.granularity_background import FULL_SCALE, Grid, Ints
from kernels.granularity_tree import Reconstructions
from kernels.object_sets import MOST_SETS, ObjectSets
from kernels.planes import Floats

Integers = npt.NDArray[np.int64]

SETS_BITS = (1 << MOST_SETS) - 1
"""The bits of ``ObjectSets.member`` that say which sets a pixel is in: its *pattern*."""
_MOST_BITS = 44


class GranularitySums(NamedTuple):
    """What both devices give.

    ``objects`` (s, c, 16, k) and ``image`` (c, 17) int64, sums of the reconstructions, the image's begin with that of
    its heights; in units of ``2**-bits``, each its own. ``counts`` (s, c, k) int64, sums of the counts of the planes.
    """

    objects: Integers
    object_bits: int
    counts: Integers
    image: Integers
    image_bits: int


class PixelWeights(NamedTuple):
    """In which regions each pixel of an image is, and how much it weighs there.

    A region is an object's pixels of one pattern. Pixel p has the entries ``first[p]`` to ``first[p + 1]``, exclusive,
    of ``region`` (int32) and ``weight`` (float64). ``pattern``: that of each pixel of ``ObjectSets.position``, uint8;
    ``patterns``: those that occur, int64; region ``j + len(patterns) * i`` is pattern j of object i + 1.
    """

    first: Integers
    region: Ints
    weight: Floats
    pattern: npt.NDArray[np.uint8]
    patterns: Integers


def fraction_bits(pixels: int) -> int:
    """Give the greatest b up to 44 for which a sum over ``pixels`` of numbers up to 1, times 2**b, is below 2**62."""
    return min(_MOST_BITS, 62 - pixels.bit_length())


def rounding_number(bits: int) -> float:
    """Give the number beside which doubles are multiples of ``2**-bits``; what is added must be below its third."""
    return 1.5 * 2.0 ** (52 - bits)


def weigh_pixels(objects: ObjectSets, grid: Grid) -> PixelWeights:
    """Find the weights of the pixels of an image in all objects."""
    pattern = np.bitwise_and(objects.member, np.uint8(SETS_BITS))
    patterns = np.flatnonzero([(pattern == bits).any() for bits in range(SETS_BITS + 1)])
    rank = np.zeros(SETS_BITS + 1, np.int64)
    rank[patterns] = np.arange(len(patterns))
    regions = np.full(objects.labels.shape[1:], -1, np.int32)
    _draw_regions(objects.start, objects.position, pattern, rank, len(patterns), regions.reshape(-1))
    expected = objects.position.size // 3
    first, region, weight = _list_weights(regions, grid.row_windows, grid.column_windows, expected)
    return PixelWeights(first, region, weight, pattern, patterns)


def sum_regions(
    found: Reconstructions, weights: PixelWeights, bits: tuple[int, int], regions: Integers, image: Integers
) -> None:
    """Add up the reconstructions of one image.

    Parameters
    ----------
    found
        The reconstructions.
    weights
        The regions of its pixels.
    bits
        Those of ``GranularitySums.object_bits`` and ``image_bits``.
    regions, image
        Filled: sums of the regions, shape ``(r, 16)``, and of the image, shape ``(17,)``, int64.
    """
    heights, levels = found.heights.view(np.float32), found.levels.view(np.float32)
    regions[:] = 0
    image[:] = 0
    numbers = [rounding_number(number) for number in bits]
    _sum_pixels(heights, found.basins, levels, weights.first, weights.region, weights.weight, *numbers, regions, image)


def sum_sets(regions: Integers, patterns: Integers, sets: int) -> Integers:
    """Give sums of the objects of each set from those of their regions, shape ``(k, p, n)``: shape ``(s, n, k)``."""
    return np.stack([regions[:, (patterns >> z & 1) == 1].sum(axis=1).T for z in range(sets)])


def sum_counts(plane: npt.NDArray[np.uint16], objects: ObjectSets, weights: PixelWeights) -> Integers:
    """Give the sum of a plane's counts in each object of each set: shape ``(s, k)``."""
    sums = np.zeros((objects.count, SETS_BITS + 1), np.int64)
    _sum_counts(plane.reshape(-1), objects.start, objects.position, weights.pattern, sums)
    return sum_sets(sums[:, :, None], np.arange(SETS_BITS + 1), objects.n_sets)[:, 0]


def object_spectra(sums: GranularitySums, area: Integers) -> Floats:
    """Give the granularity of objects from sums; ``area`` of shape ``(s, k)``. Shape ``(s, c, 16, k)``."""
    pixels = np.where(area > 0, area, np.nan)[:, None]
    start = sums.counts / (FULL_SCALE * pixels)
    means = np.ldexp(sums.objects.astype(np.float64), -sums.object_bits) / pixels[:, :, None]
    return _spectra(start[:, :, None], means, axis=2)


def image_spectra(sums: GranularitySums, pixels: int) -> Floats:
    """Give the granularity of images of so many pixels from sums: shape ``(c, 16)``."""
    means = np.ldexp(sums.image.astype(np.float64), -sums.image_bits) / pixels
    return _spectra(means[:, :1], means[:, 1:], axis=1)


def _spectra(start: Floats, means: Floats, axis: int) -> Floats:
    """By how much each step lowers the mean, percent of the mean to begin with, as CellProfiler divides."""
    lost = 0.0 - np.diff(np.concatenate([start, means], axis), axis=axis)  # a plain minus would make -0 of 0
    return lost * 100 / np.maximum(start, np.finfo(float).eps)


@compiled
def _draw_regions(start, position, pattern, rank, n_patterns, regions):
    for index in range(len(start) - 1):
        for k in range(start[index], start[index + 1]):
            regions[position[k]] = index * n_patterns + rank[pattern[k]]


@compiled
def _list_weights(regions, rows, columns, expected):
    """List the entries of the pixels in raster order; a pixel's regions in that in which they are met."""
    height, width = len(rows.first), len(columns.first)
    most = width * columns.weights.shape[1] * rows.weights.shape[1]
    first = np.zeros(height * width + 1, np.int64)
    region, weight = np.empty(expected + most, np.int32), np.empty(expected + most, np.float64)
    is_mixed, changes = np.empty(regions.shape[1], np.bool_), np.empty(regions.shape[1], np.int32)
    found = 0
    for y in range(height):
        if found + most > len(region):
            region, weight = _extend(region, weight, 2 * (found + most))
        window = regions[rows.first[y] : rows.first[y] + rows.count[y]]
        _count_changes(window, is_mixed, changes)
        for x in range(width):
            left = columns.first[x]
            right = left + columns.count[x]
            if changes[right - 1] == changes[left] and not is_mixed[left]:
                region[found], weight[found] = window[0, left], rows.total[y] * columns.total[x]
                found += window[0, left] >= 0
            else:
                places = window[:, left:right]
                found += _weigh(places, rows.weights[y], columns.weights[x], region[found:], weight[found:])
            first[y * width + x + 1] = found
    return first, region[:found], weight[:found]


@compiled
def _extend(region, weight, size):
    more_region, more_weight = np.empty(size, np.int32), np.empty(size, np.float64)
    for k in range(len(region)):
        more_region[k], more_weight[k] = region[k], weight[k]
    return more_region, more_weight


@compiled
def _count_changes(window, is_mixed, changes):
    """Find columns of more than one region, and count to each column those and the changes of the region."""
    top = window[0]
    is_mixed[:] = False
    for y in range(1, len(window)):
        row = window[y]
        for x in range(len(top)):
            is_mixed[x] |= row[x] != top[x]
    changes[0] = 0
    for x in range(1, len(top)):
        changes[x] = (top[x] != top[x - 1]) | is_mixed[x]
    count = 0
    for x in range(len(top)):
        count += changes[x]
        changes[x] = count


@compiled
def _weigh(window, row_weights, column_weights, region, weight):
    """Add up the weights of each region in the places that one pixel is part of; give the number of regions."""
    found, k = 0, 0
    for y in range(window.shape[0]):
        for x in range(window.shape[1]):
            own = window[y, x]
            if own < 0:
                continue
            if found == 0 or region[k] != own:
                k = 0
                while k < found and region[k] != own:
                    k += 1
                if k == found:
                    region[k], weight[k] = own, 0.0
                    found += 1
            weight[k] += row_weights[y] * column_weights[x]
    return found


@compiled
def _sum_pixels(heights, basins, levels, first, region, weight, object_number, image_number, regions, image):
    """Multiply and round pixel by pixel: adding the number rounds, and what its bits rise by is the whole number."""
    height, width = basins.shape
    steps = levels.shape[1]  # the compiler vectorises the loops only if it does not know how long they are
    object_zero, image_zero = _bits(object_number), _bits(image_number)
    sums = np.zeros(steps, np.int64)
    for y in range(height):
        for x in range(width):
            own = heights[y + 1, x + 1]
            row = levels[basins[y, x]]
            image[0] += _bits(np.float64(own) + image_number) - image_zero
            for step in range(steps):
                sums[step] += _bits(np.float64(min(own, row[step])) + image_number) - image_zero
            p = y * width + x
            for k in range(first[p], first[p + 1]):
                target, part = regions[region[k]], weight[k]
                for step in range(steps):
                    target[step] += _bits(part * np.float64(min(own, row[step])) + object_number) - object_zero
    for step in range(steps):
        image[1 + step] = sums[step]


@compiled
def _bits(value):
    return np.float64(value).view(np.int64)


@compiled
def _sum_counts(plane, start, position, pattern, sums):
    for index in range(len(start) - 1):
        run, last = np.int64(0), np.int64(0)
        for k in range(start[index], start[index + 1]):
            if pattern[k] != last:
                sums[index, last] += run
                run, last = np.int64(0), np.int64(pattern[k])
            run += plane[position[k]]
        sums[index, last] += run
