"""Thresholds that split a plane into background and foreground, from its histogram."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.planes import Floats

MINIMUM_CONTRAST = 3.0
"""Least difference of the means of Otsu's two classes, in standard deviations of the lower one.

Noise does not reach it: a normal distribution, split at its mean, gives 2.65. Stains of dense cells reach 3.4 and more,
nuclei in focus 6 and more.
"""
LOCAL_BOUNDS = 0.7, 1.5
"""An adaptive threshold stays within these shares of the global one, as CellProfiler's."""
MOST_WINDOWS = 10
"""Windows of an adaptive threshold along a side, as in CellProfiler."""
_THREE_CLASS_BINS = 128
_HALF_A_COUNT = 0.5
_LEAST_STEP = float(np.finfo(np.float32).eps) * 65535
"""What CellProfiler adds to the darkest value before it takes logarithms, in counts."""

_WHOLE = 1 << 30
"""The brightest value as a whole number: a sum over 2**33 pixels fits into 64 bits."""

Counts = npt.NDArray[np.int64]
Single = npt.NDArray[np.float32]


def find_threshold(counts: Counts, method: str, *, minimum_contrast: float = MINIMUM_CONTRAST) -> float | None:
    """Find the value above which a pixel is foreground.

    Parameters
    ----------
    counts
        Histogram of a plane, shape ``(levels,)``: how many pixels have the value of the index.
    method
        ``otsu`` (Otsu 1979: greatest variance between the classes), ``otsu-log`` (the same on log(value), for
        objects of very different brightness), ``otsu3`` and ``otsu3-log`` (three classes, of which the two brighter
        ones are foreground; Liao, Chen and Chung 2001, on 128 bins as scikit-image's ``threshold_multiotsu``, which
        CellProfiler calls), or ``minimum-cross-entropy`` (Li and Lee 1993, on values above the least one).
    minimum_contrast
        Least difference of the means of Otsu's two classes, in standard deviations of the lower one; 0 takes any.

    Returns
    -------
    A value between the darkest and the brightest one; for the two-class methods half a count above the greatest value
    of the background. None where no two classes exist: fewer than two values, or too little contrast (noise of an empty
    well).

    Raises
    ------
    ValueError
        If ``method`` is not known.
    """
    if method not in METHODS:
        raise ValueError(f"threshold must be one of {', '.join(METHODS)}, got {method!r}")
    levels = np.flatnonzero(counts)
    if levels.size < 2:
        return None
    values, weights = levels.astype(np.float64), counts[levels].astype(np.float64)
    if minimum_contrast > 0 and _contrast(values, weights, _otsu(values, weights)) < minimum_contrast:
        return None
    return METHODS[method](values, weights)


def find_local_thresholds(
    plane: npt.NDArray[np.uint16], whole: float, method: str, *, window_px: float
) -> npt.NDArray[np.float32]:
    """Find a threshold for each pixel from the windows around it.

    The plane is divided into windows of about ``window_px``, at least 2 and at most 10 along a side. Each window has a
    threshold of its own; between their middles it is interpolated linearly (CellProfiler lays a spline), and it stays
    from 0.7 to 1.5 times the threshold of the whole plane, which windows of one class have.

    Parameters
    ----------
    plane
        Shape ``(y, x)``, uint16.
    whole
        Threshold of the whole plane.
    method
        As for ``find_threshold``.
    window_px
        Side of a window, pixels.

    Returns
    -------
    Thresholds, shape ``(y, x)``, float32.
    """
    height, width = plane.shape
    down, across = (min(max(int(np.ceil(side / window_px)), 2), MOST_WINDOWS, side) for side in plane.shape)
    found = np.full((down, across), whole, np.float32)
    for row in range(down):
        for column in range(across):
            window = plane[
                row * height // down : (row + 1) * height // down,
                column * width // across : (column + 1) * width // across,
            ]
            local = find_threshold(np.bincount(window.ravel()), method)
            if local is not None:
                found[row, column] = local
    low, high = (np.float32(whole * share) for share in LOCAL_BOUNDS)
    bounded = np.clip(found, low, high)
    return np.asarray(cv2.resize(bounded, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def find_cross_entropy_threshold(values: Single, *, tolerance: float) -> float | None:
    """Find the threshold of minimum cross-entropy by Li and Tam's iteration (1998), as scikit-image and CellProfiler.

    Parameters
    ----------
    values
        Any shape, float32.
    tolerance
        The iteration ends once the threshold moves by no more than this.

    Returns
    -------
    The threshold on the scale of ``values``, or None where all values are equal.
    """
    flat = np.ascontiguousarray(values).ravel()
    darkest, brightest = float(flat.min()), float(flat.max())
    if darkest == brightest:
        return None
    scale = _WHOLE / (brightest - darkest)
    whole = _as_whole(flat, np.float32(darkest), scale)
    total = int(whole.sum(dtype=np.int64))
    step = tolerance * scale
    following, threshold = total / whole.size, -2 * step
    while abs(following - threshold) > step:
        threshold = following
        bright, number = _sum_above(whole, np.int32(threshold))
        if number in (0, whole.size) or bright == total:
            break
        mean_above, mean_below = bright / number, (total - bright) / (whole.size - number)
        following = (mean_below - mean_above) / (np.log(mean_below) - np.log(mean_above))
    return following / scale + darkest


def count_values(plane: npt.NDArray[np.uint16], mask: npt.NDArray[np.uint8] | None = None) -> Counts:
    """Histogram of a plane, shape ``(65536,)``; with a mask of the same shape, of the pixels where that is 0."""
    return np.asarray(_count(plane) if mask is None else _count_outside(plane, mask), np.int64)


@compiled
def _count(plane):  # pyright: ignore[reportMissingParameterType]
    # two histograms, so that equal neighbours do not wait for each other
    counts = np.zeros((2, 65536), np.int64)
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            counts[x & 1, plane[y, x]] += 1
    return counts[0] + counts[1]


@compiled
def _count_outside(plane, mask):  # pyright: ignore[reportMissingParameterType]
    counts = np.zeros((2, 65536), np.int64)
    for y in range(plane.shape[0]):
        for x in range(plane.shape[1]):
            if mask[y, x] == 0:
                counts[x & 1, plane[y, x]] += 1
    return counts[0] + counts[1]


@compiled
def _as_whole(values, darkest, scale):  # pyright: ignore[reportMissingParameterType]
    """Values above the darkest one as whole numbers, whose sums are exact in any order."""
    whole = np.empty(values.size, np.int32)
    for index in range(values.size):
        whole[index] = np.int32(np.float64(values[index] - darkest) * scale + 0.5)
    return whole


@compiled
def _sum_above(values, threshold):  # pyright: ignore[reportMissingParameterType]
    """Sum and number of the values above a threshold."""
    total, number = np.int64(0), np.int64(0)
    for index in range(values.size):
        is_above = np.int64(values[index] > threshold)
        total += np.int64(values[index]) * is_above
        number += is_above
    return total, number


def _otsu(values: Floats, weights: Floats) -> int:
    below, above, mean_below, mean_above = _classes(values, weights)
    return int(np.argmax(below * above * (mean_above - mean_below) ** 2))


def _two_classes(values: Floats, weights: Floats) -> float:
    return float(values[_otsu(values, weights)]) + _HALF_A_COUNT


def _two_classes_log(values: Floats, weights: Floats) -> float:
    return float(values[_otsu(_logarithm(values), weights)]) + _HALF_A_COUNT


def _three_classes(values: Floats, weights: Floats) -> float:
    low, high = values[0], values[-1]
    counts, edges = np.histogram((values - low) / (high - low), _THREE_CLASS_BINS, weights=weights)
    middles = (edges[1:] + edges[:-1]) / 2
    share = (counts / counts.sum()).astype(np.float32)
    # sums in single precision, in the order of scikit-image: which of two nearly equal splits is best depends on it
    zeroth = np.concatenate([np.zeros(1, np.float32), np.cumsum(share)])
    first = np.concatenate([np.zeros(1, np.float32), np.cumsum(np.arange(share.size, dtype=np.float32) * share)])

    def spread(start: npt.NDArray[np.intp], end: npt.NDArray[np.intp]) -> Single:
        weight, moment = zeroth[end + 1] - zeroth[start], first[end + 1] - first[start]
        return np.where(weight > 0, moment * moment / np.maximum(weight, np.float32(1e-30)), np.float32(0))

    lower, upper = np.triu_indices(_THREE_CLASS_BINS - 1, 1)
    last = np.full_like(upper, _THREE_CLASS_BINS - 1)
    between = spread(np.zeros_like(lower), lower) + spread(lower + 1, upper) + spread(upper + 1, last)
    return float(middles[lower[np.argmax(between)]] * (high - low) + low)


def _three_classes_log(values: Floats, weights: Floats) -> float:
    return float(np.exp(_three_classes(_logarithm(values), weights)))


def _minimum_cross_entropy(values: Floats, weights: Floats) -> float:
    below, above, mean_below, mean_above = _classes(values - values[0], weights)
    # the first class holds only the least value, 0, at its first split: 0 log 0 = 0
    log_below = np.log(np.where(mean_below > 0, mean_below, 1))
    best = np.argmax(below * mean_below * log_below + above * mean_above * np.log(mean_above))
    return float(values[best]) + _HALF_A_COUNT


METHODS: dict[str, Callable[[Floats, Floats], float]] = {
    "minimum-cross-entropy": _minimum_cross_entropy,
    "otsu": _two_classes,
    "otsu-log": _two_classes_log,
    "otsu3": _three_classes,
    "otsu3-log": _three_classes_log,
}


def _logarithm(values: Floats) -> Floats:
    """Logarithms; the darkest 1/256 of the range is one value, or the noise of black pixels would fill the range."""
    floor = values[0] + (values[-1] - values[0]) / 256 + _LEAST_STEP
    return np.log(np.maximum(values, floor))


def _classes(values: Floats, weights: Floats) -> tuple[Floats, ...]:
    """Give the number of pixels and the mean of both classes, for a split after each value but the last."""
    below = np.cumsum(weights)[:-1]
    above = weights.sum() - below
    sum_below = np.cumsum(weights * values)[:-1]
    sum_above = (weights * values).sum() - sum_below
    return below, above, sum_below / below, sum_above / above


def _contrast(values: Floats, weights: Floats, split: int) -> float:
    below, above = slice(None, split + 1), slice(split + 1, None)
    mean_below = np.average(values[below], weights=weights[below])
    mean_above = np.average(values[above], weights=weights[above])
    spread = np.sqrt(np.average((values[below] - mean_below) ** 2, weights=weights[below]))
    return float((mean_above - mean_below) / spread) if spread > 0 else np.inf
