"""Medians, deviations and ranks of columns with gaps, fast for many columns: each is sorted once.

pandas and NumPy's ``nanmedian`` go column by column; these take blocks of columns, transposed, so that each column lies
together in memory while it is sorted. The numbers are the same to the last bit, whatever the order of the rows.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from imaging.analyses.groups import feature_blocks
from imaging.statistics import MAD_TO_SD

_ROUNDING = 64 * np.finfo(float).eps
_NOTHING = 1e-100  # so that what is divided by it, and its square, stay finite


def column_medians(values: np.ndarray) -> np.ndarray:
    """Median of each column without its NaN, shape ``(columns,)``; NaN where a column has no value."""
    medians = np.empty(values.shape[1])
    for block in feature_blocks(values.shape):
        medians[block] = _sorted_medians(np.sort(values[:, block].T, axis=1))
    return medians


def column_mads(values: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Median absolute deviation of each column from its centre, times 1.4826; shape ``(columns,)``."""
    return MAD_TO_SD * column_medians(np.abs(values - centers))


def _sorted_medians(ascending: np.ndarray) -> np.ndarray:
    """Medians of rows that are sorted, NaN last; shape ``(rows,)``."""
    counts = (~np.isnan(ascending)).sum(axis=1)
    rows = np.arange(len(ascending))
    low = ascending[rows, np.maximum(counts - 1, 0) // 2]
    high = ascending[rows, np.minimum(counts // 2, max(ascending.shape[1] - 1, 0))]
    return np.where(counts > 0, (low + high) / 2, np.nan)


def is_rounding(spreads: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Where a spread is nothing but the rounding of equal values, or NaN; shape ``(columns,)``, bool."""
    return ~(spreads > np.maximum(_ROUNDING * np.abs(centers), _NOTHING))


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Replace each value by what a normal distribution has at its rank.

    Parameters
    ----------
    values
        Shape ``(wells, features)``, float64, may hold NaN, which stay and do not count.

    Returns
    -------
    Blom's scores, the quantile of ``(rank - 3/8) / (n + 1/4)`` (Blom 1958), per column; shape ``(wells, features)``.
    Equal values have the mean of their ranks, so the result does not depend on the order of the rows.
    """
    scores = np.empty_like(values)
    for block in feature_blocks(values.shape):
        ranks, counts = average_ranks(values[:, block].T)
        scores[:, block] = ndtri((ranks - 0.375) / (counts[:, None] + 0.25)).T
    return scores


def average_ranks(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranks within each row, from 1, equal values sharing the mean of theirs; and how many values each row has.

    NaN has the rank NaN. Faster than SciPy's `rankdata` with ``nan_policy="omit"``, which goes row by row.
    """
    order = np.argsort(rows, axis=1, kind="stable")
    ascending = np.take_along_axis(rows, order, axis=1)
    counts = (~np.isnan(ascending)).sum(axis=1)
    places = np.arange(rows.shape[1])
    begins_run = np.ones(rows.shape, bool)
    begins_run[:, 1:] = ascending[:, 1:] != ascending[:, :-1]
    first = np.maximum.accumulate(np.where(begins_run, places, 0), axis=1)
    ends_run = np.ones(rows.shape, bool)
    ends_run[:, :-1] = begins_run[:, 1:]
    last = np.minimum.accumulate(np.where(ends_run, places, rows.shape[1])[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty(rows.shape)
    mean_rank = np.where(places < counts[:, None], (first + last) / 2 + 1, np.nan)
    np.put_along_axis(ranks, order, mean_rank, axis=1)
    return ranks, counts
