"""Variances and covariances from sums of whole numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.planes import Floats

_Integers = npt.NDArray[np.int64]


def scatter(
    n: _Integers,
    first: _Integers,
    second: _Integers,
    products: _Integers | int,
) -> Floats:
    """Sum of (a - mean of a) (b - mean of b) over n pixels, from the sums of a, of b and of a b.

    The sums are shifted by whole means first, in whole numbers: no digit is lost where pixels differ little.
    """
    whole = np.maximum(n, 1)
    mean_first, mean_second = first // whole, second // whole
    rest_first, rest_second = first - mean_first * n, second - mean_second * n
    shifted = products - mean_first * second - mean_second * first + n * mean_first * mean_second
    return shifted - rest_first * rest_second / whole
