"""The centre of each object: its pixel that is farthest from other labels, and which one if several are.

CellProfiler asks ``scipy.ndimage.maximum_position``, which sorts all pixels of the plane by their distance and takes
the last one of each label. NumPy before 1.25, which CellProfiler 4.2 runs on, sorts by an introsort that is not stable,
so the choice among equals depends on every other pixel of the plane. It is repeated here move by move, but only where a
choice is to be made.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled

Centres = Literal["cellprofiler", "first"]
"""``"cellprofiler"``: the pixel that CellProfiler 4.2 takes; ``"first"``: the first in raster order."""

_SMALL = 15
"""NumPy sorts parts of up to 16 values by insertion."""
_BLOCK = 256
_ZEROS = 64


class Peaks(NamedTuple):
    """Where the squared distances of each object are greatest; all have one entry per object, in order.

    ``boxes`` (k, 4) int32, as in ``ObjectSets``, of this set; ``greatest`` (k,) int32; ``ties`` (k,) int32, number of
    pixels with that value, 0 where there is no object; ``first`` (k,) int64, index of the first of them, or -1.
    """

    boxes: npt.NDArray[np.int32]
    greatest: npt.NDArray[np.int32]
    ties: npt.NDArray[np.int32]
    first: npt.NDArray[np.int64]


def find_peaks(labels: npt.NDArray[np.int32], squares: npt.NDArray[np.int32], count: int) -> Peaks:
    """Find the greatest squared distance of each object of one plane."""
    peaks = Peaks(
        np.zeros((count, 4), np.int32), np.zeros(count, np.int32), np.zeros(count, np.int32), np.full(count, -1)
    )
    _find_peaks(labels, squares, *peaks)
    return peaks


def choose_centres(
    labels: npt.NDArray[np.int32],
    squares: npt.NDArray[np.int32],
    greatest: npt.NDArray[np.int32],
    ties: npt.NDArray[np.int32],
    first: npt.NDArray[np.int64],
    centres: Centres,
) -> npt.NDArray[np.int64]:
    """Choose the centre of each object of one plane.

    Parameters
    ----------
    labels, squares
        Label image and ``squared_distances`` of it, where the frame does not count; shape ``(y, x)``, int32.
    greatest, ties, first
        As in ``Peaks``.
    centres
        The rule.

    Returns
    -------
    Index ``y * width + x`` of each centre, shape ``(k,)``, int64; -1 where there is no object.
    """
    if centres == "first" or not (ties > 1).any():
        return first
    greatest_of_all = int(greatest.max())
    wanted_below = np.zeros(greatest_of_all + 2, np.int32)
    wanted_below[greatest[ties > 1] + 1] = 1
    np.cumsum(wanted_below, out=wanted_below)
    index_bits = (squares.size - 1).bit_length()
    order = np.empty(squares.size, np.uint32 if greatest_of_all + 1 < 1 << (32 - index_bits) else np.uint64)
    chosen = first.copy()
    is_sorted = _choose(labels.ravel(), squares.ravel(), greatest, wanted_below, np.uint8(index_bits), order, chosen)
    return chosen if is_sorted else first


@compiled
def _find_peaks(labels, squares, boxes, greatest, ties, first):
    height, width = labels.shape
    for y in range(height):
        x = 0
        while x < width:
            label = labels[y, x]
            begin = x
            while x < width and labels[y, x] == label:
                x += 1
            if label == 0:
                continue
            box = boxes[label - 1]
            if box[2] == 0:
                box[0], box[1] = y, begin
            box[1] = min(box[1], begin)
            box[2] = y + 1
            box[3] = max(box[3], x)
            run = squares[y, begin:x]
            most = np.int32(0)
            for i in range(len(run)):
                most = max(most, run[i])
            if most < greatest[label - 1]:
                continue
            if most > greatest[label - 1]:
                greatest[label - 1], ties[label - 1], first[label - 1] = most, 0, -1
            for i in range(len(run)):
                if run[i] == most:
                    ties[label - 1] += 1
                    if first[label - 1] < 0:
                        first[label - 1] = y * width + begin + i


@compiled
def _choose(labels, squares, greatest, wanted_below, index_bits, order, chosen):
    """Sort as NumPy's introsort did, but only parts that can hold a wanted value; keep each object's last one.

    A word of ``order`` is a pixel's value above its index. Pixels of value 0 are words of 0: which of them lies where
    matters to none. False if the sort would have turned to heapsort, which no real plane brings about.
    """
    for index in range(len(order)):
        order[index] = (np.int64(squares[index]) << index_bits) | (index if squares[index] else 0)
    slots = np.full(len(greatest), -1, np.int64)
    left_places, right_places = np.empty(_BLOCK, np.int64), np.empty(_BLOCK, np.int64)
    waiting = np.empty((128, 5), np.int64)
    depth = 0
    length = len(order)
    while length > 1:
        length >>= 1
        depth += 2
    begin, end, low, high = 0, len(order) - 1, 0, len(wanted_below) - 2
    n_waiting = 0
    while True:
        if depth < 0:
            return False
        while end - begin > _SMALL and wanted_below[high + 1] > wanted_below[low]:
            value = _put_pivot(order, begin, end, index_bits)
            middle = _divide(order, begin, end, value, index_bits, left_places, right_places)
            if wanted_below[value + 1] > wanted_below[value]:
                _offer(order, middle, middle, labels, greatest, wanted_below, index_bits, slots, chosen)
            depth -= 1
            row = waiting[n_waiting]
            n_waiting += 1
            if middle - begin < end - middle:
                row[0], row[1], row[2], row[3], row[4] = middle + 1, end, depth, value, high
                end, high = middle - 1, value
            else:
                row[0], row[1], row[2], row[3], row[4] = begin, middle - 1, depth, low, value
                begin, low = middle + 1, value
        if wanted_below[high + 1] > wanted_below[low]:
            _insert(order, begin, end, index_bits)
            _offer(order, begin, end, labels, greatest, wanted_below, index_bits, slots, chosen)
        if n_waiting == 0:
            return True
        n_waiting -= 1
        row = waiting[n_waiting]
        begin, end, depth, low, high = row[0], row[1], row[2], row[3], row[4]


@compiled
def _offer(order, begin, end, labels, greatest, wanted_below, index_bits, slots, chosen):
    """Take pixels whose slots ``begin`` to ``end`` are final, where they come last of their object's greatest."""
    for slot in range(begin, end + 1):
        value = np.int64(order[slot] >> index_bits)
        if wanted_below[value + 1] == wanted_below[value]:
            continue
        index = np.int64(order[slot]) - (value << index_bits)
        label = labels[index]
        if label != 0 and value == greatest[label - 1] and slot > slots[label - 1]:
            slots[label - 1] = slot
            chosen[label - 1] = index


@compiled
def _swap(order, one, other):
    held = order[one]
    order[one] = order[other]
    order[other] = held


@compiled
def _put_pivot(order, begin, end, index_bits):
    """Bring the median of the first, middle and last word before the last, by NumPy's swaps; give its value."""
    middle = begin + ((end - begin) >> 1)
    if order[middle] >> index_bits < order[begin] >> index_bits:
        _swap(order, middle, begin)
    if order[end] >> index_bits < order[middle] >> index_bits:
        _swap(order, end, middle)
    if order[middle] >> index_bits < order[begin] >> index_bits:
        _swap(order, middle, begin)
    _swap(order, middle, end - 1)
    return np.int64(order[end - 1] >> index_bits)


@compiled
def _divide(order, begin, end, value, index_bits, left_places, right_places):
    """Part words by the pivot's value as NumPy's two pointers do, and give the slot where the pivot then lies.

    From the left the next word of at least that value is swapped with the next one of at most that from the right.
    """
    kind = order.dtype.type
    least, beyond = kind(value << index_bits), kind((value + 1) << index_bits)
    if value == 0:
        left, right = _divide_zeros(order, begin + 1, end - 2)
    else:
        left, right = _divide_blocks(order, begin + 1, end - 2, least, beyond, left_places, right_places)
    left, right = left - 1, right + 1
    while True:
        left += 1
        while order[left] < least:
            left += 1
        right -= 1
        while order[right] >= beyond:
            right -= 1
        if left >= right:
            break
        _swap(order, left, right)
    _swap(order, left, end - 1)
    return left


@compiled
def _divide_blocks(order, left, right, least, beyond, left_places, right_places):
    """Do most swaps without a branch per word: the places of a block's words to swap are listed first."""
    n_left, n_right, next_left, next_right = 0, 0, 0, 0
    while right - left >= 2 * _BLOCK:
        if next_left == n_left:
            n_left, next_left = 0, 0
            for place in range(left, left + _BLOCK):
                left_places[n_left] = place
                n_left += np.int64(order[place] >= least)
            left += _BLOCK
        if next_right == n_right:
            n_right, next_right = 0, 0
            for place in range(right, right - _BLOCK, -1):
                right_places[n_right] = place
                n_right += np.int64(order[place] < beyond)
            right -= _BLOCK
        pairs = min(n_left - next_left, n_right - next_right)
        for pair in range(pairs):
            _swap(order, left_places[next_left + pair], right_places[next_right + pair])
        next_left += pairs
        next_right += pairs
    left = left_places[next_left] if next_left < n_left else left
    right = right_places[next_right] if next_right < n_right else right
    return left, right


@compiled
def _divide_zeros(order, left, right):
    """The same for a pivot of 0: each word from the left is swapped with the next 0 from the right."""
    while right - left > 2 * _ZEROS:
        bits = order[left] | order[right]
        for offset in range(_ZEROS):
            bits |= order[left + offset] | order[right - offset]
        if bits == 0:
            left += _ZEROS
            right -= _ZEROS
            continue
        last = left + _ZEROS
        while left < last and right - left > 1:
            if order[right] == 0:
                _swap(order, left, right)
                left += 1
            right -= 1
    return left, right


@compiled
def _insert(order, begin, end, index_bits):
    """Sort a small part by insertion; equals keep their order."""
    for slot in range(begin + 1, end + 1):
        word = order[slot]
        value = word >> index_bits
        free = slot
        while free > begin and value < order[free - 1] >> index_bits:
            order[free] = order[free - 1]
            free -= 1
        order[free] = word
