"""The radial distribution on a GPU: the same sums as on the CPU, so the same bits."""

from __future__ import annotations

import numpy as np
import pytest

from kernels import radial_distribution, radial_gpu
from kernels.gpu import Gpu, read_source
from kernels.object_sets import list_object_sets
from kernels.object_sets_gpu import list_object_sets_on
from kernels.radial_centres import Centres
from kernels.radial_distribution import measure_radial_distribution
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu, KernelFaultError


def cells(seed: int = 0, shape: tuple[int, int] = (30, 48)) -> np.ndarray:
    """Nuclei, Cells, Cytoplasm: objects that touch, with holes, in pieces, at the border; number 4 is absent."""
    noise = np.random.default_rng(seed)
    outer = np.zeros(shape, np.int32)
    outer[1:15, 0:12], outer[2:12, 12:47], outer[5:8, 9:12] = 1, 2, 2
    outer[17:30, 3:20], outer[20:25, 8:13] = 3, 0
    outer[17:20, 28:36], outer[22:27, 31:48] = 5, 5
    outer[29, 0] = 6
    outer[noise.random(shape) < 0.05] = 0
    nuclei = np.where(noise.random(shape) < 0.7, outer, 0)
    nuclei[outer == 3] = 0
    return np.stack([nuclei, outer, np.where(nuclei, 0, outer)]).astype(np.int32)


def counts(channels: int, shape: tuple[int, ...]) -> np.ndarray:
    noise = np.random.default_rng(channels)
    planes = noise.integers(0, 65_536, (channels, *shape)).astype(np.uint16)
    planes[::2, : shape[0] // 2] = 0
    return planes


def both(
    gpu: Gpu, labels: np.ndarray, outer: int, planes: np.ndarray, *, bins: int = 4, centers: Centres = "cellprofiler"
) -> tuple[np.ndarray, np.ndarray]:
    """Values by the device and by the CPU."""
    theirs = list_object_sets_on(gpu, gpu.put(labels), outer, int(labels.max()))
    ours = list_object_sets(labels, outer)
    return (
        measure_radial_distribution(gpu.put(planes), theirs, bins=bins, centers=centers),
        measure_radial_distribution(planes, ours, bins=bins, centers=centers),
    )


@pytest.mark.parametrize("centers", ["cellprofiler", "first"])
def test_values_are_the_same_on_both_devices(gpu: Gpu, centers: Centres) -> None:
    labels = cells()
    theirs, ours = both(gpu, labels, 1, counts(3, labels.shape[1:]), centers=centers)
    assert np.isfinite(ours[1, 1, :, 0]).all()
    np.testing.assert_array_equal(theirs, ours)


SITES = {
    "one set, one channel, many rings": (cells(1)[1:2], 0, counts(1, (30, 48)), 31),
    "two sets, more channels than lanes": (cells(2)[:2], 1, counts(18, (30, 48)), 2),
    "no channel": (cells()[1:2], 0, counts(0, (30, 48)), 4),
    "an object that fills the plane": (np.full((1, 12, 33), 2, np.int32), 0, counts(2, (12, 33)), 4),
    "no object": (np.zeros((2, 9, 7), np.int32), 0, counts(1, (9, 7)), 4),
    "one pixel": (np.ones((1, 1, 1), np.int32), 0, counts(1, (1, 1)), 4),
    "one pixel each": (np.arange(1, 61, dtype=np.int32).reshape(1, 6, 10), 0, counts(1, (6, 10)), 4),
}


@pytest.mark.parametrize("name", SITES)
def test_odd_sites_are_the_same_on_both_devices(gpu: Gpu, name: str) -> None:
    labels, outer, planes, bins = SITES[name]
    theirs, ours = both(gpu, labels, outer, planes, bins=bins)
    np.testing.assert_array_equal(theirs, ours)


def test_large_objects_are_placed_in_global_memory(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = cells(3)
    monkeypatch.setattr(radial_gpu, "shared_classes", lambda _: [3 * 1024])
    theirs, ours = both(gpu, labels, 1, counts(1, labels.shape[1:]))
    np.testing.assert_array_equal(theirs, ours)


def test_many_objects_are_finished_part_by_part(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, planes = cells(6), counts(1, (30, 48))
    whole = measure_radial_distribution(planes, list_object_sets(labels, 1))
    for module in (radial_gpu, radial_distribution):
        monkeypatch.setattr(module, "PART_OBJECTS", 4)
    theirs, ours = both(gpu, labels, 1, planes)
    np.testing.assert_array_equal(ours, whole)
    np.testing.assert_array_equal(theirs, whole)


def test_parts_of_a_tall_object_are_added_together(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    source = read_source("radial")
    assert source.count("65536 / columns") == 1
    if not isinstance(gpu, HostGpu):
        pytest.skip("only on the CPU, where the source can be changed: real parts have 65,536 pixels")
    monkeypatch.setattr(radial_gpu, "_PART_PIXELS", 256)
    small = HostGpu(gpu.seed, {"radial": source.replace("65536 / columns", "256 / columns")})
    labels = cells(4)
    theirs, ours = both(small, labels, 1, counts(2, labels.shape[1:]))
    np.testing.assert_array_equal(theirs, ours)


SHORT = ("(Length)(0xffffffffu - DIAGONAL)", "(Length)(40u * STRAIGHT)")


def test_paths_too_long_for_32_bits_are_measured_in_64() -> None:
    require_host_cuda()
    source = read_source("radial")
    assert SHORT[0] in source
    labels = np.zeros((1, 11, 40), np.int32)
    labels[0, 1::2, 1:-1], labels[0, 2:-1:4, -2], labels[0, 4:-1:4, 1], labels[0, 7:10, 9] = 1, 1, 1, 2
    for seed in SEEDS:
        gpu = HostGpu(seed, {"radial": source.replace(*SHORT)})
        theirs, ours = both(gpu, labels, 0, counts(1, (11, 40)))
        np.testing.assert_array_equal(theirs, ours)


PLANTED = {
    "a tie that is not counted": ("atomicAdd(&ties[object], 1u);", "ties[object] = 1u;"),
    "the last instead of the first": ("(u32)~(u32)i;", "(u32)i;"),
    "a greatest value that is not atomic": ("atomicMax(peak, key);", "*peak = key;"),
    "a segment that sleeps on": ("lane < 9 && last", "lane < 7 && last"),
    "a round that nobody waits for": ("is_changing = __syncthreads_or(is_changing);", ""),
    "a pixel of another object": ("* planes.width + x] == label", "* planes.width + x] != 0"),
    "long paths that nobody notices": ("length >= far - DIAGONAL;", "length > far;"),
    "sums that are not cleared": ("i += blockDim.x) held[i] = 0;", "i += blockDim.x) {}"),
    "a sum that is not atomic": (
        "atomicAdd(&mine[place * lanes + lane], value)",
        "mine[place * lanes + lane] += value",
    ),
    "a sum that is written before it is whole": ("}\n    __syncthreads();\n    u64* target", "}\n    u64* target"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    require_host_cuda()
    before, after = PLANTED[fault]
    source = read_source("radial")
    assert before in source
    if fault == "long paths that nobody notices":
        source = source.replace(SHORT[0], "(Length)(9u * STRAIGHT)")
    centers: Centres = "cellprofiler" if fault == "a tie that is not counted" else "first"
    labels = cells(5)
    planes = counts(2, labels.shape[1:])[1:]

    def is_found(seed: int) -> bool:
        gpu = HostGpu(seed, {"radial": source.replace(before, after)}, most_effort=400_000_000)
        try:
            theirs, ours = both(gpu, labels, 1, planes, centers=centers)
        except (KernelFaultError, IndexError):
            return True
        return not np.array_equal(theirs, ours, equal_nan=True)

    assert any(is_found(seed) for seed in SEEDS)
