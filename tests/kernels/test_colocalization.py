"""Colocalisation: CellProfiler's values, its definitions computed plainly, and the same bits on a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from kernels.colocalization import describe_colocalization, measure_colocalization
from kernels.colocalization_gpu import scan_objects_on_gpu
from kernels.colocalization_scan import list_pairs, list_thresholds, scan_objects
from kernels.gpu import Gpu, read_source
from kernels.object_sets import list_object_sets
from kernels.object_sets_gpu import list_object_sets_on
from tests import golden
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu, KernelFaultError
from tests.kernels.object_cases import CASES, Case, draw_nested

NAMES = "ZYABCDEF"


def measure(case: Case, *, costes_scale: int = 65535, percent: float = 15.0) -> dict[str, np.ndarray]:
    """All features by name, shape (s, k); channels are named against the alphabet first."""
    channels = NAMES[: len(case.planes)]
    values = measure_colocalization(
        case.planes,
        list_object_sets(case.labels, case.outer),
        threshold_percent=percent,
        costes=True,
        slope=True,
        channels=channels,
        costes_scale=costes_scale,
    )
    described = describe_colocalization(channels, costes=True, slope=True)
    assert values.shape[1] == len(described)
    return {feature.name: values[:, index] for index, feature in enumerate(described)}


def bisect_costes(first: np.ndarray, second: np.ndarray, scale: int) -> tuple[np.float32, np.float32]:
    """CellProfiler's search, with a correlation of all pixels at each step."""
    bright = (first > 0) | (second > 0)
    x, y = (channel[bright].astype(np.float64) for channel in (first, second))
    with np.errstate(all="ignore"):
        spread = np.var(y, ddof=1) - np.var(x, ddof=1) if len(x) > 1 else np.nan
        covariance = np.cov(x, y)[0, 1] if len(x) > 1 else np.nan
        slope = (spread + np.sqrt(spread**2 + 4 * covariance**2)) / (2 * covariance)
        offset = y.mean() - slope * x.mean() if len(x) > 1 else np.nan
        left, right, last, valid = 1, scale, 0, 1
        middle = (right - left) // (6 / 5) + left
        while last != middle:
            at_first = middle / scale
            below = (first < np.float32(at_first)) | (second < np.float32(slope * at_first + offset))
            if np.count_nonzero(below) <= 2:
                left = middle - 1
            else:
                x, y = first[below], second[below]
                if np.ptp(x) > 0 and np.ptp(y) > 0:
                    if scipy.stats.pearsonr(x.astype(float), y.astype(float))[0] < 0:
                        left = middle - 1
                    else:
                        right, valid = middle + 1, middle
            last = middle
            middle = (right - left) // (6 / 5) + left if right - left > 6 else (right - left) // 2 + left
        at_first = (valid - 1) / scale
        return np.float32(at_first), np.float32(slope * at_first + offset)


def as_cellprofiler(
    planes: np.ndarray, labels: np.ndarray, count: int, names: tuple[str, str], scale: int, percent: float
) -> dict[str, np.ndarray]:
    """Features of two channels, named in the order of ``planes``, by CellProfiler's definitions."""
    one, other = planes.astype(np.float32) / np.float32(65535)
    inside = labels > 0
    limits = bisect_costes(one.ravel(), other.ravel(), scale)
    owner, one, other = labels[inside], one[inside], other[inside]

    def sums(values: np.ndarray) -> np.ndarray:
        return np.bincount(owner, values.astype(np.float64), count + 1)[1:]

    with np.errstate(all="ignore"):
        bright, ranks = [], []
        for values in (one, other):
            greatest = np.zeros(count + 1, np.float32)
            np.maximum.at(greatest, owner, values)
            bright.append(values >= (np.float32(percent / 100) * greatest)[owner])
            ranks.append(np.unique(values, return_inverse=True)[1])
        both = bright[0] & bright[1]
        number = max(ranks[0].max(initial=0), ranks[1].max(initial=0)) + 1
        weight = 1 - np.abs(ranks[0] - ranks[1]) / number
        products = sums(one.astype(np.float64) * other * both)
        squares = [sums(values.astype(np.float64) ** 2 * both) for values in (one, other)]
        n = sums(np.ones(len(owner)))
        x, y = (values - (sums(values) / n)[owner - 1] for values in (one, other))
        covariance = sums(x * y)
        above = [one > limits[0], other > limits[1]]
        over = above[0] & above[1]
        found = {
            "Correlation_{0}_{1}": covariance / np.sqrt(sums(x * x) * sums(y * y)),
            "Slope_{0}_{1}": covariance / sums(x * x),
            "Overlap_{0}_{1}": products / np.sqrt(squares[0] * squares[1]) if both.any() else np.zeros(count),
        }
        for name, values, own, limit, square in (
            ("{0}_{1}", one, bright[0], limits[0], squares[0]),
            ("{1}_{0}", other, bright[1], limits[1], squares[1]),
        ):
            found["K_" + name] = products / square if both.any() else np.zeros(count)
            found["Manders_" + name] = sums(values * both) / sums(values * own)
            found["RWC_" + name] = sums(values * weight * both) / sums(values * own)
            costes = sums(values * over) / sums(values * (values >= limit))
            found["Costes_" + name] = costes if over.any() else np.zeros(count)
    return {"Correlation_" + name.format(*names): values for name, values in found.items()}


@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4), (3, 4, 1, 2, 0)])
def test_every_column_is_cellprofilers(order: tuple[int, ...]) -> None:
    channels = [golden.CHANNELS[index] for index in order]
    objects = list_object_sets(golden.read_labels(), golden.OUTER)
    values = measure_colocalization(golden.read_planes()[list(order)], objects, costes=True, channels=channels)
    described = describe_colocalization(channels, costes=True)
    for z, name in enumerate(golden.SETS):
        theirs = golden.read_values(name)
        assert {feature.name for feature in described} == {key for key in theirs if key.startswith("Correlation_")}
        for feature, row in zip(described, values[z], strict=True):
            np.testing.assert_allclose(row, theirs[feature.name], rtol=1e-7, atol=0, err_msg=feature.name)


@pytest.mark.parametrize(("scale", "percent"), [(65535, 15.0), (255, 40.0)])
@pytest.mark.parametrize("name", CASES)
def test_every_value_follows_its_definition(name: str, scale: int, percent: float) -> None:
    case = CASES[name]
    found = measure(case, costes_scale=scale, percent=percent)
    count = int(case.labels.max(initial=0))
    for z, labels in enumerate(case.labels):
        for i, j in list_pairs(len(case.planes)):
            i, j = sorted((i, j), key=lambda index: NAMES[index])
            expected = as_cellprofiler(case.planes[[i, j]], labels, count, (NAMES[i], NAMES[j]), scale, percent)
            area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
            for feature, values in expected.items():
                ours = found[feature][z]
                assert np.isnan(ours[area == 0]).all()
                is_flat = np.array(
                    [len(set(case.planes[c][labels == k])) < 2 for c in (i, j) for k in range(1, count + 1)]
                ).reshape(2, count)
                if feature.startswith(("Correlation_Correlation", "Correlation_Slope")):
                    flat = is_flat[0] | (is_flat[1] & ("Slope" not in feature))
                    assert np.isnan(ours[flat]).all()
                    kept = ~flat
                else:
                    kept = area > 0
                np.testing.assert_allclose(ours[kept], values[kept], rtol=1e-6, atol=1e-9, err_msg=feature)


def test_hand_computed_values() -> None:
    # greatest pixels 100 and 200: the thresholds are 15 and 30, and the last pixel reaches neither
    planes = np.array([[[100, 50, 20, 10]], [[40, 200, 100, 20]]], np.uint16)
    case = Case(planes, np.ones((1, 1, 4), np.int32), 0)
    found = {name: values.item() for name, values in measure(case).items()}
    products = 100 * 40 + 50 * 200 + 20 * 100
    assert found["Correlation_K_Z_Y"] == pytest.approx(products / (100**2 + 50**2 + 20**2))
    assert found["Correlation_K_Y_Z"] == pytest.approx(products / (40**2 + 200**2 + 100**2))
    assert found["Correlation_Overlap_Y_Z"] == pytest.approx(products / np.sqrt(12_900 * 51_600))
    assert found["Correlation_Manders_Z_Y"] == 1
    # ranks 3 2 1 0 and 1 3 2 0, four of them
    assert found["Correlation_RWC_Z_Y"] == pytest.approx((100 * 0.5 + 50 * 0.75 + 20 * 0.75) / 170)
    assert found["Correlation_Slope_Y_Z"] == pytest.approx(np.polyfit(planes[1, 0], planes[0, 0], 1)[0])
    assert found["Correlation_Correlation_Y_Z"] == pytest.approx(np.corrcoef(planes[0, 0], planes[1, 0])[0, 1])


def test_a_large_saturated_object_is_counted_exactly() -> None:
    side = 1500  # squares add up to more than 2**53
    planes = np.full((2, side, side), 65_535, np.uint16)
    planes[0, :, ::2] = 65_533
    planes[1, ::2] = 65_534
    state = scan_objects(
        planes,
        list_object_sets(np.ones((1, side, side), np.int32), 0),
        list_pairs(2),
        list_thresholds(15.0),
        np.zeros((0, 4), np.int64),
    )
    wide = planes.astype(np.uint64)
    assert state.pairs[0, 0, 0, 0] == state.pairs[0, 0, 0, 6] == int((wide[0] * wide[1]).sum()) > 2**53


def test_one_channel_has_no_pair() -> None:
    objects = list_object_sets(np.ones((2, 3, 3), np.int32), 0)
    assert describe_colocalization(["DNA"], costes=True, slope=True) == []
    values = measure_colocalization(np.ones((1, 3, 3), np.uint16), objects, costes=True, channels=["DNA"])
    assert values.shape == (2, 0, 1)


def test_names_of_a_pair_do_not_depend_on_the_order_of_channels() -> None:
    channels = ["RNA", "AGP", "DNA", "Mito"]
    names = {feature.name for feature in describe_colocalization(channels, costes=True, slope=True)}
    assert names == {feature.name for feature in describe_colocalization(channels[::-1], costes=True, slope=True)}
    assert len(names) == 6 * 11
    assert {"Correlation_Correlation_AGP_RNA", "Correlation_K_RNA_AGP", "Correlation_Slope_DNA_Mito"} <= names


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold_percent": 101}, "0 to 100, got 101"),
        ({"threshold_percent": float("nan")}, "0 to 100, got nan"),
        ({"costes": True}, "channels must name the 2 planes"),
        ({"slope": True, "channels": ["DNA"]}, "channels must name the 2 planes"),
        ({"costes_scale": 0}, "from 1 to 65535, got 0"),
    ],
)
def test_wrong_options_are_refused(options: dict, message: str) -> None:
    objects = list_object_sets(np.ones((1, 3, 3), np.int32), 0)
    with pytest.raises(ValueError, match=message):
        measure_colocalization(np.ones((2, 3, 3), np.uint16), objects, **options)


@pytest.mark.parametrize("name", CASES)
def test_a_gpu_gives_the_same_bits(gpu: Gpu, name: str) -> None:
    case = CASES[name]
    here = list_object_sets(case.labels, case.outer)
    there = list_object_sets_on(gpu, gpu.put(here.labels), case.outer, here.count)
    options = {"costes": True, "slope": True, "channels": NAMES[: len(case.planes)], "costes_scale": 255}
    on_gpu = measure_colocalization(gpu.put(case.planes), there, **options)
    np.testing.assert_array_equal(on_gpu, measure_colocalization(case.planes, here, **options))


PLANTED = {
    "a tile written while it is read": ("begin += tile) {\n        __syncthreads();", "begin += tile) {"),
    "a tile read before it is whole": (
        "roundings[value];\n            }\n        }\n        __syncthreads();",
        "roundings[value]; } }",
    ),
    "values that are not cleared": ("for (int i = threadIdx.x; i < sets * WORDS; i += 256) held[i] = 0;", ""),
    "ranks that count one word only": ("rank = below[word] + __popc", "rank = __popc"),
    "pixels of another set": ("(object.member[begin + i] & in_set)", "object.member[begin + i]"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    require_host_cuda()
    before, after = PLANTED[fault]
    source = read_source("colocalization")
    assert before in source
    nested, large = draw_nested(3), draw_nested(4, channels=9)  # nine channels leave tiles of 448 pixels
    cases = [nested, large._replace(labels=np.ones((1, *large.labels.shape[1:]), np.int32), outer=0)]

    def is_found(seed: int, case: Case) -> bool:
        arguments = list_pairs(len(case.planes)), list_thresholds(15.0), np.zeros((0, 4), np.int64)
        expected = scan_objects(case.planes, list_object_sets(case.labels, case.outer), *arguments)
        gpu = HostGpu(seed, {"colocalization": source.replace(before, after)})
        there = list_object_sets_on(gpu, gpu.put(case.labels), case.outer, int(case.labels.max()))
        try:
            state = scan_objects_on_gpu(gpu.put(case.planes), there, *arguments)
        except KernelFaultError:
            return True
        return not all(np.array_equal(a, b) for a, b in zip(state, expected, strict=True))

    assert any(is_found(seed, case) for case in cases for seed in SEEDS)
