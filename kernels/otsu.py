"""CellProfiler's Otsu thresholds of a plane, from its histogram.

Formulas: centrosome's ``otsu`` and ``otsu3`` as MeasureImageQuality calls them (CellProfiler 4.2): on log(value), the
darkest 1/256 of the range taken as one value, searched at every n/256-th (two classes) or n/128-th (three classes) of
the n sorted pixels. The segmentation has thresholds of its own, ``kernels/thresholds.py``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.planes import Floats

TWO_CLASS_BINS, THREE_CLASS_BINS = 256, 128


class OtsuThresholds(NamedTuple):
    """Thresholds on the scale of the pixels: two classes, and the lower and the upper one of three."""

    two: float
    lower_of_three: float
    upper_of_three: float


class _Sorted(NamedTuple):
    """The sorted pixels without holding them: the value of a rank, and sums over all ranks before it."""

    values: Floats
    last_rank: npt.NDArray[np.int64]
    sums: Floats
    squares: Floats

    @property
    def count(self) -> int:
        return int(self.last_rank[-1])

    def at(self, rank: npt.NDArray[np.int64]) -> Floats:
        """Value of each rank, counted from 0."""
        return self.values[np.searchsorted(self.last_rank, rank, side="right")]

    def before(self, rank: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Sum and sum of squares of the values of all ranks below each rank."""
        place = np.minimum(np.searchsorted(self.last_rank, rank, side="right"), self.values.size - 1)
        earlier = place - 1
        rest = rank - np.where(earlier >= 0, self.last_rank[earlier], 0)
        value = self.values[place]
        sums = np.where(earlier >= 0, self.sums[earlier], 0) + rest * value
        return sums, np.where(earlier >= 0, self.squares[earlier], 0) + rest * value * value


def otsu_thresholds(values: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], scale: int) -> OtsuThresholds:
    """Find CellProfiler's Otsu thresholds.

    Parameters
    ----------
    values, counts
        The counts that occur, ascending, and how many pixels have each, shape ``(levels,)``.
    scale
        The count that CellProfiler calls 1.

    Returns
    -------
    Thresholds, 1 = ``scale``. A flat plane has its own value three times.
    """
    bottom, top = values[0] / scale, values[-1] / scale
    floor = bottom + (top - bottom) / 256 + float(np.finfo(np.float32).eps)
    logs = np.log(np.maximum(values / scale, floor))
    low, high = logs[0], logs[-1]
    if low == high or counts.sum() == 1:
        return OtsuThresholds(*[float(np.exp(low))] * 3)
    stretched = (logs - low) / (high - low)
    pixels = _Sorted(
        stretched, np.cumsum(counts), np.cumsum(stretched * counts), np.cumsum(stretched * stretched * counts)
    )
    found = (_two_classes(pixels), *_three_classes(pixels))
    return OtsuThresholds(*(float(np.exp(value * (high - low) + low)) for value in found))


def _two_classes(pixels: _Sorted) -> float:
    count = pixels.count
    step = count // min(TWO_CLASS_BINS, count)
    ends = np.arange(0, count - 1, step)
    sums, squares = pixels.before(ends + 1)
    low = squares - sums * sums / (ends + 1)
    score = low + _above(pixels, ends + 1)
    thresholds = pixels.at(ends + 1)
    best = int(np.argmin(score))
    return float(thresholds[max(best - 1, 0)] + thresholds[min(best + 1, thresholds.size - 1)]) / 2


def _three_classes(pixels: _Sorted) -> tuple[float, float]:
    count = pixels.count
    bins = min(THREE_CLASS_BINS, count)
    starts = np.arange(0, count, count // bins)
    sums, squares = pixels.before(starts + 1)
    below = squares - sums * sums / (starts + 1)
    first, second = np.triu_indices(starts.size, 1)
    width = (starts[second] - starts[first]).astype(np.float64)
    mean = (sums[second] - sums[first]) / width
    middle = (squares[second] - squares[first]) - width * mean * mean
    # the library looks the outer classes up by rank * bins / n, which may be the rank before: kept, as values show it
    outer = starts * bins // count
    score = below[outer[first]] + middle + _above(pixels, starts)[outer[second]]
    thresholds, best = pixels.at(starts), int(np.argmin(score))
    return float(thresholds[first[best]]), float(thresholds[second[best]])


def _above(pixels: _Sorted, first: npt.NDArray[np.int64]) -> Floats:
    """Scatter of the ranks from ``first`` on, times n / (n - 1): the library weighs a variance over n - 1 by n."""
    sums, squares = pixels.before(first)
    number = pixels.count - first
    total, total_squares = pixels.sums[-1] - sums, pixels.squares[-1] - squares
    scatter = np.maximum(total_squares - total * total / number, 0)
    return np.where(number > 1, scatter * number / np.maximum(number - 1, 1), 0)
