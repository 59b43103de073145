"""Nearest mechanisms: which mechanism of action the treatments most similar to one have."""

from __future__ import annotations

import numpy as np
import pandas as pd

from imaging.analyses.average_precision import unit_rows
from imaging.analyses.profiles import EMPTY, NEGCON, Profiles

COLUMNS = ("treatment", "concentration", "rank", "mechanism", "similarity", "n_treatments")


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
    known = np.flatnonzero(is_known)
    pairs = wells.iloc[known][["treatment", "mechanism"]].reset_index(drop=True)
    found = []
    for row in np.flatnonzero(is_treated):
        own = wells["treatment"].iloc[row]
        near = pairs.assign(similarity=unit[known] @ unit[row])[(pairs["treatment"] != own).to_numpy()]
        best = near.groupby(["mechanism", "treatment"])["similarity"].max()
        scores = best.groupby("mechanism").agg(["mean", "size"]).reset_index()
        scores = scores.sort_values(["mean", "mechanism"], ascending=[False, True]).head(most)
        for rank, (mechanism, similarity, size) in enumerate(scores.itertuples(index=False), start=1):
            found.append((own, wells["concentration"].iloc[row], rank, mechanism, float(similarity), int(size)))
    return pd.DataFrame(found, columns=list(COLUMNS))
