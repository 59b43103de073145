"""Texture on the CPU: matrices counted by hand, CellProfiler's values, odd objects, percentile-scaled levels."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import texture_scan
from kernels.haralick import HARALICK
from kernels.object_sets import list_object_sets
from kernels.texture import describe_texture, measure_image_texture, measure_texture
from kernels.texture_levels import full_table, percentile_table
from kernels.texture_terms import entropy_term, first_terms
from tests import golden

STEPS = ((0, 1), (1, 1), (1, 0), (1, -1))
FEATURES = list(HARALICK)


def counts_of(levels: np.ndarray) -> np.ndarray:
    """Give planes of counts that have these levels at full scaling."""
    return (levels.astype(np.uint32) * 257).astype(np.uint16)


def cooccurrences(levels: np.ndarray, inside: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    """Count pairs in both orders, one by one."""
    matrix = np.zeros((256, 256))
    height, width = levels.shape
    for y, x in zip(*np.nonzero(inside), strict=True):
        v, u = y + step[0], x + step[1]
        if 0 <= v < height and 0 <= u < width and inside[v, u]:
            matrix[levels[y, x], levels[v, u]] += 1
            matrix[levels[v, u], levels[y, x]] += 1
    return matrix


def entropy(shares: np.ndarray) -> float:
    held = shares[shares > 0]
    return float(-(held * np.log2(held)).sum())


def by_definition(matrix: np.ndarray, greatest: int) -> list[float]:
    """Haralick's features as they are written down, from the shares of all pairs of levels."""
    shares = matrix / matrix.sum()
    i, j = np.mgrid[:256, :256]
    ones = shares.sum(axis=0)
    mean = (ones * np.arange(256)).sum()
    variance = (ones * (np.arange(256) - mean) ** 2).sum()
    sums = np.bincount((i + j).ravel(), shares.ravel(), 511)
    differences = np.bincount(abs(i - j).ravel(), shares.ravel())[: greatest + 1]
    average = (sums * np.arange(511)).sum()
    covariance = (shares * (i - mean) * (j - mean)).sum()
    surplus = entropy(shares) - 2 * entropy(ones)
    return [
        (shares**2).sum(),
        (shares * (i - j) ** 2).sum(),
        covariance / variance if variance > 1e-12 else 1.0,
        variance,
        (shares / (1 + (i - j) ** 2)).sum(),
        average,
        (sums * (np.arange(511) - average) ** 2).sum(),
        entropy(sums),
        entropy(shares),
        differences.var(),
        entropy(differences),
        surplus / entropy(ones) if entropy(ones) else 0.0,
        np.sqrt(max(0.0, 1 - np.exp(2 * surplus))),
    ]


def expected_texture(levels: np.ndarray, inside: np.ndarray, scale: int, *, zeros: bool = False) -> np.ndarray:
    """Features of one object at one scale, shape (4, 13)."""
    if not zeros:
        inside = inside & (levels > 0)
    matrices = [cooccurrences(levels, inside, (scale * y, scale * x)) for y, x in STEPS]
    if any(matrix.sum() == 0 for matrix in matrices):
        return np.zeros((4, 13))
    return np.array([by_definition(matrix, int(levels[inside].max())) for matrix in matrices])


def pieces(seed: int, shape: tuple[int, int] = (24, 31)) -> np.ndarray:
    """Two sets: an object with holes, one in two distant pieces, a single pixel, an absent number, a row."""
    noise = np.random.default_rng(seed)
    cells = np.zeros(shape, np.int32)
    cells[0:12, 0:14] = 1
    cells[15:24, 0:8] = cells[13:22, 22:31] = 2
    cells[3, 25] = 4
    cells[0, 16:24] = 5
    cells[noise.random(shape) < 0.05] = 0
    return np.stack([cells, np.where(noise.random(shape) < 0.7, cells, 0)])


@pytest.mark.parametrize("greatest", [3, 255])
@pytest.mark.parametrize("scale", [1, 4])
def test_every_object_has_the_texture_of_the_definition(greatest: int, scale: int) -> None:
    labels = pieces(scale)
    levels = np.random.default_rng(greatest).integers(0, greatest + 1, labels.shape[1:])
    levels[:, 20:] = np.minimum(levels[:, 20:], 1)
    values = measure_texture(counts_of(levels)[None], list_object_sets(labels, 0), scales_px=(scale,))
    assert values.shape == (2, 1, 1, 4, 13, 5)
    for z, label in np.ndindex(2, 5):
        inside = labels[z] == label + 1
        wanted = expected_texture(levels, inside, scale) if inside.any() else np.full((4, 13), np.nan)
        np.testing.assert_allclose(values[z, 0, 0, ..., label], wanted, rtol=1e-8, atol=1e-9)


def test_a_whole_plane_counts_level_0_too() -> None:
    levels = np.random.default_rng(1).integers(0, 6, (17, 23))
    levels[3, 5] = 255
    values = measure_image_texture(counts_of(np.stack([levels, levels + 0])), scales_px=(2, 17))
    wanted = expected_texture(levels, np.ones(levels.shape, bool), 2, zeros=True)
    np.testing.assert_allclose(values[0, 0], wanted, rtol=1e-8, atol=1e-9)
    np.testing.assert_array_equal(values[1], values[0])
    assert not values[:, 1].any(), "no pair is that far apart"


def test_sets_counted_together_or_alone_have_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    planes, labels = counts_of(np.random.default_rng(2).integers(0, 99, (2, 24, 31))), pieces(3)
    together = measure_texture(planes, list_object_sets(labels, 0))
    monkeypatch.setattr(texture_scan, "_MOST_PIXELS", 30)
    np.testing.assert_array_equal(measure_texture(planes, list_object_sets(labels, 0)), together)
    alone = [measure_texture(planes, list_object_sets(labels[z : z + 1], 0)) for z in range(2)]
    np.testing.assert_array_equal(together[0], alone[0][0])
    shared = alone[1][0]
    np.testing.assert_array_equal(together[1][..., : shared.shape[-1]], shared)


@pytest.mark.parametrize("count", [0, 65_535])
def test_flat_planes_have_defined_values(count: int) -> None:
    planes = np.full((1, 9, 9), count, np.uint16)
    objects = list_object_sets(np.ones((1, 9, 9), np.int32), 0)
    values = dict(zip(FEATURES, measure_texture(planes, objects, scales_px=(3,))[0, 0, 0, 0, :, 0], strict=True))
    one = {"AngularSecondMoment", "Correlation", "InverseDifferenceMoment"}
    for name in FEATURES:
        wanted = 1.0 if count and name in one else 0.0
        if count and name == "SumAverage":
            wanted = 510.0
        if count and name == "DifferenceVariance":
            wanted = 1 / 256 - 1 / 256**2
        assert values[name] == pytest.approx(wanted, abs=1e-15), name
    whole = measure_image_texture(planes, scales_px=(3,))
    assert whole[0, 0, 0, FEATURES.index("AngularSecondMoment")] == 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1)])
def test_planes_without_pairs_are_0(shape: tuple[int, int]) -> None:
    planes = np.full((2, *shape), 9_000, np.uint16)
    objects = list_object_sets(np.ones((1, *shape), np.int32), 0)
    assert not measure_texture(planes, objects).any()
    assert not measure_image_texture(planes).any()


def test_no_object_and_no_plane() -> None:
    planes = np.ones((3, 5, 5), np.uint16)
    none = list_object_sets(np.zeros((2, 5, 5), np.int32), 0)
    one = list_object_sets(np.ones((2, 5, 5), np.int32), 0)
    assert measure_texture(planes, none).shape == (2, 3, 3, 4, 13, 0)
    assert measure_texture(planes[:0], one).shape == (2, 0, 3, 4, 13, 1)
    assert measure_texture(planes, one, scales_px=()).shape == (2, 3, 0, 4, 13, 1)
    assert measure_image_texture(planes[:0]).shape == (0, 3, 4, 13)


def test_a_scattered_object_costs_no_more_than_its_pixels() -> None:
    labels = np.zeros((1, 400, 400), np.int32)
    labels[0, :3, :3] = labels[0, -3:, -3:] = 1
    levels = np.random.default_rng(4).integers(1, 9, (400, 400))
    values = measure_texture(counts_of(levels)[None], list_object_sets(labels, 0), scales_px=(1,))
    wanted = expected_texture(levels[-3:, -3:], np.ones((3, 3), bool), 1)
    assert values.shape == (1, 1, 1, 4, 13, 1)
    assert wanted.shape == values[0, 0, 0, ..., 0].shape
    np.testing.assert_allclose(
        values[0, 0, 0, ..., 0], expected_texture(levels, labels[0] == 1, 1), rtol=1e-8, atol=1e-9
    )


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"planes": np.ones((1, 5, 5), np.uint8)}, TypeError, "planes must be uint16, got uint8"),
        ({"planes": np.ones((5, 5), np.uint16)}, ValueError, r"planes must have shape \(c, y, x\)"),
        ({"planes": np.ones((1, 5, 6), np.uint16)}, ValueError, "planes must have the labels' shape"),
        ({"scales_px": (0,)}, ValueError, "scales_px must be whole numbers of at least 1"),
        ({"scaling": "log"}, ValueError, "scaling must be one of full, percentile, got log"),
        ({"planes": np.broadcast_to(np.uint16(1), (1, 8193, 8193))}, ValueError, "at most 67108864 pixels"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict, error: type[Exception], words: str) -> None:
    objects = list_object_sets(np.ones((1, 5, 5), np.int32), 0)
    planes = arguments.pop("planes", np.ones((1, 5, 5), np.uint16))
    with pytest.raises(error, match=words):
        measure_texture(planes, objects, **arguments)


def test_columns_are_described_in_the_order_of_the_values() -> None:
    described = describe_texture(["DNA", "ER"], scales_px=(3, 5))
    names = [feature.name for feature in described]
    assert len(names) == len(set(names)) == 2 * 2 * 4 * 13
    assert names[0] == "Texture_AngularSecondMoment_DNA_3_00_256"
    assert names[13] == "Texture_AngularSecondMoment_DNA_3_01_256"
    assert names[-1] == "Texture_InfoMeas2_ER_5_03_256"
    ours = describe_texture(["DNA"], scaling="percentile")
    assert ours[0].name == "TexturePercentile_AngularSecondMoment_DNA_3_00_256"
    assert all(all((feature.unit, feature.definition, feature.source)) for feature in ours)


# Grey levels


def test_percentiles_are_exact_pixels_of_the_plane() -> None:
    plane = np.arange(3_000, dtype=np.uint16).reshape(50, 60) + np.uint16(500)
    table = percentile_table(plane)
    low, high = 502, 3_497
    assert (table[: low + 1] == 1).all()
    assert (table[high:] == 255).all()
    wanted = np.floor(1 + 254 * (np.arange(low, high + 1) - low) / (high - low) + 0.5)
    np.testing.assert_array_equal(table[low : high + 1], wanted)
    assert (percentile_table(np.full((3, 3), 8, np.uint16))[[0, 8, 9]] == [1, 1, 255]).all()


def test_a_dim_image_keeps_its_levels_by_percentiles() -> None:
    plane = np.random.default_rng(5).integers(100, 400, (1, 40, 40)).astype(np.uint16)
    objects = list_object_sets(np.ones((1, 40, 40), np.int32), 0)
    entropies = [
        measure_texture(plane, objects, scales_px=(3,), scaling=scaling)[0, 0, 0, 0, FEATURES.index("Entropy"), 0]
        for scaling in ("full", "percentile")
    ]
    assert entropies[0] < 2 < 9 < entropies[1]
    brighter = measure_texture(plane * np.uint16(100), objects, scaling="percentile")
    np.testing.assert_array_equal(measure_texture(plane, objects, scaling="percentile"), brighter)


def test_full_levels_are_those_of_8_bits() -> None:
    assert (full_table()[np.arange(256) * 257] == np.arange(256)).all()


def test_terms_are_n_log_n() -> None:
    counts = np.concatenate([np.arange(1, 3_000), [65_535, 65_536, 65_537, 131_070, 4_665_599, 2**26 - 1, 2**26]])
    terms = np.array([entropy_term(count) for count in counts])
    np.testing.assert_allclose(terms / 2**32, counts * np.log2(counts), rtol=1e-11, atol=1e-9)
    assert all(entropy_term(2 * n) == 2 * entropy_term(n) + (2 * n << 32) for n in map(int, counts) if n < 2**25)
    np.testing.assert_array_equal(first_terms()[counts[counts < 65_536]], terms[counts < 65_536])


# CellProfiler


@pytest.mark.parametrize("z", range(3))
def test_objects_have_cellprofilers_values(z: int) -> None:
    theirs = golden.read_values(golden.SETS[z])
    objects = list_object_sets(golden.read_labels(), golden.OUTER)
    ours = measure_texture(golden.read_planes(), objects)[z].reshape(-1, objects.count)
    names = [feature.name for feature in describe_texture(golden.CHANNELS)]
    assert set(names) == {name for name in theirs if name.startswith("Texture_")}
    for name, column in zip(names, ours, strict=True):
        np.testing.assert_allclose(column, theirs[name], rtol=1e-6, atol=1e-13, err_msg=name)


def test_planes_have_cellprofilers_values() -> None:
    theirs = golden.read_image_values()
    ours = measure_image_texture(golden.read_planes()).ravel()
    for feature, value in zip(describe_texture(golden.CHANNELS), ours, strict=True):
        np.testing.assert_allclose(value, theirs[feature.name], rtol=1e-6, err_msg=feature.name)
