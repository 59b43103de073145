"""Distances to the background: exact, and the same bits wherever the plane lies in memory."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from kernels.distances import measure_distance


def test_distances_are_square_roots_of_whole_numbers() -> None:
    y, x = np.mgrid[:41, :41]
    hole = ((y == 20) & (x == 20)).astype(np.uint8)
    assert np.array_equal(measure_distance(1 - hole), np.sqrt((y - 20.0) ** 2 + (x - 20.0) ** 2))


def test_a_plane_gives_the_same_bits_wherever_it_lies_in_memory() -> None:
    y, x = np.mgrid[:33, :33]
    disk = ((y - 16) ** 2 + (x - 16) ** 2 <= 250).astype(np.uint8)
    found = set()
    for offset in range(64):
        memory = np.zeros(disk.size + 64, np.uint8)
        plane = memory[offset : offset + disk.size].reshape(disk.shape)
        plane[:] = disk
        found.update(measure_distance(plane.copy() if offset % 2 else plane).tobytes() for _ in range(20))
    assert len(found) == 1


def test_distances_are_exact_in_small_and_large_objects() -> None:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:150, :170]
    large = ((y - 70) ** 2 + (x - 80) ** 2 <= 65**2) | (x < 30)
    for foreground in (random.random((40, 60)) < 0.9, large, large.T, large[70:71], large[:, 80:81]):
        expected = ndimage.distance_transform_edt(foreground)
        np.testing.assert_array_equal(measure_distance(foreground.astype(np.uint8)), expected)


def test_a_plane_without_background_has_finite_distances() -> None:
    assert np.isfinite(measure_distance(np.ones((60, 50), np.uint8))).all()
    assert not measure_distance(np.zeros((3, 4), np.uint8)).any()
