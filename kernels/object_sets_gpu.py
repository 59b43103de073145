"""The objects of up to three label images on a GPU: boxes, and one byte per pixel of each box.

What sets and their bits are is said in ``kernels/object_sets.py``; the launches are of ``kernels/cuda/objects.cu``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernels.gpu import Array, Gpu
from kernels.object_sets import MOST_SETS, Ints

_THREADS = 256


@dataclass(frozen=True)
class GpuObjectSets:
    """Objects 1..``count`` of the sets, on a GPU. An absent number has area 0 and an empty box.

    Parameters
    ----------
    gpu
        The device that holds them.
    labels
        Label images, shape ``(s, y, x)``, int32, on the device.
    outer
        Index of the set that holds all others.
    count
        Greatest number among the labels.
    boxes, boxes_there
        First row, first column, row behind the last, column behind the last (0, 0, 0, 0 if absent); shape
        ``(count, 4)``, int32; on the host and on the device.
    first, first_there
        Where each object's bytes begin in ``member``; shape ``(count + 1,)``, int64; on the host and on the device.
    member
        Bits of each pixel of each box, row by row, as in ``ObjectSets.member``, 0 outside the object; shape ``(b,)``,
        uint8, on the device.
    area, area_there
        Pixels per set and object; shape ``(s, count)``, int64 on the host, uint32 on the device.
    """

    gpu: Gpu
    labels: Array
    outer: int
    count: int
    boxes: Ints
    boxes_there: Array
    first: npt.NDArray[np.int64]
    first_there: Array
    member: Array
    area: npt.NDArray[np.int64]
    area_there: Array

    @property
    def n_sets(self) -> int:
        """Number of sets."""
        return len(self.labels)


def list_object_sets_on(gpu: Gpu, labels: Array, outer: int, count: int) -> GpuObjectSets:
    """List the objects of sets on a device.

    Parameters
    ----------
    gpu
        The device.
    labels
        One to three label images, shape ``(s, y, x)``, int32, contiguous, on the device: each pixel is 0 or has the
        number that it has in the outer set (``kernels.object_sets.list_object_sets`` checks that on the host).
    outer
        Index of the set that holds all others.
    count
        Greatest number among the labels.

    Raises
    ------
    ValueError
        If the shape is another, or the labels are not int32.
    """
    if len(labels.shape) != 3 or not 1 <= labels.shape[0] <= MOST_SETS or labels.dtype != np.int32:
        raise ValueError(
            f"labels must be int32 of shape (s, y, x) with 1 to {MOST_SETS} sets, got {labels.dtype} {labels.shape}"
        )
    sets, height, width = labels.shape
    blank = np.tile(np.array([height, width, 0, 0], np.int32), (max(count, 1), 1))
    framed = gpu.put(blank)
    if count:
        grid = (-(-width // _THREADS), height)
        gpu.kernel("objects", "object_boxes")(grid, (_THREADS,), (labels[outer], np.int32(width), framed))
    boxes = gpu.get(framed)[:count]
    boxes[boxes[:, 2] == 0] = 0
    sizes = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1, dtype=np.int64)
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    boxes_there, first_there = gpu.put(boxes if count else blank), gpu.put(first)
    member = gpu.empty(max(int(first[-1]), 1), np.uint8)
    area_there = gpu.zeros((sets, max(count, 1)), np.uint32)
    if count:
        gpu.kernel("objects", "object_members")(
            (count, 4),
            (_THREADS,),
            (
                labels,
                np.int32(sets),
                np.int32(height),
                np.int32(width),
                boxes_there,
                first_there,
                member,
                area_there,
                np.int32(count),
            ),
        )
    area = gpu.get(area_there)[:, :count].astype(np.int64)
    return GpuObjectSets(gpu, labels, outer, count, boxes, boxes_there, first, first_there, member, area, area_there)
