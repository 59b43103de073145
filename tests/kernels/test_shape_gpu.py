"""AreaShape on a GPU: the same bits as on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.enclosing_circle import enclosing_circles
from kernels.gpu import Gpu, read_source
from kernels.object_sets import list_object_sets
from kernels.object_sets_gpu import GpuObjectSets, list_object_sets_on
from kernels.shape import measure_shape
from kernels.shape_gpu import sum_shapes_on_gpu
from kernels.shape_sums import ShapeSums, sum_shapes
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu, KernelFaultError


def cut(labels: np.ndarray, seed: int, share: float) -> np.ndarray:
    """Take pixels out at random."""
    return np.where(np.random.default_rng(seed).random(labels.shape) < share, labels, 0)


def blobs(height: int, width: int, number: int) -> np.ndarray:
    """Ellipses side by side, some cut by the border."""
    y, x = np.mgrid[:height, :width]
    labels = np.zeros((height, width), np.int32)
    for label in range(1, number + 1):
        turn = label * 1.3
        middle_y, middle_x = height * (label * 0.37 % 1), width * (label * 0.61 % 1)
        along = (y - middle_y) * np.cos(turn) + (x - middle_x) * np.sin(turn)
        aside = (x - middle_x) * np.cos(turn) - (y - middle_y) * np.sin(turn)
        labels[(along / 11) ** 2 + (aside / 6) ** 2 < 1] = label
    return labels


def sets_of(outer: np.ndarray) -> np.ndarray:
    """Inner parts, all, and a ragged remainder that some objects have none of."""
    inner = cut(outer, 1, 0.6) * (np.arange(outer.shape[1]) % 7 > 1)
    rest = np.where((inner == 0) & (outer % 3 > 0), outer, 0)
    return np.stack([inner, outer, rest]).astype(np.int32)


CASES: dict[str, tuple[np.ndarray, int]] = {
    "three sets": (sets_of(blobs(40, 52, 5)), 1),
    "two sets and gaps": (sets_of(blobs(30, 37, 3))[1:] * 2, 0),
    "ragged": (cut(np.ones((1, 9, 70), np.int32), 3, 0.5), 0),
    "the whole plane": (np.ones((1, 13, 66), np.int32), 0),
    "one pixel": (np.ones((1, 1, 1), np.int32), 0),
    "a column, a row, a diagonal": (np.pad(np.eye(7, dtype=np.int32), ((0, 2), (2, 1)))[None] + 0, 0),
    "none": (np.zeros((2, 5, 6), np.int32), 0),
}
CASES["a column, a row, a diagonal"][0][0, :, 0] = 2
CASES["a column, a row, a diagonal"][0][0, 8, 2:] = 4


def on(gpu: Gpu, labels: np.ndarray, outer: int) -> GpuObjectSets:
    return list_object_sets_on(gpu, gpu.put(labels), outer, int(labels.max()))


def assert_same_sums(ours: ShapeSums, theirs: ShapeSums, area: np.ndarray) -> None:
    is_there = area > 0
    for field in ("boxes", "moments", "patterns", "radii", "corner_start", "corner_count"):
        np.testing.assert_array_equal(getattr(theirs, field)[is_there], getattr(ours, field)[is_there], err_msg=field)
    for begin, count in zip(ours.corner_start[is_there], ours.corner_count[is_there], strict=True):
        here = np.s_[begin : begin + count]
        np.testing.assert_array_equal(theirs.corner_y[here], ours.corner_y[here])
        np.testing.assert_array_equal(theirs.corner_x[here], ours.corner_x[here])


@pytest.mark.parametrize("name", CASES)
def test_sums_are_the_same_bits_on_both_devices(gpu: Gpu, name: str) -> None:
    labels, outer = CASES[name]
    objects = list_object_sets(labels, outer)
    assert_same_sums(sum_shapes(objects), sum_shapes_on_gpu(on(gpu, labels, outer)), objects.area)


def test_values_and_circles_are_the_same_bits_on_both_devices(gpu: Gpu) -> None:
    labels, outer = CASES["three sets"]
    objects, there = list_object_sets(labels, outer), on(gpu, labels, outer)
    np.testing.assert_array_equal(measure_shape(there, moments=True), measure_shape(objects, moments=True))
    np.testing.assert_array_equal(enclosing_circles(there), enclosing_circles(objects))


def test_squares_above_the_bins_are_selected_digit_by_digit(gpu: Gpu) -> None:
    labels = np.ones((1, 97, 98), np.int32)
    objects = list_object_sets(labels, 0)
    sums = sum_shapes(objects)
    assert sums.radii[0, 0, 1] < 2048 < sums.radii[0, 0, 0]
    assert_same_sums(sums, sum_shapes_on_gpu(on(gpu, labels, 0)), objects.area)


PLANTED = {
    "a hull built before its rows are whole": (
        "left, right, box);\n    __syncthreads();",
        "left, right, box);",
    ),
    "an outline counted before its edge is whole": (
        "of_rows + row_first * (ORDER + 1));\n    __syncthreads();\n    count_outline",
        "of_rows + row_first * (ORDER + 1));\n    count_outline",
    ),
    "bins read before they are whole": ("__syncthreads();\n        const int each", "const int each"),
    "a count that is not atomic": (
        "atomicAdd(&bins[square >> below & ((1u << digits) - 1)], 1u)",
        "bins[square >> below & ((1u << digits) - 1)] += 1u",
    ),
    "a row of words too many": (
        "i < (i64)(height + 2) * words; i += blockDim.x",
        "i <= (i64)(height + 2) * words; i += blockDim.x",
    ),
    "a neighbour beyond the word": ("word + 1 < words ? row[word + 1] << 31 : 0u", "0u"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    require_host_cuda()
    before, after = PLANTED[fault]
    source = read_source("shape")
    assert source.count(before) == 1
    labels, outer = CASES["ragged" if "word" in fault else "three sets"]
    objects = list_object_sets(labels, outer)
    expected = sum_shapes(objects)

    def is_found(seed: int) -> bool:
        gpu = HostGpu(seed, {"shape": source.replace(before, after)})
        try:
            assert_same_sums(expected, sum_shapes_on_gpu(on(gpu, labels, outer)), objects.area)
        except (KernelFaultError, AssertionError):
            return True
        return False

    assert any(is_found(seed) for seed in SEEDS)
