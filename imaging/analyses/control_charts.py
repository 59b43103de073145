"""Control charts of control wells in the order in which they were imaged: does the microscope drift?

A point is the median of a plate's negative controls, or one control well where each has its own time. The centre is the
median of the points; their standard deviation comes from the moving range, the mean distance of neighbours over 1.128
(Shewhart; Montgomery, Introduction to Statistical Quality Control), so that slow drift does not widen the limits. Where
a single jump would widen them, the median distance over 0.954 is taken, the smaller of both.

The rules are those of Western Electric (Statistical Quality Control Handbook, 1956):

    1    a point beyond 3 standard deviations
    2    two of three successive points beyond 2 on the same side
    3    four of five beyond 1 on the same side
    4    eight successive points on the same side of the centre

All four together give a false alarm about every 92 points, so that charts of a dozen metrics are never quiet. A chart
is said to drift where the greatest sum of successive deviations from the mean (CUSUM) is also beyond what the same
points give in random order, at 1 % over all charts of an experiment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FEWEST_POINTS = 8
"""Shorter charts are drawn and not judged."""
ALPHA = 0.01
"""Rate of false alarms over all charts of an experiment."""

_ORDERS = 10_000
_RULES = (
    (1, 1, 3.0, "beyond 3 standard deviations"),
    (2, 3, 2.0, "two of three beyond 2 standard deviations"),
    (4, 5, 1.0, "four of five beyond 1 standard deviation"),
    (8, 8, 0.0, "eight on the same side of the centre"),
)


@dataclass(frozen=True)
class Signal:
    """A point at which a rule of Western Electric is met: its position, the rule's number from 1, and in words."""

    point: int
    rule: int
    words: str


@dataclass(frozen=True)
class Chart:
    """A metric of control wells over time.

    ``values`` has shape ``(points,)`` in the metric's unit, in the order of acquisition; ``signals`` are by point and
    rule. ``p`` is the share of random orders whose CUSUM is as great; ``None`` where the chart is too short or flat.
    """

    metric: str
    names: tuple[str, ...]
    values: np.ndarray
    centre: float
    sd: float
    signals: tuple[Signal, ...]
    p: float | None


def chart_points(metric: str, names: Sequence[str], values: np.ndarray, *, seed: int = 0) -> Chart:
    """Make the control chart of one metric.

    Parameters
    ----------
    metric
        Its name.
    names
        What each point is called, in the order of acquisition.
    values
        Shape ``(points,)``; NaN where there is no value: such a point is left out.
    seed
        Seed of the random orders.
    """
    known = np.isfinite(values)
    kept = np.asarray(values, dtype=float)[known]
    called = tuple(name for name, is_known in zip(names, known, strict=True) if is_known)
    centre, sd = centre_and_spread(kept)
    is_judged = len(kept) >= FEWEST_POINTS and sd > 0
    signals = find_signals((kept - centre) / sd) if is_judged else ()
    return Chart(metric, called, kept, centre, sd, signals, _chance(kept, seed) if is_judged else None)


def find_signals(z: np.ndarray) -> tuple[Signal, ...]:
    """Find the points at which the rules of Western Electric are met.

    Parameters
    ----------
    z
        Deviations from the centre in standard deviations, shape ``(points,)``. A run is reported at its last point.
    """
    found: list[Signal] = []
    for number, (least, window, limit, words) in enumerate(_RULES, start=1):
        for side, said in ((1, "above"), (-1, "below")):
            beyond = side * z > limit
            for point in range(len(z)):
                recent = beyond[max(0, point - window + 1) : point + 1]
                if beyond[point] and recent.sum() >= least:
                    found.append(Signal(point, number, f"rule {number}, {words}, {said}"))
    return tuple(sorted(found, key=lambda signal: (signal.point, signal.rule)))


def drifting(charts: Sequence[Chart]) -> list[Chart]:
    """The charts that drift: their CUSUM is beyond chance at 1 % over all of them (Holm 1979) and a rule is met."""
    judged = sorted((chart for chart in charts if chart.p is not None), key=lambda chart: (chart.p or 0, chart.metric))
    found = []
    for place, chart in enumerate(judged):
        if (chart.p or 0) > ALPHA / (len(judged) - place):
            break
        found.append(chart)
    return [chart for chart in found if chart.signals]


def centre_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Median of points, shape ``(points,)``, and their short-term standard deviation; 0 with less than two points."""
    if len(values) < 2:
        return float(values[0]) if len(values) else float("nan"), 0.0
    return float(np.median(values)), _short_term_sd(values)


def _short_term_sd(values: np.ndarray) -> float:
    distances = np.abs(np.diff(values))
    mean, median = float(distances.mean()) / 1.128, float(np.median(distances)) / 0.954
    return min(mean, median) or mean


def _cusum(values: np.ndarray) -> np.ndarray:
    """Greatest absolute sum of successive deviations from the mean, along the last axis."""
    return np.abs((values - values.mean(axis=-1, keepdims=True)).cumsum(axis=-1)).max(axis=-1)


def _chance(values: np.ndarray, seed: int) -> float:
    """Share of random orders with a CUSUM as great, the given one among them; of ranks, as outliers weigh little."""
    ranks = values.argsort(kind="stable").argsort(kind="stable").astype(float)
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.bincount(place, weights=ranks) / counts)[place]
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.broadcast_to(ranks, (_ORDERS, len(ranks))), axis=1)
    return float((1 + (_cusum(orders) >= _cusum(ranks) - 1e-9).sum()) / (1 + _ORDERS))
