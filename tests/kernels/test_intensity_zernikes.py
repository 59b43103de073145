"""Zernike moments of intensity: CellProfiler's values on its site, and the definition on odd objects."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kernels import intensity_zernikes
from kernels.enclosing_circle import enclosing_circles
from kernels.intensity_zernikes import describe_intensity_zernikes, measure_intensity_zernikes
from kernels.object_sets import list_object_sets
from kernels.object_sets_gpu import list_object_sets_on
from kernels.zernike import DEGREES
from tests import golden
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import HostGpu


def test_every_column_of_the_golden_site_is_cellprofilers() -> None:
    objects = list_object_sets(golden.read_labels(), golden.OUTER)
    values = measure_intensity_zernikes(golden.read_planes(), objects)
    columns = describe_intensity_zernikes(golden.CHANNELS)
    flat = values.reshape(objects.n_sets, len(columns), objects.count)
    for name, of_set in zip(golden.SETS, flat, strict=True):
        theirs = golden.read_values(name)
        for feature, ours in zip(columns, of_set, strict=True):
            np.testing.assert_allclose(ours, theirs[feature.name], rtol=1e-6, err_msg=f"{name} {feature.name}")


def polynomial(n: int, m: int, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The Zernike polynomial in CellProfiler's orientation, 0 outside the disc."""
    radius = np.hypot(y, x)
    radial = np.zeros_like(radius)
    for k in range((n - m) // 2 + 1):
        below = math.factorial(k) * math.factorial((n + m) // 2 - k) * math.factorial((n - m) // 2 - k)
        radial += (-1) ** k * math.factorial(n - k) / below * radius ** (n - m - 2 * k)
    return np.where(y * y + x * x > 1, 0, radial * (y + 1j * x) ** m)


def test_pieces_holes_and_borders_are_measured_by_the_definition() -> None:
    noise = np.random.default_rng(0)
    cells = np.zeros((41, 73), np.int32)
    cells[0:20, 0:35], cells[5:15, 35:60], cells[25:41, 30:73] = 1, 2, 4
    cells[30:33, 40:45], cells[36:39, 2:9] = 0, 2
    cells[noise.random(cells.shape) < 0.1] = 0
    nuclei = np.where(noise.random(cells.shape) < 0.5, cells, 0)
    labels = np.stack([cells, nuclei])
    planes = noise.integers(0, 65_536, (2, *cells.shape)).astype(np.uint16)
    objects = list_object_sets(labels, 0)
    found, circles = measure_intensity_zernikes(planes, objects), enclosing_circles(objects)
    assert found.shape == (2, 2, 60, 4)
    assert np.isnan(found[:, :, :, 2]).all()
    for z, label in ((0, 1), (0, 2), (0, 4), (1, 1), (1, 2), (1, 4)):
        y, x = np.nonzero(labels[z] == label)
        middle_y, middle_x, radius = circles[z, label - 1]
        for channel, plane in enumerate(planes):
            for index, (n, m) in enumerate(DEGREES):
                value = polynomial(n, m, (y - middle_y) / radius, (x - middle_x) / radius)
                total = (value * plane[y, x]).sum() / 65_535
                magnitude, phase = found[z, channel, [index, 30 + index], label - 1]
                np.testing.assert_allclose(magnitude, abs(total) / y.size, rtol=1e-6, atol=1e-9)
                angle = np.exp(1j * (phase - np.arctan2(total.real, total.imag)))
                np.testing.assert_allclose(angle, 1, atol=1e-9 * y.size / abs(total))


def test_an_object_without_light_has_moments_of_zero() -> None:
    labels = np.zeros((1, 6, 7), np.int32)
    labels[0, 1:4, 2:6] = 1
    found = measure_intensity_zernikes(np.zeros((1, 6, 7), np.uint16), list_object_sets(labels, 0))
    np.testing.assert_array_equal(found[0, 0, :, 0], 0)


def test_one_pixel_has_no_moments() -> None:
    found = measure_intensity_zernikes(np.ones((1, 1, 1), np.uint16), list_object_sets(np.ones((1, 1, 1), int), 0))
    assert np.isnan(found).all()


@pytest.mark.parametrize("channels", [0, 1, 8])
def test_channels_do_not_touch_each_other(channels: int) -> None:
    labels = np.zeros((1, 30, 40), np.int32)
    labels[0, 3:22, 5:37], labels[0, 25:29, 1:9] = 2, 3
    planes = np.random.default_rng(1).integers(0, 65_536, (channels, 30, 40)).astype(np.uint16)
    objects = list_object_sets(labels, 0)
    together = measure_intensity_zernikes(planes, objects)
    assert together.shape == (1, channels, 60, 3)
    for channel in range(channels):
        alone = measure_intensity_zernikes(planes[channel : channel + 1], objects)
        np.testing.assert_array_equal(together[:, channel], alone[:, 0])


def test_many_objects_are_measured_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((1, 30, 40), np.int32)
    labels[0, 3:22, 5:20], labels[0, 25:29, 1:9], labels[0, 2:9, 22:39] = 1, 3, 5
    planes = np.random.default_rng(3).integers(0, 65_536, (2, 30, 40)).astype(np.uint16)
    whole = measure_intensity_zernikes(planes, list_object_sets(labels, 0))
    monkeypatch.setattr(intensity_zernikes, "PART_OBJECTS", 2)
    np.testing.assert_array_equal(measure_intensity_zernikes(planes, list_object_sets(labels, 0)), whole)


def test_no_objects_have_no_values() -> None:
    objects = list_object_sets(np.zeros((2, 5, 4), np.int32), 0)
    assert measure_intensity_zernikes(np.zeros((3, 5, 4), np.uint16), objects).shape == (2, 3, 60, 0)


def test_planes_of_a_gpu_are_measured_on_the_host() -> None:
    require_host_cuda()
    gpu = HostGpu(0)
    labels = np.zeros((2, 12, 15), np.int32)
    labels[:, 2:9, 3:12] = 1
    labels[1, 4, 4] = 0
    planes = np.random.default_rng(2).integers(0, 65_536, (2, 12, 15)).astype(np.uint16)
    theirs = measure_intensity_zernikes(gpu.put(planes), list_object_sets_on(gpu, gpu.put(labels), 0, 1))
    np.testing.assert_array_equal(theirs, measure_intensity_zernikes(planes, list_object_sets(labels, 0)))


def test_columns_are_named_as_in_cellprofiler() -> None:
    names = [feature.name for feature in describe_intensity_zernikes(["DNA", "ER"])]
    assert len(set(names)) == 120
    assert names[0] == "RadialDistribution_ZernikeMagnitude_DNA_0_0"
    assert names[119] == "RadialDistribution_ZernikePhase_ER_9_9"


@pytest.mark.parametrize(
    ("planes", "error", "message"),
    [
        (np.zeros((1, 4, 5), np.uint8), TypeError, "uint16, got uint8"),
        (np.zeros((1, 5, 4), np.uint16), ValueError, r"as the labels, got \(1, 5, 4\)"),
        (np.zeros((4, 5), np.uint16), ValueError, "as the labels"),
    ],
)
def test_what_cannot_be_measured_is_refused(planes: np.ndarray, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        measure_intensity_zernikes(planes, list_object_sets(np.ones((1, 4, 5), np.int32), 0))
