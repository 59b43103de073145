"""Thresholds: two known classes, and planes that have only one."""

import numpy as np
import pytest
from skimage.filters import threshold_li, threshold_multiotsu, threshold_otsu

from kernels.thresholds import METHODS, find_cross_entropy_threshold, find_local_thresholds, find_threshold


def count(values):
    return np.bincount(np.asarray(values).ravel())


@pytest.mark.parametrize("method", METHODS)
def test_two_values_are_split_between_them(method):
    threshold = find_threshold(count([3, 3, 3, 90]), method)
    assert threshold is not None
    assert 3 < threshold < 4


@pytest.mark.parametrize("method", METHODS)
def test_flat_and_empty_planes_have_no_threshold(method):
    assert find_threshold(count([65535] * 9), method) is None
    assert find_threshold(count(np.zeros(0, int)), method) is None


@pytest.mark.parametrize("method", METHODS)
def test_noise_has_no_threshold(method):
    random = np.random.default_rng(0)
    assert find_threshold(count(random.normal(500, 40, 100_000).astype(int)), method) is None
    assert find_threshold(count(random.poisson(30, 100_000)), method) is None


@pytest.mark.parametrize(("method", "reference"), [("otsu", threshold_otsu), ("minimum-cross-entropy", threshold_li)])
def test_thresholds_are_those_of_scikit_image(method, reference):
    random = np.random.default_rng(0)
    plane = np.concatenate([random.normal(40, 6, 9000), random.normal(140, 25, 1000)]).astype(np.uint8)
    assert find_threshold(count(plane), method) == pytest.approx(reference(plane), abs=1)


def test_logarithm_keeps_objects_much_dimmer_than_the_brightest():
    random = np.random.default_rng(0)
    parts = random.normal(100, 5, 90_000), random.normal(400, 20, 5000), random.normal(1500, 80, 5000)
    counts = count(np.concatenate(parts).astype(int))
    splits = np.array([find_threshold(counts, "otsu"), find_threshold(counts, "otsu-log")])
    is_dim_foreground = splits < 350
    assert is_dim_foreground.tolist() == [False, True]


def test_unknown_method_is_refused():
    with pytest.raises(
        ValueError, match="threshold must be one of minimum-cross-entropy, otsu, otsu-log, otsu3, otsu3-log, got 'li'"
    ):
        find_threshold(count([1, 2]), "li")


def three_classes():
    random = np.random.default_rng(1)
    parts = random.normal(300, 30, 9000), random.normal(1200, 120, 5000), random.normal(4000, 400, 3000)
    return np.concatenate(parts).clip(0, 65535).astype(np.uint16)


def test_three_classes_are_those_of_scikit_image():
    values = three_classes()
    expected = threshold_multiotsu(values.astype(np.float64), 3, nbins=128)[0]
    assert find_threshold(count(values), "otsu3") == pytest.approx(expected, rel=1e-9)


def test_the_middle_class_is_foreground():
    values = three_classes()
    for method in ("otsu3", "otsu3-log"):
        threshold = find_threshold(count(values), method)
        assert threshold is not None
        assert 400 < threshold < 900


def test_the_iteration_ends_where_that_of_scikit_image_does():
    plane = three_classes().astype(np.float32) / np.float32(65535)
    found = find_cross_entropy_threshold(plane, tolerance=0.5 / 65536)
    assert found == pytest.approx(threshold_li(plane.astype(np.float64), tolerance=0.5 / 65536), rel=1e-6)
    assert find_cross_entropy_threshold(np.full(9, 0.3, np.float32), tolerance=1e-5) is None


def test_windows_have_thresholds_of_their_own_within_bounds():
    random = np.random.default_rng(0)
    plane = random.normal(100, 3, (100, 200))
    plane[40:60, 20:40], plane[40:60, 160:180] = 400, 160
    plane[:, 100:] += 20
    counts = plane.astype(np.uint16)
    whole = find_threshold(count(counts), "minimum-cross-entropy")
    assert whole is not None
    local = find_local_thresholds(counts, whole, "minimum-cross-entropy", window_px=100)
    assert local.shape == counts.shape
    assert local.min() >= np.float32(0.7 * whole)
    assert local.max() <= np.float32(1.5 * whole)
    assert (counts > local)[40:60, 20:40].all()
    assert (counts > local)[40:60, 160:180].all()
    assert (counts > local).mean() < 0.05


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_small_planes_have_local_thresholds(shape):
    assert find_local_thresholds(np.ones(shape, np.uint16), 5.0, "otsu", window_px=50).shape == shape


def test_without_least_contrast_noise_has_a_threshold():
    noise = count(np.random.default_rng(0).normal(500, 40, 10_000).astype(int))
    assert find_threshold(noise, "otsu", minimum_contrast=0) is not None
