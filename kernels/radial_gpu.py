"""The radial distribution's sums on a GPU: launches of ``kernels/cuda/label_distances.cu`` and ``radial.cu``.

Their CPU version is ``kernels/radial_distribution.py``. Where CellProfiler's choice of a centre is wanted and there is
one to make, distances come to the host, which sorts them as it does its own.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from kernels.gpu import Array, Gpu
from kernels.object_sets import Ints
from kernels.object_sets_gpu import GpuObjectSets
from kernels.radial_centres import Centres, choose_centres
from kernels.radial_places import WEDGES
from kernels.radial_sums import PART_OBJECTS

_THREADS = 256
_MOST_BLOCKS = 4096
_MOST_LANES = 16
_MOST_COPIES = 8
_PART_PIXELS = 65_536
_HELD_BYTES = 16 * 1024
_SHARED_CLASSES = (16 * 1024, 32 * 1024, 64 * 1024, 100 * 1024)


def squared_distances_on(gpu: Gpu, labels: Array, *, frame_counts: bool) -> Array:
    """Measure ``label_distances.squared_distances`` of label images, shape ``(s, y, x)``, int32, on a device."""
    sets, height, width = labels.shape
    grid, block = (-(-width // 32), -(-height // 8), sets), (32, 8)
    size, counts = (np.int32(height), np.int32(width)), np.int32(frame_counts)
    nearest, squares = gpu.empty(labels.shape, np.uint16), gpu.empty(labels.shape, np.int32)
    gpu.kernel("label_distances", "label_columns")(grid, block, (labels, *size, counts, nearest))
    gpu.kernel("label_distances", "label_rows")(grid, block, (labels, nearest, *size, counts, squares))
    return squares


def shared_classes(gpu: Gpu) -> list[int]:
    """Bytes of shared memory up to which objects are placed by one launch; those that need more, in global memory."""
    return [*(most for most in _SHARED_CLASSES if most < gpu.shared_bytes), gpu.shared_bytes]


def add_on_gpu(
    planes: Array, objects: GpuObjectSets, bins: int, centres: Centres
) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
    """Add counts and pixels per object, set and place.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, on the device.
    objects
        Objects of the sets, on the same device.
    bins, centres
        As in ``measure_radial_distribution``.

    Yields
    ------
    The first object of each part of the objects, and its sums: counts of each channel, then pixels; shape
    ``(k, s, bins * WEDGES, c + 1)``, int64, on the host.
    """
    if not objects.count:
        return
    gpu, lanes = objects.gpu, planes.shape[0] + 1
    sums = gpu.zeros((objects.count, objects.n_sets, bins * WEDGES, lanes), np.uint64)
    squares = squared_distances_on(gpu, objects.labels, frame_counts=False)
    boxes_there = _find_boxes(objects)
    boxes = gpu.get(boxes_there)
    middle = _find_centres(objects, squares, centres)
    places = _place(objects, squares, boxes, boxes_there, middle, bins)
    _add(planes, objects, places, boxes, boxes_there, sums)
    for first in range(0, objects.count, PART_OBJECTS):
        yield first, gpu.get(sums[first : first + PART_OBJECTS]).astype(np.int64)


def _find_boxes(objects: GpuObjectSets) -> Array:
    """Boxes of each set's own objects, shape ``(s, k, 4)``; of absent ones the last two numbers are 0."""
    gpu = objects.gpu
    sets, height, width = objects.labels.shape
    boxes = gpu.put(np.tile(np.array([height, width, 0, 0], np.int32), (sets, objects.count, 1)))
    for index in range(sets):
        gpu.kernel("objects", "object_boxes")(
            (-(-width // _THREADS), height), (_THREADS,), (objects.labels[index], np.int32(width), boxes[index])
        )
    return boxes


def _find_centres(objects: GpuObjectSets, squares: Array, centres: Centres) -> npt.NDArray[np.uint32]:
    """Index of each centre, shape ``(s, k)``; 0 where there is no object."""
    gpu = objects.gpu
    sets, height, width = objects.labels.shape
    shape, pixels, count = (sets, objects.count), np.int64(height * width), np.int32(objects.count)
    grid = (min(_MOST_BLOCKS, -(-height * width // _THREADS)), sets)
    peaks, ties = gpu.zeros(shape, np.uint64), gpu.zeros(shape, np.uint32)
    gpu.kernel("radial", "radial_peaks")(grid, (_THREADS,), (objects.labels, squares, pixels, count, peaks))
    gpu.kernel("radial", "radial_ties")(grid, (_THREADS,), (objects.labels, squares, pixels, count, peaks, ties))
    keys, found = gpu.get(peaks), gpu.get(ties).astype(np.int32)
    greatest = (keys >> np.uint64(32)).astype(np.int32)
    first = np.where(found > 0, ~keys.astype(np.uint32), 0).astype(np.int64)
    if centres == "cellprofiler":
        for index in range(sets):
            if (found[index] > 1).any():
                plane = gpu.get(objects.labels[index]), gpu.get(squares[index])
                first[index] = choose_centres(*plane, greatest[index], found[index], first[index], centres)
    return first.astype(np.uint32)


def _place(
    objects: GpuObjectSets, squares: Array, boxes: Ints, boxes_there: Array, centres: npt.NDArray[np.uint32], bins: int
) -> Array:
    """Places of the pixels of all objects, shape ``(s, y, x)``, uint8; what lies outside objects means nothing."""
    gpu = objects.gpu
    _, height, width = objects.labels.shape
    places, is_long = gpu.empty(objects.labels.shape, np.uint8), gpu.zeros(boxes.shape[:2], np.uint32)
    planes = (objects.labels, squares, np.int32(height), np.int32(width), np.int32(objects.count), boxes_there)
    there = gpu.put(centres)
    words, rest = (part.ravel() for part in _memory(boxes))
    is_left = boxes[..., 2].ravel() > 0
    for most in shared_classes(gpu):
        items = np.flatnonzero(is_left & (4 * (words + rest) <= most)).astype(np.int32)
        is_left[items] = False
        if len(items):
            gpu.kernel("radial", "radial_places")(
                (len(items),),
                (_THREADS,),
                (*planes, there, gpu.put(items), np.int32(bins), places, is_long),
                shared_mem=4 * int((words + rest)[items].max()),
            )
    items = np.flatnonzero(is_left | (gpu.get(is_long).ravel() > 0)).astype(np.int32)
    if len(items):
        first = np.concatenate([[0], np.cumsum(words[items] + (rest[items] + 1) // 2)]).astype(np.int64)
        gpu.kernel("radial", "radial_places_wide")(
            (len(items),),
            (_THREADS,),
            (
                *planes,
                there,
                gpu.put(items),
                np.int32(bins),
                places,
                gpu.empty(int(first[-1]), np.uint64),
                gpu.put(first),
            ),
        )
    return places


def _memory(boxes: Ints) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Lengths of paths that each object needs room for, and further words of 32 bits."""
    rows, columns = np.moveaxis(boxes[..., 2:].astype(np.int64) - boxes[..., :2], -1, 0)
    segments = (columns + 31) // 32
    return (rows + 2) * (32 * segments + 2), rows * segments + (rows + 2) * (segments + 2)


def _add(planes: Array, objects: GpuObjectSets, places: Array, boxes: Ints, boxes_there: Array, sums: Array) -> None:
    gpu = objects.gpu
    sets, height, width = objects.labels.shape
    n_places, channels = sums.shape[2], planes.shape[0]
    rows, columns = np.moveaxis(boxes[..., 2:].astype(np.int64) - boxes[..., :2], -1, 0)
    is_there = boxes[..., 2] > 0
    parts = -(-rows[is_there] // np.maximum(1, _PART_PIXELS // columns[is_there]))
    for first in range(0, channels + 1, _MOST_LANES):
        lanes = min(_MOST_LANES, channels + 1 - first)
        copies = max(1, min(_MOST_COPIES, _HELD_BYTES // (4 * n_places * lanes)))
        gpu.kernel("radial", "radial_sums")(
            (objects.count, sets, int(parts.max(initial=1))),
            (_THREADS,),
            (
                planes,
                np.int32(channels),
                objects.labels,
                places,
                np.int32(height),
                np.int32(width),
                np.int32(objects.count),
                boxes_there,
                np.int32(first),
                np.int32(lanes),
                np.int32(n_places),
                np.int32(copies),
                sums,
            ),
            shared_mem=4 * n_places * lanes * copies,
        )
