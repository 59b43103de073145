"""Effects on single features, and viability."""

import numpy as np
import pytest

from imaging.analyses.effects import measure_effects, robust_z, value_of
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.viability import measure_viability
from imaging.errors import ConfigurationError
from tests.known_answers.noise import Screen, draw

FEW = HitCriteria(permutations=500, features=("f0", "f1"))


def test_robust_z_is_of_each_plate_s_own_controls():
    profiles = draw(Screen(treatments=4, replicates=2, controls=6), 0)
    values = profiles.of("f0")
    z = robust_z(profiles, values)
    for plate in ("P0", "P1"):
        is_here = (profiles.wells["plate"] == plate).to_numpy()
        controls = values[is_here & profiles.is_control("negcon")]
        centre = np.median(controls)
        spread = 1.4826 * np.median(np.abs(controls - centre))
        assert z[is_here] == pytest.approx((values[is_here] - centre) / spread)


def test_controls_that_do_not_differ_give_no_z():
    profiles = draw(Screen(treatments=2, replicates=1), 0)
    values = np.where(profiles.is_control("negcon"), 7.0, 9.0)
    assert np.isnan(robust_z(profiles, values)).all()


def test_a_shift_up_or_down_is_told_from_chance():
    profiles = draw(Screen(treatments=20, plate=0), 0)
    for treatment, shift in (("t000", 20.0), ("t001", -20.0)):
        profiles.values[(profiles.wells["treatment"] == treatment).to_numpy(), 1] += shift
    found = measure_effects(profiles, FEW)
    clear = found[found["q"] <= 0.05]
    assert sorted(set(clear["number"])) == [0, 1]
    of_feature = found[found["feature"] == "f1"].set_index("number")
    assert of_feature["z"][0] > 3 > -3 > of_feature["z"][1]
    assert of_feature["ssmd"][0] > 2 > -2 > of_feature["ssmd"][1]


def test_the_best_of_several_features_pays_for_their_number():
    found = measure_effects(draw(Screen(treatments=20), 0), FEW)
    least = found.groupby("number")["p"].min()
    assert found.groupby("number")["p_any"].first().tolist() == pytest.approx((2 * least).clip(upper=1).tolist())


def test_the_number_of_cells_is_a_feature():
    profiles = draw(Screen(treatments=2), 0)
    assert value_of(profiles, "cells_count").tolist() == profiles.wells["cells_count"].tolist()


def test_an_unknown_feature_is_named_with_what_is_near_it():
    profiles = draw(Screen(treatments=2, features=3), 0)
    with pytest.raises(ConfigurationError, match=r"names 'f11', which these profiles lack; did you mean 'f1'\?"):
        measure_effects(profiles, HitCriteria(features=("f11",)))


def test_without_features_there_are_no_effects():
    assert len(measure_effects(draw(Screen(treatments=2), 0), HitCriteria())) == 0


def test_wells_without_a_value_do_not_count():
    profiles = draw(Screen(treatments=3, replicates=2), 0)
    profiles.values[np.flatnonzero(profiles.wells["treatment"] == "t001")[0], 0] = np.nan
    found = measure_effects(profiles, HitCriteria(permutations=500, features=("f0",)))
    assert found["reason"].tolist() == ["", "only 1 of its 2 wells have a value, a decision needs 2", ""]
    assert found["q"].isna().tolist() == [False, True, False]


def test_fewer_cells_are_told_from_chance_and_more_cells_are_not():
    profiles = draw(Screen(treatments=20), 0)
    counts = profiles.wells["cells_count"].to_numpy(float, copy=True)
    counts[profiles.wells["treatment"] == "t000"] /= 5
    counts[profiles.wells["treatment"] == "t001"] *= 5
    profiles.wells["cells_count"] = counts
    found = measure_viability(profiles, FEW)
    assert found["z"][0] < -4
    assert found["z"][1] > 4
    assert (found["q"] <= 0.05).tolist() == [True] + [False] * 19


def test_without_counts_viability_is_not_decided():
    profiles = draw(Screen(treatments=2), 0)
    profiles.wells["cells_count"] = np.nan
    found = measure_viability(profiles, FEW)
    assert found["reason"].str.startswith("only 0 of its 4 wells have a value").all()
    assert found["z"].isna().all()
