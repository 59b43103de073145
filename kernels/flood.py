"""Watershed from seeds, in the order of the scikit-image that CellProfiler 4.2 uses, at a constant cost per pixel.

Pixels wait in one queue per grey value, first come first served; bitmaps of three levels find the lowest value that
has one waiting. A pixel gets its label when a neighbour of it is taken from a queue (Beucher and Meyer 1993). Newer
versions of scikit-image let no pixel come before the highest one on its way, which moves a few pixels in ten thousand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba.cpython.unsafe.numbers import trailing_zeros

from kernels.compiled import compiled

Numbers = npt.NDArray[np.int32]

_BLOCKED, _NONE = -1, -1
_DIGIT = 13
"""Bits sorted at once: two digits hold the values from 1/256 to 1."""


def flood(height: npt.NDArray[Any], seeds: Numbers, mask: npt.NDArray[np.bool_ | np.uint8]) -> Numbers:
    """Grow seeds over ``mask`` from low to high, 8-connected.

    Parameters
    ----------
    height
        Shape ``(y, x)``, uint8, uint16, or float32 without NaN; only its order counts.
    seeds
        Shape ``(y, x)``, int32: numbers from 1 on, 0 elsewhere.
    mask
        Shape ``(y, x)``, bool or uint8: where seeds may lie and grow; those outside it are dropped.

    Returns
    -------
    Labels, shape ``(y, x)``, int32; pixels that no seed reaches stay 0. The lowest pixel is next, of equal ones the one
    that came first, and a pixel's neighbours come in the order above, left, right, below, then diagonal. Seeds of
    equal height begin in raster order (CellProfiler's heap leaves that to chance).

    Raises
    ------
    TypeError
        If ``height`` has another type.
    """
    is_inside = mask.astype(np.uint8, copy=False)
    if height.dtype in (np.uint8, np.uint16):
        return _grow(height, seeds, is_inside, int(np.iinfo(height.dtype).max) + 1)
    if height.dtype != np.float32:
        raise TypeError(f"height must be uint8, uint16 or float32, got {height.dtype}")
    order, levels = _rank(np.ascontiguousarray(height).view(np.int32), is_inside)
    return _grow(order, seeds, is_inside, levels)


@compiled
def _rank(bits, mask):  # pyright: ignore[reportMissingParameterType]
    """Ranks of float32 values, given as their bits, among the pixels of the mask; equal ones share a rank."""
    flat, inside = bits.ravel(), mask.ravel()
    count = 0
    for place in range(flat.size):
        count += inside[place] != 0
    keys, places = np.empty(count, np.uint32), np.empty(count, np.int32)
    index, lowest, highest = 0, np.uint32(0xFFFFFFFF), np.uint32(0)
    for place in range(flat.size):
        if inside[place] != 0:
            value = flat[place]
            # the bits of floats sort as whole numbers once negative ones are turned over; -0 is 0
            if value == np.int32(-2147483648):
                value = np.int32(0)
            key = np.uint32(~value) if value < 0 else np.uint32(value) | np.uint32(0x80000000)
            keys[index], places[index] = key, place
            index += 1
            lowest, highest = min(lowest, key), max(highest, key)
    other_keys, other_places = np.empty_like(keys), np.empty_like(places)
    shift = 0
    while count > 0 and shift < 32 and (highest - lowest) >> np.uint32(shift) > 0:
        following = np.zeros((1 << _DIGIT) + 1, np.int32)
        for index in range(count):
            following[(((keys[index] - lowest) >> np.uint32(shift)) & np.uint32((1 << _DIGIT) - 1)) + 1] += 1
        for bucket in range(1 << _DIGIT):
            following[bucket + 1] += following[bucket]
        for index in range(count):
            bucket = ((keys[index] - lowest) >> np.uint32(shift)) & np.uint32((1 << _DIGIT) - 1)
            target = following[bucket]
            following[bucket] = target + 1
            other_keys[target], other_places[target] = keys[index], places[index]
        keys, other_keys = other_keys, keys
        places, other_places = other_places, places
        shift += _DIGIT
    order = np.zeros(flat.size, np.int32)
    rank = 0
    for index in range(count):
        if index > 0 and keys[index] != keys[index - 1]:
            rank += 1
        order[places[index]] = rank
    return order.reshape(bits.shape), rank + 1


@compiled
def _grow(height, seeds, mask, levels):  # pyright: ignore[reportMissingParameterType]
    # a frame of blocked pixels saves asking for the border; label and queue of a pixel share a line of the cache:
    # its label, and its level until it waits, then the one that waits behind it
    rows, columns = height.shape
    width = columns + 2
    label_of = np.empty(2 * (rows + 2) * width, np.int32)
    for place in range(0, label_of.size, 2):
        label_of[place] = _BLOCKED
    for y in range(rows):
        for x in range(columns):
            if mask[y, x] != 0:
                place = 2 * ((y + 1) * width + x + 1)
                label_of[place] = seeds[y, x]
                label_of[place + 1] = height[y, x]
    ends = np.full(2 * levels, _NONE, np.int32)
    low = np.zeros((levels >> 6) + 1, np.uint64)
    middle = np.zeros((levels >> 12) + 1, np.uint64)
    high = np.zeros((levels >> 18) + 1, np.uint64)
    one = np.uint64(1)
    waiting = 0
    for y in range(rows):
        for x in range(columns):
            place = 2 * ((y + 1) * width + x + 1)
            if label_of[place] <= 0:
                continue
            has_room = False
            for step in (-width, -1, 1, width, -width - 1, -width + 1, width - 1, width + 1):
                has_room |= label_of[place + 2 * step] == 0
            if has_room:
                waiting += 1
                _enqueue(place, label_of, ends, low, middle, high)
    while waiting > 0:
        top = 0
        while high[top] == 0:
            top += 1
        word = (top << 6) + np.int64(trailing_zeros(high[top]))  # pyright: ignore[reportCallIssue]
        word = (word << 6) + np.int64(trailing_zeros(middle[word]))  # pyright: ignore[reportCallIssue]
        level = (word << 6) + np.int64(trailing_zeros(low[word]))  # pyright: ignore[reportCallIssue]
        place = np.int64(ends[2 * level])
        following = label_of[place + 1]
        ends[2 * level] = following
        waiting -= 1
        if following == _NONE:
            low[word] &= ~(one << np.uint64(level & 63))
            if low[word] == 0:
                middle[level >> 12] &= ~(one << np.uint64(word & 63))
                if middle[level >> 12] == 0:
                    high[top] &= ~(one << np.uint64((level >> 12) & 63))
        label = label_of[place]
        for step in (-width, -1, 1, width, -width - 1, -width + 1, width - 1, width + 1):
            other = place + 2 * step
            if label_of[other] == 0:
                label_of[other] = label
                waiting += 1
                # as _enqueue does; a call for each pixel would take as long as all the rest
                level = np.int64(label_of[other + 1])
                label_of[other + 1] = _NONE
                if ends[2 * level] == _NONE:
                    ends[2 * level] = other
                    low[level >> 6] |= one << np.uint64(level & 63)
                    middle[level >> 12] |= one << np.uint64((level >> 6) & 63)
                    high[level >> 18] |= one << np.uint64((level >> 12) & 63)
                else:
                    label_of[np.int64(ends[2 * level + 1]) + 1] = other
                ends[2 * level + 1] = other
    grown = np.zeros((rows, columns), np.int32)
    for y in range(rows):
        for x in range(columns):
            label = label_of[2 * ((y + 1) * width + x + 1)]
            if label > 0:
                grown[y, x] = label
    return grown


@compiled
def _enqueue(place, label_of, ends, low, middle, high):  # pyright: ignore[reportMissingParameterType]
    """Put a pixel at the end of the queue of its level."""
    level = np.int64(label_of[place + 1])
    label_of[place + 1] = _NONE
    if ends[2 * level] == _NONE:
        one = np.uint64(1)
        ends[2 * level] = place
        low[level >> 6] |= one << np.uint64(level & 63)
        middle[level >> 12] |= one << np.uint64((level >> 6) & 63)
        high[level >> 18] |= one << np.uint64((level >> 12) & 63)
    else:
        label_of[np.int64(ends[2 * level + 1]) + 1] = place
    ends[2 * level + 1] = place
