"""Perimeter and Euler number of an object, from counts of pixel patterns; 64 pixels of a row at once, one bit each."""

from __future__ import annotations

import numpy as np

from kernels.compiled import compiled

_ONE = np.uint64(1)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@compiled
def words_of(columns):  # pyright: ignore[reportMissingParameterType]
    """Give the words of a row of so many pixels and one empty one on either side."""
    return (columns + 65) >> 6


@compiled
def draw_bits(runs, count, top, left, bits):  # pyright: ignore[reportMissingParameterType]
    """Draw runs: pixel (y, x) is bit x - left + 1 of row y - top + 1 of ``bits``, uint64, with empty rows around."""
    bits[:] = 0
    for index in range(count):
        row = bits[runs[index, 0] - top + 1]
        first, last = runs[index, 1] - left + 1, runs[index, 2] - left
        for word in range(first >> 6, (last >> 6) + 1):
            mask = _ALL
            if word == first >> 6:
                mask &= _ALL << np.uint64(first & 63)
            if word == last >> 6:
                mask &= _ALL >> np.uint64(63 - (last & 63))
            row[word] |= mask


@compiled
def _count_bits(word):  # pyright: ignore[reportMissingParameterType]
    found = 0
    while word != np.uint64(0):
        word &= word - _ONE
        found += 1
    return found


@compiled
def _lefts(row, word):  # pyright: ignore[reportMissingParameterType]
    """Give each pixel's left neighbour."""
    moved = row[word] << _ONE
    return moved | (row[word - 1] >> np.uint64(63)) if word > 0 else moved


@compiled
def _rights(row, word):  # pyright: ignore[reportMissingParameterType]
    """Give each pixel's right neighbour."""
    moved = row[word] >> _ONE
    return moved | (row[word + 1] << np.uint64(63)) if word + 1 < row.size else moved


@compiled
def find_edge(bits, edge):  # pyright: ignore[reportMissingParameterType]
    """Keep the pixels that have a straight neighbour outside the object."""
    rows, words = bits.shape
    edge[0] = 0
    edge[rows - 1] = 0
    for y in range(1, rows - 1):
        for word in range(words):
            inside = bits[y - 1, word] & bits[y + 1, word] & _lefts(bits[y], word) & _rights(bits[y], word)
            edge[y, word] = bits[y, word] & ~inside


@compiled
def count_euler(bits):  # pyright: ignore[reportMissingParameterType]
    """Count pieces less holes, pixels joined over edges and corners.

    From the squares of 2 x 2 pixels with one pixel, with three and with two on a diagonal (Gray, IEEE Transactions on
    Computers C-20, 1971).
    """
    rows, words = bits.shape
    total = 0
    for y in range(rows - 1):
        for word in range(words):
            a, c = bits[y, word], bits[y + 1, word]
            b, d = _rights(bits[y], word), _rights(bits[y + 1], word)
            odd = a ^ b ^ c ^ d
            if odd == np.uint64(0) and (a | b) == (a & b):
                continue
            three = odd & ((a & b) | (c & d))
            diagonal = (a & d & ~b & ~c) | (b & c & ~a & ~d)
            total += _count_bits(odd & ~three) - _count_bits(three) - 2 * _count_bits(diagonal)
    return total // 4


@compiled
def count_outline(edge, counts):  # pyright: ignore[reportMissingParameterType]
    """Count the pixels of an edge that stand for a length of 1, of sqrt(2), and of (1 + sqrt(2)) / 2.

    The length depends on how many straight and how many diagonal neighbours are on the edge as well: Benkrid and
    Crookes, Design and FPGA implementation of a perimeter estimator (2000), as in scikit-image's ``perimeter``.
    """
    rows, words = edge.shape
    counts[:3] = 0
    for y in range(1, rows - 1):
        for word in range(words):
            here = edge[y, word]
            if here == np.uint64(0):
                continue
            up, down, left, right = edge[y - 1, word], edge[y + 1, word], _lefts(edge[y], word), _rights(edge[y], word)
            straight_1, straight_2, straight_4 = _add_four(up, down, left, right)
            diagonal_1, diagonal_2, diagonal_4 = _add_four(
                _lefts(edge[y - 1], word),
                _rights(edge[y - 1], word),
                _lefts(edge[y + 1], word),
                _rights(edge[y + 1], word),
            )
            few = ~(straight_2 | straight_4)
            none, one = few & ~straight_1, few & straight_1
            two, three = diagonal_2 & ~diagonal_1, diagonal_2 & diagonal_1
            counts[0] += _count_bits(here & straight_2 & ~diagonal_4 & ~three)
            counts[1] += _count_bits(here & ((none & two) | (one & three)))
            counts[2] += _count_bits(here & one & ~diagonal_4 & (diagonal_1 ^ diagonal_2))


@compiled
def _add_four(a, b, c, d):  # pyright: ignore[reportMissingParameterType]
    """Add four bits in each place; gives the digits of the sums."""
    ab, cd = a ^ b, c ^ d
    carry_ab, carry_cd, carry = a & b, c & d, ab & cd
    return ab ^ cd, carry_ab ^ carry_cd ^ carry, carry_ab & carry_cd
