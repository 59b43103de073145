"""Texture on a GPU: the same whole-number state as on the CPU, so the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import texture_gpu
from kernels.gpu import Gpu, read_source
from kernels.object_sets import ObjectSets, list_object_sets
from kernels.object_sets_gpu import GpuObjectSets, list_object_sets_on
from kernels.texture import measure_image_texture, measure_texture
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu, KernelFaultError

SCALES = (1, 3)


def nested(seed: int, shape: tuple[int, int] = (30, 41), sets: int = 3, outer: int = 1) -> np.ndarray:
    """Objects with holes, in pieces, of one pixel, on the border; number 3 is absent, 5 is in the outer set only."""
    noise = np.random.default_rng(seed)
    cells = np.zeros(shape, np.int32)
    cells[2:17, 3:20] = 1
    cells[0:9, 22:41] = 2
    cells[18:30, 0:12] = 4
    cells[20:27, 15:24] = 5
    cells[29, 40] = cells[12, 35] = 6
    cells[14:17, 30:33] = 7
    cells[(noise.random(shape) < 0.1) & (cells != 7)] = 0
    inner = np.where((noise.random(shape) < 0.5) & (cells != 5), cells, 0)
    rest = np.where((inner > 0) | (cells == 5), 0, cells)
    parts = [inner, rest][: sets - 1]
    parts.insert(outer, cells)
    return np.stack(parts).astype(np.int32)


def planes(seed: int, shape: tuple[int, int, int] = (2, 30, 41)) -> np.ndarray:
    """Few grey levels and many; some pixels of level 0."""
    noise = np.random.default_rng(seed)
    made = noise.integers(0, 2_000, shape)
    made[-1] = noise.integers(0, 65_536, shape[1:])
    return made.astype(np.uint16)


def on(gpu: Gpu, labels: np.ndarray, outer: int) -> tuple[ObjectSets, GpuObjectSets]:
    here = list_object_sets(labels, outer)
    return here, list_object_sets_on(gpu, gpu.put(labels), outer, here.count)


@pytest.mark.parametrize(("sets", "outer"), [(1, 0), (2, 0), (3, 1), (3, 2)])
def test_objects_have_the_same_bits_on_both_devices(gpu: Gpu, sets: int, outer: int) -> None:
    stack, labels = planes(sets), nested(outer, sets=sets, outer=outer)
    here, there = on(gpu, labels, outer)
    ours = measure_texture(stack, here, scales_px=SCALES)
    np.testing.assert_array_equal(measure_texture(gpu.put(stack), there, scales_px=SCALES), ours)


@pytest.mark.parametrize("limits", ["one small table", "global memory"])
def test_matrices_that_do_not_fit_go_on(gpu: Gpu, monkeypatch: pytest.MonkeyPatch, limits: str) -> None:
    monkeypatch.setattr(texture_gpu, "TABLE_BITS", (8, 9))
    if limits == "global memory":
        monkeypatch.setattr(texture_gpu, "MOST_PIXELS_COUNTED", 20)
        monkeypatch.setattr(texture_gpu, "_TILE", 256)
        monkeypatch.setattr(texture_gpu, "_TILE_TABLE_BITS", 8)
        monkeypatch.setattr(texture_gpu, "_HUGE_AT_ONCE", 3)
    stack = planes(4)[1:]
    here, there = on(gpu, nested(4), 1)
    ours = measure_texture(stack, here, scales_px=(2,))
    np.testing.assert_array_equal(measure_texture(gpu.put(stack), there, scales_px=(2,)), ours)


def test_objects_are_measured_in_batches(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texture_gpu, "_BATCH_BYTES", 4_000)
    stack = planes(5)[:1]
    here, there = on(gpu, nested(5), 1)
    np.testing.assert_array_equal(
        measure_texture(gpu.put(stack), there, scales_px=(1,)), measure_texture(stack, here, scales_px=(1,))
    )


@pytest.mark.parametrize("scaling", ["full", "percentile"])
def test_planes_have_the_same_bits_on_both_devices(gpu: Gpu, scaling: str) -> None:
    stack = planes(6)
    ours = measure_image_texture(stack, scales_px=SCALES, scaling=scaling)
    np.testing.assert_array_equal(measure_image_texture(gpu.put(stack), scales_px=SCALES, scaling=scaling), ours)


def test_percentile_scaled_objects_have_the_same_bits(gpu: Gpu) -> None:
    stack = planes(7)
    here, there = on(gpu, nested(7), 1)
    ours = measure_texture(stack, here, scales_px=(3,), scaling="percentile")
    np.testing.assert_array_equal(
        measure_texture(gpu.put(stack), there, scales_px=(3,), scaling="percentile"), ours
    )
