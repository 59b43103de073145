"""Zernike moments up to degree 9 as combinations of the moments of ``kernels/object_moments.py``.

The polynomial of degree n and repetition m is ``R(r) * (y + i x)**m`` on the unit disc, with the radial part R that
centrosome's ``construct_zernike_polynomials`` uses: sum over k of (-1)**k (n-k)! / (k! ((n+m)/2-k)! ((n-m)/2-k)!) times
r**(n-m-2k).
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.object_moments import ORDER, place
from kernels.planes import Floats

DEGREES = tuple((n, m) for n in range(ORDER + 1) for m in range(n % 2, n + 1, 2))
"""Degree and repetition of each Zernike moment, in CellProfiler's order."""


class Terms(NamedTuple):
    """Real and imaginary parts of all polynomials, term by term: part 2 i is the real one of ``DEGREES[i]``."""

    part: npt.NDArray[np.int64]
    moment: npt.NDArray[np.int64]
    factor: Floats


@functools.cache
def zernike_terms() -> Terms:
    """List the terms of the polynomials."""
    factors: dict[tuple[int, int], int] = {}
    for index, (n, m) in enumerate(DEGREES):
        for k in range((n - m) // 2 + 1):
            radial = _radial(n, m, k)
            rings = (n - m) // 2 - k
            for i in range(rings + 1):  # (y**2 + x**2)**rings
                for j in range(m + 1):  # (y + i x)**m
                    key = (2 * index + j % 2, int(place(2 * (rings - i) + m - j, 2 * i + j)))
                    sign = -1 if j % 4 >= 2 else 1
                    factors[key] = factors.get(key, 0) + sign * radial * math.comb(rings, i) * math.comb(m, j)
    terms = [(part, moment, factor) for (part, moment), factor in sorted(factors.items()) if factor]
    part, moment, factor = zip(*terms, strict=True)
    return Terms(np.array(part), np.array(moment), np.array(factor, float))


def _radial(n: int, m: int, k: int) -> int:
    below = math.factorial(k) * math.factorial((n + m) // 2 - k) * math.factorial((n - m) // 2 - k)
    return (-1) ** k * math.factorial(n - k) // below


@compiled
def sum_zernikes(moments, part, moment, factor, sums):  # pyright: ignore[reportMissingParameterType]
    """Combine moments about the centre of the disc, in units of its radius, to the parts of ``Terms``."""
    sums[:] = 0
    for term in range(part.size):
        sums[part[term]] += factor[term] * moments[moment[term]]
