"""Brightness of whole images: CellProfiler's MeasureImageIntensity, exact from histograms, on either device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernels.feature import Feature
from kernels.gpu import Array, Gpu, gpu_of
from kernels.planes import Floats
from kernels.quality_gpu import count_values_on_gpu
from kernels.quality_scan import count_values
from kernels.set_pixels import LEVELS, SINGLE

_SCALE = LEVELS - 1
_SOURCE = "CellProfiler 4.2 MeasureImageIntensity"

FEATURES: dict[str, tuple[str, str]] = {
    "TotalIntensity": ("1", "Sum of the pixels."),
    "MeanIntensity": ("1", "Mean of the pixels."),
    "MedianIntensity": ("1", "Median of the pixels: the mean of the two in the middle of an even number."),
    "StdIntensity": ("1", "Standard deviation of the pixels, divided by their number."),
    "MADIntensity": ("1", "Median of the distances of the pixels to MedianIntensity."),
    "MaxIntensity": ("1", "Greatest pixel."),
    "MinIntensity": ("1", "Least pixel."),
    "TotalArea": ("px", "Number of pixels."),
    "PercentMaximal": ("%", "Share of the pixels that are as bright as the greatest one."),
    "LowerQuartileIntensity": ("1", "25th percentile of the pixels, linear between neighbours."),
    "UpperQuartileIntensity": ("1", "75th percentile of the pixels, linear between neighbours."),
}
"""Unit and definition. Intensities are counts over 65535."""


def describe_image_intensity(channels: Sequence[str]) -> list[Feature]:
    """Describe the columns of ``measure_image_intensity`` for channels of these names: channel by channel."""
    return [
        Feature(f"Intensity_{name}_{channel}", "Intensity", channel, unit, definition, "", _SOURCE)
        for channel in channels
        for name, (unit, definition) in FEATURES.items()
    ]


def measure_image_intensity(planes: Array) -> Floats:
    """Measure the brightness of whole planes.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, at least one pixel each, 65535 is CellProfiler's 1 (8-bit counts times 257); on the
        host or on a device.

    Returns
    -------
    Shape ``(c, len(FEATURES))``, float64, on the host. Both devices give the same bits.

    Raises
    ------
    TypeError
        If ``planes`` are not uint16.
    ValueError
        If ``planes`` are not three-dimensional or have no pixel.

    Notes
    -----
    Definitions are those of CellProfiler's MeasureImageIntensity, which adds up in single precision where whole numbers
    are added here; TotalIntensity and StdIntensity differ in the seventh digit.
    """
    if planes.dtype != np.uint16:
        raise TypeError(f"planes must be uint16 (8-bit counts times 257), got {planes.dtype}")
    if len(planes.shape) != 3 or 0 in planes.shape[1:]:
        raise ValueError(f"planes must have shape (c, y, x) with pixels, got {tuple(planes.shape)}")
    values = [_measure(histogram) for histogram in _count(planes, gpu_of(planes))]
    return np.array(values, np.float64).reshape(len(planes), len(FEATURES))


def _count(planes: Array, gpu: Gpu | None) -> npt.NDArray[np.int64]:
    if gpu is not None:
        return gpu.get(count_values_on_gpu(planes, gpu)).astype(np.int64)
    histograms = np.zeros((len(planes), LEVELS), np.int64)
    for plane, histogram in zip(planes, histograms, strict=True):
        count_values(np.ascontiguousarray(plane), histogram)
    return histograms


def _measure(histogram: npt.NDArray[np.int64]) -> list[float]:
    counts = np.flatnonzero(histogram)
    pixels = histogram[counts]
    n = int(pixels.sum())
    total, squares = int((pixels * counts).sum()), int((pixels * counts * counts).sum())
    middle = _doubled_median(counts, pixels)
    distances = np.abs(2 * counts - middle)
    order = np.argsort(distances, kind="stable")
    singles, below = SINGLE[counts].astype(np.float64), np.cumsum(pixels)
    return [
        total / _SCALE,
        total / n / _SCALE,
        middle / 2 / _SCALE,
        np.sqrt((n * squares - total * total) / n**2) / _SCALE,
        _doubled_median(distances[order], pixels[order]) / 4 / _SCALE,
        singles[-1],
        singles[0],
        float(n),
        100.0 * int(pixels[-1]) / n,
        _percentile(singles, below, n, 0.25),
        _percentile(singles, below, n, 0.75),
    ]


def _doubled_median(values: npt.NDArray[np.int64], pixels: npt.NDArray[np.int64]) -> int:
    """Twice the median of ascending values, each as often as it has pixels."""
    below = np.cumsum(pixels)
    middle = np.searchsorted(below, [(below[-1] - 1) // 2, below[-1] // 2], "right")
    return int(values[middle].sum())


def _percentile(values: Floats, below: npt.NDArray[np.int64], n: int, fraction: float) -> float:
    place = (n - 1) * fraction
    first = int(place)
    low, high = values[np.searchsorted(below, [first, min(first + 1, n - 1)], "right")]
    return float(low + (high - low) * (place - first))
