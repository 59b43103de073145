"""Radial distribution of intensity: how much of an object's light lies in rings from its centre to its edge.

Definitions are CellProfiler's (MeasureObjectIntensityDistribution 4.2; scaled rings around the object's own centre).
All sums are of whole numbers, where CellProfiler adds in single precision. The CUDA version is
``kernels/radial_gpu.py``; both give the same sums, and one function makes the values of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from kernels import radial_gpu
from kernels.feature import Feature
from kernels.gpu import Array
from kernels.label_distances import GREATEST_SIDE, fill_squared_distances
from kernels.object_sets import ObjectSets
from kernels.object_sets_gpu import GpuObjectSets
from kernels.planes import Floats
from kernels.radial_centres import Centres, choose_centres, find_peaks
from kernels.radial_places import MOST_BINS, NOWHERE, WEDGES, place_objects
from kernels.radial_sums import PART_OBJECTS, add_by_place

_FAMILY = {"cellprofiler": "RadialDistribution", "first": "RadialDistributionFirst"}
_SOURCE = "CellProfiler 4.2, MeasureObjectIntensityDistribution"
_PATHS = (
    "Rings divide the way from the centre, the pixel farthest from other labels, to the edge into {bins} equal parts; "
    "a pixel's place on it is d / (d + e + 0.001 px), where d is the length of the shortest path of straight and "
    "diagonal steps from the centre inside the object and e is the distance to the nearest pixel of another label."
)
_CHOICE = {
    "cellprofiler": " Of equally far centres the one is taken that CellProfiler's sort puts last.",
    "first": " Of equally far centres the first in raster order is taken.",
}
_KINDS = {
    "FracAtD": (
        "Share of the object's intensity that lies in ring {ring} of {bins}, counted from its centre.",
        "the object has no intensity",
    ),
    "MeanFrac": (
        "Share of the object's intensity in ring {ring} of {bins}, counted from its centre, over the share of its "
        "pixels there; 0 where no pixel lies.",
        "the object has no intensity",
    ),
    "RadialCV": (
        "Standard deviation over mean of the mean intensities of the eight wedges that have pixels in ring {ring} of "
        "{bins}, counted from the object's centre; 0 where no pixel or no intensity lies.",
        "",
    ),
}


def measure_radial_distribution(
    planes: Array, objects: ObjectSets | GpuObjectSets, *, bins: int = 4, centers: Centres = "cellprofiler"
) -> Floats:
    """Measure how intensity is distributed between the centre and the edge of each object.

    Pieces of an object that do not touch the one with its centre (8 neighbours) are left out, as in CellProfiler.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, 65535 is CellProfiler's 1; on the device of ``objects``.
    objects
        Objects of the sets, on planes whose sides have at most ``kernels.label_distances.GREATEST_SIDE`` pixels.
    bins
        Rings between centre and edge, 1 to ``MOST_BINS``.
    centers
        Which of several pixels that are farthest from other labels is the centre: the one that CellProfiler takes, or
        the first in raster order, which is faster and does not depend on the rest of the plane.

    Returns
    -------
    Shape ``(s, c, 3 * bins, k)``, float64, no unit: FracAtD of each ring from the centre on, then MeanFrac, then
    RadialCV. NaN where an object is not in a set, and FracAtD and MeanFrac of an object without intensity.

    Raises
    ------
    TypeError
        If planes are not uint16.
    ValueError
        If shapes differ or are too large, ``bins`` is out of range, or ``centers`` is no rule.
    """
    _check(planes, objects, bins, centers)
    if isinstance(objects, GpuObjectSets):
        parts = radial_gpu.add_on_gpu(planes, objects, bins, centers)
    else:
        parts = _add(np.ascontiguousarray(planes), objects, bins, centers)
    values = np.empty((objects.n_sets, planes.shape[0], len(_KINDS) * bins, objects.count))
    for first, sums in parts:
        part = slice(first, first + len(sums))
        values[..., part] = finish_radial_distribution(sums, objects.area[:, part], bins)
    return values


def describe_radial_distribution(
    channels: Sequence[str], *, bins: int = 4, centers: Centres = "cellprofiler"
) -> list[Feature]:
    """Describe the columns of ``measure_radial_distribution``, in the order of its values."""
    return [
        Feature(
            name=f"{_FAMILY[centers]}_{kind}_{channel}_{ring}of{bins}",
            family="RadialDistribution",
            channel=channel,
            unit="1",
            definition=f"{text} {_PATHS}{_CHOICE[centers]}".format(ring=ring, bins=bins),
            null_when=null_when,
            source=_SOURCE if centers == "cellprofiler" else f"{_SOURCE}, but for the centre",
        )
        for channel in channels
        for kind, (text, null_when) in _KINDS.items()
        for ring in range(1, bins + 1)
    ]


def finish_radial_distribution(sums: npt.NDArray[np.int64], area: npt.NDArray[np.int64], bins: int) -> Floats:
    """Make the values of the sums, for both devices.

    Parameters
    ----------
    sums
        Counts of each channel, then pixels; shape ``(k, s, bins * WEDGES, c + 1)``, int64.
    area
        Pixels of each object, shape ``(s, k)``.
    bins
        Number of rings.

    Returns
    -------
    As ``measure_radial_distribution``.
    """
    count, n_sets, _, n_lanes = sums.shape
    parts = np.moveaxis(sums.reshape(count, n_sets, bins, WEDGES, n_lanes).astype(float), 0, -1)
    light, pixels = np.moveaxis(parts[..., :-1, :], 3, 1), parts[:, None, :, :, -1]
    in_ring, pixels_in_ring = light.sum(axis=3), pixels.sum(axis=3)
    with np.errstate(divide="ignore", invalid="ignore"):
        fraction = in_ring / in_ring.sum(axis=2, keepdims=True)
        share = pixels_in_ring / pixels_in_ring.sum(axis=2, keepdims=True)
        values = np.concatenate([fraction, fraction / (share + np.finfo(float).eps), _vary(light, pixels)], axis=2)
    values.transpose(0, 3, 1, 2)[area == 0] = np.nan
    return values


def _vary(light: Floats, pixels: Floats) -> Floats:
    """Variation of wedges' means: light is (s, c, bins, wedges, k), pixels the same for one channel."""
    wedges = (pixels > 0).sum(axis=3)
    means = np.where(pixels > 0, light / pixels, 0.0)
    mean = _sum_wedges(means) / wedges
    distance = np.where(pixels > 0, means - np.expand_dims(mean, 3), 0.0)
    deviation = np.sqrt(_sum_wedges(distance * distance) / wedges)
    return np.where(mean > 0, deviation / mean, 0.0)


def _sum_wedges(values: Floats) -> Floats:
    """Add wedge after wedge: NumPy's own order depends on how an array lies in memory."""
    total = values[:, :, :, 0].copy()
    for wedge in range(1, WEDGES):
        total += values[:, :, :, wedge]
    return total


def _add(
    planes: npt.NDArray[np.uint16], objects: ObjectSets, bins: int, centres: Centres
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Give the first object and the sums of each part of the objects, as ``radial_gpu.add_on_gpu`` does."""
    shape = planes.shape[1:]
    places = np.full((objects.n_sets, *shape), NOWHERE, np.uint8)
    columns, squares = np.empty(shape, np.uint16), np.empty(shape, np.int32)
    for labels, place in zip(objects.labels, places, strict=True):
        fill_squared_distances(labels, False, columns, squares)
        peaks = find_peaks(labels, squares, objects.count)
        middle = choose_centres(labels, squares, peaks.greatest, peaks.ties, peaks.first, centres)
        place_objects(labels, squares, middle, peaks.boxes, bins, False, place)
    flat_places, flat_planes = (stack.reshape(len(stack), places[0].size) for stack in (places, planes))
    for first in range(0, objects.count, PART_OBJECTS):
        start = objects.start[first : first + PART_OBJECTS + 1]
        sums = np.zeros((len(start) - 1, objects.n_sets, bins * WEDGES, len(planes) + 1), np.int64)
        add_by_place(flat_planes, flat_places, start, objects.position, sums)
        yield first, sums


def _check(planes: Array, objects: ObjectSets | GpuObjectSets, bins: int, centers: str) -> None:
    shape = objects.labels.shape[1:]
    if len(planes.shape) != 3 or planes.shape[1:] != shape:
        raise ValueError(f"planes must have shape (c, y, x) with (y, x) = {shape} as the labels, got {planes.shape}")
    if planes.dtype != np.uint16:
        raise TypeError(f"planes must be uint16, got {planes.dtype}")
    if max(shape) > GREATEST_SIDE:
        raise ValueError(f"labels must have sides of at most {GREATEST_SIDE} pixels, got {shape}")
    if not 1 <= bins <= MOST_BINS:
        raise ValueError(f"bins must be 1 to {MOST_BINS}, got {bins}")
    if centers not in _FAMILY:
        raise ValueError(f"centers must be one of {', '.join(_FAMILY)}, got {centers}")
