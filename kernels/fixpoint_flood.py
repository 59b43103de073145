"""The flood that needs no order: each pixel's state is the one solution of an equation with its neighbours.

The state is (cost, steps, label). A seed has cost 65535 - its own height, 0 steps, its label. Any other pixel of cost
f = 65535 - its height looks at its 8 neighbours: from the least of their states, (c, s, l), it has (f, 0, l) where
f > c, else (c, s + 1, l). So its cost is the lowest pass between it and a seed, its steps are those since the path last
rose, and its label is that of the neighbour that a flood reaches first; of two reached at once, the smaller label.
A flood with a queue breaks these last ties by the order in which pixels were queued (Meyer 1991, as in scikit-image and
CellProfiler); here every order of visiting ends in the same labels, which suits a GPU
(``kernels/cuda/flood.cu``). The CPU visits pixels from low to high and each of them once.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled

_LEVELS = 65_536
_CLOSED, _OPEN = -1, 0


def flood_from_seeds(
    height: npt.NDArray[np.uint16], classes: npt.NDArray[np.int32], seeds: npt.NDArray[np.int32]
) -> npt.NDArray[np.int32]:
    """Grow seeds from high to low.

    Parameters
    ----------
    height
        Shape ``(y, x)``, uint16.
    classes
        Above 0 where seeds may grow, shape ``(y, x)``, int32.
    seeds
        Labels of seeds, shape ``(y, x)``, int32, 0 elsewhere.

    Returns
    -------
    Labels, shape ``(y, x)``, int32; 0 where no seed grows.
    """
    return _flood(height, classes, seeds)


@compiled
def _flood(height, classes, seeds):
    """Waves of one level and one number of steps each; pixels above the level wait in the queue of their cost.

    The state of a pixel is closed (a seed, or no place to grow), open, or the number of the wave that reached it, and
    is followed by its label; there is a closed pixel on each side of a row.
    """
    rows, columns = height.shape
    pitch = columns + 2
    nodes = np.empty(((rows + 2) * pitch, 2), np.int32)
    cost = np.empty((rows + 2) * pitch, np.uint16)
    first = np.zeros(_LEVELS + 1, np.int64)
    _prepare(height, classes, seeds, nodes, cost, first)
    queue = np.empty(first[_LEVELS], np.int32)
    behind = first[:-1].copy()
    around = np.array([-pitch - 1, -pitch, -pitch + 1, -1, 1, pitch - 1, pitch, pitch + 1])
    for y in range(rows):
        for x in range(columns):
            place = (y + 1) * pitch + x + 1
            if seeds[y, x] > 0 and _has_open_neighbour(nodes, place, around):
                queue[behind[cost[place]]] = place
                behind[cost[place]] += 1
    wave, following = np.empty(queue.size, np.int32), np.empty(queue.size, np.int32)
    number = 0
    for level in range(_LEVELS):
        count = behind[level] - first[level]
        wave[:count] = queue[first[level] : behind[level]]
        while count:
            number += 1
            found = 0
            for index in range(count):
                place = wave[index]
                label = nodes[place, 1]
                for offset in around:
                    other = place + offset
                    state = nodes[other, 0]
                    if state == _OPEN:
                        nodes[other, 0] = number
                        nodes[other, 1] = label
                        if cost[other] > level:
                            queue[behind[cost[other]]] = other
                            behind[cost[other]] += 1
                        else:
                            following[found] = other
                            found += 1
                    elif state == number and label < nodes[other, 1]:
                        nodes[other, 1] = label
            wave, following = following, wave
            count = found
    return _take_labels(nodes, rows, columns)


@compiled
def _prepare(height, classes, seeds, nodes, cost, first):
    """Open pixels that seeds may reach, and count the pixels of each cost: where each queue begins."""
    rows, columns = height.shape
    pitch = columns + 2
    nodes[:pitch], nodes[(rows + 1) * pitch :] = _CLOSED, _CLOSED
    for y in range(rows):
        row = (y + 1) * pitch
        nodes[row], nodes[row + columns + 1] = _CLOSED, _CLOSED
        for x in range(columns):
            place = row + x + 1
            seed = seeds[y, x]
            is_open = seed == 0 and classes[y, x] > 0
            nodes[place, 0] = _OPEN if is_open else _CLOSED
            nodes[place, 1] = max(seed, 0)
            cost[place] = _LEVELS - 1 - height[y, x]
            if is_open or seed > 0:
                first[np.int64(cost[place]) + 1] += 1
    for level in range(_LEVELS):
        first[level + 1] += first[level]


@compiled
def _has_open_neighbour(nodes, place, around):
    found = False
    for offset in around:
        found = found or nodes[place + offset, 0] == _OPEN
    return found


@compiled
def _take_labels(nodes, rows, columns):
    labels = np.empty((rows, columns), np.int32)
    for y in range(rows):
        for x in range(columns):
            labels[y, x] = nodes[(y + 1) * (columns + 2) + x + 1, 1]
    return labels
