"""The two closest of many points, in a time that grows linearly with their number."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.planes import Floats

_PER_CELL = 2


class Grid(NamedTuple):
    """Points by the cells of a grid: those of cell c are ``order[start[c] : start[c + 1]]``."""

    side: float
    down: int
    across: int
    start: npt.NDArray[np.int64]
    order: npt.NDArray[np.int64]


def find_two_closest(points: Floats, others: Floats, own: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """Find the closest and the second closest of other points to each point.

    Parameters
    ----------
    points
        Row and column, shape ``(n, 2)``, 0 or more; NaN for none.
    others
        The same for the points to find, shape ``(m, 2)``.
    own
        Index among the others that each point does not find, or -1; shape ``(n,)``.

    Returns
    -------
    Indices of the two among ``others``, shape ``(n, 2)``; of equally far ones the lower index first; -1 if there is
    none.
    """
    found = np.full((len(points), 2), -1, np.int64)
    if np.isfinite(others).any():
        _search(points, others, np.asarray(own, np.int64), _make_grid(others), found)
    return found


def _make_grid(points: Floats) -> Grid:
    known = np.flatnonzero(np.isfinite(points[:, 0]))
    height, width = points[known].max(axis=0) + 1
    side = max(math.sqrt(height * width * _PER_CELL / len(known)), 1.0)
    down, across = int(height / side) + 1, int(width / side) + 1
    rows, columns = (points[known] / side).astype(np.int64).T
    cell = rows * across + columns
    order = np.argsort(cell, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(cell, minlength=down * across))])
    return Grid(side, down, across, start, known[order])


@compiled
def _search(points, others, own, grid, found):  # pyright: ignore[reportMissingParameterType]
    square = np.empty(2)
    for index in range(points.shape[0]):
        y, x = points[index, 0], points[index, 1]
        if not y >= 0:
            continue
        square[:] = np.inf
        row = min(int(y / grid.side), grid.down - 1)
        column = min(int(x / grid.side), grid.across - 1)
        for ring in range(max(grid.down, grid.across)):
            if ring >= 1 and square[1] < ((ring - 1) * grid.side) ** 2:
                break  # nothing that is left is as near
            for down in range(max(row - ring, 0), min(row + ring, grid.down - 1) + 1):
                is_edge = abs(down - row) == ring
                step = 1 if is_edge or ring == 0 else 2 * ring
                for across in range(column - ring, column + ring + 1, step):
                    if 0 <= across < grid.across:
                        cell = down * grid.across + across
                        for place in range(grid.start[cell], grid.start[cell + 1]):
                            other = grid.order[place]
                            if other != own[index]:
                                _keep(others, other, y, x, square, found[index])


@compiled
def _keep(others, other, y, x, square, found):  # pyright: ignore[reportMissingParameterType]
    """Keep a point if it is one of the two closest so far."""
    down, across = others[other, 0] - y, others[other, 1] - x
    far = down * down + across * across
    for rank in range(2):
        if far < square[rank] or (far == square[rank] and other < found[rank]):
            if rank == 0:
                square[1], found[1] = square[0], found[0]
            square[rank], found[rank] = far, other
            return
