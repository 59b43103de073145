"""Replicates become one profile of a treatment."""

from __future__ import annotations

import numpy as np
import pandas as pd

from imaging.analyses.neighbours import BATCH_SEPARATOR
from imaging.analyses.order_statistics import average_ranks, column_medians
from imaging.analyses.profiles import Profiles, complete_wells
from imaging.analyses.recipe import Consensus
from imaging.errors import ConfigurationError

LEAST_WEIGHT = 0.01
_DIGITS = 4
"""Least weight of a replicate and digits of weights in ``modz``, as in pycytominer and cmapPy."""


def make_consensus(profiles: Profiles, recipe: Consensus) -> Profiles:
    """Make one profile of all wells that are equal in the recipe's columns.

    Parameters
    ----------
    profiles
        Wells.
    recipe
        ``median`` and ``mean`` per feature, of the wells that have a value; ``modz``: the mean weighted by how much
        each replicate correlates with the others (`modz_weights`; Subramanian et al. 2017, doi
        10.1016/j.cell.2017.10.049, as pycytominer computes it).

    Returns
    -------
    Profiles sorted by the columns, with ``n_replicates`` (int) among their wells' columns. Any other column is kept
    where all replicates agree, and is empty where not; ``batch`` then names all batches, ``"week 1; week 2"``.

    Raises
    ------
    ConfigurationError
        If the wells lack a column of the recipe.
    """
    missing = [name for name in recipe.by if name not in profiles.wells.columns]
    if missing:
        raise ConfigurationError(
            f"profiles have no column {', '.join(missing)} to tell replicates by (`consensus: {{by: ...}}`); they have "
            f"{', '.join(map(str, profiles.wells.columns))}"
        )
    groups = [rows for _, rows in profiles.groups(recipe.by)] if len(profiles) else []
    values = np.empty((len(groups), len(profiles.features)))
    for i, rows in enumerate(groups):
        values[i] = _METHODS[recipe.method](profiles.values[_sorted(profiles.values[rows], rows)])
    return Profiles(values, profiles.features, _common(profiles.wells, groups))


def _sorted(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows in the order of their values, so that sums do not depend on the order in which wells came."""
    return rows[np.lexsort(np.nan_to_num(values[:, :8]).T[::-1])] if values.shape[1] else rows


def _mean(values: np.ndarray) -> np.ndarray:
    known = ~np.isnan(values)
    counts = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.divide(total, counts, out=np.full(total.shape, np.nan), where=counts > 0)


def _modz(values: np.ndarray) -> np.ndarray:
    """Weighted mean; where replicates lack a value, the weights of the others count in proportion."""
    if len(values) == 1:
        return values[0].copy()
    weights = modz_weights(values)
    known = ~np.isnan(values)
    total = weights @ np.where(known, values, 0.0)
    if known.all():
        return total  # rounded weights may sum to 1.0001, as in pycytominer
    share = weights @ known
    return np.divide(total, share, out=np.full(total.shape, np.nan), where=share > 0)


def modz_weights(values: np.ndarray) -> np.ndarray:
    """Weights of replicates: their mean Spearman correlation with the others.

    Parameters
    ----------
    values
        Shape ``(replicates, features)``; features that any replicate lacks do not count.

    Returns
    -------
    Shape ``(replicates,)``: negative correlations count as 0, means below 0.01 as 0.01, then the weights are divided by
    their sum and rounded to four digits.
    """
    whole = values[:, ~np.isnan(values).any(axis=0)]
    n = len(values)
    if whole.shape[1] < 2 or n < 2:
        return np.full(n, 1 / n)
    ranks, _ = average_ranks(whole)
    ranks -= ranks.mean(axis=1, keepdims=True)
    norms = np.sqrt((ranks**2).sum(axis=1))
    products = np.outer(norms, norms)
    correlation = np.divide(ranks @ ranks.T, products, out=np.zeros((n, n)), where=products > 0)
    np.fill_diagonal(correlation, 0.0)
    raw = np.maximum(np.maximum(correlation, 0.0).sum(axis=1) / (n - 1), LEAST_WEIGHT)
    return np.round(raw / raw.sum(), _DIGITS)


_METHODS = {"median": column_medians, "mean": _mean, "modz": _modz}


def _common(wells: pd.DataFrame, groups: list[np.ndarray]) -> pd.DataFrame:
    """One row per group with what all its wells have in common."""
    if not groups:
        return complete_wells(wells.iloc[:0]).assign(n_replicates=pd.Series(dtype=int))
    members = np.concatenate(groups)
    labels = np.repeat(np.arange(len(groups)), [len(rows) for rows in groups])
    columns = {name: _agreed(wells[name].iloc[members].reset_index(drop=True), labels) for name in wells.columns}
    columns["batch"] = wells["batch"].iloc[members].groupby(labels).agg(lambda b: BATCH_SEPARATOR.join(sorted(set(b))))
    common = complete_wells(pd.DataFrame(columns))
    return common.assign(n_replicates=np.bincount(labels))


def _agreed(column: pd.Series, labels: np.ndarray) -> pd.Series:
    """A column's value in each group if there is one only, else missing."""
    grouped = column.groupby(labels)
    return grouped.first().where(grouped.nunique(dropna=False) == 1)
