"""The pass over planes on a GPU: launches of ``kernels/cuda/image_quality.cu``, all planes in each.

Its CPU version, and what the results mean, is ``kernels/quality_scan.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.gpu import Array, Gpu
from kernels.planes import Floats
from kernels.planes_gpu import as_uint16
from kernels.power_spectrum import find_rings
from kernels.quality_scan import LEVELS, SCALES, TILE, PlaneSums, window_grid

SHARED_COUNTS = 12_288
"""Counts of a histogram that fit into 48 KB of shared memory; brighter pixels are counted in global memory."""
_THREADS = 256
_WARPS = _THREADS // 32
_MOST_BLOCKS = 512

Ints = npt.NDArray[np.int32]


class _Windows(NamedTuple):
    """The windows of all grids of one shape of planes, as ``quality_windows`` reads them."""

    grid_first: Ints
    rows_first: Ints
    places_first: Ints
    rows: Ints
    places: Ints


def scan_on_gpu(planes: Array, scales: Sequence[int], gpu: Gpu) -> list[tuple[PlaneSums, Floats]]:
    """Go over planes.

    Parameters
    ----------
    planes
        Shape ``(n, y, x)``, uint8 or uint16, on the device, at least one pixel each.
    scales
        The count of each plane that CellProfiler calls 1.
    gpu
        The device that holds them.

    Returns
    -------
    For each plane its sums and the powers of its rings, on the host.
    """
    if not planes.shape[0]:
        return []
    wide = as_uint16(planes, gpu)
    histogram, breaks, mean = _histograms(wide, scales, gpu)
    spread, middle = _local_focus(wide, gpu)
    products = _products(wide, breaks, gpu)
    tiles, squares = _tiles(wide, gpu)
    powers = _ring_powers(wide, mean, gpu)
    states = (_whole(histogram, gpu), gpu.get(mean), _whole(products, gpu), spread, middle, tiles, squares, powers)
    return [
        (PlaneSums(counts, float(level), sums[:2], sums[2:].reshape(len(SCALES), 5), *rest), ring)
        for counts, level, sums, *rest, ring in zip(*states, strict=True)
    ]


def _whole(array: Array, gpu: Gpu) -> npt.NDArray[np.int64]:
    return gpu.get(array).astype(np.int64)


def _blocks(pixels: int, per_block: int) -> int:
    return max(1, min(_MOST_BLOCKS, -(-pixels // per_block)))


def count_values_on_gpu(planes: Array, gpu: Gpu) -> Array:
    """Count the values of planes, shape ``(n, y, x)``, uint16; shape ``(n, 65536)``, uint32, on the device."""
    n, height, width = planes.shape
    histogram = gpu.zeros((n, LEVELS), np.uint32)
    if n:
        gpu.kernel("image_quality", "quality_histogram")(
            (_blocks(height * width, 16 * 512), n),
            (512,),
            (planes, np.int64(height * width), np.int32(SHARED_COUNTS), histogram),
            shared_mem=4 * SHARED_COUNTS,
        )
    return histogram


def _histograms(planes: Array, scales: Sequence[int], gpu: Gpu) -> tuple[Array, Array, Array]:
    """Histogram, breaks of the grey levels, and mean of each plane, on the device."""
    n, height, width = planes.shape
    pixels = np.int64(height * width)
    histogram = count_values_on_gpu(planes, gpu)
    breaks, mean = gpu.empty((n, 7), np.uint32), gpu.empty(n, np.float64)
    gpu.kernel("image_quality", "quality_levels")(
        (n,), (1024,), (histogram, pixels, gpu.put(np.array(scales, np.float32)), breaks, mean)
    )
    return histogram, breaks, mean


def _local_focus(planes: Array, gpu: Gpu) -> tuple[Floats, Floats]:
    """Variance and median of the local focus, shape ``(n, len(SCALES))``, on the host."""
    n, height, width = planes.shape
    grids = _list_windows(height, width)
    windows, count = int(grids.grid_first[-1]), np.int32(len(SCALES))
    first, rows_first, places_first, rows, places = (gpu.put(part) for part in grids)
    focus = gpu.empty((n, windows), np.float64)
    gpu.kernel("image_quality", "quality_windows")(
        (-(-windows // _WARPS), n),
        (_THREADS,),
        (
            planes,
            np.int64(height * width),
            np.int32(width),
            count,
            first,
            rows_first,
            places_first,
            rows,
            places,
            focus,
        ),
    )
    spread, middle = gpu.empty((n, len(SCALES)), np.float64), gpu.empty((n, len(SCALES)), np.float64)
    gpu.kernel("image_quality", "quality_focus")((len(SCALES), n), (1024,), (focus, count, first, spread, middle))
    return gpu.get(spread), gpu.get(middle)


def _products(planes: Array, breaks: Array, gpu: Gpu) -> Array:
    """Sums of the quantised planes and their products, shape ``(n, 2 + 5 * len(SCALES))``, on the device."""
    n, height, width = planes.shape
    sums = gpu.zeros((n, 2 + 5 * len(SCALES)), np.uint64)
    gpu.kernel("image_quality", "quality_products")(
        (min(height, 128), n),
        (_THREADS,),
        (
            planes,
            np.int64(height * width),
            np.int32(height),
            np.int32(width),
            breaks,
            gpu.put(np.array(SCALES, np.int32)),
            sums,
        ),
        shared_mem=width,
    )
    return sums


def _tiles(planes: Array, gpu: Gpu) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Sums and sums of squares of the tiles, shape ``(n, y // 8, x // 8)``, on the host."""
    n, height, width = planes.shape
    shape = (n, height // TILE, width // TILE)
    if 0 in shape:
        return np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    sums, squares = gpu.empty(shape, np.uint32), gpu.empty(shape, np.uint64)
    gpu.kernel("image_quality", "quality_tiles")(
        (-(-shape[2] * TILE // _THREADS), shape[1], n),
        (_THREADS,),
        (planes, np.int64(height * width), np.int32(width), np.int32(shape[1]), np.int32(shape[2]), sums, squares),
    )
    return _whole(sums, gpu), _whole(squares, gpu)


def _ring_powers(planes: Array, mean: Array, gpu: Gpu) -> Floats:
    """Powers of the rings, shape ``(n, rings)``, on the host."""
    n, height, width = planes.shape
    rings = find_rings(height, width)
    if rings is None:
        return np.zeros((n, 0))
    pixels = np.int64(height * width)
    centred = gpu.empty((n, height, width), np.float32)
    gpu.kernel("image_quality", "quality_centre")(
        (_blocks(height * width, 8 * _THREADS), n), (_THREADS,), (planes, pixels, mean, centred)
    )
    columns = rings.first.shape[1]
    spectrum = gpu.rfft_columns(centred, columns)
    first, members = _list_members(height, width)
    powers = gpu.empty((n, rings.greatest + 1), np.float64)
    gpu.kernel("image_quality", "quality_rings")(
        (rings.greatest + 1, n),
        (32,),
        (spectrum.view(np.float32), np.int64(height * columns), gpu.put(first), gpu.put(members), powers),
    )
    return gpu.get(powers)


@lru_cache(maxsize=8)
def _list_windows(height: int, width: int) -> _Windows:
    rows = [window_grid(height, scale) for scale in SCALES]
    places = [window_grid(width, scale) for scale in SCALES]
    windows = [(len(y) - 1) * (len(x) - 1) for y, x in zip(rows, places, strict=True)]
    starts = (_starts(windows), _starts([len(y) for y in rows]), _starts([len(x) for x in places]))
    return _Windows(*starts, np.concatenate(rows).astype(np.int32), np.concatenate(places).astype(np.int32))


def _starts(lengths: list[int]) -> Ints:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


@lru_cache(maxsize=8)
def _list_members(height: int, width: int) -> tuple[Ints, Ints]:
    """Where each ring's members begin, and the places (row, column) of the half spectrum that are its members."""
    rings = find_rings(height, width)
    assert rings is not None
    place = rings.rows[:, None] * rings.first.shape[1] + np.arange(rings.first.shape[1])
    ring = np.concatenate([rings.first.ravel(), rings.mirror.ravel()])
    order = np.argsort(ring, kind="stable")
    members = np.concatenate([place.ravel(), place.ravel()])[order]
    first = np.searchsorted(ring[order], np.arange(rings.greatest + 2))
    first[0] = first[1]  # ring 0 stands for none
    return first.astype(np.int32), members.astype(np.int32)
