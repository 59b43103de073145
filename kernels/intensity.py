"""Brightness of labelled objects in one channel (CellProfiler's Intensity and Location)."""

import numpy as np
import numpy.typing as npt

from kernels.objects import ObjectPixels, divide
from kernels.planes import Floats, Pixels, dtype_scale

INTENSITY_FEATURES: dict[str, tuple[str, str]] = {
    "IntegratedIntensity": ("1", "Sum of the pixels."),
    "MeanIntensity": ("1", "Mean of the pixels."),
    "StdIntensity": ("1", "Standard deviation of the pixels (population)."),
    "MinIntensity": ("1", "Least pixel."),
    "MaxIntensity": ("1", "Greatest pixel."),
    "IntegratedIntensityEdge": ("1", "Sum of the edge pixels: those with a 4-neighbour outside the object."),
    "MeanIntensityEdge": ("1", "Mean of the edge pixels."),
    "StdIntensityEdge": ("1", "Standard deviation of the edge pixels (population)."),
    "MinIntensityEdge": ("1", "Least edge pixel."),
    "MaxIntensityEdge": ("1", "Greatest edge pixel."),
    "MassDisplacement": ("px", "Distance between the centre of the pixels and their centre of mass."),
    "LowerQuartileIntensity": ("1", "Value at index n / 4 of the n sorted pixels, interpolated."),
    "MedianIntensity": ("1", "Value at index n / 2 of the n sorted pixels, interpolated."),
    "MADIntensity": ("1", "Median, by the same rule, of the distances of the pixels to MedianIntensity."),
    "UpperQuartileIntensity": ("1", "Value at index 3 n / 4 of the n sorted pixels, interpolated."),
}
LOCATION_FEATURES: dict[str, tuple[str, str]] = {
    "CenterMassIntensity_X": ("px", "Mean column of the pixels, weighted by their intensity."),
    "CenterMassIntensity_Y": ("px", "Mean row of the pixels, weighted by their intensity."),
}
"""Unit and definition of each feature. Intensities are counts over the greatest value of the plane's type, so that
the unit 1 runs from 0 to 1 per pixel, as CellProfiler reads images."""


def measure_intensity(plane: Pixels, pixels: ObjectPixels, edge: ObjectPixels) -> dict[str, Floats]:
    """Measure the brightness of objects and where in them it lies.

    Parameters
    ----------
    plane
        One channel, shape ``(y, x)``, uint8 or uint16, camera counts.
    pixels, edge
        All pixels and the edge pixels of the same objects.

    Returns
    -------
    One array per name of ``INTENSITY_FEATURES`` and ``LOCATION_FEATURES``, shape ``(pixels.count,)``, float64. NaN for
    absent labels; the edge features of an object that fills the plane, and the centre of mass of a black object, are
    NaN too.
    """
    scale = dtype_scale(plane)
    values = plane[pixels.y, pixels.x].astype(np.int64)
    ordered = pixels.sort_inside(values)
    median = pixels.quantile(ordered, 0.5)
    mass = pixels.sum(values)
    center_x = divide(pixels.sum(values * pixels.x), mass)
    center_y = divide(pixels.sum(values * pixels.y), mass)
    shift_x, shift_y = pixels.mean(pixels.x) - center_x, pixels.mean(pixels.y) - center_y
    features = {
        **_moments(values, pixels, ""),
        **_moments(plane[edge.y, edge.x].astype(np.int64), edge, "Edge"),
        "LowerQuartileIntensity": pixels.quantile(ordered, 0.25),
        "MedianIntensity": median,
        "MADIntensity": _median_distance(values, median, pixels),
        "UpperQuartileIntensity": pixels.quantile(ordered, 0.75),
    }
    scaled = {name: counts / scale for name, counts in features.items()}
    scaled |= {
        "MassDisplacement": np.hypot(shift_x, shift_y),
        "CenterMassIntensity_X": center_x,
        "CenterMassIntensity_Y": center_y,
    }
    return {name: scaled[name] for name in (*INTENSITY_FEATURES, *LOCATION_FEATURES)}


def _moments(values: npt.NDArray[np.int64], pixels: ObjectPixels, suffix: str) -> dict[str, Floats]:
    mean = pixels.mean(values)
    deviation = values - mean[pixels.owner]
    least, greatest = np.full((2, pixels.count), np.nan)
    present = pixels.is_present
    if values.size:
        least[present] = np.minimum.reduceat(values, pixels.start[present])
        greatest[present] = np.maximum.reduceat(values, pixels.start[present])
    return {
        f"IntegratedIntensity{suffix}": np.where(present, pixels.sum(values), np.nan),
        f"MeanIntensity{suffix}": mean,
        f"StdIntensity{suffix}": np.sqrt(pixels.mean(deviation * deviation)),
        f"MinIntensity{suffix}": least,
        f"MaxIntensity{suffix}": greatest,
    }


def _median_distance(values: npt.NDArray[np.int64], median: Floats, pixels: ObjectPixels) -> Floats:
    # medians are whole or half counts: doubled distances are whole numbers and sort exactly
    doubled = np.rint(2 * np.where(pixels.is_present, median, 0)).astype(np.int64)
    distances = np.abs(2 * values - doubled[pixels.owner])
    return pixels.quantile(pixels.sort_inside(distances), 0.5) / 2
