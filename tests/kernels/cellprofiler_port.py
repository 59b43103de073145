"""MeasureImageQuality of CellProfiler 4.2 written down literally in float64: slow, and with none of our short cuts.

Where ours works on whole numbers, histograms and half spectra, this works on every pixel, the whole co-occurrence
matrix, the whole spectrum and the sorted pixels.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import scipy.ndimage

SCALES = (5, 10, 20, 50)


def measure(plane: np.ndarray, scale: int) -> dict[str, float]:
    """All metrics of one plane of counts by CellProfiler's names, without the channel."""
    pixels = plane.astype(np.float64) / scale
    single = plane.astype(np.float32) / np.float32(scale)  # grey levels are what CellProfiler's float32 gives
    two, three = otsu(pixels), otsu3(pixels)
    median = np.median(pixels)
    return {
        "FocusScore": focus(pixels),
        **{f"LocalFocusScore_{size}": local_focus(pixels, size) for size in SCALES},
        **{f"Correlation_{size}": correlation(single, size) for size in SCALES},
        "PowerLogLogSlope": power_slope(pixels),
        "MeanIntensity": pixels.mean(),
        "MedianIntensity": median,
        "StdIntensity": pixels.std(),
        "MADIntensity": np.median(np.abs(pixels - median)),
        "MinIntensity": pixels.min(),
        "MaxIntensity": pixels.max(),
        "TotalIntensity": pixels.sum(),
        "TotalArea": pixels.size,
        "Scaling": scale,
        "PercentMaximal": 100 * (pixels == pixels.max()).mean(),
        "PercentMinimal": 100 * (pixels == pixels.min()).mean(),
        "ThresholdOtsu_2W": two,
        "ThresholdOtsu_3FW": three[0],
        "ThresholdOtsu_3BW": three[1],
    }


def focus(pixels: np.ndarray) -> float:
    mean = pixels.mean()
    return float(((pixels - mean) ** 2).sum() / (pixels.size * mean)) if mean > 0 else 0.0


def local_focus(pixels: np.ndarray, size: int) -> float:
    """Windows are labels on the pixels."""
    down, across = (-(-side // size) for side in pixels.shape)
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]].astype(np.float64)
    row = (y * float(down) / float(pixels.shape[0])).astype(int)
    column = (x * float(across) / float(pixels.shape[1])).astype(int)
    windows = row * across + column + 1
    numbers = np.arange(1, down * across + 1)
    means = np.atleast_1d(scipy.ndimage.mean(pixels, windows, numbers))
    squared = (pixels - means[windows - 1]) ** 2
    sums = np.atleast_1d(scipy.ndimage.sum(squared, windows, numbers))
    counts = np.bincount(windows.ravel(), minlength=numbers.size + 1)[1:]
    lit = means != 0
    if not lit.any():
        return 0.0
    scores = sums[lit] / (counts[lit] * means[lit])
    middle = np.median(scores)
    return float(scores.var() / middle) if middle > 0 else 0.0


def correlation(pixels: np.ndarray, offset: int) -> float:
    """Haralick's third feature from the whole matrix of co-occurrences."""
    if offset >= pixels.shape[1]:
        return 0.0
    spread = pixels.max() - pixels.min()
    stretched = (pixels - pixels.min()) / (spread if spread > 0 else np.float32(1))
    levels = np.clip(stretched // np.float32(1 / 8), 0, 7).astype(int)
    matrix = np.zeros((8, 8))
    np.add.at(matrix, (levels[:, :-offset].ravel(), levels[:, offset:].ravel()), 1)
    matrix /= matrix.sum()
    level = np.arange(1, 9)
    left, right = matrix.sum(axis=1), matrix.sum(axis=0)
    mean_left, mean_right = (level * left).sum(), (level * right).sum()
    deviation = np.sqrt((((level - mean_left) ** 2) * left).sum()) * np.sqrt(
        (((level - mean_right) ** 2) * right).sum()
    )
    if deviation == 0:
        return 0.0
    return float(((np.outer(level, level) * matrix).sum() - mean_left * mean_right) / deviation)


def power_slope(pixels: np.ndarray) -> float:
    """Slope through the logarithms of the summed power of rings of the whole spectrum."""
    height, width = pixels.shape
    rings = np.arange(2, np.floor(min(height, width) / 8.0)).astype(int)
    if rings.size < 2 or pixels.min() == pixels.max():
        return 0.0
    scaled = pixels / np.median(np.abs(pixels - pixels.mean()))
    power = np.abs(np.asarray(scipy.fft.fft2(scaled - scaled.mean()))) ** 2
    squared = np.arange(height)[:, None] ** 2 + np.arange(width)[None, :] ** 2
    squared = np.minimum(squared, np.flipud(squared))
    squared = np.minimum(squared, np.fliplr(squared))
    radius = np.floor(np.sqrt(squared)).astype(int) + 1
    sums = np.array([power[radius == ring].sum() for ring in rings])
    system = np.column_stack([np.log(rings), np.ones(rings.size)])
    return float(np.linalg.lstsq(system, np.log(sums), rcond=None)[0][0])


def otsu(pixels: np.ndarray) -> float:
    """Least sum of the scatters below and above, tried at every n/256-th of the sorted logarithms."""
    ordered, back = _sorted_logs(pixels)
    n = ordered.size
    if ordered[0] == ordered[-1]:
        return back(ordered[0])
    step = n // min(256, n)
    low, high = _scatter_below(ordered), _weighted_scatter_above(ordered)
    ends = np.arange(0, n - 1, step)
    thresholds = ordered[1:n:step]
    best = int(np.argmin(low[ends] + high[ends + 1]))
    around = thresholds[max(best - 1, 0)], thresholds[min(best + 1, thresholds.size - 1)]
    return back((around[0] + around[1]) / 2)


def otsu3(pixels: np.ndarray) -> tuple[float, float]:
    """The same with three classes, tried at pairs of every n/128-th."""
    ordered, back = _sorted_logs(pixels)
    n = ordered.size
    if ordered[0] == ordered[-1]:
        return back(ordered[0]), back(ordered[0])
    bins = min(128, n)
    step = n // bins
    places = np.arange(0, n, step)
    low, high = _scatter_below(ordered), _weighted_scatter_above(ordered)
    sums, squares = ordered.cumsum(), (ordered**2).cumsum()
    best, found = np.inf, (0, 0)
    for i in range(places.size):
        j = np.arange(i + 1, places.size)
        width = (places[j] - places[i]).astype(np.float64)
        mean = (sums[places[j]] - sums[places[i]]) / width
        middle = width * ((squares[places[j]] - squares[places[i]]) / width - mean**2)
        score = low[places[places[i] * bins // n]] + middle + high[places[places[j] * bins // n]]
        if j.size and score.min() < best:
            best, found = score.min(), (i, int(j[score.argmin()]))
    return back(ordered[places[found[0]]]), back(ordered[places[found[1]]])


def _sorted_logs(pixels: np.ndarray):
    """Sorted logarithms stretched to 0..1, and the way back."""
    floor = pixels.min() + (pixels.max() - pixels.min()) / 256 + float(np.finfo(np.float32).eps)
    logs = np.log(np.maximum(np.sort(pixels, axis=None), floor))
    low, high = logs[0], logs[-1]
    if low == high:
        return np.zeros(logs.size), lambda value: float(np.exp(low))
    return (logs - low) / (high - low), lambda value: float(np.exp(value * (high - low) + low))


def _scatter_below(ordered: np.ndarray) -> np.ndarray:
    """Sum of squared distances to their mean of all values up to each one (running sums of Welford)."""
    means = ordered.cumsum() / np.arange(1, ordered.size + 1)
    return np.concatenate([[0], ((ordered[1:] - means[:-1]) * (ordered[1:] - means[1:])).cumsum()])


def _weighted_scatter_above(ordered: np.ndarray) -> np.ndarray:
    """The same of all values from each one on, over their number less one, times their number."""
    number = np.arange(ordered.size, 0, -1)
    scatter = _scatter_below(ordered[::-1])[::-1]
    return scatter / np.maximum(number - 1, 1) * number
