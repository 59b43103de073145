"""Size, place and form of objects: CellProfiler's AreaShape, its Zernike moments and its other moments."""

from __future__ import annotations

import math

import numpy as np

from kernels.compiled import compiled
from kernels.convex_hull import count_convex, measure_widths
from kernels.enclosing_circle import enclose
from kernels.feature import empty_values
from kernels.object_moments import MOMENTS, drop_pixel, place, scale_moments, shift_moments
from kernels.object_sets import ObjectSets
from kernels.object_sets_gpu import GpuObjectSets
from kernels.planes import Floats
from kernels.radii import FRACTION
from kernels.shape_gpu import sum_shapes_on_gpu
from kernels.shape_names import FORM, shape_names
from kernels.shape_sums import ShapeSums, middle, sum_shapes
from kernels.zernike import DEGREES, sum_zernikes, zernike_terms


def measure_shape(objects: ObjectSets | GpuObjectSets, *, moments: bool = False) -> Floats:
    """Measure size, place and form of each object in each set.

    Parameters
    ----------
    objects
        Objects of the sets, on either device.
    moments
        Add spatial, central, normalised and Hu moments and the inertia tensor.

    Returns
    -------
    Values in the order of ``describe_shape``, shape ``(s, f, count)``, float64, on the host: pixels and square pixels,
    coordinates of the plane from 0. NaN where an object is not in a set, and where ``describe_shape`` says so. They are
    CellProfiler 4.2's, which are scikit-image 0.18's and centrosome's, to rounding; both devices give the same bits.
    """
    if isinstance(objects, GpuObjectSets):
        return finish_shapes(sum_shapes_on_gpu(objects), objects.area, moments=moments)
    return finish_shapes(sum_shapes(objects), objects.area, moments=moments)


def finish_shapes(sums: ShapeSums, area: np.ndarray, *, moments: bool) -> Floats:
    """Make the values of ``measure_shape`` of sums of either device and of the areas, shape ``(s, k)``."""
    values = empty_values(len(area), len(shape_names(moments=moments)), area.shape[1])
    if area.size:
        columns = int((sums.boxes[..., 3] - sums.boxes[..., 1]).max())
        _finish_all(area, *sums, zernike_terms(), max(columns, 1), moments, values)
    return values


@compiled
def _finish_all(
    area,  # pyright: ignore[reportMissingParameterType]
    boxes,  # pyright: ignore[reportMissingParameterType]
    moments,  # pyright: ignore[reportMissingParameterType]
    patterns,  # pyright: ignore[reportMissingParameterType]
    radii,  # pyright: ignore[reportMissingParameterType]
    corner_start,  # pyright: ignore[reportMissingParameterType]
    corner_count,  # pyright: ignore[reportMissingParameterType]
    corner_y,  # pyright: ignore[reportMissingParameterType]
    corner_x,  # pyright: ignore[reportMissingParameterType]
    terms,  # pyright: ignore[reportMissingParameterType]
    columns,  # pyright: ignore[reportMissingParameterType]
    with_moments,  # pyright: ignore[reportMissingParameterType]
    values,  # pyright: ignore[reportMissingParameterType]
):
    upper, lower = np.empty(columns), np.empty(columns)
    parts, shifted = np.empty(2 * len(DEGREES)), np.empty(MOMENTS)
    for z in range(area.shape[0]):
        for index in range(area.shape[1]):
            if area[z, index] == 0:
                continue
            out, box, own = values[z, :, index], boxes[z, index], moments[z, index]
            begin, corners = corner_start[z, index], np.int64(corner_count[z, index])
            hull_y, hull_x = corner_y[begin : begin + corners], corner_x[begin : begin + corners]
            _finish_form(out, box, own, patterns[z, index], radii[z, index])
            _finish_hull(out, hull_y, hull_x, corners, upper, lower)
            _finish_zernikes(out[FORM:], own, box, hull_y, hull_x, terms, parts, shifted)
            if with_moments:
                _finish_moments(out[FORM + len(DEGREES) :], own, box, shifted)


@compiled
def _finish_form(out, box, moments, patterns, radii):  # pyright: ignore[reportMissingParameterType]
    area = moments[0]
    height, width = float(box[2] - box[0]), float(box[3] - box[1])
    perimeter = patterns[0] + patterns[1] * math.sqrt(2.0) + patterns[2] * ((1.0 + math.sqrt(2.0)) / 2.0)
    out[0] = area
    out[1] = height * width
    out[2], out[3], out[4], out[5] = box[3], box[2], box[1], box[0]
    out[6] = moments[place(0, 1)] / area + middle(box[1], box[3])
    out[7] = moments[place(1, 0)] / area + middle(box[0], box[2])
    out[8] = perimeter * perimeter / (4.0 * math.pi * area)
    _finish_ellipse(out, moments)
    out[11] = math.sqrt(4.0 * area / math.pi)
    out[12] = patterns[3]
    out[13] = area / (height * width)
    if perimeter > 0:
        out[14] = 4.0 * math.pi * area / (perimeter * perimeter)
    out[17] = math.sqrt(radii[0])
    out[18] = (radii[3] + radii[4] / FRACTION) / area
    out[19] = (math.sqrt(radii[1]) + math.sqrt(radii[2])) / 2.0
    out[23] = perimeter


@compiled
def inertia(moments):  # pyright: ignore[reportMissingParameterType]
    """Give the inertia tensor per pixel, first entry, last, and the other, and its greater and lesser eigenvalue."""
    area = moments[0]
    down, across = moments[place(1, 0)], moments[place(0, 1)]
    yy = (area * moments[place(2, 0)] - down * down) / (area * area)
    xx = (area * moments[place(0, 2)] - across * across) / (area * area)
    xy = (area * moments[place(1, 1)] - down * across) / (area * area)
    centre, gap = (yy + xx) / 2.0, math.sqrt(4.0 * xy * xy + (yy - xx) * (yy - xx)) / 2.0
    return xx, yy, -xy, max(centre + gap, 0.0), max(centre - gap, 0.0)


@compiled
def _finish_ellipse(out, moments):  # pyright: ignore[reportMissingParameterType]
    xx, yy, mixed, long, short = inertia(moments)
    out[10] = math.sqrt(max(1.0 - short / long, 0.0)) if long > 0 else 0.0
    out[15], out[21] = 4.0 * math.sqrt(long), 4.0 * math.sqrt(short)
    if xx == yy:
        out[22] = -45.0 if mixed < 0 else 45.0
    else:
        out[22] = math.degrees(0.5 * math.atan2(-2.0 * mixed, yy - xx))


@compiled
def _finish_hull(out, hull_y, hull_x, corners, upper, lower):  # pyright: ignore[reportMissingParameterType]
    convex = count_convex(hull_y, hull_x, corners, upper, lower)
    out[9] = convex
    out[20], out[16] = measure_widths(hull_y, hull_x, corners)
    out[24] = out[0] / convex


@compiled
def _finish_zernikes(out, moments, box, hull_y, hull_x, terms, parts, shifted):  # pyright: ignore[reportMissingParameterType]
    """As centrosome's ``zernike``: pixels whose distance to the centre comes out above the radius do not count."""
    y, x, radius = enclose(hull_y, hull_x, hull_y.size)
    if radius == 0:
        return
    middle_y, middle_x = middle(box[0], box[2]), middle(box[1], box[3])
    shifted[:] = moments
    for corner in range(hull_y.size):
        down, across = (hull_y[corner] - y) / radius, (hull_x[corner] - x) / radius
        if across * across + down * down > 1:
            drop_pixel(shifted, float(hull_y[corner] - middle_y), float(hull_x[corner] - middle_x))
    shift_moments(shifted, middle_y - y, middle_x - x)
    scale_moments(shifted, radius)
    sum_zernikes(shifted, terms.part, terms.moment, terms.factor, parts)
    for index in range(parts.size // 2):
        real, imaginary = parts[2 * index], parts[2 * index + 1]
        out[index] = math.sqrt(real * real + imaginary * imaginary) / (math.pi * radius * radius)


@compiled
def _finish_moments(out, moments, box, shifted):  # pyright: ignore[reportMissingParameterType]
    """Spatial, central, normalised, Hu moments and the inertia tensor, in the order of ``shape_names``."""
    area = moments[0]
    shifted[:] = moments
    shift_moments(shifted, float(middle(box[0], box[2]) - box[0]), float(middle(box[1], box[3]) - box[1]))
    for p in range(3):
        for q in range(4):
            out[4 * p + q] = shifted[place(p, q)]
    shifted[:] = moments
    shift_moments(shifted, -moments[place(1, 0)] / area, -moments[place(0, 1)] / area)
    for p in range(4):
        for q in range(4):
            if p < 3:
                out[12 + 4 * p + q] = shifted[place(p, q)]
            if p + q >= 2:
                out[24 + 4 * p + q] = shifted[place(p, q)] / area ** ((p + q) / 2 + 1)
    _finish_hu(out[40:47], out[24:40])
    xx, yy, mixed, long, short = inertia(moments)
    out[47], out[48], out[49], out[50] = xx, mixed, mixed, yy
    out[51], out[52] = long, short


@compiled
def _finish_hu(out, normal):  # pyright: ignore[reportMissingParameterType]
    """Hu's seven invariants (IRE Transactions on Information Theory 8, 1962) of normalised moments, p * 4 + q."""
    nu02, nu03, nu11, nu12, nu20, nu21, nu30 = (
        normal[2],
        normal[3],
        normal[5],
        normal[6],
        normal[8],
        normal[9],
        normal[12],
    )
    down, across = nu30 + nu12, nu21 + nu03
    turn_down, turn_across = nu30 - 3 * nu12, 3 * nu21 - nu03
    difference, down_2, across_2 = nu20 - nu02, down * down, across * across
    out[0] = nu20 + nu02
    out[1] = difference * difference + 4 * nu11 * nu11
    out[2] = turn_down * turn_down + turn_across * turn_across
    out[3] = down_2 + across_2
    out[4] = turn_down * down * (down_2 - 3 * across_2) + turn_across * across * (3 * down_2 - across_2)
    out[5] = difference * (down_2 - across_2) + 4 * nu11 * down * across
    out[6] = turn_across * down * (down_2 - 3 * across_2) - turn_down * across * (3 * down_2 - across_2)
