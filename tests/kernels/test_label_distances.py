"""Squared distances inside labels: SciPy's, object by object, on either device."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage

from kernels.gpu import Gpu, read_source
from kernels.label_distances import squared_distances
from kernels.radial_gpu import squared_distances_on
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu, KernelFaultError


def blobs(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Blocks that touch, overlap and end at the border, with specks of 0 inside."""
    noise = np.random.default_rng(seed)
    labels = np.zeros(shape, np.int32)
    for label in range(1, 9):
        y, x = noise.integers(0, shape[0]), noise.integers(0, shape[1])
        labels[max(y - 9, 0) : y + noise.integers(1, 12), max(x - 7, 0) : x + noise.integers(1, 14)] = label
    labels[noise.random(shape) < 0.01] = 0
    return labels


PLANES = {
    "blobs": blobs(0, (40, 53)),
    "other blobs": blobs(1, (37, 64)),
    "stripes": np.repeat(np.arange(30, dtype=np.int32)[None], 20, axis=0) // 4,
    "one row": np.array([[1, 1, 1, 0, 2, 2, 2, 2]], np.int32),
    "one column": np.array([[3], [3], [3], [1], [1], [0]], np.int32),
    "nothing": np.zeros((5, 4), np.int32),
    "all but one pixel": np.pad(np.zeros((1, 1), np.int32), ((3, 30), (20, 2)), constant_values=7),
    "one object in all of it": np.full((6, 9), 4, np.int32),
    "one pixel": np.ones((1, 1), np.int32),
}


def expected(labels: np.ndarray, *, frame_counts: bool) -> np.ndarray:
    """Squared distances of each label by itself."""
    padded = np.pad(labels, int(frame_counts))
    squares = np.zeros(padded.shape)
    for label in np.unique(padded[padded > 0]):
        inside = padded == label
        distance = np.asarray(scipy.ndimage.distance_transform_edt(inside))
        squares[inside] = np.rint(distance[inside] ** 2)
    return squares[1:-1, 1:-1] if frame_counts else squares


@pytest.mark.parametrize("frame_counts", [False, True])
@pytest.mark.parametrize("name", PLANES)
def test_distances_are_scipys(name: str, *, frame_counts: bool) -> None:
    found = squared_distances(PLANES[name], frame_counts=frame_counts)
    np.testing.assert_array_equal(found, expected(PLANES[name], frame_counts=frame_counts))


@pytest.mark.parametrize("frame_counts", [False, True])
def test_distances_beyond_sixteen_bits_are_exact(*, frame_counts: bool) -> None:
    labels = np.ones((500, 470), np.int32)
    labels[10, 300], labels[:, :30] = 0, 2
    found = squared_distances(labels, frame_counts=frame_counts)
    np.testing.assert_array_equal(found, expected(labels, frame_counts=frame_counts))


def test_any_integers_are_labels() -> None:
    for kind in (np.uint8, np.int64):
        np.testing.assert_array_equal(
            squared_distances(PLANES["blobs"].astype(kind), frame_counts=False),
            squared_distances(PLANES["blobs"], frame_counts=False),
        )


def test_what_is_no_plane_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(y, x\)"):
        squared_distances(np.zeros((2, 2, 2), np.int32), frame_counts=False)
    with pytest.raises(TypeError, match="float64"):
        squared_distances(np.zeros((2, 2)), frame_counts=False)
    with pytest.raises(ValueError, match="at most 32767"):
        squared_distances(np.zeros((1, 32_768), np.int8), frame_counts=False)


@pytest.mark.parametrize("frame_counts", [False, True])
@pytest.mark.parametrize("name", PLANES)
def test_a_gpu_finds_the_same_distances(gpu: Gpu, name: str, *, frame_counts: bool) -> None:
    stack = np.stack([PLANES[name], PLANES[name][::-1, ::-1]])
    found = gpu.get(squared_distances_on(gpu, gpu.put(stack), frame_counts=frame_counts))
    for ours, theirs in zip(stack, found, strict=True):
        np.testing.assert_array_equal(theirs, squared_distances(ours, frame_counts=frame_counts))


PLANTED = {
    "a step too few along the row": ("step * step < least && (goes_left", "step * step + 4 < least && (goes_left"),
    "a frame that always counts": ("is_outside ? frame_counts : row[x] != label", "is_outside || row[x] != label"),
    "a row above the plane": ("const bool is_outside = y < step;", "const bool is_outside = y + 1 < step;"),
    "a plane that is taken for another": ("blockIdx.z * height + y) * width;", "y) * width;"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(fault: str) -> None:
    require_host_cuda()
    before, after = PLANTED[fault]
    source = read_source("label_distances")
    assert before in source
    stack = np.stack([PLANES["blobs"], PLANES["blobs"][::-1, ::-1]])

    def is_found(seed: int) -> bool:
        gpu = HostGpu(seed, {"label_distances": source.replace(before, after)})
        try:
            found = gpu.get(squared_distances_on(gpu, gpu.put(stack), frame_counts=False))
        except KernelFaultError:
            return True
        return any(
            not np.array_equal(theirs, squared_distances(ours, frame_counts=False))
            for ours, theirs in zip(stack, found, strict=True)
        )

    assert any(is_found(seed) for seed in SEEDS)
