"""Zernike moments of each object's intensity: how light lies within the smallest circle around the object.

Definitions are CellProfiler's (MeasureObjectIntensityDistribution 4.2, magnitudes and phases, to degree 9). Powers of y
are added down each column and those of x along the columns' sums, so that nothing depends on the order in which a
compiler adds. It runs on the host, also where the planes are on a GPU.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kernels.compiled import compiled
from kernels.enclosing_circle import enclosing_circles
from kernels.feature import Feature
from kernels.gpu import Array
from kernels.object_moments import MOMENTS, ORDER
from kernels.object_sets import ObjectSets, list_object_sets
from kernels.object_sets_gpu import GpuObjectSets
from kernels.planes import Floats
from kernels.radial_sums import PART_OBJECTS
from kernels.zernike import DEGREES, sum_zernikes, zernike_terms

_SOURCE = "CellProfiler 4.2, MeasureObjectIntensityDistribution; centrosome's zernike and minimum_enclosing_circle"
_NULL = "the object is one pixel"
_SUM = (
    "the sum of intensity times the Zernike polynomial of degree {n} and repetition {m} over the object's pixels, in "
    "coordinates from the centre of the smallest circle around the object and in units of its radius"
)
_LEVELS = (np.arange(65_536, dtype=np.float32) / np.float32(65_535)).astype(np.float64)
"""Counts as CellProfiler has them, in single precision."""
_ROWS = 4
_CHUNK = 16
"""Columns that are summed together: loops of fixed length become vector instructions without a rest."""


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
    wide, circles = np.ascontiguousarray(planes), enclosing_circles(objects)
    values = np.empty((objects.n_sets, len(wide), 2 * len(DEGREES), objects.count))
    for first in range(0, objects.count, PART_OBJECTS):
        part = slice(first, first + PART_OBJECTS)
        boxes, area = objects.boxes[part], objects.area[:, part]
        sums = np.full((objects.n_sets, len(wide), len(boxes), 2 * len(DEGREES)), np.nan)
        _measure_all(wide, _LEVELS, objects.labels, first, boxes, circles[:, part], zernike_terms(), sums)
        real, imaginary = np.moveaxis(sums[..., ::2], 2, 3), np.moveaxis(sums[..., 1::2], 2, 3)
        magnitude, phase = values[:, :, : len(DEGREES), part], values[:, :, len(DEGREES) :, part]
        with np.errstate(invalid="ignore", divide="ignore"):
            magnitude[:] = np.sqrt(real * real + imaginary * imaginary) / area[:, None, None]
        phase[:] = np.arctan2(real, imaginary)
    return values


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
def _measure_all(planes, levels, labels, first, boxes, circles, terms, sums):
    """Write the sums of each set, channel and object: real and imaginary parts by turns."""
    rows, columns = 0, 0
    for box in boxes:
        rows, columns = max(rows, box[2] - box[0]), max(columns, box[3] - box[1])
    rows, chunks = (rows + _ROWS - 1) // _ROWS * _ROWS, (columns + _CHUNK - 1) // _CHUNK
    light, inside = np.zeros((len(planes), rows, chunks, _CHUNK)), np.empty((rows, chunks, _CHUNK))
    extents, steep = np.empty((rows, 2), np.int64), np.empty((rows, ORDER + 1))
    along, down = np.empty((chunks, ORDER + 1, _CHUNK)), np.empty((chunks, ORDER + 1, _CHUNK))
    own, lanes, moments = np.empty((_ROWS, _CHUNK)), np.empty((MOMENTS, _CHUNK)), np.empty(MOMENTS)
    for index in range(len(boxes)):
        box = boxes[index]
        height = (box[2] - box[0] + _ROWS - 1) // _ROWS * _ROWS
        used = (box[3] - box[1] + _CHUNK - 1) // _CHUNK
        for channel in range(len(planes)):
            _read(planes[channel], box, levels, light[channel])
        for z in range(len(labels)):
            if not circles[z, index, 2] > 0:
                continue
            circle = (circles[z, index, 0], circles[z, index, 1], circles[z, index, 2])
            _raise_places(box, circle, along[:used], steep)
            _find_inside(labels[z], box, first + index + 1, along, steep, inside[:height], extents)
            for channel in range(len(planes)):
                down[:used] = 0.0
                for y in range(0, height, _ROWS):
                    _add_rows(light[channel], inside, extents, steep, y, own, down)
                _sum_columns(down[:used], along, lanes, moments)
                sum_zernikes(moments, terms.part, terms.moment, terms.factor, sums[z, channel, index])


@compiled
def _read(plane, box, levels, light):
    for y in range(box[0], box[2]):
        row, line = plane[y, box[1] : box[3]], light[y - box[0]]
        line = line.reshape(line.size)
        for x in range(len(row)):
            line[x] = levels[np.uint32(row[x])]


@compiled
def _raise_places(box, circle, along, steep):
    """Write the powers of each column's and row's place, from the centre of the circle and in units of its radius."""
    for chunk in range(len(along)):
        for x in range(_CHUNK):
            along[chunk, 0, x] = 1.0
            along[chunk, 1, x] = (np.float64(box[1] + chunk * _CHUNK + x) - circle[1]) / circle[2]
        for q in range(2, ORDER + 1):
            for x in range(_CHUNK):
                along[chunk, q, x] = along[chunk, q - 1, x] * along[chunk, 1, x]
    for y in range(len(steep)):
        steep[y, 0] = 1.0
        for p in range(1, ORDER + 1):
            steep[y, p] = steep[y, p - 1] * ((np.float64(box[0] + y) - circle[0]) / circle[2])


@compiled
def _find_inside(labels, box, label, along, steep, inside, extents):
    """Write 1 for pixels that count and 0 for others, and the chunks of each row that have any."""
    for y in range(len(inside)):
        extents[y, 0], extents[y, 1] = 0, 0
        line = inside[y].reshape(inside[y].size)
        line[:] = 0.0
        if box[0] + y >= box[2]:
            continue
        row = labels[box[0] + y, box[1] : box[3]]
        for x in range(len(row)):
            line[x] = 1.0 if row[x] == label else 0.0
        first, last = 0, len(row) - 1
        while last >= 0 and row[last] != label:
            last -= 1
        while first < last and row[first] != label:
            first += 1
        for x in (first, last):  # rounding puts some pixels of the circle outside; centrosome leaves those out
            across = along[x // _CHUNK, 1, x % _CHUNK] if last >= 0 else 0.0
            if across * across + steep[y, 1] * steep[y, 1] > 1:
                line[x] = 0.0
        if last >= 0:
            extents[y, 0], extents[y, 1] = first // _CHUNK, last // _CHUNK + 1


@compiled
def _add_rows(light, inside, extents, steep, y, own, down):
    """Add the light of ``_ROWS`` rows to the columns, times the powers of the rows' places."""
    first, behind = down.shape[0], 0
    for row in range(y, y + _ROWS):
        if extents[row, 1] > 0:
            first, behind = min(first, extents[row, 0]), max(behind, extents[row, 1])
    for chunk in range(first, behind):
        for row in range(_ROWS):
            for x in range(own.shape[1]):
                own[row, x] = light[y + row, chunk, x] * inside[y + row, chunk, x]
        for p in range(ORDER + 1):
            one, two, three, four = steep[y, p], steep[y + 1, p], steep[y + 2, p], steep[y + 3, p]
            for x in range(own.shape[1]):
                upper, lower = one * own[0, x] + two * own[1, x], three * own[2, x] + four * own[3, x]
                down[chunk, p, x] += upper + lower


@compiled
def _sum_columns(down, along, lanes, moments):
    """Sum the columns' sums times the powers of their places: first every ``_CHUNK``-th column, then those sums."""
    lanes[:] = 0.0
    for chunk in range(len(down)):
        at = 0
        for p in range(ORDER + 1):
            for q in range(ORDER + 1 - p):
                for x in range(lanes.shape[1]):
                    lanes[at, x] += down[chunk, p, x] * along[chunk, q, x]
                at += 1
    moments[:] = 0.0
    for x in range(_CHUNK):
        for at in range(MOMENTS):
            moments[at] += lanes[at, x]
