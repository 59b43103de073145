"""Colocalisation of channels in objects: CellProfiler's Correlation features of all pairs, on either device."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kernels import colocalization_gpu
from kernels.colocalization_scan import (
    ABOVE,
    BOTH,
    FIRST,
    FIRST_APART,
    FIRST_SQUARES,
    PRODUCTS,
    ROUNDED_PRODUCTS,
    ROUNDING,
    ROUNDING_UNIT,
    SECOND,
    SECOND_APART,
    SECOND_SQUARES,
    SQUARES,
    SUM,
    ColocalizationState,
    Integers,
    list_pairs,
    list_thresholds,
    scan_objects,
)
from kernels.costes import find_thresholds, sum_plane_pairs, sum_steps_of
from kernels.feature import Feature
from kernels.gpu import Array
from kernels.object_sets import ObjectSets
from kernels.object_sets_gpu import GpuObjectSets
from kernels.planes import Floats
from kernels.scatter import scatter
from kernels.set_pixels import check_object_planes

COSTES_SCALE = 65535
_SOURCE = "CellProfiler 4.2 MeasureColocalization"
_BLACK = "all pixels of the object that count are black in the channel that is divided by"
_BRIGHT = "pixels that reach the threshold percentage of the object's greatest pixel, in single precision, in both"


def describe_colocalization(channels: Sequence[str], *, costes: bool = False, slope: bool = False) -> list[Feature]:
    """Describe the columns of ``measure_colocalization`` for channels of these names: pair by pair.

    CellProfiler names a pair in the order in which its channels were chosen, which is alphabetical in JUMP's pipelines
    and here, whatever the order of ``channels``. Features of a direction have both orders.
    """
    return [
        feature
        for one, other in itertools.combinations(channels, 2)
        for feature in _describe_pair(one, other, costes=costes, slope=slope)
    ]


def _describe_pair(one: str, other: str, *, costes: bool, slope: bool) -> list[Feature]:
    first, second = sorted((one, other))

    def both(name: str, definition: str, null_when: str) -> Feature:
        full = f"Correlation_{name}_{first}_{second}"
        return Feature(full, "Correlation", f"{first},{second}", "1", definition, null_when, _SOURCE)

    def each(name: str, definition: str, null_when: str) -> list[Feature]:
        return [
            Feature(
                f"Correlation_{name}_{a}_{b}",
                "Correlation",
                f"{a},{b}",
                "1",
                definition.format(a=a, b=b),
                null_when,
                _SOURCE,
            )
            for a, b in ((one, other), (other, one))
        ]

    features = [
        both(
            "Correlation",
            "Pearson's correlation of the two channels over the object's pixels.",
            "the object is flat in one of the channels",
        ),
        both(
            "Overlap",
            f"Sum of products over the root of the product of the two sums of squares, of {_BRIGHT}; 0 if no "
            "object of the set has such a pixel.",
            "the object has no such pixel though another has, or is black in one of the channels",
        ),
        *each(
            "K",
            f"Sum of {{a}} times {{b}} over the sum of {{a}} squared, of {_BRIGHT}; 0 if no object of the set has "
            "such a pixel.",
            "the object has no such pixel though another has, or is black in the first channel",
        ),
        *each(
            "Manders",
            f"Sum of {{a}} over {_BRIGHT}, over the sum of {{a}} over those that reach its own threshold.",
            _BLACK,
        ),
        *each(
            "RWC",
            f"Manders' coefficient of {_BRIGHT}, each pixel weighted by 1 - |difference of its ranks| / number "
            "of ranks; ranks are those of its value among all pixels of the set's objects in each channel, the number "
            "is the greater one of the two.",
            _BLACK,
        ),
    ]
    if costes:
        features += each(
            "Costes",
            "Sum of {a} over the object's pixels above the Costes thresholds of both channels, "
            "over the sum of {a} over those that reach its own; the thresholds are of the whole image; 0 if "
            "no object of the set has a pixel above both.",
            "none of the object's pixels reaches the threshold of the first channel though another object has pixels "
            "above both",
        )
    if slope:
        features.append(
            both(
                "Slope",
                f"Slope of the least-squares line that gives {second} from {first} over the object's pixels.",
                "the object is flat in the first channel",
            )
        )
    return features


def measure_colocalization(
    planes: Array,
    objects: ObjectSets | GpuObjectSets,
    *,
    threshold_percent: float = 15.0,
    costes: bool = False,
    slope: bool = False,
    channels: Sequence[str] | None = None,
    costes_scale: int = COSTES_SCALE,
) -> Floats:
    """Measure how channels go together inside objects.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, 65535 is CellProfiler's 1 (8-bit counts times 257); on the host or, with objects
        there, on the device.
    objects
        Objects of s sets on these planes.
    threshold_percent
        Pixels count for Overlap, K, Manders and RWC from this percentage of the object's greatest pixel on, 0 to 100.
    costes, slope
        Whether to measure these too.
    channels
        Names of the channels: Costes and Slope depend on which of a pair comes first by name.
    costes_scale
        Number of thresholds that Costes' search tries: the greatest count of the images' type, 255 or 65535.

    Returns
    -------
    Shape ``(s, f, k)``, float64, on the host, ``f`` as in ``describe_colocalization``: 8 features a pair, 2 more with
    ``costes``, 1 more with ``slope``. NaN where an object is not in a set, and where CellProfiler divides 0 by 0. Both
    devices give the same bits.

    Raises
    ------
    TypeError
        If ``planes`` are not uint16.
    ValueError
        If ``planes`` have another shape than the labels, the percentage is not from 0 to 100, the scale is not from 1
        to 65535, or Costes or Slope are wanted and ``channels`` does not name each plane.

    Notes
    -----
    Definitions are those of CellProfiler's MeasureColocalization, thresholds compared in single precision as there and
    sums taken in whole numbers. Pearson's correlation of an object that is flat in a channel is NaN; CellProfiler's is
    that or noise. Slope is CellProfiler's of whole images, taken over each object.
    """
    check_object_planes(planes, *objects.labels.shape[1:])
    if not 0 <= threshold_percent <= 100:
        raise ValueError(f"threshold_percent must be from 0 to 100, got {threshold_percent}")
    if not 1 <= costes_scale <= COSTES_SCALE:
        raise ValueError(f"costes_scale must be from 1 to {COSTES_SCALE}, got {costes_scale}")
    if (costes or slope) and (channels is None or len(channels) != len(planes)):
        raise ValueError(f"channels must name the {len(planes)} planes if costes or slope is wanted, got {channels}")
    pairs = list_pairs(len(planes))
    is_reversed = np.array([a > b for a, b in itertools.combinations(channels or [""] * len(planes), 2)], bool)
    limits = np.zeros((0, 4), np.int64)
    if costes:
        limits = _find_costes(planes, objects, pairs, is_reversed, costes_scale)
    thresholds = list_thresholds(threshold_percent)
    if isinstance(objects, GpuObjectSets):
        state = colocalization_gpu.scan_objects_on_gpu(planes, objects, pairs, thresholds, limits)
    else:
        state = scan_objects(planes, objects, pairs, thresholds, limits)
    features = _finish(state, objects.area, pairs)
    if costes:
        features += _finish_costes(state.costes, limits, objects.area)
    if slope:
        features.append(_finish_slope(state, objects.area, pairs, is_reversed))
    values = np.stack(features, axis=2)
    values[np.broadcast_to(objects.area[:, None, None] == 0, values.shape)] = np.nan
    return values.reshape(objects.n_sets, len(pairs) * len(features), objects.count)


def _find_costes(
    planes: Array, objects: ObjectSets | GpuObjectSets, pairs: Integers, is_reversed: npt.NDArray[np.bool_], scale: int
) -> Integers:
    """Find the limits of each pair's channels, in the pair's order; the search begins with the first by name."""
    by_name = np.where(is_reversed[:, None], pairs[:, ::-1], pairs)
    if isinstance(objects, GpuObjectSets):
        sums = colocalization_gpu.sum_plane_pairs_on_gpu(planes, by_name, objects.gpu)
        sum_steps = colocalization_gpu.sum_steps_on_gpu(planes, objects.gpu)
    else:
        sums, sum_steps = sum_plane_pairs(planes, by_name), sum_steps_of(planes)
    limits = find_thresholds(sums, by_name, planes.shape[1] * planes.shape[2], scale, sum_steps)
    return np.where(is_reversed[:, None], limits[:, [2, 3, 0, 1]], limits)


def _by_field(state: Integers) -> Integers:
    """Turn ``(k, s, n, fields)`` into ``(fields, s, n, k)``."""
    return np.ascontiguousarray(state.transpose(3, 1, 2, 0))


def _finish(state: ColocalizationState, area: Integers, pairs: Integers) -> list[Floats]:
    """Compute the eight features of a pair, each shape ``(s, p, k)``, from whole numbers, for both devices."""
    channels, sums = _by_field(state.channels), _by_field(state.pairs)
    one, other = channels[:, :, pairs[:, 0]], channels[:, :, pairs[:, 1]]
    # a pixel that reaches both thresholds is black in both only where the object is
    has_bright = (sums[FIRST] > 0) | (sums[SECOND] > 0) | (one[SUM] == 0) | (other[SUM] == 0)
    any_bright = np.any(has_bright & (area[:, None] > 0), axis=2, keepdims=True)
    ranks = np.maximum(state.ranks[:, pairs[:, 0]], state.ranks[:, pairs[:, 1]])[:, :, None] + 1.0
    with np.errstate(divide="ignore", invalid="ignore"):
        overlaps = (
            sums[BOTH] / np.sqrt(sums[FIRST_SQUARES].astype(np.float64) * sums[SECOND_SQUARES]),
            sums[BOTH] / sums[FIRST_SQUARES],
            sums[BOTH] / sums[SECOND_SQUARES],
        )
        return [
            _covariance(one, other, sums, area) / np.sqrt(_variance(one, area) * _variance(other, area)),
            *(np.where(any_bright, value, 0.0) for value in overlaps),
            sums[FIRST] / one[ABOVE],
            sums[SECOND] / other[ABOVE],
            (sums[FIRST] - sums[FIRST_APART] / ranks) / one[ABOVE],
            (sums[SECOND] - sums[SECOND_APART] / ranks) / other[ABOVE],
        ]


def _variance(channel: Integers, area: Integers) -> Floats:
    """Variance times the number of pixels."""
    return scatter(area[:, None], channel[SUM], channel[SUM], channel[SQUARES])


def _covariance(one: Integers, other: Integers, sums: Integers, area: Integers) -> Floats:
    """Covariance times the number of pixels, of counts as rounded on the scale of 0 to 1."""
    n = area[:, None]
    rounding = scatter(n, one[SUM], other[ROUNDING], sums[ROUNDED_PRODUCTS]) + scatter(n, one[ROUNDING], other[SUM], 0)
    return scatter(n, one[SUM], other[SUM], sums[PRODUCTS]) + rounding * ROUNDING_UNIT


def _finish_costes(costes: Integers, limits: Integers, area: Integers) -> list[Floats]:
    both_first, both_second, all_first, all_second = _by_field(costes)
    takes_black = (limits[:, 1] == 0) & (limits[:, 3] == 0)
    has_above = (both_first > 0) | (both_second > 0) | takes_black[:, None]
    any_above = np.any(has_above & (area[:, None] > 0), axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):
        return [
            np.where(any_above, part / whole, 0.0)
            for part, whole in ((both_first, all_first), (both_second, all_second))
        ]


def _finish_slope(
    state: ColocalizationState, area: Integers, pairs: Integers, is_reversed: npt.NDArray[np.bool_]
) -> Floats:
    channels, sums = _by_field(state.channels), _by_field(state.pairs)
    one, other = channels[:, :, pairs[:, 0]], channels[:, :, pairs[:, 1]]
    first = channels[:, :, np.where(is_reversed, pairs[:, 1], pairs[:, 0])]
    with np.errstate(divide="ignore", invalid="ignore"):
        return _covariance(one, other, sums, area) / _variance(first, area)
