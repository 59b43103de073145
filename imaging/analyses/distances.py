"""Mahalanobis distance of treatments from the negative controls, also with more features than controls."""

from __future__ import annotations

import numpy as np
import pandas as pd

from imaging.analyses.exchange import ExchangeTest, Pool, Statistic, each_pool, exchange_all
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.treatments import Treatments, false_discovery_rates, find_testable, list_treatments
from kernels.exchange import mean_products

LEAST_SHRINKAGE = 0.01
"""Share of the covariance that is the mean variance, at least: it must have an inverse."""


def measure_distances(
    profiles: Profiles,
    hits: HitCriteria,
    *,
    treatments: Treatments | None = None,
    reference: np.ndarray | None = None,
) -> pd.DataFrame:
    """Measure how far the mean of each treatment's wells is from the negative controls of their plates.

    Parameters
    ----------
    profiles
        Wells, normalised or not; each plate is scaled by its own wells here.
    hits, treatments, reference
        As in `activity.measure_activity`.

    Returns
    -------
    One row per treatment, in their order: ``distance`` from the controls in units of their shrunken covariance,
    ``p`` from exchanging wells within plates, ``q``, ``reason``; NaN where there is none, and why.
    """
    treatments = list_treatments(profiles) if treatments is None else treatments
    testable = find_testable(profiles, treatments, least_replicates=hits.least_replicates, reference=reference)
    p_values = exchange_all(
        testable.pools,
        ExchangeTest("distance", profiles.values, distance_of),
        count=hits.permutations,
        seed=hits.seed,
        fdr=hits.rate,
    )
    distances = each_pool(lambda pool: measure_distance(pool, profiles.values), testable.pools)
    return pd.DataFrame(
        {
            "distance": distances,
            "p": p_values,
            "q": false_discovery_rates(p_values, treatments.is_positive),
            "reason": testable.reasons,
        }
    )


def measure_distance(pool: Pool, values: np.ndarray) -> float:
    """Mahalanobis distance of the mean of the treated wells of a pool from the mean of its controls.

    Each plate is scaled by all its wells in the pool; the covariance is that of the controls around their plate's
    mean, shrunken.
    """
    wells = pool.standardize(values)
    is_control = pool.controls
    begin = 0
    for count, _ in pool.plates:
        plate = slice(begin, begin + count)
        wells[plate] -= wells[plate][is_control[plate]].mean(axis=0)
        begin += count
    controls, mean = wells[is_control], wells[~is_control].mean(axis=0)
    identity, share = shrink(controls @ controls.T, _varying(wells))
    if identity == 0:
        return 0.0 if not mean.any() else float("nan")
    # (a I + c C'C)^-1 by way of C C' (Woodbury), which is as large as there are controls, not features.
    across = controls @ mean
    inner = np.linalg.solve(identity * np.eye(len(controls)) + share * (controls @ controls.T), across)
    return float(np.sqrt(max(mean @ mean - share * across @ inner, 0) / identity))


def distance_of(pool: Pool, values: np.ndarray) -> Statistic:
    """Squared Mahalanobis distance of any wells of a pool from the pool's mean.

    The covariance is that of all wells of the pool, so that it does not depend on who is treated; of one group of
    wells against all others this orders groups as the covariance within groups does (Hotelling's T squared).
    """
    wells = pool.standardize(values)
    products = wells @ wells.T
    identity, share = shrink(products, _varying(wells))
    if identity == 0:
        return lambda groups: np.zeros(len(groups))
    whitened = np.linalg.solve(identity * np.eye(len(wells)) + share * products, products)
    whitened = (whitened + whitened.T) / 2
    return lambda groups: mean_products(whitened, groups)


def _varying(wells: np.ndarray) -> int:
    """How many features differ between wells; those that do not are none."""
    return int(wells.any(axis=0).sum())


def shrink(products: np.ndarray, features: int) -> tuple[float, float]:
    """Shrink a covariance towards its mean variance as Ledoit and Wolf do (J Multivar Anal 2004, lemma 3.3).

    Parameters
    ----------
    products
        Scalar products of centred wells, shape ``(n, n)``: all that the shrinkage depends on.
    features
        Of how many features they are.

    Returns
    -------
    a and c: the covariance is ``a I + c Z'Z`` of the wells Z; both 0 where nothing varies.
    """
    n = len(products)
    mean = np.trace(products) / (n * features) if features else 0.0
    if mean <= 0:
        return 0.0, 0.0
    square = (products**2).sum() / n**2 / features
    spread = square - mean**2
    noise = ((np.diag(products) ** 2).sum() / n**2 / features) - square / n
    shrinkage = min(max(noise / spread, LEAST_SHRINKAGE), 1.0) if spread > 0 else 1.0
    return float(shrinkage * mean), float((1 - shrinkage) / n)
