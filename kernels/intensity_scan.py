"""Whole numbers that the brightness of objects is computed from: one pass over the pixels of each object on the CPU.

The CUDA version is ``kernels/cuda/intensity.cu``; both give the same integers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.object_sets import EDGE, ObjectSets
from kernels.planes import Pixels
from kernels.set_pixels import (
    LEVELS,
    PARTS,
    SINGLE,
    divide_into_parts,
    find_runs,
    gather_runs,
    greatest_object,
    locate,
    order_by_parts,
)

SUM, SQUARES, SUM_X, SUM_Y, LEAST, GREATEST, PEAK = range(7)
EDGE_SUM, EDGE_SQUARES, EDGE_LEAST, EDGE_GREATEST = range(7, 11)
ORDER = 11
"""From here on the values at the sorted places n/4, n/4 + 1, n/2, n/2 + 1, 3n/4, 3n/4 + 1, rounded down, from 0."""
DISTANCE = 17
"""The values whose distances to the median are at the sorted places n/2 and n/2 + 1."""
FIELDS = 19
EDGE_PIXELS, PIXELS_X, PIXELS_Y = range(3)

BLOCK_BITS = 6
"""A histogram is walked by blocks of 64 values."""
_SPARSE = 16
"""Blocks are counted pixel by pixel where there are fewer pixels than values between the extremes over this."""


class IntensityState(NamedTuple):
    """Whole numbers of the objects; those of an object that is not in a set mean nothing.

    Parameters
    ----------
    counts
        Fields ``SUM`` to ``DISTANCE + 1`` of each channel, shape ``(k, s, c, FIELDS)``, int64: sum of the pixels and of
        their squares, sums of pixel times column and times row, least, greatest, index ``y * width + x`` of the first
        greatest pixel; sum, sum of squares, least and greatest of the edge pixels (0 if there is none); order
        statistics, those beyond the last being the last.
    places
        Number of edge pixels, sums of the columns and of the rows of the pixels, shape ``(k, s, 3)``, int64.
    """

    counts: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]


def scan_objects(planes: Pixels, objects: ObjectSets) -> IntensityState:
    """Go over the objects of planes, shape ``(c, y, x)``, uint16."""
    sets, channels = objects.n_sets, len(planes)
    counts = np.zeros((objects.count, sets, channels, FIELDS), np.int64)
    places = np.zeros((objects.count, sets, 3), np.int64)
    parts = divide_into_parts(sets, objects.outer)
    longest = greatest_object(objects)
    _scan(
        np.ascontiguousarray(planes).reshape(channels, planes.shape[1] * planes.shape[2]),
        planes.shape[2],
        objects.start,
        objects.position,
        objects.member,
        parts.of_member,
        parts.of_set,
        SINGLE.astype(np.float64),
        np.empty((4, longest + 1), np.int32),
        np.empty(longest, np.uint16),
        np.empty((sets + 1, longest), np.int32),
        counts,
        places,
    )
    return IntensityState(counts, places)


@compiled
def _scan(
    planes,
    width,
    start,
    position,
    member,
    part_of_member,
    parts_of_set,
    single,
    pixels,
    values,
    edges,
    counts,
    places,
):
    sets = len(parts_of_set)
    order, rows, columns, runs = pixels[0], pixels[1], pixels[2], pixels[3]
    bounds, n_edge = np.zeros(PARTS + 1, np.int64), np.zeros(sets, np.int64)
    partial = np.zeros((PARTS, PEAK + 1), np.int64)
    fine, below = np.zeros(LEVELS, np.int32), np.zeros((LEVELS >> BLOCK_BITS) + 1, np.int64)
    for label in range(len(start) - 1):
        if start[label] == start[label + 1]:
            continue
        members = member[start[label] : start[label + 1]]
        order_by_parts(members, position[start[label] : start[label + 1]], part_of_member, order, bounds)
        size = bounds[PARTS]
        n_runs = find_runs(order[:size], runs)
        locate(order[:size], width, rows, columns)
        _add_places(rows, columns, bounds, parts_of_set, places[label])
        _list_edges(position[start[label] : start[label + 1]], members, edges, n_edge)
        places[label, :, EDGE_PIXELS] = n_edge
        for channel in range(len(planes)):
            plane = planes[channel]
            gather_runs(plane, order, runs, n_runs, values)
            for part in range(PARTS):
                begin, end = bounds[part], bounds[part + 1]
                if begin < end:
                    stretch = values[begin:end]
                    _sum_part(stretch, rows[begin:end], columns[begin:end], order[begin:end], partial[part])
            counted_begin, counted_end = np.int64(0), np.int64(0)
            for z in range(sets):
                first, last = parts_of_set[z]
                begin, end = bounds[first], bounds[last]
                if begin == end:
                    continue
                state = counts[label, z, channel]
                _join_parts(partial, bounds, first, last, state)
                _sum_edge(plane, edges[z], n_edge[z], state)
                _move_stretch(values, fine, counted_begin, counted_end, begin, end)
                counted_begin, counted_end = begin, end
                _find_order(values, begin, end, fine, below, single, state)
            _move_stretch(values, fine, counted_begin, counted_end, np.int64(0), np.int64(0))


@compiled
def _add_places(rows, columns, bounds, parts_of_set, places):
    for z in range(len(parts_of_set)):
        begin, end = bounds[parts_of_set[z, 0]], bounds[parts_of_set[z, 1]]
        places[z, PIXELS_X] = _add_up(columns[begin:end])
        places[z, PIXELS_Y] = _add_up(rows[begin:end])


@compiled
def _add_up(numbers):
    total = np.int64(0)
    for i in range(len(numbers)):
        total += numbers[i]
    return total


@compiled
def _list_edges(position, member, edges, n_edge):
    """Write the positions of each set's edge pixels; ``edges`` has a last row to work in.

    Every pixel is written, and the next one over it if it is not wanted: there is no branch to guess.
    """
    sets, any_edge, found = len(n_edge), edges[len(n_edge)], 0
    for i in range(len(member)):
        any_edge[found] = i
        found += member[i] >> EDGE != 0
    for z in range(sets):
        listed, wanted = edges[z], 0
        for i in any_edge[:found]:
            listed[wanted] = position[i]
            wanted += member[i] >> (EDGE + z) & 1
        n_edge[z] = wanted


@compiled
def _sum_part(values, rows, columns, order, partial):
    total, squares, by_x, by_y = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for i in range(len(values)):
        value = np.int64(values[i])
        total += value
        squares += value * value
        by_x += value * columns[i]
        by_y += value * rows[i]
    least, greatest = _find_extremes(values)
    peak = 0
    while values[peak] != greatest:
        peak += 1
    partial[SUM], partial[SQUARES], partial[SUM_X], partial[SUM_Y] = total, squares, by_x, by_y
    partial[LEAST], partial[GREATEST], partial[PEAK] = least, greatest, order[peak]


@compiled
def _find_extremes(values):
    least, greatest = np.uint16(LEVELS - 1), np.uint16(0)
    for i in range(len(values)):
        value = values[i]
        least = value if value < least else least
        greatest = value if value > greatest else greatest
    return least, greatest


@compiled
def _join_parts(partial, bounds, first, last, state):
    state[LEAST], state[GREATEST] = LEVELS, -1
    for part in range(first, last):
        if bounds[part] == bounds[part + 1]:
            continue
        for field in range(SUM, SUM_Y + 1):
            state[field] += partial[part, field]
        state[LEAST] = min(state[LEAST], partial[part, LEAST])
        greatest, peak = partial[part, GREATEST], partial[part, PEAK]
        if greatest > state[GREATEST] or (greatest == state[GREATEST] and peak < state[PEAK]):
            state[GREATEST], state[PEAK] = greatest, peak


@compiled
def _sum_edge(plane, edge, n_edge, state):
    if n_edge == 0:
        return
    total, squares, least, greatest = np.int64(0), np.int64(0), np.int64(LEVELS), np.int64(-1)
    for i in range(n_edge):
        value = np.int64(plane[edge[i]])
        total += value
        squares += value * value
        least = min(least, value)
        greatest = max(greatest, value)
    state[EDGE_SUM], state[EDGE_SQUARES], state[EDGE_LEAST], state[EDGE_GREATEST] = total, squares, least, greatest


@compiled
def _move_stretch(values, fine, old_begin, old_end, begin, end):
    """Make a histogram of the pixels ``old_begin`` to ``old_end`` one of ``begin`` to ``end``."""
    _count_values(values[old_begin : min(old_end, max(begin, old_begin))], -1, fine)
    _count_values(values[max(old_begin, min(end, old_end)) : old_end], -1, fine)
    _count_values(values[begin : min(end, max(old_begin, begin))], 1, fine)
    _count_values(values[max(begin, min(old_end, end)) : end], 1, fine)


@compiled
def _count_values(values, step, fine):
    for i in range(len(values)):
        fine[values[i]] += step


@compiled
def _find_order(values, begin, end, fine, below, single, state):
    """Order statistics of a histogram; ``below`` gets the number of pixels below each block of values."""
    n = end - begin
    _count_blocks(values, begin, end, fine, below, state[LEAST], state[GREATEST])
    block = state[LEAST] >> BLOCK_BITS
    for k in range(6):
        rank = min(n * (k // 2 + 1) // 4 + k % 2, n - 1)
        while below[block + 1] <= rank:
            block += 1
        left, value = rank - below[block], block << BLOCK_BITS
        while left >= fine[value]:
            left -= fine[value]
            value += 1
        state[ORDER + k] = value
    has_half = n % 2 == 1 and n > 1
    low, high = state[ORDER + 2], state[ORDER + 3]
    doubled = low + high if has_half else 2 * low
    median = single[low] * 0.5 + single[high] * 0.5 if has_half else single[low]
    distance = np.int64(0)
    for k in range(2):
        rank = min(n // 2 + k, n - 1)
        distance = _find_distance(fine, below, state, n, doubled, rank, distance)
        state[DISTANCE + k] = _choose_side(fine, below, state, n, doubled, rank, distance, single, median)


@compiled
def _count_blocks(values, begin, end, fine, below, least, greatest):
    first, last = least >> BLOCK_BITS, greatest >> BLOCK_BITS
    if greatest - least <= _SPARSE * (end - begin):
        for block in range(first, last + 1):
            below[block + 1] = _add_counts(fine[block << BLOCK_BITS : (block + 1) << BLOCK_BITS])
    else:
        below[first : last + 2] = 0
        for value in values[begin:end]:
            below[(value >> BLOCK_BITS) + 1] += 1
    below[first] = 0
    for block in range(first, last + 1):
        below[block + 1] += below[block]


@compiled
def _count_to(fine, below, state, n, limit):
    """Number of pixels of at most ``limit``."""
    if limit >= state[GREATEST]:
        return np.int64(n)
    if limit < state[LEAST]:
        return np.int64(0)
    block = limit >> BLOCK_BITS
    return below[block] + _add_counts(fine[block << BLOCK_BITS : limit + 1])


@compiled
def _add_counts(counts):
    total = np.int32(0)
    for i in range(len(counts)):
        total = np.int32(total + counts[i])
    return total


@compiled
def _count_within(fine, below, state, n, doubled, distance):
    """Number of pixels whose doubled value is at most ``distance`` from the doubled median."""
    upper, lower = (doubled + distance) >> 1, (doubled - distance + 1) >> 1
    return _count_to(fine, below, state, n, upper) - _count_to(fine, below, state, n, lower - 1)


@compiled
def _find_distance(fine, below, state, n, doubled, rank, least):
    """Doubled distance to the median at a sorted place, by bisection from ``least`` on."""
    if _count_within(fine, below, state, n, doubled, least) > rank:
        return least
    low, high = least + 1, max(2 * state[GREATEST] - doubled, doubled - 2 * state[LEAST])
    while low < high:
        middle = (low + high) >> 1
        if _count_within(fine, below, state, n, doubled, middle) > rank:
            high = middle
        else:
            low = middle + 1
    return low


@compiled
def _choose_side(fine, below, state, n, doubled, rank, distance, single, median):
    """Value at a sorted place of the distances, of the two that are ``distance`` away on either side of the median.

    CellProfiler sorts distances of single-precision values, where the two are not always equally far.
    """
    left, right = (doubled - distance) >> 1, (doubled + distance) >> 1
    n_left = fine[left] if left >= state[LEAST] else 0
    n_right = fine[right] if right <= state[GREATEST] else 0
    if n_left == 0 or left == right:
        return right
    if n_right == 0:
        return left
    nearer = _count_within(fine, below, state, n, doubled, distance - 1)
    is_left_nearer = abs(single[left] - median) <= abs(single[right] - median)
    if is_left_nearer:
        return left if rank - nearer < n_left else right
    return right if rank - nearer < n_right else left
