"""Brightness of whole images: CellProfiler's values, NumPy's, and the same bits on a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.gpu import Gpu
from kernels.image_intensity import FEATURES, describe_image_intensity, measure_image_intensity
from tests import golden

NOISE = np.random.default_rng(3)
STACKS = {
    "two planes": NOISE.integers(0, 65_536, (2, 33, 41)).astype(np.uint16),
    "few values": NOISE.integers(5, 9, (1, 20, 30)).astype(np.uint16),
    "black and saturated": np.stack([np.zeros((7, 8), np.uint16), np.full((7, 8), 65_535, np.uint16)]),
    "one pixel": np.full((1, 1, 1), 12_345, np.uint16),
    "two pixels": np.array([[[1, 4]]], np.uint16),
    "no plane": np.zeros((0, 4, 4), np.uint16),
}


def test_every_value_is_cellprofilers() -> None:
    values = measure_image_intensity(golden.read_planes()).ravel()
    theirs = golden.read_image_values()
    described = describe_image_intensity(golden.CHANNELS)
    names = {name for name in theirs if name.startswith("Intensity_") and "BackgroundOnly" not in name}
    assert {feature.name for feature in described} == names
    for feature, value in zip(described, values, strict=True):
        assert value == pytest.approx(theirs[feature.name], rel=1e-6), feature.name


@pytest.mark.parametrize("name", STACKS)
def test_values_are_numpys(name: str) -> None:
    for plane, row in zip(STACKS[name], measure_image_intensity(STACKS[name]), strict=True):
        pixels = plane.ravel() / 65_535
        expected = {
            "TotalIntensity": pixels.sum(),
            "MeanIntensity": pixels.mean(),
            "MedianIntensity": np.median(pixels),
            "StdIntensity": pixels.std() if np.ptp(pixels) else 0,
            "MADIntensity": np.median(np.abs(pixels - np.median(pixels))),
            "MaxIntensity": pixels.max(),
            "MinIntensity": pixels.min(),
            "TotalArea": pixels.size,
            "PercentMaximal": 100 * (pixels == pixels.max()).mean(),
            "LowerQuartileIntensity": np.percentile(pixels, 25),
            "UpperQuartileIntensity": np.percentile(pixels, 75),
        }
        assert list(expected) == list(FEATURES)
        np.testing.assert_allclose(row, list(expected.values()), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", STACKS)
def test_a_gpu_gives_the_same_bits(gpu: Gpu, name: str) -> None:
    stack = STACKS[name]
    np.testing.assert_array_equal(measure_image_intensity(gpu.put(stack)), measure_image_intensity(stack))


def test_planes_of_another_kind_are_refused() -> None:
    with pytest.raises(TypeError, match="uint8"):
        measure_image_intensity(np.zeros((1, 4, 5), np.uint8))
    for shape in ((4, 5), (1, 0, 5)):
        with pytest.raises(ValueError, match="shape"):
            measure_image_intensity(np.zeros(shape, np.uint16))
