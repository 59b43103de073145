"""The fixpoint segmentation on a GPU: every label equals the CPU's, pixel for pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from kernels.fixpoint import segment_cells_fixpoint, segment_cytoplasm_fixpoint, segment_nuclei_fixpoint
from kernels.fixpoint_cpu import cpu_steps
from kernels.fixpoint_gpu import gpu_steps
from kernels.fixpoint_steps import Steps
from kernels.fixpoint_tables import disk_offsets, gaussian_weights
from kernels.gpu import Gpu, read_source
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu, KernelFaultError


def nuclei_plane(seed: int, shape: tuple[int, int] = (50, 67), *, count: int = 7, noise: float = 20) -> np.ndarray:
    """Round nuclei, some of which touch each other or the border, in noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    plane = np.full(shape, 300.0)
    for _ in range(count):
        radius = random.uniform(4, 9)
        distance = np.hypot(y - random.uniform(0, shape[0]), x - random.uniform(0, shape[1]))
        plane = np.maximum(
            plane, np.where(distance < radius, random.uniform(3_000, 9_000) - 60 * distance**2 / radius, 0)
        )
    return (plane + random.normal(0, noise, shape)).clip(0, 65_535).astype(np.uint16)


PLANES = {
    "clumps": nuclei_plane(1),
    "clumps of 8 bits": (nuclei_plane(2) // 64).astype(np.uint8),
    "specks": nuclei_plane(3, noise=900),
    "one row": nuclei_plane(4, (1, 90)),
    "one column": nuclei_plane(5, (90, 1)),
    "one pixel": np.full((1, 1), 7, np.uint16),
    "flat": np.full((20, 33), 500, np.uint16),
    "saturated on black": np.where(nuclei_plane(6, (40, 45)) > 2_000, 65_535, 0).astype(np.uint16),
    "one dark pixel": np.where(np.arange(40 * 33).reshape(40, 33) == 700, 0, 65_535).astype(np.uint16),
}
WAYS = {
    "shape": {"diameter_px": (6, 30)},
    "intensity": {"diameter_px": (5, 40), "declump": "intensity", "neck": 0.8, "adaptive_window_px": 30},
    "none": {"diameter_px": (1, 60), "declump": "none", "drop_border": True, "edge_fraction": 0.5},
    "unsmoothed": {"diameter_px": (2, 99), "smoothing_px": 0, "neck": 1.0, "threshold": "otsu", "valley": 1.0},
    "outline": {"diameter_px": (6, 30), "smoothing_px": 1.0, "valley": 0, "threshold_bounds": (0.01, 0.3)},
}


@pytest.mark.parametrize("name", PLANES)
def test_nuclei_are_the_same_on_both_devices(gpu: Gpu, name: str) -> None:
    plane = PLANES[name]
    for way, parameters in WAYS.items():
        ours, theirs = (
            segment_nuclei_fixpoint(plane, **parameters),
            segment_nuclei_fixpoint(gpu.put(plane), **parameters),
        )
        np.testing.assert_array_equal(gpu.get(theirs), ours, way)
        assert ours.max() >= (3 if name.startswith("clumps") and way != "none" else 0)


@pytest.mark.parametrize("name", ["clumps", "clumps of 8 bits", "one row", "one pixel", "flat", "saturated on black"])
def test_cells_and_cytoplasm_are_the_same_on_both_devices(gpu: Gpu, name: str) -> None:
    plane = PLANES[name]
    nuclei = segment_nuclei_fixpoint(plane, diameter_px=(6, 30))
    stain = np.minimum(plane.astype(np.int64) * 3, np.iinfo(plane.dtype).max).astype(plane.dtype)
    there, stain_there = gpu.put(nuclei), gpu.put(stain)
    for ours, theirs in (
        (segment_cells_fixpoint(nuclei, stain), segment_cells_fixpoint(there, stain_there)),
        (segment_cells_fixpoint(nuclei, None, expansion_px=7.5), segment_cells_fixpoint(there, None, expansion_px=7.5)),
    ):
        np.testing.assert_array_equal(gpu.get(theirs), ours)
        for shared_rim in (False, True):
            rest = segment_cytoplasm_fixpoint(there, theirs, shared_rim=shared_rim)
            np.testing.assert_array_equal(
                gpu.get(rest), segment_cytoplasm_fixpoint(nuclei, ours, shared_rim=shared_rim)
            )


def test_floods_over_plateaus_and_walls_are_the_same_on_both_devices(gpu: Gpu) -> None:
    random = np.random.default_rng(8)
    shape = (67, 100)
    plateaus = random.integers(0, 3, shape).astype(np.uint16)
    walls = np.ones(shape, np.int32)
    walls[4::8, 2:] = 0
    walls[8::8, :-2] = 0
    for height, classes in (
        (plateaus, np.where(random.random(shape) < 0.85, 1, -1).astype(np.int32)),
        (np.full(shape, 9, np.uint16), walls),
        (random.integers(0, 65_536, shape).astype(np.uint16), np.ones(shape, np.int32)),
    ):
        seeds = np.where(random.random(shape) < 0.002, random.integers(1, 9, shape), 0).astype(np.int32)
        seeds[0, 0] = 1 << 24
        there = gpu_steps(gpu).flood(gpu.put(height), gpu.put(classes), gpu.put(seeds))
        np.testing.assert_array_equal(gpu.get(there), cpu_steps().flood(height, classes, seeds))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
def test_regions_are_the_same_on_both_devices(gpu: Gpu, share: float) -> None:
    random = np.random.default_rng(9)
    classes = np.where(random.random((61, 67)) < share, random.integers(1, 3, (61, 67)), -1).astype(np.int32)
    here, there = cpu_steps(), gpu_steps(gpu)
    filled = gpu.put(classes)
    here.fill(classes, 6)
    there.fill(filled, 6)
    np.testing.assert_array_equal(gpu.get(filled), classes)
    ours, theirs = here.connect(classes), there.connect(filled)
    np.testing.assert_array_equal(gpu.get(theirs[0]), ours[0])
    np.testing.assert_array_equal(there.list_regions(*theirs), here.list_regions(*ours))


@pytest.mark.parametrize("step", [1, 7, 64])
def test_backgrounds_are_the_same_on_both_devices(gpu: Gpu, step: int) -> None:
    plane = PLANES["clumps of 8 bits"]
    small = cpu_steps().reduce(plane, step)
    np.testing.assert_array_equal(gpu_steps(gpu).reduce(gpu.put(plane), step), small)
    wide = plane.astype(np.uint16) * 257
    flat = gpu_steps(gpu).flatten(gpu.put(wide), small, step)
    np.testing.assert_array_equal(gpu.get(flat), cpu_steps().flatten(wide, small, step))


@pytest.mark.parametrize("sigma_px", [0.4, 3.0, 40.0])
def test_smoothing_is_the_same_on_both_devices(gpu: Gpu, sigma_px: float) -> None:
    weights = gaussian_weights(sigma_px)
    for plane in (PLANES["specks"][:9, :13], PLANES["clumps of 8 bits"][:3], PLANES["one dark pixel"][:, :1]):
        ours = cpu_steps().smooth(plane, weights)
        np.testing.assert_array_equal(
            gpu.get(gpu_steps(gpu).smooth(gpu.put(np.ascontiguousarray(plane)), weights)), ours
        )


def test_more_rows_than_a_table_has_room_for_are_listed_all(gpu: Gpu) -> None:
    height = np.full((41, 47), 3, np.uint16)
    regions = np.where(np.arange(47) % 2 == 0, np.arange(41 * 47).reshape(41, 47) + 1, 0).astype(np.int32)
    seeds, table = cpu_steps().find_seeds(height, regions, disk_offsets(2))
    assert len(table) == 41 * 24
    there, listed = gpu_steps(gpu).find_seeds(gpu.put(height), gpu.put(regions), disk_offsets(2))
    np.testing.assert_array_equal(listed, table)
    np.testing.assert_array_equal(gpu.get(there), seeds)


def test_labels_of_a_device_must_be_of_32_bits(gpu: Gpu) -> None:
    labels = gpu.put(np.zeros((3, 3), np.int64))
    with pytest.raises(TypeError, match="nuclei must be int32 on a device, got int64"):
        segment_cells_fixpoint(labels, None)


PLANTED = {
    "a state compared with its own old one": (
        "flood",
        "if (state != latest(own)) {",
        "if (state < latest(own)) {",
    ),
    "a tile that sleeps while a neighbour changed": (
        "flood",
        "dy == 0 && dx == 0 ? was == 2 : was != 0",
        "dy == 0 && dx == 0 && was != 0",
    ),
    "a diagonal neighbour that is forgotten": ("flood", "latest(own + FRAMED + 1)", "latest(own + FRAMED)"),
    "a frame beyond the plane": ("flood", "x >= 0 && x < width;", "x >= 0 && x <= width;"),
    "a union that loses a race": ("segmentation", "other = was;", "return;"),
    "a union that is not atomic": (
        "segmentation",
        "const int was = atomicMin(&labels[high - 1], low);",
        "const int was = labels[high - 1]; labels[high - 1] = low;",
    ),
    "a run that goes on in the next row": ("segmentation", "lane > 0 && place % width > 0", "lane > 0"),
    "an edge of the plane without mirror": ("segmentation", "x + k < width ? x + k : mirror(x + k, width)", "x + k"),
    "equal seeds side by side": ("segmentation", "(its == own && other > place)", "its == own"),
    "a row above that is the one below": (
        "segmentation",
        "place >= width ? smooth[place - width] : own",
        "place >= width ? smooth[place + width] : own",
    ),
    "a distance that ends too early": ("heights", "offset * offset < squared && ", "offset * offset < 4 && "),
    "a table without an end": ("segmentation", "if (at < room) table[at] = row;", "table[at] = row;"),
}


def observe(steps: Steps, put: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """What the delicate steps give."""
    random = np.random.default_rng(10)
    speckled = np.where(random.random((66, 67)) < 0.55, 1, -1).astype(np.int32)
    height = put(random.integers(0, 40, speckled.shape).astype(np.uint16))
    seeds = np.where(random.random(speckled.shape) < 0.01, random.integers(1, 99, speckled.shape), 0).astype(np.int32)
    filled = put(speckled.copy())
    steps.fill(filled, 4)
    labels, sizes = steps.connect(filled)
    regions = steps.list_regions(labels, sizes)
    ragged = steps.cut(filled, height, 1 << 16, -40)
    found, table = steps.find_seeds(height, labels, disk_offsets(2))
    grown = steps.flood(height, put(speckled), put(seeds))
    smooth = steps.smooth(height, gaussian_weights(1.0), 1600)
    return [smooth, filled, labels, regions, ragged, steps.measure_heights(ragged), found, table, grown]


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    require_host_cuda()
    file, before, after = PLANTED[fault]
    source = read_source(file)
    assert before in source
    expected = observe(cpu_steps(), lambda array: array)

    def is_found(seed: int) -> bool:
        gpu = HostGpu(seed, {file: source.replace(before, after)}, most_effort=40_000_000)
        try:
            observed = observe(gpu_steps(gpu), gpu.put)
        except KernelFaultError:
            return True
        return not all(np.array_equal(ours, theirs) for ours, theirs in zip(expected, observed, strict=True))

    assert any(is_found(seed) for seed in SEEDS)
