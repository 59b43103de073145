"""From planes to rows: scales, missing values and their reasons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from imaging.measure import measure_planes
from imaging.warm_up import warm_up
from tests.imaging.small_plate import make_job


def test_each_channel_is_measured_on_the_scale_of_its_own_type(tmp_path: Path) -> None:
    pins = make_job(tmp_path).ensure_pins()
    noise = np.random.default_rng(1)
    planes = {
        "DNA": noise.integers(0, 256, (80, 90)).astype(np.uint8),
        "GFP": noise.integers(0, 256, (80, 90)).astype(np.uint16),
    }
    rows = {row["channel"]: row for row in measure_planes(planes, pins).image_metrics}
    assert rows["DNA"]["MaxIntensity"] == pytest.approx(1, abs=0.01)
    assert rows["GFP"]["MaxIntensity"] == pytest.approx(255 / 65535, rel=0.01)
    assert (rows["DNA"]["Scaling"], rows["GFP"]["Scaling"]) == (255, 65535)


def test_a_metric_without_a_value_is_null_and_says_why(tmp_path: Path) -> None:
    pins = make_job(tmp_path).ensure_pins()
    plane = np.random.default_rng(2).integers(0, 200, (40, 50)).astype(np.uint8)
    (row, _) = measure_planes({"DNA": plane, "GFP": plane}, pins).image_metrics
    assert row["EmptyImage"] is None
    assert "EmptyImage: a plane of 50 x 40 pixels is too small for a background" in row["not_measured"]
    assert sorted(reason.split(":")[0] for reason in row["not_measured"]) == sorted(
        name for name, value in row.items() if value is None
    )


def test_warming_up_leaves_nothing_behind(tmp_path: Path) -> None:
    pins = make_job(tmp_path).ensure_pins()
    plane = np.random.default_rng(3).integers(0, 200, (70, 70)).astype(np.uint8)
    before = measure_planes({"DNA": plane, "GFP": plane}, pins)
    warm_up()
    assert measure_planes({"DNA": plane, "GFP": plane}, pins).image_metrics == before.image_metrics


def test_images_of_8_bits_in_a_channel_of_more_are_measured_and_never_saturated(tmp_path: Path) -> None:
    pins = json.loads(json.dumps(make_job(tmp_path).ensure_pins()))
    pins["pixels"]["channels"][0]["full_scale"] = 4095
    plane = np.full((70, 70), 255, np.uint8)
    plane[:35] = 7
    rows = {row["channel"]: row for row in measure_planes({"DNA": plane, "GFP": plane}, pins).image_metrics}
    assert (rows["DNA"]["PercentSaturated"], rows["GFP"]["PercentSaturated"]) == (0, 50)
    assert rows["DNA"]["MaxIntensity"] == rows["GFP"]["MaxIntensity"] == 1
