"""Statistics of the cells of a well."""

from __future__ import annotations

import math

import numpy as np
import pytest

from imaging.cell_statistics import STATISTICS, aggregate_cells, well_columns

VALUES = np.array([[3.0, 1.0, 2.0], [math.nan, 4.0, 6.0], [math.nan] * 3, [5.0, 5.0, math.nan]])


@pytest.mark.parametrize(
    ("statistic", "values"),
    [
        ("median", [2, 5, math.nan, 5]),
        ("mean", [2, 5, math.nan, 5]),
        ("mad", [1, 1, math.nan, 0]),
        ("count", [3, 2, 0, 2]),
    ],
)
def test_cells_without_a_value_are_left_out(statistic, values):
    np.testing.assert_array_equal(aggregate_cells(VALUES, [statistic]), values)


def test_the_mean_is_not_the_median():
    values = np.array([[0.0, 0.0, 9.0, 1.0]])
    np.testing.assert_array_equal(aggregate_cells(values, ["mean", "median", "mad"]), [2.5, 0.5, 0.5])


def test_columns_are_named_in_the_order_of_the_values():
    assert well_columns(["a", "b"], ["count", "median"]) == ["Count_a", "Count_b", "a", "b"]
    values = aggregate_cells(np.array([[1.0, 2.0, 9.0], [4.0, 4.0, math.nan]]), ["count", "median"])
    np.testing.assert_array_equal(values, [3, 2, 2, 4])


@pytest.mark.parametrize("statistic", ["median", "mean", "mad"])
def test_no_cells_have_no_statistics_but_a_count(statistic):
    np.testing.assert_array_equal(aggregate_cells(np.empty((2, 0)), [statistic]), [math.nan, math.nan])
    np.testing.assert_array_equal(aggregate_cells(np.empty((2, 0)), ["count"]), [0, 0])


def test_values_of_half_the_size_are_summed_exactly():
    many = np.full((1, 3), 16_777_216, np.float32)
    many[0, 2] = 1
    assert aggregate_cells(many, ["mean"])[0] == (2 * 16_777_216 + 1) / 3
    assert set(STATISTICS) == {"median", "mean", "mad", "count"}
