"""Sphering: directions in which negative controls vary count less, until controls vary equally in all.

The transform is ZCA-cor (Kessy et al. 2018, doi 10.1080/00031305.2016.1277159), as pycytominer's ``spherize`` with this
method: features in units of the controls' standard deviation, times the inverse root of the controls' correlations. Two
things differ. pycytominer adds 1e-6 to singular values, so that with fewer controls than features directions in which
controls did not vary are blown up; here the correlations are regularised, as strongly as makes controls that were held
out most likely. And each group has a centre of its own, while the correlations are those within all groups together: a
plate's few controls would not do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imaging.analyses.controls import ControlledValues, control_values
from imaging.analyses.corrected import Corrected
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import Correct
from imaging.analyses.whitening import REGULARIZATIONS, Covariance, cross_validate, fit_covariance

OVER_WHITENED = 2.0
"""Variance of controls that were held out above which whitening has learnt noise; 1 is what it should be."""
_UNKNOWN = 1.0


def sphere(profiles: Profiles, recipe: Correct, *, to: str = "negcon", section: str = "correct") -> Corrected:
    """Sphere profiles by their negative controls.

    Parameters
    ----------
    profiles
        Normalised wells.
    recipe
        ``by``: wells of one plate, batch or experiment have a centre of their own; ``regularization``; ``held_back``.
    to
        ``negcon``, or ``all`` to sphere by all wells.
    section
        Section of the recipe in messages.

    Returns
    -------
    Profiles in which controls have variance 1 in every direction. Values that a well lacks count as its controls'
    centre; features that do not vary in controls, or that no control of a group has, are left out; notes say so.

    Raises
    ------
    ConfigurationError
        If groups have no negative controls, or too few.
    """
    given = control_values(profiles, recipe, to=to, section=section)
    covariance, notes, details = fit_whitening(given, recipe.regularization)
    fitted = given.fitted if to == "negcon" else np.zeros(len(profiles), bool)
    whitened = given.profiles.with_values(covariance.whiten(given.profiles.values))
    return Corrected(whitened, (*given.notes, *notes), {"fitted": fitted} | details)


def fit_whitening(
    given: ControlledValues, regularization: float | None
) -> tuple[Covariance, tuple[str, ...], dict[str, Any]]:
    """Covariance of the fitted controls, regularised as given or as held-out controls say; notes and details."""
    values, groups = given.profiles.values[given.fitted], given.groups[given.fitted]
    candidates = REGULARIZATIONS if regularization is None else [regularization]
    chosen = cross_validate(values, groups, given.folds, candidates)
    notes: list[str] = []
    strength = chosen.value
    if np.isnan(chosen.held_out_variance) and regularization is None:
        strength = _UNKNOWN
        notes.append(f"too few controls to choose the regularisation on, so it is {_UNKNOWN:g}")
    elif regularization is None and strength in (REGULARIZATIONS[0], REGULARIZATIONS[-1]):
        notes.append(f"the regularisation is the {'least' if strength < 1 else 'greatest'} that is tried, {strength:g}")
    if chosen.held_out_variance > OVER_WHITENED:
        notes.append(
            f"over-whitened: controls that were held out of the fit vary {chosen.held_out_variance:.2g} times as much "
            "as they should; raise `correct: {regularization: ...}`, leave it out, or select fewer features"
        )
    covariance = fit_covariance(values, freedom=len(values) - len(np.unique(groups)), regularization=strength)
    details = {"regularization": strength, "held_out_variance": chosen.held_out_variance, "n_fitted": len(values)}
    return covariance, tuple(notes), details
