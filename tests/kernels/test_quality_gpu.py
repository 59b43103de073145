"""Image quality and thumbnails on a GPU: the same bits as on the CPU, but for the Fourier transform."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.gpu import Gpu, read_source
from kernels.image_quality import measure_image_quality
from kernels.power_spectrum import ring_powers
from kernels.quality_gpu import SHARED_COUNTS, scan_on_gpu
from kernels.quality_scan import scan_plane
from kernels.thumbnails import shrink
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu, KernelFaultError


def planes(seed: int, shape: tuple[int, int, int], *, greatest: int = 30_000) -> np.ndarray:
    """Noise, a bright spot of its own in each plane, a black corner."""
    noise = np.random.default_rng(seed)
    made = noise.integers(100, 400, shape)
    for plane in made:
        y, x = noise.integers(0, shape[1]), noise.integers(0, shape[2])
        plane[y : y + 9, x : x + 7] = noise.integers(greatest // 2, greatest)
        plane[: shape[1] // 4, : shape[2] // 3] = 0
    return made.astype(np.uint16)


STACKS = {
    "several planes": planes(1, (2, 66, 43)),
    "brighter than shared memory counts": planes(3, (1, 34, 40), greatest=65_535) + np.uint16(SHARED_COUNTS),
    "8 bits": (planes(4, (1, 37, 50)) // 128).astype(np.uint8),
    "flat and black": np.stack([np.full((32, 33), 77, np.uint16), np.zeros((32, 33), np.uint16)]),
    "two values": np.where(planes(5, (1, 32, 48)) > 300, 65_535, 0).astype(np.uint16),
    "one pixel wide": planes(6, (1, 40, 1)),
    "one pixel": planes(7, (1, 1, 1)),
    "narrower than the offsets": planes(8, (1, 50, 16)),
    "no plane": np.zeros((0, 20, 20), np.uint16),
}


@pytest.mark.parametrize("name", STACKS)
def test_scan_gives_the_same_bits_on_both_devices(gpu: Gpu, name: str) -> None:
    stack = STACKS[name]
    scales = [int(np.iinfo(stack.dtype).max) - 7 * k for k in range(len(stack))]
    scanned = scan_on_gpu(gpu.put(stack), scales, gpu)
    assert len(scanned) == len(stack)
    for plane, scale, (sums, powers) in zip(stack, scales, scanned, strict=True):
        ours = scan_plane(plane, scale)
        for field, on_gpu, on_cpu in zip(ours._fields, sums, ours, strict=True):
            np.testing.assert_array_equal(on_gpu, on_cpu, err_msg=field)
        np.testing.assert_allclose(powers, ring_powers(plane, ours.mean), rtol=1e-5, atol=1e-3)


def test_metrics_are_the_same_on_both_devices(gpu: Gpu) -> None:
    stack = planes(10, (2, 68, 70))
    on_gpu = measure_image_quality(gpu.put(stack), full_scale=[4095, 65_535])
    for name, values in measure_image_quality(stack, full_scale=[4095, 65_535]).items():
        if name == "PowerLogLogSlope":
            np.testing.assert_allclose(on_gpu[name], values, rtol=1e-6)
        else:
            np.testing.assert_array_equal(on_gpu[name], values, err_msg=name)


@pytest.mark.parametrize(
    ("name", "factor"),
    [("several planes", 2), ("several planes", 7000), ("8 bits", 8), ("one pixel wide", 3), ("no plane", 2)],
)
def test_thumbnails_are_the_same_on_both_devices(gpu: Gpu, name: str, factor: int) -> None:
    stack = STACKS[name]
    tile = max(2, min(factor, max(stack.shape[1:])))
    small = shrink(gpu.put(stack), tile)
    assert small.dtype == stack.dtype
    np.testing.assert_array_equal(gpu.get(small), shrink(stack, tile))


def test_tiles_wider_than_shared_memory_are_averaged_too(gpu: Gpu) -> None:
    stack = planes(9, (1, 2, 7000))
    np.testing.assert_array_equal(gpu.get(shrink(gpu.put(stack), 6500)), shrink(stack, 6500))


PLANTED = {
    "counts that are not cleared": ("if (threadIdx.x < 22) held[threadIdx.x] = 0;", ""),
    "a row read before it is whole": (
        "row[x] = (u8)level;\n        }\n        __syncthreads();",
        "row[x] = (u8)level; }",
    ),
    "a sum that is not atomic": (
        "atomicAdd(value < window ? &counts[value] : &whole[value], 1u);",
        "*(value < window ? &counts[value] : &whole[value]) += 1u;",
    ),
    "a pixel beyond the plane": ("i < pixels; i += (i64)gridDim", "i <= pixels; i += (i64)gridDim"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    require_host_cuda()
    before, after = PLANTED[fault]
    source = read_source("image_quality")
    assert before in source
    stack = STACKS["several planes"]
    expected = [scan_plane(plane, 65_535) for plane in stack]

    def is_found(seed: int) -> bool:
        gpu = HostGpu(seed, {"image_quality": source.replace(before, after)})
        try:
            scanned = [sums for sums, _ in scan_on_gpu(gpu.put(stack), [65_535] * len(stack), gpu)]
        except KernelFaultError:
            return True
        pairs = [
            pair for ours, theirs in zip(expected, scanned, strict=True) for pair in zip(ours, theirs, strict=True)
        ]
        return not all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)

    assert any(is_found(seed) for seed in SEEDS)
