"""Features that stay: those with values, that vary, that are no copies of others, that stay within bounds.

The operations and their numbers are pycytominer's (``drop_na_columns``, ``frequency_threshold``,
``correlation_threshold``, ``blocklist``, ``drop_outliers``), in the recipe's order, each on what those before it left.
They are written anew where pandas goes column by column, or pair by pair of columns. What differs: of features that are
equally correlated with all others the first by name stays, whatever the order of wells or columns; our ``variance`` is
``frequency_threshold``, for pycytominer's least variance of 1e-6 means something else in each feature's unit; and
``replicates`` is not in pycytominer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from imaging.analyses.correlations import correlate_columns
from imaging.analyses.groups import feature_blocks
from imaging.analyses.profiles import TREATED, Profiles
from imaging.analyses.recipe import Select
from imaging.errors import ConfigurationError

Reasons = dict[int, str]
"""Position of a feature that goes and why, in words."""


@dataclass(frozen=True)
class Dropped:
    """A feature that went, the operation, and why in words."""

    feature: str
    operation: str
    reason: str


@dataclass(frozen=True, eq=False)
class Selected:
    """Profiles with the features that stayed, those that went, and what is to be known."""

    profiles: Profiles
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()


def select_features(profiles: Profiles, recipe: Select) -> Selected:
    """Take the features that pass all operations of the recipe.

    Parameters
    ----------
    profiles
        Normalised wells.
    recipe
        Operations in their order. ``missing``: a share of wells without value above ``missing``; ``variance``: the
        second most frequent value less than ``frequency`` times as frequent as the most frequent, or a share of
        different values below ``unique``; ``correlation``: of each pair with Pearson correlation above ``correlation``
        the one that is more correlated (sum of absolute correlations) with all features; ``outliers``: an absolute
        value above ``outliers``; ``blocklist``: pycytominer's list of noisy features of CellProfiler (Way 2019, doi
        10.6084/m9.figshare.10255811); ``replicates``: correlation between replicates below ``replicates``.

    Returns
    -------
    Profiles with the features left, in their order. Features without any value always go.

    Raises
    ------
    ConfigurationError
        If no feature is left, with what each operation took.
    """
    kept = np.arange(len(profiles.features))
    dropped: list[Dropped] = []
    notes: list[str] = []
    for operation in ("empty", *recipe.operations) if len(profiles) else ():
        if not len(kept):
            break
        left = profiles.with_values(profiles.values[:, kept], [profiles.features[i] for i in kept])
        reasons, said = _OPERATIONS[operation](left, recipe)
        dropped += [Dropped(left.features[i], operation, reason) for i, reason in sorted(reasons.items())]
        notes += said
        kept = np.delete(kept, list(reasons))
    if not len(kept) and dropped:
        counts = {name: sum(one.operation == name for one in dropped) for name in ("empty", *recipe.operations)}
        took = ", ".join(f"{name} took {count}" for name, count in counts.items() if count)
        raise ConfigurationError(
            f"no feature is left of {len(profiles.features)}: {took}; loosen `select` (`operations: none` keeps all)"
        )
    return Selected(profiles.only(profiles.features[i] for i in kept), tuple(dropped), tuple(notes))


def _find_empty(profiles: Profiles, recipe: Select) -> tuple[Reasons, list[str]]:
    empty = np.flatnonzero(np.isnan(profiles.values).all(axis=0))
    return dict.fromkeys(empty.tolist(), "no well has a value"), []


def _find_missing(profiles: Profiles, recipe: Select) -> tuple[Reasons, list[str]]:
    shares = np.isnan(profiles.values).mean(axis=0)
    return {
        int(i): f"{100 * shares[i]:.3g} % of wells have no value, more than {100 * recipe.missing:g} %"
        for i in np.flatnonzero(shares > recipe.missing)
    }, []


def _find_still(profiles: Profiles, recipe: Select) -> tuple[Reasons, list[str]]:
    """Features with few different values, as pycytominer's ``frequency_threshold`` finds them."""
    ratios, shares = frequencies(profiles.values)
    reasons: Reasons = {}
    for i in np.flatnonzero((ratios < recipe.frequency) | (shares < recipe.unique)).tolist():
        if ratios[i] == 0:
            reasons[i] = "all wells have the same value"
        elif ratios[i] < recipe.frequency:
            reasons[i] = f"the second most frequent value is {ratios[i]:.3g} times as frequent as the most frequent"
        else:
            reasons[i] = f"only {100 * shares[i]:.3g} % of values are different"
    return reasons, []


def frequencies(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How often values come again.

    Returns
    -------
    Count of the second most frequent value of each column over that of the most frequent, 0 where there is no second;
    and the number of different values over that of wells. Both of shape ``(features,)``; NaN is no value.
    """
    ratios, shares = np.ones(values.shape[1]), np.ones(values.shape[1])
    for block in feature_blocks(values.shape):
        ascending = np.sort(values[:, block].T, axis=1)
        known = ~np.isnan(ascending)
        is_new = known.copy()
        is_new[:, 1:] &= ascending[:, 1:] != ascending[:, :-1]
        different = is_new.sum(axis=1)
        shares[block] = different / values.shape[0]
        repeated = different < known.sum(axis=1)
        found = np.where(different >= 2, 1.0, 0.0)  # where no value comes twice all are equally frequent
        for row in np.flatnonzero(repeated & (different >= 2)):
            begins = np.flatnonzero(is_new[row])
            lengths = np.diff(begins, append=known[row].sum())
            second, first = np.partition(lengths, len(lengths) - 2)[-2:]
            found[row] = second / first
        ratios[block] = found
    return ratios, shares


def _find_copies(profiles: Profiles, recipe: Select) -> tuple[Reasons, list[str]]:
    """Features that are nearly another one, as pycytominer's ``correlation_threshold`` finds them."""
    correlations = correlate_columns(profiles.values)
    # Rounded, for sums of equal features differ in their last bits with the order of the wells.
    sums = np.round(np.nansum(np.abs(correlations), axis=0), 6)
    order = np.lexsort((np.array(profiles.features), sums))
    rank = np.empty(len(order), int)
    rank[order] = np.arange(len(order))
    reasons: Reasons = {}
    for i in range(len(order)):
        others = np.flatnonzero((correlations[i] > recipe.correlation) & (rank < rank[i]))
        if len(others):
            nearest = others[np.argmax(np.round(correlations[i, others], 9))]
            reasons[i] = f"correlation {correlations[i, nearest]:.3g} with {profiles.features[nearest]}"
    return reasons, []


def _find_outliers(profiles: Profiles, recipe: Select) -> tuple[Reasons, list[str]]:
    greatest = np.maximum(np.fmax.reduce(profiles.values), -np.fmin.reduce(profiles.values))
    return {
        int(i): f"a well has {greatest[i]:.4g}, beyond {recipe.outliers:g}"
        for i in np.flatnonzero(greatest > recipe.outliers)
    }, []


def _find_blocked(profiles: Profiles, recipe: Select) -> tuple[Reasons, list[str]]:
    from pycytominer.cyto_utils.blocklist import get_blocklist_features  # takes a second to import

    blocked = set(get_blocklist_features())
    return {i: "it is on the list of noisy features" for i, name in enumerate(profiles.features) if name in blocked}, []


def _find_irreproducible(profiles: Profiles, recipe: Select) -> tuple[Reasons, list[str]]:
    treated = profiles.take(profiles.is_control(TREATED))
    correlations = replicate_correlations(treated)
    if np.isnan(correlations).all():
        return {}, ["no treatment has replicates, so features were not selected by their replicates"]
    return {
        int(i): f"correlation {correlations[i]:.3g} between replicates, less than {recipe.replicates:g}"
        for i in np.flatnonzero(correlations < recipe.replicates)
    }, [
        "features were selected by how alike treated replicates are, which makes replicates look alike: p-values of "
        "activity, replication and distance are too small"
    ]


def replicate_correlations(profiles: Profiles) -> np.ndarray:
    """Correlation between replicates of each feature.

    Parameters
    ----------
    profiles
        Wells equal in treatment and concentration are replicates; treatments of one well do not count.

    Returns
    -------
    Intraclass correlation of one-way random effects, ICC(1) of Shrout and Fleiss 1979 (doi 10.1037/0033-2909.86.2.420)
    with the mean group size of unequal groups, shape ``(features,)``. It is what the correlation of pairs of replicates
    estimates, without numbering them. NaN where no treatment has replicates, or nothing varies.
    """
    named = profiles.groups(("treatment", "concentration")) if len(profiles) else []
    groups = [rows for (treatment, _), rows in named if treatment and len(rows) > 1]
    if len(groups) < 2:
        return np.full(len(profiles.features), np.nan)
    values = profiles.values[np.concatenate(groups)]
    known = ~np.isnan(values)
    begins = np.cumsum([0, *map(len, groups[:-1])])
    centered = np.where(known, values - np.where(known, values, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), 0.0)
    counts = np.add.reduceat(known, begins, axis=0, dtype=float)
    sums = np.add.reduceat(centered, begins, axis=0)
    used, total = (counts > 0).sum(axis=0), counts.sum(axis=0)
    explained = (sums**2 / np.maximum(counts, 1)).sum(axis=0)
    within_df, between_df = total - used, used - 1
    size = (total - (counts**2).sum(axis=0) / np.maximum(total, 1)) / np.maximum(between_df, 1)
    between = explained / np.maximum(between_df, 1)
    within = ((centered**2).sum(axis=0) - explained) / np.maximum(within_df, 1)
    spread = between + (size - 1) * within
    can = (within_df > 0) & (between_df > 0) & (spread > 0)
    return np.divide(between - within, spread, out=np.full(len(spread), np.nan), where=can)


_OPERATIONS: dict[str, Callable[[Profiles, Select], tuple[Reasons, list[str]]]] = {
    "empty": _find_empty,
    "missing": _find_missing,
    "variance": _find_still,
    "correlation": _find_copies,
    "outliers": _find_outliers,
    "blocklist": _find_blocked,
    "replicates": _find_irreproducible,
}
