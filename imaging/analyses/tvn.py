"""Typical variation normalisation: controls are whitened, then those of each batch are given the same covariance.

After Ando et al. 2017 (doi 10.1101/161422): principal components of the negative controls in units of their standard
deviation, then CORAL (Sun et al. 2016, doi 10.1609/aaai.v30i1.10306) per batch. Theirs whitens by principal components;
ours by the symmetric root of the regularised covariance, which is the same but for a rotation, and keeps the features'
names. CORAL's covariances are shrunk (Ledoit and Wolf 2004), as a batch has fewer controls than features: with few,
only how much a batch's controls vary is aligned, and not in which directions.
"""

from __future__ import annotations

import numpy as np

from imaging.analyses.controls import control_values
from imaging.analyses.corrected import Corrected
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import Correct
from imaging.analyses.sphering import fit_whitening
from imaging.analyses.whitening import shrink_covariance


def normalize_typical_variation(profiles: Profiles, recipe: Correct) -> Corrected:
    """Whiten profiles by their negative controls, and align the controls' covariance of each plate or batch.

    Parameters
    ----------
    profiles
        Normalised wells.
    recipe
        ``by``: what is aligned; ``regularization``, ``held_back``.

    Returns
    -------
    As `sphere`.

    Raises
    ------
    ConfigurationError
        If groups have no negative controls, or too few.
    """
    given = control_values(profiles, recipe, to="negcon", section="correct")
    covariance, notes, details = fit_whitening(given, recipe.regularization)
    values = covariance.whiten(given.profiles.values)
    common = float((values[given.fitted] ** 2).mean())
    for group in range(len(given.names)) if len(given.names) > 1 else ():
        rows = given.groups == group
        own = shrink_covariance(values[rows & given.fitted])
        if own.mean > 0:
            values[rows] = own.whiten(values[rows]) * np.sqrt(common)
    if len(given.names) == 1:
        notes += (f"there is one {recipe.by} only, so TVN is sphering here",)
    return Corrected(given.profiles.with_values(values), (*given.notes, *notes), {"fitted": given.fitted} | details)
