"""Who takes part in an analysis."""

from __future__ import annotations

import numpy as np
import pandas as pd

from imaging.analyses.failures import find_failures
from imaging.analyses.participation import choose_wells
from imaging.analyses.recipe import AnalysisRecipe, Failures
from tests.imaging.analyses.made_screen import make_profiles, make_wells


def test_one_well_at_several_time_points_is_no_replicate_of_itself() -> None:
    wells = make_wells(batches=1, plates=2, shape=(6, 8), treatments=14)
    series = pd.concat([wells.assign(time_point=number) for number in (1, 2, 3)], ignore_index=True)
    series = series[(series["plate"] != series["plate"].iloc[0]) | (series["time_point"] < 3)].reset_index(drop=True)
    profiles = make_profiles(series, np.random.default_rng(0).normal(size=(len(series), 4)))
    nothing = find_failures(profiles, Failures(rules=()))
    part = choose_wells(profiles, AnalysisRecipe(), nothing)
    last = part.profiles.wells.groupby("plate")["time_point"].unique().map(list).tolist()
    assert last == [[2], [3]]
    assert len(part.profiles) == len(wells[wells["control"] != "empty"])
    assert any("other time points" in note for note in part.notes)
    asked = AnalysisRecipe.model_validate({"filter": {"time_point": 1}})
    assert set(choose_wells(profiles, asked, nothing).profiles.wells["time_point"]) == {1}
