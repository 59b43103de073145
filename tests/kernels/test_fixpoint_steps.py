"""The single steps of the fixpoint segmentation against their definitions, written out plainly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from kernels.fixpoint_cpu import cpu_steps
from kernels.fixpoint_tables import (
    TOUCHES_BORDER,
    Limit,
    disk_offsets,
    find_limit,
    fixed_share,
    gaussian_weights,
    join_parts,
    number_regions,
    twice_background,
    window_grid,
)

STEPS = cpu_steps()


def relax(height: np.ndarray, classes: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Solve the flood's equation by going over all pixels until none changes."""
    shape = height.shape
    nothing = (1 << 20, 0, 0)
    states = {(-1, -1): nothing}
    cost = 65_535 - height.astype(int)
    for place in np.ndindex(shape):
        states[place] = (int(cost[place]), 0, int(seeds[place])) if seeds[place] else nothing
    is_changed = True
    while is_changed:
        is_changed = False
        for y, x in np.ndindex(shape):
            if seeds[y, x] or classes[y, x] <= 0:
                continue
            around = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
            level, steps, label = min(states.get(place, nothing) for place in around)
            if label:
                own = int(cost[y, x])
                state = (own, 0, label) if own > level else (level, steps + 1, label)
                is_changed |= state != states[y, x]
                states[y, x] = state
    return np.array([states[place][2] for place in np.ndindex(shape)]).reshape(shape)


@pytest.mark.parametrize("levels", [1, 3, 12, 60_000])
@pytest.mark.parametrize("open_share", [0.6, 1.0])
def test_the_flood_solves_its_equation(levels: int, open_share: float):
    random = np.random.default_rng(levels)
    for shape in ((13, 17), (1, 40), (23, 1), (1, 1)):
        height = random.integers(0, levels, shape).astype(np.uint16)
        classes = np.where(random.random(shape) < open_share, 1, -1).astype(np.int32)
        seeds = np.where(random.random(shape) < 0.04, random.integers(1, 6, shape), 0).astype(np.int32)
        np.testing.assert_array_equal(STEPS.flood(height, classes, seeds), relax(height, classes, seeds))


def test_the_smaller_of_two_labels_that_arrive_together_wins():
    seeds = np.array([[9, 0, 0, 0, 4]], np.int32)
    flat, open_ = np.zeros((1, 5), np.uint16), np.ones((1, 5), np.int32)
    np.testing.assert_array_equal(STEPS.flood(flat, open_, seeds), [[9, 9, 4, 4, 4]])


@pytest.mark.parametrize("sigma_px", [0.3, 1.0, 7.5])
def test_smoothing_is_a_mirrored_gaussian(sigma_px: float):
    plane = np.random.default_rng(1).integers(0, 65_536, (40, 53)).astype(np.uint16)
    truth = ndimage.gaussian_filter(plane.astype(float), sigma_px, mode="reflect", truncate=4)
    np.testing.assert_allclose(STEPS.smooth(plane, gaussian_weights(sigma_px)), truth, atol=0.004 * 65_535)
    for value in (0, 1, 65_535):
        flat = np.full((5, 3), value, np.uint16)
        np.testing.assert_array_equal(STEPS.smooth(flat, gaussian_weights(sigma_px)), flat)


@pytest.mark.parametrize("sigma_px", [0, 0.1, 0.5, 1, 3, 40, 200])
def test_weights_are_whole_and_fall_from_the_middle(sigma_px: float):
    weights = gaussian_weights(sigma_px).astype(int)
    assert 2 * weights[1:].sum() + weights[0] == 4096
    assert weights[-1] > 0
    assert (np.diff(weights) <= 1).all()


def label_regions(mask: np.ndarray, structure: np.ndarray) -> tuple[np.ndarray, int]:
    labels = np.zeros(mask.shape, np.int32)
    return labels, int(np.asarray(ndimage.label(mask, structure, output=labels)))


def test_regions_and_holes_are_those_of_the_textbook():
    random = np.random.default_rng(2)
    for shape in ((40, 47), (1, 30), (30, 1), (1, 1)):
        for share in (0.2, 0.45, 0.6, 0.9):
            mask = random.random(shape) < share
            holes, _ = label_regions(~mask, np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]))
            area = np.bincount(holes.ravel())
            at_border = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
            is_filled = (area < 5) & ~np.isin(np.arange(len(area)), at_border)
            is_filled[0] = False
            classes = np.where(mask, 1, -1).astype(np.int32)
            STEPS.fill(classes, 5)
            regions, sizes = STEPS.connect(classes)
            np.testing.assert_array_equal(classes > 0, mask | is_filled[holes])
            truth, count = label_regions(classes > 0, np.ones((3, 3)))
            first = [np.flatnonzero(truth == k + 1)[0] for k in range(count)]
            np.testing.assert_array_equal(regions, np.array([-1, *first])[truth] + 1)
            table = STEPS.list_regions(regions, sizes)
            assert (table >> np.uint64(32)).tolist() == sorted(first)
            area = np.bincount(truth.ravel())[1:][np.argsort(first)]
            assert (table & np.uint64(TOUCHES_BORDER - 1)).tolist() == area.tolist()
            rim = np.unique(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
            at_border = (table & np.uint64(TOUCHES_BORDER)) > 0
            np.testing.assert_array_equal(at_border, np.isin((table >> np.uint64(32)) + np.uint64(1), rim))


def test_regions_of_unlike_classes_stay_apart_and_trimmed_pixels_come_back_by_holes():
    classes = np.array(
        [[0, 0, 0, 0, 0, 0], [0, 3, 3, 3, 5, 0], [0, 3, -3, 3, 5, 0], [0, 3, 3, 3, -5, 0], [0] * 6], np.int32
    )
    STEPS.fill(classes, 2)
    regions, sizes = STEPS.connect(classes)
    assert classes[2, 2] == 3
    assert classes[3, 4] == -5
    assert np.unique(regions).tolist() == [0, 8, 11]
    assert STEPS.list_regions(regions, sizes).tolist() == [7 << 32 | 9, 10 << 32 | 2]


def test_heights_are_distances_in_64ths_of_a_pixel():
    random = np.random.default_rng(3)
    for share in (0.02, 0.3):
        classes = np.where(random.random((50, 61)) < share, -1, 1).astype(np.int32)
        truth = np.floor(64 * np.sqrt(np.rint(ndimage.distance_transform_edt(classes > 0) ** 2)))
        np.testing.assert_array_equal(STEPS.measure_heights(classes), truth)
    assert (STEPS.measure_heights(np.ones((3, 4), np.int32)) == 65_535).all()
    far = np.ones((1, 1100), np.int32)
    far[0, 0] = -1
    assert STEPS.measure_heights(far)[0, [1, 1023, 1024, 1099]].tolist() == [64, 1023 * 64, 65_535, 65_535]


@pytest.mark.parametrize("step", [1, 4, 9, 50])
def test_a_background_is_averaged_in_blocks_and_interpolated(step: int):
    plane = np.random.default_rng(8).integers(0, 60_000, (23, 38)).astype(np.uint16)
    small = STEPS.reduce(plane, step)
    rows, columns = (range(0, side, step) for side in plane.shape)
    blocks = np.array([[plane[y : y + step, x : x + step].mean() for x in columns] for y in rows])
    np.testing.assert_allclose(small, blocks, atol=0.501)
    np.testing.assert_array_equal(STEPS.reduce((plane >> 8).astype(np.uint8), 1), (plane >> 8) * 257)
    lines = small.astype(float)
    for axis, (count, length) in enumerate(zip(small.shape, plane.shape, strict=True)):
        places = (np.arange(length) + 0.5) / step - 0.5
        lines = np.apply_along_axis(lambda line, at=places, n=count: np.interp(at, np.arange(n), line), axis, lines)
    np.testing.assert_allclose(
        STEPS.flatten(plane, small, step), np.minimum(plane + (int(small.max()) - lines), 65_535), atol=0.501
    )


def test_valleys_are_cut_where_they_curve_more_than_they_are_bright():
    smooth = np.random.default_rng(9).integers(0, 900, (17, 21)).astype(np.uint16)
    classes = np.random.default_rng(10).integers(-1, 3, (17, 21)).astype(np.int32)
    curvature = ndimage.convolve(smooth.astype(float), [[0, 1, 0], [1, -4, 1], [0, 1, 0]], mode="reflect")
    is_cut = (curvature > 0.75 * (smooth - 120.5)) & (classes > 0)
    cut = STEPS.cut(classes, smooth, fixed_share(0.75), 241)
    np.testing.assert_array_equal(cut, np.where(is_cut, -classes, classes))


def test_seeds_are_the_highest_pixels_of_their_region_around():
    random = np.random.default_rng(4)
    height = random.integers(0, 6, (25, 31)).astype(np.uint16)
    regions, _ = STEPS.connect(np.where(random.random((25, 31)) < 0.7, 1, -1).astype(np.int32))
    seeds, table = STEPS.find_seeds(height, regions, disk_offsets(2.5))
    y, x = np.mgrid[:25, :31]
    expected = np.zeros((25, 31), int)
    for row, column in zip(*np.nonzero(regions), strict=True):
        place = row * 31 + column
        is_near = ((y - row) ** 2 + (x - column) ** 2 <= 6.25) & (regions == regions[row, column])
        surpasses = (height > height[row, column]) | ((height == height[row, column]) & (y * 31 + x < place))
        expected[row, column] = 0 if (is_near & surpasses).any() else place + 1
    np.testing.assert_array_equal(seeds, expected)
    places = np.flatnonzero(expected)
    np.testing.assert_array_equal(table, (places << 32) | height.ravel()[places])


def test_small_radii_still_look_at_all_neighbours():
    assert len(disk_offsets(0.1)) == len(disk_offsets(1.9)) == 8
    assert len(disk_offsets(2)) == 12


def seed_rows(*peaks: int) -> np.ndarray:
    return np.array([(10 * k) << 32 | peak for k, peak in enumerate(peaks)], np.uint64)


def join(saddle: int, lower: int, upper: int) -> int:
    return (65_535 - saddle) << 48 | (10 * lower) << 24 | 10 * upper


def test_a_low_part_goes_to_its_higher_saddle_and_joins_no_two_peaks():
    seeds = seed_rows(1_000, 500, 1_000)
    joins = np.array([join(470, 1, 2), join(490, 0, 1), join(100, 1, 2), join(490, 0, 1)], np.uint64)
    assert join_parts(seeds, joins, fixed_share(0.9), 0).tolist() == [1, 1, 2]
    assert join_parts(seeds, joins[::-1].copy(), fixed_share(0.45), 0).tolist() == [1, 1, 1]
    # above a base of 480 the saddles are 10 and -10 of a peak of 20
    assert join_parts(seeds, joins, fixed_share(0.5), 960).tolist() == [1, 1, 2]
    assert join_parts(seeds, joins, fixed_share(0.6), 960).tolist() == [1, 2, 3]
    assert join_parts(seeds[:0], joins[:0], fixed_share(0.5), 0).tolist() == []


def test_joins_are_the_saddles_between_parts():
    height = np.array([[9, 5, 4, 8], [1, 1, 1, 1]], np.uint16)
    parts = np.array([[1, 1, 4, 4], [1, 0, 0, 4]], np.int32)
    expected = (65_535 - 4) << 48 | 0 << 24 | 3
    assert STEPS.list_joins(height, parts, fixed_share(0.5), 0).tolist() == [expected]
    assert STEPS.list_joins(height, parts, fixed_share(0.51), 0).tolist() == []


def test_trimming_keeps_a_share_of_the_upper_quartile():
    random = np.random.default_rng(5)
    labels = random.integers(0, 5, (20, 30)).astype(np.int32)
    labels[labels == 3] = 0
    plane = random.integers(300, 60_000, (20, 30)).astype(np.uint16)
    expected = labels.copy()
    for label in (1, 2, 4):
        values = np.sort(plane[labels == label])
        quartile = int(values[3 * len(values) // 4])
        expected[(labels == label) & (plane - 250.5 < 0.5 * (quartile - 250.5))] *= -1
    np.testing.assert_array_equal(STEPS.trim(labels, 4, plane, 501, fixed_share(0.5)), expected)


def test_regions_are_numbered_by_place_and_dropped_by_size_and_border():
    rows = np.array([4 << 32 | 9, 7 << 32 | 30, 8 << 32 | TOUCHES_BORDER | 12, 20 << 32 | 11], np.uint64)
    assert number_regions(rows, 10, 20, drop_border=False).tolist() == [0, 0, 1, 2]
    assert number_regions(rows, 9, 30, drop_border=True).tolist() == [1, 2, 0, 3]


def test_limit_and_background_come_from_the_histogram():
    counts = np.zeros(65_536, np.int64)
    counts[[100, 101, 103, 9_000]] = 50, 20, 30, 40
    found = find_limit(counts, "otsu", 1.0)
    assert found is not None
    assert (found.whole, found.darkest) == (103, 100)
    for correction, limit in ((2.5, 107), (1e-9, 100), (1e300, 65_535)):
        assert Limit(103.0, 100, correction).whole == limit
    assert twice_background(counts, 103) == 201
    assert twice_background(counts, 100) == 200
    assert find_limit(counts[:101], "otsu", 1.0) is None
    bounded = find_limit(counts, "otsu", 1.0, (0.5, 1.0))
    assert bounded is not None
    assert bounded.whole == 32_767
    assert twice_background(counts, 3) == 200


def test_windows_have_limits_of_their_own_within_bounds():
    counts = np.zeros((2, 2, 65_536), np.uint32)
    counts[:, :, 100] = 50  # one class: the whole plane's
    counts[0, 1, [990, 1_000, 5_000]] = 30, 30, 20
    counts[1, 0, [100, 8_000, 9_000]] = 0, 60, 20
    limits = Limit(1_200.0, 100, 1.5).by_window(counts, "otsu")
    assert (limits // 16).tolist() == [[1_750, 1_450], [2_650, 1_750]]


@pytest.mark.parametrize("shape", [(37, 52), (1, 30), (3, 1)])
def test_windows_are_counted_and_limits_interpolated(shape: tuple[int, int]):
    plane = np.random.default_rng(6).integers(0, 300, shape).astype(np.uint16)
    down, across = window_grid(shape, 13)
    assert (down, across) == {(37, 52): (3, 4), (1, 30): (1, 3), (3, 1): (2, 1)}[shape]
    counts = STEPS.count_windows(plane, down, across)
    rows, columns = (np.arange(n + 1) * length // n for n, length in zip((down, across), shape, strict=True))
    for row, column in np.ndindex(down, across):
        window = plane[rows[row] : rows[row + 1], columns[column] : columns[column + 1]]
        np.testing.assert_array_equal(counts[row, column], np.bincount(window.ravel(), minlength=65_536))
    limits = np.random.default_rng(7).integers(0, 300 * 16, (down, across)).astype(np.int32)
    lines = limits.astype(float)
    for axis, (windows, length) in enumerate(((down, shape[0]), (across, shape[1]))):
        middles = (np.arange(length) + 0.5) * windows / length - 0.5
        lines = np.apply_along_axis(lambda line, at=middles: np.interp(at, np.arange(len(line)), line), axis, lines)
    is_clear = np.abs(plane - lines / 16) > 1e-6
    divided = STEPS.divide_locally(plane, limits)
    np.testing.assert_array_equal(divided[is_clear], np.where(plane > lines / 16, 1, -1)[is_clear])


def test_windows_are_between_two_and_ten_along_a_side():
    assert window_grid((50, 1_000), 100) == (2, 10)
    assert window_grid((5_000, 301), 1e-9) == (10, 10)
    assert window_grid((1, 3), 100) == (1, 2)
