"""The four-parameter logistic curve by least squares, with an interval for its midpoint.

y = bottom + (top - bottom) / (1 + 10^(slope (midpoint - x))), x the logarithm of the concentration. For a midpoint and
a slope, bottom and top follow by linear least squares (variable projection: Golub and Pereyra, SIAM J Numer Anal 1973),
so that only two parameters are sought: on a grid over both, then on ever finer ones around its best place. There is no
start to be lucky with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import f as f_distribution

PARAMETERS = 4
MIDPOINTS, SLOPES = 97, 31
"""Of the grid."""
FINER = 21
"""Places of each finer grid, which is a tenth of the one before."""
GOLDEN = (5**0.5 - 1) / 2
RISE = 2 * np.log10(9)
"""Slope times the width over which the curve goes from a tenth to nine tenths."""


@dataclass(frozen=True, eq=False)
class Doses:
    """The wells of a dose series, sorted.

    Parameters
    ----------
    x, y
        Logarithm of the concentration and value of each well, shape ``(wells,)``.
    """

    x: np.ndarray
    y: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, y: np.ndarray) -> Doses:
        """Sort wells by dose, then by value: the fit cannot depend on their order."""
        order = np.lexsort((y, x))
        return cls(x[order], y[order])

    @property
    def levels(self) -> np.ndarray:
        """The different doses, sorted."""
        return np.unique(self.x)

    @property
    def counts(self) -> np.ndarray:
        """Wells of each dose."""
        return np.unique(self.x, return_counts=True)[1]

    @property
    def means(self) -> np.ndarray:
        """Mean of each dose's wells."""
        return np.add.reduceat(self.y, np.unique(self.x, return_index=True)[1]) / self.counts

    @property
    def pure_error(self) -> float:
        """Sum of squares of the wells around their dose's mean."""
        return float(((self.y - np.repeat(self.means, self.counts)) ** 2).sum())


@dataclass(frozen=True)
class Sigmoid:
    """A fitted curve.

    Parameters
    ----------
    midpoint, low, high
        Where half of the change is done, and the interval of 95 %, in units of x; an end that the doses leave open is
        ``None``.
    slope
        Above 0; in decades of change per unit of x (the Hill slope where x is log10 of a concentration).
    bottom, top
        Level for x far below and far above the midpoint: ``top`` is below ``bottom`` where the curve falls.
    residual
        Sum of squares that remains.
    """

    midpoint: float
    low: float | None
    high: float | None
    slope: float
    bottom: float
    top: float
    residual: float


class _Search:
    """Residual sum of squares as a function of midpoint and log slope, over the doses' means."""

    def __init__(self, doses: Doses) -> None:
        self.x, self.weight, self.mean = doses.levels, doses.counts.astype(float), doses.means
        self.pure = doses.pure_error
        self.total = float(self.weight.sum())
        self.centred = self.mean - (self.weight @ self.mean) / self.total
        self.around = float(self.weight @ self.centred**2)
        span, step = float(np.ptp(self.x)), float(np.median(np.diff(self.x)))
        self.reach = (float(self.x[0]) - span, float(self.x[-1]) + span)
        # From a rise within a quarter of a step, which nothing can tell from a steeper one, to one over four ranges.
        self.slopes = (float(np.log(RISE / (4 * span))), float(np.log(RISE / (step / 4))))

    def shape(self, midpoint: np.ndarray, log_slope: np.ndarray) -> np.ndarray:
        """Share of the change that is done at each dose, shape ``(..., doses)``."""
        return expit(np.log(10) * np.exp(log_slope)[..., None] * (self.x - midpoint[..., None]))

    def residual(self, midpoint: np.ndarray, log_slope: np.ndarray) -> np.ndarray:
        """Sum of squares around the best curve of this midpoint and slope."""
        share = self.shape(midpoint, log_slope)
        share = share - (share @ self.weight / self.total)[..., None]
        across, along = share @ (self.weight * self.centred), (share**2) @ self.weight
        gain = np.where(along > 1e-14 * self.total, across**2 / np.maximum(along, 1e-300), 0.0)
        return self.pure + np.maximum(self.around - gain, 0.0)

    def profile(self, midpoints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least sum of squares of any slope, and the log of that slope, for each midpoint."""
        slopes = np.linspace(*self.slopes, SLOPES)
        found = self.residual(midpoints[:, None], np.broadcast_to(slopes, (len(midpoints), SLOPES)))
        best = found.argmin(axis=1)
        low, high = slopes[np.maximum(best - 1, 0)], slopes[np.minimum(best + 1, SLOPES - 1)]
        for _ in range(16):  # golden sections of all midpoints at once
            one, two = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
            is_lower = self.residual(midpoints, one) < self.residual(midpoints, two)
            low, high = np.where(is_lower, low, one), np.where(is_lower, two, high)
        local = self.residual(midpoints, (low + high) / 2)
        grid = found[np.arange(len(midpoints)), best]
        is_better = local < grid
        return np.where(is_better, local, grid), np.where(is_better, (low + high) / 2, slopes[best])


def fit_sigmoid(doses: Doses, *, level: float = 0.95) -> Sigmoid:
    """Fit the curve and find the interval of its midpoint by profile likelihood.

    Parameters
    ----------
    doses
        Three different doses or more, and more wells than the four parameters.
    level
        Of the interval: all midpoints whose best curve has a sum of squares of at most
        RSS (1 + F(level; 1, n - 4) / (n - 4)), with n wells (Bates and Watts, Nonlinear Regression Analysis, 1988,
        section 6.1). A Wald interval, from the curvature at the best fit, is too short for so few doses.

    Raises
    ------
    ValueError
        If there are too few doses or wells.
    """
    freedom = len(doses.x) - PARAMETERS
    if len(doses.levels) < 3 or freedom < 1:
        raise ValueError(
            f"a sigmoid needs 3 doses and {PARAMETERS + 1} wells, got {len(doses.levels)} and {len(doses.x)}"
        )
    search = _Search(doses)
    midpoint, log_slope, residual = _best(search)
    limit = residual * (1 + float(f_distribution.ppf(level, 1, freedom)) / freedom)
    share = search.shape(np.array(midpoint), np.array(log_slope))
    bottom, top = _levels(share, search)
    return Sigmoid(
        midpoint=midpoint,
        low=_end(search, midpoint, search.reach[0], limit),
        high=_end(search, midpoint, search.reach[1], limit),
        slope=float(np.exp(log_slope)),
        bottom=bottom,
        top=top,
        residual=residual,
    )


def _best(search: _Search) -> tuple[float, float, float]:
    """Midpoint, log slope and sum of squares of the best curve."""
    places = np.linspace(*search.reach, MIDPOINTS)
    for _ in range(7):
        found, slopes = search.profile(places)
        best = int(found.argmin())
        low, high = places[max(best - 1, 0)], places[min(best + 1, len(places) - 1)]
        result = float(places[best]), float(slopes[best]), float(found[best])
        places = np.linspace(low, high, FINER)
    return result


def _levels(share: np.ndarray, search: _Search) -> tuple[float, float]:
    """Bottom and top by weighted linear least squares."""
    root = np.sqrt(search.weight)
    design = np.column_stack([1 - share, share]) * root[:, None]
    bottom, top = np.linalg.lstsq(design, search.mean * root, rcond=None)[0]
    return float(bottom), float(top)


def _end(search: _Search, midpoint: float, bound: float, limit: float) -> float | None:
    """Where the profile first rises above the limit on the way from the best midpoint to a bound."""
    inside, outside = midpoint, bound
    for count in (MIDPOINTS, FINER, FINER, FINER, FINER):
        places = np.linspace(inside, outside, count)
        is_above = search.profile(places)[0] > limit
        is_above[0] = False
        if not is_above.any():
            return None
        first = int(is_above.argmax())
        inside, outside = float(places[first - 1]), float(places[first])
    return outside


def shapes_of(doses: Doses) -> np.ndarray:
    """Curves of different midpoints and slopes over the wells of a series, centred, of length 1: ``(curves, wells)``.

    What a series is compared with to tell whether it follows any of them (multiple contrasts: Bretz, Pinheiro and
    Branson, Biometrics 2005).
    """
    search = _Search(doses)
    midpoints = np.linspace(search.x[0], search.x[-1], 2 * len(search.x) - 1)
    slopes = np.linspace(*search.slopes, 5)[1:]
    grid = np.stack(np.meshgrid(midpoints, slopes, indexing="ij"), axis=-1).reshape(-1, 2)
    share = np.repeat(search.shape(grid[:, 0], grid[:, 1]), doses.counts, axis=1)
    share = share - share.mean(axis=1, keepdims=True)
    length = np.sqrt((share**2).sum(axis=1, keepdims=True))
    return (share / np.where(length > 0, length, 1.0))[length[:, 0] > 1e-9]
