"""Watershed from seeds, in the order of the scikit-image that CellProfiler 4.2 uses, at a constant cost per pixel.

Pixels wait in one queue per grey value, first come first served; bitmaps of three levels find the lowest value that
has one waiting. A pixel gets its label when a neighbour of it is taken from a queue (Beucher and Meyer 1993). Newer
versions of scikit-image let no pixel come before the highest one on its way, which moves a few pixels in ten thousand.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from kernels.compiled import compiled

Numbers = npt.NDArray[np.int32]

_BLOCKED, _NONE = -1, -1
_DIGIT = 11
"""Bits sorted at once; three digits hold 32 bits."""


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


@intrinsic
def _trailing_zeros(typing_context, word):  # pyright: ignore[reportMissingParameterType, reportUnusedParameter]
    """Number of zero bits below the lowest one of a word that is not 0."""

    def generate(context, builder, signature, arguments):  # pyright: ignore
        count = builder.module.declare_intrinsic(
            "llvm.cttz", [ir.IntType(64)], ir.FunctionType(ir.IntType(64), [ir.IntType(64), ir.IntType(1)])
        )
        return builder.call(count, [arguments[0], ir.Constant(ir.IntType(1), 0)])

    return types.int64(types.uint64), generate


@compiled
def _rank(bits, mask):  # pyright: ignore[reportMissingParameterType]
    """Ranks of float32 values, given as their bits, among the pixels of the mask; equal ones share a rank."""
    flat, inside = bits.ravel(), mask.ravel()
    count = 0
    for place in range(flat.size):
        count += inside[place] != 0
    keys, places = np.empty(count, np.uint32), np.empty(count, np.int32)
    counts = np.zeros((3, (1 << _DIGIT) + 1), np.int64)
    index = 0
    for place in range(flat.size):
        if inside[place] != 0:
            value = flat[place]
            # the bits of floats sort as whole numbers once negative ones are turned over
            if value == np.int32(-2147483648):
                value = np.int32(0)
            key = np.uint32(~value) if value < 0 else np.uint32(value) | np.uint32(0x80000000)
            keys[index], places[index] = key, place
            index += 1
            for digit in range(3):
                counts[digit, ((key >> np.uint32(digit * _DIGIT)) & np.uint32((1 << _DIGIT) - 1)) + 1] += 1
    other_keys, other_places = np.empty_like(keys), np.empty_like(places)
    for digit in range(3):
        following = np.cumsum(counts[digit])
        for index in range(count):
            key = keys[index]
            bucket = (key >> np.uint32(digit * _DIGIT)) & np.uint32((1 << _DIGIT) - 1)
            target = following[bucket]
            following[bucket] = target + 1
            other_keys[target], other_places[target] = key, places[index]
        keys, other_keys = other_keys, keys
        places, other_places = other_places, places
    order = np.zeros(flat.size, np.int32)
    rank = 0
    for index in range(count):
        if index > 0 and keys[index] != keys[index - 1]:
            rank += 1
        order[places[index]] = rank
    return order.reshape(bits.shape), rank + 1


@compiled
def _enqueue(place, level, pixels, queues, words):  # pyright: ignore[reportMissingParameterType]
    """Put a pixel at the end of the queue of its value."""
    pixels[place, 1] = _NONE
    if queues[level, 0] == _NONE:
        queues[level, 0] = place
        one = np.uint64(1)
        words[0][level >> 6] |= one << np.uint64(level & 63)
        words[1][level >> 12] |= one << np.uint64((level >> 6) & 63)
        words[2][level >> 18] |= one << np.uint64((level >> 12) & 63)
    else:
        pixels[queues[level, 1], 1] = place
    queues[level, 1] = place


@compiled
def _dequeue(pixels, queues, words):  # pyright: ignore[reportMissingParameterType]
    """Take the pixel that waits longest of those of the lowest value; there must be one."""
    top = 0
    while words[2][top] == 0:
        top += 1
    middle = (top << 6) + _trailing_zeros(words[2][top])
    low = (middle << 6) + _trailing_zeros(words[1][middle])
    level = (low << 6) + _trailing_zeros(words[0][low])
    place = np.int64(queues[level, 0])
    following = pixels[place, 1]
    queues[level, 0] = following
    if following == _NONE:
        one = np.uint64(1)
        words[0][low] &= ~(one << np.uint64(level & 63))
        if words[0][low] == 0:
            words[1][middle] &= ~(one << np.uint64(low & 63))
            if words[1][middle] == 0:
                words[2][top] &= ~(one << np.uint64(middle & 63))
    return place


@compiled
def _grow(height, seeds, mask, levels):  # pyright: ignore[reportMissingParameterType]
    # a frame of blocked pixels saves asking for the border; label and queue of a pixel share a line of the cache
    rows, columns = height.shape
    width = columns + 2
    pixels = np.empty(((rows + 2) * width, 2), np.int32)
    for place in range(pixels.shape[0]):
        pixels[place, 0] = _BLOCKED
    for y in range(rows):
        for x in range(columns):
            if mask[y, x] != 0:
                place = (y + 1) * width + x + 1
                pixels[place, 0] = seeds[y, x]
                pixels[place, 1] = height[y, x]
    queues = np.full((levels, 2), _NONE, np.int32)
    words = (
        np.zeros((levels >> 6) + 1, np.uint64),
        np.zeros((levels >> 12) + 1, np.uint64),
        np.zeros((levels >> 18) + 1, np.uint64),
    )
    around = (-width, -1, 1, width, -width - 1, -width + 1, width - 1, width + 1)
    waiting = 0
    for y in range(rows):
        for x in range(columns):
            place = (y + 1) * width + x + 1
            if pixels[place, 0] <= 0:
                continue
            has_room = False
            for step in around:
                has_room |= pixels[place + step, 0] == 0
            if has_room:
                _enqueue(place, pixels[place, 1], pixels, queues, words)
                waiting += 1
    while waiting > 0:
        place = _dequeue(pixels, queues, words)
        waiting -= 1
        label = pixels[place, 0]
        for step in around:
            if pixels[place + step, 0] == 0:
                pixels[place + step, 0] = label
                _enqueue(place + step, pixels[place + step, 1], pixels, queues, words)
                waiting += 1
    grown = np.zeros((rows, columns), np.int32)
    for y in range(rows):
        for x in range(columns):
            label = pixels[(y + 1) * width + x + 1, 0]
            if label > 0:
                grown[y, x] = label
    return grown
