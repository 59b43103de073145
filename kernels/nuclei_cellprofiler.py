"""Nuclei as CellProfiler finds them (IdentifyPrimaryObjects of version 4.2), pixel for pixel."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from kernels.clumps import find_maxima
from kernels.compiled import compiled
from kernels.distances import measure_distance
from kernels.flood import flood
from kernels.planes import Floats, Pixels, dtype_scale
from kernels.regions import connect, fill_holes, fill_small_holes, keep_labels
from kernels.thresholds import find_cross_entropy_threshold, find_local_thresholds, find_threshold

THRESHOLD_SMOOTHING_PX = 1.0 / 0.6744 / 2
"""Standard deviation for a *threshold smoothing scale* of 1, CellProfiler's default."""
_TIE_BREAK = 0.001
_FULL_SCALE = 65535

Numbers = npt.NDArray[np.int32]
Single = npt.NDArray[np.float32]


class Found(NamedTuple):
    """Nuclei, and all parts before any was dropped by its size; shape ``(y, x)``, int32."""

    nuclei: Numbers
    parts: Numbers


def find_nuclei(
    plane: Pixels,
    *,
    diameter_px: tuple[float, float],
    threshold: str,
    threshold_correction: float,
    threshold_bounds: tuple[float, float],
    adaptive_window_px: float | None,
    smoothing_px: float | None,
    background_block_px: float,
    background_smoothing_px: float,
    declump: str,
    divide: str,
    suppress_px: float | None,
) -> Found:
    """Find the nuclei of one plane in CellProfiler's way; parameters as in ``kernels.segmentation.segment_nuclei``.

    The plane, 1 at full scale, less its background; a threshold, found without smoothing and applied with it; holes of
    the foreground filled; seeds at the maxima of the distance to the background, with a little noise against ties, or
    of the smoothed brightness; a watershed over the inverted brightness or distance; objects outside the range of
    areas dropped; holes filled.
    """
    least, greatest = diameter_px
    bright = plane.astype(np.float32) / np.float32(dtype_scale(plane))
    if background_block_px:
        bright = np.maximum(bright - measure_background(bright, background_block_px, background_smoothing_px), 0)
    levels = _find_levels(bright, plane, threshold, adaptive_window_px)
    nothing = np.zeros(plane.shape, np.int32)
    if levels is None:
        return Found(nothing, nothing)
    low, high = (np.float32(bound) for bound in threshold_bounds)
    levels = np.clip(levels * np.float32(threshold_correction), low, high)
    sigma = THRESHOLD_SMOOTHING_PX if smoothing_px is None else smoothing_px
    foreground = (smooth_inside(bright, sigma) >= levels).view(np.uint8)
    fill_small_holes(foreground, greatest**2)
    clumps = connect(foreground)
    parts = clumps
    if declump != "none":
        suppress = max(1.0, (least / 1.5 if suppress_px is None else suppress_px) - 0.5)
        parts = _divide(bright, foreground, clumps, declump, divide, suppress, least)
    area = np.bincount(parts.ravel())
    keep = (area >= np.pi / 4 * least**2) & (area <= np.pi / 4 * greatest**2)
    return Found(fill_holes(keep_labels(parts, keep)), parts)


def measure_background(bright: Single, block_px: float, smoothing_px: float) -> Single:
    """CellProfiler's illumination function *background*: least values of blocks, smoothed by a Gaussian.

    Parameters
    ----------
    bright
        Shape ``(y, x)``, float32.
    block_px
        Side of a block, pixels.
    smoothing_px
        Full width of the Gaussian at half its height, pixels; it is cut off at the border and scaled up there.

    Returns
    -------
    The background, shape ``(y, x)``, float32.
    """
    rows, down = _spread(bright.shape[0], block_px, smoothing_px / 2.35)
    columns, across = _spread(bright.shape[1], block_px, smoothing_px / 2.35)
    darkest = _block_minima(bright, rows, columns, down.shape[1], across.shape[1])
    return (down @ darkest.astype(np.float64) @ across.T).astype(np.float32)


def smooth_inside(bright: Single, sigma: float) -> Single:
    """Smooth with a Gaussian, 4 standard deviations wide, of what lies inside the plane; shape ``(y, x)``, float32."""
    if sigma == 0:
        return bright
    weights = _gaussian(sigma)
    smooth = cv2.sepFilter2D(bright, cv2.CV_32F, weights, weights, borderType=cv2.BORDER_CONSTANT)
    reach = weights.size // 2
    for lines in (smooth, smooth.T):
        covered = np.convolve(np.ones(len(lines)), weights)[reach : reach + len(lines)].astype(np.float32)
        lines[:reach] /= covered[:reach, None]
        far = max(len(lines) - reach, reach)
        lines[far:] /= covered[far:, None]
    return np.asarray(smooth, np.float32)


def _find_levels(bright: Single, plane: Pixels, method: str, window_px: float | None) -> np.float32 | Single | None:
    """Threshold of the plane, or of each pixel; None where the plane has no two classes."""
    if method == "minimum-cross-entropy":
        half_a_count = 0.5 / (_FULL_SCALE + 1) if plane.dtype == np.uint16 else 0.5 / dtype_scale(plane)
        level = find_cross_entropy_threshold(bright, tolerance=half_a_count)
    else:
        found = find_threshold(np.bincount(_counts(bright).ravel()), method, minimum_contrast=0)
        level = None if found is None else found / _FULL_SCALE
    if level is None:
        return None
    if window_px is None:
        return np.float32(level)
    local = find_local_thresholds(_counts(bright), level * _FULL_SCALE, method, window_px=window_px)
    return local / np.float32(_FULL_SCALE)


def _divide(
    bright: Single,
    foreground: npt.NDArray[np.uint8],
    clumps: Numbers,
    declump: str,
    divide: str,
    suppress: float,
    least: float,
) -> Numbers:
    needs_distance = "shape" in (declump, divide)
    distance = measure_distance(foreground) + _noise(*clumps.shape) if needs_distance else None
    if declump == "shape" and distance is not None:
        maxima = find_maxima(distance, clumps, suppress)
    else:
        maxima = find_maxima(smooth_inside(bright, least / 3.5), clumps, suppress)
    height = np.float32(1) - bright
    if divide == "shape" and distance is not None:
        height = (distance.max() - distance).astype(np.float32)
    return flood(height, connect(maxima), foreground)


def _counts(bright: Single) -> npt.NDArray[np.uint16]:
    return np.rint(bright * np.float32(_FULL_SCALE)).astype(np.uint16)


def _gaussian(sigma: float) -> Floats:
    reach = int(4 * sigma + 0.5)
    offset = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * offset * offset / sigma**2)
    return weights / weights.sum()


@lru_cache(maxsize=4)
def _noise(height: int, width: int) -> Floats:
    return np.random.RandomState(0).uniform(0, _TIE_BREAK, (height, width))


@lru_cache(maxsize=8)
def _spread(side: int, block_px: float, sigma: float) -> tuple[npt.NDArray[np.int64], Floats]:
    """Block of each line, and what each block adds to the smoothed background of each line."""
    blocks = max(int(side / block_px), 1)
    block = (np.arange(side) * (blocks / side)).astype(np.int64)
    shares = np.zeros((side, blocks))
    weights = _gaussian(sigma) if sigma > 0 else np.ones(1)
    reach = weights.size // 2
    for line in range(side):
        first, last = max(0, line - reach), min(side - 1, line + reach)
        np.add.at(shares[line], block[first : last + 1], weights[first - line + reach : last - line + reach + 1])
    return block, shares / shares.sum(1, keepdims=True)


@compiled
def _block_minima(bright, rows, columns, down, across):  # pyright: ignore[reportMissingParameterType]
    darkest = np.full((down, across), np.inf, np.float32)
    for y in range(bright.shape[0]):
        line = darkest[rows[y]]
        for x in range(bright.shape[1]):
            if bright[y, x] < line[columns[x]]:
                line[columns[x]] = bright[y, x]
    return darkest
