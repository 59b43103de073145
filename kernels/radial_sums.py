"""Sums of pixels and of their counts, by object, set and place."""

from __future__ import annotations

import numpy as np

from kernels.compiled import compiled
from kernels.radial_places import NOWHERE

PART_OBJECTS = 2_048
"""Objects whose sums are held, and made values of, together."""
LANE_PIXELS = 65_536
"""Pixels whose counts can be added in 32 bits."""
_PART = 512
"""Pixels whose counts are packed into words together."""
_WORDS = 4
_COPIES = 4


@compiled
def add_by_place(planes, places, start, position, sums):
    """Add the channels' counts, and the pixels as one channel more, per object, set and place.

    ``sums`` is (objects, sets, places, channels + 1), int64. Eight sums lie in four words, of 32 bits each, so that few
    additions serve all; they are emptied before they can overflow.
    """
    words = np.zeros((_PART, _WORDS), np.uint64)
    held = np.zeros((len(places), _COPIES, 256, _WORDS), np.uint64)
    for index in range(len(start) - 1):
        for first_lane in range(0, len(planes) + 1, 2 * _WORDS):
            added = 0
            for begin in range(start[index], start[index + 1], _PART):
                if added + _PART > LANE_PIXELS:
                    _empty(held, first_lane, sums[index])
                    added = 0
                part = position[begin : min(start[index + 1], begin + _PART)]
                _pack(planes, part, first_lane, words)
                for z in range(len(places)):
                    _add(words, places[z], part, held[z])
                added += _PART
            _empty(held, first_lane, sums[index])


@compiled
def _pack(planes, part, first_lane, words):
    """Put eight lanes of each pixel into its words: channels from ``first_lane`` on, then a 1, then nothing."""
    for word in range(_WORDS):
        low, high = first_lane + 2 * word, first_lane + 2 * word + 1
        if high < len(planes):
            for i in range(len(part)):
                pixel = np.uint32(part[i])
                words[i, word] = np.uint64(planes[low, pixel]) | np.uint64(planes[high, pixel]) << np.uint64(32)
        elif low < len(planes):
            for i in range(len(part)):
                words[i, word] = np.uint64(planes[low, np.uint32(part[i])]) | np.uint64(1) << np.uint64(32)
        else:
            words[: len(part), word] = np.uint64(low == len(planes))


@compiled
def _add(words, places, part, held):
    """Neighbours often have one place: they are added to copies of it by turns, so that none waits for the last."""
    for i in range(len(part)):
        place = places[np.uint32(part[i])]
        if place == NOWHERE:
            continue
        copy = np.uint32(i % _COPIES)
        one, two, three, four = words[i, 0], words[i, 1], words[i, 2], words[i, 3]
        one, two = one + held[copy, place, 0], two + held[copy, place, 1]
        three, four = three + held[copy, place, 2], four + held[copy, place, 3]
        held[copy, place, 0], held[copy, place, 1] = one, two
        held[copy, place, 2], held[copy, place, 3] = three, four


@compiled
def _empty(held, first_lane, sums):
    """Add the lanes of the words to ``sums``, (sets, places, channels + 1), and clear them."""
    for z in range(len(held)):
        for place in range(sums.shape[1]):
            for lane in range(min(2 * _WORDS, sums.shape[2] - first_lane)):
                for copy in range(_COPIES):
                    word = held[z, copy, place, lane // 2]
                    value = word >> np.uint64(32) if lane % 2 else word & np.uint64(0xFFFFFFFF)
                    sums[z, place, first_lane + lane] += np.int64(value)
        held[z, :, : sums.shape[1]] = 0
