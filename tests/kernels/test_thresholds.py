"""Thresholds: two known classes, and planes that have only one."""

import numpy as np
import pytest
from skimage.filters import threshold_li, threshold_otsu

from kernels.thresholds import METHODS, find_threshold


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
