"""Zernike moments of each object's intensity: how light lies within the smallest circle around the object.

Definitions are CellProfiler's (MeasureObjectIntensityDistribution 4.2, magnitudes and phases, to degree 9). Powers of y
are added down each column and those of x along the columns' sums, so that nothing depends on the order in which a
compiler adds. It runs on the host, also where the planes are on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.enclosing_circle import enclosing_circles
from kernels.feature import Feature
from kernels.gpu import Array
from kernels.object_moments import MOMENTS, ORDER
from kernels.object_sets import ObjectSets, list_object_sets
from kernels.object_sets_gpu import GpuObjectSets
from kernels.planes import Floats
from kernels.zernike import DEGREES, sum_zernikes, zernike_terms

_SOURCE = "CellProfiler 4.2, MeasureObjectIntensityDistribution; centrosome's zernike and minimum_enclosing_circle"
_NULL = "the object is one pixel"
_SUM = (
    "the sum of intensity times the Zernike polynomial of degree {n} and repetition {m} over the object's pixels, in "
    "coordinates from the centre of the smallest circle around the object and in units of its radius"
)
_LEVELS = (np.arange(65_536, dtype=np.float32) / np.float32(65_535)).astype(np.float64)
"""Counts as CellProfiler has them, in single precision."""


def measure_intensity_zernikes(planes: Array, objects: ObjectSets | GpuObjectSets) -> Floats:
    """Measure the Zernike moments of each object's intensity.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, 65535 is CellProfiler's 1; on the device of ``objects``.
    objects
        Objects of the sets.

    Returns
    -------
    Shape ``(s, c, 60, k)``, float64: 30 magnitudes, in intensity per pixel of the object, from 0; then 30 phases in
    radians, from -pi to pi; both in the order of ``kernels.zernike.DEGREES``. NaN where an object is not in a set or is
    one pixel.

    Raises
    ------
    TypeError
        If planes are not uint16.
    ValueError
        If shapes differ.
    """
    shape = objects.labels.shape[1:]
    if len(planes.shape) != 3 or planes.shape[1:] != shape:
        raise ValueError(f"planes must have shape (c, y, x) with (y, x) = {shape} as the labels, got {planes.shape}")
    if planes.dtype != np.uint16:
        raise TypeError(f"planes must be uint16, got {planes.dtype}")
    if isinstance(objects, GpuObjectSets):
        gpu = objects.gpu
        planes, objects = gpu.get(planes), list_object_sets(gpu.get(objects.labels), objects.outer)
    parts = np.full((objects.n_sets, len(planes), objects.count, 2 * len(DEGREES)), np.nan)
    if objects.count:
        circles = enclosing_circles(objects)
        _measure_all(np.ascontiguousarray(planes), objects.labels, objects.boxes, circles, zernike_terms(), parts)
    real, imaginary = np.moveaxis(parts[..., ::2], 2, 3), np.moveaxis(parts[..., 1::2], 2, 3)
    with np.errstate(invalid="ignore", divide="ignore"):
        magnitude = np.sqrt(real * real + imaginary * imaginary) / objects.area[:, None, None]
    return np.concatenate([magnitude, np.arctan2(real, imaginary)], axis=2)


def describe_intensity_zernikes(channels: Sequence[str]) -> list[Feature]:
    """Describe the columns of ``measure_intensity_zernikes``, in the order of its values."""
    kinds = {
        "Magnitude": ("1", f"Absolute value of {_SUM}, over its area."),
        "Phase": ("rad", f"Arc tangent of the real over the imaginary part of {_SUM}."),
    }
    return [
        Feature(
            name=f"RadialDistribution_Zernike{kind}_{channel}_{n}_{m}",
            family="RadialDistribution",
            channel=channel,
            unit=unit,
            definition=definition.format(n=n, m=m),
            null_when=_NULL,
            source=_SOURCE,
        )
        for channel in channels
        for kind, (unit, definition) in kinds.items()
        for n, m in DEGREES
    ]


@compiled
def _measure_all(planes, labels, boxes, circles, terms, parts):
    """Write the sums of each set, channel and object: real and imaginary parts by turns."""
    rows, columns = 0, 0
    for box in boxes:
        rows, columns = max(rows, box[2] - box[0]), max(columns, box[3] - box[1])
    light = np.empty((rows, columns))
    powers = (np.empty((ORDER + 1, columns)), np.empty((ORDER + 1, columns)))
    moments = np.empty(MOMENTS)
    for index in range(len(boxes)):
        for channel in range(len(planes)):
            is_read = False
            for z in range(len(labels)):
                circle = circles[z, index]
                if not circle[2] > 0:
                    continue
                if not is_read:
                    _read(planes[channel], boxes[index], light)
                    is_read = True
                _sum_light(light, labels[z], boxes[index], index + 1, circle, powers, moments)
                sum_zernikes(moments, terms.part, terms.moment, terms.factor, parts[z, channel, index])


@compiled
def _read(plane, box, light):
    for y in range(box[0], box[2]):
        row, line = plane[y, box[1] : box[3]], light[y - box[0]]
        for x in range(len(row)):
            line[x] = _LEVELS[np.uint32(row[x])]


@compiled
def _sum_light(light, labels, box, label, circle, powers, moments):
    """Sum the moments of one object's light about the centre of its circle, in units of the radius."""
    along, down = powers
    width = box[3] - box[1]
    middle_y, middle_x, radius = circle[0], circle[1], circle[2]
    for x in range(width):
        across = (np.float64(x + box[1]) - middle_x) / radius
        power = 1.0
        for q in range(ORDER + 1):
            along[q, x] = power
            power *= across
    down[:, :width] = 0.0
    own = np.empty(width)
    for y in range(box[0], box[2]):
        row, line = labels[y, box[1] : box[3]], light[y - box[0], :width]
        for x in range(width):
            own[x] = line[x] if row[x] == label else 0.0
        above = (np.float64(y) - middle_y) / radius
        _drop_outside(row, label, above, along[1], own)
        power = 1.0
        for p in range(ORDER + 1):
            column = down[p]
            for x in range(width):
                column[x] += power * own[x]
            power *= above
    at = 0
    for p in range(ORDER + 1):
        for q in range(ORDER + 1 - p):
            total = 0.0
            for x in range(width):
                total += down[p, x] * along[q, x]
            moments[at] = total
            at += 1


@compiled
def _drop_outside(row, label, above, across, own):
    """Clear a row's first and last pixel where rounding puts it outside the circle, as centrosome does."""
    first = 0
    while first < len(row) and row[first] != label:
        first += 1
    if first == len(row):
        return
    last = len(row) - 1
    while row[last] != label:
        last -= 1
    for x in (first, last):
        if across[x] * across[x] + above * above > 1:
            own[x] = 0.0
