"""The fixpoint segmentation on the CPU: nuclei, cells, cytoplasm, and how they compare with others'."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.segmentation import watershed

from kernels.fixpoint import segment_cells_fixpoint, segment_cytoplasm_fixpoint, segment_nuclei_fixpoint
from kernels.fixpoint_cpu import cpu_steps
from kernels.fixpoint_tables import MOST_LABEL, disk_offsets, find_limit, gaussian_weights
from tests.golden import CHANNELS, read_planes
from tests.parts import require


def draw(disks, shape=(120, 160), *, background=10, dtype: type = np.uint8, noise=1.0):
    """Draw disks of (y, x, radius, brightness) on a noisy background."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    plane = np.full(shape, float(background))
    for row, column, radius, brightness in disks:
        plane[np.hypot(y - row, x - column) <= radius] = brightness
    noisy = plane + np.random.default_rng(1).normal(0, noise, shape)
    return noisy.clip(0, np.iinfo(dtype).max).astype(dtype)


def nuclei_of(plane, **parameters):
    return segment_nuclei_fixpoint(plane, **{"diameter_px": (10, 40), **parameters})


def golden_labels(name: str) -> np.ndarray:
    folder = Path(require("shared")) / "golden" / "sparse_site"
    return np.load(folder / "labels_uint16.npz")[name].astype(np.int32)


def overlaps(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give the intersection over union of all pairs of objects, shape (labels, truths)."""
    shared = np.zeros((labels.max() + 1, truth.max() + 1))
    np.add.at(shared, (labels, truth), 1)
    union = shared.sum(axis=1)[:, None] + shared.sum(axis=0) - shared
    return (shared / np.maximum(union, 1))[1:, 1:]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_disks_are_found_with_their_area_in_raster_order(dtype):
    labels = nuclei_of(draw([(60, 30, 10, 200), (20, 90, 8, 150), (90, 120, 12, 90)], dtype=dtype))
    assert labels.dtype == np.int32
    assert [labels[20, 90], labels[60, 30], labels[90, 120]] == [1, 2, 3]
    np.testing.assert_allclose(np.bincount(labels.ravel())[1:], np.pi * np.array([8, 10, 12]) ** 2, rtol=0.15)


def test_8_and_16_bits_give_the_same_labels():
    plane = draw([(60, 30, 10, 200), (20, 90, 8, 150)])
    np.testing.assert_array_equal(nuclei_of(plane), nuclei_of(plane.astype(np.uint16) * 257))


def test_touching_round_nuclei_are_divided_by_shape_and_one_long_nucleus_is_not():
    pair = draw([(60, 60, 12, 200), (60, 80, 12, 200)])
    labels = nuclei_of(pair)
    assert labels.max() == 2
    assert labels[60, 55] != labels[60, 85]
    assert nuclei_of(pair, declump="none", diameter_px=(10, 60)).max() == 1
    assert nuclei_of(pair, neck=0.5).max() == 1
    assert nuclei_of(draw([(60, 40 + k, 8, 200) for k in range(30)]), diameter_px=(6, 40)).max() == 1


def test_touching_nuclei_bright_in_their_middle_are_divided_by_intensity():
    y, x = np.mgrid[:80, :100]
    plane = np.maximum(*(200 * np.exp(-((y - 40) ** 2 + (x - middle) ** 2) / 200) for middle in (35, 62))) + 10
    labels = nuclei_of(plane.astype(np.uint8), declump="intensity", diameter_px=(10, 60), edge_fraction=0)
    assert labels.max() == 2
    assert labels[40, 35] != labels[40, 62]


def test_objects_are_dropped_by_size_and_at_the_border():
    plane = draw([(60, 30, 10, 200), (20, 90, 3, 200), (80, 110, 30, 200), (60, 159, 8, 200)])
    assert nuclei_of(plane).max() == 2
    kept = nuclei_of(plane, drop_border=True)
    assert kept.max() == 1
    assert kept[60, 30] == 1


def test_dark_nucleoli_do_not_make_holes_but_large_gaps_stay():
    plane = draw([(60, 80, 18, 200), (60, 80, 3, 10)])
    assert nuclei_of(plane)[60, 80] == 1
    ring = draw([(60, 80, 30, 200), (60, 80, 20, 10)])
    assert nuclei_of(ring, diameter_px=(10, 90), declump="none")[60, 80] == 0


def test_an_adaptive_threshold_finds_a_dim_nucleus_beside_bright_ones():
    plane = draw([(60, 30, 10, 90), *((y, x, 10, 250) for y, x in ((20, 120), (60, 120), (100, 120), (100, 90)))])
    assert nuclei_of(plane, threshold="otsu").max() == 4
    labels = nuclei_of(plane, threshold="otsu", adaptive_window_px=60)
    assert labels.max() == 5
    assert labels[60, 30] > 0


def test_dim_rims_are_trimmed():
    plane = draw([(60, 80, 14, 60), (60, 80, 9, 250)], noise=0)
    whole, trimmed = (nuclei_of(plane, edge_fraction=share, declump="none") for share in (0, 0.5))
    assert np.count_nonzero(whole) > 550
    assert np.count_nonzero(trimmed) < 330


@pytest.mark.parametrize("declump", ["shape", "intensity", "none"])
@pytest.mark.parametrize(
    "plane",
    [
        np.zeros((40, 50), np.uint16),
        np.full((40, 50), 65_535, np.uint16),
        np.full((1, 1), 9, np.uint8),
        np.random.default_rng(3).normal(500, 20, (60, 70)).astype(np.uint16),
    ],
    ids=["black", "saturated", "one pixel", "noise"],
)
def test_planes_without_nuclei_give_none(plane, declump):
    assert not nuclei_of(plane, declump=declump).any()


def test_one_nucleus_may_fill_all_but_a_pixel():
    plane = np.full((30, 31), 65_535, np.uint16)
    plane[0, 0] = 0
    labels = nuclei_of(plane, diameter_px=(3, 99), smoothing_px=0)
    np.testing.assert_array_equal(labels, plane > 0)
    assert not nuclei_of(plane, diameter_px=(3, 99), smoothing_px=0, drop_border=True).any()


@pytest.mark.parametrize("shape", [(1, 90), (90, 1)])
def test_a_line_of_pixels_is_segmented(shape):
    plane = np.full(90, 100, np.uint16)
    plane[10:16] = plane[50:57] = 5_000
    labels = nuclei_of(plane.reshape(shape), diameter_px=(2, 9), smoothing_px=0).ravel()
    np.testing.assert_array_equal(labels[[9, 10, 15, 16, 50, 56, 57]], [0, 1, 1, 0, 2, 2, 0])


def test_thousands_of_small_nuclei_are_numbered_without_gaps():
    plane = np.full((330, 330), 200, np.uint16)
    plane[2:-1:6, 2:-1:6] = plane[3:-1:6, 2:-1:6] = plane[2:-1:6, 3:-1:6] = plane[3:-1:6, 3:-1:6] = 9_000
    labels = nuclei_of(plane, diameter_px=(1, 5), smoothing_px=0)
    assert labels.max() == 55 * 55
    np.testing.assert_array_equal(np.unique(labels[2]), np.arange(56))
    np.testing.assert_array_equal(np.bincount(labels.ravel())[1:], 4)


def test_cells_follow_the_stain_and_keep_the_number_of_their_nucleus():
    stain = draw([(60, 40, 25, 120), (60, 110, 30, 90), (15, 15, 9, 150)])
    nuclei = np.zeros(stain.shape, np.int64)
    nuclei[55:65, 35:45], nuclei[55:65, 105:115], nuclei[110:115, 5:9] = 7, 3, 4
    cells = segment_cells_fixpoint(nuclei, stain)
    assert cells[60, 20] == 7
    assert cells[60, 130] == 3
    assert cells[15, 15] == 0
    np.testing.assert_array_equal(cells[nuclei > 0], nuclei[nuclei > 0])
    np.testing.assert_array_equal(cells == 4, nuclei == 4)


@pytest.mark.parametrize("stain", [None, np.full((9, 12), 40, np.uint8)], ids=["no stain", "flat stain"])
def test_cells_without_a_stain_reach_a_distance_and_meet_halfway(stain):
    nuclei = np.zeros((9, 12), np.int32)
    nuclei[4, 2], nuclei[4, 8] = 2, 1
    y, x = np.mgrid[:9, :12]
    to_second, to_first = (y - 4) ** 2 + (x - 2) ** 2, (y - 4) ** 2 + (x - 8) ** 2
    nearest = np.where(to_second < to_first, 2, 1)  # as near to both: the smaller label
    for reach in (0, 2.9, 3, 50, np.inf):
        expected = np.where(np.minimum(to_second, to_first) <= reach**2, nearest, 0)
        np.testing.assert_array_equal(segment_cells_fixpoint(nuclei, stain, expansion_px=reach), expected)
    assert not segment_cells_fixpoint(np.zeros((9, 12), int), stain).any()


def test_cells_without_a_stain_end_at_a_greatest_reach():
    nuclei = np.zeros((1, 40_000), np.int32)
    nuclei[0, 20_000] = MOST_LABEL
    cells = segment_cells_fixpoint(nuclei, None, expansion_px=np.inf)
    assert np.flatnonzero(cells)[[0, -1]].tolist() == [20_000 - 16_384, 20_000 + 16_384]


def test_cytoplasm_is_the_cell_without_its_nucleus_or_with_its_rim():
    cells = np.zeros((9, 9), np.int32)
    cells[:, 1:8] = 5
    nuclei = np.zeros((9, 9), np.int32)
    nuclei[:6, 2:7] = 5
    np.testing.assert_array_equal(segment_cytoplasm_fixpoint(nuclei, cells), np.where(nuclei > 0, 0, cells))
    inside = np.zeros((9, 9), bool)
    inside[1:5, 3:6] = True
    rest = segment_cytoplasm_fixpoint(nuclei, cells, shared_rim=True)
    np.testing.assert_array_equal(rest, np.where(inside, 0, cells))


@pytest.mark.parametrize(
    ("plane", "parameters", "error", "message"),
    [
        (np.zeros((8, 8)), {}, TypeError, "plane must be uint8 or uint16, got float64"),
        (np.zeros((8, 8, 2), np.uint8), {}, ValueError, r"plane must have shape \(y, x\), got \(8, 8, 2\)"),
        (np.zeros((8, 0), np.uint8), {}, ValueError, "at least one pixel"),
        (np.zeros((8, 8), np.uint8), {"diameter_px": (9, 9)}, ValueError, r"0 < min < max, got \(9, 9\)"),
        (np.zeros((8, 8), np.uint8), {"threshold": "magic"}, ValueError, "threshold must be one of"),
        (np.zeros((8, 8), np.uint8), {"threshold_correction": 0}, ValueError, "threshold_correction must be above 0"),
        (
            np.zeros((8, 8), np.uint8),
            {"smoothing_px": np.nan},
            ValueError,
            "smoothing_px must be from 0 to 500.0, got nan",
        ),
        (np.zeros((8, 8), np.uint8), {"declump": "magic"}, ValueError, "declump must be one of"),
        (np.zeros((8, 8), np.uint8), {"adaptive_window_px": -1}, ValueError, "adaptive_window_px must be 1 or more"),
        (np.zeros((8, 8), np.uint8), {"threshold_bounds": (0.5, 0.1)}, ValueError, "threshold_bounds must be"),
        (np.zeros((8, 8), np.uint8), {"valley": -0.1}, ValueError, "valley must be 0 or more, got -0.1"),
        (np.zeros((8, 8), np.uint8), {"neck": 1.1}, ValueError, "neck must be from 0 to 1, got 1.1"),
        (np.zeros((4097, 4096), np.uint8), {}, ValueError, "plane must have at most 16777216 pixels"),
    ],
)
def test_wrong_arguments_for_nuclei_are_refused(plane, parameters, error, message):
    with pytest.raises(error, match=message):
        nuclei_of(plane, **parameters)


@pytest.mark.parametrize(
    ("nuclei", "plane", "parameters", "error", "message"),
    [
        (np.zeros((8, 8)), None, {}, TypeError, "nuclei must have an integer type, got float64"),
        (np.full((8, 8), -1), None, {}, ValueError, "nuclei must have labels from 0 to 16777216, got -1"),
        (np.full((8, 8), 1 << 25), None, {}, ValueError, "nuclei must have labels from 0 to 16777216, got 33554432"),
        (np.zeros((8, 8), int), np.zeros((8, 9), np.uint8), {}, ValueError, "plane must have the shape of nuclei"),
        (np.zeros((8, 8), int), None, {"expansion_px": -1}, ValueError, "expansion_px must be 0 or more, got -1"),
    ],
)
def test_wrong_arguments_for_cells_are_refused(nuclei, plane, parameters, error, message):
    with pytest.raises(error, match=message):
        segment_cells_fixpoint(nuclei, plane, **parameters)


def test_what_needs_an_order_is_refused():
    plane, nothing = np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.int32)
    with pytest.raises(ValueError, match="method must be automatic where the flood is fixpoint, got 'cellprofiler'"):
        nuclei_of(plane, method="cellprofiler")
    with pytest.raises(ValueError, match="method must be automatic where the flood is fixpoint, got 'cellprofiler'"):
        segment_cells_fixpoint(nothing, plane, method="cellprofiler")
    with pytest.raises(ValueError, match="rivals must be None where the flood is fixpoint"):
        segment_cells_fixpoint(nothing, plane, rivals=nothing)


def test_cytoplasm_of_unlike_shapes_is_refused():
    with pytest.raises(ValueError, match=r"cells must have the shape of nuclei, \(2, 2\), got \(2, 3\)"):
        segment_cytoplasm_fixpoint(np.zeros((2, 2), int), np.zeros((2, 3), int))


def test_annotated_nuclei_are_found_as_well_as_by_the_other_segmentation():
    folder = Path(require("shared")) / "data" / "segmentation_dsb2018_fluo"
    found = expected = 0
    hits = np.zeros(2)
    for path in sorted((folder / "images").glob("*.png")):
        truth = cv2.imread(str(folder / "labels" / path.name), cv2.IMREAD_UNCHANGED)
        plane = np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), np.uint8)
        labels = segment_nuclei_fixpoint(plane, diameter_px=(8, 80))
        quality = overlaps(labels, truth)
        hits += [(quality > 0.5).sum(), (quality > 0.7).sum()]
        found, expected = found + labels.max(), expected + truth.max()
    assert (2 * hits / (found + expected) > (0.88, 0.81)).all()


def test_golden_nuclei_and_cells_are_cellprofilers_in_kind():
    dna, rna = read_planes(("DNA", "RNA"))
    theirs = golden_labels("NucleiIncludingEdges")
    for edge_fraction, overlap in ((0.4, 0.75), (0.25, 0.9), (0.0, 0.96)):
        nuclei = segment_nuclei_fixpoint(dna, diameter_px=(15, 90), edge_fraction=edge_fraction)
        assert abs(nuclei.max() - 37) <= 1
        assert np.median(overlaps(nuclei, theirs).max(axis=0)) >= overlap
    cells = segment_cells_fixpoint(theirs, rna)
    assert np.median(overlaps(cells, golden_labels("CellsIncludingEdges")).max(axis=0)) >= 0.86


@pytest.mark.parametrize(("channel", "method"), [("DNA", "shape"), ("DNA", "intensity"), ("RNA", "cells")])
def test_the_flood_agrees_with_one_that_queues(channel: str, method: str):
    steps = cpu_steps()
    smooth = steps.smooth(read_planes()[CHANNELS.index(channel)], gaussian_weights(1.0))
    limit = find_limit(steps.count(smooth), "otsu-log", 0.5 if method == "cells" else 1.0)
    assert limit is not None
    height, classes = smooth, steps.divide(smooth, limit.whole)
    if method == "cells":
        seeds = golden_labels("NucleiIncludingEdges")
    else:
        if method == "shape":
            height = steps.smooth(steps.measure_heights(classes), gaussian_weights(1.0))
        seeds, _ = steps.find_seeds(height, steps.connect(classes)[0], disk_offsets(5))
    ours = steps.flood(height, classes, seeds)
    theirs = watershed(65_535 - height.astype(np.int64), seeds, mask=(classes > 0) | (seeds > 0), connectivity=2)
    is_object = (ours > 0) | (theirs > 0)
    assert (ours == theirs)[is_object].mean() > 0.998
