"""Neighbours of objects: cases by hand, a plain version, CellProfiler's values."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.closest import find_two_closest
from kernels.neighbors import Distance, describe_neighbors, measure_neighbors
from tests.golden import read_labels, read_values

REMOVED_NEAR = {"Cells": (1, 3, 7, 9, 12, 34), "Nuclei": (1, 7, 9, 12, 16, 21, 23)}
"""Objects of the golden site near others that CellProfiler had removed by their size, before it saved its labels."""


def by_name(labels: np.ndarray, distance: Distance, **options: np.ndarray) -> dict[str, np.ndarray]:
    features = describe_neighbors(distance=distance)
    values = measure_neighbors(labels, distance=distance, **options)
    return {feature.name.split("_")[1]: row for feature, row in zip(features, values, strict=True)}


def plain(labels: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of neighbours and percentage of the rim that touches, pixel by pixel."""
    padded = np.pad(labels, reach + 1, constant_values=0)
    height, width = labels.shape
    offsets = [(y, x) for y in range(-reach, reach + 1) for x in range(-reach, reach + 1)]
    number, share = np.zeros(labels.max()), np.zeros(labels.max())
    for label in range(1, labels.max() + 1):
        near, rim, touching = set(), 0, 0
        for y, x in np.argwhere(labels == label):
            around = {o: int(padded[y + reach + 1 + o[0], x + reach + 1 + o[1]]) for o in offsets}
            others = {o: other for o, other in around.items() if other not in (0, label)}
            near |= {other for (down, across), other in others.items() if down**2 + across**2 <= reach**2}
            is_inner = 0 < y < height - 1 and 0 < x < width - 1
            is_inner = is_inner and bool((labels[y - 1 : y + 2, x - 1 : x + 2] == label).all())
            rim += not is_inner
            is_touched = any(down**2 + across**2 <= (reach + 0.5) ** 2 for down, across in others)
            touching += is_touched and not is_inner
        number[label - 1], share[label - 1] = len(near), 100 * touching / rim if rim else np.nan
    return number, share


@pytest.mark.parametrize("reach", [0, 1, 2, 5])
def test_counts_are_those_of_a_plain_version(reach: int) -> None:
    chance = np.random.default_rng(reach)
    labels = np.kron(chance.integers(0, 7, (8, 9)), np.ones((2, 3), int)) * (chance.random((16, 27)) < 0.8)
    measured = by_name(labels, reach)
    number, share = plain(labels, reach)
    np.testing.assert_array_equal(measured["NumberOfNeighbors"], number)
    np.testing.assert_allclose(measured["PercentTouching"], share)


def test_adjacent_objects_share_a_side_but_touch_at_corners() -> None:
    labels = np.array([[1, 1, 0, 0], [0, 0, 2, 2], [3, 3, 2, 2]])
    measured = by_name(labels, "adjacent")
    assert measured["NumberOfNeighbors"].tolist() == [0, 1, 1]
    np.testing.assert_allclose(measured["PercentTouching"], [50, 50, 50])


def test_distances_and_the_angle_are_between_centres() -> None:
    labels = np.zeros((9, 9), int)
    labels[0, 0], labels[0, 3], labels[4, 0], labels[8, 8] = 1, 2, 3, 4
    measured = by_name(labels, 1)
    assert measured["FirstClosestObjectNumber"].tolist() == [2, 1, 1, 3]
    assert measured["SecondClosestObjectNumber"].tolist() == [3, 3, 2, 2]
    np.testing.assert_allclose(measured["FirstClosestDistance"], [3, 3, 4, np.hypot(8, 4)])
    np.testing.assert_allclose(measured["SecondClosestDistance"][:3], [4, 5, 5])
    np.testing.assert_allclose(measured["AngleBetweenNeighbors"][:2], [90, np.degrees(np.arctan2(4, 3))])


@pytest.mark.parametrize("objects", [1, 2])
def test_without_a_second_or_a_first_neighbour_values_are_0(objects: int) -> None:
    labels = np.zeros((5, 9), int)
    for label in range(1, objects + 1):
        labels[2, 4 * label - 3] = label
    measured = by_name(labels, 1)
    first = [0.0] if objects == 1 else [2.0, 1.0]
    assert measured["FirstClosestObjectNumber"].tolist() == first
    assert measured["FirstClosestDistance"].tolist() == [0.0 if objects == 1 else 4.0] * objects
    for name in ("SecondClosestObjectNumber", "SecondClosestDistance", "AngleBetweenNeighbors", "PercentTouching"):
        assert measured[name].tolist() == [0.0] * objects


def test_absent_numbers_and_planes_without_objects() -> None:
    labels = np.zeros((4, 4), np.uint16)
    labels[0, 0], labels[3, 3] = 2, 5
    values = measure_neighbors(labels, distance=2)
    assert np.isnan(values).all(axis=0).tolist() == [True, False, True, True, False]
    assert values[2, [1, 4]].tolist() == [5, 2]
    assert measure_neighbors(np.zeros((4, 4), int), distance=2).shape == (7, 0)
    assert measure_neighbors(np.ones((1, 1), int), distance="adjacent")[:, 0].tolist() == [0] * 7


def test_concentric_objects_have_no_angle() -> None:
    labels = np.full((5, 5), 1)
    labels[2, 2], labels[0, 0:5] = 2, 3
    labels[4] = 4
    assert np.isnan(by_name(labels, 1)["AngleBetweenNeighbors"][:2]).all()


def test_objects_that_were_taken_out_are_neighbours_without_a_number() -> None:
    everything = np.array([[1, 1, 2, 2, 0, 0, 3, 3]])
    kept = np.array([[0, 0, 1, 1, 0, 0, 2, 2]])
    measured = by_name(kept, "adjacent", all_labels=everything)
    assert measured["NumberOfNeighbors"].tolist() == [1, 0]
    assert measured["FirstClosestObjectNumber"].tolist() == [2, 1]
    assert measured["FirstClosestDistance"].tolist() == [2, 4]
    assert measured["SecondClosestDistance"].tolist() == [4, 6]
    assert measured["SecondClosestObjectNumber"].tolist() == [0, 0]


@pytest.mark.parametrize("spread", [1.0, 300.0])
def test_the_two_closest_of_many_points(spread: float) -> None:
    chance = np.random.default_rng(3)
    points = np.rint(chance.random((300, 2)) ** 3 * spread * 10)
    points[[5, 77]] = np.nan
    found = find_two_closest(points, points, np.arange(300))
    square = ((points[:, None] - points[None]) ** 2).sum(axis=2)
    square[np.arange(300), np.arange(300)] = np.inf
    expected = np.argsort(np.where(np.isnan(square), np.inf, square), axis=1, kind="stable")[:, :2]
    expected[[5, 77]] = -1
    np.testing.assert_array_equal(found, expected)


def test_points_outside_the_others_find_them_too() -> None:
    others = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    points = np.array([[500.0, 3.0], [0.0, 90.0], [40.0, 40.0]])
    assert find_two_closest(points, others, np.full(3, -1)).tolist() == [[2, 1], [1, 0], [1, 2]]


@pytest.mark.parametrize(("objects", "distance"), [("Cells", 5), ("Cells", "adjacent"), ("Nuclei", 1)])
def test_values_are_those_of_cellprofiler(objects: str, distance: Distance) -> None:
    expected = read_values(objects)
    values = measure_neighbors(read_labels((objects,))[0], distance=distance)
    is_known = np.ones(values.shape[1], bool)
    is_known[np.array(REMOVED_NEAR[objects]) - 1] = False
    for feature, row in zip(describe_neighbors(distance=distance), values, strict=True):
        named = "Number" in feature.name and "Of" not in feature.name
        here = slice(None) if named else is_known
        np.testing.assert_allclose(row[here], expected[feature.name][here], rtol=1e-6, err_msg=feature.name)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (np.zeros((2, 2)), {}, "integer"),
        (np.zeros(4, int), {}, "shape"),
        (np.array([[-1, 2]]), {}, "0 or more"),
        (np.array([[1, 2]]), {"distance": -1}, "distance"),
        (np.array([[1, 2]]), {"all_labels": np.array([[1], [2]])}, "one shape"),
    ],
)
def test_what_cannot_be_measured_is_refused(labels: np.ndarray, options: dict, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        measure_neighbors(labels, **{"distance": 1, **options})
