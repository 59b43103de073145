"""The smallest circle around an object, and the hull and the runs it is found from."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.convex_hull import find_hull
from kernels.enclosing_circle import enclosing_circles
from kernels.object_runs import list_runs, make_runs
from kernels.object_sets import list_object_sets


def circle_of(*rows: str) -> np.ndarray:
    labels = np.array([[int(pixel == "#") for pixel in row] for row in rows])
    return enclosing_circles(list_object_sets(labels[None], 0))[0, 0]


def test_a_pixel_has_a_circle_of_no_radius() -> None:
    np.testing.assert_array_equal(circle_of("...", "..#"), [1, 2, 0])


@pytest.mark.parametrize(
    ("rows", "circle"),
    [
        (("###",), [0, 1, 1]),
        (("#", "#", "#", "#"), [1.5, 0, 1.5]),
        (("#..", ".#.", "..#"), [1, 1, np.sqrt(2)]),
        (("##", "##"), [0.5, 0.5, np.sqrt(0.5)]),
        (("#....", "....#"), [0.5, 2, np.sqrt(17) / 2]),
        (("#...#", ".....", ".....", ".....", "..#.."), [1.5, 2, 2.5]),
    ],
)
def test_circles_known_by_hand(rows: tuple[str, ...], circle: list[float]) -> None:
    np.testing.assert_allclose(circle_of(*rows), circle, rtol=1e-15)


@pytest.mark.parametrize("density", [0.03, 0.3, 0.9])
def test_no_pixel_is_outside_and_no_smaller_circle_holds_all(density: float) -> None:
    chance = np.random.default_rng(int(100 * density))
    for _ in range(30):
        labels = (chance.random((14, 17)) < density).astype(np.int32)
        labels[3, 5] = 1
        y, x, radius = enclosing_circles(list_object_sets(labels[None], 0))[0, 0]
        distance = np.hypot(np.nonzero(labels)[0] - y, np.nonzero(labels)[1] - x)
        assert distance.max() <= radius * (1 + 1e-12) + 1e-12
        on_rim = np.argwhere(labels)[distance > radius * (1 - 1e-9)] - [y, x]
        angles = np.sort(np.arctan2(on_rim[:, 0], on_rim[:, 1]))
        gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
        assert radius == 0 or gaps.max() <= np.pi + 1e-9  # pixels of the rim on each half: it cannot shrink


def test_each_set_has_a_circle_and_an_absent_object_none() -> None:
    labels = np.zeros((2, 9, 9), np.int32)
    labels[1, 2:7, 1:8] = 3
    labels[0, 4, 4:6] = 3
    labels[1, 8, 8] = 1
    circles = enclosing_circles(list_object_sets(labels, 1))
    np.testing.assert_allclose(circles[0, 2], [4, 4.5, 0.5])
    np.testing.assert_allclose(circles[1, 2], [4, 4, np.sqrt(13)])
    np.testing.assert_array_equal(circles[1, 0], [8, 8, 0])
    assert np.isnan(circles[:, 1]).all()
    assert np.isnan(circles[0, 0]).all()
    assert enclosing_circles(list_object_sets(np.zeros((1, 4, 4), int), 0)).shape == (1, 0, 3)


def test_corners_go_from_the_left_over_the_top_without_points_on_a_line() -> None:
    left, right = np.array([3, 9, 1, 0, 0, 2], np.int32), np.array([5, 8, 7, 8, 8, 2], np.int32)
    y, x = np.zeros(13, np.int32), np.zeros(13, np.int32)
    corners = find_hull(left, right, 6, y, x)
    assert list(zip(x[:corners], y[:corners], strict=True)) == [(0, 3), (3, 0), (5, 0), (8, 3), (8, 4), (2, 5), (0, 4)]


def test_runs_of_each_set_are_in_raster_order_and_make_their_own_room() -> None:
    outer = np.ones((2, 40), np.int32)
    inner = outer * (np.arange(40) % 2)
    objects = list_object_sets(np.stack([outer, inner]), 0)
    runs, count = make_runs(2, np.zeros((1, 4), np.int32)), np.zeros(2, np.int64)
    runs = list_runs(objects.position, objects.member, 40, objects.boxes[0], runs, count)
    assert count.tolist() == [2, 40]
    assert runs[0, :2].tolist() == [[0, 0, 40], [1, 0, 40]]
    assert runs[1, :40].tolist() == [[y, x, x + 1] for y in range(2) for x in range(1, 40, 2)]
