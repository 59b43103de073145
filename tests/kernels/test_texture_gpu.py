"""Texture on a GPU: the same whole-number state as on the CPU, so the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import texture_gpu
from kernels.gpu import Gpu, read_source
from kernels.object_sets import ObjectSets, list_object_sets
from kernels.object_sets_gpu import GpuObjectSets, list_object_sets_on
from kernels.texture import Scaling, measure_image_texture, measure_texture
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu, KernelFaultError

SCALES = (1, 3)


def nested(seed: int, shape: tuple[int, int] = (21, 26), sets: int = 3, outer: int = 1) -> np.ndarray:
    """Objects with holes, in pieces, of one pixel, on the border; number 3 is absent, 4 is in the outer set only."""
    noise = np.random.default_rng(seed)
    cells = np.zeros(shape, np.int32)
    cells[1:12, 2:13] = 1
    cells[0:7, 15:26] = 2
    cells[14:21, 0:9] = 4
    cells[20, 25] = cells[9, 20] = 5
    cells[(noise.random(shape) < 0.1) & (cells != 5)] = 0
    inner = np.where((noise.random(shape) < 0.5) & (cells != 4), cells, 0)
    rest = np.where((inner > 0) | (cells == 4), 0, cells)
    parts = [inner, rest][: sets - 1]
    parts.insert(outer, cells)
    return np.stack(parts).astype(np.int32)


def planes(seed: int, channels: int = 1, shape: tuple[int, int] = (21, 26)) -> np.ndarray:
    """Many grey levels, some pixels of level 0; a second plane has few levels."""
    noise = np.random.default_rng(seed)
    made = noise.integers(0, 65_536, (channels, *shape))
    made[:, noise.random(shape) < 0.1] = 0
    made[1:] //= 30
    return made.astype(np.uint16)


def on(gpu: Gpu, labels: np.ndarray, outer: int = 1) -> tuple[ObjectSets, GpuObjectSets]:
    here = list_object_sets(labels, outer)
    return here, list_object_sets_on(gpu, gpu.put(labels), outer, here.count)


@pytest.mark.parametrize(("sets", "outer", "channels"), [(1, 0, 1), (2, 0, 1), (3, 1, 2), (3, 2, 1)])
def test_objects_have_the_same_bits_on_both_devices(gpu: Gpu, sets: int, outer: int, channels: int) -> None:
    stack = planes(sets, channels)
    here, there = on(gpu, nested(outer, sets=sets, outer=outer), outer)
    ours = measure_texture(stack, here, scales_px=(3,))
    np.testing.assert_array_equal(measure_texture(gpu.put(stack), there, scales_px=(3,)), ours)


@pytest.mark.parametrize("memory", ["shared", "global"])
def test_matrices_that_do_not_fit_go_on(gpu: Gpu, monkeypatch: pytest.MonkeyPatch, memory: str) -> None:
    monkeypatch.setattr(texture_gpu, "TABLE_BITS", (8, 9) if memory == "shared" else (8, 8))
    if memory == "global":
        monkeypatch.setattr(texture_gpu, "MOST_PIXELS_COUNTED", 60)
        monkeypatch.setattr(texture_gpu, "_TILE", 256)
        monkeypatch.setattr(texture_gpu, "_TILE_TABLE_BITS", 8)
        monkeypatch.setattr(texture_gpu, "_HUGE_AT_ONCE", 5)
    stack, labels = planes(4, shape=(30, 32)), np.zeros((2, 30, 32), np.int32)
    labels[0] = 1
    labels[1, 3:20] = 1
    here, there = on(gpu, labels, 0)
    ours = measure_texture(stack, here, scales_px=(2,))
    np.testing.assert_array_equal(measure_texture(gpu.put(stack), there, scales_px=(2,)), ours)


def test_objects_are_measured_in_batches(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texture_gpu, "_BATCH_BYTES", 4_000)
    stack = planes(5)
    here, there = on(gpu, nested(5))
    ours = measure_texture(stack, here, scales_px=(1,))
    np.testing.assert_array_equal(measure_texture(gpu.put(stack), there, scales_px=(1,)), ours)


@pytest.mark.parametrize("scaling", ["full", "percentile"])
def test_planes_have_the_same_bits_on_both_devices(gpu: Gpu, scaling: Scaling) -> None:
    stack = planes(6, 2)
    ours = measure_image_texture(stack, scales_px=SCALES, scaling=scaling)
    np.testing.assert_array_equal(measure_image_texture(gpu.put(stack), scales_px=SCALES, scaling=scaling), ours)


def test_percentile_scaled_objects_have_the_same_bits(gpu: Gpu) -> None:
    stack = planes(7)
    here, there = on(gpu, nested(7))
    ours = measure_texture(stack, here, scales_px=(1,), scaling="percentile")
    np.testing.assert_array_equal(measure_texture(gpu.put(stack), there, scales_px=(1,), scaling="percentile"), ours)


def test_no_object_no_plane_no_scale(gpu: Gpu) -> None:
    stack = planes(8)
    here, there = on(gpu, nested(8))
    assert measure_texture(gpu.put(stack), there, scales_px=()).shape == (3, 1, 0, 4, 13, 5)
    assert measure_texture(gpu.put(stack[:0]), there).shape == measure_texture(stack[:0], here).shape
    _, empty = on(gpu, np.zeros((1, 21, 26), np.int32), 0)
    assert measure_texture(gpu.put(stack), empty).shape == (1, 1, 3, 4, 13, 0)
    flat = np.full((1, 1, 1), 7, np.uint16)
    np.testing.assert_array_equal(measure_image_texture(gpu.put(flat)), np.zeros((1, 3, 4, 13)))


def test_counts_above_the_table_of_terms_are_the_same() -> None:
    require_host_cuda()
    gpu = HostGpu(1)
    stack = np.full((1, 300, 300), 30_000, np.uint16)
    stack[0, ::7, :211] = 700
    ours = measure_image_texture(stack, scales_px=(1,))
    np.testing.assert_array_equal(measure_image_texture(gpu.put(stack), scales_px=(1,)), ours)


PLANTED = {
    "tables are read before they are whole": (
        "break;\n        }\n        __syncthreads();\n        const bool",
        "break;\n        }\n        const bool",
    ),
    "a slot is claimed without a lock": (
        "held = atomicCAS(&table.keys[slot], EMPTY, key);",
        "{ table.keys[slot] = key; }",
    ),
    "marginals are not cleared": (
        "i < MARGINALS; i += blockDim.x) lower_levels[i] = 0;\n    }\n}",
        "false;);\n    }\n}",
    ),
    "a full table is not given up": (
        "&& !count_pair(table, key, both, PROBES)) is_full",
        "&& !count_pair(table, key, both, PROBES)) key",
    ),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    require_host_cuda()
    before, after = PLANTED[fault]
    source = read_source("texture")
    assert before in source
    monkeypatch.setattr(texture_gpu, "TABLE_BITS", (8, 10))
    monkeypatch.setattr(texture_gpu, "_MOST_BLOCKS", 2)
    stack, labels = planes(9, shape=(30, 32)), np.ones((1, 30, 32), np.int32)
    expected = measure_texture(stack, list_object_sets(labels, 0), scales_px=(2,))

    def is_found(seed: int) -> bool:
        gpu = HostGpu(seed, {"texture": source.replace(before, after)})
        try:
            _, there = on(gpu, labels, 0)
            return not np.array_equal(measure_texture(gpu.put(stack), there, scales_px=(2,)), expected)
        except KernelFaultError:
            return True

    assert any(is_found(seed) for seed in SEEDS)
