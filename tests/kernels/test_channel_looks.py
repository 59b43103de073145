"""Bright objects of small planes, whose signal reaches beyond whose objects, and fingerprints."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kernels.channel_looks import BrightObjects, difference_hash, find_bright_objects, overhang

CENTRES = [(y, x) for y in (20, 60, 100) for x in (20, 60, 100)]


def discs(radius: float, *, hole: float = 0.0, brightness: float = 1000.0, seed: int = 0) -> np.ndarray:
    """Nine discs, or rings around holes, on a noisy ground; shape (120, 120), uint16."""
    plane = np.random.default_rng(seed).normal(100, 5, (120, 120))
    y, x = np.mgrid[:120, :120]
    for cy, cx in CENTRES:
        distance = np.hypot(y - cy, x - cx)
        plane[(distance <= radius) & (distance >= hole)] += brightness
    return plane.astype(np.uint16)


def test_discs_are_found_with_their_area_and_are_compact() -> None:
    found = find_bright_objects(discs(6))
    assert found.count == 9
    assert found.areas == pytest.approx(113, abs=25)
    assert found.compactness > 0.8
    assert found.inside == pytest.approx(1000, rel=0.2)


def test_holes_belong_to_their_objects() -> None:
    full, ring = find_bright_objects(discs(12)), find_bright_objects(discs(12, hole=6))
    np.testing.assert_allclose(ring.areas, full.areas, atol=10)


def test_what_is_long_is_not_compact() -> None:
    plane = np.full((60, 60), 10, np.uint8)
    plane[10:13, 5:55] = 200
    found = find_bright_objects(plane)
    assert found.count == 1
    assert found.compactness < 0.2


def test_specks_are_noise() -> None:
    plane = np.full((60, 60), 10, np.uint8)
    plane[10, 10], plane[30, 30] = 255, 255
    assert find_bright_objects(plane).count == 0


@pytest.mark.parametrize("plane", [np.zeros((20, 20), np.uint16), np.full((20, 20), 7, np.uint8)])
def test_a_flat_plane_has_no_objects(plane: np.ndarray) -> None:
    found = find_bright_objects(plane)
    assert (found.count, found.compactness, found.inside, found.mask.any()) == (0, 0.0, 0.0, False)


def test_more_than_two_axes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"plane must have shape \(y, x\), got \(1, 5, 5\)"):
        find_bright_objects(np.zeros((1, 5, 5), np.uint8))


def looks(*planes: np.ndarray) -> list[BrightObjects]:
    return [find_bright_objects(plane) for plane in planes]


def test_cells_reach_beyond_nuclei_and_nuclei_not_beyond_cells() -> None:
    nuclei, cells = looks(discs(5, seed=1), discs(12, seed=2))
    assert overhang(cells, nuclei) > 0.5
    assert overhang(nuclei, cells) == pytest.approx(-overhang(cells, nuclei))


def test_rings_around_dark_nuclei_reach_beyond_them_too() -> None:
    nuclei, rings = looks(discs(5, seed=1), discs(12, hole=5, seed=2))
    assert overhang(rings, nuclei) > 0.5


@pytest.mark.parametrize("brightness", [200.0, 5000.0])
def test_brightness_does_not_matter(brightness: float) -> None:
    nuclei, cells = looks(discs(5, seed=1), discs(12, seed=2, brightness=brightness))
    assert overhang(cells, nuclei) > 0.5


def test_two_stains_of_the_same_objects_reach_no_further_than_each_other() -> None:
    one, other = looks(discs(6, seed=1), discs(6, seed=2, brightness=3000.0))
    assert abs(overhang(one, other)) < 0.05


def test_without_objects_nothing_reaches_anywhere() -> None:
    nothing, nuclei = looks(np.zeros((120, 120), np.uint16), discs(6))
    assert overhang(nothing, nuclei) == overhang(nuclei, nothing) == 0.0


def differ(one: np.ndarray, other: np.ndarray) -> int:
    return (difference_hash(one) ^ difference_hash(other)).bit_count()


def scattered(seed: int) -> np.ndarray:
    """Forty small objects anywhere; shape (240, 270), uint16."""
    random = np.random.default_rng(seed)
    plane = np.full((240, 270), 100.0)
    y, x = np.mgrid[:240, :270]
    for cy, cx in random.uniform((0, 0), (240, 270), (40, 2)):
        plane += 1000 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 50)
    return plane.astype(np.uint16)


def test_the_same_view_has_nearly_the_same_fingerprint_whatever_brightness_noise_and_small_shifts() -> None:
    for seed in range(10):
        view = scattered(seed)
        again = np.roll(view, (2, -2), (0, 1)) * 0.5 + np.random.default_rng(seed).normal(50, 10, view.shape)
        assert differ(view, again.astype(np.uint16)) <= 12


def test_unlike_views_differ_in_about_half_of_the_bits() -> None:
    views = [scattered(seed) for seed in range(20)]
    assert np.mean([differ(one, other) for one, other in itertools.pairwise(views)]) == pytest.approx(32, abs=4)


def test_each_bit_tells_whether_a_tile_is_brighter_than_its_right_neighbour() -> None:
    plane = np.zeros((8, 9), np.uint8)
    plane[0, 0] = 10
    plane[7, 7] = 10
    assert difference_hash(plane) == (1 << 63) | 1
