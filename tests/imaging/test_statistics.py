"""Assay statistics against cases worked out by hand."""

from __future__ import annotations

import math

import pytest

from imaging.statistics import measure_ssmd, measure_statistics


def test_statistics_are_those_worked_out_by_hand():
    # negative 1, 2, 3: mean 2, s 1, median 2, MAD 1; positive 8, 10, 14: mean 32/3, s^2 28/3, median 10, MAD 2
    found = measure_statistics("f", [1, 2, 3], [8, 10, 14])
    assert found.z_prime == pytest.approx(1 - 3 * (1 + math.sqrt(28 / 3)) / (26 / 3))
    assert found.robust_z_prime == pytest.approx(1 - 3 * 1.4826 * (1 + 2) / 8)
    assert found.ssmd == pytest.approx((26 / 3) / math.sqrt(1 + 28 / 3))
    assert (found.feature, found.n_negcon, found.n_poscon, found.reason) == ("f", 3, 3, None)
    assert (found.negcon_mean, found.negcon_sd) == (2.0, 1.0)
    assert (found.poscon_mean, found.poscon_sd) == (pytest.approx(32 / 3), pytest.approx(math.sqrt(28 / 3)))


def test_controls_without_spread_separate_perfectly():
    found = measure_statistics("f", [1, 1], [5, 5])
    assert (found.z_prime, found.robust_z_prime, found.ssmd) == (1.0, 1.0, None)
    assert found.reason == "the controls do not vary"


def test_positive_controls_below_the_negative_ones_give_a_negative_ssmd_and_the_same_z_prime():
    above, below = measure_statistics("f", [0, 2], [10, 12]), measure_statistics("f", [10, 12], [0, 2])
    assert (above.ssmd, below.ssmd) == (pytest.approx(10 / 2), pytest.approx(-10 / 2))
    assert above.z_prime == below.z_prime == pytest.approx(1 - 3 * 2 * math.sqrt(2) / 10)


@pytest.mark.parametrize(
    ("negcon", "poscon", "reason"),
    [
        ([1.0], [2.0, 3.0], "negcon has 1 well with a value, 2 are needed"),
        ([1.0, 2.0], [], "poscon has 0 wells with a value, 2 are needed"),
        ([], [1.0], "negcon has 0 wells with a value, 2 are needed; poscon has 1 well with a value, 2 are needed"),
    ],
)
def test_groups_with_fewer_than_two_wells_give_nothing_and_a_reason(negcon, poscon, reason):
    found = measure_statistics("f", negcon, poscon)
    assert (found.z_prime, found.robust_z_prime, found.ssmd) == (None, None, None)
    assert found.reason == reason
    assert (found.n_negcon, found.n_poscon) == (len(negcon), len(poscon))


def test_one_control_well_has_a_mean_and_no_spread_and_none_has_neither():
    found = measure_statistics("f", [3.0], [])
    assert (found.negcon_mean, found.negcon_sd, found.poscon_mean, found.poscon_sd) == (3.0, None, None, None)


def test_wells_without_a_value_are_left_out():
    assert measure_statistics("f", [None, 1, 2, math.nan], [math.inf, 8, 9]) == measure_statistics("f", [1, 2], [8, 9])


def test_equal_means_or_medians_give_no_z_prime_but_say_why():
    found = measure_statistics("f", [1, 2, 6], [2, 3, 4])
    assert (found.z_prime, found.ssmd) == (None, 0.0)
    assert found.robust_z_prime == pytest.approx(1 - 3 * 1.4826 * (1 + 1) / 1)
    assert found.reason == "the controls have the same mean"
    same = measure_statistics("f", [1, 2, 3], [1, 2, 9])
    assert same.robust_z_prime is None
    assert same.reason == "the controls have the same median"


def test_ssmd_of_two_groups_by_hand():
    assert measure_ssmd([0.0, 2, math.nan], [4.0, 6]) == pytest.approx(4 / math.sqrt(2 + 2))
    assert measure_ssmd([0.0, 2], [4.0]) is None
    assert measure_ssmd([1.0, 1], [4.0, 4]) is None
