"""One pass over a plane on the CPU: everything of image quality that is a sum of whole numbers over pixels.

The CUDA version is ``kernels/cuda/image_quality.cu``; both give the same integers, and the same variances and medians
of the local focus, bit for bit.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled, compiled_whole_sums
from kernels.planes import Floats, Pixels

SCALES = (5, 10, 20, 50)
"""Window sizes of the local focus score and offsets of the correlation, pixels, as in JUMP's pipelines."""
TILE = 8
"""Side of the tiles that background, debris and emptiness are judged on, pixels."""
LEVELS = 65536
LANES = 1024
"""Partial sums of a variance: value i goes to lane i % LANES, then lanes are added pairwise, on both devices."""
QUANTISED = 8
"""Grey levels of the correlation (CellProfiler's Haralick default)."""

Integers = npt.NDArray[np.int64]


class PlaneSums(NamedTuple):
    """What the pass over one plane gives.

    ``histogram`` (65536,) int64; ``mean`` of the counts; ``levels`` (2,) int64, sum and sum of squares of the plane in
    8 grey levels; ``products`` (len(SCALES), 5) int64, sum of its products with itself that many pixels to the right,
    sum and squares of its first columns, the same of its last ones; ``spread`` and ``middle`` (len(SCALES),) float64,
    variance and median of the local focus in counts (NaN and 0 where every window is black); ``tiles`` and
    ``tile_squares`` (y // 8, x // 8) int64, sums and sums of squares of the whole tiles.
    """

    histogram: Integers
    mean: float
    levels: Integers
    products: Integers
    spread: Floats
    middle: Floats
    tiles: Integers
    tile_squares: Integers


@lru_cache(maxsize=16)
def window_grid(length: int, scale: int) -> npt.NDArray[np.int64]:
    """First pixel of each window along a side of ``length`` pixels, and its end: shape ``(windows + 1,)``.

    CellProfiler's rule: pixel i lies in window floor(i * m / length) of m = ceil(length / scale), in float64.
    """
    count = -(-length // scale)
    owner = (np.arange(length, dtype=np.float64) * float(count) / float(length)).astype(np.int64)
    return np.searchsorted(owner, np.arange(count + 1))


def quantisation_breaks(low: int, high: int, scale: int) -> npt.NDArray[np.int64]:
    """Give the least counts of the grey levels 1 to 7 of a plane between ``low`` and ``high``.

    CellProfiler divides counts by ``scale``, stretches them to 0..1 and takes floor(value / 0.125), in single
    precision: the same is done here for the few counts beside each break. Above every count where the plane is flat.
    """
    if low == high:
        return np.full(QUANTISED - 1, LEVELS, np.int64)
    steps = np.arange(1, QUANTISED)
    near = low + ((high - low) * steps / QUANTISED).astype(np.int64)
    counts = np.clip(near[:, None] + np.arange(-4, 6), 0, LEVELS - 1)
    single = np.float32
    darkest, brightest = single(low) / single(scale), single(high) / single(scale)
    stretched = (counts.astype(single) / single(scale) - darkest) / (brightest - darkest)
    reached = np.floor(stretched * single(QUANTISED)) >= steps[:, None]
    return counts[np.arange(QUANTISED - 1), reached.argmax(axis=1)]


def scan_plane(plane: Pixels, scale: int) -> PlaneSums:
    """Go over one plane, shape ``(y, x)``, uint8 or uint16; ``scale`` is the count that CellProfiler calls 1."""
    wide = np.ascontiguousarray(plane, np.uint16)
    height, width = wide.shape
    histogram = np.zeros(LEVELS, np.int64)
    low, high, total = count_values(wide, histogram)
    grids = [(window_grid(height, size), window_grid(width, size)) for size in SCALES]
    breaks = quantisation_breaks(low, high, scale).astype(np.float32)
    spread, middle = np.empty(len(SCALES)), np.empty(len(SCALES))
    levels, columns = np.zeros(2, np.int64), np.zeros((2, width), np.float32)
    products = np.zeros((len(SCALES), 5), np.int64)
    tiles, squares = np.zeros((2, height // TILE, width // TILE), np.int64)
    windows = [np.zeros((2, (len(rows) - 1) * (len(places) - 1)), np.float64) for rows, places in grids]
    _scan_rows(wide, breaks, tiles, squares, columns, products, *(part for grid in grids for part in grid), *windows)
    for index, (rows, places) in enumerate(grids):
        focus, found, spread[index] = _judge_windows(windows[index], np.diff(rows), np.diff(places))
        middle[index] = np.median(focus[:found]) if found else 0.0
    _sum_columns(columns, np.array(SCALES), levels, products)
    return PlaneSums(histogram, total / plane.size, levels, products, spread, middle, tiles, squares)


@compiled
def count_values(plane, histogram):
    """Histogram, from four partial ones so that equal neighbours do not wait for each other; least, greatest, sum."""
    parts = np.zeros((4, LEVELS), np.int32)
    flat = plane.ravel()
    whole = flat.size - flat.size % 4
    for i in range(0, whole, 4):
        parts[0, flat[i]] += 1
        parts[1, flat[i + 1]] += 1
        parts[2, flat[i + 2]] += 1
        parts[3, flat[i + 3]] += 1
    for i in range(whole, flat.size):
        parts[0, flat[i]] += 1
    low, high, total = LEVELS - 1, 0, 0
    for value in range(LEVELS):
        count = np.int64(parts[0, value]) + parts[1, value] + parts[2, value] + parts[3, value]
        histogram[value] = count
        if count:
            low, high = min(low, value), value
            total += count * value
    return low, high, total


@compiled_whole_sums
def _close_windows(sums, squares, row, places, windows):
    """Add up the columns of a finished row of windows, and begin the next one."""
    count = len(places) - 1
    for k in range(count):
        total, square = 0.0, 0.0
        for x in range(places[k], places[k + 1]):
            total += np.float64(sums[x])
            square += squares[x]
        windows[0, row * count + k] = total
        windows[1, row * count + k] = square
    sums[:] = 0
    squares[:] = 0


@compiled_whole_sums
def _scan_rows(plane, breaks, tiles, tile_squares, columns, products, y0, x0, y1, x1, y2, x2, y3, x3, w0, w1, w2, w3):
    """Go over the rows: window sums by column accumulators, the quantised plane and its products, tile sums."""
    height, width = plane.shape
    values, quantised = np.empty(width, np.float32), np.empty(width, np.float32)
    square = np.empty(width, np.float64)
    sums, squares = np.zeros((5, width), np.float32), np.zeros((5, width), np.float64)
    nearest = np.zeros(4, np.int64)
    for y in range(height):
        row = plane[y]
        for x in range(width):
            value = np.float32(row[x])
            level = np.float32(0)
            for k in range(QUANTISED - 1):
                level += np.float32(value >= breaks[k])
            quantised[x] = level
            values[x] = value
            wide = np.float64(row[x])
            square[x] = wide * wide
        for x in range(width):
            level = quantised[x]
            columns[0, x] += level
            columns[1, x] += level * level
        for k, offset in enumerate(SCALES):
            total = np.float32(0)
            for x in range(width - offset):
                total += quantised[x] * quantised[x + offset]
            products[k, 0] += np.int64(total)
        for k in range(5):
            held, held_squares = sums[k], squares[k]
            for x in range(width):
                held[x] += values[x]
            for x in range(width):
                held_squares[x] += square[x]
        if y + 1 == y0[nearest[0] + 1]:
            _close_windows(sums[0], squares[0], nearest[0], x0, w0)
            nearest[0] += 1
        if y + 1 == y1[nearest[1] + 1]:
            _close_windows(sums[1], squares[1], nearest[1], x1, w1)
            nearest[1] += 1
        if y + 1 == y2[nearest[2] + 1]:
            _close_windows(sums[2], squares[2], nearest[2], x2, w2)
            nearest[2] += 1
        if y + 1 == y3[nearest[3] + 1]:
            _close_windows(sums[3], squares[3], nearest[3], x3, w3)
            nearest[3] += 1
        if (y + 1) % TILE == 0:
            held, held_squares = sums[4], squares[4]
            for k in range(width // TILE):
                total, total_squares = 0.0, 0.0
                for x in range(TILE * k, TILE * (k + 1)):
                    total += np.float64(held[x])
                    total_squares += held_squares[x]
                tiles[y // TILE, k] = np.int64(total)
                tile_squares[y // TILE, k] = np.int64(total_squares)
            held[:] = 0
            held_squares[:] = 0


@compiled
def _sum_columns(columns, scales, levels, products):
    """From column sums of the quantised plane: its sums, and those of its first and last columns per offset."""
    width = columns.shape[1]
    for x in range(width):
        levels[0] += np.int64(columns[0, x])
        levels[1] += np.int64(columns[1, x])
    for k in range(len(scales)):
        offset = min(scales[k], width)
        for x in range(offset):
            products[k, 1] += np.int64(columns[0, x])
            products[k, 2] += np.int64(columns[1, x])
            products[k, 3] += np.int64(columns[0, width - 1 - x])
            products[k, 4] += np.int64(columns[1, width - 1 - x])


@compiled
def _judge_windows(windows, heights, widths):
    """(Sum of squared distances to the mean) / sum of each window but black ones, their number, and their variance."""
    across = len(widths)
    focus = np.empty(windows.shape[1], np.float64)
    lanes = np.zeros(LANES, np.float64)
    found = 0
    kept = np.empty(windows.shape[1], np.float64)
    for i in range(windows.shape[1]):
        total = np.int64(windows[0, i])
        if total == 0:
            focus[i] = np.nan
            continue
        pixels = heights[i // across] * widths[i % across]
        scatter = pixels * np.int64(windows[1, i]) - total * total
        focus[i] = np.float64(scatter) / np.float64(pixels * total)
        lanes[i % LANES] += focus[i]
        kept[found] = focus[i]
        found += 1
    if found == 0:
        return kept, found, np.nan
    mean = _add_lanes(lanes) / found
    lanes[:] = 0
    for i in range(windows.shape[1]):
        if focus[i] == focus[i]:
            distance = focus[i] - mean
            lanes[i % LANES] += distance * distance
    return kept, found, _add_lanes(lanes) / found


@compiled
def _add_lanes(lanes):
    step = len(lanes) // 2
    while step:
        for i in range(step):
            lanes[i] += lanes[i + step]
        step //= 2
    return lanes[0]
