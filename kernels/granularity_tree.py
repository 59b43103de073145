"""Sixteen reconstructions of an image at once.

Step i of granularity erodes the image i times by a cross of five pixels and lets the result grow back under the image
(morphological reconstruction by dilation, 4-neighbours; L. Vincent, IEEE Trans. Image Process. 2(2), 1993). Here none
of them is carried out. Pixels are ordered by height, equal ones by index. Each belongs to the *basin* of the maximum
that steepest ascent leads to. Water of step i stands at one level in a basin, as far as pixels reach: the
reconstruction is ``min(height, level[basin, i])``. Levels spread from basin to basin only through *saddles*, pixels
whose higher neighbours are not connected around them. So all that is left to do is on a graph of basins and saddles,
for all steps together: the greatest eroded height of each basin is its level to begin with; each basin joins that
beyond its highest saddle, round by round (O. Boruvka's minimum spanning tree), handing its levels up as far as the
saddle lets them pass; then they are handed down again.

Only comparisons happen, on whole numbers. The CUDA version is ``kernels/cuda/granularity.cu``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.granularity_background import OUTSIDE, Grid, Ints

STEPS = 16
_HIGHEST = np.iinfo(np.int32).max
_EDGE_BITS = 32


class Reconstructions(NamedTuple):
    """Sixteen reconstructions: step i of pixel p is ``min(heights[p], levels[basins[p], i])``.

    ``heights`` int32, bits of float32, with a rim of ``OUTSIDE``; ``basins`` int32, of the shape of the image;
    ``levels`` (b, 16) int32, bits of float32. They are views of buffers: the next image overwrites them.
    """

    heights: Ints
    basins: Ints
    levels: Ints


def list_rings() -> npt.NDArray[np.uint8]:
    """Give, for each set of higher neighbours, how many parts it has and a neighbour of each part.

    Shape ``(256, 5)``, uint8. Bit k of the row's index says that neighbour k is higher: N, NE, E, SE, S, SW, W, NW. A
    part holds 4-neighbours that are connected through higher pixels of the ring.
    """
    table = np.zeros((256, 5), np.uint8)
    for ring in range(256):
        higher = [bool(ring >> k & 1) for k in range(8)]
        parts = [k for k in (0, 2, 4, 6) if higher[k] and not (higher[k - 1] and higher[k - 2])]
        if all(higher):
            parts = [0]
        table[ring, 0] = len(parts)
        table[ring, 1 : 1 + len(parts)] = parts
    return table


RINGS = list_rings()


class TreeWork:
    """Buffers for the images of one shape. Their unused ends are never touched and take no memory.

    No two maxima are neighbours, so that at most every second pixel is one. Passing over the pixels from the highest to
    the lowest, a maximum begins a part, and a saddle joins two or closes a ring around lower pixels, the last of which
    is a minimum: there are fewer saddles than maxima and minima, thus than pixels.
    """

    def __init__(self, grid: Grid) -> None:
        height, width = grid.shape
        pixels, most_basins = height * width, height * width // 2 + 1
        self.heights = np.full((height + 2, width + 2), OUTSIDE, np.int32)
        self.basins = np.empty((height, width), np.int32)
        self._rings = np.empty((height, width), np.uint8)
        self._above = np.empty(pixels, np.int32)
        self._places = np.empty(pixels + 8, np.int32)
        self._saddles = np.empty((3, pixels + 4), np.int32)
        self._levels = np.empty((most_basins, STEPS), np.int32)
        self._best = np.empty(most_basins, np.int64)
        self._joins = np.empty((4, most_basins), np.int32)
        self._eroded = np.full((STEPS + 1, 4, width + 2), _HIGHEST, np.int32)
        self._ends = np.empty((3, width + 2), np.int32)
        self._ends[0], self._ends[1] = _HIGHEST, OUTSIDE
        self._flags = np.zeros(-(-width // 8) * 8, np.uint8)

    def reconstruct(self) -> Reconstructions:
        """Give the reconstructions of the image that ``heights`` holds."""
        _look_around(self.heights, self._rings, self._above.reshape(self.basins.shape))
        count = _label_basins(self._above, self.basins.reshape(-1))
        levels = self._levels[:count]
        levels[:] = 0
        _mark(self.heights, self.basins, self._eroded, self._ends, self._flags, self._places, levels)
        found = _list_saddles(self.heights, self._rings, self.basins, RINGS, self._places, self._saddles)
        _merge(self._saddles[:, :found], levels, self._best, self._joins)
        return Reconstructions(self.heights, self.basins, levels)


@compiled
def _look_around(heights, rings, above):
    """Give each pixel's higher neighbours as bits, and the index of the highest of them, its own if there is none."""
    height, width = rings.shape
    for y in range(height):
        upper, row, lower = heights[y], heights[y + 1], heights[y + 2]
        ring_row, above_row = rings[y], above[y]
        for x in range(width):
            own = row[x + 1]
            north, east, south, west = upper[x + 1], row[x + 2], lower[x + 1], row[x]
            ring = np.int32(north > own) | np.int32(upper[x + 2] > own) << 1
            ring |= np.int32(east >= own) << 2 | np.int32(lower[x + 2] >= own) << 3
            ring |= np.int32(south >= own) << 4 | np.int32(lower[x] >= own) << 5
            ring |= np.int32(west > own) << 6 | np.int32(upper[x] > own) << 7
            ring_row[x] = np.uint8(ring)
        for x in range(width):
            own = row[x + 1]
            north, east, south, west = upper[x + 1], row[x + 2], lower[x + 1], row[x]
            highest = max(max(north, west), max(east, south))
            step = np.int32(-width)
            step = np.int32(-1) if west == highest else step
            step = np.int32(1) if east == highest else step
            step = np.int32(width) if south == highest else step
            is_top = (north <= own) & (west <= own) & (east < own) & (south < own)
            above_row[x] = np.int32(y * width + x) + (np.int32(0) if is_top else step)


@compiled
def _label_basins(above, basins):
    """Number the maxima in raster order, and give each pixel that of its own; ``above`` is shortened to maxima."""
    pixels = len(above)
    for p in range(pixels):  # a way to the left and up is shortened in this order, one to the right and down in that
        above[p] = above[above[p]]
    for p in range(pixels - 1, -1, -1):
        above[p] = above[above[p]]
    count = 0
    for p in range(pixels):
        basins[p] = count
        count += above[p] == p
    for p in range(pixels):
        top = above[p]
        while above[top] != top:
            top = above[top]
        above[p] = top
    for p in range(pixels):
        basins[p] = basins[above[p]]
    return count


@compiled
def _mark(heights, basins, eroded, ends, flags, places, levels):
    """Raise each basin's levels to the greatest eroded height in it, at the local maxima of each erosion.

    Others need not be looked at: from a pixel to one of its eight neighbours there is a way through the crosses of
    both, which are as high as their eroded heights. ``eroded[i]`` holds the last four rows of erosion i; row y of it
    follows row y + 1 of erosion i - 1.
    """
    height, width = basins.shape
    highest, lowest = ends[0], ends[1]
    words = flags.view(np.uint64)
    for time in range(height + STEPS + 1):
        if time < height:
            row, image_row = eroded[0, time & 3], heights[time + 1]
            for x in range(1, width + 1):
                row[x] = image_row[x]
        for step in range(min(STEPS + 1, time)):
            y = time - 1 - step
            if y >= height:
                continue
            upper, row, lower = eroded[step, (y - 1) & 3], eroded[step, y & 3], eroded[step, (y + 1) & 3]
            out = eroded[min(step + 1, STEPS), y & 3] if step < STEPS else ends[2]
            if 0 < y < height - 1:
                _erode_and_flag(upper, row, lower, width, out, flags)
            else:
                is_first, is_last = y == 0, y == height - 1
                _erode_and_flag(highest if is_first else upper, row, highest if is_last else lower, width, out, flags)
                upper, lower = lowest if is_first else upper, lowest if is_last else lower
                _erode_and_flag(upper, row, lower, width, ends[2], flags)
            if step > 0:
                flags[0] = _is_top(upper, row, lower, 0, width)
                flags[width - 1] = _is_top(upper, row, lower, width - 1, width)
                _raise_levels(row, basins[y], flags, words, places, step - 1, levels)


@compiled
def _erode_and_flag(upper, row, lower, width, out, flags):
    """Take the least of each pixel and its 4-neighbours; flag local maxima above 0, the last of equal neighbours."""
    for x in range(width):
        own, north, south, west, east = row[x + 1], upper[x + 1], lower[x + 1], row[x], row[x + 2]
        out[x + 1] = min(min(min(north, south), min(west, east)), own)
        before = max(max(north, west), max(upper[x], upper[x + 2]))
        behind = max(max(south, east), max(lower[x], lower[x + 2]))
        flags[x] = np.uint8((before <= own) & (behind < own) & (own > 0))


@compiled
def _is_top(upper, row, lower, x, width):
    """Whether a pixel of the first or last column is a local maximum; beside it ``row`` has the greatest number."""
    own = row[x + 1]
    if own <= 0 or (x > 0 and row[x] > own) or (x + 1 < width and row[x + 2] >= own):
        return False
    for column in range(max(x - 1, 0), min(x + 2, width)):
        if upper[column + 1] > own or lower[column + 1] >= own:
            return False
    return True


@compiled
def _raise_levels(row, basins, flags, words, places, step, levels):
    found = 0
    for word in range(len(words)):
        if words[word]:
            for x in range(8 * word, 8 * word + 8):
                places[found] = x
                found += flags[x]
    for k in range(found):
        x = places[k]
        basin = basins[x]
        levels[basin, step] = max(levels[basin, step], row[x + 1])


@compiled
def _list_saddles(heights, rings, basins, table, places, saddles):
    """List pairs of basins and the heights of the saddles between them; give their number."""
    width = rings.shape[1]
    flat, labels = rings.reshape(-1), basins.reshape(-1)
    steps = np.array([-width, 1 - width, 1, 1 + width, width, width - 1, -1, -1 - width])
    beside = np.zeros((256, 4), np.int64)
    for ring in range(256):
        for part in range(table[ring, 0]):
            beside[ring, part] = steps[table[ring, 1 + part]]
    is_saddle = table[:, 0] > 1
    candidates = 0
    for p in range(len(flat)):
        places[candidates] = p
        candidates += is_saddle[flat[p]]
    found = 0
    for candidate in range(candidates):
        p = places[candidate]
        ring = flat[p]
        own = heights[p // width + 1, p % width + 1]
        first = labels[p + beside[ring, 0]]
        for part in range(1, table[ring, 0]):
            other = labels[p + beside[ring, part]]
            saddles[0, found] = first
            saddles[1, found] = other
            saddles[2, found] = own
            found += first != other
    return found


@compiled
def _merge(saddles, levels, best, joins):
    """Raise the levels to those of the reconstructions.

    A basin's highest saddle is met on every way out of it, and saddles do not fall from a basin to that beyond, so it
    also is the least on the way to the last of them. That one keeps the name of all; ``joins``: the basins that still
    have a name, those that lost it, in that order, by whom, and the height of the saddle.
    """
    count = len(levels)
    alive, lost, root, saddle = joins[0], joins[1], joins[2], joins[3]
    for basin in range(count):
        alive[basin] = basin
    n_alive, n_lost, n_saddles = count, 0, saddles.shape[1]
    while n_saddles > 0:
        _choose_saddles(saddles, n_saddles, alive[:n_alive], best)
        _choose_roots(saddles, alive[:n_alive], best, root)
        kept = 0
        for k in range(n_alive):
            basin = alive[k]
            top = basin
            while root[top] != top:
                top = root[top]
            root[basin] = top
            if top == basin:
                alive[kept] = basin
                kept += 1
                continue
            saddle[basin] = best[basin] >> _EDGE_BITS
            lost[n_lost] = basin
            n_lost += 1
            _raise_by(levels[basin], saddle[basin], levels[top])
        n_alive = kept
        n_saddles = _rename_saddles(saddles, n_saddles, root)
    for k in range(n_lost - 1, -1, -1):
        basin = lost[k]
        _raise_by(levels[root[basin]], saddle[basin], levels[basin])


@compiled
def _raise_by(source, saddle, target):
    """Raise levels to those of another basin, as far as the saddle lets them pass."""
    for step in range(len(target)):
        target[step] = max(target[step], min(saddle, source[step]))


@compiled
def _choose_saddles(saddles, n_saddles, alive, best):
    """Choose each basin's highest saddle, the later of equals: ``height << 32 | saddle``."""
    for k in range(len(alive)):
        best[alive[k]] = -1
    for k in range(n_saddles):
        key = np.int64(saddles[2, k]) << _EDGE_BITS | k
        first, second = saddles[0, k], saddles[1, k]
        best[first] = max(best[first], key)
        best[second] = max(best[second], key)


@compiled
def _choose_roots(saddles, alive, best, root):
    """Point each basin beyond its saddle, it has one as images have one piece; of a pair the lower one stays."""
    for k in range(len(alive)):
        basin = alive[k]
        chosen = best[basin] & ((1 << _EDGE_BITS) - 1)
        other = saddles[0, chosen] + saddles[1, chosen] - basin
        root[basin] = basin if best[other] == best[basin] and basin < other else other


@compiled
def _rename_saddles(saddles, n_saddles, root):
    """Name the basins beside the saddles by their roots, and keep the saddles between two."""
    kept = 0
    for k in range(n_saddles):
        first, second = root[saddles[0, k]], root[saddles[1, k]]
        saddles[0, kept], saddles[1, kept], saddles[2, kept] = first, second, saddles[2, k]
        kept += first != second
    return kept
