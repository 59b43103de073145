"""Who takes part in an analysis."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from imaging.analyses.failures import find_failures
from imaging.analyses.participation import check_participation, choose_wells
from imaging.analyses.recipe import AnalysisRecipe, Failures
from imaging.errors import ConfigurationError
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


def test_what_people_excluded_is_no_process_failure() -> None:
    wells = make_wells(batches=1, plates=1, shape=(6, 8), treatments=14)
    profiles = make_profiles(wells, np.random.default_rng(0).normal(size=(len(wells), 4)))
    plate = wells["plate"].iloc[0]
    said = pd.DataFrame(
        [{"experiment": "made", "plate": plate, "kind": "excluded", "decided_by": "Ada", "reason": "x"}]
    )
    decided = find_failures(profiles, Failures(rules=()), decisions=said)
    part = choose_wells(profiles, AnalysisRecipe(), decided)
    assert part.notes == ["left out: 48 wells of 1 plate (decided so)"]
    with pytest.raises(ConfigurationError, match=r"no well is left to analyse \(decided so\)"):
        check_participation(part, AnalysisRecipe(), experiment="made")


def test_plates_of_few_controls_are_told_from_experiments_without_any() -> None:
    wells = make_wells(batches=1, plates=2, shape=(6, 8), treatments=14)
    few = wells.assign(
        control=wells["control"].where(wells["row"].isin(["A", "B"]) | (wells["control"] == "trt"), "trt")
    )
    none = wells.assign(control="trt")
    for made, words in (
        (few, "each plate has fewer than 3 negative controls.*to: all"),
        (none, "no negative controls"),
    ):
        profiles = make_profiles(made, np.random.default_rng(0).normal(size=(len(made), 4)))
        part = choose_wells(profiles, AnalysisRecipe(), find_failures(profiles, Failures(rules=())))
        with pytest.raises(ConfigurationError, match=words):
            check_participation(part, AnalysisRecipe(), experiment="made")
