"""How often a treatment's nearest neighbour has its mechanism: the field's measure of whole profiles.

NSC (not same compound) leaves out profiles of the same treatment at any concentration (Ljosa et al. 2013, doi
10.1177/1087057113503553); NSCB (not same compound and batch) also those that have a batch in common (Ando et al. 2017,
doi 10.1101/161422).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from imaging.analyses.profiles import NEGCON, Profiles

BATCH_SEPARATOR = "; "
"""Between the batches of a consensus profile whose replicates are of several."""


@dataclass(frozen=True, eq=False)
class MechanismRecall:
    """How often nearest neighbours share the mechanism.

    Parameters
    ----------
    accuracy
        Share of the profiles, 0 to 1; NaN where there is none to ask.
    n
        Profiles with a mechanism and a possible neighbour of the same mechanism or another.
    table
        One row per profile: its position ``profile``, treatment, concentration, mechanism; its nearest neighbour's
        treatment, concentration, mechanism (``neighbour_...``), the cosine ``similarity``, ``is_right``, and
        ``can_be_right``: whether any profile that may be its neighbour has its mechanism. Who has none counts as wrong.
    """

    accuracy: float
    n: int
    table: pd.DataFrame


def classify_by_neighbour(
    consensus: Profiles, *, exclude: Literal["treatment", "treatment+batch"] = "treatment"
) -> MechanismRecall:
    """Give each profile the mechanism of its nearest neighbour by cosine, and count how often that is right.

    Parameters
    ----------
    consensus
        One profile per treatment and concentration, negative controls at 0; those without a mechanism and negative
        controls do not take part. Cosines are of the features that both profiles have.
    exclude
        Whom a profile may not have as neighbour: ``treatment`` its own treatment (NSC), ``treatment+batch`` also all
        with a batch in common (NSCB).

    Returns
    -------
    Accuracy, count and table. Profiles of equal similarity are taken in the order of treatment and concentration.
    """
    annotated = (consensus.wells["mechanism"] != "").to_numpy() & ~consensus.is_control(NEGCON)
    order = consensus.wells.loc[annotated].sort_values(["treatment", "concentration"], kind="stable").index.to_numpy()
    ours = consensus.take(order)
    similarity = cosine_similarities(ours.values)
    allowed = _allowed(ours.wells, exclude)
    similarity[~allowed] = -np.inf
    similarity[np.isnan(similarity)] = -np.inf
    has_neighbour = np.isfinite(similarity).any(axis=1)
    # Rounded, so that which of two equal neighbours is taken depends on their names and not on the last bit.
    nearest = np.round(similarity[has_neighbour], 12).argmax(axis=1) if has_neighbour.any() else np.empty(0, int)
    asked = np.flatnonzero(has_neighbour)
    named = ["treatment", "concentration", "mechanism"]
    table = pd.concat(
        [
            ours.wells.loc[asked, named].reset_index(drop=True),
            ours.wells.loc[nearest, named].reset_index(drop=True).add_prefix("neighbour_"),
        ],
        axis=1,
    )
    table.insert(0, "profile", order[asked])
    table["similarity"] = similarity[asked, nearest]
    table["is_right"] = table["mechanism"] == table["neighbour_mechanism"]
    mechanism = ours.wells["mechanism"].to_numpy()
    table["can_be_right"] = (np.isfinite(similarity) & (mechanism[:, None] == mechanism)).any(axis=1)[asked]
    return MechanismRecall(float(table["is_right"].mean()) if len(table) else np.nan, len(table), table)


def cosine_similarities(values: np.ndarray) -> np.ndarray:
    """Cosines between all rows over the features that both have, shape ``(rows, rows)``; NaN where there is none."""
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    squares = (filled**2) @ known.T.astype(float)
    norms = np.sqrt(squares * squares.T)
    return np.divide(filled @ filled.T, norms, out=np.full(norms.shape, np.nan), where=norms > 0)


def _allowed(wells: pd.DataFrame, exclude: str) -> np.ndarray:
    """Who may be whose neighbour, shape ``(profiles, profiles)``, bool."""
    treatment = pd.factorize(wells["treatment"])[0]
    allowed = treatment[:, None] != treatment
    if exclude == "treatment+batch":
        batches = wells["batch"].str.split(BATCH_SEPARATOR).explode()
        present = pd.crosstab(batches.index, batches).to_numpy().astype(float)
        allowed &= (present @ present.T) == 0
    return allowed
