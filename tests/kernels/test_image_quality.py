"""Image quality: cases computed by hand, a literal port of CellProfiler's formulas, then CellProfiler's own values."""

import csv
import gzip
import itertools
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from kernels.image_quality import IMAGE_METRICS, describe_image_metrics, explain_missing, measure_image_quality
from tests.kernels import cellprofiler_port
from tests.parts import require

CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
NOT_CELLPROFILERS = {"PercentSaturated", "BackgroundLevel", "BackgroundGradient", "PercentDebris", "EmptyImage"}


def measure_one(plane, full_scale=255):
    return {name: values[0] for name, values in measure_image_quality(plane[None], full_scale=full_scale).items()}


def test_small_plane_has_the_values_computed_by_hand():
    plane = np.array([[0, 51], [51, 255]], np.uint8)
    metrics = measure_one(plane)
    assert metrics["MeanIntensity"] == pytest.approx(0.35)
    assert metrics["MedianIntensity"] == pytest.approx(0.2)
    assert metrics["MADIntensity"] == pytest.approx(0.1)
    assert metrics["StdIntensity"] == pytest.approx(math.sqrt(0.1475))
    assert metrics["FocusScore"] == pytest.approx(0.1475 / 0.35)
    assert (metrics["MinIntensity"], metrics["MaxIntensity"]) == (0, 1)
    assert metrics["TotalIntensity"] == pytest.approx(1.4)
    assert metrics["TotalArea"] == 4
    assert (metrics["PercentMinimal"], metrics["PercentMaximal"]) == (25, 25)


def test_odd_number_of_pixels_has_the_middle_one_as_median():
    metrics = measure_one(np.array([[1, 2, 9]], np.uint8))
    assert metrics["MedianIntensity"] * 255 == pytest.approx(2)
    assert metrics["MADIntensity"] * 255 == pytest.approx(1)


def test_saturation_is_measured_at_the_full_scale_of_the_camera():
    plane = np.array([[4095, 4095, 4094, 0]], np.uint16)
    metrics = measure_one(plane, full_scale=4095)
    assert metrics["PercentSaturated"] == 50
    assert metrics["MaxIntensity"] == pytest.approx(4095 / 65535)
    assert measure_one(plane, full_scale=65535)["PercentSaturated"] == 0


def test_counts_above_the_full_scale_are_saturated():
    assert measure_one(np.array([[5000, 1]], np.uint16), full_scale=4095)["PercentSaturated"] == 50


def test_black_plane_scores_zero():
    metrics = measure_one(np.zeros((64, 64), np.uint16), full_scale=65535)
    assert metrics["FocusScore"] == 0
    assert metrics["PowerLogLogSlope"] == 0
    assert metrics["PercentMaximal"] == 100


def test_flat_saturated_plane_is_all_saturated_and_has_no_contrast():
    metrics = measure_one(np.full((64, 64), 255, np.uint8))
    assert (metrics["PercentSaturated"], metrics["FocusScore"], metrics["PowerLogLogSlope"]) == (100, 0, 0)
    assert metrics["StdIntensity"] == 0


def test_plane_too_small_for_two_rings_has_a_slope_of_zero_as_in_cellprofiler():
    plane = np.arange(31 * 40, dtype=np.uint16).reshape(31, 40)
    assert measure_one(plane, full_scale=65535)["PowerLogLogSlope"] == 0
    assert measure_one(np.pad(plane, ((0, 1), (0, 0))), full_scale=65535)["PowerLogLogSlope"] != 0


def test_single_pixel_is_measured():
    metrics = measure_one(np.array([[7]], np.uint8))
    assert metrics["MeanIntensity"] == pytest.approx(7 / 255)
    assert metrics["PowerLogLogSlope"] == 0


def test_pattern_without_low_frequencies_has_no_power_slope():
    plane = np.tile(np.array([[0, 2], [2, 0]], np.uint8), (64, 64))
    assert math.isnan(measure_one(plane)["PowerLogLogSlope"])


def test_white_noise_has_a_flat_spectrum_so_rings_grow_with_their_length():
    plane = np.random.default_rng(0).integers(0, 256, (512, 512)).astype(np.uint8)
    assert measure_one(plane)["PowerLogLogSlope"] == pytest.approx(1, abs=0.1)


def test_planes_are_measured_one_by_one():
    planes = np.random.default_rng(0).integers(0, 256, (3, 72, 80)).astype(np.uint8)
    together = measure_image_quality(planes, full_scale=255)
    for index, plane in enumerate(planes):
        assert {name: values[index] for name, values in together.items()} == measure_one(plane)


def test_no_planes_give_empty_columns():
    metrics = measure_image_quality(np.zeros((0, 4, 4), np.uint8), full_scale=255)
    assert all(values.shape == (0,) and values.dtype == np.float64 for values in metrics.values())


def test_descriptions_name_every_metric_in_order():
    described = describe_image_metrics()
    measured = measure_image_quality(np.zeros((1, 4, 4), np.uint8), full_scale=255)
    assert [metric.name for metric in described] == list(measured)
    assert all(metric.unit and metric.definition and metric.family == "ImageQuality" for metric in described)


@pytest.mark.parametrize(
    ("planes", "full_scale", "error", "message"),
    [
        (np.zeros((8, 8), np.uint8), 255, ValueError, r"planes must have shape \(n, y, x\), got \(8, 8\)"),
        (np.zeros((1, 8, 8), np.int32), 255, TypeError, "planes must be uint8 or uint16, got int32"),
        (np.zeros((1, 8, 8), np.uint8), 256, ValueError, "full_scale must be from 1 to 255 for uint8, got 256"),
        (np.zeros((1, 8, 8), np.uint8), 0, ValueError, "full_scale must be from 1 to 255 for uint8, got 0"),
    ],
)
def test_wrong_arguments_are_refused(planes, full_scale, error, message):
    with pytest.raises(error, match=message):
        measure_image_quality(planes, full_scale=full_scale)


# The literal port


def cells(seed: int, shape: tuple[int, int] = (203, 251), *, bright: float = 5000) -> np.ndarray:
    """Blurred spots on a noisy, uneven ground."""
    noise = np.random.default_rng(seed)
    plane = np.zeros(shape)
    plane[noise.integers(0, shape[0], 25), noise.integers(0, shape[1], 25)] = bright * 200
    y, x = np.mgrid[: shape[0], : shape[1]]
    ground = 300 * (1.2 - ((y / shape[0] - 0.5) ** 2 + (x / shape[1] - 0.5) ** 2))
    return (cv2.GaussianBlur(plane, (0, 0), 4) + ground + noise.normal(0, 9, shape)).clip(0, 65535).astype(np.uint16)


def odd_planes() -> dict[str, np.ndarray]:
    noise = np.random.default_rng(5)
    plane = cells(1)
    half_black = plane.copy()
    half_black[:100] = 0
    return {
        "cells": plane,
        "8 bits": np.minimum(plane // 24, 255).astype(np.uint8),
        "blurred": cv2.GaussianBlur(plane, (0, 0), 6),
        "saturated": np.minimum(plane.astype(int) * 40, 65535).astype(np.uint16),
        "empty": noise.normal(120, 4, (160, 160)).astype(np.uint16),
        "flat": np.full((90, 70), 1234, np.uint16),
        "flat saturated": np.full((90, 70), 65535, np.uint16),
        "black": np.zeros((64, 64), np.uint16),
        "black 8 bits": np.zeros((64, 64), np.uint8),
        "half black": half_black,
        "two values": np.where(noise.random((99, 101)) < 0.2, 65535, 0).astype(np.uint16),
        "one bright pixel": np.pad(np.array([[9999]], np.uint16), 40),
        "one pixel wide": plane[:, :1].copy(),
        "one pixel high": plane[:1].copy(),
        "one pixel": plane[:1, :1].copy(),
        "two pixels": plane[:1, :2].copy(),
        "narrower than the offsets": plane[:60, :20].copy(),
        "33 x 33": plane[:33, :33].copy(),
        "tall": cells(3, (400, 40)),
        "full range": noise.integers(0, 65536, (120, 130)).astype(np.uint16),
    }


@pytest.mark.parametrize("name", odd_planes())
def test_every_metric_is_that_of_the_literal_port(name):
    plane = odd_planes()[name]
    scale = int(np.iinfo(plane.dtype).max)
    metrics, literal = measure_one(plane, full_scale=scale), cellprofiler_port.measure(plane, scale)
    assert set(literal) | NOT_CELLPROFILERS == set(metrics)
    different = {key: (metrics[key], value) for key, value in literal.items() if not close(metrics[key], value)}
    assert different == {}


def close(value: float, literal: float) -> bool:
    return value == pytest.approx(literal, rel=1e-5, abs=1e-12)


def test_counts_are_divided_by_the_divisor():
    plane = np.minimum(cells(2), 4095)
    metrics, literal = (
        measure_image_quality(plane[None], full_scale=4095, divisor=4095),
        cellprofiler_port.measure(plane, 4095),
    )
    different = {key: (metrics[key][0], value) for key, value in literal.items() if not close(metrics[key][0], value)}
    assert different == {}


def test_mostly_flat_windows_score_zero_where_rounding_would_make_up_a_median():
    plane = np.full((100, 100), 3, np.uint8)
    plane[:20, :20] = 200
    assert measure_one(plane)["LocalFocusScore_10"] == 0


# What CellProfiler does not have


def test_background_is_the_level_between_the_cells_and_its_gradient():
    y, x = np.mgrid[:640, :640] / 320 - 1
    ground = 400 * (1 - 0.2 * (y**2 + x**2) / 2)
    plane = np.random.default_rng(1).normal(ground, 8)
    plane[100:130, 200:240] += 3000
    metrics = measure_one(plane.astype(np.uint16), full_scale=65535)
    assert metrics["BackgroundLevel"] * 65535 == pytest.approx(ground.mean(), rel=0.01)
    assert metrics["BackgroundGradient"] == pytest.approx(100 * 0.155 / 0.933, abs=1)  # 155 of 933: block middles


def spots(noise: np.random.Generator, *, count: int = 40, side: int = 24) -> np.ndarray:
    plane = noise.normal(300, 10, (640, 640))
    for y, x in noise.integers(20, 600, (count, 2)):
        plane[y : y + side, x : x + side] = noise.normal(900, 30, (side, side))
    return plane


def test_debris_is_the_share_of_what_is_much_brighter_than_objects():
    noise = np.random.default_rng(3)
    plane = spots(noise)
    clean = measure_one(plane.astype(np.uint16), full_scale=65535)
    plane[320:480, 160:320] = 9000
    dirty = measure_one(plane.astype(np.uint16), full_scale=65535)
    assert clean["PercentDebris"] == 0
    assert dirty["PercentDebris"] == pytest.approx(100 * 160 * 160 / 640**2, rel=0.02)


def test_bubble_is_the_share_of_what_is_darker_than_the_background():
    plane = spots(np.random.default_rng(4))
    plane[80:240, 400:560] *= 0.5
    metrics = measure_one(plane.astype(np.uint16), full_scale=65535)
    assert metrics["PercentDebris"] == pytest.approx(100 * 160 * 160 / 640**2, rel=0.15)


def test_gaps_between_crowded_cells_are_no_bubbles():
    noise = np.random.default_rng(8)
    cells = cv2.GaussianBlur(noise.normal(0, 1, (640, 640)), (0, 0), 24)
    plane = 3000 + 1200 * cells / cells.std() + noise.normal(0, 20, cells.shape)
    plane[cells < np.quantile(cells, 0.15)] = 700
    assert measure_one(plane.clip(0, 65535).astype(np.uint16), full_scale=65535)["PercentDebris"] == 0


def test_specks_do_not_make_debris_of_the_cells():
    noise = np.random.default_rng(9)
    plane = noise.normal(300, 8, (800, 800))
    for y, x in itertools.product(range(0, 800, 104), repeat=2):
        plane[y : y + 16, x : x + 16] = 420
    for y, x in itertools.product(range(24, 800, 160), repeat=2):
        plane[y : y + 48, x : x + 48] = 1200
    assert measure_one(plane.astype(np.uint16), full_scale=65535)["PercentDebris"] == 0


@pytest.mark.parametrize(
    ("name", "is_empty"),
    [("cells", 0), ("blurred", 0), ("empty", 1), ("flat", 1), ("flat saturated", 1), ("black", 1), ("8 bits", 0)],
)
def test_a_plane_without_anything_but_noise_is_empty(name, is_empty):
    plane = odd_planes()[name]
    assert measure_one(plane, full_scale=int(np.iinfo(plane.dtype).max))["EmptyImage"] == is_empty


def test_uneven_noise_is_empty_and_one_nucleus_is_not():
    y, x = np.mgrid[:640, :640] / 320 - 1
    plane = np.random.default_rng(7).normal(300 * (1 - 0.35 * (y**2 + x**2) / 2), 12)
    assert measure_one(plane.astype(np.uint16), full_scale=65535)["EmptyImage"] == 1
    plane[300:330, 400:430] += 200
    assert measure_one(plane.astype(np.uint16), full_scale=65535)["EmptyImage"] == 0


def test_flat_planes_have_every_metric_but_a_background_where_they_are_tiny():
    assert not [name for name, value in measure_one(np.full((64, 64), 9, np.uint8)).items() if math.isnan(value)]
    small = measure_one(np.full((63, 200), 9, np.uint8))
    assert small["EmptyImage"] == 1
    assert math.isnan(small["BackgroundLevel"])


@pytest.mark.parametrize("name", odd_planes())
def test_a_metric_without_a_value_has_a_reason(name):
    plane = odd_planes()[name]
    metrics = measure_one(plane, full_scale=int(np.iinfo(plane.dtype).max))
    for metric in IMAGE_METRICS:
        if math.isnan(metrics[metric]):
            assert "it is not defined" not in explain_missing(metric, plane.shape)


# CellProfiler's own values


@pytest.mark.parametrize("channel", CHANNELS)
def test_values_are_those_of_cellprofiler(channel):
    folder = Path(require("shared")) / "golden" / "sparse_site"
    with gzip.open(folder / "cellprofiler_4.2.8.1_Image.csv.gz", "rt") as file:
        golden = dict(list(csv.reader(file))[1:])
    plane = np.load(folder / "images_uint16.npz")[channel]
    metrics = measure_one(plane, full_scale=65535)
    known = {name: column_of(name, f"Orig{channel}") for name in metrics}
    compared = [name for name, key in known.items() if key in golden]
    assert len(compared) >= 21, compared
    for name in compared:
        assert metrics[name] == pytest.approx(float(golden[known[name]]), rel=2e-6), name


def column_of(metric: str, channel: str) -> str:
    name, _, scale = metric.partition("_")
    return f"ImageQuality_{name}_{channel}" + (f"_{scale}" if scale else "")


def test_a_focus_limit_from_one_half_of_the_planes_separates_the_other():
    def slopes(folder):
        paths = sorted((Path(require("shared")) / "data" / "focus_bbbc006" / folder).iterdir())
        planes = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]
        return [measure_one(plane, full_scale=65535)["PowerLogLogSlope"] for plane in planes]

    sharp, blurred = slopes("in_focus"), slopes("out_of_focus")
    for first, second in ((0, 1), (1, 0)):
        limit = (min(sharp[first::2]) + max(blurred[first::2])) / 2
        assert max(blurred[second::2]) < limit < min(sharp[second::2])
