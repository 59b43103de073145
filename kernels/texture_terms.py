"""n log2 n as whole numbers, so that entropies are sums and differences of those, the same on every device.

``kernels/cuda/texture.cu`` computes the same terms.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled

BITS = 32
"""``entropy_term`` is in units of 2**-BITS."""
MOST_PIXELS = 1 << 26
"""A matrix of at most so many pairs: its entropy, at most 16 bits, times twice its pairs is below 2**31."""

_TABLE = 65_536
_FRACTION_BITS = 36
_ONE, _HALF, _TOP = np.uint64(1), np.uint64(32), np.uint64(63)
_LOW_HALF, _LOW_31 = np.uint64(0xFFFFFFFF), np.uint64(0x7FFFFFFF)


@compiled
def _high_square(value):
    """High 64 bits of the square of a number of 64 bits."""
    low, high = value & _LOW_HALF, value >> _HALF
    cross = low * high
    carried = ((low * low) >> _HALF) + ((cross & _LOW_31) << _ONE)
    return high * high + (cross >> (_HALF - _ONE)) + (carried >> _HALF)


@compiled
def entropy_term(count):
    """Give n log2 n in units of 2**-BITS, modulo 2**64, for n up to 2 ``MOST_PIXELS``.

    The term of 2 n is twice that of n, and 2 n, exactly: what is certain has an entropy of 0.

    The logarithm's binary digits come from squaring: where the square of a number from 1 to 2 is 2 or more, the next
    digit is 1.
    """
    if count == 0:
        return np.int64(0)
    twos = 0
    odd = np.int64(count)
    while odd & 1 == 0:
        odd >>= 1
        twos += 1
    exponent = 0
    while odd >> (exponent + 1):
        exponent += 1
    mantissa = np.uint64(odd) << np.uint64(63 - exponent)
    fraction = 0
    for _ in range(_FRACTION_BITS + 1):
        mantissa = _high_square(mantissa)
        fraction <<= 1
        if mantissa >> _TOP:
            fraction |= 1
        else:
            mantissa <<= _ONE
    fraction = (fraction + 1) >> 1
    surplus = _FRACTION_BITS - BITS
    term = ((odd * exponent) << BITS) + ((odd * fraction + (1 << (surplus - 1))) >> surplus)
    return (term << twos) + ((np.int64(count) * twos) << BITS)


@lru_cache(maxsize=1)
def first_terms() -> npt.NDArray[np.int64]:
    """Give the terms of 0 to 65,535."""
    table = np.empty(_TABLE, np.int64)
    _fill(table)
    table.flags.writeable = False
    return table


@compiled
def _fill(table):
    for count in range(len(table)):
        table[count] = entropy_term(count)
