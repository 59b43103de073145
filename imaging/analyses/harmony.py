"""Harmony: wells of all batches are clustered together, and what sets batches apart within clusters is taken away.

Korsunsky et al. 2019 (doi 10.1038/s41592-019-0619-0), by harmonypy, on principal components. Its correction of the
components is taken from the features, so that these keep their names and what lies beyond the components stays.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from harmonypy import run_harmony
from sklearn.decomposition import PCA

from imaging.analyses.corrected import Corrected
from imaging.analyses.profiles import GROUP_COLUMNS, Profiles
from imaging.analyses.recipe import Correct

_WELLS_PER_CLUSTER = 30
_MOST_CLUSTERS = 100
"""How many clusters Harmony takes by itself; it takes none for fewer than 15 wells."""

_NOTHING = 1e-5
"""Harmony computes in single precision."""


def harmonize(profiles: Profiles, recipe: Correct) -> Corrected:
    """Take from profiles what Harmony finds that sets plates or batches apart.

    Parameters
    ----------
    profiles
        Normalised wells.
    recipe
        ``by``: what is taken away; ``dimensions``: principal components at most; ``seed``.

    Returns
    -------
    Profiles. Gaps are filled with the feature's mean, features without values are left out. All wells are fitted alike,
    treated or not, so none is marked as ``fitted``. With one batch only the profiles are as they came, with a note.
    """
    none_fitted = {"fitted": np.zeros(len(profiles), bool)}
    labels = profiles.wells.groupby(list(GROUP_COLUMNS[recipe.by]), dropna=False).ngroup() if len(profiles) else []
    if len(np.unique(labels)) < 2:
        return Corrected(profiles, (f"there is one {recipe.by} only, so Harmony has nothing to remove",), none_fitted)
    order = profiles.wells.sort_values(["experiment", "plate", "well", "time_point"], kind="stable").index.to_numpy()
    kept, notes = _without_gaps(profiles)
    values = kept.values[order]
    dimensions = min(recipe.dimensions, len(values) - 1, values.shape[1])
    solver = "full" if min(values.shape) <= 500 else "randomized"
    pca = PCA(dimensions, svd_solver=solver, random_state=recipe.seed)
    scores = pca.fit_transform(values)
    clusters = int(np.clip(round(len(values) / _WELLS_PER_CLUSTER), 1, _MOST_CLUSTERS))
    batches = pd.DataFrame({"batch": [f"{label}" for label in np.asarray(labels)[order]]})
    # One thread: then the sums are the same on every machine.
    made = run_harmony(scores, batches, "batch", nclust=clusters, random_state=recipe.seed, ncores=1, verbose=False)
    removed = scores - np.asarray(made.Z_corr, float)
    corrected = np.empty_like(values)
    corrected[order] = values - removed @ pca.components_
    explained = 100 * float(pca.explained_variance_ratio_.sum())
    notes.append(f"Harmony corrected {dimensions} principal components, {explained:.3g} % of the variance")
    if np.abs(removed).max() < _NOTHING * np.abs(scores).max():
        notes.append(f"Harmony changed nothing, no cluster has wells of two: normalize within each {recipe.by} first")
    return Corrected(kept.with_values(corrected), tuple(notes), none_fitted | {"dimensions": dimensions})


def _without_gaps(profiles: Profiles) -> tuple[Profiles, list[str]]:
    """Features with values, gaps filled with their mean."""
    gaps = np.isnan(profiles.values)
    if not gaps.any():
        return profiles, []
    empty = gaps.all(axis=0)
    kept = profiles.only(np.array(profiles.features)[~empty].tolist())
    means = np.nanmean(kept.values, axis=0)
    notes = [f"{int(empty.sum())} features without values were left out"] if empty.any() else []
    filled = int(gaps[:, ~empty].sum())
    if filled:
        notes.append(f"{filled} values that wells lack count as the feature's mean")
    return kept.with_values(np.where(np.isnan(kept.values), means, kept.values)), notes
