"""How far is too far: a median, a robust standard deviation, and a limit that many tests and few wells widen.

The recipe's limit is a number of robust standard deviations. It is raised where the rule would give a clean experiment
an alarm with a probability above 1 %: with ``tests`` values that are judged and a robust standard deviation from ``n``
values, the limit is Student's t at 0.01 / (2 tests), with 0.37 n degrees of freedom: a median absolute deviation knows
the spread as well as a standard deviation of 0.37 times as many values (Rousseeuw and Croux 1993, J Am Stat Assoc
88:1273).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import genpareto
from scipy.stats import t as student

from imaging.statistics import MAD_TO_SD
from imaging.typical import MEAN_DEVIATION_TO_SD

ALPHA = 0.01
EFFICIENCY = 0.37
FEWEST = 8
"""Fewer values say nothing of what is usual."""
MEDIAN_TO_SD = 1.2533
"""Standard error of a median over that of a mean, of normal values: sqrt(pi / 2)."""


@dataclass(frozen=True)
class Usual:
    """Median and robust standard deviation of ``n`` values; NaN where there is none."""

    n: int
    median: float
    sd: float


def find_usual(values: np.ndarray) -> Usual:
    """What is usual of some values, shape ``(n,)``; NaN is left out. See ``imaging.typical`` for the deviation."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    if not len(known):
        return Usual(0, float("nan"), float("nan"))
    median = float(np.median(known))
    distances = np.abs(known - median)
    spread = MAD_TO_SD * float(np.median(distances)) or MEAN_DEVIATION_TO_SD * float(distances.mean())
    return Usual(len(known), median, spread)


MOST_OF_PLATES = 10.0
"""Greatest limit of whole plates: few say little of the spread, but each rule has a difference that matters too."""


def limit_for(limit: float, *, tests: int, n: int) -> float:
    """The limit in robust standard deviations.

    Parameters
    ----------
    limit
        The recipe's.
    tests
        Values that are judged in the whole experiment.
    n
        Values that the robust standard deviation is of.
    """
    freedom = max(EFFICIENCY * n, 1.0)
    return max(limit, float(student.isf(ALPHA / (2 * max(tests, 1)), freedom)))


_FEW_BEYOND = 10
_TAIL = 250


def chance_of(seen: float, drawn: np.ndarray) -> float:
    """The chance of a value as great, by values drawn where there is nothing, shape ``(draws,)``.

    The share of the draws; where fewer than ten reach it, the generalised Pareto distribution of the greatest 250 is
    continued (Knijnenburg et al. 2009, Bioinformatics 25:i161), so that many tests need no more draws than a few. A
    tail that would end somewhere is taken for an exponential one, which is careful.
    """
    beyond = int((drawn >= seen).sum())
    if beyond >= _FEW_BEYOND or len(drawn) <= 4 * _TAIL:
        return (1 + beyond) / (1 + len(drawn))
    start, *greatest = np.sort(drawn)[-_TAIL - 1 :]
    above = np.array(greatest) - start
    if not above.any():
        return (1 + beyond) / (1 + len(drawn))
    above = above[above > 0]
    shape, _, scale = genpareto.fit(above, floc=0)
    if shape < 0:
        shape, scale = 0.0, above.mean()
    return float(len(above) / len(drawn) * genpareto.sf(seen - start, shape, scale=scale))


def limit_of_plates(limit: float, *, tests: int, n: int) -> float:
    """The limit for whole plates among ``n`` others."""
    return min(limit_for(limit, tests=tests, n=n), max(limit, MOST_OF_PLATES))
