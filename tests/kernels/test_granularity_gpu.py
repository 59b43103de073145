"""Granularity on a GPU: the same whole numbers as on the CPU, thus the same bits."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from kernels import granularity_gpu
from kernels.gpu import Gpu, Kernel, read_source
from kernels.granularity import measure_granularities, measure_image_granularity
from kernels.granularity_background import BackgroundWork, plan_grid, subtract_background
from kernels.granularity_gpu import reconstruct_on_gpu, sum_objects_on_gpu
from kernels.granularity_tree import STEPS, TreeWork
from kernels.object_sets import ObjectSets, list_object_sets
from kernels.object_sets_gpu import GpuObjectSets, list_object_sets_on
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu, KernelFaultError
from tests.kernels.test_granularity import blobs, noisy, whole
from tests.kernels.test_object_sets import nested


def chessboard(shape: tuple[int, int]) -> np.ndarray:
    y, x = np.indices(shape) // 2
    return np.where((x + y) % 2 == 0, 50_000, 3).astype(np.uint16)


def pieces(shape: tuple[int, int]) -> np.ndarray:
    """One set: two pixels far apart, a number left out, and a frame."""
    labels = np.zeros((1, *shape), np.int32)
    labels[0, 0, 0] = labels[0, -1, -1] = 1
    labels[0, 10:-10, [8, -8]] = 3
    return labels


SITES = {
    "three sets over noise, hills and a dim plane": (
        np.stack([noisy(1, (40, 57)), blobs((40, 57), period=13), noisy(2, (40, 57), greatest=9)]),
        nested(3),
        1,
    ),
    "an object that fills planes of several tiles": (noisy(4, (141, 133))[None], whole((141, 133)), 0),
    "most basins, pieces": (chessboard((52, 66))[None], pieces((52, 66)), 0),
    "black and full": (
        np.stack([np.zeros((30, 31), np.uint16), np.full((30, 31), 65_535, np.uint16)]),
        whole((30, 31)),
        0,
    ),
    "no objects": (noisy(5, (24, 40))[None], np.zeros((2, 24, 40), np.int32), 0),
    "three pixels": (noisy(6, (3, 5))[None], whole((3, 5)), 0),
    "no channels": (np.zeros((0, 20, 20), np.uint16), whole((20, 20)), 0),
    "too narrow": (np.ones((1, 2, 20), np.uint16), whole((2, 20)), 0),
}


def on_both(gpu: Gpu, labels: np.ndarray, outer: int) -> tuple[ObjectSets, GpuObjectSets]:
    objects = list_object_sets(labels, outer)
    return objects, list_object_sets_on(gpu, gpu.put(objects.labels), outer, objects.count)


@pytest.mark.parametrize("name", SITES)
def test_objects_and_images_have_the_same_bits_on_both_devices(gpu: Gpu, name: str) -> None:
    planes, labels, outer = SITES[name]
    ours, theirs = on_both(gpu, labels, outer)
    expected, measured = measure_granularities(planes, ours), measure_granularities(gpu.put(planes), theirs)
    np.testing.assert_array_equal(measured.objects, expected.objects)
    np.testing.assert_array_equal(measured.image, expected.image)


def test_images_alone_have_the_same_bits_on_both_devices(gpu: Gpu) -> None:
    planes = SITES["most basins, pieces"][0]
    np.testing.assert_array_equal(measure_image_granularity(gpu.put(planes)), measure_image_granularity(planes))


@pytest.mark.parametrize("rounds", [0, 3])
def test_reconstructions_are_the_same_however_the_rounds_are_shared_out(
    gpu: Gpu, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(granularity_gpu, "ROUNDS", rounds)
    planes = np.stack([noisy(7, (150, 130)), blobs((150, 130), period=9)])  # more saddles than threads of a block
    found = reconstruct_on_gpu(gpu.put(planes), gpu)
    grid = plan_grid(*planes.shape[1:])
    background, tree = BackgroundWork(grid), TreeWork(grid)
    heights, basins, levels = (gpu.get(part) for part in (found.heights, found.basins, found.levels))
    for n, plane in enumerate(planes):
        subtract_background(plane, grid, background, tree.heights)
        ours = tree.reconstruct()
        np.testing.assert_array_equal(heights[n], ours.heights)
        for step in range(STEPS):
            expected = np.minimum(ours.heights[1:-1, 1:-1], ours.levels[ours.basins, step])
            np.testing.assert_array_equal(np.minimum(heights[n, 1:-1, 1:-1], levels[n][basins[n], step]), expected)


def test_all_planes_share_15_launches() -> None:
    require_host_cuda()
    launched = []

    class Counting(HostGpu):
        def kernel(self, file: str, name: str) -> Kernel:
            launched.append(name)
            return super().kernel(file, name)

    counting = Counting()
    planes, labels, outer = SITES["three sets over noise, hills and a dim plane"]
    measure_granularities(counting.put(planes), on_both(counting, labels, outer)[1])
    assert len([name for name in launched if name.startswith("granularity")]) == 15


def test_sites_reconstructed_together_have_the_sums_that_they_have_alone(gpu: Gpu) -> None:
    shape = 24, 37
    sites = [(np.stack([noisy(seed, shape), noisy(seed + 20, shape)]), nested(seed, shape)) for seed in (1, 2)]
    planes = gpu.put(np.concatenate([planes for planes, _ in sites]))
    found = reconstruct_on_gpu(planes, gpu)
    for index, (_, labels) in enumerate(sites):
        part = slice(2 * index, 2 * index + 2)
        own = dataclasses.replace(
            found, heights=found.heights[part], basins=found.basins[part], levels=found.levels[part]
        )
        objects = on_both(gpu, labels, 1)[1]
        together = sum_objects_on_gpu(own, planes[part], objects, 40)
        alone = sum_objects_on_gpu(reconstruct_on_gpu(gpu.put(sites[index][0]), gpu), planes[part], objects, 40)
        for sums, expected in zip(together, alone, strict=True):
            np.testing.assert_array_equal(sums, expected)


PLANTED = {
    "a level that is not raised atomically": (
        "granularity_tree",
        "atomicMax(&levels[((i64)plane * most_basins + basin) * STEPS + step - 1], height);",
        "levels[((i64)plane * most_basins + basin) * STEPS + step - 1] = height;",
    ),
    "an erosion written before its neighbours have read": (
        "granularity_tree",
        "        __syncthreads();\n#pragma unroll\n        for (int k = 0; k < MARK_ROWS; ++k) tile",
        "#pragma unroll\n        for (int k = 0; k < MARK_ROWS; ++k) tile",
    ),
    "a choice of the last round that is not cleared": (
        "granularity_tree",
        "chosen[renamed(joined, of_plane.first[i])] = 0;",
        "",
    ),
    "saddles moved before they are read": (
        "granularity_tree",
        "kept + block_sum_before(int(first != second), scratch);",
        "kept + atomicAdd(&scratch[0], int(first != second));",
    ),
    "a way that is followed for three steps only": (
        "granularity_tree",
        "while (true) {\n        const int next",
        "for (int jump = 0; jump < 3; ++jump) {\n        const int next",
    ),
    "weights that change while they are read": (
        "granularity_sums",
        "__syncthreads();  // the last tile has been read",
        "",
    ),
    "a sum that is not atomic": ("granularity_sums", "atomicAdd(target, (u64)sum);", "*target += (u64)sum;"),
    "a pixel beyond the image": ("granularity_sums", "i < pixels; i += gridDim", "i <= pixels; i += gridDim"),
    "a disk that is read before it is whole": (
        "granularity_background",
        "    __syncthreads();\n    double_span(single, 1, eight);",
        "    double_span(single, 1, eight);",
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require_host_cuda()
    monkeypatch.setattr(granularity_gpu, "ROUNDS", 0)
    file, before, after = PLANTED[fault]
    source = read_source(file)
    assert before in source

    def is_found(seed: int, name: str) -> bool:
        planes, labels, outer = SITES[name]
        gpu = HostGpu(seed, {file: source.replace(before, after)}, most_effort=6_000_000)
        ours, theirs = on_both(gpu, labels, outer)
        try:
            measured = measure_granularities(gpu.put(planes), theirs)
        except KernelFaultError:
            return True
        pairs = zip(measured, measure_granularities(planes, ours), strict=True)
        return not all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)

    by_architecture = sorted(SEEDS, key=lambda seed: seed % 2)  # a source is compiled for each
    assert any(is_found(*case) for case in itertools.product(by_architecture, list(SITES)[:2]))
