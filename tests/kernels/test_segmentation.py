"""Nuclei, cells and cytoplasm on drawn planes; real ones are in test_segmentation_accuracy.py."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from kernels.segmentation import segment_cells, segment_cytoplasm, segment_nuclei, segment_objects


def draw(disks, shape=(120, 160), *, background=10, dtype: type = np.uint8, noise=1.0):
    """Draw disks (y, x, radius, brightness) on noise."""
    y, x = np.indices(shape)
    plane = np.full(shape, float(background))
    for center_y, center_x, radius, brightness in disks:
        plane[(y - center_y) ** 2 + (x - center_x) ** 2 <= radius**2] = brightness
    plane += np.random.default_rng(0).normal(0, noise, shape)
    return plane.clip(0, np.iinfo(dtype).max).astype(dtype)


def nuclei_of(plane, *, diameter_px=(10, 40), **parameters):
    return segment_nuclei(plane, diameter_px=diameter_px, **parameters)


@pytest.mark.parametrize(
    ("threshold", "parameters"),
    [
        *[(threshold, {}) for threshold in ("minimum-cross-entropy", "otsu", "otsu-log", "otsu3", "otsu3-log")],
        *[(threshold, {"adaptive_window_px": 50}) for threshold in ("minimum-cross-entropy", "otsu3-log")],
        # without smoothing, as Otsu's threshold lies just above the background and edges would run out to it
        *[
            (threshold, {"method": "cellprofiler", "smoothing_px": 0})
            for threshold in ("minimum-cross-entropy", "otsu", "otsu-log", "otsu3")
        ],
        ("minimum-cross-entropy", {"method": "cellprofiler", "background_block_px": 60}),
        ("minimum-cross-entropy", {"method": "cellprofiler", "adaptive_window_px": 50}),
        ("minimum-cross-entropy", {"method": "cellprofiler", "declump": "intensity", "suppress_px": 12}),
        ("minimum-cross-entropy", {"method": "cellprofiler", "divide": "shape"}),
        ("minimum-cross-entropy", {"method": "cellprofiler", "declump": "none"}),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_disks_are_found_with_their_area(threshold, parameters, dtype):
    plane = draw([(60, 30, 9, 120), (30, 120, 12, 200), (90, 90, 7, 150)], dtype=dtype)
    labels = nuclei_of(plane, threshold=threshold, **parameters)
    assert labels.dtype == np.int32
    assert labels.max() == 3
    areas = [int((labels == labels[place]).sum()) for place in ((30, 120), (60, 30), (90, 90))]
    np.testing.assert_allclose(areas, [np.pi * 12**2, np.pi * 9**2, np.pi * 7**2], rtol=0.25)


def test_nuclei_are_numbered_in_raster_order():
    labels = nuclei_of(draw([(60, 30, 9, 120), (30, 120, 12, 200), (90, 90, 7, 150)]))
    assert [int(labels[place]) for place in ((30, 120), (60, 30), (90, 90))] == [1, 2, 3]


def test_8_and_16_bits_give_the_same_labels():
    plane = draw([(60, 30, 9, 120), (30, 120, 12, 200), (36, 136, 8, 180)])
    assert (nuclei_of(plane) == nuclei_of(plane.astype(np.uint16) * 257)).all()


def test_touching_round_nuclei_are_divided_by_shape():
    labels = nuclei_of(draw([(60, 50, 12, 150), (60, 72, 12, 150), (60, 94, 12, 150)]))
    assert labels.max() == 3
    assert [int(labels[60, x]) for x in (50, 72, 94)] == [1, 2, 3]


def test_touching_nuclei_bright_in_their_middle_are_divided_by_intensity():
    y, x = np.indices((80, 120))
    hills = [np.exp(-((y - 40) ** 2 + (x - center) ** 2) / (2 * 7**2)) for center in (45, 67)]
    plane = (10 + 200 * np.maximum(*hills) * (abs(y - 40) < 12)).astype(np.uint8)
    labels = nuclei_of(plane, declump="intensity")
    assert labels.max() == 2
    assert labels[40, 45] != labels[40, 67]
    assert nuclei_of(plane, declump="none", diameter_px=(10, 60)).max() == 1


def test_clumps_stay_whole_where_declumping_is_off():
    clump = draw([(60, 60, 12, 150), (60, 82, 12, 150)])
    assert nuclei_of(clump, declump="none", diameter_px=(10, 60)).max() == 1


def test_long_nucleus_without_a_neck_stays_whole():
    plane = np.full((80, 80), 10, np.uint8)
    cv2.ellipse(plane, (40, 40), (26, 9), 30, 0, 360, 150, -1)
    assert nuclei_of(plane, diameter_px=(6, 40)).max() == 1


def test_less_neck_divides_less():
    clump = draw([(60, 60, 12, 150), (60, 78, 12, 150)])
    assert nuclei_of(clump, neck=0.95).max() == 2
    assert nuclei_of(clump, neck=0.5).max() == 1


def test_objects_outside_the_size_range_are_dropped():
    plane = draw([(30, 30, 3, 150), (30, 120, 9, 150), (85, 85, 25, 150)])
    labels = nuclei_of(plane)
    assert labels.max() == 1
    assert labels[30, 120] == 1


def test_nuclei_at_the_border_are_kept_unless_excluded():
    plane = draw([(0, 30, 12, 150), (60, 80, 9, 150), (60, 159, 12, 150)])
    assert nuclei_of(plane).max() == 3
    inner = nuclei_of(plane, drop_border=True)
    assert inner.max() == 1
    assert inner[60, 80] == 1


def test_dark_nucleoli_do_not_make_holes():
    plane = draw([(60, 60, 15, 150), (60, 60, 4, 10)])
    assert nuclei_of(plane)[60, 60] == 1


def test_bright_nucleus_is_not_drawn_larger_than_it_is():
    plane = cv2.GaussianBlur(draw([(60, 40, 10, 20000), (60, 120, 10, 5000)], dtype=np.uint16), (0, 0), 2)
    whole, trimmed, half = ((nuclei_of(plane, edge_fraction=share)[:, :80] > 0).sum() for share in (0, 0.25, 0.5))
    assert whole > 1.2 * trimmed > 1.2 * half
    assert half == pytest.approx(np.pi * 10**2, rel=0.1)
    assert nuclei_of(plane).max() == 2


def test_stricter_threshold_draws_less():
    plane = cv2.GaussianBlur(draw([(60, 60, 15, 200)]), (0, 0), 4)
    areas = [int((nuclei_of(plane, threshold_correction=factor) > 0).sum()) for factor in (0.7, 1.0, 1.6)]
    assert areas[0] >= areas[1] > areas[2]


def test_smoothing_finds_a_nucleus_in_noise():
    plane = draw([(60, 60, 12, 90)], noise=40)
    assert nuclei_of(plane, smoothing_px=3).max() == 1
    assert nuclei_of(plane, smoothing_px=0).max() > 1


@pytest.mark.parametrize("declump", ["shape", "intensity", "none"])
@pytest.mark.parametrize(
    "plane",
    [
        np.zeros((64, 64), np.uint8),
        np.full((64, 64), 37, np.uint16),
        np.full((64, 64), 65535, np.uint16),
        np.random.default_rng(0).normal(100, 10, (128, 128)).astype(np.uint16),
        np.random.default_rng(0).poisson(3, (128, 128)).astype(np.uint8),
        np.add.outer(np.arange(100), np.arange(90)).astype(np.uint16),
        np.array([[9]], np.uint8),
        np.array([[0, 255]], np.uint8),
        np.array([[0], [255], [0]], np.uint8),
        np.pad(np.full((1, 1), 65535, np.uint16), 30),
    ],
    ids=["black", "flat", "saturated", "noise", "photons", "gradient", "pixel", "two", "column", "hot-pixel"],
)
def test_planes_without_nuclei_give_none(plane, declump):
    nuclei = nuclei_of(plane, declump=declump)
    assert nuclei.shape == plane.shape
    assert not nuclei.any()
    cells = segment_cells(nuclei, plane)
    assert not cells.any()
    assert not segment_cells(nuclei, None).any()
    assert not segment_cytoplasm(nuclei, cells).any()


@pytest.mark.parametrize("declump", ["shape", "intensity", "none"])
@pytest.mark.parametrize(
    "plane",
    [
        np.zeros((64, 64), np.uint8),
        np.full((64, 64), 65535, np.uint16),
        np.random.default_rng(0).poisson(3, (50, 70)).astype(np.uint8),
        np.array([[9]], np.uint8),
        np.array([[0, 255]], np.uint8),
        np.array([[0], [255], [0]], np.uint8),
        np.arange(90, dtype=np.uint16).reshape(1, 90) ** 2,
    ],
    ids=["black", "saturated", "photons", "pixel", "two", "column", "row"],
)
def test_odd_planes_are_segmented_in_cellprofiler_s_way(plane, declump):
    steps = {"method": "cellprofiler", "declump": declump, "background_block_px": 30, "adaptive_window_px": 20}
    cells = {"method": "cellprofiler", "threshold": "otsu3-log", "adaptive_window_px": 20}
    found = segment_objects(plane, plane, nuclei={"diameter_px": (10, 40), **steps}, cells=cells, shared_rim=True)
    assert all(labels.shape == plane.shape and labels.dtype == np.int32 for labels in found.values())
    assert (plane.min() != plane.max()) or not found["Nuclei"].any()


def test_planes_of_thin_strips_are_segmented():
    strip = draw([(0, 30, 12, 200), (0, 90, 15, 180)], shape=(1, 160))
    for plane in (strip, strip.T):
        labels = nuclei_of(plane, diameter_px=(3, 40))
        assert labels.shape == plane.shape
        assert labels.max() == 2


def test_saturated_nuclei_and_bright_dirt_do_not_hide_dim_nuclei():
    disks = [(30, 30, 10, 40), (30, 80, 10, 60), (90, 40, 10, 45), (85, 120, 10, 255), (20, 140, 6, 255)]
    plane = cv2.GaussianBlur(draw(disks, background=10), (0, 0), 1.5)
    labels = nuclei_of(plane, diameter_px=(10, 60))
    assert labels.max() == 5
    assert len({int(labels[y, x]) for y, x, _, _ in disks}) == 5


def test_uneven_background_does_not_hide_nuclei():
    y, x = np.indices((160, 240))
    glow = 120 * np.exp(-((y - 120) ** 2 + (x - 60) ** 2) / (2 * 70**2))
    nuclei = [(30, 30, 9, 60), (30, 200, 9, 60), (110, 60, 9, 60), (130, 140, 9, 60)]
    plane = (draw(nuclei, (160, 240), background=0) + glow).clip(0, 255).astype(np.uint8)
    labels = nuclei_of(plane, diameter_px=(10, 40))
    assert labels.max() == 4
    assert len({int(labels[y, x]) for y, x, _, _ in nuclei} - {0}) == 4


def test_bright_nucleus_on_a_dim_one_is_divided_where_brightness_steps():
    plane = cv2.GaussianBlur(draw([(60, 60, 14, 70), (60, 84, 14, 220)]), (0, 0), 1.5)
    labels = nuclei_of(plane)
    assert labels.max() == 2
    assert labels[60, 54] != labels[60, 88]


def test_fields_may_be_large_and_nuclei_small_or_large_with_one_range():
    for radius in (5, 12, 30):
        plane = draw([(80, 80, radius, 150), (80, 200, radius, 150), (200, 140, radius, 150)], (280, 280), noise=4)
        labels = nuclei_of(plane, diameter_px=(8, 80))
        assert labels.max() == 3
        np.testing.assert_allclose(np.bincount(labels.ravel())[1:], np.pi * radius**2, rtol=0.3)


def test_fixpoint_is_refused_where_it_is_not_installed(monkeypatch):
    plane = draw([(60, 60, 10, 200)])
    with pytest.raises(ValueError, match="flood must be one of cellprofiler, fixpoint, got 'fast'"):
        nuclei_of(plane, flood="fast")
    monkeypatch.setattr("kernels.segmentation_checks.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="fixpoint is not part of this installation"):
        nuclei_of(plane, flood="fixpoint")


def test_fixpoint_gets_the_same_arguments(monkeypatch):
    plane, seen = draw([(60, 60, 10, 200)]), []

    def note(*arguments, **parameters):
        seen.append((len(arguments), set(parameters)))
        return np.zeros(plane.shape, np.int32)

    twin = SimpleNamespace(segment_nuclei_fixpoint=note, segment_cells_fixpoint=note)
    monkeypatch.setattr("kernels.segmentation_checks.util.find_spec", lambda name: True)
    monkeypatch.setattr("kernels.segmentation_checks.import_module", lambda name: twin)
    parameters = {"nuclei": {"diameter_px": (10, 40), "flood": "fixpoint"}, "cells": {"flood": "fixpoint"}}
    segment_objects(plane, plane, **parameters)
    expected = [{"diameter_px", *(segment_nuclei.__kwdefaults__ or {})}, {*(segment_cells.__kwdefaults__ or {})}]
    assert seen == [(count, names - {"flood"}) for count, names in zip((1, 2), expected, strict=True)]


def test_nuclei_at_the_border_grow_their_cells_before_both_are_left_out():
    plane = draw([(60, 3, 9, 200), (60, 40, 9, 200)])
    stain = draw([(60, 20, 40, 80)])
    found = segment_objects(plane, stain, nuclei={"diameter_px": (8, 40), "drop_border": True}, cells={})
    assert found["Nuclei"].max() == found["Cells"].max() == 1
    assert not found["Cells"][60, :18].any()
    assert found["Cells"][60, 40] == 1


def test_without_cells_there_are_nuclei_alone():
    found = segment_objects(draw([(60, 60, 10, 200)]), None, nuclei={"diameter_px": (10, 40)})
    assert list(found) == ["Nuclei"]
    assert found["Nuclei"].any()


def test_what_the_border_left_out_is_given_too():
    plane = draw([(60, 3, 9, 200), (60, 40, 9, 200)])
    found = segment_objects(plane, None, nuclei={"diameter_px": (8, 40), "drop_border": True}, cells={})
    assert (found["Nuclei"].max(), found["NucleiIncludingEdges"].max()) == (1, 2)
    assert found["CellsIncludingEdges"][60, 3] > 0 == found["Cells"][60, 3]


def test_threshold_bounds_hold():
    plane = draw([(60, 40, 12, 60), (60, 110, 12, 220)], noise=0)
    for method in ("automatic", "cellprofiler"):
        assert nuclei_of(plane, method=method).max() == 2
        assert nuclei_of(plane, method=method, threshold_bounds=(0.5, 1)).max() == 1
        assert nuclei_of(plane, method=method, threshold_bounds=(0.95, 1)).max() == 0


def test_plane_of_nothing_but_black_and_saturation_is_segmented():
    plane = draw([(60, 60, 10, 255)], background=0, noise=0)
    assert nuclei_of(plane).max() == 1


@pytest.fixture(scope="module")
def stained_cells():
    nuclei = nuclei_of(draw([(60, 50, 8, 200), (60, 100, 8, 200)]))
    return nuclei, draw([(60, 50, 25, 80), (60, 100, 25, 80)])


def test_cells_follow_the_stain_and_keep_the_number_of_their_nucleus(stained_cells):
    nuclei, plane = stained_cells
    cells = segment_cells(nuclei, plane)
    assert cells.dtype == np.int32
    assert (cells[nuclei > 0] == nuclei[nuclei > 0]).all()
    assert cells[60, 30] == nuclei[60, 50]
    assert cells[60, 120] == nuclei[60, 100]
    np.testing.assert_allclose(np.bincount(cells.ravel())[1:], np.pi * 25**2, rtol=0.1)


def test_stain_without_a_nucleus_is_no_cell(stained_cells):
    nuclei, plane = stained_cells
    one = np.where(nuclei == nuclei[60, 50], nuclei, 0)
    island = plane.copy()
    island[5:15, 5:15] = 80
    assert not segment_cells(one, island)[5:15, 5:15].any()


def test_nucleus_outside_the_stain_is_its_own_cell():
    nuclei = nuclei_of(draw([(60, 50, 8, 200), (60, 120, 8, 200)]))
    cells = segment_cells(nuclei, draw([(60, 50, 25, 80)]))
    lonely = nuclei[60, 120]
    assert ((cells == lonely) == (nuclei == lonely)).all()


@pytest.mark.parametrize("plane", [None, np.full((120, 160), 40, np.uint8)], ids=["none", "flat"])
def test_cells_without_a_stain_reach_a_distance_and_meet_halfway(plane):
    nuclei = np.zeros((120, 160), np.int32)
    nuclei[60, 50], nuclei[60, 58] = 1, 2
    cells = segment_cells(nuclei, plane, expansion_px=6)
    assert [int(cells[60, x]) for x in (43, 44, 53, 55, 64, 65)] == [0, 1, 1, 2, 2, 0]
    assert (segment_cells(nuclei, plane, expansion_px=0) == nuclei).all()


def test_lower_threshold_grows_cells(stained_cells):
    nuclei, plane = stained_cells
    soft = cv2.GaussianBlur(plane, (0, 0), 6)
    areas = [int((segment_cells(nuclei, soft, threshold_correction=factor) > 0).sum()) for factor in (0.3, 1.0)]
    assert areas[0] > areas[1]


def test_cytoplasm_is_the_cell_without_its_nucleus(stained_cells):
    nuclei, plane = stained_cells
    cells = segment_cells(nuclei, plane)
    cytoplasm = segment_cytoplasm(nuclei, cells)
    assert not cytoplasm[nuclei > 0].any()
    assert (np.where(nuclei > 0, nuclei, cytoplasm) == cells).all()


def test_shared_rim_adds_the_outermost_pixels_of_the_nucleus():
    nuclei = np.pad(np.ones((4, 4), np.int32), 2)
    cells = np.ones_like(nuclei)
    rim = segment_cytoplasm(nuclei, cells, shared_rim=True) - segment_cytoplasm(nuclei, cells)
    assert rim.sum() == 12
    assert not rim[3:5, 3:5].any()


@pytest.mark.parametrize(
    ("plane", "parameters", "error", "message"),
    [
        (np.zeros((2, 8, 8), np.uint8), {}, ValueError, r"plane must have shape \(y, x\), got \(2, 8, 8\)"),
        (np.zeros((8, 8), np.float32), {}, TypeError, "plane must be uint8 or uint16, got float32"),
        (np.zeros((0, 8), np.uint8), {}, ValueError, "plane must have at least one pixel"),
        (np.zeros((8, 8), np.uint8), {"diameter_px": (9, 9)}, ValueError, r"0 < min < max, got \(9, 9\)"),
        (np.zeros((8, 8), np.uint8), {"diameter_px": (0, 9)}, ValueError, r"0 < min < max, got \(0, 9\)"),
        (np.zeros((8, 8), np.uint8), {"declump": "size"}, ValueError, "declump must be one of shape, intensity, none"),
        (np.zeros((8, 8), np.uint8), {"threshold": "li"}, ValueError, "threshold must be one of minimum-cross"),
        (np.zeros((8, 8), np.uint8), {"threshold_correction": 0}, ValueError, "threshold_correction must be above 0"),
        (np.zeros((8, 8), np.uint8), {"smoothing_px": -1}, ValueError, "smoothing_px must be 0 or more, got -1"),
        (np.zeros((8, 8), np.uint8), {"method": "x"}, ValueError, "method must be one of automatic, cellprofiler"),
        (np.zeros((8, 8), np.uint8), {"divide": "x"}, ValueError, "divide must be one of intensity, shape, got 'x'"),
        (np.zeros((8, 8), np.uint8), {"valley": -1}, ValueError, "valley must be 0 or more, got -1"),
        (np.zeros((8, 8), np.uint8), {"suppress_px": -1}, ValueError, "suppress_px must be 0 or more, got -1"),
        (np.zeros((8, 8), np.uint8), {"threshold_bounds": (0.5, 0.1)}, ValueError, "0 <= low <= high <= 1"),
        (np.zeros((8, 8), np.uint8), {"adaptive_window_px": 0}, ValueError, "adaptive_window_px must be 1 or more"),
        (np.zeros((8, 8), np.uint8), {"neck": 1.5}, ValueError, "neck must be from 0 to 1, got 1.5"),
        (
            np.zeros((8, 8), np.uint8),
            {"edge_fraction": -0.1},
            ValueError,
            "edge_fraction must be from 0 to 1, got -0.1",
        ),
    ],
)
def test_wrong_arguments_for_nuclei_are_refused(plane, parameters, error, message):
    with pytest.raises(error, match=message):
        nuclei_of(plane, **parameters)


@pytest.mark.parametrize(
    ("nuclei", "plane", "parameters", "error", "message"),
    [
        (np.zeros((8, 8)), None, {}, TypeError, "nuclei must have an integer type, got float64"),
        (np.zeros(8, int), None, {}, ValueError, r"nuclei must have shape \(y, x\), got \(8,\)"),
        (np.zeros((8, 8), int), np.zeros((8, 9), np.uint8), {}, ValueError, r"shape of nuclei, \(8, 8\), got \(8, 9\)"),
        (np.zeros((8, 8), int), np.zeros((8, 8)), {}, TypeError, "plane must be uint8 or uint16, got float64"),
        (np.zeros((8, 8), int), None, {"expansion_px": -1}, ValueError, "expansion_px must be 0 or more, got -1"),
    ],
)
def test_wrong_arguments_for_cells_are_refused(nuclei, plane, parameters, error, message):
    with pytest.raises(error, match=message):
        segment_cells(nuclei, plane, **parameters)


def test_cytoplasm_of_unlike_shapes_is_refused():
    with pytest.raises(ValueError, match=r"cells must have the shape of nuclei, \(2, 2\), got \(2, 3\)"):
        segment_cytoplasm(np.zeros((2, 2), int), np.zeros((2, 3), int))
