"""Grey levels of texture: a table from counts to levels of 8 bits, the same for both devices."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

COUNTS = 65_536
MOST_LEVEL = 255
TAIL = 1000
"""One pixel of so many lies below the lowest level, and one above the highest."""


@lru_cache(maxsize=1)
def full_table() -> npt.NDArray[np.uint8]:
    """Give the level of each count from 0 to 65535: count / 65535 * 255 rounded, a half to the even number.

    As CellProfiler does it (images in single precision, scikit-image's ``img_as_ubyte``). Shape ``(65536,)``, uint8.
    """
    single = np.float32
    table = np.rint(np.arange(COUNTS, dtype=single) / single(COUNTS - 1) * single(MOST_LEVEL)).astype(np.uint8)
    table.flags.writeable = False
    return table


def percentile_table(plane: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    """Give the level of each count for one plane: 1 up to its 0.1 percentile, 255 from its 99.9 percentile on.

    Of n pixels in order of their counts, the percentiles are the ones number ceil(n / 1000) from below and from above;
    between them levels rise evenly, halves rounded up. Where both are one count, that and lower ones have level 1,
    higher ones 255. No pixel has level 0.

    Parameters
    ----------
    plane
        Shape ``(y, x)``, uint16.

    Returns
    -------
    Shape ``(65536,)``, uint8.
    """
    return spread_levels(np.bincount(plane.ravel(), minlength=COUNTS))


def spread_levels(histogram: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Give the table of ``percentile_table`` from the number of pixels of each count."""
    below = np.cumsum(histogram, dtype=np.int64)
    rank = -(-int(below[-1]) // TAIL)
    low = int(np.searchsorted(below, rank))
    high = int(np.searchsorted(below, below[-1] + 1 - rank))
    counts = np.arange(COUNTS, dtype=np.int64)
    if low == high:
        return np.where(counts <= low, 1, MOST_LEVEL).astype(np.uint8)
    span = high - low
    steps = np.clip(counts - low, 0, span) * (MOST_LEVEL - 1)
    return (1 + (2 * steps + span) // (2 * span)).astype(np.uint8)
