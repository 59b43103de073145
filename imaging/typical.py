"""What is typical: median and robust standard deviation of a metric over a plate's wells, or over earlier plates.

    robust standard deviation    1.4826 x the median absolute deviation from the median (Hampel 1974, JASA 69:383);
                                 where that is 0, as more than half of the values are the same, 1.2533 x the mean
                                 absolute deviation from the median
    robust z                     (value - median) / robust standard deviation

Both factors make it the standard deviation of a normal distribution. Where all values are the same there is no robust
standard deviation, hence no z.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from imaging.statistics import MAD_TO_SD

MEAN_DEVIATION_TO_SD = math.sqrt(math.pi / 2)
"""Mean absolute deviation -> standard deviation of a normal distribution: 1.2533."""

FEWEST_WELLS = 8
"""With fewer wells that have a value, nothing is judged against the plate."""

FEWEST_PLATES = 5
"""With fewer earlier plates that have a value, nothing is judged against the history."""

MOST_PLATES = 20
"""Plates of the history: the newest ones."""

Measured = tuple[str | None, str]
"""What was measured: channel (``None`` for counts) and metric."""


@dataclass(frozen=True, slots=True)
class Typical:
    """Median and robust standard deviation of ``n`` values, in the metric's unit; ``None`` where undefined."""

    n: int
    median: float | None
    robust_sd: float | None

    def z_of(self, value: float | None) -> float | None:
        """Robust z of a value; ``None`` where it, or what is typical, is not defined."""
        if value is None or self.median is None or self.robust_sd is None:
            return None
        return (value - self.median) / self.robust_sd


@dataclass(frozen=True, slots=True)
class History:
    """What earlier plates of the experiment gave: name and run of each plate, and their typical medians.

    ``later`` holds the medians of time points after the first.
    """

    plates: tuple[tuple[str, str], ...] = ()
    medians: Mapping[Measured, Typical] = field(default_factory=dict)
    later: Mapping[int, Mapping[Measured, Typical]] = field(default_factory=dict)

    def at(self, time_point: int) -> History:
        """The history of one time point."""
        return self if time_point == 1 else History(self.plates, self.later.get(time_point, {}))


def find_typical(values: Iterable[float]) -> Typical:
    """Median and robust standard deviation of some values; see the module."""
    known = sorted(values)
    if not known:
        return Typical(0, None, None)
    median = statistics.median(known)
    distances = [abs(value - median) for value in known]
    spread = MAD_TO_SD * statistics.median(distances) or MEAN_DEVIATION_TO_SD * statistics.fmean(distances)
    return Typical(len(known), median, spread or None)


def find_history(plates: Iterable[tuple[str, str, Mapping[Measured, float]]]) -> History:
    """Make a history of earlier plates: name, run, and the plate's median of what it measured."""
    given = list(plates)
    measured = dict.fromkeys(key for *_, medians in given for key in medians)
    typical = {key: find_typical(medians[key] for *_, medians in given if key in medians) for key in measured}
    return History(tuple((plate, run) for plate, run, _ in given), typical)
