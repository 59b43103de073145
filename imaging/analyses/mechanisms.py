"""Nearest mechanisms: which mechanism of action the treatments most similar to one have."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from imaging.analyses.average_precision import unit_rows
from imaging.analyses.profiles import EMPTY, NEGCON, Profiles

COLUMNS = ("treatment", "concentration", "rank", "mechanism", "similarity", "n_treatments")
_BLOCK = 512


def find_nearest_mechanisms(consensus: Profiles, *, most: int = 3) -> pd.DataFrame:
    """Find for each consensus profile the mechanisms whose treatments are most like it.

    Parameters
    ----------
    consensus
        One profile per treatment and concentration.
    most
        Mechanisms that are listed for each.

    Returns
    -------
    `COLUMNS`, a row per profile and mechanism, the nearest first. The similarity of a mechanism is the mean over its
    other treatments, ``n_treatments`` of them, of the cosine similarity of the most similar of their concentrations.
    A treatment never counts for itself, at whatever concentration. Without annotations there are no rows.
    """
    wells = consensus.wells
    is_treated = ~wells["control"].isin((NEGCON, EMPTY)).to_numpy() & (wells["treatment"] != "").to_numpy()
    is_known = is_treated & (wells["mechanism"] != "").to_numpy()
    unit = unit_rows(consensus.values)
    treatment = wells["treatment"].to_numpy(object)
    known = np.flatnonzero(is_known)
    pairs: Any = wells.iloc[known].groupby(["mechanism", "treatment"], sort=True).indices
    if not pairs:
        return pd.DataFrame(columns=list(COLUMNS))
    order, begins = known[np.concatenate(list(pairs.values()))], _begins(map(len, pairs.values()))
    names = np.array([name for _, name in pairs], object)
    mechanisms, sizes = np.unique([mechanism for mechanism, _ in pairs], return_counts=True)
    found = []
    rows = np.flatnonzero(is_treated)
    for begin in range(0, len(rows), _BLOCK):
        block = rows[begin : begin + _BLOCK]
        best = np.maximum.reduceat(unit[block] @ unit[order].T, begins, axis=1)
        is_other = names != treatment[block][:, None]
        counts = np.add.reduceat(is_other, _begins(sizes), axis=1, dtype=int)
        sums = np.add.reduceat(np.where(is_other, best, 0.0), _begins(sizes), axis=1)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), -np.inf)
        # Rounded, so that which of two equal mechanisms comes first depends on their names and not on the last bit.
        nearest = np.argsort(-np.round(means, 12), axis=1, kind="stable")[:, :most]
        for row, places, mean, count in zip(block, nearest, means, counts, strict=True):
            found += [
                (treatment[row], wells["concentration"].iat[row], rank, mechanisms[place], mean[place], count[place])
                for rank, place in enumerate(places, start=1)
                if count[place]
            ]
    return pd.DataFrame(found, columns=list(COLUMNS))


def _begins(sizes: Iterable[int]) -> np.ndarray:
    """Where each of successive parts begins."""
    return np.cumsum([0, *sizes])[:-1]
