"""Viability: how many cells a treatment leaves, against the negative controls of its plates."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from imaging.analyses.effects import CELLS_COUNT, median_of, robust_z, shift_of
from imaging.analyses.exchange import ExchangeTest, exchange_all
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.treatments import Treatments, false_discovery_rates, find_testable, list_treatments


def measure_viability(
    profiles: Profiles,
    hits: HitCriteria,
    *,
    treatments: Treatments | None = None,
    reference: np.ndarray | None = None,
) -> pd.DataFrame:
    """Measure how far the number of cells of each treatment is below that of the negative controls.

    Parameters
    ----------
    profiles
        Wells with their number of cells.
    hits, treatments, reference
        As in `activity.measure_activity`.

    Returns
    -------
    One row per treatment, in their order: ``z`` (median over its wells of the robust z within each plate),
    ``cells_count`` (median), ``p`` (of fewer cells, from exchanging wells within plates), ``q``, ``reason``.
    """
    treatments = list_treatments(profiles) if treatments is None else treatments
    counts = profiles.wells[CELLS_COUNT].to_numpy(float)
    testable = find_testable(
        profiles,
        treatments,
        least_replicates=hits.least_replicates,
        reference=reference,
        has_value=np.isfinite(counts),
    )
    p_values = exchange_all(
        testable.pools,
        ExchangeTest("viability", counts, partial(shift_of, sign=-1)),
        count=hits.permutations,
        seed=hits.seed,
        fdr=hits.rate,
    )
    z = robust_z(profiles, counts, reference=reference)
    return pd.DataFrame(
        {
            "z": [median_of(z[rows]) for rows in treatments.rows],
            "cells_count": [median_of(counts[rows]) for rows in treatments.rows],
            "p": p_values,
            "q": false_discovery_rates(p_values, treatments.is_positive),
            "reason": testable.reasons,
        }
    )
