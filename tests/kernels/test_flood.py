"""The flood: value, then age, against a queue in plain Python."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from skimage.segmentation import watershed

from kernels.flood import flood

NEIGHBOURS = ((-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))


def flood_slowly(height: np.ndarray, seeds: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """One heap of (value, age), as CellProfiler's scikit-image."""
    labels = np.where(mask, seeds, 0)
    heap = [(height[y, x], age, y, x) for age, (y, x) in enumerate(zip(*np.nonzero(labels), strict=True))]
    heapq.heapify(heap)
    age = len(heap)
    while heap:
        _, _, y, x = heapq.heappop(heap)
        for down, right in NEIGHBOURS:
            place = y + down, x + right
            is_inside = 0 <= place[0] < height.shape[0] and 0 <= place[1] < height.shape[1]
            if is_inside and mask[place] and not labels[place]:
                labels[place] = labels[y, x]
                age += 1
                heapq.heappush(heap, (height[place], age, *place))
    return labels


def draw_case(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heights of few or many values, with plateaus, of each type; seeds of points and of squares; a ragged mask."""
    random = np.random.default_rng(number)
    rows, columns = random.integers(1, 30, 2)
    levels = (2, 9, 250, 60_000)[number % 4]
    height = random.integers(0, levels, (rows, columns))
    if number % 3 == 0:
        height = ((height - levels / 2) / 7).astype(np.float32)
    else:
        height = height.astype(np.uint8 if levels < 256 and number % 3 == 1 else np.uint16)
    seeds = np.zeros((rows, columns), np.int32)
    for label in range(1, 6):
        y, x = random.integers(0, rows), random.integers(0, columns)
        size = 1 + number % 2
        seeds[y : y + size, x : x + size] = label
    return height, seeds, random.random((rows, columns)) < 0.85


@pytest.mark.parametrize("number", range(48))
def test_flood_follows_value_and_then_age(number: int) -> None:
    height, seeds, mask = draw_case(number)
    labels = flood(height, seeds, mask)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, flood_slowly(height, seeds, mask))


def test_flood_of_a_landscape_that_only_rises_is_that_of_scikit_image() -> None:
    y, x = np.mgrid[:90, :120]
    seeds = np.zeros((90, 120), np.int32)
    places = ((20, 30), (45, 80), (70, 40), (30, 100))
    for label, place in enumerate(places, start=1):
        seeds[place] = label
    ways = [np.hypot(y - place[0], x - place[1]) + 0.37 * label for label, place in enumerate(places)]
    height = np.min(ways, axis=0).astype(np.float32)
    mask = (y + x) % 37 > 0
    expected = watershed(height, seeds, mask=mask, connectivity=2)
    np.testing.assert_array_equal(flood(height, seeds, mask), expected)
    ranks = np.unique(height, return_inverse=True)[1].reshape(height.shape).astype(np.uint16)
    np.testing.assert_array_equal(flood(ranks, seeds, mask), expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_flood_without_seeds_or_mask_gives_nothing(dtype: type) -> None:
    height = np.ones((4, 5), dtype)
    nothing, everywhere = np.zeros((4, 5), np.int32), np.ones((4, 5), bool)
    assert not flood(height, nothing, everywhere).any()
    assert not flood(height, nothing + 1, ~everywhere).any()


def test_both_zeros_of_floats_are_equal() -> None:
    height = np.array([[0.0, -0.0, 0.0, -0.0, 0.0]], np.float32)
    seeds = np.array([[1, 0, 0, 0, 2]], np.int32)
    assert flood(height, seeds, height == 0).tolist() == [[1, 1, 1, 2, 2]]


def test_heights_of_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match="height must be uint8, uint16 or float32, got float64"):
        flood(np.zeros((2, 2)), np.zeros((2, 2), np.int32), np.ones((2, 2), bool))
