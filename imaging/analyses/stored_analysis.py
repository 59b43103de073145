"""The analysis of an experiment's published plates under a recipe, as far as possible from what was kept of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from imaging.analyses.analysis import Analysis, analyse, stack_common
from imaging.analyses.kept_plates import KeptPlates
from imaging.analyses.numbered import Decision, decision_frame
from imaging.analyses.recipe import AnalysisRecipe
from imaging.errors import ConfigurationError
from imaging.export.selection import Published


def analyse_published(
    publications: Sequence[Published],
    recipe: AnalysisRecipe,
    decisions: list[Decision],
    plates: KeptPlates,
) -> Analysis:
    """Analyse published plates.

    Parameters
    ----------
    publications
        One publication per plate.
    recipe
        The recipe.
    decisions
        What a person decided about wells and plates.
    plates
        What was kept of them.

    Raises
    ------
    StoredDataError
        If a publication is damaged.
    ConfigurationError
        If nothing can be said of them.
    """
    if not publications:
        raise ConfigurationError(
            "no plate of the experiment is published any more; publish one", experiment=plates.experiment
        )
    read = [plates.read_wells(published, recipe.annotate) for published in publications]
    profiles, notes = stack_common([plate.profiles for plate in read])
    analysis = analyse(
        profiles,
        recipe,
        sites=pd.concat([plate.sites for plate in read], ignore_index=True),
        images=pd.concat([plate.images for plate in read], ignore_index=True),
        decisions=decision_frame(decisions, plates.experiment),
        normalize_plate=plates.normalize,
    )
    return replace(analysis, notes=(*notes, *analysis.notes))
