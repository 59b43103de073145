"""Wells become comparable: each feature in units of what it is, and how it varies, in the measure of its group.

Methods and numbers are pycytominer's (``standardize``, ``mad_robustize``; ``spherize`` is in `sphering`), in one pass
over an array instead of a data frame per plate. Two things differ, both where a feature does not vary in the measure:
pycytominer divides by ``1e-18`` (`mad_robustize`, values of 1e15 and more) or by 1 (`standardize`, raw units among
z-scores); here the feature has no value in that group, which is said in a note. ``inverse_normal`` is by rank (Blom
1958) instead of scikit-learn's interpolated quantiles: those send everything beyond the greatest and least value of
the measure to 5.2, and the extreme wells of a plate too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imaging.analyses.groups import LEAST_MEASURES, MeasureGroup, feature_blocks, find_groups, name_some
from imaging.analyses.order_statistics import column_mads, column_medians, is_rounding, normal_scores
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import Correct, Normalize

Scale = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Normalized:
    """Normalised profiles, what is to be known of them, and for ``spherize`` the details of `sphering`."""

    profiles: Profiles
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


def normalize(profiles: Profiles, recipe: Normalize) -> Normalized:
    """Normalise each feature within its plate, batch or experiment.

    Parameters
    ----------
    profiles
        Wells, in the features' own units.
    recipe
        ``mad_robustize``: (value - median) / (1.4826 x median absolute deviation) of the measure; ``standardize``:
        (value - mean) / standard deviation (of the population, as scikit-learn) of the measure; ``inverse_normal``: the
        normal quantile of the value's rank among all wells of the group, shifted so that the median of the measure is
        0; ``spherize``: ``standardize``, then sphering on the measure; ``none``: as they came.

    Returns
    -------
    Profiles with the same wells and features. A feature has no value (NaN) in a group where the measure has fewer than
    three values of it or does not vary; notes say how many, and where.

    Raises
    ------
    ConfigurationError
        If groups have no negative controls but those are the measure, or fewer than three; every group is named.
    """
    if recipe.method == "none" or not len(profiles):
        return Normalized(_clipped(profiles, recipe.clip))
    groups = find_groups(profiles, by=recipe.by, to=recipe.to, section="normalize")
    values, notes = _normalized(profiles, groups, recipe.method)
    made, details = profiles.with_values(values), {}
    if recipe.method == "spherize":
        from imaging.analyses.sphering import sphere

        sphering = Correct.model_validate({"method": "sphering", "by": recipe.by})
        sphered = sphere(made, sphering, to=recipe.to, section="normalize")
        made, details = sphered.profiles, sphered.details
        notes += sphered.notes
    return Normalized(_clipped(made, recipe.clip), notes, details)


def _normalized(
    profiles: Profiles, groups: tuple[MeasureGroup, ...], method: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Values of all groups and their notes."""
    values = np.empty(profiles.values.shape)
    exists = ~np.isnan(profiles.values).all(axis=0)
    notes: list[str] = []
    for group in groups:
        own = profiles.values[group.rows]
        measure = own[np.searchsorted(group.rows, group.measures)]
        counts = (~np.isnan(measure)).sum(axis=0)
        is_known = counts >= LEAST_MEASURES
        if method == "inverse_normal":
            scaled, varies = _scores(own, np.isin(group.rows, group.measures))
        else:
            scaled, varies = _scaled(own, *_SCALES[method](measure))
        scaled[:, ~(varies & is_known)] = np.nan
        values[group.rows] = scaled
        has_any = ~np.isnan(own).all(axis=0)
        wells = f"the {len(group.measures)} wells that are the measure"
        faults = {
            "lacks {} that other wells have": exists & ~has_any,
            f"has too few values of {{}} in {wells}": has_any & ~is_known,
            f"has {{}} without any spread in {wells}": is_known & ~varies,
        }
        notes += [_note(group, say, profiles, where) for say, where in faults.items() if where.any()]
    return values, tuple(notes)


def _note(group: MeasureGroup, say: str, profiles: Profiles, where: np.ndarray) -> str:
    names = [profiles.features[i] for i in np.flatnonzero(where)]
    count = f"{len(names)} feature{'s' if len(names) != 1 else ''}"
    return f"{group.name} {say.format(count)} and are without values there: {name_some(names, 3)}"


def _scaled(own: np.ndarray, center: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values in units of the spread, shape ``(wells, features)``, and which features vary, shape ``(features,)``."""
    varies = ~is_rounding(spread, center)
    return (own - center) / np.where(varies, spread, 1.0), varies


def _scores(own: np.ndarray, is_measure: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores with the measure's median at 0, and which features vary."""
    scores = normal_scores(own)
    return scores - column_medians(scores[is_measure]), np.fmax.reduce(own) > np.fmin.reduce(own)


def _mean_scale(measure: np.ndarray) -> Scale:
    """Mean and population standard deviation of each feature; the spread of equal values is 0, not their rounding."""
    center, spread = np.empty(measure.shape[1]), np.empty(measure.shape[1])
    for block in feature_blocks(measure.shape):
        part = measure[:, block]
        counts = np.maximum((~np.isnan(part)).sum(axis=0), 1)
        center[block] = np.nansum(part, axis=0) / counts
        spread[block] = np.sqrt(np.nansum((part - center[block]) ** 2, axis=0) / counts)
    return center, spread


def _median_scale(measure: np.ndarray) -> Scale:
    center = column_medians(measure)
    return center, column_mads(measure, center)


_SCALES: dict[str, Callable[[np.ndarray], Scale]] = {
    "standardize": _mean_scale,
    "spherize": _mean_scale,
    "mad_robustize": _median_scale,
}


def _clipped(profiles: Profiles, clip: float | None) -> Profiles:
    """Cut at the greatest absolute value."""
    return profiles if clip is None else profiles.with_values(np.clip(profiles.values, -clip, clip))
