"""Fields of illumination, estimated from the thumbnails of many sites by sums of whole numbers.

    mean         JUMP's recipe (CellProfiler's CorrectIlluminationCalculate): the mean of all sites, a median filter
    background   the mean of each site's background over its own level, cells and debris left out, a smooth surface

Sums of whole numbers do not depend on the order of the sites. Both fields are relative: a value of 1 is near the
darkest of the plane.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

from kernels.compiled import compiled
from kernels.planes import Floats, Pixels, check_plane

Field = npt.NDArray[np.float32]
Sums = npt.NDArray[np.uint64]

LEVEL = 1 << 14
"""What ``weigh_background`` makes of a pixel at the site's own level of background."""
_BLOCKS = 8
"""Blocks along each side that must all have some background."""
DEGREE = 8
"""Degree of the surface through the background. Vendors describe their fields by degree 4."""
_DARKEST_SHARE = 0.02
_MEDIAN_RADII = 24
_BLOCKS = 8
_ONE = 4096
_TOLERANCE = 6
_LEAST_SPREAD = 16
_MARGIN_PX = 2
_FEWEST_SHARE = 20


def weigh_background(thumbnail: Pixels) -> npt.NDArray[np.uint32]:
    """Give a site's background over its own level, without cells and debris.

    The background is known from the lower quartiles of 8 x 8 blocks, the median of each and its neighbours, bilinear
    between their middles. A pixel is left out if its ratio to this background is not as usual: usual is the site's
    lower quartile of ratios, and as far around it as six times the distance from there to the 5 % quantile (for noise
    alone, 5 standard deviations above the mean, 6.5 below), 2.3 % at least. So are all pixels up to 2 px around such
    a one.

    Parameters
    ----------
    thumbnail
        One plane of few pixels, shape ``(y, x)``, uint8 or uint16, camera counts.

    Returns
    -------
    Shape ``(y, x)``, uint32: 16384 at the median of the background, at least 1, and 0 where a pixel is left out. All 0
    when less than 5 % would be left, or the background is black.

    Raises
    ------
    TypeError
        If ``thumbnail`` is not uint8 or uint16.
    ValueError
        If it is not two-dimensional or has no pixel.
    """
    check_plane("thumbnail", thumbnail)
    return _weigh_background(np.ascontiguousarray(thumbnail, np.int64))


@compiled
def _weigh_background(pixels):
    ratios = _ratios_to_background(pixels)
    height, width = pixels.shape
    ranked = ratios.copy().ravel()
    usual = _ranked(ranked, ranked.size // 4)
    reach = _TOLERANCE * max(usual - _ranked(ranked, ranked.size // 20), _LEAST_SPREAD)
    is_kept = np.ones(pixels.shape, np.bool_)
    for y in range(height):
        for x in range(width):
            if abs(ratios[y, x] - usual) > reach:
                for near_y in range(max(y - _MARGIN_PX, 0), min(y + _MARGIN_PX + 1, height)):
                    for near_x in range(max(x - _MARGIN_PX, 0), min(x + _MARGIN_PX + 1, width)):
                        if (near_y - y) ** 2 + (near_x - x) ** 2 <= _MARGIN_PX**2:
                            is_kept[near_y, near_x] = False
    weighed = np.zeros(pixels.shape, np.uint32)
    kept = np.empty(pixels.size, np.int64)
    count = 0
    for y in range(height):
        for x in range(width):
            if is_kept[y, x]:
                kept[count] = pixels[y, x]
                count += 1
    if count * _FEWEST_SHARE < pixels.size:
        return weighed
    level = _ranked(kept[:count], count // 2)
    if level == 0:
        return weighed
    for y in range(height):
        for x in range(width):
            if is_kept[y, x]:
                weighed[y, x] = max((pixels[y, x] * LEVEL + level // 2) // level, 1)
    return weighed


@compiled
def _ranked(values, rank):
    """The value at a place of the sorted order (Hoare 1961); ``values`` are left in another order."""
    low, high = 0, values.size - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if rank <= j:
            high = j
        elif rank >= i:
            low = i
        else:
            break
    return values[rank]


@compiled
def _ratios_to_background(pixels):
    """Pixels over the background around them, in units of 1/4096."""
    height, width = pixels.shape
    side = -(-max(height, width) // _BLOCKS)
    rows, columns = -(-height // side), -(-width // side)
    quartiles = np.empty((rows, columns), np.int64)
    for i in range(rows):
        for j in range(columns):
            block = pixels[i * side : (i + 1) * side, j * side : (j + 1) * side].copy().ravel()
            quartiles[i, j] = _ranked(block, block.size // 4)
    levels = np.empty((rows, columns), np.int64)
    around = np.empty(9, np.int64)
    for i in range(rows):
        for j in range(columns):
            for k in range(9):
                near_i = min(max(i + k // 3 - 1, 0), rows - 1)
                near_j = min(max(j + k % 3 - 1, 0), columns - 1)
                around[k] = quartiles[near_i, near_j]
            levels[i, j] = _ranked(around, 4)
    ratios = np.empty(pixels.shape, np.int64)
    for y in range(height):
        i, down = _between(y, side, rows)
        for x in range(width):
            j, right = _between(x, side, columns)
            upper = levels[i, j] * (2 * side - right) + levels[i, min(j + 1, columns - 1)] * right
            lower = levels[min(i + 1, rows - 1), j] * (2 * side - right)
            lower += levels[min(i + 1, rows - 1), min(j + 1, columns - 1)] * right
            background = (upper * (2 * side - down) + lower * down) // (4 * side * side)
            ratios[y, x] = pixels[y, x] * _ONE // max(background, 1)
    return ratios


@compiled
def _between(place, side, count):
    """The block whose middle lies before a pixel, and how far behind it the pixel lies, in 1/(2 side).

    The outermost blocks reach on in a straight line.
    """
    doubled = 2 * place - (side - 1)
    block = min(max(doubled // (2 * side), 0), max(count - 2, 0))
    return block, doubled - 2 * side * block


def mean_field(sums: Sums) -> Field | None:
    """Make a channel's field by JUMP's recipe: the mean of its sites, a median filter, rescaled.

    CellProfiler filters a plane of 216 pixels with a disk of radius 9 (``int(20 / 2.35 + 0.5)``); here the radius is
    the same part of the longer side. At the border the disk is cut off, so a field that falls off there comes out too
    flat: by 4 % in the corners of one that falls to 60 %, as CellProfiler's does.

    Parameters
    ----------
    sums
        Thumbnails of all sites added, shape ``(y, x)``, uint64. Their number does not matter.

    Returns
    -------
    Shape ``(y, x)``, float32, 1 or more: over its 2 % quantile, below which it is cut off (``robust minimum``). None
    where the filter leaves nothing above 0: few cells on black say nothing of the light.
    """
    greatest = int(sums.max(initial=0))
    if greatest == 0:
        return None
    levels = (sums * np.uint64(65535) // np.uint64(greatest)).astype(np.uint16)
    radius = max(sums.shape) / _MEDIAN_RADII
    smooth = _rank_median(levels, _half_widths(radius)).astype(np.float64)
    if not smooth.any():
        return None
    least = _robust_minimum(smooth)
    return (np.maximum(smooth, least) / least).astype(np.float32)


def _half_widths(radius: float) -> npt.NDArray[np.int64]:
    """Half the width of each row of a disk, from its uppermost row to its lowest."""
    rows = np.arange(-int(radius), int(radius) + 1)
    return np.floor(np.sqrt(radius * radius - rows * rows)).astype(np.int64)


@compiled
def _rank_median(levels, half_widths):
    """Median of the disk around each pixel, cut off at the border; of an even number the greater middle one.

    Huang, Yang and Tang 1979: a histogram moves along each row. Here it has two levels, 256 times 256.
    """
    height, width = levels.shape
    radius = half_widths.size // 2
    medians = np.empty(levels.shape, np.uint16)
    fine, coarse = np.zeros(65536, np.int64), np.zeros(256, np.int64)
    for y in range(height):
        fine[:] = 0
        coarse[:] = 0
        top, bottom = max(y - radius, 0), min(y + radius, height - 1)
        count = 0
        for x in range(-radius, width):
            for row in range(top, bottom + 1):
                half = half_widths[row - y + radius]
                entering, leaving = x + half, x - half - 1
                if 0 <= entering < width:
                    fine[levels[row, entering]] += 1
                    coarse[levels[row, entering] >> 8] += 1
                    count += 1
                if 0 <= leaving < width:
                    fine[levels[row, leaving]] -= 1
                    coarse[levels[row, leaving] >> 8] -= 1
                    count -= 1
            if x < 0:
                continue
            below, group = 0, 0
            while below + coarse[group] <= count // 2:
                below += coarse[group]
                group += 1
            value = group << 8
            while below + fine[value] <= count // 2:
                below += fine[value]
                value += 1
            medians[y, x] = value
    return medians


def background_field(sums: Sums, counts: Sums) -> Field | None:
    """Make a channel's field from the background of its sites.

    A polynomial of degree 8 in y and x, fitted to the means by least squares, each weighted with its number of sites:
    it needs no rule for the border and averages over the whole plane, so a few dozen sites are enough.

    Parameters
    ----------
    sums
        What ``weigh_background`` gives for all sites, added, shape ``(y, x)``, uint64.
    counts
        How many sites gave more than 0, shape ``(y, x)``, uint64.

    Returns
    -------
    Shape ``(y, x)``, float32, over its 2 % quantile, at least 0.5. None where one of 8 x 8 blocks of the plane has no
    background at any site: a polynomial says anything where it is not held.
    """
    blocks = [np.arange(0, side, max(side / _BLOCKS, 1)).astype(np.intp) for side in counts.shape]
    if not np.add.reduceat(np.add.reduceat(counts, blocks[0], axis=0), blocks[1], axis=1).all():
        return None
    return rescale_field(_fit_surface(sums.astype(np.float64), counts.astype(np.float64)))


def rescale_field(values: npt.NDArray[Any]) -> Field:
    """Make a field of brightness on any scale.

    Parameters
    ----------
    values
        Shape ``(y, x)``, some of them above 0.

    Returns
    -------
    Shape ``(y, x)``, float32: over the 2 % quantile of what is above 0 (CellProfiler's robust minimum), at least 0.5.

    Raises
    ------
    ValueError
        If nothing is above 0, or a value is not finite.
    """
    if not (np.isfinite(values).all() and (values > 0).any()):
        raise ValueError("values must be finite, and some of them above 0")
    return np.clip(values / _robust_minimum(values), 0.5, None).astype(np.float32)


def shrink_field(values: npt.NDArray[Any], factor: int) -> Floats:
    """Average a field over the tiles of a plane's thumbnail.

    Parameters
    ----------
    values
        Shape ``(y, x)``.
    factor
        Side of a tile, pixels; tiles cut by the lower or right border average the pixels they have.

    Returns
    -------
    Shape ``(ceil(y / factor), ceil(x / factor))``, float64.
    """
    shrunk = np.asarray(values, np.float64)
    for axis in (0, 1):
        starts = np.arange(0, shrunk.shape[axis], factor)
        lengths = np.diff(starts, append=shrunk.shape[axis])
        shrunk = np.add.reduceat(shrunk, starts, axis=axis) / np.expand_dims(lengths, 1 - axis)
    return shrunk


def _fit_surface(sums: Floats, counts: Floats) -> Floats:
    """Least squares of Legendre polynomials through ``sums / counts``, weighted with the counts."""
    down, right = (legendre.legvander(_from_minus_one(length), DEGREE) for length in sums.shape)
    terms = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    right_side = down.T @ sums @ right
    squares = np.einsum("yi,yk->yik", down, down).reshape(len(down), -1)
    squares = squares.T @ counts @ np.einsum("xj,xl->xjl", right, right).reshape(len(right), -1)
    products = squares.reshape((DEGREE + 1,) * 4)
    matrix = np.array([[products[i, k, j, m] for k, m in terms] for i, j in terms])
    solved, *_ = np.linalg.lstsq(matrix, np.array([right_side[term] for term in terms]), rcond=None)
    weights = np.zeros((DEGREE + 1, DEGREE + 1))
    for term, weight in zip(terms, solved, strict=True):
        weights[term] = weight
    return down @ weights @ right.T


def _from_minus_one(length: int) -> Floats:
    """Middles of pixels, from -1 to 1 at the borders of the plane."""
    return (2 * np.arange(length) + 1) / length - 1


def _robust_minimum(values: npt.NDArray[Any]) -> float:
    """CellProfiler's robust minimum: the 2 % quantile of what is above 0."""
    ranked = np.sort(values[values > 0])
    return float(ranked[int(ranked.size * _DARKEST_SHARE)])


def compare_fields(field: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """Give the greatest relative difference of two fields, whatever their scales.

    Parameters
    ----------
    field, other
        Shape ``(y, x)``, above 0.

    Returns
    -------
    The greatest ``|field / other - 1|``, both over their medians; 0 for the same form.
    """
    ratio = (field / np.median(field)) / (other / np.median(other))
    return float(np.abs(ratio - 1).max())
