"""Nucleus to cytoplasm ratio: drawn cells first, then real translocation."""

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

from kernels.objects import list_pixels
from kernels.segmentation import segment_nuclei
from kernels.translocation import (
    RATIO,
    describe_ratios,
    estimate_background,
    list_ring,
    measure_nucleus_cytoplasm_ratio,
    measure_ratios,
)

BBBC013 = Path(__file__).parents[3] / "shared" / "data" / "bbbc013_translocation_plate" / "images"


def ratio_of(plane, nuclei, gap_px=1.0, width_px=5.0):
    count = int(nuclei.max())
    ring = list_ring(nuclei, count, gap_px=gap_px, width_px=width_px)
    return measure_nucleus_cytoplasm_ratio(plane, nucleus=list_pixels(nuclei, count), ring=ring)


@pytest.fixture
def nuclei():
    labels = np.zeros((80, 120), np.int32)
    labels[30:50, 30:50] = 1
    return labels


def stain(nuclei, *, nucleus, cytoplasm, background, dtype: type = np.uint8):
    plane = np.full(nuclei.shape, background, dtype)
    plane[20:60, 20:60] = cytoplasm
    plane[nuclei > 0] = nucleus
    return plane


@pytest.mark.parametrize(("dtype", "factor"), [(np.uint8, 1), (np.uint16, 257), (np.uint16, 3)])
def test_ratio_is_taken_above_the_background(nuclei, dtype, factor):
    plane = stain(nuclei, nucleus=90, cytoplasm=30, background=10).astype(dtype) * dtype(factor)
    assert ratio_of(plane, nuclei)[0] == pytest.approx(80 / 20)


def test_ratio_does_not_depend_on_camera_offset_or_exposure(nuclei):
    plane = stain(nuclei, nucleus=90, cytoplasm=30, background=10, dtype=np.uint16)
    assert ratio_of(plane * 7 + 500, nuclei) == pytest.approx(ratio_of(plane, nuclei))


def test_ring_begins_behind_the_gap_and_ends_after_its_width(nuclei):
    ring = list_ring(nuclei, 1, gap_px=2, width_px=3)
    row = ring.x[ring.y == 40]
    assert row.tolist() == [25, 26, 27, 52, 53, 54]


def test_ring_goes_to_the_nearest_nucleus_and_leaves_out_other_nuclei():
    nuclei = np.zeros((40, 60), np.int32)
    nuclei[10:30, 10:20], nuclei[10:30, 26:36] = 1, 2
    ring = list_ring(nuclei, 2, gap_px=1, width_px=9)
    row = ring.y == 20
    assert ring.x[row & (ring.owner == 0)].tolist() == [*range(9), 21, 22]
    assert ring.x[row & (ring.owner == 1)].tolist() == [23, 24, *range(37, 46)]


def test_cell_without_stain_around_its_nucleus_has_no_ratio(nuclei):
    plane = stain(nuclei, nucleus=90, cytoplasm=10, background=10)
    assert math.isnan(ratio_of(plane, nuclei)[0])


def test_nucleus_that_fills_the_plane_has_no_ratio():
    assert math.isnan(ratio_of(np.full((5, 5), 9, np.uint8), np.ones((5, 5), np.int32))[0])


def test_background_is_the_first_percentile():
    plane = np.full((100, 100), 40, np.uint16)
    plane[:, :6] = 6
    assert estimate_background(plane) == pytest.approx(6, abs=0.01)
    plane[:, :6] = 40
    plane[50, 50] = 0
    assert estimate_background(plane) == pytest.approx(40)


def test_background_of_8_bit_planes_has_fractions_of_counts():
    plane = np.random.default_rng(0).choice(np.array([3, 4], np.uint8), (200, 200))
    assert 3.05 < estimate_background(plane) < 3.45


def test_ring_settings_reach_the_ratio(nuclei):
    plane = stain(nuclei, nucleus=90, cytoplasm=30, background=10)
    (name,) = [one.name for one in describe_ratios(["GFP"])]
    near = measure_ratios({"GFP": plane}, nuclei, gap_px=1, width_px=5)[name][0]
    far = measure_ratios({"GFP": plane}, nuclei, gap_px=1, width_px=20)[name][0]
    behind = measure_ratios({"GFP": plane}, nuclei, gap_px=8, width_px=5)[name][0]
    assert near == pytest.approx(4)
    assert min(far, behind) > 4


def well_median(name):
    gfp, dna = (tifffile.imread(BBBC013 / f"Channel{channel}-{name}.tif") for channel in (1, 2))
    nuclei = segment_nuclei(dna, diameter_px=(10, 40))
    ratios = measure_ratios({"GFP": gfp}, nuclei, gap_px=1, width_px=5)
    return int(nuclei.max()), float(np.median(ratios[f"{RATIO}_GFP"]))


@pytest.mark.skipif(not BBBC013.is_dir(), reason="the translocation plate is not beside the repository")
def test_stain_moves_into_the_nucleus_with_the_dose():
    counts, ratios = zip(*(well_median(name) for name in ("13-B-01", "18-B-06", "24-B-12")), strict=True)
    assert all(114 <= count <= 300 for count in counts)
    untreated, middle, treated = ratios
    assert untreated < 1 < middle < 5 < treated
