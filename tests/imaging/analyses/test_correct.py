from __future__ import annotations

import numpy as np
import pytest

from imaging.analyses.correct import correct
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import Correct
from tests.imaging.analyses.made_profiles import make_profiles, shuffle


def recipe(method: str, **keys: object) -> Correct:
    return Correct.model_validate({"method": method} | keys)


def spread_of_batches(profiles: Profiles) -> np.ndarray:
    """Standard deviation of each batch's wells, over all features."""
    return np.array([profiles.values[rows].std() for _, rows in profiles.groups(["batch"])])


def distance_of_batches(profiles: Profiles) -> float:
    """Squared distance between the centres of two batches over the variance within."""
    means = [profiles.values[rows].mean(axis=0) for _, rows in profiles.groups(["batch"])]
    within = np.mean([profiles.values[rows].var(axis=0).sum() for _, rows in profiles.groups(["batch"])])
    return float(((means[0] - means[1]) ** 2).sum() / within)


def two_batches(shift: float = 1.0) -> Profiles:
    """Two batches shifted apart."""
    profiles = make_profiles(plates=4, controls=20, treatments=40, features=30, rank=5)
    later = (profiles.wells["batch"] == "week 2").to_numpy()
    profiles.values[later] += shift * np.random.default_rng(8).normal(size=30)
    return profiles


def test_none_changes_nothing() -> None:
    profiles = make_profiles()
    made = correct(profiles, recipe("none"))
    assert made.profiles is profiles
    assert not made.details["fitted"].any()


@pytest.mark.parametrize("method", ["sphering", "tvn", "harmony"])
def test_what_sets_batches_apart_goes(method: str) -> None:
    profiles = two_batches(shift=1.5)
    made = correct(profiles, recipe(method))
    assert distance_of_batches(made.profiles) < distance_of_batches(profiles) / 5
    assert made.profiles.features == profiles.features
    assert made.profiles.wells.equals(profiles.wells)


@pytest.mark.parametrize("method", ["sphering", "tvn", "harmony"])
def test_the_order_of_wells_does_not_matter(method: str) -> None:
    profiles = two_batches()
    mixed, back = shuffle(profiles)
    ours, again = correct(profiles, recipe(method)), correct(mixed, recipe(method))
    np.testing.assert_allclose(again.profiles.values[back], ours.profiles.values, rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", ["sphering", "tvn", "harmony"])
def test_no_wells_are_no_fault(method: str) -> None:
    made = correct(make_profiles().take(np.array([], int)), recipe(method))
    assert (len(made.profiles), made.details["fitted"].shape) == (0, (0,))


def test_tvn_gives_the_controls_of_batches_the_same_spread_and_sphering_does_not() -> None:
    profiles = two_batches()
    profiles.values[profiles.wells["batch"] == "week 2"] *= 3
    tvn = spread_of_batches(correct(profiles, recipe("tvn")).profiles)
    sphered = spread_of_batches(correct(profiles, recipe("sphering")).profiles)
    assert sphered[1] / sphered[0] == pytest.approx(3, abs=0.4)
    assert tvn[1] / tvn[0] == pytest.approx(1, abs=0.4)


def test_tvn_aligns_the_directions_of_batches_with_many_controls() -> None:
    profiles = make_profiles(plates=4, controls=120, treatments=2, features=4)
    later = (profiles.wells["batch"] == "week 2").to_numpy()
    turned = profiles.values[later] @ np.array([[3, 0, 0, 0], [0, 1, 0.9, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    profiles.values[later] = turned
    for method, least in (("tvn", 0.0), ("sphering", 0.35)):
        made = correct(profiles, recipe(method))
        held_back = profiles.is_control("negcon") & ~made.details["fitted"]
        covariances = [np.cov(made.profiles.values[held_back & rows].T) for rows in (later, ~later)]
        difference = np.abs(covariances[0] - covariances[1]).max()
        assert difference > least
        assert method == "sphering" or difference < 0.35


def test_tvn_of_one_batch_is_sphering_and_says_so() -> None:
    profiles = make_profiles(plates=2, controls=12)
    tvn, sphered = correct(profiles, recipe("tvn")), correct(profiles, recipe("sphering"))
    np.testing.assert_array_equal(tvn.profiles.values, sphered.profiles.values)
    assert tvn.notes[-1] == "there is one batch only, so TVN is sphering here"


def test_harmony_of_one_batch_changes_nothing_and_says_so() -> None:
    profiles = make_profiles(plates=2)
    made = correct(profiles, recipe("harmony"))
    assert made.profiles is profiles
    assert made.notes == ("there is one batch only, so Harmony has nothing to remove",)


def test_harmony_says_how_many_components_it_corrects_and_takes_only_those() -> None:
    profiles = two_batches()
    made = correct(profiles, recipe("harmony", dimensions=3))
    assert made.details["dimensions"] == 3
    assert made.notes[0].startswith("Harmony corrected 3 principal components, ")
    assert np.linalg.matrix_rank(made.profiles.values - profiles.values, tol=1e-6) == 3
    assert not made.details["fitted"].any()


def test_harmony_of_batches_that_share_no_cluster_says_that_it_changed_nothing() -> None:
    profiles = two_batches(shift=6)
    made = correct(profiles, recipe("harmony"))
    np.testing.assert_allclose(made.profiles.values, profiles.values, atol=1e-3)
    assert made.notes[-1].startswith("Harmony changed nothing")


def test_harmony_fills_gaps_and_leaves_out_what_is_empty() -> None:
    profiles = two_batches()
    profiles.values[:, 3] = np.nan
    profiles.values[7, 5] = np.nan
    made = correct(profiles, recipe("harmony"))
    assert len(made.profiles.features) == 29
    assert np.isfinite(made.profiles.values).all()
    assert made.notes[:2] == (
        "1 features without values were left out",
        "1 values that wells lack count as the feature's mean",
    )


def test_harmony_takes_a_handful_of_wells() -> None:
    profiles = make_profiles(plates=4, controls=1, treatments=1)
    made = correct(profiles, recipe("harmony"))
    assert np.isfinite(made.profiles.values).all()
    assert made.details["dimensions"] == 5
