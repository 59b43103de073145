"""One pass over the objects on the CPU: the whole-number state of every co-occurrence matrix of their texture.

A matrix counts pairs of grey levels of pixels that lie a fixed step apart in one object of one set. What Haralick's
features need of it are sums of whole numbers (``STATE``), so that any order of adding gives the same values. The CUDA
version is ``kernels/cuda/texture.cu``; both give the same state.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.object_sets import ObjectSets
from kernels.texture_state import (
    ANGLES,
    STATE,
    Bytes,
    Integers,
    TextureState,
    bits_of,
    list_keys,
    nearness_table,
    subtract,
    sum_entries,
    sum_marginals,
)
from kernels.texture_terms import first_terms

_LANE_BITS = 21
"""A count of pairs takes so many bits: three sets share one number of 63."""
_MOST_PIXELS = 1 << (_LANE_BITS - 1)
"""Each pixel of an object may be in two pairs; objects of this many pixels are counted set by set."""
_VECTOR = 32
"""Pixels are read in groups of so many: buffers have that much room at their end."""
_NEAR = 64
"""Runs of pixels that are nearer than this are gone over together."""


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
    if not sums.size:
        return TextureState(sums, levels)
    start = objects.start[first : last + 1]
    pixels = (planes.reshape(channels, -1), tables, planes.shape[2], objects.position, objects.member)
    where = (objects.boxes[first:last], start, scales, first_terms(), nearness_table())
    is_small = np.diff(start) < _MOST_PIXELS
    _scan(*pixels, *where, is_small, _share_lanes(range(sets)), _LANE_BITS, sums, levels)
    if not is_small.all():
        for z in range(sets):
            alone = np.zeros((*sums.shape[:4], 1, STATE), np.int64)
            _scan(*pixels, *where, ~is_small, _share_lanes([z]), 63, alone, levels)
            sums[~is_small, ..., z, :] = alone[~is_small, ..., 0, :]
    return TextureState(sums, levels)


def _share_lanes(sets: range | list[int]) -> npt.NDArray[np.uint64]:
    """What a pair adds to a count, by the bits of the sets that it is in."""
    shares = np.zeros(8, np.uint64)
    for bits in range(8):
        shares[bits] = sum((bits >> z & 1) << (_LANE_BITS * lane) for lane, z in enumerate(sets))
    return shares


@compiled
def _scan(
    flat, tables, width, position, member, boxes, start, scales, terms, nearness, chosen, shares, bits, sums, levels
):
    channels, gap = len(flat), scales.max()
    most_pixels, crop_size = _find_room(boxes, start, chosen, gap)
    crops = np.zeros((channels + 1, crop_size), np.uint8)
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
                if pairs == 0:
                    continue
                near = stretches[: _join_runs(paired, n_paired, stretches)]
                _share(crops[channels], near, offset, shared)
                for channel in range(channels):
                    greatest = levels[index, channel, 1:].max()
                    if greatest == 0:
                        continue
                    most = greatest - levels[index, channel, 0] + 1
                    shift = bits_of(most)
                    _make_keys(crops[channel], near, offset, shift, keys)
                    found = _count(keys, shared, paired[:n_paired], pairs, most, shift, shares, counts, listed)
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
    """Draw the grey levels of counts."""
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
def _count(keys, shared, runs, pairs, most, shift, shares, counts, listed):
    """Count pairs by key, and list the keys that were met; gives how many.

    Where there are more pairs than keys, a look at all keys is cheaper than one at each pair whether it is the first.
    """
    no_level = counts[: (most + 1) << shift : 1 << shift]
    no_level[:] = 1  # pairs without a level are never the first, so they are not listed
    if most * (most + 1) // 2 < pairs:
        _count_all(keys, shared, runs, shares, counts)
        found = list_keys(counts, 1, most, shift, listed)
    else:
        found = _count_and_list(keys, shared, runs, shares, counts, listed)
    no_level[:] = 0
    return found


@compiled
def _count_all(keys, shared, runs, shares, counts):
    for run in runs:
        of_run, sets = keys[run[0] : run[1]], shared[run[0] : run[1]]
        for t in range(len(of_run)):
            counts[of_run[t]] += shares[sets[t]]


@compiled
def _count_and_list(keys, shared, runs, shares, counts, listed):
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
