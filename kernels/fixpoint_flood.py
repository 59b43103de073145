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
    """``state``: closed (a seed, or no place to grow), open, or the number of the wave that reached it."""
    rows, columns = height.shape
    pitch = columns + 2
    state = np.full((rows + 2) * pitch, _CLOSED, np.int32)
    labels = np.zeros((rows + 2) * pitch, np.int32)
    cost = np.empty((rows + 2) * pitch, np.uint16)
    for y in range(rows):
        for x in range(columns):
            place = (y + 1) * pitch + x + 1
            cost[place] = _LEVELS - 1 - height[y, x]
            labels[place] = seeds[y, x]
            if seeds[y, x] == 0 and classes[y, x] > 0:
                state[place] = _OPEN
    around = np.array([-pitch - 1, -pitch, -pitch + 1, -1, 1, pitch - 1, pitch, pitch + 1])
    head = np.full(_LEVELS, -1, np.int32)
    behind = np.empty((rows + 2) * pitch, np.int32)
    for y in range(rows):
        for x in range(columns):
            place = (y + 1) * pitch + x + 1
            if seeds[y, x] > 0 and _has_open_neighbour(state, place, around):
                behind[place] = head[cost[place]]
                head[cost[place]] = place
    wave, following = np.empty(behind.size, np.int32), np.empty(behind.size, np.int32)
    number = 0
    for level in range(_LEVELS):
        count = 0
        place = head[level]
        while place >= 0:
            wave[count] = place
            count += 1
            place = behind[place]
        while count:
            number += 1
            found = 0
            for index in range(count):
                place = wave[index]
                label = labels[place]
                for offset in around:
                    other = place + offset
                    if state[other] == _OPEN:
                        state[other] = number
                        labels[other] = label
                        if cost[other] > level:
                            behind[other] = head[cost[other]]
                            head[cost[other]] = other
                        else:
                            following[found] = other
                            found += 1
                    elif state[other] == number and label < labels[other]:
                        labels[other] = label
            wave, following = following, wave
            count = found
    return _unpad(labels, rows, columns)


@compiled
def _has_open_neighbour(state, place, around):
    for offset in around:
        if state[place + offset] == _OPEN:
            return True
    return False


@compiled
def _unpad(padded, rows, columns):
    plain = np.empty((rows, columns), np.int32)
    for y in range(rows):
        for x in range(columns):
            plain[y, x] = padded[(y + 1) * (columns + 2) + x + 1]
    return plain
