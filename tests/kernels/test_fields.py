"""Fields from thumbnails: by hand, then CellProfiler's, then simulated plates whose field is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from kernels.fields import (
    LEVEL,
    background_field,
    compare_fields,
    mean_field,
    rescale_field,
    shrink_field,
    weigh_background,
)
from kernels.illumination import correct_planes, enlarge_field, make_gains
from tests.kernels.simulated_sites import FIELDS, draw_site, make_field
from tests.parts import ROOT, require

GOLDEN = ROOT.parent / "shared" / "golden"


def estimate_background(sites: list[np.ndarray]) -> np.ndarray:
    weighed = [weigh_background(site) for site in sites]
    sums, counts = (np.sum(part, axis=0, dtype=np.uint64) for part in (weighed, [item > 0 for item in weighed]))
    field = background_field(sums, counts)
    assert field is not None
    return field


def median_by_hand(values: np.ndarray, y: int, x: int, radius: float) -> int:
    """The greater middle value of a disk that is cut off at the border."""
    found = [
        values[i, j]
        for i in range(values.shape[0])
        for j in range(values.shape[1])
        if (i - y) ** 2 + (j - x) ** 2 <= radius**2
    ]
    return sorted(found)[len(found) // 2]


def test_the_mean_is_filtered_by_the_median_of_a_disk_that_is_cut_off_at_the_border() -> None:
    sums = np.random.default_rng(3).integers(1000, 3000, (40, 50)).astype(np.uint64)
    levels = sums * np.uint64(65535) // sums.max()
    radius = 50 / 24
    expected = [[median_by_hand(levels, y, x, radius) for x in range(50)] for y in range(40)]
    least = np.sort(np.ravel(expected))[int(2000 * 0.02)]
    field = mean_field(sums)
    assert field.dtype == np.float32
    assert np.allclose(field, np.maximum(expected, least) / least, rtol=1e-6)
    assert field.min() == 1


def test_a_mean_field_does_not_depend_on_how_many_sites_are_alike() -> None:
    sums = np.random.default_rng(4).integers(1, 3000, (30, 30)).astype(np.uint64)
    assert np.array_equal(mean_field(sums), mean_field(sums * np.uint64(1_000_000)))


@pytest.mark.parametrize("channel", ["DNA", "ER"])
def test_the_mean_field_is_cellprofilers_within_a_percent(channel: str) -> None:
    require("shared")
    raw = np.load(GOLDEN / "sparse_site" / "images_uint16.npz")[channel]
    expected = np.load(GOLDEN / "illumination" / "ped_illum_cellprofiler.npz")[f"Illum{channel}"]
    smoothed = ndimage.gaussian_filter(raw.astype(np.float64), 2.0, mode="reflect")  # CellProfiler's Resize to 0.2
    small = np.floor(smoothed[2::5, 2::5] + 0.5).astype(np.uint64)
    field = enlarge_field(mean_field(small + small + small), factor=5, height=1080, width=1080)
    assert np.abs(field / expected - 1).max() < 0.01


def test_background_is_weighed_against_its_own_median() -> None:
    thumbnail = np.full((64, 64), 300, np.uint16)
    thumbnail[:, 32:] = 303
    weighed = weigh_background(thumbnail)
    assert weighed.dtype == np.uint32
    assert weighed[0, 63] == LEVEL
    assert weighed[0, 0] == (300 * LEVEL + 151) // 303


def test_cells_debris_and_dark_spots_are_left_out_with_a_margin_and_nothing_else() -> None:
    noise = np.random.default_rng(5).normal(400, 8, (200, 220))
    noise += np.linspace(-60, 60, 220)  # the field falls off to one side
    planted = np.zeros(noise.shape, bool)
    for y, x, radius, change in ((50, 60, 6, 300), (120, 30, 4, 5000), (160, 180, 9, 120), (90, 150, 5, -200)):
        disk = np.hypot(*(np.indices(noise.shape) - np.array([y, x])[:, None, None])) <= radius
        noise[disk] += change
        planted |= disk
    is_kept = weigh_background(noise.astype(np.uint16)) > 0
    near = np.asarray(ndimage.binary_dilation(planted, np.hypot(*(np.indices((5, 5)) - 2)) <= 2))
    assert not (is_kept & near).any()
    assert is_kept[~near].mean() > 0.999


def test_a_clump_that_fills_a_whole_block_is_left_out() -> None:
    noise = np.random.default_rng(5).normal(400, 8, (224, 224))
    y, x = np.indices(noise.shape) - 98
    clump = np.hypot(y, x) <= 18  # a block of 28 x 28 pixels reaches from 84 to 111
    noise[clump] += 300
    is_kept = weigh_background(noise.astype(np.uint16)) > 0
    assert not (is_kept & clump).any()


def test_a_crowded_site_keeps_what_lies_between_its_cells() -> None:
    site = draw_site(np.random.default_rng(6), np.ones((300, 300)), cells=130)
    is_kept = weigh_background(site) > 0
    assert is_kept.mean() > 0.2
    assert np.percentile(site[is_kept], 99) < 1.5 * np.median(site[is_kept])


def test_sites_without_background_give_nothing() -> None:
    assert not weigh_background(np.zeros((40, 40), np.uint8)).any()
    full_of_spots = np.where(np.random.default_rng(6).random((40, 40)) < 0.24, 9000, 300)
    assert not weigh_background(full_of_spots.astype(np.uint16)).any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (8, 8), (17, 320)])
def test_planes_of_any_size_have_fields(shape: tuple[int, int]) -> None:
    site = np.random.default_rng(7).integers(395, 405, shape).astype(np.uint16)
    assert np.abs(estimate_background([site] * 3) - 1).max() < 0.2
    assert np.abs(mean_field(site.astype(np.uint64)) - 1).max() < 0.2


def test_nothing_known_is_no_field() -> None:
    nothing = np.zeros((6, 9), np.uint64)
    assert background_field(nothing, nothing) is None
    assert mean_field(nothing) is None


def test_few_cells_on_black_are_no_mean_field() -> None:
    sums = np.zeros((160, 160), np.uint64)
    sums[80:83, 80:83] = 5000
    assert mean_field(sums) is None


def test_background_of_a_part_of_the_plane_is_no_field() -> None:
    counts = np.zeros((160, 160), np.uint64)
    counts[:, :150] = 3
    assert background_field(counts * np.uint64(1000), counts) is not None
    counts[:, 130:] = 0
    assert background_field(counts * np.uint64(1000), counts) is None


def test_a_field_that_falls_off_steeply_is_cut_off_at_one_half_of_its_robust_minimum() -> None:
    y, x = (2 * np.indices((60, 60)) + 1) / 60 - 1
    sums = (20_000 * (1 - 0.49 * (x**6 + y**6))).astype(np.uint64)
    field = background_field(sums, np.ones_like(sums))
    assert field is not None
    assert field.min() == field[0, 0] == 0.5
    assert np.median(field) > 2


@pytest.mark.parametrize("name", FIELDS)
def test_the_field_of_a_simulated_plate_is_recovered_within_a_percent(name: str) -> None:
    field = make_field(name, 320)
    rng = np.random.default_rng(8)
    sites = [draw_site(rng, field, cells=40) for _ in range(24)]
    assert compare_fields(estimate_background(sites), field) < 0.01


def test_a_plane_is_flat_within_two_percent_after_correction() -> None:
    field = make_field("vignette", 320)
    rng = np.random.default_rng(9)
    found = estimate_background([draw_site(rng, field, cells=40) for _ in range(24)])
    gains = make_gains(found, factor=1, height=320, width=320)
    empty = np.full((320, 320), 20_000) * field
    corrected = correct_planes(empty.astype(np.uint16)[np.newaxis], gains[np.newaxis])[0]
    assert empty.max() / empty.min() > 1.5
    assert corrected.max() / corrected.min() < 1.02


def test_the_order_of_sites_changes_no_bit() -> None:
    rng = np.random.default_rng(10)
    sites = [draw_site(rng, make_field("tilt", 90), cells=10) for _ in range(12)]
    assert np.array_equal(estimate_background(sites), estimate_background(sites[::-1]))


def test_fields_are_compared_whatever_their_scales() -> None:
    field = np.array([[1.0, 2.0, 4.0]])
    assert compare_fields(field, 7 * field) == 0
    assert compare_fields(field, np.array([[1.0, 2.0, 5.0]])) == pytest.approx(0.2)
    assert compare_fields(np.array([[1.0, 2.0, 5.0]]), field) == pytest.approx(0.25)


def test_brightness_on_any_scale_becomes_a_field_over_its_robust_minimum() -> None:
    values = np.arange(100, 200, dtype=np.float64).reshape(10, 10)
    assert np.allclose(rescale_field(values), values / 102)
    values[0, 0] = 0
    assert rescale_field(values).min() == 0.5
    assert rescale_field(values)[9, 9] == pytest.approx(199 / 102)
    for useless in (np.zeros((2, 2)), np.array([[1.0, np.nan]])):
        with pytest.raises(ValueError, match="above 0"):
            rescale_field(useless)


def test_a_field_is_averaged_over_tiles_and_what_is_left_of_them() -> None:
    values = np.array([[1.0, 3, 5], [1, 3, 7], [4, 6, 9]])
    assert shrink_field(values, 2).tolist() == [[2, 6], [5, 9]]
    assert shrink_field(values, 1).tolist() == values.tolist()
