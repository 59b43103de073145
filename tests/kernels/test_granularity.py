"""Granularity of objects and images: cases by hand, the definition written down literally, CellProfiler's values."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.granularity import (
    describe_granularity,
    measure_granularities,
    measure_granularity,
    measure_image_granularity,
)
from kernels.granularity_background import plan_grid
from kernels.granularity_sums import fraction_bits
from kernels.object_sets import list_object_sets
from tests import golden
from tests.kernels import granularity_port
from tests.kernels.test_object_sets import nested


def noisy(seed: int, shape: tuple[int, int], *, greatest: int = 60_000) -> np.ndarray:
    """One plane of noise with a slope under it."""
    noise = np.random.default_rng(seed)
    slope = np.linspace(0, greatest / 3, shape[1]).astype(np.int64)
    return (noise.integers(0, greatest // 2, shape) + slope).astype(np.uint16)


def blobs(shape: tuple[int, int], *, period: int, bright: int = 40_000) -> np.ndarray:
    """One plane of smooth hills."""
    y, x = np.indices(shape)
    hills = (np.sin(2 * np.pi * y / period) + 1) * (np.sin(2 * np.pi * x / period) + 1) / 4
    return (bright * hills).astype(np.uint16)


def whole(shape: tuple[int, int]) -> np.ndarray:
    """One set with one object that fills the plane."""
    return np.ones((1, *shape), np.int32)


SHAPES = [(3, 3), (4, 5), (5, 3), (7, 6), (8, 8), (9, 31), (3, 40), (33, 40), (41, 50), (58, 59)]


@pytest.mark.parametrize("shape", SHAPES)
def test_all_steps_are_those_of_the_definition(shape: tuple[int, int]) -> None:
    labels = nested(sum(shape), (max(shape[0], 6), max(shape[1], 6)))[:, : shape[0], : shape[1]]
    planes = np.stack([noisy(1, shape), blobs(shape, period=11), noisy(2, shape, greatest=12)])
    measured = measure_granularities(planes, list_object_sets(labels, outer=1))
    count = int(labels.max())
    for channel, plane in enumerate(planes):
        for z, of_set in enumerate(labels):
            objects, image = granularity_port.measure(plane, of_set)
            known = objects.shape[1]
            ours = measured.objects[z, channel]
            assert ours.shape == (16, count)
            np.testing.assert_allclose(ours[:, :known], objects, rtol=1e-8, atol=1e-7 if plane.max() > 99 else 1e-4)
            assert np.isnan(ours[:, known:]).all()
            np.testing.assert_allclose(measured.image[channel], image, rtol=1e-8, atol=1e-7)


@pytest.mark.parametrize("name", golden.SETS)
def test_objects_have_cellprofilers_values(name: str) -> None:
    objects = list_object_sets(golden.read_labels(), golden.OUTER)
    values = measure_granularity(golden.read_planes(), objects)[golden.SETS.index(name)]
    expected = golden.read_values(name)
    columns = describe_granularity(golden.CHANNELS)
    assert len(columns) == 80
    for column, ours in zip(columns, values.reshape(-1, objects.count), strict=True):
        np.testing.assert_allclose(ours, expected[column.name], rtol=1e-6, err_msg=column.name)


def test_images_have_cellprofilers_values() -> None:
    values = measure_image_granularity(golden.read_planes())
    expected = golden.read_image_values()
    for column, ours in zip(describe_granularity(golden.CHANNELS), values.ravel(), strict=True):
        np.testing.assert_allclose(ours, expected[column.name], rtol=1e-4, err_msg=column.name)


def test_a_bright_pixel_is_gone_after_one_step() -> None:
    plane = np.zeros((1, 60, 60), np.uint16)
    plane[0, 20, 30] = 50_000
    measured = measure_granularities(plane, list_object_sets(whole((60, 60)), 0))
    expected = np.zeros(16)
    expected[0] = 100
    np.testing.assert_allclose(measured.image[0], expected, atol=1e-9)
    np.testing.assert_allclose(measured.objects[0, 0, :, 0], expected, atol=1e-9)


def test_a_square_is_gone_when_the_cross_no_longer_fits() -> None:
    plane = np.zeros((1, 80, 80), np.uint16)
    plane[0, 20:32, 40:52] = 50_000  # six pixels of the image: two erosions by a cross leave some of it
    expected = np.zeros(16)
    expected[2] = 100
    np.testing.assert_allclose(measure_image_granularity(plane)[0], expected, atol=1e-9)


def test_light_flows_over_a_ridge_as_high_as_the_ridge() -> None:
    plane = np.zeros((1, 80, 80), np.uint16)
    plane[0, 20:32, 20:32] = plane[0, 24:26, 44:46] = 40_000  # 36 pixels of the image, and one
    plane[0, 24:26, 32:44] = 10_000  # six between them
    expected = np.zeros(16)
    expected[0], expected[2] = 30_000, 36 * 40_000 + 7 * 10_000
    measured = measure_image_granularity(plane)[0]
    np.testing.assert_allclose(measured, 100 * expected / expected.sum(), rtol=1e-6, atol=1e-9)


def test_black_planes_lose_nothing_and_full_ones_all_in_the_first_step() -> None:
    planes = np.stack([np.zeros((30, 33), np.uint16), np.full((30, 33), 65_535, np.uint16)])
    measured = measure_granularities(planes, list_object_sets(whole((30, 33)), 0))
    assert not measured.objects[0, 0].any()
    assert not measured.image.any()
    assert not np.signbit(measured.image).any()
    np.testing.assert_allclose(measured.objects[0, 1, 0], 100, atol=1e-3)
    np.testing.assert_allclose(measured.objects[0, 1, 1:], 0, atol=1e-3)


def test_black_objects_in_the_light_are_divided_by_next_to_nothing_as_in_cellprofiler() -> None:
    plane, labels = noisy(4, (40, 44)), np.zeros((1, 40, 44), np.int32)
    labels[0, 11:14, 20:23] = 1
    plane[labels[0] > 0] = 0
    expected, _ = granularity_port.measure(plane, labels[0])
    measured = measure_granularity(plane[None], list_object_sets(labels, 0))[0, 0]
    assert np.isfinite(measured).all()
    assert measured[0, 0] < -1e12
    np.testing.assert_allclose(measured, expected, rtol=1e-6, atol=1e6)


@pytest.mark.parametrize("corner", [(0, 0), (39, 44), (17, 21), (39, 0)])
def test_objects_of_one_pixel_have_values(corner: tuple[int, int]) -> None:
    plane, labels = noisy(5, (40, 45)), np.zeros((1, 40, 45), np.int32)
    labels[0][corner] = 2
    expected, _ = granularity_port.measure(plane, labels[0])
    measured = measure_granularity(plane[None], list_object_sets(labels, 0))[0, 0]
    assert np.isnan(measured[:, 0]).all()
    np.testing.assert_allclose(measured[:, 1], expected[:, 1], rtol=1e-8, atol=1e-7)


def test_objects_in_pieces_and_as_many_as_pixels_are_measured() -> None:
    plane = noisy(6, (30, 37))
    pieces = np.random.default_rng(7).integers(0, 5, (1, 30, 37)).astype(np.int32)
    single = np.arange(1, 30 * 37 + 1, dtype=np.int32).reshape(1, 30, 37)
    for labels in (pieces, single):
        expected, _ = granularity_port.measure(plane, labels[0])
        measured = measure_granularity(plane[None], list_object_sets(labels, 0))[0, 0]
        np.testing.assert_allclose(measured, expected, rtol=1e-7, atol=1e-6)


def test_objects_too_large_for_44_bits_have_values() -> None:
    plane = blobs((530, 520), period=37)
    assert fraction_bits(plane.size) < 44
    expected, _ = granularity_port.measure(plane, whole(plane.shape)[0])
    measured = measure_granularity(plane[None], list_object_sets(whole(plane.shape), 0))[0, 0]
    np.testing.assert_allclose(measured, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("period", [1, 2])
def test_a_chessboard_has_the_most_basins(period: int) -> None:
    y, x = np.indices((60, 66)) // 2
    plane = np.where((x // period + y // period) % 2 == 0, 50_000, 3).astype(np.uint16)
    expected, image = granularity_port.measure(plane, whole(plane.shape)[0])
    measured = measure_granularities(plane[None], list_object_sets(whole(plane.shape), 0))
    np.testing.assert_allclose(measured.objects[0, 0], expected, rtol=1e-8, atol=1e-7)
    np.testing.assert_allclose(measured.image[0], image, rtol=1e-8, atol=1e-7)


def test_a_set_alone_has_the_values_that_it_has_among_others() -> None:
    labels, planes = nested(8), np.stack([noisy(seed, (40, 57)) for seed in range(8)])
    together = measure_granularities(planes, list_object_sets(labels, outer=1))
    for z in range(3):
        alone = measure_granularities(planes, list_object_sets(labels[z : z + 1], outer=0))
        np.testing.assert_allclose(alone.objects[0], together.objects[z], rtol=1e-9, atol=1e-9)
        np.testing.assert_array_equal(alone.image, together.image)
    assert together.objects.shape == (3, 8, 16, 6)


def test_planes_of_any_layout_are_measured() -> None:
    planes, objects = np.stack([noisy(1, (20, 22)), noisy(2, (20, 22))]), list_object_sets(whole((20, 22)), 0)
    turned = np.asfortranarray(planes)
    np.testing.assert_array_equal(measure_granularity(turned, objects), measure_granularity(planes, objects))


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (9, 2), (1, 30)])
def test_planes_too_narrow_to_be_stretched_have_no_value(shape: tuple[int, int]) -> None:
    measured = measure_granularities(np.ones((2, *shape), np.uint16), list_object_sets(whole(shape), 0))
    assert measured.objects.shape == (1, 2, 16, 1)
    assert np.isnan(measured.objects).all()
    assert np.isnan(measured.image).all()


def test_planes_without_objects_have_values_of_the_image() -> None:
    planes = noisy(1, (20, 30))[None]
    measured = measure_granularities(planes, list_object_sets(np.zeros((2, 20, 30), np.int32), 0))
    assert measured.objects.shape == (2, 1, 16, 0)
    np.testing.assert_array_equal(measured.image, measure_image_granularity(planes))
    assert measure_image_granularity(planes[:0]).shape == (0, 16)


def test_fewer_steps_are_the_first_ones() -> None:
    planes, objects = noisy(1, (20, 30))[None], list_object_sets(whole((20, 30)), 0)
    few = measure_granularity(planes, objects, steps=3)
    np.testing.assert_array_equal(few, measure_granularity(planes, objects)[:, :, :3])
    assert len(describe_granularity(["DNA"], steps=3)) == 3


@pytest.mark.parametrize("pixels", [1, 2**18 - 1, 2**18, 2160 * 2160, 2**40])
def test_sums_fit_into_63_bits(pixels: int) -> None:
    bits = fraction_bits(pixels)
    assert pixels * 2**bits < 2**62
    assert bits == 44 or pixels * 2 ** (bits + 1) >= 2**61


@pytest.mark.parametrize("side", [3, 4, 5, 8, 9, 540, 1079, 1080, 2160])
def test_each_place_of_a_plane_is_weighed_once(side: int) -> None:
    windows = plan_grid(side, 3).row_windows
    places = np.zeros(side)
    for first, count, weights in zip(windows.first, windows.count, windows.weights, strict=True):
        assert count > 0
        places[first : first + count] += weights[:count]
    np.testing.assert_allclose(places[:-1], 1, rtol=1e-12)
    assert places[-1] == pytest.approx(1) or places[-1] == 0  # scipy finds it outside where rounding puts it there


def test_columns_are_described_in_the_order_of_values() -> None:
    features = describe_granularity(("DNA", "ER"))
    assert [feature.name for feature in features[14:18]] == [
        "Granularity_15_DNA",
        "Granularity_16_DNA",
        "Granularity_1_ER",
        "Granularity_2_ER",
    ]
    assert {feature.unit for feature in features} == {"%"}
    assert {feature.family for feature in features} == {"Granularity"}
    assert len({feature.definition for feature in features}) == 16


@pytest.mark.parametrize(
    ("planes", "steps", "error", "message"),
    [
        (np.zeros((1, 5, 6), np.uint8), 16, TypeError, "uint16, got uint8"),
        (np.zeros((5, 6), np.uint16), 16, ValueError, r"got \(5, 6\)"),
        (np.zeros((1, 5, 7), np.uint16), 16, ValueError, r"labels \(5, 6\), got \(5, 7\)"),
        (np.zeros((1, 5, 6), np.uint16), 0, ValueError, "1 to 16, got 0"),
        (np.zeros((1, 5, 6), np.uint16), 17, ValueError, "1 to 16, got 17"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    planes: np.ndarray, steps: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        measure_granularity(planes, list_object_sets(whole((5, 6)), 0), steps=steps)
