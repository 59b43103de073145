from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pycytominer import feature_select

from imaging.analyses.correlations import correlate_columns
from imaging.analyses.profiles import Profiles, stack_profiles
from imaging.analyses.recipe import Select
from imaging.analyses.select import frequencies, replicate_correlations, select_features
from imaging.errors import ConfigurationError
from tests.imaging.analyses.made_profiles import as_frame, make_profiles, shuffle

STANDARD = Select.model_validate({})


def recipe(*operations: str, **keys: object) -> Select:
    return Select.model_validate({"operations": operations or "none"} | keys)


def difficult_profiles() -> Profiles:
    """Correlated features with gaps, repeated values and outliers."""
    profiles = make_profiles(plates=6, features=120, rank=4)
    rng = np.random.default_rng(3)
    values = profiles.values
    values[:, 10:30] = values[:, :20] + 0.1 * rng.normal(size=(len(values), 20))
    values[:, 30:36] = np.round(values[:, 30:36])
    values[:-1, 36] = 0.25
    values[:, 37] = 4.0
    values[:, 40:60][rng.random((len(values), 20)) < np.linspace(0, 0.12, 20)] = np.nan
    values[5, 61] = -600.0
    return profiles


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("missing", "drop_na_columns"),
        ("variance", "frequency_threshold"),
        ("correlation", "correlation_threshold"),
        ("outliers", "drop_outliers"),
    ],
)
def test_the_features_that_stay_are_pycytominers(ours: str, theirs: str) -> None:
    profiles = difficult_profiles()
    # Of a constant feature pycytominer has no correlations.
    known = profiles.only(sorted(set(profiles.features) - {"Cells_F037"})) if ours == "correlation" else profiles
    expected = feature_select(as_frame(known), features=list(known.features), operation=theirs, outlier_cutoff=500)
    made = select_features(known, recipe(ours))
    assert list(made.profiles.features) == [name for name in expected.columns if name in known.features]
    assert 0 < len(made.dropped) < 120
    assert {one.operation for one in made.dropped} == {ours}


def test_operations_follow_one_another() -> None:
    profiles = difficult_profiles()
    made = select_features(profiles, STANDARD)
    theirs = ["drop_na_columns", "frequency_threshold", "correlation_threshold", "drop_outliers"]
    expected = feature_select(as_frame(profiles), features=list(profiles.features), operation=theirs)
    assert list(made.profiles.features) == [name for name in expected.columns if name in profiles.features]


def test_correlations_with_gaps_are_those_of_pandas() -> None:
    values = difficult_profiles().values
    values[:, 5] += 1e6
    values[3:, 70] = np.nan
    expected = pd.DataFrame(values).corr(min_periods=2).to_numpy()
    np.testing.assert_allclose(correlate_columns(values), expected, rtol=0, atol=1e-9)


def test_equal_features_leave_the_first_by_name_whatever_the_order() -> None:
    profiles = make_profiles(features=4)
    profiles.values[:, 2] = profiles.values[:, 1]
    profiles.values[:, 3] = profiles.values[:, 1] * 0.7 + 0.1  # equal up to its rounding
    mixed = [shuffle(profiles, seed)[0] for seed in range(20)]
    for given in (profiles, *mixed, profiles.only(profiles.features[::-1])):
        made = select_features(given, recipe("correlation"))
        assert set(made.profiles.features) == {"Cells_F000", "Cells_F001"}


def test_a_dropped_copy_names_the_feature_that_it_copies() -> None:
    profiles = make_profiles(features=3)
    profiles.values[:, 2] = profiles.values[:, 0]
    (dropped,) = select_features(profiles, recipe("correlation")).dropped
    assert (dropped.feature, dropped.reason) == ("Cells_F002", "correlation 1 with Cells_F000")


def test_opposite_features_both_stay() -> None:
    profiles = make_profiles(features=2)
    profiles.values[:, 1] = -profiles.values[:, 0]
    assert len(select_features(profiles, recipe("correlation")).profiles.features) == 2


def test_frequencies_count_values() -> None:
    values = np.array([[1.0, 2, 5, np.nan], [1, 2, 6, 1], [1, 3, 7, 1], [4, 3, 8, 1]])
    ratios, shares = frequencies(values)
    np.testing.assert_allclose(ratios, [1 / 3, 1, 1, 0])
    np.testing.assert_allclose(shares, [0.5, 0.5, 1, 0.25])


def test_constant_and_empty_features_go_with_their_reason() -> None:
    profiles = make_profiles(features=4)
    profiles.values[:, 1], profiles.values[:, 2] = 3.0, np.nan
    made = select_features(profiles, recipe("variance"))
    assert made.profiles.features == ("Cells_F000", "Cells_F003")
    assert {one.feature: (one.operation, one.reason) for one in made.dropped} == {
        "Cells_F002": ("empty", "no well has a value"),
        "Cells_F001": ("variance", "all wells have the same value"),
    }


def test_without_operations_only_empty_features_go() -> None:
    profiles = difficult_profiles()
    profiles.values[:, 0] = np.nan
    made = select_features(profiles, recipe())
    assert [one.feature for one in made.dropped] == ["Cells_F000"]
    assert len(made.profiles.features) == 119


def test_features_that_a_plate_lacks_are_missing() -> None:
    one, other = make_profiles(plates=1), make_profiles(plates=1, features=4)
    made = select_features(stack_profiles([one, other]), recipe("missing"))
    assert [one.feature for one in made.dropped] == ["Cells_F004"]
    assert made.dropped[0].reason == "50 % of wells have no value, more than 5 %"


def test_the_blocklist_takes_noisy_features() -> None:
    profiles = make_profiles(features=2).with_values(
        make_profiles(features=2).values, ["Nuclei_Correlation_Manders_AGP_DNA", "Nuclei_AreaShape_Area"]
    )
    assert select_features(profiles, recipe("blocklist")).profiles.features == ("Nuclei_AreaShape_Area",)


def test_replicates_keep_what_treatments_share() -> None:
    profiles = make_profiles(plates=4, treatments=60, features=3)
    effect = np.random.default_rng(5).normal(size=61) * 2
    treated = ~profiles.is_control("negcon")
    profiles.values[treated, 0] += effect[profiles.wells["treatment"][treated].str[1:].astype(int)]
    correlations = replicate_correlations(profiles.take(treated))
    assert correlations[0] == pytest.approx(4 / 5, abs=0.1)  # variance 4 between, 1 within
    assert np.abs(correlations[1:]).max() < 0.15
    made = select_features(profiles, recipe("replicates"))
    assert made.profiles.features == ("Cells_F000",)
    assert "p-values of activity, replication and distance are too small" in made.notes[0]


def test_wells_without_a_name_are_no_replicates_of_one_another() -> None:
    profiles = make_profiles(plates=6, features=5)
    unnamed = profiles.wells["treatment"].where(np.arange(len(profiles)) % 4 > 0, "")
    nameless = Profiles(profiles.values, profiles.features, profiles.wells.assign(treatment=unnamed))
    named = nameless.take((unnamed != "").to_numpy())
    assert replicate_correlations(nameless).tolist() == replicate_correlations(named).tolist()


def test_one_replicate_selects_nothing_by_replicates_and_says_so() -> None:
    made = select_features(make_profiles(plates=1), recipe("replicates"))
    assert len(made.profiles.features) == 5
    assert made.notes == ("no treatment has replicates, so features were not selected by their replicates",)


def test_the_intraclass_correlation_of_unequal_groups_is_the_mixed_models() -> None:
    statsmodels = pytest.importorskip("statsmodels.regression.linear_model")
    profiles = make_profiles(plates=3, treatments=30, features=1).take(np.arange(100))
    treated = profiles.take(profiles.is_control("trt"))
    codes = pd.factorize(treated.wells["treatment"])[0]
    design = np.eye(codes.max() + 1)[codes]
    fit = statsmodels.OLS(treated.values[:, 0], design).fit()
    counts = np.bincount(codes)
    used = counts[codes] > 1
    assert used.sum() < len(used) or (counts > 1).all()
    within = fit.ssr / (used.sum() - (counts > 1).sum())
    again = treated.take(used)
    means = again.values[:, 0].mean()
    between = sum(len(rows) * (again.values[rows, 0].mean() - means) ** 2 for _, rows in again.groups(["treatment"]))
    between /= (counts > 1).sum() - 1
    many = counts[counts > 1]
    size = (many.sum() - (many**2).sum() / many.sum()) / (len(many) - 1)
    assert replicate_correlations(treated)[0] == pytest.approx((between - within) / (between + (size - 1) * within))


def test_when_no_feature_is_left_it_says_what_took_them() -> None:
    profiles = make_profiles(features=3)
    profiles.values[:, 0], profiles.values[:, 1:] = np.nan, 2.0
    with pytest.raises(ConfigurationError, match="no feature is left of 3: empty took 1, variance took 2"):
        select_features(profiles, recipe("variance"))


def test_the_order_of_wells_does_not_matter() -> None:
    profiles = difficult_profiles()
    mixed, _ = shuffle(profiles)
    assert select_features(mixed, STANDARD).dropped == select_features(profiles, STANDARD).dropped


def test_nothing_is_computed_of_no_features(capfd: pytest.CaptureFixture[str]) -> None:
    profiles = make_profiles(plates=1, features=4)
    with pytest.raises(ConfigurationError, match="no feature is left of 4: empty took 4"):
        select_features(profiles.with_values(np.full(profiles.values.shape, np.nan)), recipe("missing", "correlation"))
    assert capfd.readouterr().err == ""  # linear algebra says something of its own about empty matrices
