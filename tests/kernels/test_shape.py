"""AreaShape: cases by hand, plain versions of its parts, CellProfiler's values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kernels.enclosing_circle import enclosing_circles
from kernels.object_sets import list_object_sets
from kernels.shape import measure_shape
from kernels.shape_names import describe_shape, shape_names
from kernels.zernike import DEGREES
from tests.golden import OUTER, SETS, read_labels, read_values

ZEROS = ("CentralMoment_0_1", "CentralMoment_1_0")
"""Moments that are 0 but for rounding."""


def shape_of(labels: np.ndarray, label: int = 1) -> dict[str, float]:
    values = measure_shape(list_object_sets(labels[None], 0), moments=True)[0, :, label - 1]
    return dict(zip(shape_names(moments=True), values.tolist(), strict=True))


def drawn(*rows: str) -> np.ndarray:
    return np.array([[int(pixel == "#") for pixel in row] for row in rows])


@pytest.mark.parametrize("index", range(len(SETS)), ids=SETS)
def test_every_column_is_that_of_cellprofiler(index: int) -> None:
    expected = read_values(SETS[index])
    values = measure_shape(list_object_sets(read_labels(), OUTER), moments=True)[index]
    features = describe_shape(moments=True)
    assert {f.name for f in features} == {name for name in expected if name.startswith("AreaShape_")}
    for feature, row in zip(features, values, strict=True):
        is_zero = feature.name.endswith(ZEROS)
        np.testing.assert_allclose(
            row, expected[feature.name], rtol=1e-6, atol=1e-6 if is_zero else 0, err_msg=feature.name
        )


def test_features_are_described_once_and_in_order() -> None:
    few, all_ = describe_shape(), describe_shape(moments=True)
    assert (len(few), len(all_), len({feature.name for feature in all_})) == (55, 108, 108)
    assert all_[:55] == few
    assert [feature.name for feature in all_] == [f"AreaShape_{name}" for name in shape_names(moments=True)]
    assert all(feature.definition.endswith(".") and feature.unit for feature in all_)


def test_a_single_pixel_has_every_value_but_those_that_its_size_divides() -> None:
    shape = shape_of(drawn("....", "..#."))
    expected = {
        "Area": 1, "BoundingBoxArea": 1, "BoundingBoxMaximum_X": 3, "BoundingBoxMaximum_Y": 2,
        "BoundingBoxMinimum_X": 2, "BoundingBoxMinimum_Y": 1, "Center_X": 2, "Center_Y": 1, "Compactness": 0,
        "ConvexArea": 1, "Eccentricity": 0, "EquivalentDiameter": 2 / np.sqrt(np.pi), "EulerNumber": 1, "Extent": 1,
        "MajorAxisLength": 0, "MaxFeretDiameter": 0, "MaximumRadius": 1, "MeanRadius": 1, "MedianRadius": 1,
        "MinFeretDiameter": 0, "MinorAxisLength": 0, "Orientation": 45, "Perimeter": 0, "Solidity": 1,
    }  # fmt: skip
    for name, value in expected.items():
        assert shape[name] == pytest.approx(value, abs=0), name
    unknown = {name for name, value in shape.items() if np.isnan(value)}
    zernikes = {f"Zernike_{n}_{m}" for n, m in DEGREES}
    assert unknown == {"FormFactor", *zernikes, *(f"NormalizedMoment_{pq}" for pq in ("0_0", "0_1", "1_0"))}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (("##",), {"Perimeter": 0, "MinFeretDiameter": 0, "MaxFeretDiameter": 1, "Eccentricity": 1, "Orientation": 90}),
        (("#", "#", "#"), {"Perimeter": 1, "FormFactor": 12 * np.pi, "Orientation": 0, "ConvexArea": 3, "Solidity": 1}),
        (("#..", ".#.", "..#"), {"EulerNumber": 1, "MinorAxisLength": 0, "Orientation": -45, "ConvexArea": 3}),
        (("###", "###", "###"), {"Perimeter": 8, "Orientation": 45, "MaximumRadius": 2, "MeanRadius": 10 / 9}),
        (("###", "#.#", "###"), {"EulerNumber": 0, "ConvexArea": 9, "Solidity": 8 / 9, "MaximumRadius": 1}),
        (("#.#", "...", "#.#"), {"EulerNumber": 4, "ConvexArea": 9, "MinFeretDiameter": 2, "MedianRadius": 1}),
    ],
)
def test_shapes_known_by_hand(rows: tuple[str, ...], expected: dict[str, float]) -> None:
    shape = shape_of(drawn(*rows))
    for name, value in expected.items():
        assert shape[name] == pytest.approx(value, abs=1e-12), name


def plain_patterns(mask: np.ndarray) -> tuple[float, int]:
    """Perimeter and Euler number, pixel by pixel."""
    inside = np.pad(mask, 2).astype(int)
    edge = np.zeros_like(inside)
    for y, x in np.argwhere(inside):
        edge[y, x] = not (inside[y - 1, x] and inside[y + 1, x] and inside[y, x - 1] and inside[y, x + 1])
    length = 0.0
    for y, x in np.argwhere(edge):
        straight = edge[y - 1, x] + edge[y + 1, x] + edge[y, x - 1] + edge[y, x + 1]
        diagonal = edge[y - 1, x - 1] + edge[y - 1, x + 1] + edge[y + 1, x - 1] + edge[y + 1, x + 1]
        if straight in (2, 3) and diagonal < 3:
            length += 1
        elif (straight, diagonal) in ((0, 2), (1, 3)):
            length += np.sqrt(2)
        elif straight == 1 and diagonal in (1, 2):
            length += (1 + np.sqrt(2)) / 2
    squares = [inside[y : y + 2, x : x + 2] for y in range(len(inside) - 1) for x in range(inside.shape[1] - 1)]
    corners = sum(bool(square.any()) for square in squares)
    sides = sum(int((np.diff(np.pad(mask, 1).astype(int), axis=axis) != 0).sum()) for axis in (0, 1))
    shared = int((mask[1:] & mask[:-1]).sum() + (mask[:, 1:] & mask[:, :-1]).sum())
    return length, corners - (sides + shared) + int(mask.sum())


def plain_radii(mask: np.ndarray) -> np.ndarray:
    """Distance of each pixel to the nearest pixel outside, by trying them all."""
    outside = np.argwhere(np.pad(~mask, 1, constant_values=True)) - 1
    return np.array([np.sqrt(((outside - pixel) ** 2).sum(axis=1).min()) for pixel in np.argwhere(mask)])


@pytest.mark.parametrize(("height", "width", "density"), list(itertools.product((5, 30), (6, 70, 131), (0.3, 0.97))))
def test_ragged_objects_are_those_of_plain_versions(height: int, width: int, density: float) -> None:
    chance = np.random.default_rng(height * width)
    mask = chance.random((height, width)) < density
    mask[0, 0] = mask[-1, -1] = True
    shape = shape_of(mask.astype(int))
    perimeter, euler = plain_patterns(mask)
    radii = plain_radii(mask)
    assert shape["Perimeter"] == pytest.approx(perimeter)
    assert shape["EulerNumber"] == euler
    assert shape["MaximumRadius"] == radii.max()
    assert shape["MeanRadius"] == pytest.approx(radii.mean(), rel=1e-9)
    assert shape["MedianRadius"] == pytest.approx(np.median(radii), rel=1e-15)
    assert_plain_moments(shape, mask)
    assert_plain_zernikes(shape, mask)


def assert_plain_moments(shape: dict[str, float], mask: np.ndarray) -> None:
    y, x = np.nonzero(mask)
    down, across = y - y.mean(), x - x.mean()
    for p, q in itertools.product(range(4), range(4)):
        central = (down**p * across**q).sum()
        scale = (abs(down) ** p * abs(across) ** q).sum()
        if p < 3:
            assert shape[f"SpatialMoment_{p}_{q}"] == pytest.approx((y.astype(float) ** p * x**q).sum(), rel=1e-12)
            assert shape[f"CentralMoment_{p}_{q}"] == pytest.approx(central, abs=1e-11 * scale)
        if p + q >= 2:
            normal = len(y) ** ((p + q) / 2 + 1)
            assert shape[f"NormalizedMoment_{p}_{q}"] == pytest.approx(central / normal, abs=1e-11 * scale / normal)


def assert_plain_zernikes(shape: dict[str, float], mask: np.ndarray) -> None:
    middle_y, middle_x, radius = enclosing_circles(list_object_sets(mask[None].astype(int), 0))[0, 0]
    y, x = np.nonzero(mask)
    down, across = (y - middle_y) / radius, (x - middle_x) / radius
    is_held = across**2 + down**2 <= 1
    square, turn = (down**2 + across**2)[is_held], (down + 1j * across)[is_held]
    radial = {(0, 0): [1], (2, 0): [2, -1], (4, 2): [4, -3], (9, 1): [126, -280, 210, -60, 5], (9, 9): [1]}
    for (n, m), factors in radial.items():
        moment = abs((np.polyval(factors, square) * turn**m).sum()) / (np.pi * radius**2)
        assert shape[f"Zernike_{n}_{m}"] == pytest.approx(moment, rel=1e-8, abs=1e-11)


def test_a_large_object_is_measured_with_wider_numbers() -> None:
    side = 370
    shape = shape_of(np.ones((side, side), int))
    from_side = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1))
    radii = np.minimum(from_side[:, None], from_side[None])
    assert shape["MaximumRadius"] == side / 2
    assert shape["MeanRadius"] == pytest.approx(radii.mean(), rel=1e-12)
    assert shape["MedianRadius"] == np.median(radii)
    assert shape["ConvexArea"] == shape["Area"] == side * side
    assert shape["Perimeter"] == 4 * (side - 1)


def test_sets_are_measured_each_for_itself() -> None:
    outer = np.zeros((40, 70), int)
    outer[3:20, 4:30], outer[22:40, 10:70], outer[0, 69] = 1, 2, 5
    chance = np.random.default_rng(9)
    inner = np.where(chance.random(outer.shape) < 0.4, outer, 0)
    inner[:, 40:] = 0
    together = measure_shape(list_object_sets(np.stack([inner, outer]), 1), moments=True)
    alone = [measure_shape(list_object_sets(labels[None], 0), moments=True)[0] for labels in (inner, outer)]
    np.testing.assert_array_equal(together[0, :, :2], alone[0])
    np.testing.assert_array_equal(together[1], alone[1])
    assert np.isnan(together[:, :, 2:4]).all()
    assert np.isnan(together[0, :, 4]).all()


def test_the_border_of_the_plane_is_outside() -> None:
    inside = np.zeros((9, 9), int)
    inside[2:7, 1:8] = 1
    for labels in (inside, inside[2:7], inside[2:7, 1:8]):
        shape, reference = shape_of(labels), shape_of(inside)
        for name in ("MeanRadius", "Perimeter", "EulerNumber", "ConvexArea", "Zernike_4_0", "HuMoment_0"):
            assert shape[name] == pytest.approx(reference[name], rel=1e-12), name


def test_no_objects_have_no_values() -> None:
    for sets in (1, 3):
        labels = np.zeros((sets, 6, 7), int)
        assert measure_shape(list_object_sets(labels, 0)).shape == (sets, 55, 0)
    assert shape_of(np.ones((1, 1), int))["Area"] == 1
