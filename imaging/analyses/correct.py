"""What batches and plates do to profiles is removed, by the method that the recipe names."""

from __future__ import annotations

import numpy as np

from imaging.analyses.corrected import Corrected
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import Correct
from imaging.analyses.sphering import sphere
from imaging.analyses.tvn import normalize_typical_variation

__all__ = ["Corrected", "correct"]


def correct(profiles: Profiles, recipe: Correct) -> Corrected:
    """Correct profiles by the recipe's method.

    Parameters
    ----------
    profiles
        Normalised wells with the features selected.
    recipe
        Method and parameters; see `sphering`, `tvn` and `harmony`.

    Returns
    -------
    The profiles of the same wells, notes, and details with ``fitted``, shape ``(profiles,)``.

    Raises
    ------
    ConfigurationError
        If sphering or TVN lack negative controls.
    """
    if recipe.method == "none" or not len(profiles):
        return Corrected(profiles, (), {"fitted": np.zeros(len(profiles), bool)})
    if recipe.method == "harmony":
        from imaging.analyses.harmony import harmonize  # its compiled part takes a moment to load

        return harmonize(profiles, recipe)
    return {"sphering": sphere, "tvn": normalize_typical_variation}[recipe.method](profiles, recipe)
