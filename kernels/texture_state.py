"""The whole-number state of co-occurrence matrices on the CPU, from counted pairs of grey levels.

A pair's key is the difference of its levels, shifted up by so many bits as a level has, plus the lower level.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.texture_terms import entropy_term

ANGLES = 4
"""Steps of d pixels: 00 to the right, 01 to the right and down, 02 down, 03 to the left and down."""
PAIRS, LEVELS, SQUARED_LEVELS, CONTRAST, NEARNESS, SQUARED_ENTRIES = range(6)
ENTRY_TERMS, LEVEL_TERMS, SUM_TERMS, DIFFERENCE_TERMS, SQUARED_DIFFERENCES, EQUAL_PAIRS = range(6, 12)
STATE = 12
"""Numbers kept of a matrix, levels counted as ``TextureState.levels`` says: pairs; sum of the levels of both pixels of
all pairs, and of their squares; sum of squared differences of levels; sum of ``nearness_table`` over the differences;
sum of squared entries (pairs of the same two levels), twice those of equal levels; ``entropy_term`` summed over the
entries, over pixels per level, over pairs per sum of levels and per difference; sum of squared pairs per difference;
pairs of equal levels."""
NEARNESS_ONE = 1 << 38
"""Unit of ``nearness_table``: half of it for each of 2**26 pairs stays below 2**63."""

_TABLE_BITS = np.uint64(16)

Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


class TextureState(NamedTuple):
    """What the pass over k objects gives.

    ``sums`` (k, c, scales, ANGLES, s, STATE) int64: 0 for all angles of a step that is as long as a side of the
    object's box; ``levels`` (k, c, 1 + s) int32: the grey level that counts as 1, and the greatest of each set, 0 where
    there is none. Level 1 is the object's least above 0; in whole planes, where level 0 counts, one above it.
    """

    sums: Integers
    levels: npt.NDArray[np.int32]


def nearness_table() -> Integers:
    """Give ``NEARNESS_ONE`` / (1 + squared difference), rounded, of the differences 1 to 255; 0 for equal levels."""
    squares = np.arange(256, dtype=np.int64) ** 2 + 1
    table = (NEARNESS_ONE + squares // 2) // squares
    table[0] = 0
    return table


@compiled
def bits_of(value):
    """Give how many bits a whole number takes, at least 1."""
    bits = 1
    while value >> bits:
        bits += 1
    return bits


@compiled
def subtract(one, other, row, keys):
    """Make keys of the levels of pairs; ``row`` is what a difference of 1 makes of a key."""
    row = np.uint16(row)
    for t in range(len(keys)):
        a, b = one[t], other[t]
        keys[t] = np.uint16(max(a, b) - min(a, b)) * row + min(a, b)


@compiled
def list_keys(counts, lowest, most, shift, listed):
    """List the keys of all entries that are not 0, of ``most`` levels from ``lowest`` on."""
    found = np.uint64(0)
    for difference in range(most):
        row = counts[difference << shift : (difference + 1) << shift]
        key = np.uint16(difference << shift)
        for lower in range(lowest, lowest + most - difference):
            listed[found] = key + np.uint16(lower)
            found += np.uint64(row[lower] != 0)
    return np.int64(found)


@compiled
def sum_entries(counts, listed, found, shift, bits, terms, marginals, state):
    """Take the entries of a matrix out of ``counts``: their own sums, and their marginals."""
    mask, one, two = np.uint64((1 << bits) - 1), np.uint64(bits), np.uint64(min(2 * bits, 63))
    low, row = np.uint64((1 << shift) - 1), np.uint64(shift)
    terms0, terms1, terms2 = 0, 0, 0
    squares0, squares1, squares2 = np.uint64(0), np.uint64(0), np.uint64(0)
    per_level, per_difference, per_sum = marginals
    for t in range(found):
        key = np.uint64(listed[t])
        count = np.uint64(counts[key])
        counts[key] = 0
        lower, difference = key & low, key >> row
        per_level[lower] += count
        per_level[lower + difference] += count
        per_sum[lower + lower + difference] += count
        per_difference[difference] += count
        twice = np.uint64(difference == 0)
        first, second, third = count & mask, count >> one & mask, count >> two
        if (first | second | third) >> _TABLE_BITS:
            terms0 += entropy_term(first)
            terms1 += entropy_term(second)
            terms2 += entropy_term(third)
        else:
            terms0 += terms[first]
            terms1 += terms[second]
            terms2 += terms[third]
        squares0 += (first * first) << twice
        squares1 += (second * second) << twice
        squares2 += (third * third) << twice
    for z in range(len(state)):
        state[z, ENTRY_TERMS] = (terms0, terms1, terms2)[z]
        state[z, SQUARED_ENTRIES] = (squares0, squares1, squares2)[z]


@compiled
def sum_marginals(marginals, most, bits, terms, nearness, state):
    """Sum up and clear the pixels per level and the pairs per sum and per difference of levels."""
    mask, levels = np.uint64((1 << bits) - 1), most + 1
    per_level, per_difference, per_sum = marginals[0, :levels], marginals[1, :most], marginals[2, : 2 * levels]
    for z in range(len(state)):
        shift = np.uint64(bits * z)
        _sum_levels(per_level, shift, mask, terms, state[z])
        _sum_differences(per_difference, shift, mask, terms, nearness, state[z])
        total = 0
        for t in range(len(per_sum)):
            total += _look_up(per_sum[t] >> shift & mask, terms)
        state[z, SUM_TERMS] = total
    per_level[:] = 0
    per_difference[:] = 0
    per_sum[:] = 0


@compiled
def _look_up(count, terms):
    return entropy_term(count) if count >> _TABLE_BITS else terms[count]


@compiled
def _sum_levels(packed, shift, mask, terms, of_set):
    levels, squares, total = np.uint64(0), np.uint64(0), 0
    for t in range(len(packed)):
        count = packed[t] >> shift & mask
        weighted = count * np.uint64(t)
        levels += weighted
        squares += weighted * np.uint64(t)
        total += _look_up(count, terms)
    of_set[LEVELS], of_set[SQUARED_LEVELS], of_set[LEVEL_TERMS] = levels, squares, total


@compiled
def _sum_differences(packed, shift, mask, terms, nearness, of_set):
    pairs, contrast, near, squared, total = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0), 0
    for t in range(len(packed)):
        count = packed[t] >> shift & mask
        pairs += count
        contrast += count * np.uint64(t * t)
        near += count * np.uint64(nearness[t])
        squared += count * count
        total += _look_up(count, terms)
    of_set[PAIRS], of_set[CONTRAST], of_set[NEARNESS], of_set[SQUARED_DIFFERENCES] = pairs, contrast, near, squared
    of_set[DIFFERENCE_TERMS], of_set[EQUAL_PAIRS] = total, packed[0] >> shift & mask
