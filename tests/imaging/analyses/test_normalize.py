from __future__ import annotations

import numpy as np
import pytest
from pycytominer import normalize as normalize_as_the_field
from scipy.stats import norm

from imaging.analyses.normalize import normalize
from imaging.analyses.profiles import Profiles, stack_profiles
from imaging.analyses.recipe import Normalize
from imaging.errors import ConfigurationError
from tests.imaging.analyses.made_profiles import as_frame, make_profiles, shuffle


def recipe(**keys: object) -> Normalize:
    return Normalize.model_validate(keys)


def theirs(profiles: Profiles, method: str, samples: str) -> np.ndarray:
    """pycytominer's values, plate by plate."""
    values = np.empty(profiles.values.shape)
    for _, rows in profiles.groups(["plate"]):
        frame = as_frame(profiles.take(rows))
        made = normalize_as_the_field(frame, features=list(profiles.features), samples=samples, method=method)
        values[rows] = made[list(profiles.features)]
    return values


@pytest.mark.parametrize("method", ["standardize", "mad_robustize"])
@pytest.mark.parametrize(("to", "samples"), [("negcon", "Metadata_control == 'negcon'"), ("all", "all")])
def test_values_are_those_of_pycytominer(method: str, to: str, samples: str) -> None:
    profiles = make_profiles(plate_shift=3.0, features=40)
    profiles.values[[3, 9, 20], [0, 1, 2]] = np.nan
    made = normalize(profiles, recipe(method=method, to=to))
    np.testing.assert_allclose(made.profiles.values, theirs(profiles, method, samples), rtol=1e-9, atol=1e-12)
    assert made.notes == ()


def test_a_hand_computed_plate() -> None:
    profiles = make_profiles(plates=1, controls=4, treatments=1, features=1)
    profiles.values[:, 0] = [1.0, 2.0, 3.0, 10.0, 7.0]
    mad = normalize(profiles, recipe(method="mad_robustize")).profiles.values[4, 0]
    assert mad == pytest.approx((7 - 2.5) / (1.4826 * 1.0))  # deviations 1.5, 0.5, 0.5, 7.5
    z = normalize(profiles, recipe(method="standardize")).profiles.values[4, 0]
    assert z == pytest.approx((7 - 4) / np.sqrt((9 + 4 + 1 + 36) / 4))


@pytest.mark.parametrize("method", ["standardize", "mad_robustize", "inverse_normal"])
@pytest.mark.parametrize("by", ["plate", "batch", "experiment"])
def test_the_order_of_wells_does_not_matter(method: str, by: str) -> None:
    profiles = make_profiles(plate_shift=1.0)
    mixed, back = shuffle(profiles)
    ours = normalize(profiles, recipe(method=method, by=by)).profiles.values
    again = normalize(mixed, recipe(method=method, by=by)).profiles.values[back]
    np.testing.assert_allclose(again, ours, rtol=0, atol=1e-12)


def test_a_batch_is_normalised_as_one() -> None:
    profiles = make_profiles(plates=4, plate_shift=5.0)
    made = normalize(profiles, recipe(method="standardize", by="batch")).profiles
    for _, rows in profiles.groups(["batch"]):
        controls = made.take(rows).values[made.take(rows).is_control("negcon")]
        np.testing.assert_allclose(controls.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(controls.std(axis=0), 1)


def test_time_points_of_a_plate_are_not_mixed() -> None:
    early, late = make_profiles(plates=1, seed=1), make_profiles(plates=1, seed=2)
    late.wells["time_point"] = 2.0
    late.values[:] += 100
    made = normalize(stack_profiles([early, late]), recipe(method="standardize")).profiles
    alone = normalize(early, recipe(method="standardize")).profiles
    np.testing.assert_allclose(made.values[: len(early)], alone.values)


def test_values_are_cut_at_the_clip() -> None:
    profiles = make_profiles()
    profiles.values[-1, 0] = -1e6
    assert normalize(profiles, recipe(clip=15)).profiles.values[-1, 0] == -15
    assert normalize(profiles, recipe(method="none", clip=15)).profiles.values.min() == -15


def test_inverse_normal_gives_bloms_scores_and_ties_share_their_rank() -> None:
    profiles = make_profiles(plates=1, controls=3, treatments=2, features=1)
    profiles.values[:, 0] = [5.0, 1.0, 5.0, 9.0, np.nan]
    made = normalize(profiles, recipe(method="inverse_normal", to="all")).profiles.values[:, 0]
    score = [norm.ppf((rank - 3 / 8) / 4.25) for rank in (2.5, 1, 2.5, 4)]
    np.testing.assert_allclose(made[:4], score - np.median(score))
    assert np.isnan(made[4])


def test_inverse_normal_has_the_median_of_the_controls_at_zero() -> None:
    profiles = make_profiles(plate_shift=2.0)
    profiles.values[~profiles.is_control("negcon")] += 3
    made = normalize(profiles, recipe(method="inverse_normal")).profiles
    for _, rows in profiles.groups(["plate"]):
        plate = made.take(rows)
        np.testing.assert_allclose(np.median(plate.values[plate.is_control("negcon")], axis=0), 0, atol=1e-12)
        assert (np.diff(plate.values[np.argsort(profiles.values[rows, 0]), 0]) > 0).all()


@pytest.mark.parametrize("method", ["standardize", "mad_robustize"])
def test_a_feature_that_is_constant_in_the_controls_of_a_plate_has_no_value_there(method: str) -> None:
    profiles = make_profiles()
    rows = (profiles.wells["plate"] == "P02").to_numpy()
    profiles.values[rows & profiles.is_control("negcon"), 1] = 0.1  # its mean is not 0.1 in binary
    made = normalize(profiles, recipe(method=method))
    assert np.isnan(made.profiles.values[rows, 1]).all()
    assert np.isfinite(made.profiles.values[~rows]).all()
    assert made.notes == (
        "plate P02 has 1 feature without any spread in the 8 wells that are the measure and are without values there: "
        "Cells_F001",
    )


def test_most_controls_equal_is_no_spread_for_the_median_deviation() -> None:
    profiles = make_profiles(plates=1)
    profiles.values[:5, 0] = 0
    made = normalize(profiles, recipe())
    assert np.isnan(made.profiles.values[:, 0]).all()
    assert normalize(profiles, recipe(method="standardize")).notes == ()


@pytest.mark.parametrize("method", ["standardize", "mad_robustize"])
def test_values_are_never_infinite(method: str) -> None:
    profiles = make_profiles(plates=1)
    profiles.values[profiles.is_control("negcon"), 0] *= 1e-300
    assert not np.isinf(normalize(profiles, recipe(method=method)).profiles.values).any()


def test_a_plate_without_a_feature_is_named() -> None:
    one, other = make_profiles(plates=1), make_profiles(plates=1, features=4)
    other.wells["plate"] = "P99"
    made = normalize(stack_profiles([one, other]), recipe())
    assert made.notes == ("plate P99 lacks 1 feature that other wells have and are without values there: Cells_F004",)


def test_a_feature_without_values_anywhere_stays_empty_without_a_note() -> None:
    profiles = make_profiles()
    profiles.values[:, 2] = np.nan
    made = normalize(profiles, recipe())
    assert np.isnan(made.profiles.values[:, 2]).all()
    assert made.notes == ()


def test_two_values_in_the_controls_are_too_few() -> None:
    profiles = make_profiles(plates=1)
    profiles.values[2:8, 0] = np.nan
    made = normalize(profiles, recipe())
    assert np.isnan(made.profiles.values[:, 0]).all()
    assert "too few values of 1 feature" in made.notes[0]


def test_all_plates_without_negative_controls_are_named_at_once() -> None:
    profiles = make_profiles(plates=4)
    profiles.wells.loc[profiles.wells["plate"].isin(["P01", "P04"]), "control"] = "trt"
    rows = profiles.wells.index[profiles.wells["plate"] == "P02"][2:8]
    profiles.wells.loc[rows, "control"] = "empty"
    with pytest.raises(ConfigurationError) as caught:
        normalize(profiles, recipe())
    assert str(caught.value) == (
        "there are no negative controls in plate P01 and plate P04, and fewer than 3 negative controls in plate P02 "
        "(2); say in the plate map which wells are (control: negcon), or let all wells be the measure "
        "(`normalize: {to: all}`)"
    )
    assert normalize(profiles, recipe(to="all")).notes == ()


def test_a_control_without_any_value_is_none() -> None:
    profiles = make_profiles(plates=1, controls=3)
    profiles.values[0] = np.nan
    with pytest.raises(ConfigurationError, match=r"fewer than 3 negative controls in plate P01 \(2\)"):
        normalize(profiles, recipe())


def test_a_plate_of_one_treatment_is_normalised_to_itself_only_if_told() -> None:
    profiles = make_profiles(plates=1, controls=0, treatments=8)
    profiles.wells["treatment"] = "T01"
    with pytest.raises(ConfigurationError, match="no negative controls in plate P01"):
        normalize(profiles, recipe())
    made = normalize(profiles, recipe(to="all", method="standardize")).profiles.values
    np.testing.assert_allclose(made.mean(axis=0), 0, atol=1e-12)


def test_no_wells_are_no_fault() -> None:
    assert len(normalize(make_profiles().take(np.array([], int)), recipe()).profiles) == 0


def test_spherize_spheres_what_standardize_made() -> None:
    profiles = make_profiles(plates=4, controls=100, features=6, rank=2)
    made = normalize(profiles, recipe(method="spherize", by="experiment"))
    fitted = made.details["fitted"]
    assert fitted.sum() == 200
    correlations = np.corrcoef(made.profiles.values[profiles.is_control("negcon") & ~fitted].T)
    before = np.corrcoef(profiles.values[profiles.is_control("negcon")].T)
    assert np.abs(np.triu(correlations, 1)).mean() < np.abs(np.triu(before, 1)).mean() / 2
