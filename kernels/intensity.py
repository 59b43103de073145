"""Brightness of objects and where in them it lies: CellProfiler's Intensity and Location, on either device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from kernels import intensity_gpu
from kernels.brightest_pixels import choose_brightest
from kernels.device import to_host
from kernels.feature import Feature
from kernels.gpu import Array
from kernels.intensity_scan import (
    DISTANCE,
    EDGE_GREATEST,
    EDGE_LEAST,
    EDGE_PIXELS,
    EDGE_SQUARES,
    EDGE_SUM,
    GREATEST,
    LEAST,
    ORDER,
    PEAK,
    PIXELS_X,
    PIXELS_Y,
    SQUARES,
    SUM,
    SUM_X,
    SUM_Y,
    IntensityState,
    scan_objects,
)
from kernels.object_sets import ObjectSets, list_object_sets
from kernels.object_sets_gpu import GpuObjectSets
from kernels.planes import Floats
from kernels.scatter import scatter
from kernels.set_pixels import LEVELS, SINGLE, check_object_planes

Ties = Literal["cellprofiler", "first"]
_TIES = {"cellprofiler": "the one that CellProfiler takes", "first": "the first, row by row"}
_SCALE = LEVELS - 1
_SINGLE = SINGLE.astype(np.float64)
_BLACK = "the object is black in this channel"
_INTENSITY = "CellProfiler 4.2 MeasureObjectIntensity"

FEATURES: dict[str, tuple[str, str, str]] = {
    "Intensity_IntegratedIntensity": ("1", "Sum of the object's pixels.", ""),
    "Intensity_MeanIntensity": ("1", "Mean of the object's pixels.", ""),
    "Intensity_StdIntensity": ("1", "Standard deviation of the object's pixels, divided by their number.", ""),
    "Intensity_MinIntensity": ("1", "Least of the object's pixels.", ""),
    "Intensity_MaxIntensity": ("1", "Greatest of the object's pixels.", ""),
    "Intensity_IntegratedIntensityEdge": (
        "1",
        "Sum of the object's edge pixels, those with a 4-neighbour in the image that is not of the object; 0 if there "
        "is none.",
        "",
    ),
    "Intensity_MeanIntensityEdge": ("1", "Mean of the edge pixels; 0 if there is none.", ""),
    "Intensity_StdIntensityEdge": (
        "1",
        "Standard deviation of the edge pixels, divided by their number; 0 if there is none.",
        "",
    ),
    "Intensity_MinIntensityEdge": ("1", "Least of the edge pixels; 0 if there is none.", ""),
    "Intensity_MaxIntensityEdge": ("1", "Greatest of the edge pixels; 0 if there is none.", ""),
    "Intensity_MassDisplacement": (
        "px",
        "Distance between the centre of the object's pixels and their centre weighted by intensity.",
        _BLACK,
    ),
    "Intensity_LowerQuartileIntensity": (
        "1",
        "Value at place n / 4, from 0, of the n sorted pixels, interpolated between neighbours; at the last place if "
        "there is none behind.",
        "",
    ),
    "Intensity_MedianIntensity": ("1", "Value at place n / 2 of the n sorted pixels, by the same rule.", ""),
    "Intensity_MADIntensity": (
        "1",
        "Value at place n / 2, by the same rule, of the sorted distances of the n pixels to MedianIntensity.",
        "",
    ),
    "Intensity_UpperQuartileIntensity": (
        "1",
        "Value at place 3 n / 4 of the n sorted pixels, by the same rule.",
        "",
    ),
    "Location_CenterMassIntensity_X": (
        "px",
        "Mean column of the pixels, weighted by intensity; the first is 0.",
        _BLACK,
    ),
    "Location_CenterMassIntensity_Y": ("px", "Mean row of the pixels, weighted by intensity; the first is 0.", _BLACK),
    "Location_CenterMassIntensity_Z": (
        "px",
        "Mean slice of the pixels, weighted by intensity: 0 in two dimensions.",
        _BLACK,
    ),
    "Location_MaxIntensity_X": (
        "px",
        "Column of the greatest pixel; of several equal ones {ties}.",
        "",
    ),
    "Location_MaxIntensity_Y": (
        "px",
        "Row of the greatest pixel; of several equal ones {ties}.",
        "",
    ),
    "Location_MaxIntensity_Z": ("px", "Slice of the greatest pixel: 0 in two dimensions.", ""),
}
"""Unit, definition and when there is no value, by name without the channel. Intensities are counts over 65535."""


def describe_intensity(channels: Sequence[str], *, ties: Ties = "cellprofiler") -> list[Feature]:
    """Describe the columns of ``measure_intensity`` for channels of these names: channel by channel."""
    described = []
    for channel in channels:
        for name, (unit, definition, null_when) in FEATURES.items():
            family, _, rest = name.partition("_")
            is_other = ties == "first" and family == "Location" and rest.startswith("MaxIntensity")
            named = f"LocationFirst_{rest}" if is_other else name
            text = definition.format(ties=_TIES[ties])
            described.append(Feature(f"{named}_{channel}", family, channel, unit, text, null_when, _INTENSITY))
    return described


def measure_intensity(planes: Array, objects: ObjectSets | GpuObjectSets, *, ties: Ties = "cellprofiler") -> Floats:
    """Measure the brightness of objects and where in them it lies.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, 65535 is CellProfiler's 1 (8-bit counts times 257); on the host or, with objects
        there, on the device.
    objects
        Objects of s sets on these planes.
    ties
        Which of an object's equally bright pixels MaxIntensity_X and _Y are: the one that CellProfiler takes
        (``kernels.brightest_pixels``; chosen on the host), or the first, row by row.

    Returns
    -------
    Shape ``(s, c, len(FEATURES), k)``, float64, on the host; intensities from 0 to 1 (their sums above), places in
    pixels from 0. NaN where an object is not in a set; MassDisplacement and CenterMassIntensity are NaN where it is
    black. Both devices give the same bits.

    Raises
    ------
    TypeError
        If ``planes`` are not uint16.
    ValueError
        If ``planes`` have another shape than the labels.

    Notes
    -----
    Definitions are those of CellProfiler's MeasureObjectIntensity, which adds pixels up in single precision where whole
    numbers are added here. An object that fills the plane has no edge: its edge features are 0, as there.
    """
    check_object_planes(planes, *objects.labels.shape[1:])
    if isinstance(objects, GpuObjectSets):
        state = intensity_gpu.scan_objects_on_gpu(planes, objects)
    else:
        state = scan_objects(planes, objects)
    if ties == "cellprofiler" and objects.count:
        on_host = _on_host(objects)
        peaks = choose_brightest(to_host(planes), on_host, state.counts[..., GREATEST], state.counts[..., PEAK])
        state.counts[..., PEAK] = peaks
    return _finish(state, objects.area, planes.shape[2])


def _on_host(objects: ObjectSets | GpuObjectSets) -> ObjectSets:
    return objects if isinstance(objects, ObjectSets) else list_object_sets(to_host(objects.labels), objects.outer)


def _finish(state: IntensityState, area: npt.NDArray[np.int64], width: int) -> Floats:
    """Compute the features from whole numbers, for both devices."""
    counts = np.ascontiguousarray(state.counts.transpose(3, 1, 2, 0))
    places = np.ascontiguousarray(state.places.transpose(2, 1, 0))[:, :, None]
    n, n_edge = area[:, None], places[EDGE_PIXELS]
    with np.errstate(divide="ignore", invalid="ignore"):
        centre_x, centre_y = counts[SUM_X] / counts[SUM], counts[SUM_Y] / counts[SUM]
        shift_x, shift_y = places[PIXELS_X] / n - centre_x, places[PIXELS_Y] / n - centre_y
        lower, median, upper = (
            _interpolate(_SINGLE[counts[ORDER + 2 * j :][:2]], n * (j + 1) / 4, n) for j in range(3)
        )
        distances = np.abs(_SINGLE[counts[DISTANCE:][:2]] - median)
        values = [
            *_moments(counts[SUM], counts[SQUARES], counts[LEAST], counts[GREATEST], n),
            *(
                np.where(n_edge == 0, 0, value)
                for value in _moments(
                    counts[EDGE_SUM], counts[EDGE_SQUARES], counts[EDGE_LEAST], counts[EDGE_GREATEST], n_edge
                )
            ),
            np.sqrt(shift_x * shift_x + shift_y * shift_y),
            lower,
            median,
            _interpolate(distances, n / 2, n),
            upper,
            centre_x,
            centre_y,
            centre_x * 0,
            (counts[PEAK] % width).astype(np.float64),
            (counts[PEAK] // width).astype(np.float64),
            np.zeros(counts[PEAK].shape),
        ]
    stacked = np.stack(values, axis=2)
    return np.where(area[:, None, None] == 0, np.nan, stacked)


def _moments(
    total: npt.NDArray[np.int64],
    squares: npt.NDArray[np.int64],
    least: npt.NDArray[np.int64],
    greatest: npt.NDArray[np.int64],
    n: npt.NDArray[np.int64],
) -> tuple[Floats, ...]:
    """Sum, mean, standard deviation, least and greatest value of n pixels, over the greatest count."""
    deviation = np.sqrt(scatter(n, total, total, squares) / n)
    return total / _SCALE, total / n / _SCALE, deviation / _SCALE, _SINGLE[least], _SINGLE[greatest]


def _interpolate(neighbours: Floats, place: Floats, n: npt.NDArray[np.int64]) -> Floats:
    """Value at a fractional place between two sorted values, CellProfiler's rule; ``neighbours`` (2, s, c, k)."""
    fraction = place - np.floor(place)
    between = neighbours[0] * (1 - fraction) + neighbours[1] * fraction
    return np.where(np.floor(place) < n - 1, between, neighbours[0])
