"""How a channel looks beside another: bright objects of small planes, and whose signal reaches beyond whose objects.

A nucleus lies inside its cell, so around the objects of the nuclei's channel every other stain of the cell goes on, and
around objects of the cell there are no nuclei. That holds whatever the stains, their brightness and the magnification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

SMALLEST_PX = 8
"""Objects of fewer pixels are noise."""
_SMOOTHING_PX = 0.7
_PERCENTILES = (1.0, 99.8)


@dataclass(frozen=True)
class BrightObjects:
    """Bright connected areas of a plane, holes filled.

    Parameters
    ----------
    mask
        Their pixels, shape ``(y, x)``, bool.
    signal
        The smoothed plane above the median of what is outside, shape ``(y, x)``, float32, counts, 0 or more.
    areas
        Size of each object in pixels, shape ``(n,)``.
    compactness
        Area of the largest circle inside an object over the object's own, averaged by area: 1 for discs, 0 without
        objects.
    """

    mask: np.ndarray
    signal: np.ndarray
    areas: np.ndarray
    compactness: float

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.areas)

    @property
    def inside(self) -> float:
        """Mean signal inside the objects, counts; 0 without objects."""
        return float(self.signal[self.mask].mean()) if self.count else 0.0


def find_bright_objects(plane: Any) -> BrightObjects:
    """Find bright objects by Otsu's threshold.

    Parameters
    ----------
    plane
        Intensities, shape ``(y, x)``, unsigned integers, counts; a thumbnail, where a nucleus has some 5 to 20 pixels
        across.

    Raises
    ------
    ValueError
        If ``plane`` is not two-dimensional.
    """
    if plane.ndim != 2:
        raise ValueError(f"plane must have shape (y, x), got {plane.shape}")
    smooth = cv2.GaussianBlur(plane.astype(np.float32), (0, 0), _SMOOTHING_PX)
    low, high = np.percentile(smooth, _PERCENTILES)
    if high <= low:
        return BrightObjects(np.zeros(plane.shape, bool), np.zeros(plane.shape, np.float32), np.zeros(0, int), 0.0)
    scaled = ((np.clip(smooth, low, high) - low) * (255 / (high - low))).astype(np.uint8)
    _, bright = cv2.threshold(scaled, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(bright), contours, -1, (1,), cv2.FILLED)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(filled, connectivity=4)
    kept = np.flatnonzero(stats[1:, cv2.CC_STAT_AREA] >= SMALLEST_PX) + 1
    mask = np.isin(labels, kept)
    ground = float(np.median(smooth[~mask])) if not mask.all() else low
    areas = stats[kept, cv2.CC_STAT_AREA].astype(int)
    return BrightObjects(mask, np.maximum(smooth - ground, 0), areas, _compactness(labels, mask, kept, areas))


def _compactness(labels: np.ndarray, mask: np.ndarray, kept: np.ndarray, areas: np.ndarray) -> float:
    if not len(kept):
        return 0.0
    padded = np.pad(mask.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    deepest = np.zeros(int(labels.max()) + 1, np.float32)
    np.maximum.at(deepest, labels[mask], depth[mask])
    discs = np.minimum(np.pi * deepest[kept] ** 2, areas)
    return float(discs.sum() / areas.sum())


def overhang(declared: BrightObjects, candidate: BrightObjects) -> float:
    """How far the declared channel's signal reaches beyond the candidate's objects, less the other way round.

    Each is the mean signal of one channel in a rim around the other's objects, over its mean inside its own. The rim is
    half as wide as a disc of the median object's area has radius, and begins one pixel outside.

    Returns
    -------
    Above 0 where the candidate's objects lie inside those of the declared channel, as nuclei do in cells; below 0 where
    it is the other way round; about 0 where both channels show the same objects, or one of them none.
    """
    return _around(declared, candidate) - _around(candidate, declared)


def _around(channel: BrightObjects, other: BrightObjects) -> float:
    """Mean signal of a channel around another's objects, over that inside its own."""
    if not other.count or channel.inside <= 0:
        return 0.0
    width = max(2, round(0.5 * float(np.sqrt(np.median(other.areas) / np.pi))))
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    grown = cv2.dilate(other.mask.astype(np.uint8), cross)
    rim = cv2.dilate(grown, cross, iterations=width).astype(bool) & ~grown.astype(bool)
    return float(channel.signal[rim].mean()) / channel.inside if rim.any() else 0.0


def difference_hash(plane: Any) -> int:
    """Fingerprint of a plane's coarse structure: 64 bits, alike for planes that look alike.

    The plane is averaged to 8 rows of 9 tiles; each bit says whether a tile is brighter than its right neighbour (the
    difference hash of image retrieval). A shift by a small part of a tile, other brightness and noise flip few bits;
    unlike planes differ in half of them.
    """
    tiles = cv2.resize(plane.astype(np.float32), (9, 8), interpolation=cv2.INTER_AREA)
    bits = (tiles[:, :-1] > tiles[:, 1:]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")
