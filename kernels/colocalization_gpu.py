"""Colocalisation of channels in objects on a GPU: launches of ``kernels/cuda/colocalization.cu``.

Three for the objects; with Costes' thresholds one more, one for the planes and one for each pair. The CPU version, and
what the numbers mean, are ``kernels/colocalization_scan.py`` and ``kernels/costes.py``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.colocalization_scan import (
    CHANNEL_FIELDS,
    COSTES_FIELDS,
    PAIR_FIELDS,
    ROUNDINGS,
    ColocalizationState,
    Integers,
)
from kernels.costes import STEP_FIELDS, Candidates, SumSteps
from kernels.gpu import Array, Gpu
from kernels.object_sets_gpu import GpuObjectSets

_FILE = "colocalization"
_THREADS = 256
_MOST_BLOCKS = 128
_WORDS = 2048
_TILE_BYTES = 32 * 1024


def scan_objects_on_gpu(
    planes: Array,
    objects: GpuObjectSets,
    pairs: Integers,
    thresholds: npt.NDArray[np.int32],
    costes: Integers,
) -> ColocalizationState:
    """Go over objects on planes of the device; arguments and results as in ``colocalization_scan.scan_objects``."""
    gpu = objects.gpu
    channels, height, width = planes.shape
    count, sets, pixels = objects.count, objects.n_sets, np.int64(height * width)
    of_channel = gpu.zeros((count, sets, channels, CHANNEL_FIELDS), np.int64)
    of_pair = gpu.zeros((count, sets, len(pairs), PAIR_FIELDS), np.int64)
    above = gpu.zeros((count, sets, len(costes), COSTES_FIELDS), np.int64)
    if not count or not len(pairs):
        ranks = np.full((sets, channels), -1, np.int64)
        return ColocalizationState(gpu.get(of_channel), gpu.get(of_pair), ranks, gpu.get(above))
    seen, below, greatest = _rank(planes, objects)
    pairs_there, n_pairs = gpu.put(pairs.astype(np.int32)), np.int32(len(pairs))
    listed = (objects.boxes_there, objects.first_there, objects.member)
    tile = max(32, min(1024, _TILE_BYTES // (8 * channels) // 32 * 32))
    gpu.kernel(_FILE, "colocalization_sums")(
        (count, sets),
        (_THREADS,),
        (
            planes,
            pixels,
            np.int32(width),
            np.int32(channels),
            pairs_there,
            n_pairs,
            *listed,
            seen,
            below,
            gpu.put(thresholds),
            gpu.put(ROUNDINGS.astype(np.int32)),
            np.int32(tile),
            of_channel,
            of_pair,
        ),
        shared_mem=channels * (4 + 8 * tile),
    )
    if len(costes):
        gpu.kernel(_FILE, "colocalization_above")(
            (count, sets),
            (_THREADS,),
            (planes, pixels, np.int32(width), pairs_there, n_pairs, *listed, gpu.put(costes.astype(np.int32)), above),
        )
    ranks = gpu.get(greatest).astype(np.int64).reshape(sets, channels)
    return ColocalizationState(gpu.get(of_channel), gpu.get(of_pair), ranks, gpu.get(above))


def _rank(planes: Array, objects: GpuObjectSets) -> tuple[Array, Array, Array]:
    """Find the values of each set and channel, the number of lesser values by words of 32, and the greatest rank."""
    gpu = objects.gpu
    channels, height, width = planes.shape
    lists = objects.n_sets * channels
    seen = gpu.zeros(lists * _WORDS, np.uint32)
    below, greatest = gpu.empty(lists * _WORDS, np.uint16), gpu.empty(lists, np.int32)
    gpu.kernel(_FILE, "colocalization_values")(
        (_blocks(height * width), channels),
        (_THREADS,),
        (planes, np.int64(height * width), objects.labels, np.int32(objects.n_sets), seen),
    )
    gpu.kernel(_FILE, "colocalization_ranks")((lists,), (1024,), (seen, below, greatest))
    return seen, below, greatest


def _blocks(pixels: int) -> int:
    return max(1, min(_MOST_BLOCKS, -(-pixels // (16 * _THREADS))))


def sum_plane_pairs_on_gpu(planes: Array, pairs: Integers, gpu: Gpu) -> Integers:
    """Sum whole planes of the device; arguments and results as in ``costes.sum_plane_pairs``."""
    pixels = planes.shape[1] * planes.shape[2]
    sums = gpu.zeros((len(pairs), STEP_FIELDS), np.uint64)
    if len(pairs):
        gpu.kernel(_FILE, "costes_planes")(
            (_blocks(pixels), len(pairs)),
            (_THREADS,),
            (planes, np.int64(pixels), gpu.put(pairs.astype(np.int32)), sums),
        )
    return gpu.get(sums).astype(np.int64)


def sum_steps_on_gpu(planes: Array, gpu: Gpu) -> SumSteps:
    """Give the sums by candidate of planes of the device."""
    pixels = planes.shape[1] * planes.shape[2]

    def sum_steps(first: int, second: int, candidates: Candidates, length: int) -> Integers:
        steps = gpu.zeros((length, STEP_FIELDS), np.uint64)
        gpu.kernel(_FILE, "costes_steps")(
            (_blocks(pixels),),
            (_THREADS,),
            (planes[first], planes[second], np.int64(pixels), *(gpu.put(part) for part in candidates), steps),
        )
        return gpu.get(steps).view(np.int64)

    return sum_steps
