"""CUDA on the CPU: sound kernels give their result under every seed, and each planted mistake is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kernels.gpu import Gpu, complete_source, gpu_of
from tests.cuda.guarded import HostArray
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu, KernelFaultError

SAMPLES = Path(__file__).with_name("samples.cu").read_text()
VALUES = np.random.default_rng(3).integers(500, 60_000, 1000).astype(np.uint16)
SUMMARY = (np.bincount(VALUES >> 10, minlength=64), VALUES.sum(), VALUES.min())


@pytest.fixture(autouse=True)
def _needs_a_compiler() -> None:
    require_host_cuda()


@pytest.fixture(params=SEEDS)
def gpu(request: pytest.FixtureRequest) -> HostGpu:
    return samples(request.param)


def samples(seed: int = 1, *changes: tuple[str, str], **options: int) -> HostGpu:
    """A device with the samples, changed by replacing text."""
    text = SAMPLES
    for before, after in changes:
        assert text.count(before) == 1, f"{before!r} must stand once in samples.cu"
        text = text.replace(before, after)
    return HostGpu(seed, {"samples": complete_source("samples.cu", text)}, **options)


def summarize(gpu: Gpu) -> tuple[np.ndarray, int, int]:
    counts, total, least = gpu.zeros(64, np.uint32), gpu.zeros(1, np.uint64), gpu.put(np.array([65_535], np.uint32))
    args = (gpu.put(VALUES), np.int32(VALUES.size), counts, total, least)
    gpu.kernel("samples", "summarize")((6,), (128,), args)
    return gpu.get(counts), int(gpu.get(total)[0]), int(gpu.get(least)[0])


def is_right(summary: tuple[np.ndarray, int, int]) -> bool:
    return all(np.array_equal(got, wanted) for got, wanted in zip(summary, SUMMARY, strict=True))


# Sound kernels


def test_a_sound_kernel_gives_its_result(gpu: HostGpu) -> None:
    assert is_right(summarize(gpu))


def test_block_and_warp_functions_do_what_they_say(gpu: HostGpu) -> None:
    values = np.random.default_rng(4).integers(0, 1000, 160).astype(np.uint32)
    before, extremes, sums = gpu.empty(160, np.uint32), gpu.empty((160, 2), np.int32), gpu.empty(160, np.float32)
    gpu.kernel("samples", "collect")((1,), (160,), (gpu.put(values), before, extremes, sums))
    warps = values.reshape(5, 32).astype(np.int64)
    assert (gpu.get(before) == 2 * (np.cumsum(values) - values)).all()
    assert (gpu.get(extremes) == np.repeat(np.stack([-warps.max(1), warps.max(1)], 1), 32, axis=0)).all()
    assert (gpu.get(sums) == np.repeat(2 * warps.sum(1) + warps.max(1) - warps.min(1), 32)).all()


def test_dynamic_shared_memory_and_vectors_work(gpu: HostGpu) -> None:
    out = gpu.empty(512, np.uint16)
    gpu.kernel("samples", "reverse")((1,), (128,), (gpu.put(VALUES[:512]), out), shared_mem=1024)
    assert (gpu.get(out) == VALUES[:512][::-1]).all()


def test_the_last_block_sees_what_all_others_wrote(gpu: HostGpu) -> None:
    total = gpu.zeros(1, np.uint32)
    args = (gpu.empty(50, np.uint32), gpu.zeros(1, np.uint32), total)
    gpu.kernel("samples", "last_block")((50,), (64,), args)
    assert gpu.get(total)[0] == 50 * 51 // 2


# Mistakes of a kernel: found by a fault or a wrong result, under one seed of those that every test runs with

MISTAKES = {
    "no barrier after clearing": ("    __syncthreads();\n    u64 mine", "    u64 mine"),
    "shared memory not cleared": ("bins[bin] = 0;", "bins[bin] += 0;"),
    "update of shared memory that is not atomic": ("atomicAdd(&bins[value >> 10], 1u);", "bins[value >> 10]++;"),
    "update of an output that is not atomic": ("atomicAdd(sum, total);", "*sum += total;"),
    "wrong first value of a minimum": ("u32 low = 65535;", "u32 low = 0;"),
    "variable without a value": ("u64 mine = 0;\n    u32 low", "u64 mine;\n    u32 low"),
    "values counted twice": ("blockIdx.x * blockDim.x + threadIdx.x; i < n", "threadIdx.x; i < n"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found(mistake: str) -> None:
    def is_found(seed: int) -> bool:
        try:
            return not is_right(summarize(samples(seed, MISTAKES[mistake], most_effort=10_000_000)))
        except KernelFaultError:
            return True

    assert any(is_found(seed) for seed in SEEDS)


def test_an_output_that_nobody_cleared_is_found() -> None:
    def total(seed: int) -> int:
        gpu = samples(seed)
        counts, sums = gpu.zeros(64, np.uint32), gpu.empty(1, np.uint64)
        args = (gpu.put(VALUES), np.int32(VALUES.size), counts, sums, gpu.zeros(1, np.uint32))
        gpu.kernel("samples", "summarize")((6,), (128,), args)
        return int(gpu.get(sums)[0])

    assert [total(seed) == VALUES.sum() for seed in SEEDS].count(True) <= 1  # one of the patterns is zeros


# Mistakes that are named


def test_a_read_past_an_array_is_named_with_its_line() -> None:
    line = 1 + next(n for n, text in enumerate(SAMPLES.splitlines()) if "values[i];" in text)
    found = rf"samples.summarize: reads byte 2000 of an array of 2000 bytes .* at samples.cu:{line}; HostGpu\(0\)"
    with pytest.raises(KernelFaultError, match=found):
        summarize(samples(0, ("i < n; i += gridDim", "i <= n; i += gridDim")))


@pytest.mark.parametrize(
    ("seed", "change", "found"),
    [
        (
            0,
            ("&counts[bin], bins", "&counts[bin + 64], bins"),
            r"byte 256 of an array of 256 bytes .* at samples.cu:\d+",
        ),
        (1, ("&counts[bin], bins", "&counts[bin - 1], bins"), "byte -4 of an array of 256 bytes"),
        (0, ("&counts[bin], bins", "&counts[bin - 1], bins"), "it was written to before an array of 256 bytes"),
        (2, ("atomicMin(least, low)", "least[1] = low"), "it was written to after an array of 4 bytes"),
    ],
)
def test_a_write_outside_an_array_is_found(seed: int, change: tuple[str, str], found: str) -> None:
    with pytest.raises(KernelFaultError, match=found):
        summarize(samples(seed, change))


BARRIER = "    __syncthreads();\n    u64 mine = 0;\n    u32 low"
VALUE = "const u32 value = values[i];"
LEAST = "low = min(low, value);"
FAULTS = {
    "divergent barrier": (BARRIER, f"    if (threadIdx.x < 64)\n{BARRIER}"),
    r"divergent barrier in block .* 1 threads \(5, ...\) have ended": (
        BARRIER,
        f"    if (threadIdx.x == 5) return;\n{BARRIER}",
    ),
    "wait": ("low = warp_min(low);", "if (threadIdx.x & 1) low = warp_min(low);"),
    r"index outside its array at samples.cu:\d+": ("&bins[value >> 10]", "&bins[value >> 9]"),
    "overflow of a signed product": ("mine += value;", "mine += int(value) * int(value);"),
    "division by zero": (VALUE, "const u32 value = values[i] / (i - i);"),
    "misaligned address": (VALUE, "const u32 value = *(const u32*)&values[i];"),
    "too many local variables": (BARRIER, f"    volatile u32 many[20000];\n    many[7] = 0;\n{BARRIER}"),
    "still running": (LEAST, "while (*(volatile u32*)least) low = min(low, value);"),
    r"the kernel called __trap\(\)": (LEAST, "if (value) __trap();"),
}


@pytest.mark.parametrize("found", FAULTS)
def test_a_fault_is_named(found: str) -> None:
    with pytest.raises(KernelFaultError, match=found):
        summarize(samples(1, FAULTS[found], most_effort=10_000_000))


def test_dynamic_shared_memory_ends_where_the_launch_says() -> None:
    gpu = samples()
    with pytest.raises(KernelFaultError, match="outside the dynamic shared memory, which has 1008 bytes"):
        gpu.kernel("samples", "reverse")(
            (1,), (128,), (gpu.put(VALUES[:512]), gpu.empty(512, np.uint16)), shared_mem=1008
        )


def test_after_a_fault_the_process_goes_on() -> None:
    for _ in range(3):
        with pytest.raises(KernelFaultError):
            summarize(samples(0, ("i < n; i += gridDim", "i <= n; i += gridDim")))
        assert is_right(summarize(samples(0)))


# Mistakes of a launch


@pytest.mark.parametrize(
    ("number", "value", "found"),
    [
        (1, 1000, r"argument 2 of samples.summarize must be .* np.int32\(7\), got int"),
        (1, 1000.0, "got float"),
        (1, True, "got bool"),
        (1, np.int64(1000), "argument 2 of samples.summarize must be i4, got i8"),
        (0, VALUES, "argument 1 of samples.summarize must be an array of the device .* got ndarray"),
        (0, np.uint16(3), r"argument 1 of samples.summarize must be \*u2, got u2"),
        (0, VALUES.astype(np.int16), r"argument 1 of samples.summarize must be \*u2, got \*i2"),
    ],
)
def test_an_argument_of_another_type_is_refused(number: int, value: object, found: str) -> None:
    gpu = samples()
    args = [gpu.put(VALUES), np.int32(3), gpu.zeros(64, np.uint32), gpu.zeros(1, np.uint64), gpu.zeros(1, np.uint32)]
    args[number] = gpu.put(value) if isinstance(value, np.ndarray) and value is not VALUES else value
    with pytest.raises(TypeError, match=found):
        gpu.kernel("samples", "summarize")((1,), (128,), tuple(args))


def test_an_argument_too_few_is_refused() -> None:
    gpu = samples()
    with pytest.raises(TypeError, match="has 5 parameters, got 1"):
        gpu.kernel("samples", "summarize")((1,), (128,), (gpu.put(VALUES),))


def test_an_array_with_gaps_is_refused() -> None:
    gpu = samples()
    args = (gpu.put(VALUES)[::2], np.int32(3), *[gpu.zeros(64, np.uint32)] * 3)
    with pytest.raises(ValueError, match=r"argument 1 .* must be contiguous"):
        gpu.kernel("samples", "summarize")((1,), (128,), args)


@pytest.mark.parametrize(
    ("grid", "block", "shared_mem", "found"),
    [
        ((1,), (129,), 0, r"more than its __launch_bounds__ \(128\)"),
        ((0,), (128,), 0, "grid of samples.summarize"),
        ((1, 65_536), (128,), 0, "grid of samples.summarize"),
        ((1,), (1, 1, 65), 0, "block of samples.summarize"),
        ((1,), (128,), 65_536, "bytes of shared memory"),
    ],
)
def test_a_launch_that_a_device_would_refuse_is_refused(grid: tuple, block: tuple, shared_mem: int, found: str) -> None:
    gpu = samples()
    args = (gpu.put(VALUES), np.int32(3), gpu.zeros(64, np.uint32), gpu.zeros(1, np.uint64), gpu.zeros(1, np.uint32))
    with pytest.raises(ValueError, match=found):
        gpu.kernel("samples", "summarize")(grid, block, args, shared_mem=shared_mem)


def test_a_function_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="no function"):
        samples().kernel("samples", "other")


# Arrays


def test_the_array_knows_its_device() -> None:
    gpu = samples()
    array = gpu.put(VALUES)
    assert gpu_of(array) is gpu
    assert gpu_of(array[3:].reshape(-1, 1)) is gpu
    assert gpu_of(gpu.get(array)) is None


def test_an_array_of_the_device_does_not_mix_with_one_of_the_host() -> None:
    array = samples().put(VALUES)
    with pytest.raises(TypeError, match="do not mix"):
        _ = array + VALUES
    assert isinstance(array + array, HostArray)
    assert array.max() == VALUES.max()


def test_put_and_get_copy() -> None:
    gpu = samples()
    array = gpu.put(VALUES)
    got = gpu.get(array)
    got[:] = 0
    assert (gpu.get(array) == VALUES).all()
    with pytest.raises(TypeError, match="array of the device"):
        gpu.get(VALUES)


def test_arrays_may_be_empty_and_have_any_shape() -> None:
    gpu = samples()
    assert gpu.get(gpu.empty((0, 3), np.float64)).shape == (0, 3)
    assert gpu.get(gpu.put(np.float32(3))).shape == ()
    assert gpu.get(gpu.zeros((2, 3), bool)).tolist() == [[False] * 3] * 2
