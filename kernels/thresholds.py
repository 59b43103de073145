"""Thresholds that split a plane into background and foreground, exact from its histogram."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kernels.planes import Floats

MINIMUM_CONTRAST = 3.0
"""Least difference of the means of Otsu's two classes, in standard deviations of the lower one.

Noise does not reach it: a normal distribution, split at its mean, gives 2.65. Stains of dense cells reach 3.4 and more,
nuclei in focus 6 and more.
"""


def find_threshold(counts: npt.NDArray[np.int64], method: str) -> int | None:
    """Find the count above which a pixel is foreground.

    Parameters
    ----------
    counts
        Histogram of a plane, shape ``(levels,)``: how many pixels have the value of the index.
    method
        ``otsu`` (Otsu 1979: greatest variance between the classes), ``otsu-log`` (the same on log(value), for
        objects of very different brightness, as CellProfiler's log transform) or ``minimum-cross-entropy``
        (Li and Lee 1993, on values above the least one, as in scikit-image and CellProfiler).

    Returns
    -------
    The greatest background value, or None where no two classes exist: fewer than two values, or a contrast below
    ``MINIMUM_CONTRAST`` (noise of an empty well).

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
    if _contrast(values, weights, _otsu(values, weights)) < MINIMUM_CONTRAST:
        return None
    return int(levels[METHODS[method](values, weights)])


def _otsu(values: Floats, weights: Floats) -> int:
    below, above, mean_below, mean_above = _classes(values, weights)
    return int(np.argmax(below * above * (mean_above - mean_below) ** 2))


def _otsu_log(values: Floats, weights: Floats) -> int:
    # the darkest 1/256 of the range is one value: log would otherwise spend its range on the noise of black pixels
    floor = values[0] + (values[-1] - values[0]) / 256
    return _otsu(np.log(np.maximum(values, floor)), weights)


def _minimum_cross_entropy(values: Floats, weights: Floats) -> int:
    below, above, mean_below, mean_above = _classes(values - values[0], weights)
    # the first class holds only the least value, 0, at its first split: 0 log 0 = 0
    log_below = np.log(np.where(mean_below > 0, mean_below, 1))
    return int(np.argmax(below * mean_below * log_below + above * mean_above * np.log(mean_above)))


METHODS: dict[str, Callable[[Floats, Floats], int]] = {
    "otsu": _otsu,
    "otsu-log": _otsu_log,
    "minimum-cross-entropy": _minimum_cross_entropy,
}


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
