"""Statistics of the cells of a well: what becomes of a feature column of ``cells`` in ``wells``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

Statistic = Literal["median", "mean", "mad", "count"]
STATISTICS: dict[Statistic, tuple[str, str]] = {
    "median": ("", "median over the well's cells"),
    "mean": ("Mean_", "mean over the well's cells"),
    "mad": ("MAD_", "median absolute deviation of the well's cells from their median, not scaled"),
    "count": ("Count_", "number of the well's cells that have a value"),
}
"""What begins the name of the column of ``wells``, and what the column holds."""


def well_columns(features: Sequence[str], statistics: Sequence[Statistic]) -> list[str]:
    """Name the feature columns of ``wells``, in order: all medians, then all means, and so on."""
    return [f"{STATISTICS[name][0]}{feature}" for name in statistics for feature in features]


def aggregate_cells(values: np.ndarray, statistics: Sequence[Statistic]) -> np.ndarray:
    """Compute statistics of each feature over the cells of a well, cells without a value left out.

    Parameters
    ----------
    values
        Shape ``(feature, cell)``, floating point; NaN where a cell has no value.
    statistics
        Names of ``STATISTICS``.

    Returns
    -------
    Shape ``(statistic * feature,)``, float64, in the order of ``well_columns``; NaN where no cell has a value, 0 for a
    count.
    """
    computed = dict(_statistics_of(values, statistics))
    return np.concatenate([computed[name] for name in statistics]) if statistics else np.empty(0)


def _statistics_of(values: np.ndarray, statistics: Sequence[Statistic]) -> Iterator[tuple[Statistic, np.ndarray]]:
    median = _median(values) if {"median", "mad"} & set(statistics) else None
    if median is not None:
        yield "median", median
    if median is not None and "mad" in statistics:
        yield "mad", _median(np.abs(values - median[:, None]))
    known = np.isfinite(values).sum(axis=1) if {"count", "mean"} & set(statistics) else None
    if known is not None and "count" in statistics:
        yield "count", known.astype(np.float64)
    if known is not None and "mean" in statistics:
        means = np.full(len(values), np.nan)
        np.divide(np.nansum(values, axis=1, dtype=np.float64), known, out=means, where=known > 0)
        yield "mean", means


def _median(values: np.ndarray) -> np.ndarray:
    """Median of each row without its NaN, which lie behind all numbers once a row is partitioned."""
    medians = np.full(len(values), np.nan)
    known = values.shape[1] - np.isnan(values).sum(axis=1)
    for count in np.unique(known[known > 0]):
        rows = known == count
        taken = values[rows]  # a copy, in rows of their own
        taken.partition(count // 2, axis=1)
        medians[rows] = _middle(taken, int(count))
    return medians


def _middle(values: np.ndarray, count: int) -> np.ndarray:
    """Median of the first ``count`` values of each row, of which the greater half stand behind its middle.

    Only the middle is computed in double precision: values are compared as they are stored, half as many bytes.
    """
    middle = count // 2
    upper = values[:, middle].astype(np.float64)
    if count % 2:
        return upper
    return (values[:, :middle].max(axis=1).astype(np.float64) + upper) / 2
