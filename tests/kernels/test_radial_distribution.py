"""Radial distribution: CellProfiler's values on its site, and a plain version of its definition on odd objects."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import scipy.sparse

from kernels.geodesic_paths import DIAGONAL, FAR, STRAIGHT
from kernels.label_distances import squared_distances
from kernels.object_sets import list_object_sets
from kernels.radial_centres import choose_centres, find_peaks
from kernels.radial_distribution import describe_radial_distribution, measure_radial_distribution
from kernels.radial_places import NOWHERE, place_objects
from tests import golden


def test_every_column_of_the_golden_site_is_cellprofilers() -> None:
    objects = list_object_sets(golden.read_labels(), golden.OUTER)
    values = measure_radial_distribution(golden.read_planes(), objects)
    columns = describe_radial_distribution(golden.CHANNELS)
    flat = values.reshape(objects.n_sets, len(columns), objects.count)
    for name, of_set in zip(golden.SETS, flat, strict=True):
        theirs = golden.read_values(name)
        for feature, ours in zip(columns, of_set, strict=True):
            np.testing.assert_allclose(ours, theirs[feature.name], rtol=2e-4, err_msg=f"{name} {feature.name}")


def plain(plane: np.ndarray, labels: np.ndarray, centres: np.ndarray, bins: int) -> np.ndarray:
    """CellProfiler's definition, object by object, in float64: shape (3 * bins, k)."""
    values = np.full((3 * bins, len(centres)), np.nan)
    shape = labels.shape
    y, x = np.mgrid[: shape[0], : shape[1]]
    for index, centre in enumerate(centres):
        inside = labels == index + 1
        if not inside.any():
            continue
        edge = np.asarray(scipy.ndimage.distance_transform_edt(inside))
        path = shortest_paths(inside, int(centre))
        reached = np.isfinite(path)
        place = path[reached] / (path[reached] + edge[reached] + 0.001)
        ring = (place * bins).astype(int)
        dy, dx = (y - centre // shape[1])[reached], (x - centre % shape[1])[reached]
        wedge = (dy > 0) + 2 * (dx > 0) + 4 * (abs(dy) > abs(dx))
        light, pixels = np.zeros((2, bins, 8))
        np.add.at(light, (ring, wedge), plane[reached] / 65535)
        np.add.at(pixels, (ring, wedge), 1)
        with np.errstate(all="ignore"):
            fraction = light.sum(1) / light.sum()
            mean_fraction = fraction / (pixels.sum(1) / pixels.sum() + np.finfo(float).eps)
            means = np.ma.masked_array(light / pixels, pixels == 0)
            variation = np.std(means, 1) / np.mean(means, 1)
        variation[(pixels > 0).sum(1) == 0] = 0
        values[:, index] = np.concatenate([fraction, mean_fraction, np.array(variation)])
    return values


def shortest_paths(inside: np.ndarray, centre: int) -> np.ndarray:
    """Lengths from the centre by Dijkstra, infinite where no path leads."""
    number = np.arange(inside.size).reshape(inside.shape)
    ends, lengths = [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = np.s_[: inside.shape[0] - dy, max(0, -dx) : inside.shape[1] - max(0, dx)]
        there = np.s_[dy:, max(0, dx) : inside.shape[1] + min(0, dx)]
        joined = inside[here] & inside[there]
        ends.append(np.stack([number[here][joined], number[there][joined]]))
        lengths.append(np.full(joined.sum(), np.hypot(dy, dx)))
    start, end = np.concatenate(ends, axis=1)
    graph = scipy.sparse.coo_matrix((np.concatenate(lengths), (start, end)), (inside.size, inside.size))
    found = scipy.sparse.csgraph.dijkstra(graph.tocsr(), directed=False, indices=centre)
    return found.reshape(inside.shape)


def odd_objects(seed: int = 0) -> np.ndarray:
    """Objects that touch each other and the border, with holes, in pieces, of one pixel; number 5 is absent."""
    noise = np.random.default_rng(seed)
    labels = np.zeros((48, 61), np.int32)
    labels[0:20, 0:22], labels[5:15, 20:45] = 1, 2
    labels[25:48, 3:30] = 3
    labels[30:42, 9:20] = 0
    labels[22:30, 40:50], labels[35:45, 44:61] = 4, 4
    labels[47, 60], labels[18:19, 50:60] = 6, 7
    labels[noise.random(labels.shape) < 0.08] = 0
    return labels


def centres_of(labels: np.ndarray, rule: str) -> np.ndarray:
    squares = squared_distances(labels, frame_counts=False)
    peaks = find_peaks(labels, squares, int(labels.max()))
    return choose_centres(labels, squares, peaks.greatest, peaks.ties, peaks.first, rule)


@pytest.mark.parametrize("centers", ["cellprofiler", "first"])
@pytest.mark.parametrize("bins", [1, 4, 7])
def test_odd_objects_are_measured_by_the_definition(bins: int, centers: str) -> None:
    cells = odd_objects()
    nuclei = np.where(np.random.default_rng(1).random(cells.shape) < 0.8, cells, 0)
    labels = np.stack([nuclei, cells, np.where(nuclei, 0, cells)]).astype(np.int32)
    planes = np.random.default_rng(2).integers(0, 65_536, (2, *cells.shape)).astype(np.uint16)
    planes[1, :30] = 0
    found = measure_radial_distribution(planes, list_object_sets(labels, 1), bins=bins, centers=centers)
    assert found.shape == (3, 2, 3 * bins, 7)
    for z, of_set in enumerate(labels):
        padded = np.pad(centres_of(of_set, centers), (0, 7 - of_set.max()), constant_values=-1)
        for channel, plane in enumerate(planes):
            np.testing.assert_allclose(found[z, channel], plain(plane, of_set, padded, bins), rtol=1e-9, atol=1e-12)


def test_an_object_without_light_has_no_shares_and_no_variation() -> None:
    labels = np.zeros((1, 9, 9), np.int32)
    labels[0, 1:8, 1:8] = 1
    found = measure_radial_distribution(np.zeros((1, 9, 9), np.uint16), list_object_sets(labels, 0))[0, 0, :, 0]
    assert np.isnan(found[:8]).all()
    np.testing.assert_array_equal(found[8:], 0)


def test_one_pixel_lies_in_the_first_ring() -> None:
    planes = np.full((1, 1, 1), 77, np.uint16)
    found = measure_radial_distribution(planes, list_object_sets(np.ones((1, 1, 1), np.int32), 0))[0, 0, :, 0]
    np.testing.assert_allclose(found, [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0], rtol=1e-12)


@pytest.mark.parametrize("channels", [0, 1, 3, 6, 8, 17])
def test_channels_do_not_touch_each_other(channels: int) -> None:
    labels = np.stack([odd_objects()])
    planes = np.random.default_rng(3).integers(0, 65_536, (channels, *labels.shape[1:])).astype(np.uint16)
    objects = list_object_sets(labels, 0)
    together = measure_radial_distribution(planes, objects)
    assert together.shape == (1, channels, 12, 7)
    for channel in range(channels):
        alone = measure_radial_distribution(planes[channel : channel + 1], objects)
        np.testing.assert_array_equal(together[:, channel], alone[:, 0])


def test_a_saturated_object_that_fills_the_plane_overflows_nothing() -> None:
    labels, planes = np.ones((1, 420, 410), np.int32), np.full((2, 420, 410), 65_535, np.uint16)
    planes[1] = 1
    found = measure_radial_distribution(planes, list_object_sets(labels, 0), bins=1)[0, :, :, 0]
    np.testing.assert_allclose(found, [[1, 1, 0], [1, 1, 0]], atol=1e-12)


def test_thousands_of_objects_of_one_pixel_are_measured() -> None:
    labels = np.zeros((1, 150, 150), np.int32)
    labels[0, ::2, ::2] = np.arange(1, 75 * 75 + 1).reshape(75, 75)
    planes = np.full((1, 150, 150), 9, np.uint16)
    found = measure_radial_distribution(planes, list_object_sets(labels, 0))
    np.testing.assert_allclose(found[0, 0, 0], 1)


def serpentine(turns: int, width: int) -> np.ndarray:
    """One object, a corridor of one pixel that turns back and forth."""
    labels = np.zeros((2 * turns + 1, width + 2), np.int32)
    labels[1::2, 1:-1] = 1
    labels[2:-1:4, -2], labels[4:-1:4, 1] = 1, 1
    return labels


@pytest.mark.parametrize("turns", [20, 120])
def test_paths_too_long_for_32_bits_are_measured_in_64(turns: int) -> None:
    labels = serpentine(turns, 90)
    centre = np.array([labels.shape[1] + 1])  # the upper left end
    paths = shortest_paths(labels > 0, int(centre[0]))
    longest = paths[np.isfinite(paths)].max()
    assert (longest * STRAIGHT > FAR) == (turns == 120)
    squares, box = squared_distances(labels, frame_counts=False), np.array([[0, 0, *labels.shape]], np.int32)
    found, wide = (np.full(labels.shape, NOWHERE, np.uint8) for _ in range(2))
    place_objects(labels, squares, centre, box, 4, False, found)
    place_objects(labels, squares, centre, box, 4, True, wide)
    np.testing.assert_array_equal(found, wide)
    inside = labels > 0
    expected = (4 * paths[inside] / (paths[inside] + np.sqrt(squares[inside]) + 0.001)).astype(int)
    np.testing.assert_array_equal(found[inside] // 8, expected)


def test_the_steps_are_a_convergent_of_the_square_root_of_two() -> None:
    assert abs(DIAGONAL / STRAIGHT / np.sqrt(2) - 1) < 3e-13
    assert abs(DIAGONAL**2 - 2 * STRAIGHT**2) == 1


def test_columns_are_named_as_in_cellprofiler() -> None:
    names = [feature.name for feature in describe_radial_distribution(["DNA", "ER"])]
    assert len(set(names)) == 24
    assert names[0] == "RadialDistribution_FracAtD_DNA_1of4"
    assert names[23] == "RadialDistribution_RadialCV_ER_4of4"
    first = describe_radial_distribution(["DNA"], bins=2, centers="first")
    assert first[1].name == "RadialDistributionFirst_FracAtD_DNA_2of2"
    assert "first in raster order" in first[1].definition


@pytest.mark.parametrize(
    ("planes", "options", "error", "message"),
    [
        (np.zeros((1, 4, 5), np.uint8), {}, TypeError, "uint16, got uint8"),
        (np.zeros((1, 5, 4), np.uint16), {}, ValueError, r"as the labels, got \(1, 5, 4\)"),
        (np.zeros((4, 5), np.uint16), {}, ValueError, "as the labels"),
        (np.zeros((1, 4, 5), np.uint16), {"bins": 32}, ValueError, "1 to 31, got 32"),
        (np.zeros((1, 4, 5), np.uint16), {"centers": "last"}, ValueError, "cellprofiler, first, got last"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    planes: np.ndarray, options: dict, error: type[Exception], message: str
) -> None:
    objects = list_object_sets(np.ones((1, 4, 5), np.int32), 0)
    with pytest.raises(error, match=message):
        measure_radial_distribution(planes, objects, **options)
