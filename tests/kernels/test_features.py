"""All families together: names, numbers, missing objects, several sets, odd input; then CellProfiler's own values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from kernels import features as features_module
from kernels.feature_options import FAMILIES, FeatureOptions
from kernels.features import (
    SETS,
    SiteFeatures,
    describe_features,
    describe_image_features,
    measure_features,
    measure_image_features,
    measure_objects,
    stack_planes,
)
from kernels.segmentation import segment_cytoplasm
from tests.accuracy import compare
from tests.golden import CHANNELS, read_image_values, read_labels, read_planes, read_values

EVERYTHING = FeatureOptions(moments=True, intensity_zernikes=True, costes=True, slope=True)
SHAPE = (64, 72)


def small_site(seed: int = 0, channels: int = 2) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Noise with a few cells, their nuclei and what is between."""
    noise = np.random.default_rng(seed)
    cells = np.zeros(SHAPE, np.int32)
    for number, (y, x, radius) in enumerate([(4, 12, 9), (20, 40, 13), (45, 14, 11), (48, 55, 12), (22, 66, 7)], 1):
        down, right = np.ogrid[: SHAPE[0], : SHAPE[1]]
        cells[(down - y) ** 2 + (right - x) ** 2 <= radius**2] = number
    nuclei = np.where(noise.random(SHAPE) < 0.4, cells, 0)
    planes = {f"C{index}": noise.integers(0, 5000, SHAPE).astype(np.uint16) for index in range(channels)}
    return planes, {"Nuclei": nuclei, "Cells": cells, "Cytoplasm": segment_cytoplasm(nuclei, cells)}


@pytest.mark.parametrize("options", [FeatureOptions(), EVERYTHING, FeatureOptions(ties="first")])
def test_every_column_is_described_in_order(options: FeatureOptions) -> None:
    planes, labels = small_site()
    measured = measure_features(planes, labels, options)
    described = describe_features(planes, SETS, options)
    ours = [f"{name}_{column}" for name, features in measured.objects.items() for column in features.columns]
    assert ours == [one.name for one in described]
    assert len(set(ours)) == len(ours)
    for one in described:
        assert one.unit
        assert one.definition
        assert one.source
        assert one.name.startswith(f"{one.objects}_{one.family}")
        assert all(channel in one.name for channel in one.channel.split(",") if channel)
    of_images = describe_image_features(planes, options)
    assert list(measured.images) == [one.name for one in of_images]
    for one in [*described, *of_images]:
        assert one.definition.endswith("."), one.name
        assert not one.null_when or (one.null_when[0].islower() and not one.null_when.endswith(".")), one.null_when
        assert "in the set" not in one.null_when


def assert_same(found: SiteFeatures, expected: SiteFeatures) -> None:
    """Every value bit for bit, in the same order."""
    assert list(found.objects) == list(expected.objects)
    for name, features in expected.objects.items():
        np.testing.assert_array_equal(found.objects[name].numbers, features.numbers)
        assert list(found.objects[name].columns) == list(features.columns)
        for column, values in features.columns.items():
            np.testing.assert_array_equal(found.objects[name].columns[column], values, err_msg=f"{name}_{column}")
    assert list(found.images) == list(expected.images)
    np.testing.assert_array_equal(list(found.images.values()), list(expected.images.values()))


@pytest.mark.parametrize("channels", [0, 1, 3])
def test_a_site_in_pieces_gives_what_it_gives_at_once(channels: int) -> None:
    planes, labels = small_site(channels=channels)
    around = {"Nuclei": np.where(labels["Cells"] > 0, labels["Cells"], 9)}
    for sets in (labels, {"Nuclei": labels["Nuclei"]}, {}):
        at_once = measure_features(planes, sets, EVERYTHING, all_labels=around)
        assert_same(measure_features(planes, sets, EVERYTHING, all_labels=around, in_pieces=True), at_once)


def test_a_real_site_in_pieces_gives_what_it_gives_at_once() -> None:
    planes = dict(zip(CHANNELS, read_planes(), strict=True))
    labels = dict(zip(SETS, read_labels(), strict=True))
    at_once = measure_features(planes, labels, EVERYTHING)
    assert_same(measure_features(planes, labels, EVERYTHING, in_pieces=True), at_once)
    assert "Correlation_Correlation_AGP_DNA" in at_once.objects["Cells"].columns


def test_in_pieces_no_more_than_a_pair_of_planes_is_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    planes, labels = small_site(channels=4)
    moved: list[int] = []

    def count(stack: np.ndarray) -> np.ndarray:
        moved.append(len(stack))
        return stack

    monkeypatch.setattr(features_module, "to_device", count)
    measure_features(planes, labels, EVERYTHING, in_pieces=True)
    assert max(moved) == 2


def test_six_channels_give_cellprofiler_s_columns_and_no_more() -> None:
    described = describe_features([f"C{index}" for index in range(6)])
    per_set = {family: sum(one.family == family for one in described) / 3 for family in FAMILIES}
    assert per_set == {
        "AreaShape": 25 + 30,
        "Intensity": 15 * 6,
        "Texture": 156 * 6,
        "Granularity": 16 * 6,
        "RadialDistribution": 12 * 6,
        "Correlation": 8 * 15,
        "Neighbors": (7 + 14) / 3,
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_alone_gives_what_it_gives_among_others(family: str) -> None:
    planes, labels = small_site()
    alone = measure_objects(planes, labels, FeatureOptions(families=(family,)))
    together = measure_objects(planes, labels)
    for name, features in alone.items():
        assert features.columns or (family, name) == ("Neighbors", "Cytoplasm")
        for column, values in features.columns.items():
            np.testing.assert_array_equal(values, together[name].columns[column], err_msg=f"{name}_{column}")


def test_sets_that_do_not_share_numbers_are_measured_each_for_itself() -> None:
    planes, labels = small_site()
    count = int(labels["Cells"].max())
    turned = {**labels, "Nuclei": np.where(labels["Nuclei"] > 0, count + 1 - labels["Nuclei"], 0)}
    together, apart = measure_objects(planes, labels), measure_objects(planes, turned)
    for column, values in together["Nuclei"].columns.items():
        if not any(word in column for word in ("ObjectNumber", "Correlation_RWC", "Children_Cytoplasm", "Parent")):
            theirs = apart["Nuclei"].columns[column]
            np.testing.assert_allclose(theirs[::-1], values, rtol=1e-9, atol=1e-12, err_msg=column)
    assert apart["Cells"].columns["AreaShape_Area"].tolist() == together["Cells"].columns["AreaShape_Area"].tolist()


def test_numbers_with_gaps_are_kept_and_those_without_pixels_have_no_row() -> None:
    planes, labels = small_site()
    far = {name: np.where(image > 0, image * 1_000_003, 0) for name, image in labels.items()}
    far["Cytoplasm"] = np.where(far["Cytoplasm"] == 1_000_003, 0, far["Cytoplasm"])
    near, gone = measure_objects(planes, labels), measure_objects(planes, far)
    assert gone["Cells"].numbers.tolist() == [1_000_003 * number for number in near["Cells"].numbers]
    assert gone["Cytoplasm"].numbers.tolist() == [1_000_003 * number for number in near["Cytoplasm"].numbers][1:]
    for column, values in near["Cells"].columns.items():
        if "ObjectNumber" in column:
            np.testing.assert_array_equal(gone["Cells"].columns[column], 1_000_003 * values, err_msg=column)
        elif not column.startswith(("Parent", "Children")):
            np.testing.assert_array_equal(gone["Cells"].columns[column], values, err_msg=column)
    assert near["Cytoplasm"].columns["Parent_Nuclei"].tolist() == near["Cytoplasm"].numbers.tolist()
    assert gone["Cells"].columns["Children_Cytoplasm_Count"].tolist() == [0, 1, 1, 1, 1]


@pytest.mark.parametrize("is_alike", [True, False])
def test_great_numbers_need_no_more_memory_than_small_ones(is_alike: bool) -> None:
    planes, labels = small_site()
    options = FeatureOptions(families=("Neighbors",))
    around = {"Nuclei": labels["Nuclei"].copy()}
    if not is_alike:
        labels["Cells"] = np.where(labels["Cells"] > 0, 6 - labels["Cells"], 0)
    factor = (2**31 - 1) // 5
    great = {name: image.astype(np.int64) * factor for name, image in labels.items()}
    few = measure_objects(planes, labels, options)
    many = measure_features(
        planes, great, options, whole_images=False, all_labels={"Nuclei": around["Nuclei"].astype(np.int64) * factor}
    ).objects
    for name, features in few.items():
        np.testing.assert_array_equal(many[name].numbers, features.numbers * factor)
        for column, values in features.columns.items():
            holds_numbers = column.startswith("Parent_") or "ObjectNumber" in column
            np.testing.assert_array_equal(many[name].columns[column], values * factor if holds_numbers else values)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (40, 33)])
def test_a_site_without_objects_has_every_column_and_no_row(shape: tuple[int, int]) -> None:
    planes = {"DNA": np.zeros(shape, np.uint16), "RNA": np.full(shape, 9, np.uint16)}
    measured = measure_features(planes, dict.fromkeys(SETS, np.zeros(shape, np.int32)), EVERYTHING)
    described = describe_features(planes, SETS, EVERYTHING)
    ours = [f"{name}_{column}" for name, features in measured.objects.items() for column in features.columns]
    assert ours == [one.name for one in described]
    assert all(values.shape == (0,) for features in measured.objects.values() for values in features.columns.values())
    assert measured.images["Intensity_TotalIntensity_RNA"] == pytest.approx(9 * shape[0] * shape[1] / 65535)


def odd_sites() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    noise = np.random.default_rng(5)
    plane = noise.integers(0, 60_000, (30, 35)).astype(np.uint16)
    pixel, all_of_it, ring = (np.zeros(plane.shape, np.int32) for _ in range(3))
    pixel[7, 9], all_of_it[:] = 1, 1
    ring[0], ring[-1], ring[:, 0], ring[:, -1] = 1, 1, 1, 1
    specks = (noise.random(plane.shape) < 0.3).astype(np.int32)
    many = np.arange(plane.size, dtype=np.int32).reshape(plane.shape)
    return {
        "one pixel": (plane, pixel),
        "the whole plane": (plane, all_of_it),
        "along every border": (plane, ring),
        "scattered": (plane, specks),
        "each pixel an object": (plane, many),
        "black": (np.zeros_like(plane), ring + 2 * (ring == 0)),
        "saturated": (np.full_like(plane, 65535), ring),
        "8 bits": (plane.astype(np.uint8), pixel + 2 * ring),
        "a plane of one pixel": (plane[:1, :1], pixel[7:8, 9:10]),
        "a line": (plane[:1], all_of_it[:1]),
    }


@pytest.mark.parametrize("name", odd_sites())
def test_odd_objects_have_values_or_none_and_never_an_infinite_one(name: str) -> None:
    plane, labels = odd_sites()[name]
    planes = {"DNA": plane, "RNA": plane[::-1].copy()}
    measured = measure_features(planes, {"Nuclei": labels, "Cells": labels}, EVERYTHING)
    null_when = {one.name: one.null_when for one in describe_features(planes, SETS[:2], EVERYTHING)}
    for objects, features in measured.objects.items():
        for column, values in features.columns.items():
            assert not np.isinf(values).any(), column
            assert null_when[f"{objects}_{column}"] or not np.isnan(values).any(), column
            assert values.shape == features.numbers.shape
    assert not any(np.isinf(value) for value in measured.images.values())


def test_8_and_16_bits_give_the_same_values() -> None:
    planes, labels = small_site()
    narrow = {name: (plane // 20).astype(np.uint8) for name, plane in planes.items()}
    wide = {name: plane.astype(np.uint16) * np.uint16(257) for name, plane in narrow.items()}
    for ours, theirs in itertools.pairwise([measure_features(each, labels) for each in (narrow, wide)]):
        assert ours.images == theirs.images
        for name, features in ours.objects.items():
            for column, values in features.columns.items():
                np.testing.assert_array_equal(values, theirs.objects[name].columns[column], err_msg=column)
    assert stack_planes(narrow.values()).dtype == np.uint16


def test_objects_need_no_image() -> None:
    planes, labels = small_site()
    shapes = measure_objects({}, labels)["Cells"].columns
    together = measure_objects(planes, labels)["Cells"].columns
    assert {name.partition("_")[0] for name in shapes} == {"AreaShape", "Location", "Neighbors", "Parent", "Children"}
    for name, values in shapes.items():
        np.testing.assert_array_equal(values, together[name], err_msg=name)


def test_images_are_measured_alike_with_and_without_objects() -> None:
    planes, labels = small_site()
    assert measure_image_features(planes) == measure_features(planes, labels).images
    assert not measure_features(planes, labels, whole_images=False).images


def test_a_hundred_thousand_objects_of_one_pixel_are_measured() -> None:
    labels = np.arange(1, 100_001, dtype=np.int64).reshape(250, 400)
    options = FeatureOptions(families=("AreaShape", "Intensity", "Neighbors"))
    measured = measure_objects({"DNA": (labels % 5000).astype(np.uint16)}, {"Nuclei": labels}, options)["Nuclei"]
    assert measured.numbers.size == 100_000
    np.testing.assert_array_equal(measured.columns["AreaShape_Area"], 1)
    np.testing.assert_allclose(measured.columns["Intensity_MeanIntensity_DNA"], (labels.ravel() % 5000) / 65535)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"labels": {"Nuclei": np.zeros((3, 3))}},
            TypeError,
            r"labels\['Nuclei'\] must have an integer type, got float64",
        ),
        ({"labels": {"Cells": np.full((3, 3), -2)}}, ValueError, r"labels\['Cells'\] must be 0 or more, got -2"),
        ({"labels": {"Cells": np.full((3, 3), 2**31)}}, ValueError, r"labels\['Cells'\] must be below 2\*\*31"),
        (
            {"labels": {"Cells": np.zeros(3, int)}},
            ValueError,
            r"labels\['Cells'\] must have shape \(y, x\), got \(3,\)",
        ),
        ({"planes": {"DNA": np.zeros((3, 3))}}, TypeError, r"planes\['DNA'\] must be uint8 or uint16, got float64"),
        (
            {"labels": {"Cells": np.zeros((4, 3), int)}},
            ValueError,
            r"labels\['Cells'\] must have the shape of planes\['DNA'\], \(3, 3\), got \(4, 3\)",
        ),
    ],
)
def test_wrong_arguments_are_refused(change: dict, error: type[Exception], message: str) -> None:
    arguments = {"planes": {"DNA": np.zeros((3, 3), np.uint8)}, "labels": {"Nuclei": np.zeros((3, 3), int)}} | change
    with pytest.raises(error, match=message):
        measure_objects(**arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"families": ("Texture", "Gabor")}, "families must be among AreaShape, .*, got Gabor"),
        ({"texture_scales_px": (3, 0)}, "texture_scales_px must be 1 or more"),
        ({"radial_bins": 0}, "radial_bins must be 1 or more, got 0"),
    ],
)
def test_options_that_mean_nothing_are_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureOptions(**change)


def test_values_are_cellprofiler_s_own() -> None:
    planes = dict(zip(CHANNELS, read_planes(), strict=True))
    measured = measure_features(planes, dict(zip(SETS, read_labels(), strict=True)), EVERYTHING)
    for name in SETS:
        for family, agreement in compare(measured.objects[name].columns, read_values(name)).items():
            if family != "Neighbors":  # counted among objects that the label images do not hold: test_neighbors
                assert agreement.outside == {}, f"{name} {family}"
                assert agreement.within == agreement.columns > 0
    theirs = {
        name: np.array([value])
        for name, value in read_image_values().items()
        if name.startswith(("Texture_", "Granularity_", "Intensity_")) and "BackgroundOnly" not in name
    }
    found = compare({name: np.array([value]) for name, value in measured.images.items()}, theirs)
    assert {family: agreement.within for family, agreement in found.items()} == {
        "Texture": 780,
        "Granularity": 80,
        "Intensity": 55,
    }


def test_neighbours_are_counted_among_objects_that_are_not_measured() -> None:
    planes, labels = small_site()
    some = {"Cells": np.where(labels["Cells"] > 2, labels["Cells"], 0)}
    options = FeatureOptions(families=("Neighbors",))
    alone = measure_features(planes, some, options).objects["Cells"]
    among = measure_features(planes, some, options, all_labels=labels).objects["Cells"]
    whole = measure_features(planes, labels, options).objects["Cells"]
    name = "Neighbors_FirstClosestDistance_Adjacent"
    np.testing.assert_array_equal(among.columns[name], whole.columns[name][2:])
    assert (alone.columns[name] >= among.columns[name]).all()
    assert (alone.columns[name] > among.columns[name]).any()


def test_cytoplasm_with_shared_rim_is_that_of_cellprofiler() -> None:
    nuclei, cells, cytoplasm = read_labels()
    np.testing.assert_array_equal(segment_cytoplasm(nuclei, cells, shared_rim=True), cytoplasm)
