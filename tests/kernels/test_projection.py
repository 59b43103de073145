"""Projections over z: hand-computed values, whole-number rounding, the first of equally sharp planes, both devices."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.gpu import Gpu
from kernels.image_quality import measure_image_quality
from kernels.projection import METHODS, Method, find_sharpest, project, project_on_gpu


def stack(*planes: list[list[int]], dtype: type = np.uint8) -> np.ndarray:
    return np.array(planes, dtype)


def test_max_takes_each_pixels_greatest_count() -> None:
    assert project(stack([[1, 9]], [[5, 2]], [[3, 9]]), "max").tolist() == [[5, 9]]


def test_mean_is_rounded_half_up() -> None:
    assert project(stack([[1, 0, 255]], [[2, 1, 255]]), "mean").tolist() == [[2, 1, 255]]
    assert project(stack([[1, 0]], [[0, 0]], [[0, 2]]), "mean").tolist() == [[0, 1]]


def test_mean_of_full_scale_does_not_overflow() -> None:
    assert (project(np.full((300, 4, 4), 65_535, np.uint16), "mean") == 65_535).all()


def test_best_focus_is_the_plane_whose_variance_over_mean_is_greatest() -> None:
    planes = stack([[10, 10], [10, 10]], [[0, 20], [0, 20]], [[100, 140], [100, 140]])  # 0, 10, 400 / 120
    assert find_sharpest(planes) == 1
    assert project(planes, "best-focus").tolist() == [[0, 20], [0, 20]]


def test_of_equally_sharp_planes_the_first_is_taken() -> None:
    planes = stack([[1, 1]], [[0, 6]], [[6, 0]])
    assert project(planes, "best-focus").tolist() == [[0, 6]]
    assert find_sharpest(np.zeros((3, 2, 2), np.uint16)) == 0


def test_the_sharpest_plane_is_that_of_the_metric_focus_score() -> None:
    planes = np.random.default_rng(3).integers(0, 4000, (6, 70, 80)).astype(np.uint16) // np.array(
        [3, 2, 1, 4, 5, 2], np.uint16
    ).reshape(6, 1, 1)
    scores = measure_image_quality(planes, full_scale=4095)["FocusScore"]
    assert find_sharpest(planes) == int(np.argmax(scores))


@pytest.mark.parametrize("method", METHODS)
def test_a_single_plane_is_its_own_projection(method: Method) -> None:
    plane = np.arange(12, dtype=np.uint16).reshape(1, 3, 4)
    projected = project(plane, method)
    assert (projected == plane[0]).all()
    assert projected.dtype == np.uint16
    assert not np.shares_memory(projected, plane)


@pytest.mark.parametrize(
    ("planes", "method", "error", "message"),
    [
        (np.zeros((8, 8), np.uint8), "max", ValueError, r"planes must have shape \(n, y, x\), got \(8, 8\)"),
        (np.zeros((0, 8, 8), np.uint8), "max", ValueError, "planes must have at least one plane, got none"),
        (np.zeros((1, 8, 8), np.float32), "max", TypeError, "planes must be uint8 or uint16, got float32"),
        (np.zeros((1, 8, 8), np.uint8), "min", ValueError, "method must be max, mean or best-focus, got 'min'"),
    ],
)
def test_wrong_arguments_are_refused(planes, method, error, message) -> None:
    with pytest.raises(error, match=message):
        project(planes, method)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("method", ["max", "mean"])
def test_projections_are_the_same_on_both_devices(gpu: Gpu, method: Method, dtype: type) -> None:
    planes = np.random.default_rng(1).integers(0, np.iinfo(dtype).max, (5, 37, 23), endpoint=True).astype(dtype)
    on_gpu = gpu.get(project_on_gpu(gpu.put(planes), method, gpu))
    assert on_gpu.dtype == dtype
    np.testing.assert_array_equal(on_gpu, project(planes, method))


def test_the_array_decides_where_it_is_projected(gpu: Gpu) -> None:
    planes = np.random.default_rng(2).integers(0, 60_000, (4, 16, 33)).astype(np.uint16)
    held = gpu.put(planes)
    assert find_sharpest(held) == find_sharpest(planes)
    np.testing.assert_array_equal(gpu.get(project(held, "mean")), project(planes, "mean"))
