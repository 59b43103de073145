"""What the ``fixpoint`` segmentation decides on the host, on either device, from short tables of whole numbers.

Lists that come from pixels are uint64; sorted, they have one order, whatever order the pixels were visited in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kernels.thresholds import find_threshold

Ints = npt.NDArray[np.int32]
Words = npt.NDArray[np.uint64]

WHOLE_WEIGHT = 4096
"""Sum of the whole-number weights of a Gaussian."""
MOST_SMOOTHING_PX = 500.0
"""Standard deviation of the widest Gaussian."""
HEIGHT_STEPS = 64
"""Distances are heights in steps of 1/64 pixel, and end at 65535 of them: 1,023.98 pixels."""
SHARE_STEPS = 65_536
"""Shares of 0 to 1 (``neck``, ``edge_fraction``) are rounded to steps of 1/65536."""
LIMIT_STEPS = 16
"""Limits that change over a plane are rounded down to 1/16 of a count."""
MOST_WINDOWS = 10
LOCAL_BOUNDS = (0.7, 1.5)
"""A local threshold stays within these shares of the whole plane's, as in CellProfiler."""
INDEX_BITS = 24
MOST_PIXELS = MOST_LABEL = 1 << INDEX_BITS
"""Pixels of a plane, and greatest label of a seed: both are numbered in 24 bits of a flood's 64-bit state."""
MOST_REACH_PX = 16_384
"""How far cells without a stain reach at most: its square and a label share 64 bits."""
TOUCHES_BORDER = 1 << 31
"""Bit beside a region's size that says that it reaches the border of the plane."""

_INDEX = np.uint64(MOST_PIXELS - 1)
_LOW_WORD = np.uint64(2**32 - 1)


def gaussian_weights(sigma_px: float) -> npt.NDArray[np.uint32]:
    """Give a Gaussian in whole numbers: the weight of the middle, then those of each side; all together 4096.

    Sums of the true weights from the tail inwards are rounded, not the weights themselves, so that wide Gaussians keep
    their shape. It ends at 4 standard deviations, or where weights are 0.
    """
    if sigma_px == 0:
        return np.array([WHOLE_WEIGHT], np.uint32)
    distance = np.arange(math.ceil(4 * sigma_px) + 1)
    weights = np.exp(-0.5 * (distance / sigma_px) ** 2)
    weights *= WHOLE_WEIGHT / (2 * weights[1:].sum() + weights[0])
    from_tail = np.rint(np.cumsum(weights[:0:-1])).astype(np.int64)
    side = np.diff(from_tail, prepend=0)[::-1]
    whole = np.concatenate([[WHOLE_WEIGHT - 2 * side.sum()], side])
    return np.trim_zeros(whole, "b").astype(np.uint32)


def disk_offsets(radius: float) -> Ints:
    """Give rows (dy, dx) of a disk around a pixel, without it, nearest first: its 8 neighbours up to 200 pixels."""
    radius = min(max(radius, 1.5), 200.0)
    reach = int(radius)
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    squared = (dy**2 + dx**2).ravel()
    nearest = np.argsort(squared, kind="stable")
    nearest = nearest[(squared[nearest] > 0) & (squared[nearest] <= radius**2)]
    return np.ascontiguousarray(np.stack([dy.ravel()[nearest], dx.ravel()[nearest]], axis=1), np.int32)


@dataclass(frozen=True)
class Limit:
    """The greatest value of the background.

    Parameters
    ----------
    level
        Threshold of the whole plane.
    darkest
        Least value of the plane.
    correction
        Factor on a threshold's distance from the darkest value.
    bounds
        Least and greatest limit, as shares of 65535.
    """

    level: float
    darkest: int
    correction: float
    bounds: tuple[float, float] = (0.0, 1.0)

    @property
    def whole(self) -> int:
        """The limit of the whole plane, 0 to 65535."""
        return math.floor(self._corrected(self.level))

    def by_window(self, counts: npt.NDArray[np.uint32], threshold: str) -> Ints:
        """Give limits in 1/16 counts for a grid of windows.

        Windows without two classes of pixels have the threshold of the whole plane, and no threshold is further from
        it than ``LOCAL_BOUNDS``.

        Parameters
        ----------
        counts
            Histograms, shape ``(down, across, 65536)``.
        threshold
            Method of ``kernels.thresholds.find_threshold``.
        """
        limits = np.empty(counts.shape[:2], np.int32)
        for window in np.ndindex(limits.shape):
            found = find_threshold(counts[window].astype(np.int64), threshold)
            least, most = (share * self.level for share in LOCAL_BOUNDS)
            level = self.level if found is None else min(max(found, least), most)
            limits[window] = math.floor(LIMIT_STEPS * self._corrected(level))
        return limits

    def _corrected(self, level: float) -> float:
        low, high = (65_535.0 * bound for bound in self.bounds)
        return min(max(self.darkest + (level - self.darkest) * self.correction, low), high)


def find_limit(
    counts: npt.NDArray[np.int64],
    threshold: str,
    correction: float,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> Limit | None:
    """Find the limit between background and foreground; ``None`` without two classes of pixels.

    Parameters
    ----------
    counts
        Histogram of a plane, shape ``(65536,)``.
    threshold
        Method of ``kernels.thresholds.find_threshold``.
    correction
        Factor on the threshold's distance from the darkest pixel.
    bounds
        Least and greatest limit, as shares of 65535.
    """
    level = find_threshold(counts, threshold)
    if level is None:
        return None
    return Limit(float(level), int(np.flatnonzero(counts)[0]), correction, bounds)


def window_grid(shape: tuple[int, ...], window_px: float) -> tuple[int, int]:
    """Give the number of windows down and across: sides near ``window_px``, 2 to 10 along a side, each with a pixel.

    Raises
    ------
    ValueError
        If ``window_px`` is not above 0.
    """
    if not window_px > 0:
        raise ValueError(f"adaptive_window_px must be above 0, got {window_px}")
    down, across = (min(max(math.ceil(min(side / window_px, MOST_WINDOWS)), 2), side) for side in shape)
    return down, across


def twice_background(counts: npt.NDArray[np.int64], limit: int) -> int:
    """Give twice the median of all pixels up to ``limit``, a whole number; of the darkest ones if none is so dark."""
    below = np.cumsum(counts[: max(limit, int(np.flatnonzero(counts)[0])) + 1])
    ranks = ((below[-1] - 1) // 2, below[-1] // 2)
    return int(np.searchsorted(below, ranks, side="right").sum())


def fixed_share(share: float) -> int:
    """Give a share of 0 to 1 in steps of 1/65536."""
    return round(share * SHARE_STEPS)


def join_parts(seeds: Words, joins: Words, neck: int, twice_base: int) -> Ints:
    """Join parts of clumps that hardly have a saddle between them.

    The highest saddles are crossed first, each with the peaks that its two sides have by then: a low part between two
    high ones goes to the side of its higher saddle and does not join the two.

    Parameters
    ----------
    seeds
        ``index << 32 | height`` of each part's seed, sorted.
    joins
        ``(65535 - saddle) << 48 | lower seed index << 24 | upper seed index`` for pixels of two parts that touch, where
        the saddle reaches ``neck`` of the lower seed; sorted or not, also several times.
    neck
        Share in steps of 1/65536.
    twice_base
        Twice the height that counts as 0.

    Returns
    -------
    The number of the object of each seed, shape ``(len(seeds),)``, 1..n in the order of their first seeds.
    """
    place = (seeds >> np.uint64(32)).astype(np.int64)
    peak = (2 * (seeds & _LOW_WORD).astype(np.int64) - twice_base).tolist()
    joins = np.unique(joins)
    _, highest = np.unique(joins & np.uint64((1 << 48) - 1), return_index=True)
    joins = joins[np.sort(highest)]
    lower = np.searchsorted(place, (joins >> np.uint64(INDEX_BITS) & _INDEX).astype(np.int64)).tolist()
    upper = np.searchsorted(place, (joins & _INDEX).astype(np.int64)).tolist()
    saddles = (2 * (65_535 - (joins >> np.uint64(48)).astype(np.int64)) - twice_base).tolist()
    root = list(range(len(seeds)))
    for here, there, saddle in zip(lower, upper, saddles, strict=True):
        one, other = _find_root(root, here), _find_root(root, there)
        if one != other and saddle * SHARE_STEPS >= neck * min(peak[one], peak[other]):
            low, high = sorted((one, other))
            root[high] = low
            peak[low] = max(peak[low], peak[high])
    roots = np.array([_find_root(root, number) for number in range(len(seeds))], np.int64)
    return (np.cumsum(roots == np.arange(len(roots)))[roots]).astype(np.int32)


def _find_root(root: list[int], number: int) -> int:
    while root[number] != number:
        root[number] = root[root[number]]
        number = root[number]
    return number


def number_regions(regions: Words, least_area: float, greatest_area: float, *, drop_border: bool) -> Ints:
    """Number the regions that stay.

    Parameters
    ----------
    regions
        ``first pixel << 32 | size``, sorted; the size with ``TOUCHES_BORDER``.
    least_area, greatest_area
        Pixels of a region that stays.
    drop_border
        Whether regions at the border go.

    Returns
    -------
    The number of each region, shape ``(len(regions),)``: 0, or 1..n in raster order of first pixels.
    """
    size = (regions & np.uint64(TOUCHES_BORDER - 1)).astype(np.int64)
    stays = (size >= least_area) & (size <= greatest_area)
    if drop_border:
        stays &= (regions & np.uint64(TOUCHES_BORDER)) == 0
    return np.where(stays, np.cumsum(stays), 0).astype(np.int32)


def first_pixels(table: Words) -> Ints:
    """Give the pixel index of each row of a table of seeds or regions."""
    return (table >> np.uint64(32)).astype(np.int32)
