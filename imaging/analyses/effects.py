"""Effects of treatments on single features: robust z, SSMD and whether they could be chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imaging.analyses.exchange import ExchangeTest, Pool, Statistic, exchange_all
from imaging.analyses.profiles import NEGCON, Profiles
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.treatments import Treatments, false_discovery_rates, find_testable, list_treatments
from imaging.declared import did_you_mean
from imaging.errors import ConfigurationError
from imaging.statistics import measure_ssmd, robust_sd

CELLS_COUNT = "cells_count"
"""Name by which the number of cells is a feature like others."""


def value_of(profiles: Profiles, feature: str) -> np.ndarray:
    """Values of a feature, or the number of cells; shape ``(profiles,)``, float64.

    Raises
    ------
    ConfigurationError
        If the profiles have no such feature.
    """
    if feature in profiles.features:
        return profiles.of(feature)
    if feature == CELLS_COUNT:
        return profiles.wells[CELLS_COUNT].to_numpy(float)
    known = [*profiles.features, CELLS_COUNT]
    raise ConfigurationError(
        f"hits.features of the recipe names {feature!r}, which these profiles lack; {_nearest(feature, known)}"
    )


def _nearest(feature: str, known: list[str]) -> str:
    sentence = did_you_mean(feature, known)
    return sentence if len(sentence) < 200 else f"they have {len(known)} others, such as {known[0]}"


def robust_z(profiles: Profiles, values: np.ndarray, *, reference: np.ndarray | None = None) -> np.ndarray:
    """Standardise values by the negative controls of each plate: (value - median) / (1.4826 MAD).

    Parameters
    ----------
    values
        Shape ``(profiles,)``.
    reference
        Which negative controls count, shape ``(profiles,)``, bool; ``None`` for all.

    Returns
    -------
    Shape ``(profiles,)``; NaN on plates with less than two negative controls, or with controls that do not differ.
    """
    is_control = profiles.is_control(NEGCON) if reference is None else profiles.is_control(NEGCON) & reference
    found = np.full(len(profiles), np.nan)
    for _, rows in profiles.groups(("experiment", "plate")):
        controls = values[rows[is_control[rows]]]
        controls = controls[np.isfinite(controls)]
        if len(controls) < 2:
            continue
        centre = np.median(controls)
        spread = robust_sd(controls)
        if spread > 1e-12 * abs(centre):
            found[rows] = (values[rows] - centre) / spread
    return found


def centre_on_controls(profiles: Profiles, values: np.ndarray, *, reference: np.ndarray | None = None) -> np.ndarray:
    """Subtract the median of each plate's negative controls and divide by the median of all plates' 1.4826 MAD.

    Parameters
    ----------
    values, reference
        As in `robust_z`.

    Returns
    -------
    Shape ``(profiles,)``; NaN on plates with less than two negative controls, everywhere if no plate's differ.
    """
    is_control = profiles.is_control(NEGCON) if reference is None else profiles.is_control(NEGCON) & reference
    found, spreads = np.full(len(profiles), np.nan), []
    for _, rows in profiles.groups(("experiment", "plate")):
        controls = values[rows[is_control[rows]]]
        controls = controls[np.isfinite(controls)]
        if len(controls) >= 2:
            centre = np.median(controls)
            found[rows] = values[rows] - centre
            spreads.append(robust_sd(controls))
    spreads = [spread for spread in spreads if spread > 0]
    return found / np.median(spreads) if spreads else np.full(len(profiles), np.nan)


def measure_effects(
    profiles: Profiles,
    hits: HitCriteria,
    *,
    features: Sequence[str] | None = None,
    treatments: Treatments | None = None,
    reference: np.ndarray | None = None,
) -> pd.DataFrame:
    """Measure what treatments do to single features.

    Parameters
    ----------
    profiles
        Wells before features were selected or corrected; each plate is scaled by its negative controls here.
    features
        By default those of ``hits.features``.
    hits, treatments, reference
        As in `activity.measure_activity`.

    Returns
    -------
    One row per treatment and feature: ``number`` (of the treatment), ``feature``, ``z`` (median of its wells' robust
    z), ``ssmd`` (of robust z, against the controls of its plates), ``p`` (two-sided, from exchanging wells within
    plates), ``reason``; and the same for all rows of a treatment, ``p_any`` and ``q``: its least p times the number of
    features, and the false discovery rate of that over treatments.

    Raises
    ------
    ConfigurationError
        If a feature is not there.
    """
    treatments = list_treatments(profiles) if treatments is None else treatments
    features = hits.features if features is None else features
    count = max(len(features), 1)
    frames = [_one_feature(profiles, hits, feature, treatments, reference, count) for feature in features]
    if not frames:
        return pd.DataFrame(columns=["number", "feature", "z", "ssmd", "p", "reason", "p_any", "q"])
    found = pd.concat(frames, ignore_index=True)
    p_any = (found.groupby("number")["p"].min() * len(frames)).clip(upper=1).reindex(range(len(treatments)))
    q = pd.Series(false_discovery_rates(p_any.to_numpy(float), treatments.is_positive), index=p_any.index)
    found["p_any"], found["q"] = found["number"].map(p_any), found["number"].map(q)
    return found


def _one_feature(
    profiles: Profiles,
    hits: HitCriteria,
    feature: str,
    treatments: Treatments,
    reference: np.ndarray | None,
    count: int,
) -> pd.DataFrame:
    """Effects on one feature of ``count``."""
    values = value_of(profiles, feature)
    z = robust_z(profiles, values, reference=reference)
    testable = find_testable(
        profiles,
        treatments,
        least_replicates=hits.least_replicates,
        reference=reference,
        has_value=np.isfinite(values),
    )
    p_values = exchange_all(
        testable.pools,
        ExchangeTest("effect", values, shift_of),
        count=hits.permutations,
        seed=hits.seed,
        fdr=hits.rate / count,
    )
    differences = [np.nan if pool is None else _ssmd_of(pool, z) for pool in testable.pools]
    return pd.DataFrame(
        {
            "number": np.arange(len(treatments)),
            "feature": feature,
            "z": [median_of(z[rows]) for rows in treatments.rows],
            "ssmd": differences,
            "p": p_values,
            "reason": testable.reasons,
        }
    )


def _ssmd_of(pool: Pool, z: np.ndarray) -> float:
    found = measure_ssmd(z[pool.rows[pool.controls]], z[pool.rows[pool.treated[0]]])
    return np.nan if found is None else found


def median_of(values: np.ndarray) -> float:
    """Median of the values that there are; NaN if there are none."""
    values = values[np.isfinite(values)]
    return float(np.median(values)) if len(values) else float("nan")


def shift_of(pool: Pool, values: np.ndarray, *, sign: int = 0) -> Statistic:
    """How far the mean of any wells of a pool is from the pool's, each plate scaled by its wells.

    Parameters
    ----------
    values
        Shape ``(profiles,)``.
    sign
        1 for upwards, -1 for downwards, 0 for either.
    """
    wells = pool.standardize(values[:, None])[:, 0]
    if sign:
        return lambda groups: sign * wells[groups].mean(axis=1)
    return lambda groups: np.abs(wells[groups].mean(axis=1))
