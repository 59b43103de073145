"""The sums of AreaShape on a GPU: two launches of ``kernels/cuda/shape.cu`` for all objects of all sets.

What the sums are is said in ``kernels/shape_sums.py``; both devices give the same bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.gpu import Array
from kernels.object_moments import MOMENTS, ORDER, power_sums, reach_of
from kernels.object_sets_gpu import GpuObjectSets
from kernels.shape_sums import ShapeSums, empty_sums, start_corners

_THREADS = 256
_STATES = 9


def sum_shapes_on_gpu(objects: GpuObjectSets, *, radii: bool = True) -> ShapeSums:
    """Go over the objects of the sets on their device; the sums are on the host. Radii are 0 unless asked for."""
    if not objects.count:
        return empty_sums(objects.boxes, objects.n_sets)
    there = _launch_radii(objects) if radii else None
    states, moments, corners = _launch_outline(objects)
    gpu = objects.gpu
    state, (corner_y, corner_x) = gpu.get(states), gpu.get(corners)
    corner_start, _ = start_corners(objects.boxes, objects.n_sets)
    return ShapeSums(
        np.ascontiguousarray(state[..., :4]),
        gpu.get(moments),
        state[..., 4:8].astype(np.int64),
        np.zeros((*state.shape[:2], 5), np.int64) if there is None else gpu.get(there).astype(np.int64),
        corner_start,
        np.ascontiguousarray(state[..., 8]),
        corner_y,
        corner_x,
    )


def _launch_outline(objects: GpuObjectSets) -> tuple[Array, Array, Array]:
    """Launch for boxes, patterns and numbers of corners (s, k, 9), moments (s, k, MOMENTS), corners (2, room)."""
    gpu, sets, count = objects.gpu, objects.n_sets, objects.count
    height, width = (objects.boxes[:, 2:] - objects.boxes[:, :2]).astype(np.int64).T
    rows, words = _starts(height), _starts((height + 2) * ((width + 33) // 32))
    _, room = start_corners(objects.boxes, sets)
    reach = reach_of(int(width.max()))
    states = gpu.zeros((sets, count, _STATES), np.int32)
    moments = gpu.zeros((sets, count, MOMENTS), np.float64)
    corners = gpu.zeros((2, room), np.int32)
    gpu.kernel("shape", "shape_outline")(
        (count, sets),
        (_THREADS,),
        (
            objects.member,
            objects.first_there,
            objects.boxes_there,
            np.int32(count),
            gpu.put(np.concatenate([rows[:-1], words[:-1]])),
            np.int64(rows[-1]),
            np.int64(words[-1]),
            objects.area_there,
            gpu.put(power_sums(reach)),
            np.int32(reach),
            gpu.empty(2 * sets * int(rows[-1]), np.int32),
            gpu.empty((ORDER + 1) * sets * int(rows[-1]), np.float64),
            gpu.empty(2 * sets * int(words[-1]), np.uint32),
            gpu.empty((room, 2), np.int32),
            states,
            moments,
            corners,
        ),
    )
    return states, moments, corners


def _launch_radii(objects: GpuObjectSets) -> Array:
    """Launch for radii (s, k, 5)."""
    gpu, sets, count = objects.gpu, objects.n_sets, objects.count
    pixels = sets * int(objects.first[-1])
    radii = gpu.zeros((sets, count, 5), np.uint64)
    gpu.kernel("shape", "shape_radii")(
        (count, sets),
        (_THREADS,),
        (
            objects.member,
            objects.first_there,
            objects.boxes_there,
            np.int32(count),
            objects.area_there,
            gpu.empty(pixels, np.uint16),
            gpu.empty(pixels, np.uint32),
            radii,
        ),
    )
    return radii


def _starts(sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
