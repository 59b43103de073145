"""Granularity of objects and of whole images: how much of the light is in structures of each size.

An image is opened by reconstruction with larger and larger crosses; what each step takes away, percent of the mean to
begin with, is the spectrum. As CellProfiler's MeasureGranularity with JUMP's settings: subsampling 0.5, for the
background 0.5 again, a disk of radius 10, 16 steps. Method and devices: ``kernels/granularity_tree.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kernels import granularity_gpu
from kernels.feature import Feature
from kernels.gpu import Array, gpu_of
from kernels.granularity_background import LEAST_SIDE_PX, BackgroundWork, plan_grid, subtract_background
from kernels.granularity_sums import (
    GranularitySums,
    fraction_bits,
    image_spectra,
    object_spectra,
    sum_counts,
    sum_regions,
    sum_sets,
    weigh_pixels,
)
from kernels.granularity_tree import STEPS, TreeWork
from kernels.object_sets import ObjectSets, list_object_sets
from kernels.object_sets_gpu import GpuObjectSets, list_object_sets_on
from kernels.planes import Floats

_SOURCE = (
    "CellProfiler, MeasureGranularity; granulometry after J. Serra and L. Vincent, opening by reconstruction after "
    "L. Vincent, IEEE Trans. Image Process. 2(2), 1993"
)


class Granularities(NamedTuple):
    """Granularity of objects, shape ``(s, c, 16, k)``, and of the whole image, shape ``(c, 16)``, percent, float64."""

    objects: Floats
    image: Floats


def measure_granularity(planes: Array, objects: ObjectSets | GpuObjectSets, *, steps: int = STEPS) -> Floats:
    """Measure the granularity of objects.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, where 65535 is 1; on the device of ``objects``.
    objects
        Objects of one to three sets over them.
    steps
        How many steps are given, 1 to 16.

    Returns
    -------
    Shape ``(s, c, steps, k)``, float64, percent, on the host. NaN for objects that a set does not have, and for all if
    a side of the plane is below 3 pixels, where CellProfiler divides by zero. Step 1 begins with the mean of the plane
    itself, background included, as in CellProfiler. An object of zeros has the mean 2.2e-16 to begin with there and
    here: light that stretching lets in from its surroundings then makes huge values.

    Raises
    ------
    TypeError
        If planes are not uint16.
    ValueError
        If the shapes of planes and labels do not belong together, or there are no such steps.
    """
    if not 1 <= steps <= STEPS:
        raise ValueError(f"steps must be 1 to {STEPS}, got {steps}")
    return measure_granularities(planes, objects).objects[:, :, :steps]


def measure_image_granularity(planes: Array) -> Floats:
    """Measure the granularity of whole images.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, where 65535 is 1, on any device.

    Returns
    -------
    Shape ``(c, 16)``, float64, percent, on the host: of the mean of every second pixel without its background. NaN if a
    side is below 3 pixels.

    Raises
    ------
    TypeError, ValueError
        As ``measure_granularity``.
    """
    _check(planes)
    gpu = gpu_of(planes)
    labels = np.zeros((1, *planes.shape[1:]), np.int32)
    objects = list_object_sets(labels, 0) if gpu is None else list_object_sets_on(gpu, gpu.put(labels), 0, 0)
    return measure_granularities(planes, objects).image


def measure_granularities(planes: Array, objects: ObjectSets | GpuObjectSets) -> Granularities:
    """Measure the granularity of objects and of whole images at once, for about the time of the first.

    Parameters, results and errors are those of ``measure_granularity`` and ``measure_image_granularity``.
    """
    _check(planes)
    shape = planes.shape[1:]
    if shape != objects.labels.shape[1:]:
        raise ValueError(f"planes must have the shape of the labels {objects.labels.shape[1:]}, got {shape}")
    if min(shape) < LEAST_SIDE_PX:
        channels = planes.shape[0]
        unknown = np.full((objects.n_sets, channels, STEPS, objects.count), np.nan)
        return Granularities(unknown, np.full((channels, STEPS), np.nan))
    if isinstance(objects, GpuObjectSets):
        sums = granularity_gpu.sum_on_gpu(planes, objects)
    else:
        sums = _sum_planes(planes, objects)
    pixels = int(np.prod(plan_grid(*shape).shape))
    return Granularities(object_spectra(sums, objects.area), image_spectra(sums, pixels))


def describe_granularity(channels: Sequence[str], steps: int = STEPS) -> list[Feature]:
    """Describe the columns of ``measure_granularity`` for channels of these names."""
    return [
        Feature(
            name=f"Granularity_{step}_{channel}",
            family="Granularity",
            channel=channel,
            unit="%",
            definition=_define(step),
            null_when="a side of the image is below 3 pixels",
            source=_SOURCE,
        )
        for channel in channels
        for step in range(1, steps + 1)
    ]


def _define(step: int) -> str:
    before = "the image itself" if step == 1 else f"the reconstruction of step {step - 1}"
    return (
        f"Fall of the object's mean from {before} to the reconstruction of step {step}, percent of its mean in the "
        f"image itself; step {step} erodes every second pixel, less the background, {step} times by a cross of 5 "
        "pixels and lets the result grow back under it."
    )


def _check(planes: Array) -> None:
    if planes.dtype != np.uint16:
        raise TypeError(f"planes must be uint16, got {planes.dtype}")
    if len(planes.shape) != 3 or 0 in planes.shape[1:]:
        raise ValueError(f"planes must have shape (c, y, x) with at least one pixel, got {planes.shape}")


def _sum_planes(planes: np.ndarray, objects: ObjectSets) -> GranularitySums:
    """Sum all channels on the host, one after the other in the same buffers."""
    channels, sets = len(planes), objects.n_sets
    grid = plan_grid(*planes.shape[1:])
    bits = fraction_bits(int(objects.area.max(initial=1))), fraction_bits(int(np.prod(grid.shape)))
    weights = weigh_pixels(objects, grid)
    background, tree = BackgroundWork(grid), TreeWork(grid)
    regions = np.empty((objects.count * len(weights.patterns), STEPS), np.int64)
    sums = np.empty((sets, channels, STEPS, objects.count), np.int64)
    counts = np.empty((sets, channels, objects.count), np.int64)
    image = np.empty((channels, STEPS + 1), np.int64)
    for channel, plane in enumerate(planes):
        whole = np.ascontiguousarray(plane)
        subtract_background(whole, grid, background, tree.heights)
        sum_regions(tree.reconstruct(), weights, bits, regions, image[channel])
        by_pattern = regions.reshape(objects.count, len(weights.patterns), STEPS)
        sums[:, channel] = sum_sets(by_pattern, weights.patterns, sets)
        counts[:, channel] = sum_counts(whole, objects, weights)
    return GranularitySums(sums, bits[0], counts, image, bits[1])
