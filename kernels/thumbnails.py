"""Small versions of planes: the lowest level of the pyramid, linear in the counts."""

import numpy as np
import numpy.typing as npt

from kernels.planes import Pixels, check_planes

GREATEST_SIDE_PX = 320


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


def shrink(planes: Pixels, factor: int) -> Pixels:
    """Shrink planes by averaging square tiles.

    Parameters
    ----------
    planes
        Shape ``(n, y, x)``, uint8 or uint16, camera counts.
    factor
        Side of a tile, pixels, 1 or more.

    Returns
    -------
    Shape ``(n, ceil(y / factor), ceil(x / factor))``, same type and unit. Each value is the mean of its tile, summed
    in integers and rounded half up; tiles cut by the lower or right border average the pixels they have.

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
    _, height, width = planes.shape
    sums = _sum_tiles(_sum_tiles(planes, factor, axis=2), factor, axis=1)
    tile_heights = _tile_lengths(height, factor)
    pixels = tile_heights[:, None] * _tile_lengths(width, factor)
    return ((2 * sums + pixels) // (2 * pixels)).astype(planes.dtype)


def _sum_tiles(values: npt.NDArray[np.unsignedinteger], factor: int, *, axis: int) -> npt.NDArray[np.uint64]:
    """Sum groups of ``factor`` along ``axis``; the last one may be shorter."""
    length = values.shape[axis]
    shape = list(values.shape)
    shape[axis] = -(-length // factor)
    sums = np.zeros(shape, np.uint64)
    target, source = np.moveaxis(sums, axis, 0), np.moveaxis(values, axis, 0)
    for offset in range(min(factor, length)):
        part = source[offset::factor]
        target[: len(part)] += part
    return sums


def _tile_lengths(length: int, factor: int) -> npt.NDArray[np.uint64]:
    starts = np.arange(0, length, factor)
    return np.minimum(factor, length - starts).astype(np.uint64)
