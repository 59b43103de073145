"""The radial power spectrum of a plane, as far as CellProfiler's PowerLogLogSlope needs it.

Formula: centrosome's radial power spectrum (CellProfiler 4.2): rings floor(radius) + 1 from 2 to an eighth of the
shorter side. Its radius takes frequency u of n to min(u, n - 1 - u), kept here although the spectrum's symmetry is
n - u. The plane's scaling by its median absolute deviation moves the line, not its slope, and is left out.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.fft

from kernels.compiled import compiled
from kernels.planes import Floats, Pixels

ROWS_AT_ONCE = 64
"""Rows that are transformed at once: they stay in the processor's cache."""


class Rings(NamedTuple):
    """Which frequencies of the half spectrum belong to which ring, for one shape of planes.

    ``rows`` (r,) frequencies u that are needed; ``first``, ``mirror`` (r, v) ring of (u, v) and of its mirror image
    (-u, -v), both of the same power; 0 for none. Rings are numbered 2 to ``greatest``.
    """

    greatest: int
    rows: npt.NDArray[np.int64]
    first: npt.NDArray[np.int32]
    mirror: npt.NDArray[np.int32]


@lru_cache(maxsize=8)
def find_rings(height: int, width: int) -> Rings | None:
    """Rings of planes of this shape; None where fewer than two rings fit."""
    greatest = int(np.floor(min(height, width) / 8)) - 1
    if greatest < 3:
        return None
    u, v = np.arange(height), np.arange(min(greatest + 1, width // 2 + 1))
    first = _ring(np.minimum(u, height - 1 - u), np.minimum(v, width - 1 - v), greatest)
    mirror_u, mirror_v = -u % height, -v % width
    mirror = _ring(np.minimum(mirror_u, height - 1 - mirror_u), np.minimum(mirror_v, width - 1 - mirror_v), greatest)
    mirror[:, 0] = 0  # the first column holds both halves itself
    first[0, 0] = 0  # the mean
    rows = np.flatnonzero((first > 0).any(axis=1) | (mirror > 0).any(axis=1))
    return Rings(greatest, rows, first[rows], mirror[rows])


def _ring(u: npt.NDArray[np.int64], v: npt.NDArray[np.int64], greatest: int) -> npt.NDArray[np.int32]:
    ring = np.floor(np.sqrt(u[:, None] ** 2 + v[None, :] ** 2)).astype(np.int32) + 1
    ring[(ring > greatest) | (ring < 2)] = 0
    return ring


def ring_powers(plane: Pixels, mean: float) -> Floats:
    """Sum the power of each ring of one plane, shape ``(y, x)``: shape ``(greatest + 1,)``, empty without rings."""
    rings = find_rings(*plane.shape)
    if rings is None:
        return np.zeros(0)
    columns = rings.first.shape[1]
    rows = np.empty((plane.shape[0], columns), np.complex64)
    for start in range(0, plane.shape[0], ROWS_AT_ONCE):
        few = slice(start, start + ROWS_AT_ONCE)
        centred = plane[few] - np.float32(mean)
        rows[few] = np.asarray(scipy.fft.rfft(centred, axis=1, overwrite_x=True))[:, :columns]
    spectrum = np.asarray(scipy.fft.fft(rows, axis=0, overwrite_x=True))
    powers = np.zeros(rings.greatest + 1)
    _sum_rings(spectrum, rings.rows, rings.first, rings.mirror, powers)
    return powers


@compiled
def _sum_rings(spectrum, rows, first, mirror, powers):
    for i in range(first.shape[0]):
        line = spectrum[rows[i]]
        for v in range(first.shape[1]):
            power = np.float64(line[v].real) ** 2 + np.float64(line[v].imag) ** 2
            if first[i, v]:
                powers[first[i, v]] += power
            if mirror[i, v]:
                powers[mirror[i, v]] += power


def slope_of(powers: Floats) -> float:
    """Slope of log(power) over log(ring): 0 without two rings, as in CellProfiler; NaN where two have no power."""
    if powers.size < 4:
        return 0.0
    ring = np.flatnonzero(powers[2:] > 0) + 2
    if ring.size < 2:
        return float("nan")
    x, y = np.log(ring), np.log(powers[ring])
    x, y = x - x.mean(), y - y.mean()
    return float(x @ y / (x @ x))
