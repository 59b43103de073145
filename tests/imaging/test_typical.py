"""Medians and robust standard deviations, by hand."""

from __future__ import annotations

import math

import pytest

from imaging.typical import History, Typical, find_history, find_typical


def test_spread_is_the_median_distance_from_the_median():
    assert find_typical([100.0, 1.0, 3.0, 2.0, 4.0]) == Typical(5, 3.0, 1.4826 * 1.0)
    assert find_typical([1.0, 2.0, 4.0, 9.0]) == Typical(4, 3.0, 1.4826 * 1.5)


def test_where_most_values_are_the_same_the_mean_distance_stands_in():
    found = find_typical([5.0, 5.0, 5.0, 5.0, 9.0])
    assert (found.n, found.median) == (5, 5.0)
    assert found.robust_sd == pytest.approx(math.sqrt(math.pi / 2) * 4 / 5)


def test_same_values_have_no_spread_and_no_z():
    found = find_typical([2.0, 2.0, 2.0])
    assert found == Typical(3, 2.0, None)
    assert found.z_of(9.0) is None


def test_nothing_is_typical_of_no_values():
    assert find_typical([]) == Typical(0, None, None)
    assert find_typical([]).z_of(1.0) is None


def test_z_counts_robust_standard_deviations_with_their_sign():
    assert Typical(8, 10.0, 2.0).z_of(5.0) == -2.5
    assert Typical(8, 10.0, 2.0).z_of(None) is None


def test_history_is_what_is_typical_of_the_plates_that_have_a_value():
    plates = [("P1", "r1", {("DNA", "m"): 1.0, (None, "n"): 5.0}), ("P2", "r2", {("DNA", "m"): 2.0}), ("P3", "r3", {})]
    found = find_history(plates)
    assert found.plates == (("P1", "r1"), ("P2", "r2"), ("P3", "r3"))
    assert found.medians == {("DNA", "m"): Typical(2, 1.5, 1.4826 * 0.5), (None, "n"): Typical(1, 5.0, None)}
    assert find_history([]) == History()
