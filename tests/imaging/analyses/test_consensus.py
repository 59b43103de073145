from __future__ import annotations

import numpy as np
import pytest
from pycytominer import consensus as consensus_of_the_field

from imaging.analyses.consensus import make_consensus, modz_weights
from imaging.analyses.recipe import Consensus
from imaging.errors import ConfigurationError
from tests.imaging.analyses.made_profiles import as_frame, make_profiles, shuffle


def recipe(method: str = "median", *by: str) -> Consensus:
    return Consensus.model_validate({"method": method} | ({"by": by} if by else {}))


@pytest.mark.filterwarnings("ignore:DataFrameGroupBy.apply:FutureWarning")  # pycytominer's, with this pandas
@pytest.mark.parametrize("method", ["median", "mean", "modz"])
def test_profiles_are_those_of_pycytominer(method: str) -> None:
    profiles = make_profiles(plates=5, features=30)
    profiles.values[~profiles.is_control("negcon")] += np.arange(30) / 7
    expected = consensus_of_the_field(
        as_frame(profiles),
        replicate_columns=["Metadata_treatment", "Metadata_concentration"],
        operation=method,
        features=list(profiles.features),
    ).sort_values("Metadata_treatment")
    made = make_consensus(profiles, recipe(method))
    assert made.wells["treatment"].tolist() == expected["Metadata_treatment"].tolist()
    np.testing.assert_allclose(made.values, expected[list(made.features)], rtol=0, atol=1e-9)


@pytest.mark.parametrize("method", ["median", "mean", "modz"])
def test_replicates_without_a_value_do_not_count(method: str) -> None:
    profiles = make_profiles(plates=3, controls=0, treatments=1, features=4)
    profiles.values[:] = [[1, 2, 3, 5], [1, 2, 3, np.nan], [1, 2, 3, np.nan]]
    made = make_consensus(profiles, recipe(method))
    np.testing.assert_allclose(made.values, [[1, 2, 3, 5]], rtol=1e-3)
    profiles.values[0, 3] = np.nan
    assert np.isnan(make_consensus(profiles, recipe(method)).values[0, 3])


def test_modz_weighs_a_replicate_that_contradicts_least() -> None:
    weights = modz_weights(np.array([[1.0, 2, 3, 4], [1, 2, 4, 3], [4, 3, 2, 1]]))
    np.testing.assert_allclose(weights, [0.4938, 0.4938, 0.0123])  # 0.4, 0.4 and 0, which counts as 0.01


@pytest.mark.parametrize("method", ["median", "mean", "modz"])
def test_the_order_of_wells_does_not_change_a_bit(method: str) -> None:
    profiles = make_profiles(plates=6, features=20)
    mixed, _ = shuffle(profiles)
    ours, again = make_consensus(profiles, recipe(method)), make_consensus(mixed, recipe(method))
    np.testing.assert_array_equal(again.values, ours.values)
    assert again.wells.equals(ours.wells)


def test_what_replicates_agree_in_is_kept() -> None:
    profiles = make_profiles(plates=3)
    profiles.wells["mechanism"] = np.where(profiles.wells["treatment"] == "T01", "Eg5 inhibitors", "")
    profiles.wells["solvent"] = profiles.wells["plate"]
    made = make_consensus(profiles, recipe()).wells.set_index("treatment")
    kept = ["mechanism", "control", "experiment", "plate", "solvent"]
    assert made.loc[["T01"], kept].fillna("").values.tolist() == [["Eg5 inhibitors", "trt", "made", "", ""]]
    assert made.loc["T01", "batch"] == "week 1; week 2"
    assert made["n_replicates"].to_dict() == {"DMSO": 24} | {f"T{i:02d}": 3 for i in range(1, 7)}


def test_an_unknown_concentration_is_a_concentration() -> None:
    profiles = make_profiles(plates=2)
    profiles.wells["concentration"] = np.nan
    assert len(make_consensus(profiles, recipe())) == 7


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(ConfigurationError, match="profiles have no column dose to tell replicates by"):
        make_consensus(make_profiles(), recipe("median", "treatment", "dose"))


def test_no_wells_make_no_profiles() -> None:
    made = make_consensus(make_profiles().take(np.array([], int)), recipe())
    assert (len(made), made.wells["n_replicates"].tolist()) == (0, [])
