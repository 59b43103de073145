"""Phenotypic activity: replicates of a treatment that resemble one another more than the negative controls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imaging.analyses.average_precision import Precisions, average_precision, mean_precisions, rank_p_values
from imaging.analyses.exchange import ExchangeTest, Pool, Statistic, exchange_all
from imaging.analyses.profiles import NEGCON, Profiles
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.treatments import Treatments, false_discovery_rates, find_testable, list_treatments
from kernels.exchange import average_precisions, rank_neighbours


def measure_activity(
    profiles: Profiles,
    hits: HitCriteria,
    *,
    treatments: Treatments | None = None,
    reference: np.ndarray | None = None,
) -> pd.DataFrame:
    """Measure how well the wells of each treatment find one another among negative controls.

    Parameters
    ----------
    profiles
        Normalised wells.
    hits
        Seed, size and kind of the null distribution, replicates that are needed.
    treatments
        By default told apart by treatment and concentration.
    reference
        Which negative controls count, shape ``(profiles,)``, bool; ``None`` for all.

    Returns
    -------
    One row per treatment, in their order: ``map`` (mean average precision among all negative controls, as copairs
    defines it), ``p``, ``q`` (false discovery rate over treatments), ``n_replicates``, ``reason``; NaN where there is
    none, and why.

    With ``hits.null`` ``wells`` p comes from exchanging wells within plates (`exchange`); with ``ranks`` from random
    lists with copairs' seed and size (`average_precision.rank_p_values`), which do not know of plates.
    """
    treatments = list_treatments(profiles) if treatments is None else treatments
    is_control = profiles.is_control(NEGCON) if reference is None else profiles.is_control(NEGCON) & reference
    precisions, own = _find_precisions(profiles.values, treatments.rows, is_control)
    testable = find_testable(profiles, treatments, least_replicates=hits.least_replicates, reference=reference)
    if hits.null == "ranks":
        p_values = rank_p_values(precisions, own, size=hits.permutations, seed=hits.seed)
        p_values[[pool is None for pool in testable.pools]] = np.nan
    else:
        p_values = exchange_all(
            testable.pools,
            ExchangeTest("activity", profiles.values, precision_of),
            count=hits.permutations,
            seed=hits.seed,
            fdr=hits.rate,
        )
    return pd.DataFrame(
        {
            "map": mean_precisions(precisions, own),
            "p": p_values,
            "q": false_discovery_rates(p_values, treatments.is_positive),
            "n_replicates": treatments.table["n_replicates"],
            "reason": testable.reasons,
        }
    )


def _find_precisions(
    values: np.ndarray, groups: Sequence[np.ndarray], is_control: np.ndarray
) -> tuple[Precisions, Sequence[np.ndarray]]:
    """Precisions of the wells of groups among negative controls, and where each group's stand.

    Of groups that are negative controls themselves, each is sought among the others.
    """
    if not any(is_control[rows].any() for rows in groups):
        labels = np.full(len(values), -1)
        for number, rows in enumerate(groups):
            labels[rows] = number
        return average_precision(values, labels, reference=is_control), groups
    controls, found = np.flatnonzero(is_control), []
    for rows in groups:
        others = np.setdiff1d(controls, rows)
        is_other = np.arange(len(rows) + len(others)) >= len(rows)
        one = average_precision(values[np.concatenate([rows, others])], -1 * is_other, reference=is_other)
        found.append([part[: len(rows)] for part in one])
    places = np.split(np.arange(sum(map(len, groups))), np.cumsum([len(rows) for rows in groups])[:-1])
    return Precisions(*(np.concatenate(parts) for parts in zip(*found, strict=True))), places


def precision_of(pool: Pool, values: np.ndarray) -> Statistic:
    """Mean average precision of any wells of a pool among all its others, by cosine similarity."""
    wells = pool.standardize(values)
    length = np.sqrt((wells**2).sum(axis=1))
    unit = wells / np.where(length > 0, length, 1)[:, None]
    ranks = rank_neighbours((unit @ unit.T).astype(np.float32))
    return lambda groups: average_precisions(ranks, groups)
