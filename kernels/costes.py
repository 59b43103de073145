"""Costes' automatic threshold of two channels over the whole image, as CellProfiler's bisection ("Faster") finds it.

A line is laid through the pixels of both channels; candidates run down along it. Below the threshold wanted, the
channels are correlated no more. All candidates are judged from one pass over the image: a pixel is above a stretch of
candidates, so sums of pixels by the ends of their stretches give the sums below any candidate.

Costes et al., Biophysical Journal 86:3993 (2004); CellProfiler 4.2 MeasureColocalization. Here variances and the
correlation's sign come from whole numbers; CellProfiler computes them in single precision.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.planes import Pixels
from kernels.set_pixels import LEVELS, SINGLE

Integers = npt.NDArray[np.int64]

STEP_FIELDS = 6
"""Number of pixels, sums of the first and of the second channel, of their squares, and of products."""


class Candidates(NamedTuple):
    """Which candidates a pixel is above, by its counts: from ``begin[second]`` on, to before the lesser of
    ``end_first[first]`` and ``end_second[second]``; each shape ``(65536,)``, int32.
    """

    end_first: npt.NDArray[np.int32]
    begin: npt.NDArray[np.int32]
    end_second: npt.NDArray[np.int32]


class Line(NamedTuple):
    """Counts on CellProfiler's scale: second = slope * first + offset."""

    slope: float
    offset: float


SumSteps = Callable[[int, int, Candidates, int], Integers]
"""Sums of the pixels of two channels (by index) whose stretch ends at each candidate, less those whose begins there."""


def find_thresholds(sums: Integers, pairs: Integers, n_pixels: int, scale: int, sum_steps: SumSteps) -> Integers:
    """Find the Costes thresholds of pairs of channels.

    Parameters
    ----------
    sums
        For each pair the number of pixels that are black in both channels, then the sums over the image in the order
        of ``STEP_FIELDS``; shape ``(p, STEP_FIELDS)``.
    pairs
        Indices of channels, the one whose counts are tried first; shape ``(p, 2)``.
    n_pixels
        Pixels of the image.
    scale
        Number of candidates: the greatest count of the image's type, as CellProfiler has it.
    sum_steps
        Gives the sums of pixels by candidate, shape ``(scale + 3, STEP_FIELDS)``.

    Returns
    -------
    The least counts of the first channel that reach its threshold and that are above it, and the same of the second;
    65536 where there is none. Shape ``(p, 4)``.
    """
    found = np.empty((len(pairs), 4), np.int64)
    for number, (first, second) in enumerate(pairs.tolist()):
        black, *totals = (int(value) for value in sums[number])
        line = _fit_line(totals, n_pixels - black)
        steps = sum_steps(first, second, _list_candidates(line, scale), scale + 3)
        above = np.cumsum(steps[::-1], axis=0)[::-1]
        chosen = _bisect(above, [n_pixels, *totals], scale)
        at_first = (chosen - 1) / scale
        with np.errstate(invalid="ignore"):
            at_second = np.float64(line.slope) * at_first + line.offset
        found[number] = [*_limits(at_first), *_limits(at_second)]
    return found


def _fit_line(totals: list[int], n: int) -> Line:
    """Fit the line of least orthogonal distance to the pixels that are not black in both channels."""
    first, second, first_squares, second_squares, products = totals
    if n < 2:
        return Line(np.nan, np.nan)
    unit = n * (n - 1) * (LEVELS - 1) ** 2
    var_first = np.float64((n * first_squares - first * first) / unit)
    var_second = np.float64((n * second_squares - second * second) / unit)
    covariance = np.float64((n * products - first * second) / unit)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = var_second - var_first
        slope = (difference + np.sqrt(difference * difference + 4 * covariance * covariance)) / (2 * covariance)
        return Line(slope, (second - slope * first) / n / (LEVELS - 1))


def _limits(threshold: float) -> tuple[int, int]:
    """Least counts that reach a threshold and that are above it, in single precision; none do if it is no number."""
    with np.errstate(over="ignore"):
        single = np.float32(threshold)
    return int(np.searchsorted(SINGLE, single, "left")), int(np.searchsorted(SINGLE, single, "right"))


def _list_candidates(line: Line, scale: int) -> Candidates:
    """Find the stretch of candidates that each count is above."""
    at_first = np.arange(scale + 2) / scale
    with np.errstate(invalid="ignore", over="ignore"):
        at_second = line.slope * at_first + line.offset
        reach_second = np.searchsorted(SINGLE, at_second.astype(np.float32))
    reach_first = np.searchsorted(SINGLE, at_first.astype(np.float32))
    reach_second[np.isnan(at_second)] = 0  # no count is below what is no number
    counts = np.arange(LEVELS)
    end_first = np.searchsorted(reach_first, counts, "right")
    begin, end_second = np.zeros(LEVELS, np.int64), np.full(LEVELS, scale + 2)
    if line.slope < 0:
        begin = scale + 2 - np.searchsorted(reach_second[::-1], counts, "right")
    else:
        end_second = np.searchsorted(reach_second, counts, "right")
    return Candidates(end_first.astype(np.int32), begin.astype(np.int32), end_second.astype(np.int32))


def _bisect(above: Integers, whole: list[int], scale: int) -> int:
    """Give the last candidate below which the channels were found correlated, by CellProfiler's steps."""
    left, right, last, chosen = 1.0, float(scale), 0.0, 1.0
    middle = (right - left) // (6 / 5) + left
    while last != middle:
        n, first, second, first_squares, second_squares, products = (
            total - int(part) for total, part in zip(whole, above[int(middle) + 1], strict=True)
        )
        is_flat = n * first_squares == first * first or n * second_squares == second * second
        if n <= 2 or (not is_flat and n * products < first * second):
            left = middle - 1
        elif not is_flat:
            right, chosen = middle + 1, middle
        last = middle
        middle = (right - left) // (6 / 5) + left if right - left > 6 else (right - left) // 2 + left
    return int(chosen)


def sum_plane_pairs(planes: Pixels, pairs: Integers) -> Integers:
    """Sum whole planes: black pixels, then sums as in ``STEP_FIELDS``; shape ``(p, STEP_FIELDS)``."""
    sums = np.zeros((len(pairs), STEP_FIELDS), np.int64)
    for number, (first, second) in enumerate(pairs.tolist()):
        _sum_pair(planes[first].ravel(), planes[second].ravel(), sums[number])
    return sums


def sum_steps_of(planes: Pixels) -> SumSteps:
    """Give the sums by candidate of planes, shape ``(c, y, x)``, on the host."""

    def sum_steps(first: int, second: int, candidates: Candidates, length: int) -> Integers:
        steps = np.zeros((length, STEP_FIELDS), np.int64)
        _sum_steps(planes[first].ravel(), planes[second].ravel(), *candidates, steps)
        return steps

    return sum_steps


@compiled
def _sum_pair(first, second, sums):
    black, total_first, total_second = np.int64(0), np.int64(0), np.int64(0)
    squares_first, squares_second, products = np.int64(0), np.int64(0), np.int64(0)
    for i in range(len(first)):
        one, other = np.int64(first[i]), np.int64(second[i])
        black += np.int64(one | other == 0)
        total_first += one
        total_second += other
        squares_first += one * one
        squares_second += other * other
        products += one * other
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5] = (
        black,
        total_first,
        total_second,
        squares_first,
        squares_second,
        products,
    )


@compiled
def _sum_steps(first, second, end_first, begin_second, end_second, steps):
    for i in range(len(first)):
        one, other = np.int64(first[i]), np.int64(second[i])
        end, begin = min(end_first[one], end_second[other]), begin_second[other]
        if begin >= end:
            continue
        _add_step(steps[end], one, other, 1)
        if begin > 0:
            _add_step(steps[begin], one, other, -1)


@compiled
def _add_step(step, one, other, sign):
    step[0] += sign
    step[1] += sign * one
    step[2] += sign * other
    step[3] += sign * one * one
    step[4] += sign * other * other
    step[5] += sign * one * other
