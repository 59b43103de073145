"""One pass over the objects on the CPU: the whole-number state of every co-occurrence matrix of their texture.

A matrix counts pairs of grey levels of pixels that lie a fixed step apart in one object of one set. What Haralick's
features need of it are sums of whole numbers (``STATE``), so that any order of adding gives the same values. The CUDA
version is ``kernels/cuda/texture.cu``; both give the same state.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.object_sets import ObjectSets
from kernels.texture_terms import entropy_term, first_terms

ANGLES = 4
"""Steps of d pixels: 00 to the right, 01 to the right and down, 02 down, 03 to the left and down."""
PAIRS, LEVELS, SQUARED_LEVELS, CONTRAST, NEARNESS, SQUARED_ENTRIES = range(6)
ENTRY_TERMS, LEVEL_TERMS, SUM_TERMS, DIFFERENCE_TERMS, SQUARED_DIFFERENCES, EQUAL_PAIRS = range(6, 12)
STATE = 12
"""Numbers kept of a matrix, levels counted from 1 for the object's least: pairs; sum of the levels of both pixels of
all pairs, and of their squares; sum of squared differences of levels; sum of ``nearness_table`` over the differences;
sum of squared entries (pairs of the same two levels), twice those of equal levels; ``entropy_term`` summed over the
entries, over pixels per level, over pairs per sum of levels and per difference; sum of squared pairs per difference;
pairs of equal levels."""
NEARNESS_ONE = 1 << 38

_LANE_BITS = 21
"""A count of pairs takes so many bits: three sets share one number of 63."""
_MOST_PIXELS = 1 << (_LANE_BITS - 1)
"""Each pixel of an object may be in two pairs; objects of this many pixels are counted set by set."""
_VECTOR = 32
"""Pixels are read in groups of so many: buffers have that much room at their end."""
_TABLE_BITS = np.uint64(16)
_NEAR = 64
"""Runs of pixels that are nearer than this are gone over together."""

Integers = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


class TextureState(NamedTuple):
    """What the pass over k objects gives.

    ``sums`` (k, c, scales, ANGLES, s, STATE) int64: 0 for all angles of a step that is as long as a side of the
    object's box; ``levels`` (k, c, 1 + s) int32: the object's least grey level above 0, and the greatest of each set,
    0 where there is none.
    """

    sums: Integers
    levels: npt.NDArray[np.int32]


def nearness_table() -> Integers:
    """Give ``NEARNESS_ONE`` / (1 + squared difference), rounded, of the differences 1 to 255; 0 for equal levels."""
    squares = np.arange(256, dtype=np.int64) ** 2 + 1
    table = (NEARNESS_ONE + squares // 2) // squares
    table[0] = 0
    return table


def scan_objects(
    planes: npt.NDArray[np.uint16], tables: Bytes, objects: ObjectSets, scales: Integers, first: int, last: int
) -> TextureState:
    """Go over the objects ``first`` to ``last - 1`` (from 0).

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16.
    tables
        Grey level of each count, shape ``(c, 65536)``, uint8; pixels of level 0 are in no pair.
    objects
        The objects, and their pixels.
    scales
        Lengths of the steps, pixels, shape ``(n,)``, int64.
    first, last
        Which objects.
    """
    sets, channels = objects.n_sets, len(planes)
    sums = np.zeros((last - first, channels, len(scales), ANGLES, sets, STATE), np.int64)
    levels = np.zeros((last - first, channels, 1 + sets), np.int32)
    start = objects.start[first : last + 1]
    pixels = (planes.reshape(channels, -1), tables, planes.shape[2], objects.position, objects.member)
    where = (objects.boxes[first:last], start, scales, first_terms(), nearness_table())
    is_small = np.diff(start) < _MOST_PIXELS
    _scan(*pixels, *where, is_small, _share_lanes(range(sets)), _LANE_BITS, sums, levels)
    if not is_small.all():
        for z in range(sets):
            _scan(*pixels, *where, ~is_small, _share_lanes([z]), 63, sums[..., z : z + 1, :], levels)
    return TextureState(sums, levels)


def _share_lanes(sets: range | list[int]) -> Integers:
    """What a pair adds to a count, by the bits of the sets that it is in."""
    bits = np.arange(8)
    return sum(((bits >> z & 1) << (_LANE_BITS * lane) for lane, z in enumerate(sets)), np.zeros(8, np.int64)).astype(np.uint64)


@compiled
def _scan(
    flat, tables, width, position, member, boxes, start, scales, terms, nearness, chosen, shares, bits, sums, levels
):
    channels, gap = len(flat), scales.max()
    most_pixels, crop_size = _find_room(boxes, start, chosen, gap)
    crops = np.zeros((channels + 1, crop_size), np.uint8)
    inside = crops[channels]
    runs, paired, stretches = np.empty((3, most_pixels + 1, 3), np.int64)
    keys, shared = np.empty(crop_size, np.uint16), np.empty(crop_size, np.uint8)
    counts, listed, marginals = np.zeros(65_536, np.uint64), np.empty(65_536, np.uint16), np.zeros((3, 512), np.uint64)
    for index in range(len(boxes)):
        if start[index + 1] == start[index] or not chosen[index]:
            continue
        height, across = boxes[index, 2] - boxes[index, 0], boxes[index, 3] - boxes[index, 1]
        stride = across + gap
        n_runs = _list_runs(position, start[index], start[index + 1], width, boxes[index], stride, gap, runs)
        n_stretches = _join_runs(runs, n_runs, stretches)
        _draw(flat, tables, position, member, runs[:n_runs], stretches[:n_stretches], crops, levels[index])
        for k in range(len(scales)):
            step = scales[k]
            if height <= step or across <= step:
                continue
            for angle in range(ANGLES):
                offset = (step, step * stride + step, step * stride, step * stride - step)[angle]
                n_paired, pairs = _pair_runs(runs, n_runs, offset, paired)
                n_stretches = _join_runs(paired, n_paired, stretches)
                _share(inside, stretches[:n_stretches], offset, shared)
                for channel in range(channels):
                    least, greatest = levels[index, channel, 0], levels[index, channel, 1:].max()
                    if greatest == 0 or pairs == 0:
                        continue
                    most = greatest - least + 1
                    shift = bits_of(most)
                    _make_keys(crops[channel], stretches[:n_stretches], offset, shift, keys)
                    counts[: (most + 1) << shift : 1 << shift] = 1  # pairs with no level are never new, so not listed
                    if most * (most + 1) // 2 < pairs:
                        _count(keys, shared, paired[:n_paired], shares, counts)
                        found = list_keys(counts, 1, most, shift, listed)
                    else:
                        found = _count_and_list(keys, shared, paired[:n_paired], shares, counts, listed)
                    counts[: (most + 1) << shift : 1 << shift] = 0
                    state = sums[index, channel, k, angle]
                    sum_entries(counts, listed, found, shift, bits, terms, marginals, state)
                    sum_marginals(marginals, most, bits, terms, nearness, state)
        for run in runs[:n_runs]:
            crops[:, run[0] : run[1]] = 0


@compiled
def _find_room(boxes, start, chosen, gap):
    """Most pixels of an object, and the size of the greatest crop."""
    most_pixels, crop_size = 0, 0
    for index in range(len(boxes)):
        if chosen[index]:
            most_pixels = max(most_pixels, start[index + 1] - start[index])
            height, across = boxes[index, 2] - boxes[index, 0], boxes[index, 3] - boxes[index, 1]
            crop_size = max(crop_size, (height + gap) * (across + gap) + 2 * gap)
    return most_pixels, crop_size + _VECTOR


@compiled
def bits_of(value):
    bits = 1
    while value >> bits:
        bits += 1
    return bits


@compiled
def _list_runs(position, first, last, width, box, stride, gap, runs):
    """List an object's pixels in runs along rows: place in the crop, its end, place in the plane.

    A crop has ``gap`` empty pixels before it, between its rows, and rows of them behind it, so that every step from a
    pixel of the object ends in it.
    """
    found = -1
    row_end, following = 0, -1
    for index in range(first, last):
        place = np.int64(position[index])
        if place != following or place == row_end:
            y = place // width
            row_end = (y + 1) * width
            found += 1
            runs[found, 0] = gap + (y - box[0]) * stride + place - y * width - box[1]
            runs[found, 1] = runs[found, 0]
            runs[found, 2] = index
        runs[found, 1] += 1
        following = place + 1
    return found + 1


@compiled
def _pair_runs(runs, n_runs, offset, paired):
    """List the parts of runs whose pixels have another pixel of the object ``offset`` places on; and count those."""
    found, pairs, other = 0, 0, 0
    for index in range(n_runs):
        begin, end = runs[index, 0] + offset, runs[index, 1] + offset
        while other < n_runs and runs[other, 1] <= begin:
            other += 1
        following = other
        while following < n_runs and runs[following, 0] < end:
            paired[found, 0] = max(begin, runs[following, 0]) - offset
            paired[found, 1] = min(end, runs[following, 1]) - offset
            pairs += paired[found, 1] - paired[found, 0]
            found += 1
            following += 1
    return found, pairs


@compiled
def _join_runs(runs, n_runs, stretches):
    """Join runs that are near each other to stretches, which are gone over without looking."""
    found = -1
    for index in range(n_runs):
        if index == 0 or runs[index, 0] - stretches[found, 1] > _NEAR:
            found += 1
            stretches[found, 0] = runs[index, 0]
        stretches[found, 1] = runs[index, 1]
    return found + 1


@compiled
def _draw(flat, tables, position, member, runs, stretches, crops, levels):
    """Draw an object's bits of sets and its levels, counted from 1 for the least, and note the least and greatest."""
    channels, sets = len(flat), levels.shape[1] - 1
    inside = crops[channels]
    for run in runs:
        _keep_sets(member[run[2] : run[2] + run[1] - run[0]], inside[run[0] : run[1]])
    for channel in range(channels):
        crop, plane, table = crops[channel], flat[channel], tables[channel]
        for run in runs:
            source, length = position[run[2]], run[1] - run[0]
            look_up_levels(plane[source : source + length], table, crop[run[0] : run[1]])
        below = np.uint8(255)
        for stretch in stretches:
            drawn, bits = crop[stretch[0] : stretch[1]], inside[stretch[0] : stretch[1]]
            below = min(below, _below_least_level(drawn))
            for z in range(sets):
                levels[channel, 1 + z] = max(levels[channel, 1 + z], np.int32(_greatest_level(drawn, bits, 1 << z)))
        if levels[channel, 1:].max() > 0:
            levels[channel, 0] = below + 1
            for stretch in stretches:
                _count_from_one(crop[stretch[0] : stretch[1]], below)


@compiled
def _keep_sets(member, drawn):
    for t in range(len(drawn)):
        drawn[t] = member[t] & np.uint8(7)


@compiled
def look_up_levels(plane, table, drawn):
    for t in range(len(drawn)):
        drawn[t] = table[plane[t]]


@compiled
def _below_least_level(drawn):
    """One less than the least level above 0, 255 if there is none."""
    below = np.uint8(255)
    for t in range(len(drawn)):
        below = min(below, np.uint8(drawn[t] - np.uint8(1)))
    return below


@compiled
def _greatest_level(drawn, inside, bit):
    greatest, bit = np.uint8(0), np.uint8(bit)
    for t in range(len(drawn)):
        level = drawn[t] if inside[t] & bit else np.uint8(0)
        greatest = max(greatest, level)
    return greatest


@compiled
def _count_from_one(drawn, below):
    for t in range(len(drawn)):
        drawn[t] = max(drawn[t], below) - below


@compiled
def _share(inside, stretches, offset, shared):
    """Which sets the pair of each pixel and the one a step away is in."""
    for stretch in stretches:
        begin, end = stretch[0], stretch[1]
        _and(inside[begin:end], inside[begin + offset : end + offset], shared[begin:end])


@compiled
def _and(one, other, shared):
    for t in range(len(shared)):
        shared[t] = one[t] & other[t]


@compiled
def _make_keys(crop, stretches, offset, shift, keys):
    """Make the key of each pair: difference of the levels, then the lower one; that is 0 where there is no pair."""
    for stretch in stretches:
        begin, length = stretch[0], (stretch[1] - stretch[0] + _VECTOR - 1) // _VECTOR * _VECTOR
        subtract(
            crop[begin : begin + length],
            crop[begin + offset : begin + offset + length],
            1 << shift,
            keys[begin : begin + length],
        )


@compiled
def subtract(one, other, row, keys):
    row = np.uint16(row)
    for t in range(len(keys)):
        a, b = one[t], other[t]
        keys[t] = np.uint16(max(a, b) - min(a, b)) * row + min(a, b)


@compiled
def _count(keys, shared, runs, shares, counts):
    """Count pairs by key."""
    for run in runs:
        of_run, sets = keys[run[0] : run[1]], shared[run[0] : run[1]]
        for t in range(len(of_run)):
            counts[of_run[t]] += shares[sets[t]]


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
def _count_and_list(keys, shared, runs, shares, counts, listed):
    """Count pairs by key, and list the keys that were met."""
    found = np.uint64(0)
    for run in runs:
        of_run, sets = keys[run[0] : run[1]], shared[run[0] : run[1]]
        for t in range(len(of_run)):
            key = of_run[t]
            count = counts[key]
            listed[found] = key
            found += np.uint64(count == 0)
            counts[key] = count + shares[sets[t]]
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
