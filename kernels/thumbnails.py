"""Small versions of planes: levels of the pyramid, linear in the counts; the lowest is the thumbnail.

Each level is averaged from the plane itself, not from the level above, so nothing is rounded twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.compiled import compiled
from kernels.gpu import Array, Gpu, gpu_of
from kernels.planes import Pixels, check_planes
from kernels.planes_gpu import as_uint8, as_uint16

GREATEST_SIDE_PX = 320
_THREADS = 256
_SHARED_COLUMNS = 6144
"""Columns whose sums fit into 48 KB of shared memory."""


def thumbnail_factor(height: int, width: int) -> int:
    """Give the least power of two that shrinks a plane to at most 320 pixels on its longer side.

    Raises
    ------
    ValueError
        If a side is not at least 1.
    """
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be 1 or more, got {height} x {width}")
    factor = 1
    while -(-max(height, width) // factor) > GREATEST_SIDE_PX:
        factor *= 2
    return factor


def shrink(planes: Any, factor: int) -> Any:
    """Shrink planes by averaging square tiles.

    Parameters
    ----------
    planes
        Shape ``(n, y, x)``, uint8 or uint16, camera counts; a NumPy or a CuPy array.
    factor
        Side of a tile, pixels, 1 or more.

    Returns
    -------
    Shape ``(n, ceil(y / factor), ceil(x / factor))``, same type, unit and device. Each value is the mean of its tile,
    summed in integers and rounded half up, alike on CPU and GPU; tiles cut by the lower or right border average the
    pixels they have.

    Raises
    ------
    TypeError
        If ``planes`` is not uint8 or uint16.
    ValueError
        If ``planes`` is not three-dimensional or has no pixel, or ``factor`` is below 1.
    """
    check_planes("planes", planes)
    if factor < 1:
        raise ValueError(f"factor must be 1 or more, got {factor}")
    tile = min(factor, max(planes.shape[1:]))
    if tile == 1:
        return planes.copy()
    gpu = gpu_of(planes)
    if gpu is not None:
        return shrink_on_gpu(planes, tile, gpu)
    small = np.empty((planes.shape[0], *_shape(planes, tile)), planes.dtype)
    for plane, target in zip(planes, small, strict=True):
        _average_tiles(np.ascontiguousarray(plane), tile, target)
    return small


def shrink_on_gpu(planes: Array, factor: int, gpu: Gpu) -> Array:
    """Shrink planes of a device there; ``factor`` is not above the longer side. One launch."""
    n, height, width = planes.shape
    down, across = _shape(planes, factor)
    wide = as_uint16(planes, gpu)
    small = gpu.empty((n, down, across), np.uint16)
    sizes = (np.int32(height), np.int32(width), np.int32(factor))
    columns = _SHARED_COLUMNS // factor * factor
    if not n:
        return gpu.empty((n, down, across), planes.dtype)
    if columns:
        gpu.kernel("thumbnails", "average_tiles")(
            (-(-width // columns), down, n),
            (_THREADS,),
            (wide, *sizes, np.int32(columns), np.int32(down), np.int32(across), small),
            shared_mem=8 * min(columns, width),
        )
    else:
        gpu.kernel("thumbnails", "average_large_tiles")(
            (across, down, n), (_THREADS,), (wide, *sizes, np.int32(down), np.int32(across), small)
        )
    return small if planes.dtype == np.uint16 else as_uint8(small, gpu)


def _shape(planes: Array, factor: int) -> tuple[int, int]:
    return -(-planes.shape[1] // factor), -(-planes.shape[2] // factor)


@compiled
def _average_tiles(plane: Pixels, factor: int, small: Pixels) -> None:
    """Sum the rows of a row of tiles by column, then the columns of each tile."""
    height, width = plane.shape
    sums = np.empty(width, np.uint64)
    for i in range(small.shape[0]):
        top, bottom = i * factor, min((i + 1) * factor, height)
        sums[:] = 0
        for y in range(top, bottom):
            row = plane[y]
            for x in range(width):
                sums[x] += row[x]
        for j in range(small.shape[1]):
            left, right = j * factor, min((j + 1) * factor, width)
            total = np.uint64(0)
            for x in range(left, right):
                total += np.uint64(sums[x])
            pixels = np.uint64((bottom - top) * (right - left))
            small[i, j] = (np.uint64(2) * total + pixels) // (np.uint64(2) * pixels)
