"""Brightness of objects: CellProfiler's values, hand-computed cases, and the same bits on a GPU."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.gpu import Gpu, read_source
from kernels.intensity import FEATURES, Ties, describe_intensity, measure_intensity
from kernels.intensity_gpu import scan_objects_on_gpu
from kernels.intensity_scan import DISTANCE, scan_objects
from kernels.object_sets import list_object_sets
from kernels.object_sets_gpu import list_object_sets_on
from tests import golden
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu, KernelFaultError
from tests.kernels.object_cases import CASES, Case, draw_nested

NAMES = list(FEATURES)


def measure(
    planes: np.ndarray, labels: np.ndarray, outer: int = 0, ties: Ties = "cellprofiler"
) -> dict[str, np.ndarray]:
    """Features by name, shape (s, c, k)."""
    values = measure_intensity(planes.astype(np.uint16), list_object_sets(labels, outer), ties=ties)
    return {name: values[:, :, index] for index, name in enumerate(NAMES)}


def as_cellprofiler(plane: np.ndarray, labels: np.ndarray, label: int) -> dict[str, float]:
    """What CellProfiler's definitions say of one object, straight from them, in double precision."""
    pixels = plane.astype(np.float32) / np.float32(65535)
    y, x = np.nonzero(labels == label)
    inside = pixels[y, x].astype(np.float64)
    n = len(inside)
    padded = np.pad(labels, 1, mode="edge")
    height, width = labels.shape
    neighbours = [padded[1 + dy :, 1 + dx :][:height, :width] for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    edge = pixels[(labels == label) & np.any([other != labels for other in neighbours], axis=0)].astype(np.float64)

    def at(fraction: float, values: np.ndarray) -> float:
        place = n * fraction
        below = int(place)
        rest, ordered = place - below, np.sort(values)
        return ordered[below] * (1 - rest) + ordered[below + 1] * rest if below < n - 1 else ordered[below]

    moments = {}
    for suffix, values in (("", inside), ("Edge", edge if len(edge) else np.zeros(1))):
        parts = (values.sum(), values.mean(), values.std(), values.min(), values.max())
        names = ("Integrated", "Mean", "Std", "Min", "Max")
        moments |= {f"Intensity_{name}Intensity{suffix}": part for name, part in zip(names, parts, strict=True)}
    mass = inside.sum()
    centre_x = (inside * x).sum() / mass if mass else np.nan
    centre_y = (inside * y).sum() / mass if mass else np.nan
    median = at(0.5, inside)
    peak = int(inside.argmax())
    return moments | {
        "Intensity_MassDisplacement": np.hypot(x.mean() - centre_x, y.mean() - centre_y),
        "Intensity_LowerQuartileIntensity": at(0.25, inside),
        "Intensity_MedianIntensity": median,
        "Intensity_MADIntensity": at(0.5, np.abs(inside - median)),
        "Intensity_UpperQuartileIntensity": at(0.75, inside),
        "Location_CenterMassIntensity_X": centre_x,
        "Location_CenterMassIntensity_Y": centre_y,
        "Location_CenterMassIntensity_Z": 0.0 if mass else np.nan,
        "Location_MaxIntensity_X": x[peak],
        "Location_MaxIntensity_Y": y[peak],
        "Location_MaxIntensity_Z": 0.0,
    }


@pytest.mark.parametrize("objects", golden.SETS)
def test_every_column_is_cellprofilers(objects: str) -> None:
    planes, labels = golden.read_planes(), golden.read_labels()
    values = measure_intensity(planes, list_object_sets(labels, golden.OUTER))[golden.SETS.index(objects)]
    theirs = golden.read_values(objects)
    rows = dict(zip((f.name for f in describe_intensity(golden.CHANNELS)), values.reshape(-1, 35), strict=True))
    first_values = measure_intensity(planes, list_object_sets(labels, golden.OUTER), ties="first")
    described = [feature.name for feature in describe_intensity(golden.CHANNELS, ties="first")]
    rows_first = first_values[golden.SETS.index(objects)].reshape(-1, 35)
    first = dict(zip(described, rows_first, strict=True))
    families = ("Intensity_", "Location_CenterMass", "Location_Max")
    assert set(rows) == {name for name in theirs if name.startswith(families)}
    for channel, plane in zip(golden.CHANNELS, planes, strict=True):
        x, y = (first[f"LocationFirst_MaxIntensity_{axis}_{channel}"] for axis in "XY")
        chosen = tuple(theirs[f"Location_MaxIntensity_{axis}_{channel}"].astype(int) for axis in "YX")
        ours = y.astype(int), x.astype(int)
        np.testing.assert_array_equal(plane[chosen], plane[ours])
        assert all(a <= b for a, b in zip(zip(*ours, strict=True), zip(*chosen, strict=True), strict=True))
    for name, row in rows.items():
        np.testing.assert_allclose(row, theirs[name], rtol=1e-6, atol=0, err_msg=name)


@pytest.mark.parametrize("name", CASES)
def test_every_value_follows_its_definition(name: str) -> None:
    case = CASES[name]
    found = measure(case.planes, case.labels, case.outer, ties="first")
    for z, labels in enumerate(case.labels):
        for c, plane in enumerate(case.planes):
            for label in range(1, int(case.labels.max(initial=0)) + 1):
                ours = {feature: values[z, c, label - 1] for feature, values in found.items()}
                if not (labels == label).any():
                    assert np.isnan(list(ours.values())).all()
                    continue
                for feature, value in as_cellprofiler(plane, labels, label).items():
                    np.testing.assert_allclose(ours[feature], value, rtol=1e-6, atol=1e-7, err_msg=f"{feature} {label}")


def test_the_place_of_a_quantile_is_cellprofilers() -> None:
    found = measure(np.array([[[0, 100, 300, 700, 1500]]]) * 1.0, np.array([[[0, 1, 1, 1, 1]]]))
    scaled = {name: values.item() * 65535 for name, values in found.items()}
    assert scaled["Intensity_LowerQuartileIntensity"] == pytest.approx(300)
    assert scaled["Intensity_MedianIntensity"] == pytest.approx(700)
    assert scaled["Intensity_UpperQuartileIntensity"] == pytest.approx(1500)
    assert scaled["Intensity_MADIntensity"] == pytest.approx(600)  # of 0, 400, 600, 800


def test_an_object_that_fills_the_plane_has_an_edge_of_zeros() -> None:
    found = measure(np.full((1, 3, 4), 500), np.ones((1, 3, 4), np.int32))
    for name, values in found.items():
        assert not np.isnan(values).any()
        assert name.endswith("Edge") <= (values.item() == 0)


def test_a_black_object_has_no_centre_of_mass() -> None:
    found = measure(np.zeros((1, 3, 4)), np.eye(3, 4, dtype=np.int32)[None])
    missing = {name for name, values in found.items() if np.isnan(values).any()}
    assert missing == {"Intensity_MassDisplacement", *(f"Location_CenterMassIntensity_{axis}" for axis in "XYZ")}


def test_distances_to_the_median_are_sorted_in_single_precision() -> None:
    case = CASES["two sides of the median"]
    state = scan_objects(case.planes, list_object_sets(case.labels, 0))
    pixels = (case.planes.ravel() / np.float32(65535)).astype(np.float64)
    above_is_nearer = abs(pixels[3] - pixels[1]) < abs(pixels[0] - pixels[1])
    assert above_is_nearer
    assert state.counts[0, 0, 0, DISTANCE:].tolist() == [1005, 999]


def test_of_several_greatest_pixels_the_rule_s_one_is_taken() -> None:
    """With few pixels CellProfiler's sort inserts each behind its equals: it takes the last."""
    labels = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 1]]])
    inner = np.array([[[0, 0, 0], [0, 0, 1], [0, 1, 0]]])
    plane = np.array([[[9, 1, 0], [5, 2, 5], [0, 5, 4]]])
    for ties, x, y in (("first", [0, 2], [1, 1]), ("cellprofiler", [1, 1], [2, 2])):
        found = measure(plane, np.concatenate([labels, inner]), ties=ties)
        assert found["Location_MaxIntensity_X"][:, 0, 0].tolist() == x
        assert found["Location_MaxIntensity_Y"][:, 0, 0].tolist() == y


def test_a_constant_object_varies_by_nothing_and_a_large_one_is_counted_exactly() -> None:
    side = 1500
    plane = np.full((1, side, side), 65_535)
    assert measure(plane, np.ones((1, side, side), np.int32))["Intensity_StdIntensity"].item() == 0
    plane[0, 0, 0] = 65_534
    deviation = measure(plane, np.ones((1, side, side), np.int32))["Intensity_StdIntensity"].item()
    share = 1 / side**2
    assert deviation == pytest.approx(np.sqrt(share * (1 - share)) / 65_535, rel=1e-9)


def test_planes_of_another_kind_are_refused() -> None:
    objects = list_object_sets(np.ones((1, 4, 5), np.int32), 0)
    with pytest.raises(TypeError, match="uint8"):
        measure_intensity(np.zeros((1, 4, 5), np.uint8), objects)
    with pytest.raises(ValueError, match=r"\(c, 4, 5\)"):
        measure_intensity(np.zeros((1, 5, 4), np.uint16), objects)


def test_columns_are_described_channel_by_channel() -> None:
    described = describe_intensity(["DNA", "ER"])
    assert len(described) == 2 * len(FEATURES) == len({feature.name for feature in described})
    assert described[0].name == "Intensity_IntegratedIntensity_DNA"
    assert described[-1] == describe_intensity(["ER"])[-1]
    assert {feature.family for feature in described} == {"Intensity", "Location"}


@pytest.mark.parametrize("name", CASES)
def test_a_gpu_gives_the_same_bits(gpu: Gpu, name: str) -> None:
    case = CASES[name]
    here = list_object_sets(case.labels, case.outer)
    there = list_object_sets_on(gpu, gpu.put(here.labels), case.outer, here.count)
    on_gpu = measure_intensity(gpu.put(case.planes), there)
    np.testing.assert_array_equal(on_gpu, measure_intensity(case.planes, here))


PLANTED = {
    "blocks of values that are not cleared": (
        "for (int i = threadIdx.x; i < BLOCKS; i += 256) blocks[i] = 0;\n    if (threadIdx.x < 2)",
        "if (threadIdx.x < 2)",
    ),
    "sums read before they are whole": (
        "&sums, blocks);\n    __syncthreads();",
        "&sums, blocks);",
    ),
    "a count that is not atomic": (
        "atomicAdd(&counts[64 * slot + (value & 63)], 1u)",
        "counts[64 * slot + (value & 63)] += 1u",
    ),
    "the last of the greatest pixels": ("(0xffffffffu - (y * (u32)view.width + x))", "(y * (u32)view.width + x)"),
    "the nearer side taken the other way": ("is_below_nearer ? left < n_below : left >= n_above", "left < n_below"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    require_host_cuda()
    before, after = PLANTED[fault]
    source = read_source("intensity")
    assert before in source
    cases = [draw_nested(3, channels=1), CASES["two sides of the median"]]

    def is_found(seed: int, case: Case) -> bool:
        expected = scan_objects(case.planes, list_object_sets(case.labels, case.outer))
        gpu = HostGpu(seed, {"intensity": source.replace(before, after)})
        there = list_object_sets_on(gpu, gpu.put(case.labels), case.outer, int(case.labels.max()))
        try:
            state = scan_objects_on_gpu(gpu.put(case.planes), there)
        except KernelFaultError:
            return True
        return not all(np.array_equal(a, b) for a, b in zip(state, expected, strict=True))

    assert any(is_found(seed, case) for case in cases for seed in SEEDS)
