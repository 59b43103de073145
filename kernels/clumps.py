"""Clumps of touching objects, and how they are divided."""

import cv2
import numpy as np
import numpy.typing as npt
from skimage.segmentation import watershed

Numbers = npt.NDArray[np.int32]

_ALL, _BUT_LAST, _BUT_FIRST = slice(None), slice(None, -1), slice(1, None)
# each pair of 8-neighbours once: right, below, below right, below left
_NEIGHBOURS = (
    ((_ALL, _BUT_LAST), (_ALL, _BUT_FIRST)),
    ((_BUT_LAST, _ALL), (_BUT_FIRST, _ALL)),
    ((_BUT_LAST, _BUT_LAST), (_BUT_FIRST, _BUT_FIRST)),
    ((_BUT_LAST, _BUT_FIRST), (_BUT_FIRST, _BUT_LAST)),
)


def split_clumps(height: npt.NDArray[np.float32], clumps: Numbers, *, radius: float, neck: float) -> Numbers:
    """Divide clumps of touching objects.

    Parameters
    ----------
    height
        What objects are high in and their borders low: distance to the background or brightness. Shape ``(y, x)``,
        float32.
    clumps
        Labels of the clumps, shape ``(y, x)``, int32, 0 outside; different clumps must not touch.
    radius
        A pixel is a seed where none in a disk of this radius is higher, pixels.
    neck
        Least share of the lower peak that the highest point of a border reaches for its two parts to become one.

    Returns
    -------
    Labels of the parts, shape ``(y, x)``, int32, not numbered in order.
    """
    peaks = (height == cv2.dilate(height, _disk(radius))) & (clumps > 0)
    seeds = connect(peaks)
    count = int(seeds.max()) + 1
    # only clumps with several seeds are flooded: most have one, and the flood is the slow step
    seed_clump = np.zeros(count, np.int32)
    seed_clump[seeds] = clumps
    seed_clump[0] = 0
    crowded = np.bincount(seed_clump, minlength=int(clumps.max()) + 1) > 1
    crowded[0] = False
    inside = crowded[clumps]
    parts = flood(-height, np.where(inside, seeds, 0).astype(np.int32), inside)
    parts = _join_parts(parts, height, count, neck)[parts]
    return np.where(inside, parts + clumps.max(), clumps).astype(np.int32)


def connect(mask: npt.NDArray[np.bool_ | np.uint8], connectivity: int = 8) -> Numbers:
    """Give numbers to the connected parts of ``mask``."""
    return np.asarray(cv2.connectedComponents(mask.astype(np.uint8), connectivity=connectivity)[1], np.int32)


def flood(height: npt.NDArray[np.generic], seeds: Numbers, mask: npt.NDArray[np.bool_]) -> Numbers:
    """Grow seeds over ``mask`` from low to high, 8-connected; pixels that no seed reaches stay 0."""
    if not seeds.any():
        return np.zeros(seeds.shape, np.int32)
    return watershed(height, seeds, mask=mask, connectivity=2).astype(np.int32, copy=False)


def _join_parts(parts: Numbers, height: npt.NDArray[np.float32], count: int, neck: float) -> npt.NDArray[np.int32]:
    """Join neighbours whose saddle is at least ``neck`` of the lower peak; give each part's new number.

    The saddle of two parts is the greatest height at which a pixel of one has an 8-neighbour of the other. Highest
    saddles are joined first, so that the order of labels does not matter.
    """
    pairs, saddles = [], []
    for first, second in _NEIGHBOURS:
        met = (parts[first] != parts[second]) & (parts[first] > 0) & (parts[second] > 0)
        pairs.append(np.stack([parts[first][met], parts[second][met]]))
        saddles.append(np.minimum(height[first][met], height[second][met]))
    pair, saddle = np.concatenate(pairs, axis=1), np.concatenate(saddles)
    order = np.argsort(-saddle, kind="stable")
    peak = np.zeros(count)
    np.maximum.at(peak, parts[parts > 0], height[parts > 0])
    root = np.arange(count, dtype=np.int32)
    for (here, there), level in zip(pair[:, order].T.tolist(), saddle[order].tolist(), strict=True):
        one, other = _find_root(root, here), _find_root(root, there)
        if one != other and level >= neck * min(peak[one], peak[other]):
            low, high = sorted((one, other))
            root[high] = low
            peak[low] = max(peak[low], peak[high])
    return np.array([_find_root(root, number) for number in range(count)], np.int32)


def _find_root(root: npt.NDArray[np.int32], number: int) -> int:
    while root[number] != number:
        number = int(root[number])
    return number


def _disk(radius: float) -> npt.NDArray[np.uint8]:
    reach = int(radius)
    offset = np.arange(-reach, reach + 1)
    return (offset[:, None] ** 2 + offset**2 <= radius**2).astype(np.uint8)
