"""Image quality: how bright, how sharp, how clipped and how clean a plane is (CellProfiler's MeasureImageQuality).

Pixels are gone over once: ``kernels/quality_scan.py`` on the CPU, ``kernels/quality_gpu.py`` on a GPU. Both give the
same whole numbers, and all metrics are computed from those here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.background import LEAST_BLOCKS, LEAST_TILES, judge_background
from kernels.gpu import gpu_of
from kernels.otsu import otsu_thresholds
from kernels.planes import Floats, Pixels, check_planes, dtype_scale
from kernels.power_spectrum import ring_powers, slope_of
from kernels.quality_gpu import scan_on_gpu
from kernels.quality_scan import SCALES, TILE, PlaneSums, scan_plane


class MetricDescription(NamedTuple):
    """One metric of an image, for the feature dictionary; ``channel`` is empty, as metrics exist for each channel."""

    name: str
    family: str
    objects: str
    channel: str
    unit: str
    definition: str


_TOO_SMALL = "NULL for planes below 64 pixels on a side"
IMAGE_METRICS: dict[str, tuple[str, str]] = {
    "FocusScore": ("1", "Variance over mean of the pixels; 0 for a black plane. Greater is sharper."),
    **{
        f"LocalFocusScore_{scale}": (
            "1",
            f"Variance over median, across windows of {scale} pixels, of each window's variance over mean; black "
            "windows are left out. 0 where the median is 0.",
        )
        for scale in SCALES
    },
    **{
        f"Correlation_{scale}": (
            "1",
            f"Correlation of the plane, in 8 grey levels, with itself {scale} pixels to the right (Haralick's third "
            "feature). 0 for a flat plane and for planes no wider than that.",
        )
        for scale in SCALES
    },
    "PowerLogLogSlope": (
        "1",
        "Slope of log(power) over log(spatial frequency), summed in rings from 2 to an eighth of the shorter side; 0 "
        "for a flat plane and for planes too small for two rings (below 32 pixels), NULL where no ring has power. More "
        "negative is smoother.",
    ),
    "MeanIntensity": ("1", "Mean of the pixels, in units of `Scaling`."),
    "MedianIntensity": ("1", "Median of the pixels, in units of `Scaling`."),
    "StdIntensity": ("1", "Standard deviation of the pixels (population), in units of `Scaling`."),
    "MADIntensity": ("1", "Median of the distances of the pixels to their median, not scaled."),
    "MinIntensity": ("1", "Least pixel, in units of `Scaling`."),
    "MaxIntensity": ("1", "Greatest pixel, in units of `Scaling`."),
    "TotalIntensity": ("1", "Sum of the pixels, in units of `Scaling`."),
    "TotalArea": ("px", "Number of pixels."),
    "Scaling": (
        "counts",
        "Count that intensities are divided by: the greatest of the image's type, or what is given.",
    ),
    "PercentMaximal": ("%", "Share of pixels that equal the plane's own greatest value."),
    "PercentMinimal": ("%", "Share of pixels that equal the plane's own least value."),
    "PercentSaturated": ("%", "Share of pixels at or above the count at which the camera clips."),
    "ThresholdOtsu_2W": ("1", "Otsu's threshold of two classes on log(value)."),
    "ThresholdOtsu_3FW": ("1", "Lower of Otsu's thresholds of three classes: the middle class is foreground."),
    "ThresholdOtsu_3BW": ("1", "Upper of Otsu's thresholds of three classes: the middle class is background."),
    "BackgroundLevel": (
        "1",
        f"Mean of a smooth surface through the dark tenths of 8 x 8 blocks of the field; {_TOO_SMALL}.",
    ),
    "BackgroundGradient": (
        "%",
        "That surface's highest less its lowest block, over its mean: uneven illumination; "
        f"{_TOO_SMALL} and where the mean is below one count.",
    ),
    "PercentDebris": (
        "%",
        "Share of the field in connected areas of at least 4 tiles of 8 x 8 pixels that stand 4 times as far above the "
        f"background as the field's objects typically peak (debris), or 25 % below it (bubbles); {_TOO_SMALL}.",
    ),
    "EmptyImage": (
        "1",
        "1 where no connected area of 4 or more tiles of 8 x 8 pixels stands out from the background by more than "
        "noise explains, or all pixels are equal, else 0; NULL for planes below 64 pixels on a side that are not flat.",
    ),
}
_OF_BACKGROUND = ("BackgroundLevel", "BackgroundGradient", "PercentDebris", "EmptyImage")
LEAST_SIDE = LEAST_BLOCKS * LEAST_TILES * TILE
"""Shorter sides give no background, pixels."""


def describe_image_metrics() -> list[MetricDescription]:
    """Describe the metrics of ``measure_image_quality``, in their order."""
    return [
        MetricDescription(name, "ImageQuality", "Image", "", unit, definition)
        for name, (unit, definition) in IMAGE_METRICS.items()
    ]


def measure_image_quality(
    planes: Any, *, full_scale: int | Sequence[int], divisor: int | Sequence[int] | None = None
) -> dict[str, Floats]:
    """Measure the quality of raw planes.

    Parameters
    ----------
    planes
        Raw intensities, shape ``(n, y, x)``, uint8 or uint16, camera counts; a NumPy or a CuPy array, which decides
        where the pixels are gone over.
    full_scale
        Count at which the camera clips, e.g. 4095 for 12 bits, for all planes or for each. Only ``PercentSaturated``
        depends on it.
    divisor
        Count that is taken as 1, for all planes or for each; by default the greatest of the type, 255 or 65535, as
        CellProfiler reads images.

    Returns
    -------
    One array per name of ``IMAGE_METRICS``, shape ``(n,)``, float64, on the host; NaN where a metric has no value,
    which `explain_missing` says in words. CPU and GPU give the same bits, but for ``PowerLogLogSlope`` (relative
    difference below 1e-6).

    The formulas are CellProfiler 4.2's, but for the five metrics that CellProfiler does not have.

    Raises
    ------
    TypeError
        If ``planes`` is not uint8 or uint16.
    ValueError
        If ``planes`` is not three-dimensional or has no pixel, or ``full_scale`` or ``divisor`` is not a count of its
        type, or not one for each plane.
    """
    check_planes("planes", planes)
    full_scales = _one_each("full_scale", full_scale, planes)
    divisors = _one_each("divisor", dtype_scale(planes) if divisor is None else divisor, planes)
    gpu = gpu_of(planes)
    if gpu is not None:
        return _metrics_of(scan_on_gpu(planes, divisors, gpu), planes.shape[1:], divisors, full_scales)
    scanned = (_scan_on_cpu(plane, scale) for plane, scale in zip(planes, divisors, strict=True))
    return _metrics_of(scanned, planes.shape[1:], divisors, full_scales)


def _one_each(name: str, given: int | Sequence[int], planes: Any) -> list[int]:
    """A count for each plane."""
    counts = list(given) if isinstance(given, Sequence) else [given] * planes.shape[0]
    greatest = dtype_scale(planes)
    if len(counts) != planes.shape[0]:
        raise ValueError(f"{name} must be one count or {planes.shape[0]}, one for each plane, got {len(counts)}")
    for count in [given] if isinstance(given, int) else counts:
        if not 0 < count <= greatest:
            raise ValueError(f"{name} must be from 1 to {greatest} for {planes.dtype}, got {count}")
    return counts


def _metrics_of(
    scanned: Iterable[tuple[PlaneSums, Floats]], shape: tuple[int, int], divisors: list[int], full_scales: list[int]
) -> dict[str, Floats]:
    measured = [
        _measure_plane(sums, powers, shape, divisor, full_scale)
        for (sums, powers), divisor, full_scale in zip(scanned, divisors, full_scales, strict=True)
    ]
    return {name: np.array([metrics[name] for metrics in measured], np.float64) for name in IMAGE_METRICS}


def explain_missing(name: str, shape: tuple[int, int]) -> str:
    """Say why a metric of a plane of this shape (y, x) has no value."""
    if name in _OF_BACKGROUND and min(shape) < LEAST_SIDE:
        return f"{name}: a plane of {shape[1]} x {shape[0]} pixels is too small for a background"
    if name == "BackgroundGradient":
        return f"{name}: the background is below one count"
    if name == "PowerLogLogSlope":
        return f"{name}: the plane has no power at low spatial frequencies"
    return f"{name}: it is not defined for this plane"


def _scan_on_cpu(plane: Pixels, scale: int) -> tuple[PlaneSums, Floats]:
    sums = scan_plane(plane, scale)
    return sums, ring_powers(plane, sums.mean)


def _measure_plane(
    sums: PlaneSums, powers: Floats, shape: tuple[int, int], scale: int, full_scale: int
) -> dict[str, float]:
    values = np.flatnonzero(sums.histogram)
    weights = sums.histogram[values]
    area = shape[0] * shape[1]
    # whole numbers throughout: the sum of squares of 2**31 pixels still fits 64 bits
    total, squares = int(values @ weights), int(values**2 @ weights)
    mean, variance = total / area, (area * squares - total**2) / area**2
    median = _middle(values.astype(np.float64), weights)
    distance = np.abs(values - median)
    nearest_first = np.argsort(distance, kind="stable")
    is_flat = values.size == 1
    thresholds = otsu_thresholds(values, weights, scale)
    background = judge_background(sums.tiles, sums.tile_squares, pixels_per_tile=TILE * TILE, is_flat=is_flat)
    return {
        "FocusScore": variance / mean / scale if total else 0.0,
        **_local_focus(sums, scale),
        **_correlations(sums, shape),
        "PowerLogLogSlope": 0.0 if is_flat else slope_of(powers),
        "MeanIntensity": mean / scale,
        "MedianIntensity": median / scale,
        "StdIntensity": float(np.sqrt(variance)) / scale,
        "MADIntensity": _middle(distance[nearest_first], weights[nearest_first]) / scale,
        "MinIntensity": float(values[0]) / scale,
        "MaxIntensity": float(values[-1]) / scale,
        "TotalIntensity": total / scale,
        "TotalArea": float(area),
        "Scaling": float(scale),
        "PercentMaximal": 100 * float(weights[-1]) / area,
        "PercentMinimal": 100 * float(weights[0]) / area,
        "PercentSaturated": 100 * float(weights[values >= full_scale].sum()) / area,
        "ThresholdOtsu_2W": thresholds.two,
        "ThresholdOtsu_3FW": thresholds.lower_of_three,
        "ThresholdOtsu_3BW": thresholds.upper_of_three,
        "BackgroundLevel": background.level / scale,
        "BackgroundGradient": background.gradient_percent,
        "PercentDebris": background.debris_percent,
        "EmptyImage": background.is_empty,
    }


def _local_focus(sums: PlaneSums, scale: int) -> dict[str, float]:
    return {
        f"LocalFocusScore_{size}": float(spread / middle) / scale if middle > 0 else 0.0
        for size, spread, middle in zip(SCALES, sums.spread, sums.middle, strict=True)
    }


def _correlations(sums: PlaneSums, shape: tuple[int, int]) -> dict[str, float]:
    """Correlation of the quantised plane's pixels with those ``offset`` to their right, from whole sums."""
    found = {}
    for offset, row in zip(SCALES, sums.products, strict=True):
        pairs = shape[0] * (shape[1] - offset)
        found[f"Correlation_{offset}"] = _correlation(pairs, *(int(value) for value in (*sums.levels, *row)))
    return found


def _correlation(
    pairs: int, level: int, square: int, product: int, first: int, first_square: int, last: int, last_square: int
) -> float:
    """Pearson's correlation of all pairs: left pixels are all but the last columns, right ones all but the first."""
    if pairs <= 0:
        return 0.0
    left, right = level - last, level - first
    left_scatter = pairs * (square - last_square) - left * left
    right_scatter = pairs * (square - first_square) - right * right
    if left_scatter == 0 or right_scatter == 0:
        return 0.0
    return (pairs * product - left * right) / float(np.sqrt(float(left_scatter)) * np.sqrt(float(right_scatter)))


def _middle(values: Floats, weights: npt.NDArray[np.integer]) -> float:
    """Median of ascending values, each counted ``weights`` times."""
    last_rank = np.cumsum(weights)
    area = int(last_rank[-1])
    lower, upper = np.searchsorted(last_rank, [(area - 1) // 2, area // 2], side="right")
    return float(values[lower] + values[upper]) / 2
