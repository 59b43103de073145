"""Background, debris and emptiness of a plane, from the sums of its 8 x 8 tiles.

CellProfiler has none of these; the definitions are ours. A smooth surface (all terms of second degree and the even ones
of fourth, as lenses darken corners) is laid through the dark tenth of each of up to 8 x 8 blocks of the field: the
background. A tile stands out where its mean differs from that surface by more than noise can explain.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.planes import Floats

BLOCKS = 8
"""Blocks along each side that the surface is fitted to."""
LEAST_BLOCKS = 4
"""Below four blocks along a side the surface has no hold."""
LEAST_TILES = 2
"""Tiles along each side of a block, so that it has a dark tenth."""
DARK_SHARE = 0.1
NOISE_LIMIT, SURFACE_LIMIT = 6.0, 0.02
"""A tile stands out beyond 6 standard deviations of its mean plus 2 % of the background."""
CONTRAST = 0.25
"""An object stands at least 25 % above the background, a bubble 25 % below it."""
OUTLIER = 3.0
"""Blocks beyond 3 robust standard deviations do not shape the surface, and no bubble is nearer to it."""
DEBRIS_PEAKS = 4.0
"""Debris is 4 times as far above the background as objects typically peak."""
LEAST_AREA_TILES = 4
"""Tiles of an object, of debris or of a bubble: 256 square pixels. A plane without any is empty."""
QUANTISATION = 1 / 12
"""Variance in counts that rounding to whole counts adds."""


class Background(NamedTuple):
    """What `judge_background` finds; NaN where the plane is too small for it.

    ``level`` mean of the surface in counts; ``gradient_percent`` its highest less its lowest block, over that mean
    (NaN below one count);
    ``debris_percent`` share of tiles of debris and bubbles; ``is_empty`` 1 or 0.
    """

    level: float
    gradient_percent: float
    debris_percent: float
    is_empty: float


def judge_background(
    sums: npt.NDArray[np.int64], squares: npt.NDArray[np.int64], *, pixels_per_tile: int, is_flat: bool
) -> Background:
    """Judge one plane by its tiles.

    Parameters
    ----------
    sums, squares
        Sum and sum of squares of the counts of each whole tile, shape ``(tile row, tile column)``.
    pixels_per_tile
        Pixels of a tile.
    is_flat
        Whether all pixels of the plane are equal: it is empty then, however small it is.
    """
    unknown = float("nan")
    blocks = [min(BLOCKS, side // LEAST_TILES) for side in sums.shape]
    if min(blocks) < LEAST_BLOCKS:
        return Background(unknown, unknown, unknown, 1.0 if is_flat else unknown)
    means = sums / pixels_per_tile
    weights, spread = _fit_surface(_dark_tenths(means, *blocks))
    slopes = (_terms(*means.shape) @ weights).reshape(means.shape)
    weights, spread = _fit_surface(_dark_tenths(means - slopes, *blocks), weights)
    of_blocks = _terms(*blocks) @ weights
    surface = (_terms(*means.shape) @ weights).reshape(means.shape)
    level = max(float(of_blocks.mean()), 0.0)
    gradient = 100 * float(of_blocks.max() - of_blocks.min()) / level if level >= 1 else unknown
    if is_flat:
        return Background(level, gradient, 0.0, 1.0)
    variance = np.maximum(squares / pixels_per_tile - means * means, 0) + QUANTISATION
    noise = np.sqrt(float(np.median(variance)) / pixels_per_tile)
    difference = means - surface
    reach = NOISE_LIMIT * noise + SURFACE_LIMIT * np.maximum(surface, 0)
    contrast = np.maximum(CONTRAST * surface, reach)
    is_empty = not _find_areas(np.abs(difference) > reach)[1][1:].any()
    debris = difference > DEBRIS_PEAKS * _typical_peak(difference, difference > contrast)
    debris |= difference < -np.maximum(contrast, OUTLIER * spread)
    _, sizes = _find_areas(debris)
    share = 100 * float(sizes[1:].sum()) / means.size
    return Background(level, gradient, share, float(is_empty))


@compiled
def _dark_tenths(means, down, across):
    """Tenth percentile (the lower of two neighbours) of the tile means of each block, shape ``(down, across)``."""
    height, width = means.shape
    found = np.empty((down, across), np.float64)
    for i in range(down):
        top, bottom = i * height // down, (i + 1) * height // down
        for j in range(across):
            left, right = j * width // across, (j + 1) * width // across
            block = means[top:bottom, left:right].copy().ravel()
            rank = np.int64(DARK_SHARE * (block.size - 1))
            found[i, j] = np.partition(block, rank)[rank]
    return found


def _fit_surface(dark: Floats, known: Floats | None = None) -> tuple[Floats, float]:
    """Weights of the surface's terms through the blocks, those far off left out once, and how far blocks are off it.

    ``dark`` may be distances to a surface that is ``known``, so that a block's own slope does not count as darkness.
    """
    terms = _terms(*dark.shape)
    values = dark.ravel() if known is None else dark.ravel() + terms @ known
    weights = _solver(*dark.shape) @ values
    off = np.abs(values - terms @ weights)
    spread = 1.4826 * float(np.median(off))
    kept = off <= OUTLIER * spread
    if not kept.all() and kept.sum() >= 1.5 * terms.shape[1]:
        weights = np.asarray(np.linalg.lstsq(terms[kept], values[kept], rcond=None)[0], np.float64)
    return weights, spread


@lru_cache(maxsize=8)
def _terms(down: int, across: int) -> Floats:
    """The surface's terms at the middle of each of ``down`` x ``across`` places, both axes from -1 to 1."""
    y, x = np.meshgrid((2 * np.arange(down) + 1) / down - 1, (2 * np.arange(across) + 1) / across - 1, indexing="ij")
    return np.stack([np.ones_like(y), y, x, y * x, y**2, x**2, y**2 * x**2, y**4, x**4], axis=-1).reshape(-1, 9)


@lru_cache(maxsize=8)
def _solver(down: int, across: int) -> Floats:
    """What the values of all blocks are multiplied with to get the weights of the terms (least squares)."""
    return np.asarray(np.linalg.pinv(_terms(down, across)), np.float64)


def _typical_peak(difference: Floats, objects: npt.NDArray[np.bool_]) -> float:
    """Median, over connected areas, of the brightest tile's distance to the background; infinite without any.

    Areas count by their diameter (the root of their size): specks do not outvote cells, nor one large area all cells.
    """
    areas, sizes = _find_areas(objects)
    peaks = np.zeros(sizes.size)
    np.maximum.at(peaks, areas[objects], difference[objects])
    order = np.argsort(peaks[1:], kind="stable") + 1
    weight = np.cumsum(np.sqrt(sizes[order]))
    if not sizes[1:].any():
        return float("inf")
    return float(peaks[order][np.searchsorted(weight, weight[-1] / 2)])


def _find_areas(tiles: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Connected areas, numbered from 1, and their sizes in tiles; 0 for those below ``LEAST_AREA_TILES``."""
    count, labels = cv2.connectedComponents(tiles.astype(np.uint8), connectivity=8)
    sizes = np.bincount(labels.ravel(), minlength=count)
    sizes[sizes < LEAST_AREA_TILES] = 0
    return np.asarray(labels, np.int32), sizes
