"""All families on a GPU: the values that the CPU gives, in one pass of sets and in several."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kernels import features
from kernels.feature_options import FeatureOptions
from kernels.features import SiteFeatures, measure_features
from kernels.gpu import Gpu
from tests.kernels.test_features import assert_same, small_site

OPTIONS = FeatureOptions(moments=True, intensity_zernikes=True, costes=True, slope=True)
QUICK = FeatureOptions(families=("Intensity", "Granularity", "Correlation"))
"""Families of one channel, with image features and of pairs; the whole set takes a simulated device ten seconds."""


def test_every_value_is_the_same_on_both_devices(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    planes, labels = small_site(channels=3)
    on_cpu = measure_features(planes, labels, OPTIONS)
    monkeypatch.setattr(features, "to_device", gpu.put)
    on_gpu = measure_features(planes, labels, OPTIONS)
    assert on_gpu.images == pytest.approx(on_cpu.images, rel=1e-12)
    for name, found in on_cpu.objects.items():
        np.testing.assert_array_equal(on_gpu.objects[name].numbers, found.numbers)
        for column, values in found.columns.items():
            np.testing.assert_allclose(
                on_gpu.objects[name].columns[column], values, rtol=1e-12, atol=1e-12, err_msg=f"{name}_{column}"
            )


def test_sets_with_numbers_of_their_own_are_the_same_on_both_devices(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    planes, labels = small_site(channels=1)
    labels["Nuclei"] = np.where(labels["Nuclei"] > 0, 10 - labels["Nuclei"], 0)
    options = FeatureOptions(families=("AreaShape", "Intensity", "Neighbors"))
    on_cpu = measure_features(planes, labels, options)
    monkeypatch.setattr(features, "to_device", gpu.put)
    on_gpu = measure_features(planes, labels, options)
    for name, found in on_cpu.objects.items():
        for column, values in found.columns.items():
            np.testing.assert_array_equal(on_gpu.objects[name].columns[column], values, err_msg=f"{name}_{column}")


def test_a_site_in_pieces_gives_what_it_gives_at_once_on_the_gpu(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    planes, labels = small_site(channels=2)
    monkeypatch.setattr(features, "to_device", gpu.put)
    assert_same(measure_features(planes, labels, QUICK, in_pieces=True), measure_features(planes, labels, QUICK))


def test_sites_of_two_threads_are_what_they_are_one_after_the_other_on_the_gpu(
    gpu: Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "to_device", gpu.put)

    def measure(seed: int) -> SiteFeatures:
        with gpu.stream():
            return measure_features(*small_site(seed, channels=1), QUICK)

    one_after_the_other = [measure(seed) for seed in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for found, expected in zip(pool.map(measure, range(2)), one_after_the_other, strict=True):
            assert_same(found, expected)
