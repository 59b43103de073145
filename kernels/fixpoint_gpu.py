"""The steps of the ``fixpoint`` segmentation on a GPU: launches of ``kernels/cuda/segmentation.cu``, ``heights.cu``
and ``flood.cu``.

What they give is said in ``kernels/fixpoint_steps.py``. Pixels stay on the device; only histograms and tables of
seeds, joins and regions come to the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.fixpoint_steps import Steps
from kernels.fixpoint_tables import Ints, Words
from kernels.gpu import Array, Gpu
from kernels.planes_gpu import as_uint16
from kernels.quality_gpu import SHARED_COUNTS

_THREADS = 256
_FLOOD_TILE = 32
_FIRST_ROUNDS, _MOST_ROUNDS = 4, 64
"""Rounds of the flood between two looks at whether anything changed: doubled each time, up to the second."""


def gpu_steps(gpu: Gpu) -> Steps:
    """Give the steps for arrays of a device."""
    return _GpuSteps(gpu)


class _GpuSteps:
    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu

    def smooth(self, plane: Array, weights: npt.NDArray[np.uint32], stretch: int = 1) -> Array:
        there, reach = self._gpu.put(weights), np.int32(len(weights) - 1)
        pixels, width = _sizes(plane)
        rows = self._gpu.empty(plane.shape, np.uint32)
        wide, scale = as_uint16(plane, self._gpu), np.uint32(stretch * _scale(plane))
        self._launch("smooth_rows", plane, wide, pixels, width, scale, there, reach, rows)
        smooth = self._gpu.empty(plane.shape, np.uint16)
        self._launch("smooth_columns", plane, rows, pixels, width, there, reach, smooth)
        return smooth

    def reduce(self, plane: Array, step: int) -> npt.NDArray[np.uint16]:
        small = self._gpu.empty([-(-side // step) for side in plane.shape], np.uint16)
        wide, scale = as_uint16(plane, self._gpu), np.int32(_scale(plane))
        self._launch("reduce", small, wide, *_sizes(plane), np.int32(step), scale, *_sizes(small), small)
        return self._gpu.get(small)

    def flatten(self, plane: Array, background: npt.NDArray[np.uint16], step: int) -> Array:
        flat, there = self._gpu.empty(plane.shape, np.uint16), self._gpu.put(background)
        blocks = (np.int32(background.shape[0]), np.int32(background.shape[1]))
        top = np.int32(background.max())
        self._launch("flatten", plane, plane, *_sizes(plane), there, *blocks, np.int32(step), top, flat)
        return flat

    def count(self, plane: Array) -> npt.NDArray[np.int64]:
        counts = self._gpu.zeros((1, 65_536), np.uint32)
        blocks = max(1, min(512, -(-plane.size // (16 * 512))))
        self._gpu.kernel("image_quality", "quality_histogram")(
            (blocks, 1),
            (512,),
            (plane, np.int64(plane.size), np.int32(SHARED_COUNTS), counts),
            shared_mem=4 * SHARED_COUNTS,
        )
        return self._gpu.get(counts)[0].astype(np.int64)

    def count_windows(self, plane: Array, down: int, across: int) -> npt.NDArray[np.uint32]:
        counts = self._gpu.zeros((down, across, 65_536), np.uint32)
        self._launch("count_windows", plane, plane, *_sizes(plane), np.int32(down), np.int32(across), counts)
        return self._gpu.get(counts)

    def divide(self, plane: Array, limit: int) -> Array:
        classes = self._gpu.empty(plane.shape, np.int32)
        self._launch("divide", plane, plane, np.int32(plane.size), np.int32(limit), classes)
        return classes

    def divide_locally(self, plane: Array, limits: Ints) -> Array:
        classes, there = self._gpu.empty(plane.shape, np.int32), self._gpu.put(limits)
        windows = (np.int32(limits.shape[0]), np.int32(limits.shape[1]))
        self._launch("divide_locally", plane, plane, *_sizes(plane), *windows, there, classes)
        return classes

    def cut(self, classes: Array, smooth: Array, share: int, twice_zero: int) -> Array:
        inside = self._gpu.empty(classes.shape, np.int32)
        limits = (np.int64(share), np.int64(twice_zero))
        self._launch("cut", classes, classes, smooth, *_sizes(classes), *limits, inside)
        return inside

    def fill(self, classes: Array, hole_area: int) -> None:
        labels, sizes = self._connect(classes, with_background=True)
        self._launch("fill_holes", classes, labels, sizes, np.int32(classes.size), np.uint32(hole_area), classes)

    def connect(self, classes: Array) -> tuple[Array, Array]:
        return self._connect(classes, with_background=False)

    def _connect(self, classes: Array, *, with_background: bool) -> tuple[Array, Array]:
        labels, sizes = self._gpu.empty(classes.shape, np.int32), self._gpu.empty(classes.shape, np.uint32)
        pixels, width = _sizes(classes)
        background = np.int32(with_background)
        self._launch("regions_begin", classes, classes, pixels, width, background, labels, sizes)
        self._launch("regions_merge", classes, classes, pixels, width, background, labels)
        self._launch("regions_end", classes, pixels, width, labels, sizes)
        return labels, sizes

    def list_regions(self, regions: Array, sizes: Array) -> Words:
        return self._list("list_regions", (regions, sizes, np.int32(regions.size)), (), _blocks(regions))

    def measure_heights(self, classes: Array) -> Array:
        pixels, width = _sizes(classes)
        near, height = self._gpu.empty(classes.shape, np.uint16), self._gpu.empty(classes.shape, np.uint16)
        self._launch("heights_columns", classes, classes, pixels, width, near, file="heights")
        self._launch("heights_rows", classes, near, pixels, width, height, file="heights")
        return height

    def find_seeds(self, height: Array, regions: Array, offsets: Ints) -> tuple[Array, Words]:
        seeds = self._gpu.empty(height.shape, np.int32)
        there, count = self._gpu.put(offsets), np.int32(len(offsets))
        table = self._list("find_seeds", (height, regions, *_sizes(height), there, count), (seeds,), _blocks(height))
        return seeds, table

    def flood(self, height: Array, classes: Array, seeds: Array) -> Array:
        pixels = np.int32(height.size)
        terrain, states = self._gpu.empty(height.shape, np.uint32), self._gpu.empty(height.shape, np.uint64)
        self._launch("flood_begin", height, height, classes, seeds, pixels, terrain, states, file="flood")
        rows, columns = height.shape
        tiles = (-(-columns // _FLOOD_TILE), -(-rows // _FLOOD_TILE))
        flags = self._gpu.put(np.full(tiles[::-1], 2, np.uint8)), self._gpu.empty(tiles[::-1], np.uint8)
        flood_round = self._gpu.kernel("flood", "flood_round")
        rounds, changes = _FIRST_ROUNDS, 1
        while changes:
            changed = self._gpu.zeros(rounds, np.uint32)
            for index in range(rounds):
                arguments = (terrain, np.int32(rows), np.int32(columns), *flags, changed[index : index + 1], states)
                flood_round(tiles, (_THREADS,), arguments)
                flags = flags[::-1]
            changes = int(self._gpu.get(changed)[-1])
            rounds = min(2 * rounds, _MOST_ROUNDS)
        labels = self._gpu.empty(height.shape, np.int32)
        self._launch("flood_end", height, states, pixels, labels, file="flood")
        return labels

    def list_joins(self, height: Array, parts: Array, neck: int, twice_base: int) -> Words:
        arguments = (height, parts, *_sizes(height), np.int64(neck), np.int64(twice_base))
        return self._list("list_joins", arguments, (), (*_blocks(height), 4))

    def renumber(self, parts: Array, first: Ints, number: Ints) -> Array:
        numbers, labels = self._gpu.empty(parts.shape, np.int32), self._gpu.empty(parts.shape, np.int32)
        rows = len(first)
        if rows:
            arguments = (self._gpu.put(first), self._gpu.put(number), np.int32(rows), numbers)
            self._gpu.kernel("segmentation", "put_numbers")((-(-rows // _THREADS),), (_THREADS,), arguments)
        self._launch("renumber", parts, parts, numbers, np.int32(parts.size), labels)
        return labels

    def trim(self, labels: Array, count: int, plane: Array, twice_base: int, fraction: int) -> Array:
        pixels, rows = np.int32(labels.size), max(count, 1)
        ranks, quartiles = self._gpu.zeros(rows, np.uint32), self._gpu.zeros(rows, np.uint32)
        for is_lower in (np.int32(0), np.int32(1)) if count else ():
            counts = self._gpu.zeros((rows, 256), np.uint32)
            self._launch("count_bytes", labels, labels, plane, pixels, is_lower, quartiles, counts)
            find_byte = self._gpu.kernel("segmentation", "find_byte")
            find_byte((count,), (32,), (counts, is_lower, ranks, quartiles))
        classes = self._gpu.empty(labels.shape, np.int32)
        limits = (np.int64(twice_base), np.int64(fraction))
        self._launch("trim", labels, labels, plane, pixels, quartiles, *limits, classes)
        return classes

    def expand(self, labels: Array, reach: int, most_squared: int) -> Array:
        pixels, width = _sizes(labels)
        near, grown = self._gpu.empty(labels.shape, np.uint64), self._gpu.empty(labels.shape, np.int32)
        self._launch("expand_columns", labels, labels, pixels, width, np.int32(reach), near, file="heights")
        self._launch(
            "expand_rows", labels, near, pixels, width, np.int32(reach), np.uint32(most_squared), grown, file="heights"
        )
        return grown

    def subtract(self, nuclei: Array, cells: Array, shared_rim: bool) -> Array:
        rest = self._gpu.empty(nuclei.shape, np.int32)
        self._launch("subtract", nuclei, nuclei, cells, *_sizes(nuclei), np.int32(shared_rim), rest)
        return rest

    def _launch(self, name: str, pixels_of: Array, *arguments: Any, file: str = "segmentation") -> None:
        """Launch a kernel with one thread per pixel of an array."""
        self._gpu.kernel(file, name)(_blocks(pixels_of), (_THREADS,), arguments)

    def _list(self, name: str, arguments: tuple[Any, ...], outputs: tuple[Array, ...], grid: tuple[int, ...]) -> Words:
        """Launch a kernel that appends rows to a table; once more if there were more rows than it had room for."""
        kernel = self._gpu.kernel("segmentation", name)
        room = max(64, grid[0] * _THREADS // 64)
        while True:
            count, table = self._gpu.zeros(1, np.uint32), self._gpu.empty(room, np.uint64)
            kernel(grid, (_THREADS,), (*arguments, np.uint32(room), count, table, *outputs))
            rows = int(self._gpu.get(count)[0])
            if rows <= room:
                return np.sort(self._gpu.get(table[:rows]))
            room = rows


def _scale(plane: Array) -> int:
    return 257 if plane.dtype == np.uint8 else 1


def _blocks(array: Array) -> tuple[int, ...]:
    return (-(-array.size // _THREADS),)


def _sizes(array: Array) -> tuple[np.int32, np.int32]:
    return np.int32(array.size), np.int32(array.shape[1])
