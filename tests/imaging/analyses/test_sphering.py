from __future__ import annotations

import numpy as np
import pytest
from pycytominer.operations import Spherize

from imaging.analyses.controls import control_values
from imaging.analyses.profiles import Profiles, stack_profiles
from imaging.analyses.recipe import Correct
from imaging.analyses.sphering import sphere
from imaging.errors import ConfigurationError
from tests.imaging.analyses.made_profiles import as_frame, make_profiles, shuffle


def recipe(**keys: object) -> Correct:
    return Correct.model_validate({"method": "sphering"} | keys)


def variance(values: np.ndarray) -> float:
    return float((values**2).mean())


def test_values_are_those_of_pycytominers_zca_cor() -> None:
    profiles = make_profiles(plates=3, controls=20, features=12, rank=3)
    frame = as_frame(profiles)[list(profiles.features)]
    controls = profiles.is_control("negcon")
    theirs = Spherize(method="ZCA-cor", epsilon=0.0, return_numpy=True).fit(frame[controls]).transform(frame)
    ours = sphere(profiles, recipe(by="experiment", regularization=1e-12, held_back=0))
    np.testing.assert_allclose(ours.profiles.values, theirs, rtol=0, atol=1e-7)
    assert ours.details["fitted"].tolist() == controls.tolist()


def test_controls_that_were_held_back_vary_as_they_should() -> None:
    profiles = make_profiles(plates=8, controls=16, features=150, rank=10)
    made = sphere(profiles, recipe())
    held_back = profiles.is_control("negcon") & ~made.details["fitted"]
    assert made.details["held_out_variance"] == pytest.approx(1, abs=0.15)
    assert variance(made.profiles.values[held_back]) == pytest.approx(0.85, abs=0.15)  # folds have fewer to fit on
    assert made.notes == ()
    directions = np.linalg.svd(profiles.values[held_back] - profiles.values[held_back].mean(axis=0))[2][:5]
    before = ((profiles.values[held_back] @ directions.T) ** 2).mean(axis=0)
    after = ((made.profiles.values[held_back] @ directions.T) ** 2).mean(axis=0)
    assert before.min() / variance(profiles.values[held_back]) > 3 * after.max()


def test_treated_wells_lie_as_held_back_controls_and_not_as_fitted_ones() -> None:
    """On pure noise: what was fitted on is closer to the centre, so nothing may be compared with it."""
    profiles = make_profiles(plates=8, controls=16, treatments=16, features=200, rank=10)
    made = sphere(profiles, recipe(regularization=0.05))
    fitted, controls = made.details["fitted"], profiles.is_control("negcon")
    treated, held_back = variance(made.profiles.values[~controls]), variance(made.profiles.values[controls & ~fitted])
    assert held_back / treated == pytest.approx(1, abs=0.05)
    assert variance(made.profiles.values[fitted]) / treated < 0.75


def test_half_of_the_controls_of_each_plate_are_held_back() -> None:
    profiles = make_profiles(plates=5, controls=7)
    fitted = sphere(profiles, recipe(by="experiment")).details["fitted"]
    assert not fitted[~profiles.is_control("negcon")].any()
    counts = profiles.wells[fitted].groupby("plate").size()
    assert fitted.sum() == 18
    assert counts.between(3, 4).all()
    again = sphere(profiles.take(profiles.wells["plate"] != "P03"), recipe(by="experiment")).details["fitted"]
    assert len(again) == 4 * 13


@pytest.mark.parametrize(("held_back", "count"), [(0.0, 40), (0.25, 30), (0.75, 10), (0.99, 3)])
def test_the_share_that_is_held_back_is_the_recipes(held_back: float, count: int) -> None:
    profiles = make_profiles(plates=5, controls=8)
    fitted = control_values(
        profiles, recipe(by="experiment", held_back=held_back), to="negcon", section="correct"
    ).fitted
    assert fitted.sum() == max(count, 3) if held_back < 0.99 else fitted.sum() == 3


def test_which_controls_are_held_back_is_no_pattern_on_the_plate() -> None:
    profiles = make_profiles(plates=6, controls=12)
    fitted = sphere(profiles, recipe()).details["fitted"]
    wells = [
        tuple(profiles.wells["well"][fitted & (profiles.wells["plate"] == plate)]) for plate in ("P01", "P02", "P03")
    ]
    assert len(set(wells)) == 3


def test_three_controls_are_all_fitted_on_and_it_is_said() -> None:
    made = sphere(make_profiles(plates=2, controls=3), recipe(by="plate"))
    assert made.details["fitted"].sum() == 6
    assert (
        "no negative control could be held back for comparisons in plate P01 and plate P02: there are too few"
        in made.notes
    )


def test_over_whitening_is_said() -> None:
    profiles = make_profiles(plates=4, controls=12, features=100)
    made = sphere(profiles, recipe(regularization=1e-4))
    assert made.details["held_out_variance"] > 100
    assert made.notes[-1].startswith("over-whitened: controls that were held out of the fit vary")
    assert sphere(profiles, recipe()).notes == (
        "the regularisation is the greatest that is tried, 100",  # features of these are independent
    )


def test_each_group_is_centred_on_its_controls() -> None:
    profiles = make_profiles(plates=4, controls=20, plate_shift=30.0, features=8)
    made = sphere(profiles, recipe(by="plate"))
    for _, rows in profiles.groups(["plate"]):
        plate = made.profiles.take(rows)
        np.testing.assert_allclose(plate.values[made.details["fitted"][rows]].mean(axis=0), 0, atol=1e-9)
    assert variance(made.profiles.values[~profiles.is_control("negcon")]) < 2


def test_the_order_of_wells_does_not_matter() -> None:
    profiles = make_profiles(plates=6, controls=10, features=80, rank=4)
    mixed, back = shuffle(profiles)
    ours, again = sphere(profiles, recipe()), sphere(mixed, recipe())
    np.testing.assert_allclose(again.profiles.values[back], ours.profiles.values, rtol=0, atol=1e-9)
    assert again.details["fitted"][back].tolist() == ours.details["fitted"].tolist()
    assert again.details["regularization"] == ours.details["regularization"]


def test_gaps_count_as_the_mean_of_the_controls() -> None:
    profiles = make_profiles(plates=4, controls=10)
    filled = Profiles(profiles.values.copy(), profiles.features, profiles.wells)
    treated = np.flatnonzero(profiles.is_control("trt"))[:3]
    given = control_values(profiles, recipe(by="experiment"), to="negcon", section="correct")
    filled.values[treated, 2] = profiles.values[given.fitted, 2].mean()
    profiles.values[treated, 2] = np.nan
    made = sphere(profiles, recipe(by="experiment"))
    np.testing.assert_allclose(made.profiles.values, sphere(filled, recipe(by="experiment")).profiles.values)
    assert made.notes[-1] == "3 values that 3 wells lack count as the mean of their controls"


def test_features_that_controls_lack_or_that_do_not_vary_are_left_out() -> None:
    one, other = make_profiles(plates=1, features=5), make_profiles(plates=1, features=4)
    other.wells["plate"], other.wells["batch"] = "P99", "week 9"
    both = stack_profiles([one, other])
    both.values[both.is_control("negcon"), 0] = 0.1
    made = sphere(both, recipe())
    assert made.profiles.features == ("Cells_F001", "Cells_F002", "Cells_F003")
    assert made.notes[:2] == (
        "1 features were left out, which have no value in the controls of a group: Cells_F004",
        "1 features were left out, which do not vary in controls: Cells_F000",
    )


def test_controls_of_which_nothing_varies_are_one_sentence() -> None:
    profiles = make_profiles(plates=1, features=1)
    profiles.values[profiles.is_control("negcon")] = 0.1
    with pytest.raises(ConfigurationError, match="has nothing to be fitted on: no feature varies"):
        sphere(profiles, recipe())


def test_batches_without_controls_are_named_with_the_cure() -> None:
    profiles = make_profiles(plates=4)
    profiles.wells.loc[profiles.wells["batch"] == "week 2", "control"] = "trt"
    with pytest.raises(ConfigurationError) as caught:
        sphere(profiles, recipe())
    assert str(caught.value) == (
        "there are no negative controls in batch week 2; say in the plate map which wells are (control: negcon), or "
        "correct within wider groups (`correct: {by: experiment}`), or not at all"
    )


def test_sphering_by_all_wells_marks_none() -> None:
    profiles = make_profiles(plates=3)
    made = sphere(profiles, recipe(), to="all")
    assert not made.details["fitted"].any()
    assert made.details["n_fitted"] == len(profiles)
