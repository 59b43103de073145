"""Image quality: how bright, how sharp and how clipped a plane is (CellProfiler's MeasureImageQuality)."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft

from kernels.planes import Floats, Pixels, check_planes, dtype_scale


class MetricDescription(NamedTuple):
    """One metric of an image, for the feature dictionary; ``channel`` is empty, as metrics exist for each channel."""

    name: str
    family: str
    objects: str
    channel: str
    unit: str
    definition: str


IMAGE_METRICS: dict[str, tuple[str, str]] = {
    "FocusScore": ("1", "Variance over mean of the pixels; 0 for a black plane. Greater is sharper."),
    "MeanIntensity": ("1", "Mean of the pixels, each from 0 to 1 of its type's range."),
    "MedianIntensity": ("1", "Median of the pixels, each from 0 to 1 of its type's range."),
    "StdIntensity": ("1", "Standard deviation of the pixels (population), each from 0 to 1 of its type's range."),
    "MADIntensity": ("1", "Median of the distances of the pixels to their median, not scaled."),
    "MinIntensity": ("1", "Least pixel, each from 0 to 1 of its type's range."),
    "MaxIntensity": ("1", "Greatest pixel, each from 0 to 1 of its type's range."),
    "TotalIntensity": ("1", "Sum of the pixels, each from 0 to 1 of its type's range."),
    "TotalArea": ("px", "Number of pixels."),
    "PercentMaximal": ("%", "Share of pixels that equal the plane's own greatest value."),
    "PercentMinimal": ("%", "Share of pixels that equal the plane's own least value."),
    "PercentSaturated": ("%", "Share of pixels at or above the count at which the camera clips."),
    "PowerLogLogSlope": (
        "1",
        "Slope of log(power) over log(spatial frequency), summed in rings from 2 to an eighth of the shorter side; "
        "0 for a flat plane, NULL for planes too small for two rings. More negative is smoother.",
    ),
}


def describe_image_metrics() -> list[MetricDescription]:
    """Describe the metrics of ``measure_image_quality``, in their order."""
    return [
        MetricDescription(name, "ImageQuality", "Image", "", unit, definition)
        for name, (unit, definition) in IMAGE_METRICS.items()
    ]


def measure_image_quality(planes: Pixels, *, full_scale: int) -> dict[str, Floats]:
    """Measure the quality of raw planes.

    Parameters
    ----------
    planes
        Raw intensities, shape ``(n, y, x)``, uint8 or uint16, camera counts.
    full_scale
        Count at which the camera clips, e.g. 4095 for 12 bits. Only ``PercentSaturated`` depends on it.

    Returns
    -------
    One array per name of ``IMAGE_METRICS``, shape ``(n,)``, float64. Intensities are counts over 255 or 65535, as
    CellProfiler reads images; NaN where a metric has no value.

    The formulas are CellProfiler 4.2's; ``PercentSaturated`` is ours, as CellProfiler knows only the plane's own
    extremes.

    Raises
    ------
    TypeError
        If ``planes`` is not uint8 or uint16.
    ValueError
        If ``planes`` is not three-dimensional or has no pixel, or ``full_scale`` is not a count of its type.
    """
    check_planes("planes", planes)
    scale = dtype_scale(planes)
    if not 0 < full_scale <= scale:
        raise ValueError(f"full_scale must be from 1 to {scale} for {planes.dtype}, got {full_scale}")
    measured = [_measure_plane(plane, full_scale) for plane in planes]
    return {name: np.array([metrics[name] for metrics in measured], np.float64) for name in IMAGE_METRICS}


def _measure_plane(plane: Pixels, full_scale: int) -> dict[str, float]:
    counts = np.bincount(plane.ravel())
    values = np.flatnonzero(counts)
    weights = counts[values]
    scale, area = dtype_scale(plane), plane.size
    # whole numbers throughout: the sum of squares of 2**30 pixels still fits 64 bits
    total, squares = int(values @ weights), int(values**2 @ weights)
    mean, variance = total / area, (area * squares - total**2) / area**2
    median = _middle(values.astype(np.float64), weights)
    distance = np.abs(values - median)
    nearest_first = np.argsort(distance, kind="stable")
    return {
        "FocusScore": variance / mean / scale if total else 0.0,
        "MeanIntensity": mean / scale,
        "MedianIntensity": median / scale,
        "StdIntensity": np.sqrt(variance) / scale,
        "MADIntensity": _middle(distance[nearest_first], weights[nearest_first]) / scale,
        "MinIntensity": float(values[0]) / scale,
        "MaxIntensity": float(values[-1]) / scale,
        "TotalIntensity": total / scale,
        "TotalArea": float(area),
        "PercentMaximal": 100 * float(weights[-1]) / area,
        "PercentMinimal": 100 * float(weights[0]) / area,
        "PercentSaturated": 100 * float(weights[values >= full_scale].sum()) / area,
        "PowerLogLogSlope": _power_slope(plane, mean) if values.size > 1 else 0.0,
    }


def _middle(values: Floats, weights: npt.NDArray[np.integer]) -> float:
    """Median of ascending values, each counted ``weights`` times."""
    last_rank = np.cumsum(weights)
    area = int(last_rank[-1])
    lower, upper = np.searchsorted(last_rank, [(area - 1) // 2, area // 2], side="right")
    return float(values[lower] + values[upper]) / 2


def _power_slope(plane: Pixels, mean: float) -> float:
    """Slope of the radial power spectrum, as centrosome's radial_power_spectrum and CellProfiler's fit of a line.

    CellProfiler scales the plane by its median absolute deviation first, which moves the line but not its slope. Its
    radius takes frequency u of n to min(u, n - 1 - u), kept here although the spectrum's symmetry is n - u.
    """
    height, width = plane.shape
    greatest = min(height, width) // 8 - 1
    if greatest < 3:
        return float("nan")
    # the rings need the lowest frequencies of the rows alone
    rows = np.asarray(scipy.fft.rfft(plane.astype(np.float32) - np.float32(mean), axis=1))[:, : greatest + 2]
    spectrum = np.asarray(scipy.fft.fft(rows, axis=0))
    power = np.abs(spectrum).astype(np.float64) ** 2
    power[0, 0] = 0
    u, v = np.arange(height)[:, None], np.arange(power.shape[1])
    near_v = np.minimum(v, width - 1 - v)
    # each column but the first stands for its mirror image too: (u, v) and (-u, -v) have the same power
    mirror_u, mirror_v = -u % height, width - v[1:]
    rings = _sum_rings(power, np.minimum(u, height - 1 - u), near_v, greatest)
    rings += _sum_rings(
        power[:, 1:], np.minimum(mirror_u, height - 1 - mirror_u), np.minimum(mirror_v, width - 1 - mirror_v), greatest
    )
    log_power = np.log(rings, out=np.full(rings.size, np.nan), where=rings > 0)
    log_radius = np.log(np.arange(2, greatest + 1))
    known = np.isfinite(log_power)
    if known.sum() < 2:
        return float("nan")
    x, y = log_radius[known] - log_radius[known].mean(), log_power[known] - log_power[known].mean()
    return float(x @ y / (x @ x))


def _sum_rings(power: Floats, u: npt.NDArray[np.integer], v: npt.NDArray[np.integer], greatest: int) -> Floats:
    """Sum power by floor(radius) + 1, from 2 to ``greatest``."""
    radius = np.minimum(np.sqrt(u * u + v * v).astype(np.intp) + 1, greatest + 1)
    sums = np.bincount(radius.ravel(), weights=power.ravel(), minlength=greatest + 2)
    return sums[2 : greatest + 1].astype(np.float64, copy=False)
