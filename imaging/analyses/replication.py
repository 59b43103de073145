"""Replication: whether wells of one treatment correlate more than wells of different ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from imaging.analyses.exchange import ExchangeTest, Pool, Statistic, exchange_all, plate_codes, thin, well_order
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.treatments import Treatments, false_discovery_rates, list_treatments, why_too_few
from kernels.exchange import median_pairs

MOST_WELLS = 256
"""Wells of other treatments that replicates are compared with, shared evenly between plates."""
MOST_PROFILES = 4_096
"""Profiles whose pairs say what pairs that are no replicates are like: more say no more, and take their square."""
_BLOCK = 512

Correlation = Literal["pearson", "spearman"]


@dataclass(frozen=True, eq=False)
class Replicating:
    """How many pairs of replicates correlate more than most pairs of others.

    Parameters
    ----------
    share
        Share of the pairs within groups whose correlation is above ``limit``; NaN if there are no such pairs.
    share_of_groups
        Share of the groups of two profiles or more whose median correlation is above it.
    limit
        The quantile of the correlations of pairs that are no replicates.
    medians
        Median correlation of each group's pairs, by label; NaN for a group of one.
    pairs
        Pairs within groups.
    """

    share: float
    share_of_groups: float
    limit: float
    medians: pd.Series
    pairs: int

    @property
    def mean_median(self) -> float:
        """Mean of the medians of groups of two or more."""
        return float(self.medians.mean())


def percent_replicating(
    values: np.ndarray, labels: np.ndarray, *, quantile: float = 0.95, correlation: Correlation = "pearson"
) -> Replicating:
    """Measure how many replicates correlate more than pairs that are none.

    The share of pairs is cytominer-eval's replicate reproducibility (Way et al., cytominer-eval 0.1, operation
    ``replicate_reproducibility``). The share of groups is often meant by percent replicating too; the JUMP consortium
    (Chandrasekaran et al., Nat Methods 2024) compares a group's median with medians of as many profiles that are no
    replicates, which is less strict than single pairs.

    Parameters
    ----------
    values
        Shape ``(profiles, features)``; features that a profile lacks count as its mean.
    labels
        Whole numbers, shape ``(profiles,)``; equal for replicates, -1 for profiles that take no part. Nor do those
        without any value.
    quantile
        Of the correlations of pairs that are no replicates.
    """
    takes_part = (labels >= 0) & np.isfinite(values).any(axis=1)
    labels, unit = labels[takes_part], _standardized(values[takes_part], correlation)
    null = _unlike(unit, labels)
    limit = float(np.quantile(null, quantile)) if len(null) else float("nan")
    order, names = np.argsort(labels, kind="stable"), np.unique(labels)
    groups = np.split(order, np.searchsorted(labels[order], names[1:]))
    own = {name: _alike(unit[rows]) for name, rows in zip(names, groups, strict=False)}
    middles = {name: np.median(found) if len(found) else np.nan for name, found in own.items()}
    medians = pd.Series(middles, dtype=float)
    pairs = np.concatenate(list(own.values()) or [[]])
    known = medians.dropna()
    is_known = len(pairs) > 0 and len(null) > 0
    return Replicating(
        share=float((pairs > limit).mean()) if is_known else float("nan"),
        share_of_groups=float((known > limit).mean()) if is_known else float("nan"),
        limit=limit,
        medians=medians,
        pairs=len(pairs),
    )


def _alike(unit: np.ndarray) -> np.ndarray:
    """Correlations of all pairs."""
    return (unit @ unit.T)[np.triu_indices(len(unit), 1)]


def _unlike(unit: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Correlations of pairs that are no replicates: of all of them, or of `MOST_PROFILES` profiles spread evenly."""
    chosen = thin(np.arange(len(unit)), MOST_PROFILES)
    unit, labels = unit[chosen], labels[chosen]
    found: list[np.ndarray] = []
    for begin in range(0, len(unit), _BLOCK):
        block = unit[begin : begin + _BLOCK] @ unit[begin:].T
        is_pair = np.triu(np.ones(block.shape, bool), 1)
        found.append(block[is_pair & (labels[begin : begin + _BLOCK, None] != labels[None, begin:])])
    return np.concatenate(found or [np.empty(0)])


def _standardized(values: np.ndarray, correlation: Correlation = "pearson") -> np.ndarray:
    """Rows of mean 0 and length 1, whose scalar products are correlations; a row that does not vary becomes 0."""
    missing = ~np.isfinite(values)
    if correlation == "spearman":
        values = rankdata(np.where(missing, np.nan, values), axis=1, nan_policy="omit")
    known = np.maximum((~missing).sum(axis=1, keepdims=True), 1)
    filled = np.where(missing, 0.0, values)
    centred = np.where(missing, 0.0, filled - filled.sum(axis=1, keepdims=True) / known)
    length = np.sqrt((centred**2).sum(axis=1, keepdims=True))
    return centred / np.where(length > 0, length, 1.0)


def measure_replication(profiles: Profiles, hits: HitCriteria, *, treatments: Treatments | None = None) -> pd.DataFrame:
    """Measure how much the wells of each treatment correlate, against as many wells of other treatments.

    Parameters
    ----------
    profiles
        Normalised wells.
    hits, treatments
        As in `activity.measure_activity`.

    Returns
    -------
    One row per treatment, in their order: ``correlation`` (median of its pairs of wells), ``p`` (share of groups of
    wells of any treatments, of each plate as many, whose median is as great), ``q``, ``reason``.
    """
    treatments = list_treatments(profiles) if treatments is None else treatments
    unit = _standardized(profiles.values)
    has_value = np.asarray(np.isfinite(profiles.values).any(axis=1))
    groups = [rows[has_value[rows]] for rows in treatments.rows]
    pools, reasons = _gather(profiles, treatments, groups, hits.least_replicates)
    p_values = exchange_all(
        pools, ExchangeTest("replication", unit, _median_of), count=hits.permutations, seed=hits.seed, fdr=hits.rate
    )
    return pd.DataFrame(
        {
            "correlation": [_median_correlation(unit[rows]) for rows in groups],
            "p": p_values,
            "q": false_discovery_rates(p_values, treatments.is_positive),
            "reason": reasons,
        }
    )


def _gather(
    profiles: Profiles, treatments: Treatments, groups: list[np.ndarray], least: int
) -> tuple[list[Pool | None], list[str]]:
    """Pools of each treatment's wells that have values (``groups``) and those of the others on its plates."""
    plates = plate_codes(profiles)
    everyone = np.concatenate(groups) if groups else np.array([], np.intp)
    everyone = everyone[np.argsort(well_order(profiles)[everyone])]
    of_plate = {p: everyone[plates[everyone] == p] for p in np.unique(plates[everyone])}
    pools: list[Pool | None] = []
    reasons = []
    for all_wells, rows in zip(treatments.rows, groups, strict=True):
        own = {p: rows[plates[rows] == p] for p in np.unique(plates[rows])}
        most = MOST_WELLS // max(len(own), 1) or 1
        parts = [(thin(of_plate[p][~np.isin(of_plate[p], rows)], most), own[p]) for p in own]
        reason = why_too_few(len(all_wells), len(rows), least)
        if not reason and not any(len(others) for others, _ in parts):
            reason = "no other treatments on its plates"
        reasons.append(reason)
        shapes = tuple((len(others) + len(wells), len(wells)) for others, wells in parts)
        pools.append(None if reason else Pool(np.concatenate([np.concatenate(part) for part in parts]), shapes))
    return pools, reasons


def _median_of(pool: Pool, unit: np.ndarray) -> Statistic:
    wells = unit[pool.rows]
    correlations = wells @ wells.T
    return lambda groups: median_pairs(correlations, groups)


def _median_correlation(unit: np.ndarray) -> float:
    if len(unit) < 2:
        return float("nan")
    return float(np.median(_alike(unit)))
