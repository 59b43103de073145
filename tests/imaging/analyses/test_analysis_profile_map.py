"""The map of profiles: true principal components, the same each time, whatever is missing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from imaging.analyses.profile_map import map_profiles
from imaging.analyses.profiles import Profiles, complete_wells


def profiles(values: np.ndarray) -> Profiles:
    wells = complete_wells(pd.DataFrame({"well": [f"A{n:02d}" for n in range(len(values))]}))
    return Profiles(values, tuple(f"f{n}" for n in range(values.shape[1])), wells)


def test_axes_are_the_principal_components() -> None:
    values = np.random.default_rng(0).normal(size=(40, 7)) * [9, 5, 1, 1, 1, 1, 1]
    found = map_profiles(profiles(values))
    centred = values - values.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * sizes[:2]
    for axis, name in enumerate("xy"):
        place = found.points[name].to_numpy()
        assert np.abs(place) == pytest.approx(np.abs(expected[:, axis]), abs=1e-8)
    assert found.explained == pytest.approx(tuple(sizes[:2] ** 2 / (sizes**2).sum()))


def test_the_order_of_profiles_does_not_move_or_turn_the_map() -> None:
    values = np.random.default_rng(1).normal(size=(60, 20))
    first = map_profiles(profiles(values)).points[["x", "y"]].to_numpy()
    again = map_profiles(profiles(values[::-1])).points[["x", "y"]].to_numpy()[::-1]
    assert again == pytest.approx(first, abs=1e-8)


def test_values_that_are_not_there_stand_at_the_median_and_move_nothing() -> None:
    values = np.random.default_rng(2).normal(size=(30, 6))
    filled, sparse = values.copy(), values.copy()
    sparse[3, 2] = np.nan
    filled[3, 2] = np.nanmedian(sparse[:, 2])
    empty = np.full((30, 1), np.nan)
    with_hole = map_profiles(profiles(np.hstack([sparse, empty]))).points["x"].to_numpy()
    assert with_hole == pytest.approx(map_profiles(profiles(filled)).points["x"].to_numpy(), abs=1e-9)


@pytest.mark.parametrize("values", [np.zeros((0, 3)), np.ones((1, 3)), np.full((4, 2), 7.0), np.full((3, 1), np.nan)])
def test_profiles_that_do_not_differ_stand_in_one_place(values: np.ndarray) -> None:
    found = map_profiles(profiles(values))
    assert found.explained == (None, None)
    assert (found.points[["x", "y"]].to_numpy() == 0).all()


def test_of_one_feature_the_second_axis_is_empty() -> None:
    found = map_profiles(profiles(np.array([[1.0], [2.0], [4.0]])))
    assert found.points["y"].to_numpy() == pytest.approx([0, 0, 0])
    assert found.explained == pytest.approx((1.0, 0.0))
