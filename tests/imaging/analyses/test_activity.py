"""Activity and distance of treatments: found where there is some, at the stated rate where there is none."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from imaging.analyses.activity import measure_activity
from imaging.analyses.distances import measure_distance, measure_distances, shrink
from imaging.analyses.exchange import Pool
from imaging.analyses.recipe import HitCriteria
from tests.known_answers.noise import Screen, draw, normalized

FEW = HitCriteria(permutations=500)
MEASURES = pytest.mark.parametrize("measure", [measure_activity, measure_distances])


@MEASURES
def test_treatments_that_do_something_are_told_from_controls(measure):
    found = measure(normalized(draw(Screen(treatments=20, active=5, effect=3), 0)), FEW)
    assert (found["q"] <= 0.05).tolist() == [True] * 5 + [False] * 15


@MEASURES
@pytest.mark.parametrize("screen", [Screen(controls=8), Screen(features=300, treatments=20, plate=4), Screen(tails=3)])
def test_p_values_of_noise_are_as_small_as_they_say(measure, screen):
    p = np.concatenate([measure(normalized(draw(screen, seed)), FEW)["p"] for seed in range(4)])
    # Five standard errors of 240 p-values, three of the 80 of the second screen; some are of the same controls.
    assert 0.01 < (p <= 0.05).mean() < 0.1
    assert 0.35 < (p <= 0.5).mean() < 0.65


@MEASURES
def test_another_order_of_the_wells_gives_the_same(measure):
    profiles = normalized(draw(Screen(treatments=10, active=2, effect=1, replicates=3), 1))
    order = np.random.default_rng(0).permutation(len(profiles))
    again, found = measure(profiles.take(order), FEW), measure(profiles, FEW)
    assert again["p"].tolist() == found["p"].tolist()
    pd.testing.assert_frame_equal(again, found, rtol=1e-9)


@MEASURES
def test_how_plates_were_scaled_does_not_matter_to_p_values(measure):
    raw = draw(Screen(treatments=10, active=1, effect=1), 2)
    assert measure(raw, FEW)["p"].tolist() == measure(normalized(raw), FEW)["p"].tolist()


@MEASURES
def test_one_replicate_is_not_decided(measure):
    found = measure(draw(Screen(treatments=3, replicates=1, active=3, effect=50), 0), FEW)
    assert found["p"].isna().all()
    assert found["q"].isna().all()
    assert set(found["reason"]) == {"1 replicate, a decision needs 2"}


@MEASURES
def test_without_negative_controls_nothing_is_decided(measure):
    profiles = draw(Screen(treatments=3, active=3, effect=50), 0)
    profiles.wells["control"] = "trt"
    found = measure(profiles, FEW)
    assert found["p"].isna().all()
    assert set(found["reason"]) == {"no negative controls on its plates"}


@MEASURES
def test_wells_on_plates_without_controls_do_not_count(measure):
    profiles = draw(Screen(treatments=3, replicates=2), 0)
    profiles.wells.loc[profiles.wells["plate"].eq("P1") & profiles.wells["control"].eq("negcon"), "control"] = "empty"
    found = measure(profiles, FEW)
    assert set(found["reason"]) == {"only 1 of its 2 wells lie on plates with negative controls, a decision needs 2"}


@MEASURES
def test_features_without_values_or_differences_change_nothing(measure):
    profiles = normalized(draw(Screen(treatments=6, active=2, effect=2, features=8), 3))
    useless = np.column_stack([np.full(len(profiles), np.nan), np.full(len(profiles), 4.0)])
    more = profiles.with_values(np.hstack([profiles.values, useless]), [*profiles.features, "gone", "flat"])
    assert measure(more, FEW)["p"].tolist() == pytest.approx(measure(profiles, FEW)["p"].tolist())


@MEASURES
@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_nothing_measured_is_never_a_hit(measure, value):
    profiles = draw(Screen(treatments=4, features=3), 0)
    found = measure(profiles.with_values(np.full(profiles.values.shape, value)), FEW)
    assert not (found["p"] < 1).any()
    if np.isnan(value):
        assert found["reason"].str.contains("only 0 of its 4 wells have a value").all()


@MEASURES
def test_a_plate_of_one_treatment_has_its_result(measure):
    found = measure(draw(Screen(treatments=1, active=1, effect=6), 0), FEW)
    assert found["q"].iloc[0] == found["p"].iloc[0] < 0.01


def test_a_value_missing_here_and_there_does_not_hide_an_effect():
    profiles = normalized(draw(Screen(treatments=10, active=3, effect=4), 0))
    profiles.values[np.random.default_rng(0).random(profiles.values.shape) < 0.05] = np.nan
    for measure in (measure_activity, measure_distances):
        assert (measure(profiles, FEW)["q"] <= 0.05).tolist() == [True] * 3 + [False] * 7


def test_controls_that_are_no_reference_are_left_out():
    profiles = normalized(draw(Screen(treatments=5), 0))
    spoiled = profiles.values.copy()
    is_spoiled = profiles.is_control("negcon") & (np.arange(len(profiles)) % 2 == 0)
    spoiled[is_spoiled] += 100
    with_all = measure_activity(profiles.with_values(spoiled), FEW)
    without = measure_activity(profiles.with_values(spoiled), FEW, reference=~is_spoiled)
    assert (with_all["map"] > without["map"] + 0.2).any() or (with_all["p"] != without["p"]).any()
    assert without["map"].tolist() == measure_activity(profiles, FEW, reference=~is_spoiled)["map"].tolist()


def test_ranks_of_copairs_can_be_the_null_distribution():
    profiles = normalized(draw(Screen(treatments=5, active=2, effect=4), 0))
    ranks, exchanged = measure_activity(profiles, replace_null(FEW, "ranks")), measure_activity(profiles, FEW)
    assert ranks["map"].tolist() == exchanged["map"].tolist()
    assert (ranks["p"][:2] == 1 / 501).all()
    assert ranks["p"].tolist() != exchanged["p"].tolist()


def replace_null(hits, null):
    return hits.model_copy(update={"null": null})


def test_distance_is_that_of_the_covariance_written_out():
    random = np.random.default_rng(5)
    values = random.normal(size=(40, 6)) @ random.normal(size=(6, 6))
    values[-3:] += 2
    pool = Pool(np.arange(40), ((40, 3),))
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    controls = scaled[:-3] - scaled[:-3].mean(axis=0)
    difference = scaled[-3:].mean(axis=0) - scaled[:-3].mean(axis=0)
    identity, share = shrink(controls @ controls.T, 6)
    covariance = identity * np.eye(6) + share * controls.T @ controls
    expected = np.sqrt(difference @ np.linalg.inv(covariance) @ difference)
    assert measure_distance(pool, values) == pytest.approx(expected)


def test_covariance_is_shrunken_as_by_scikit_learn():
    from sklearn.covariance import ledoit_wolf

    wells = np.random.default_rng(6).normal(size=(30, 8)) @ np.diag(np.arange(1, 9))
    wells -= wells.mean(axis=0)
    identity, share = shrink(wells @ wells.T, 8)
    expected, _ = ledoit_wolf(wells, assume_centered=True)
    assert identity * np.eye(8) + share * wells.T @ wells == pytest.approx(expected)


def test_a_farther_treatment_has_a_greater_distance():
    near, far = (
        measure_distances(normalized(draw(replace(Screen(treatments=2, active=1), effect=effect), 0)), FEW)["distance"]
        for effect in (2, 4)
    )
    assert far[0] > 1.5 * near[0] > 1.5 * near[1]
