"""Texture on a GPU: the state of co-occurrence matrices by launches of ``kernels/cuda/texture.cu``.

What the state is, and how the CPU sums it, is in ``kernels/texture_state.py``; both give the same integers, and one
function on the host finishes features from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernels.gpu import Array, Gpu
from kernels.haralick import finish_texture
from kernels.object_sets_gpu import GpuObjectSets
from kernels.planes import Floats
from kernels.quality_gpu import SHARED_COUNTS
from kernels.texture_levels import COUNTS, full_table, spread_levels
from kernels.texture_state import ANGLES, STATE, Integers, TextureState, nearness_table
from kernels.texture_terms import first_terms

MOST_PIXELS_COUNTED = 65_535
"""Larger objects overflow the counts of a table in shared memory."""
TABLE_BITS = (11, 13)
"""Slots of the tables that matrices are counted in, as powers of 2: who does not fit goes on to the next."""
_SMALL_TABLE_BITS = 12
"""The second table where a block cannot have 106 KB."""
_MARGINAL_WORDS = 2560
_TILE = 16_384
_TILE_TABLE_BITS = 12
_HUGE_AT_ONCE = 32
_THREADS = 256
_MOST_BLOCKS = 1056
_BATCH_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True)
class _Boxes:
    """Objects as the kernels read them: ``kernels.object_sets_gpu``, or a whole plane as the only one."""

    is_whole: bool
    sets: int
    outer: int
    boxes: npt.NDArray[np.int32]
    boxes_there: Array
    first_there: Array
    member: Array
    pixels: Integers
    """Of each object in the outer set."""


def measure_objects_on_gpu(
    planes: Array, objects: GpuObjectSets, scales: Integers, scaling: str, values: Floats
) -> None:
    """Fill the values of ``kernels.texture.measure_texture``; arguments are its own, checked."""
    boxes = _Boxes(
        False,
        objects.n_sets,
        objects.outer,
        objects.boxes,
        objects.boxes_there,
        objects.first_there,
        objects.member,
        objects.area[objects.outer],
    )
    for first, last, state in scan_on_gpu(planes, boxes, scales, scaling, objects.gpu):
        finish_texture(state, objects.area[:, first:last], values[..., first:last])


def measure_planes_on_gpu(planes: Array, gpu: Gpu, scales: Integers, scaling: str, values: Floats) -> None:
    """Fill the values of ``kernels.texture.measure_image_texture``, with axes of one set and one object."""
    height, width = planes.shape[1:]
    boxes = np.array([[0, 0, height, width]], np.int32)
    pixels = np.array([height * width])
    whole = _Boxes(
        True, 1, 0, boxes, gpu.put(boxes), gpu.put(np.array([0, height * width])), gpu.zeros(1, np.uint8), pixels
    )
    for _, _, state in scan_on_gpu(planes, whole, scales, scaling, gpu):
        finish_texture(state, pixels[:, None], values)


def scan_on_gpu(
    planes: Array, boxes: _Boxes, scales: Integers, scaling: str, gpu: Gpu
) -> Iterator[tuple[int, int, TextureState]]:
    """Give the state of batches of objects, as ``kernels.texture_scan.scan_objects``: first, last, state."""
    channels, count, gap = planes.shape[0], len(boxes.boxes), int(scales.max(initial=0))
    if not count or not channels or not len(scales):
        return
    sides = (boxes.boxes[:, 2:] - boxes.boxes[:, :2]).astype(np.int64)
    sizes = np.where(sides[:, 0] > 0, (sides[:, 0] + gap) * (sides[:, 1] + gap) + 2 * gap, 0)
    tables = _put_tables(planes, scaling, gpu)
    constants = (
        gpu.put(scales.astype(np.int32)),
        gpu.put(first_terms().view(np.uint64)),
        gpu.put(nearness_table().view(np.uint64)),
    )
    state_bytes = 8 * STATE * ANGLES * len(scales) * boxes.sets
    ends = np.cumsum(channels * (2 * sizes + state_bytes))
    first = 0
    while first < count:
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + _BATCH_BYTES, side="right")))
        part = _Part(planes, boxes, tables, constants, gap, first, sizes[first:last], sides[first:last], gpu)
        yield first, last, part.scan(scales)
        first = last


def _put_tables(planes: Array, scaling: str, gpu: Gpu) -> tuple[Array, np.int64]:
    """Grey levels of counts on the device, and how far the tables of two channels are apart."""
    if scaling == "full":
        return gpu.put(full_table()), np.int64(0)
    n, height, width = planes.shape
    histogram = gpu.zeros((n, COUNTS), np.uint32)
    blocks = max(1, min(512, height * width // (16 * 512)))
    gpu.kernel("image_quality", "quality_histogram")(
        (blocks, n),
        (512,),
        (planes, np.int64(height * width), np.int32(SHARED_COUNTS), histogram),
        shared_mem=4 * SHARED_COUNTS,
    )
    return gpu.put(np.array([spread_levels(counts) for counts in gpu.get(histogram)])), np.int64(COUNTS)


@dataclass(frozen=True)
class _Part:
    """Objects whose crops are on the device at a time."""

    planes: Array
    boxes: _Boxes
    tables: tuple[Array, np.int64]
    constants: tuple[Array, Array, Array]
    gap: int
    first: int
    sizes: Integers
    sides: Integers
    gpu: Gpu

    def scan(self, scales: Integers) -> TextureState:
        gpu, boxes, channels, count = self.gpu, self.boxes, self.planes.shape[0], len(self.sizes)
        crop_first, codes, levels = self._draw()
        shape = (count, channels, len(scales), ANGLES, boxes.sets, STATE)
        states = gpu.zeros(shape, np.uint64)
        scales_there, terms, nearness = self.constants
        crops = (codes, levels, boxes.boxes_there, crop_first, np.int32(self.first), np.int32(channels))
        kind = (np.int32(boxes.is_whole), np.int32(boxes.sets), np.int32(boxes.outer))
        steps = np.int32(ANGLES * len(scales))
        where = (*crops, steps, np.int32(self.gap), *kind, scales_there)
        small, huge = self._list_items(scales)
        huge = np.concatenate([huge, self._count_pairs(small, (*where, terms, nearness, states))])
        counts = gpu.zeros((min(len(huge), _HUGE_AT_ONCE), boxes.sets, COUNTS), np.uint32) if len(huge) else None
        for begin in range(0, len(huge), _HUGE_AT_ONCE):
            items = huge[begin : begin + _HUGE_AT_ONCE]
            there = gpu.put(items)
            tiles = max(1, min(64, -(-int(self.sizes.max()) // _TILE)))
            gpu.kernel("texture", "texture_huge_pairs")(
                (tiles, len(items)),
                (_THREADS,),
                (there, np.int32(_TILE_TABLE_BITS), np.int32(_TILE), *where, counts),
                shared_mem=12 << _TILE_TABLE_BITS,
            )
            gpu.kernel("texture", "texture_huge_sums")(
                (len(items), boxes.sets), (512,), (there, levels, steps, *kind, terms, nearness, counts, states)
            )
        return self._collect(states, levels)

    def _draw(self) -> tuple[Array, Array, Array]:
        """Where crops begin, the crops, and the levels."""
        gpu, boxes, count, channels = self.gpu, self.boxes, len(self.sizes), self.planes.shape[0]
        crop_first = np.concatenate([[0], np.cumsum(self.sizes)]).astype(np.int64)
        blank = np.zeros((count, channels, 1 + boxes.sets), np.int32)
        blank[..., 0] = 256
        levels, there = gpu.put(blank), gpu.put(crop_first)
        codes = gpu.empty(max(1, channels * int(crop_first[-1])), np.uint16)
        height, width = self.planes.shape[1:]
        pixels = (
            self.planes,
            np.int64(height * width),
            np.int32(width),
            *self.tables,
            boxes.boxes_there,
            boxes.first_there,
            boxes.member,
            np.int32(boxes.is_whole),
            np.int32(self.first),
            np.int32(boxes.sets),
        )
        grid = (count, channels, max(1, min(128, int(self.sizes.max()) // (16 * _THREADS))))
        gpu.kernel("texture", "texture_levels")(grid, (_THREADS,), (*pixels, levels))
        gpu.kernel("texture", "texture_codes")(
            grid, (_THREADS,), (*pixels, np.int32(boxes.outer), np.int32(self.gap), levels, there, codes)
        )
        return there, codes, levels

    def _list_items(self, scales: Integers) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """Matrices that can have pairs, of larger objects first: those that fit the counts of a table, and others."""
        channels, pixels = self.planes.shape[0], self.boxes.pixels[self.first :][: len(self.sizes)]
        order = np.argsort(-pixels, kind="stable")
        steps = np.arange(ANGLES * len(scales))
        crops = order[:, None] * channels + np.arange(channels)
        items = (crops[:, :, None] * len(steps) + steps).astype(np.uint32)
        has_room = (self.sides[order].min(axis=1)[:, None] > scales[steps // ANGLES])[:, None]
        is_small = (pixels[order] <= MOST_PIXELS_COUNTED)[:, None, None]
        has_room = np.broadcast_to(has_room, items.shape)
        return items[has_room & is_small], items[has_room & ~is_small]

    def _count_pairs(
        self, items: npt.NDArray[np.uint32], arguments: tuple[Array | np.generic, ...]
    ) -> npt.NDArray[np.uint32]:
        """Count in shared memory; gives the items that need more."""
        if not len(items):
            return items
        gpu = self.gpu
        listed, count = gpu.put(items), gpu.put(np.array([len(items)], np.uint32))
        for bits in table_bits(gpu):
            taken, spilled_count = gpu.zeros(1, np.uint32), gpu.zeros(1, np.uint32)
            spilled = gpu.zeros(len(items), np.uint32)
            gpu.kernel("texture", "texture_pairs")(
                (min(_MOST_BLOCKS, len(items)),),
                (_THREADS,),
                (listed, count, taken, np.int32(bits), spilled, spilled_count, *arguments),
                shared_mem=(12 << bits) + 4 * _MARGINAL_WORDS,
            )
            listed, count = spilled, spilled_count
        return np.sort(gpu.get(listed)[: int(gpu.get(count)[0])])

    def _collect(self, states: Array, levels: Array) -> TextureState:
        """Sets in their order again, levels as on the host."""
        boxes = self.boxes
        sums = self.gpu.get(states).view(np.int64)
        others = [z for z in range(boxes.sets) if z != boxes.outer]
        ordered = np.empty_like(sums)
        ordered[..., [boxes.outer, *others], :] = sums
        found = self.gpu.get(levels)
        found[..., 0] = np.where(found[..., 0] == 256, 0, found[..., 0] + boxes.is_whole)
        return TextureState(ordered, found)


def table_bits(gpu: Gpu) -> tuple[int, ...]:
    """Sizes of the tables on this device."""
    small, large = TABLE_BITS
    return small, large if (12 << large) + 4 * _MARGINAL_WORDS <= gpu.shared_bytes else _SMALL_TABLE_BITS
