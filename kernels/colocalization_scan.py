"""Whole numbers that the colocalisation of channels in objects is computed from: two passes over pixels on the CPU.

The first pass copies the objects' pixels, part after part, and marks which values each part of the objects has: that
ranks them without a sort. The second adds up products. The CUDA version is ``kernels/cuda/colocalization.cu``; both
give the same integers.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled, compiled_whole_sums
from kernels.object_sets import ObjectSets
from kernels.planes import Pixels
from kernels.set_pixels import (
    LEVELS,
    PARTS,
    SINGLE,
    divide_into_parts,
    find_runs,
    gather_runs,
    greatest_object,
    order_by_parts,
)

SUM, SQUARES, ROUNDING, ABOVE = range(4)
CHANNEL_FIELDS = 4
PRODUCTS, ROUNDED_PRODUCTS, FIRST, SECOND, FIRST_SQUARES, SECOND_SQUARES, BOTH, FIRST_APART, SECOND_APART = range(9)
PAIR_FIELDS = 9
COSTES_FIELDS = 4
_CHUNK = 2048
"""Pixels whose sums are taken in float64: their squares add up to less than 2**53, and they stay in the cache."""

Integers = npt.NDArray[np.int64]


ROUNDING_UNIT = 2.0**-23
ROUNDINGS = np.rint((SINGLE.astype(np.float64) * (LEVELS - 1) - np.arange(LEVELS)) / ROUNDING_UNIT).astype(np.int16)
"""What single precision adds to each count, in units of ``ROUNDING_UNIT``: CellProfiler correlates rounded
pixels, and of channels that hardly correlate that is seen in the sixth digit."""


class ColocalizationState(NamedTuple):
    """Whole numbers of the objects; 0 where an object is not in a set.

    Parameters
    ----------
    channels
        Of each channel the sums of the pixels, of their squares, of their ``ROUNDINGS``, and of the pixels that reach
        the channel's threshold in the object, shape ``(k, s, c, CHANNEL_FIELDS)``, int64.
    pairs
        Of each pair the sum of products, and of each channel's pixels times the other's ``ROUNDINGS``; then, of the
        pixels that reach both thresholds, sums of the first and of the second channel, of the squares of both, of
        products, and of the first and the second channel times the distance of the pixel's ranks in the two; shape
        ``(k, s, p, PAIR_FIELDS)``, int64.
    ranks
        Greatest rank of a value among all pixels of a set, from 0, shape ``(s, c)``, int64.
    costes
        Of each pair the sums of the first and of the second channel over pixels above both Costes thresholds, and over
        those that reach the channel's own, shape ``(k, s, p, COSTES_FIELDS)``, int64; without pairs if not asked for.
    """

    channels: Integers
    pairs: Integers
    ranks: Integers
    costes: Integers


def list_pairs(channels: int) -> Integers:
    """List all pairs of channels by index, shape ``(c (c - 1) / 2, 2)``: 0 1, 0 2, ..., 1 2, ..."""
    return np.array([(i, j) for i in range(channels) for j in range(i + 1, channels)], np.int64).reshape(-1, 2)


@lru_cache(maxsize=4)
def list_thresholds(percent: float) -> npt.NDArray[np.int32]:
    """Least count that reaches ``percent`` of each count, as CellProfiler compares them in single precision."""
    return np.searchsorted(SINGLE, np.float32(percent / 100) * SINGLE).astype(np.int32)


def scan_objects(
    planes: Pixels, objects: ObjectSets, pairs: Integers, thresholds: npt.NDArray[np.int32], costes: Integers
) -> ColocalizationState:
    """Go over the objects of planes.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16.
    objects
        Objects on these planes.
    pairs
        Indices of channels, shape ``(p, 2)``.
    thresholds
        Least count that reaches the threshold of an object by its greatest pixel, shape ``(65536,)``.
    costes
        For each pair the least counts that reach the Costes threshold of the first channel, are above it, and the same
        of the second, shape ``(p, 4)``; ``(0, 4)`` leaves these sums out.
    """
    count, sets, channels = objects.count, objects.n_sets, len(planes)
    parts = divide_into_parts(sets, objects.outer)
    values = np.empty((channels, objects.position.size), np.uint16)
    bounds = np.zeros((count, PARTS + 1), np.int64)
    seen = np.zeros((channels, PARTS, LEVELS), np.uint8)
    flat = np.ascontiguousarray(planes).reshape(channels, planes.shape[1] * planes.shape[2])
    order = np.empty((2, greatest_object(objects) + 1), np.int32)
    _gather(flat, objects.start, objects.position, objects.member, parts.of_member, order, values, bounds, seen)
    rank_of = np.empty((sets, channels, LEVELS), np.uint16)
    ranks = _rank(seen, parts.of_set, rank_of)
    state = ColocalizationState(
        np.zeros((count, sets, channels, CHANNEL_FIELDS), np.int64),
        np.zeros((count, sets, len(pairs), PAIR_FIELDS), np.int64),
        ranks,
        np.zeros((count, sets, len(costes), COSTES_FIELDS), np.int64),
    )
    work = np.empty((3, channels, _CHUNK), np.float32)
    _add_up(
        values,
        objects.start,
        bounds,
        parts.of_set,
        pairs,
        thresholds,
        rank_of,
        ROUNDINGS,
        work,
        state.channels,
        state.pairs,
    )
    if len(costes):
        _add_costes(values, objects.start, bounds, parts.of_set, pairs, costes, state.costes)
    return state


@compiled
def _gather(planes, start, position, member, part_of_member, order, values, bounds, seen):
    """Copy the pixels of each object, part after part, and mark the values of each part of all objects."""
    ordered, runs = order[0], order[1]
    for label in range(len(start) - 1):
        begin, end = start[label], start[label + 1]
        if begin == end:
            continue
        order_by_parts(member[begin:end], position[begin:end], part_of_member, ordered, bounds[label])
        n_runs = find_runs(ordered[: end - begin], runs)
        for channel in range(len(planes)):
            copied = values[channel, begin:end]
            gather_runs(planes[channel], ordered, runs, n_runs, copied)
            for part in range(PARTS):
                _mark(copied[bounds[label, part] : bounds[label, part + 1]], seen[channel, part])


@compiled
def _mark(values, seen):
    for i in range(len(values)):
        seen[values[i]] = 1


@compiled
def _rank(seen, parts_of_set, rank_of):
    """Number the values that a set has in each channel from 0 on; give the greatest rank (-1 in an empty set)."""
    sets, channels = rank_of.shape[:2]
    greatest = np.empty((sets, channels), np.int64)
    for z in range(sets):
        first, last = parts_of_set[z]
        for channel in range(channels):
            rank = 0
            ranks = rank_of[z, channel]
            for value in range(LEVELS):
                ranks[value] = rank
                is_seen = np.uint8(0)
                for part in range(first, last):
                    is_seen |= seen[channel, part, value]
                rank += is_seen
            greatest[z, channel] = rank - 1
    return greatest


@compiled
def _find_greatest(values):
    greatest = np.uint16(0)
    for i in range(len(values)):
        greatest = values[i] if values[i] > greatest else greatest
    return greatest


@compiled
def _add_up(values, start, bounds, parts_of_set, pairs, thresholds, rank_of, roundings, work, of_channel, of_pair):
    sets, channels = rank_of.shape[:2]
    least = np.zeros(channels, np.float32)
    part_of_channel = np.zeros((channels, CHANNEL_FIELDS), np.int64)
    part_of_pair = np.zeros((len(pairs), PAIR_FIELDS), np.int64)
    for label in range(len(start) - 1):
        for part in range(PARTS):
            begin, end = start[label] + bounds[label, part], start[label] + bounds[label, part + 1]
            if begin == end:
                continue
            part_of_channel[:] = 0
            part_of_pair[:] = 0
            _add_part(values[:, begin:end], pairs, roundings, work, part_of_channel, part_of_pair)
            for z in range(sets):
                if parts_of_set[z, 0] <= part < parts_of_set[z, 1]:
                    of_channel[label, z] += part_of_channel
                    of_pair[label, z] += part_of_pair
        for z in range(sets):
            begin = start[label] + bounds[label, parts_of_set[z, 0]]
            end = start[label] + bounds[label, parts_of_set[z, 1]]
            for channel in range(channels):
                least[channel] = thresholds[_find_greatest(values[channel, begin:end])]
            _add_set(values[:, begin:end], pairs, least, rank_of[z], work, of_channel[label, z], of_pair[label, z])


@compiled
def _add_part(values, pairs, roundings, work, of_channel, of_pair):
    """Add up what does not depend on thresholds and ranks."""
    for chunk in range(0, values.shape[1], _CHUNK):
        n = min(_CHUNK, values.shape[1] - chunk)
        for channel in range(len(values)):
            pixels, rounded = work[0, channel, :n], work[1, channel, :n]
            _round(values[channel, chunk : chunk + n], roundings, pixels, rounded, of_channel[channel])
        for pair in range(len(pairs)):
            i, j = pairs[pair]
            _add_products(work[0, i, :n], work[0, j, :n], work[1, i, :n], work[1, j, :n], of_pair[pair])


@compiled_whole_sums
def _round(values, roundings, pixels, rounded, state):
    total, squares, total_rounded = 0.0, 0.0, 0.0
    for i in range(len(values)):
        rounded[i] = roundings[values[i]]
    for i in range(len(values)):
        value = np.float64(values[i])
        pixels[i] = values[i]
        total += value
        squares += value * value
        total_rounded += np.float64(rounded[i])
    state[SUM] += np.int64(total)
    state[SQUARES] += np.int64(squares)
    state[ROUNDING] += np.int64(total_rounded)


@compiled_whole_sums
def _add_products(first, second, first_rounded, second_rounded, state):
    products, rounded = 0.0, 0.0
    for i in range(len(first)):
        one, other = np.float64(first[i]), np.float64(second[i])
        products += one * other
        rounded += one * np.float64(second_rounded[i]) + other * np.float64(first_rounded[i])
    state[PRODUCTS] += np.int64(products)
    state[ROUNDED_PRODUCTS] += np.int64(rounded)


@compiled
def _add_set(values, pairs, least, rank_of, work, of_channel, of_pair):
    """Add up what pixels that reach thresholds give."""
    for chunk in range(0, values.shape[1], _CHUNK):
        n = min(_CHUNK, values.shape[1] - chunk)
        for channel in range(len(values)):
            above, is_above, ranks = work[0, channel, :n], work[1, channel, :n], work[2, channel, :n]
            pixels = values[channel, chunk : chunk + n]
            _judge(pixels, least[channel], rank_of[channel], above, is_above, ranks, of_channel[channel])
        for pair in range(len(pairs)):
            i, j = pairs[pair]
            _add_pair(
                work[0, i, :n],
                work[0, j, :n],
                work[1, i, :n],
                work[1, j, :n],
                work[2, i, :n],
                work[2, j, :n],
                of_pair[pair],
            )


@compiled_whole_sums
def _judge(values, least, rank_of, above, is_above, ranks, state):
    """Pixels that reach the threshold and 0 for the others, 1 and 0, and the ranks of all."""
    total = 0.0
    for i in range(len(values)):
        value = np.float32(values[i])
        reaches = np.float32(value >= least)
        above[i] = value * reaches
        is_above[i] = reaches
        total += np.float64(value * reaches)
    for i in range(len(values)):
        ranks[i] = rank_of[values[i]]
    state[ABOVE] += np.int64(total)


@compiled_whole_sums
def _add_pair(first, second, first_above, second_above, first_ranks, second_ranks, state):
    """Sums over the pixels of a chunk that reach both thresholds; the others are 0 in what is added."""
    sum_first, sum_second, squares_first, squares_second = 0.0, 0.0, 0.0, 0.0
    products, apart_first, apart_second = 0.0, 0.0, 0.0
    for i in range(len(first)):
        one, other = np.float64(first[i] * second_above[i]), np.float64(second[i] * first_above[i])
        distance = np.float64(abs(first_ranks[i] - second_ranks[i]))
        sum_first += one
        sum_second += other
        squares_first += one * one
        squares_second += other * other
        products += one * other
        apart_first += one * distance
        apart_second += other * distance
    state[FIRST] += np.int64(sum_first)
    state[SECOND] += np.int64(sum_second)
    state[FIRST_SQUARES] += np.int64(squares_first)
    state[SECOND_SQUARES] += np.int64(squares_second)
    state[BOTH] += np.int64(products)
    state[FIRST_APART] += np.int64(apart_first)
    state[SECOND_APART] += np.int64(apart_second)


@compiled
def _add_costes(values, start, bounds, parts_of_set, pairs, costes, of_pair):
    for label in range(len(start) - 1):
        for z in range(len(parts_of_set)):
            begin = start[label] + bounds[label, parts_of_set[z, 0]]
            end = start[label] + bounds[label, parts_of_set[z, 1]]
            for pair in range(len(pairs)):
                i, j = pairs[pair]
                _add_above(values[i, begin:end], values[j, begin:end], costes[pair], of_pair[label, z, pair])


@compiled
def _add_above(first, second, limits, state):
    reach_first, above_first, reach_second, above_second = limits[0], limits[1], limits[2], limits[3]
    both_first, both_second, all_first, all_second = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for i in range(len(first)):
        one, other = np.int64(first[i]), np.int64(second[i])
        is_above = np.int64(one >= above_first) & np.int64(other >= above_second)
        both_first += one * is_above
        both_second += other * is_above
        all_first += one * np.int64(one >= reach_first)
        all_second += other * np.int64(other >= reach_second)
    state[0], state[1], state[2], state[3] = both_first, both_second, all_first, all_second
