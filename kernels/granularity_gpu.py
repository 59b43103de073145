"""Granularity on a GPU: launches of ``kernels/cuda/granularity_*.cu``, all planes of the call in each.

The CPU version, and what the results mean, is in ``kernels/granularity_background.py``, ``granularity_tree.py`` and
``granularity_sums.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kernels.gpu import Array, Gpu
from kernels.granularity_background import RADIUS_PX, Grid, Windows, plan_grid
from kernels.granularity_sums import GranularitySums, fraction_bits, rounding_number
from kernels.granularity_tree import RINGS, STEPS
from kernels.object_sets_gpu import GpuObjectSets

ROUNDS = 2
"""Rounds of joining that the whole device does, in two launches each; one more launch does all others, a block a plane.

Each round leaves at most half of the basins, mostly a third.
"""
_THREADS = 256
_MERGE_THREADS = 1024
_LANES = STEPS
_DISK_TILE = 32
_DISK_BYTES = 3 * 4 * (_DISK_TILE + 2 * RADIUS_PX) ** 2
_MARK_SIDE, _MARK_ROWS = 96, 12
_MARK_INNER = _MARK_SIDE - 2 * (STEPS + 1)
_MOST_BLOCKS = 512
_MOST_CHUNKS = 64


@dataclass(frozen=True)
class GpuReconstructions:
    """Sixteen reconstructions of each of n planes, on a GPU; fields as in ``granularity_tree.Reconstructions``.

    ``levels`` has room for the most basins that an image may have.
    """

    gpu: Gpu
    grid: Grid
    heights: Array
    basins: Array
    levels: Array


def sum_on_gpu(planes: Array, objects: GpuObjectSets) -> GranularitySums:
    """Sum reconstructions over objects and images.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16, on the device of ``objects``, sides of at least 3 pixels.
    objects
        Objects over them.
    """
    sets, channels, count = objects.n_sets, planes.shape[0], objects.count
    grid = plan_grid(*planes.shape[1:])
    object_bits = fraction_bits(int(objects.area.max(initial=1)))
    image_bits = fraction_bits(int(np.prod(grid.shape)))
    sums = np.zeros((sets, channels, count, STEPS), np.int64)
    counts, image = np.zeros((sets, channels, count), np.int64), np.zeros((channels, STEPS + 1), np.int64)
    if channels:
        found = reconstruct_on_gpu(planes, objects.gpu)
        image = sum_images_on_gpu(found, image_bits)
        if count:
            sums, counts = sum_objects_on_gpu(found, planes, objects, object_bits)
    return GranularitySums(np.swapaxes(sums, 2, 3), object_bits, counts, image, image_bits)


def reconstruct_on_gpu(planes: Array, gpu: Gpu) -> GpuReconstructions:
    """Reconstruct the images of planes of any number of sites, in 13 launches.

    Takes 84 bytes of device memory for each pixel of the images, four pixels of the planes.

    Parameters
    ----------
    planes
        Shape ``(n, y, x)``, uint16, on the device, at least one, sides of at least 3 pixels.
    gpu
        The device that holds them.
    """
    n = planes.shape[0]
    grid = plan_grid(*planes.shape[1:])
    rows, columns = grid.shape
    pixels, most_basins = rows * columns, rows * columns // 2 + 1
    heights = _subtract_backgrounds(planes, grid, gpu)
    above, names, basins = (gpu.empty((n, rows, columns), np.int32) for _ in range(3))
    levels = gpu.empty((n, most_basins, STEPS), np.int32)
    chosen = [gpu.empty((n, most_basins), np.uint64) for _ in range(2)]
    joined, passes = (gpu.empty((n, most_basins), np.int32) for _ in range(2))
    found = gpu.zeros((ROUNDS + 2, n), np.int32)
    n_basins, n_saddles = found[0], found[1:]
    saddles = [gpu.empty((3, n, pixels), np.int32) for _ in range(2)]
    per_pixel = (-(-pixels // _THREADS), 1, n)
    shape, most = (np.int32(rows), np.int32(columns)), np.int32(most_basins)

    def launch(
        name: str, grid_size: tuple[int, ...], block: tuple[int, ...], *args: object, shared_mem: int = 0
    ) -> None:
        gpu.kernel("granularity_tree", name)(grid_size, block, args, shared_mem=shared_mem)

    launch(
        "granularity_climb",
        per_pixel,
        (_THREADS,),
        *(heights, *shape, most, above, names, n_basins, levels, *chosen, joined),
    )
    launch("granularity_label", per_pixel, (_THREADS,), above, names, np.int32(pixels), basins)
    launch(
        "granularity_saddles",
        per_pixel,
        (_THREADS,),
        *(heights, basins, gpu.put(RINGS), *shape, most, saddles[0], n_saddles[0], chosen[0]),
    )
    launch(
        "granularity_mark",
        (-(-columns // _MARK_INNER), -(-rows // _MARK_INNER), n),
        (_MARK_SIDE, _MARK_SIDE // _MARK_ROWS),
        *(heights, basins, *shape, most, levels),
        shared_mem=4 * _MARK_SIDE**2,
    )
    for turn in range(ROUNDS):
        now, following = turn % 2, (turn + 1) % 2
        of_round = (saddles[now], np.int32(pixels), n_saddles[turn])
        launch("granularity_join", per_pixel, (_THREADS,), *of_round, most, chosen[now], joined, passes, levels)
        launch(
            "granularity_rename",
            per_pixel,
            (_THREADS,),
            *(
                *of_round,
                n_basins,
                most,
                joined,
                saddles[following],
                n_saddles[turn + 1],
                chosen[now],
                chosen[following],
            ),
        )
    last = ROUNDS % 2
    launch(
        "granularity_merge",
        (n,),
        (_MERGE_THREADS,),
        *(saddles[last], np.int32(pixels), n_saddles[ROUNDS], most, chosen[last], joined, passes, levels),
    )
    launch(
        "granularity_hand_down",
        (-(-most_basins * _LANES // _THREADS), 1, n),
        (_THREADS,),
        *(joined, passes, n_basins, most, levels),
    )
    return GpuReconstructions(gpu, grid, heights, basins, levels)


def _subtract_backgrounds(planes: Array, grid: Grid, gpu: Gpu) -> Array:
    """Images with their rims, shape ``(n, rows + 2, columns + 2)``, int32."""
    n, height, width = planes.shape
    (rows, columns), (down, across) = grid.shape, grid.background_shape
    of_plane, of_image = (np.int32(height), np.int32(width)), (np.int32(rows), np.int32(columns))
    of_background = (np.int32(down), np.int32(across))
    eroded, opened = (gpu.empty((n, down, across), np.float32) for _ in range(2))
    tiles = (-(-across // _DISK_TILE), -(-down // _DISK_TILE), n)
    gpu.kernel("granularity_background", "granularity_erode")(
        tiles, (_THREADS,), (planes, *of_plane, *of_background, eroded), shared_mem=_DISK_BYTES
    )
    gpu.kernel("granularity_background", "granularity_dilate")(
        tiles, (_THREADS,), (eroded, *of_background, opened), shared_mem=_DISK_BYTES
    )
    heights = gpu.empty((n, rows + 2, columns + 2), np.int32)
    taps = [
        gpu.put(np.stack(pair))
        for axis in (grid.rows, grid.columns)
        for pair in ((axis.lower, axis.upper), (axis.lower_weight, axis.upper_weight))
    ]
    gpu.kernel("granularity_background", "granularity_subtract")(
        (-(-(rows + 2) * (columns + 2) // _THREADS), 1, n),
        (_THREADS,),
        (planes, *of_plane, *of_image, opened, *of_background, *taps, heights),
    )
    return heights


def sum_images_on_gpu(found: GpuReconstructions, bits: int) -> np.ndarray:
    """Give the sums of heights and reconstructions of each image: shape ``(n, 17)``, int64, on the host."""
    n, gpu = found.heights.shape[0], found.gpu
    rows, columns = found.grid.shape
    sums = gpu.zeros((n, STEPS + 1), np.uint64)
    blocks = max(1, min(_MOST_BLOCKS, rows * columns // _THREADS))
    gpu.kernel("granularity_sums", "granularity_image_sums")(
        (blocks, n),
        (_THREADS,),
        (*_fields(found), np.float64(rounding_number(bits)), sums),
    )
    return gpu.get(sums).view(np.int64)


def sum_objects_on_gpu(
    found: GpuReconstructions, planes: Array, objects: GpuObjectSets, bits: int
) -> tuple[np.ndarray, np.ndarray]:
    """Sum the reconstructions of one site over its objects, of which there is at least one.

    Parameters
    ----------
    found
        The reconstructions of ``planes``; those of one site among others are parts of their arrays.
    planes
        The site's planes.
    objects
        Its objects.
    bits
        ``GranularitySums.object_bits``.

    Returns
    -------
    Sums of the reconstructions, shape ``(s, c, k, 16)``, and of the planes' counts, shape ``(s, c, k)``; int64, on the
    host.
    """
    gpu, grid = found.gpu, found.grid
    channels, height, width = planes.shape
    sums = gpu.zeros((objects.n_sets, channels, objects.count, STEPS), np.uint64)
    counts = gpu.zeros((objects.n_sets, channels, objects.count), np.uint64)
    sides = objects.boxes[:, 2:] - objects.boxes[:, :2]
    most_tiles = int(np.prod(sides // 2 + 2, axis=1, dtype=np.int64).max()) // _THREADS + 1
    gpu.kernel("granularity_sums", "granularity_object_sums")(
        (objects.count, min(_MOST_CHUNKS, -(-most_tiles // 4)), channels),
        (_THREADS,),
        (
            *(planes, np.int32(height), np.int32(width), *_fields(found)),
            *(*_put_windows(grid.row_windows, gpu), *_put_windows(grid.column_windows, gpu)),
            *(objects.boxes_there, objects.first_there, objects.member, np.int32(objects.n_sets)),
            *(np.float64(rounding_number(bits)), sums, counts),
        ),
    )
    return gpu.get(sums).view(np.int64), gpu.get(counts).view(np.int64)


def _fields(found: GpuReconstructions) -> Sequence[object]:
    sizes = (*found.grid.shape, found.levels.shape[1])
    return (found.heights, found.basins, found.levels, *(np.int32(size) for size in sizes))


def _put_windows(windows: Windows, gpu: Gpu) -> Sequence[object]:
    return (*(gpu.put(part) for part in windows), np.int32(windows.weights.shape[1]))
