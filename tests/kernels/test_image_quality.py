"""Image quality: cases computed by hand, then CellProfiler's own values."""

import csv
import gzip
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from kernels.image_quality import describe_image_metrics, measure_image_quality

SHARED = Path(__file__).parents[3] / "shared"
GOLDEN = SHARED / "golden" / "sparse_site"
FOCUS = SHARED / "data" / "focus_bbbc006"


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


def test_plane_too_small_for_rings_has_no_power_slope():
    plane = np.arange(31 * 40, dtype=np.uint16).reshape(31, 40)
    assert math.isnan(measure_one(plane, full_scale=65535)["PowerLogLogSlope"])


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
    planes = np.random.default_rng(0).integers(0, 256, (3, 40, 56)).astype(np.uint8)
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


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="CellProfiler's golden values are not beside the repository")
@pytest.mark.parametrize("channel", ["DNA", "ER", "RNA", "AGP", "Mito"])
def test_values_are_those_of_cellprofiler(channel):
    with gzip.open(GOLDEN / "cellprofiler_4.2.8.1_Image.csv.gz", "rt") as file:
        golden = dict(list(csv.reader(file))[1:])
    plane = np.load(GOLDEN / "images_uint16.npz")[channel]
    metrics = measure_one(plane, full_scale=65535)
    known = {name: f"ImageQuality_{name}_Orig{channel}" for name in metrics}
    compared = [name for name, key in known.items() if key in golden]
    assert len(compared) == 12, compared
    for name in compared:
        assert metrics[name] == pytest.approx(float(golden[known[name]]), rel=2e-6), name


@pytest.mark.skipif(not FOCUS.is_dir(), reason="the focus images are not beside the repository")
def test_power_slope_separates_planes_in_focus_from_planes_out_of_focus():
    def slopes(folder):
        planes = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((FOCUS / folder).iterdir())]
        return [measure_one(plane, full_scale=65535)["PowerLogLogSlope"] for plane in planes]

    assert max(slopes("out_of_focus")) < -2.5 < -2 < min(slopes("in_focus"))
