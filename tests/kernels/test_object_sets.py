"""Objects of several label images, listed once."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.gpu import Gpu
from kernels.object_sets import EDGE, ObjectSets, find_outer, list_object_sets
from kernels.object_sets_gpu import list_object_sets_on


def nested(seed: int = 0, shape: tuple[int, int] = (40, 57)) -> np.ndarray:
    """Nuclei, Cells, Cytoplasm: rectangles that touch each other and the border, number 3 left out."""
    noise = np.random.default_rng(seed)
    cells = np.zeros(shape, np.int32)
    for label in (1, 2, 4, 5, 6):
        y, x = noise.integers(0, shape[0] - 5), noise.integers(0, shape[1] - 5)
        cells[y : y + noise.integers(1, 20), x : x + noise.integers(1, 20)] = label
    nuclei = np.where(noise.random(shape) < 0.3, cells, 0)
    return np.stack([nuclei, cells, np.where(nuclei > 0, 0, cells)]).astype(np.int32)


def members(objects: ObjectSets, label: int) -> np.ndarray:
    """Bits of one object, as a plane."""
    plane = np.zeros(objects.labels[0].size, np.uint8)
    part = slice(objects.start[label - 1], objects.start[label])
    plane[objects.position[part]] = objects.member[part]
    return plane.reshape(objects.labels[0].shape)


@pytest.mark.parametrize("seed", range(4))
def test_every_pixel_of_every_set_is_listed(seed: int) -> None:
    labels = nested(seed)
    objects = list_object_sets(labels, outer=1)
    assert objects.count == 6
    for label in range(1, 7):
        bits = members(objects, label)
        for z in range(3):
            inside = labels[z] == label
            np.testing.assert_array_equal(bits >> z & 1, inside)
            assert objects.area[z, label - 1] == inside.sum()
            padded = np.pad(labels[z], 1, mode="edge")
            around = [
                padded[1 + dy :, 1 + dx :][: len(inside), : inside.shape[1]]
                for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1))
            ]
            edge = inside & np.any([other != labels[z] for other in around], axis=0)
            np.testing.assert_array_equal(bits >> (EDGE + z) & 1, edge)
        if objects.area[1, label - 1]:
            y, x = np.nonzero(labels[1] == label)
            assert objects.boxes[label - 1].tolist() == [y.min(), x.min(), y.max() + 1, x.max() + 1]
        else:
            assert objects.boxes[label - 1].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_a_gpu_finds_the_same_objects(gpu: Gpu, seed: int) -> None:
    labels = nested(seed)
    ours = list_object_sets(labels, outer=1)
    theirs = list_object_sets_on(gpu, gpu.put(labels), outer=1, count=6)
    np.testing.assert_array_equal(theirs.boxes, ours.boxes)
    np.testing.assert_array_equal(theirs.area, ours.area)
    member = gpu.get(theirs.member)
    for label in range(1, 7):
        y0, x0, y1, x1 = ours.boxes[label - 1]
        crop = member[theirs.first[label - 1] : theirs.first[label]].reshape(y1 - y0, x1 - x0)
        np.testing.assert_array_equal(crop, members(ours, label)[y0:y1, x0:x1])


def test_a_plane_without_objects_lists_none(gpu: Gpu) -> None:
    empty = np.zeros((2, 5, 4), np.int32)
    assert list_object_sets(empty, outer=0).position.size == 0
    assert list_object_sets_on(gpu, gpu.put(empty), outer=0, count=0).area.shape == (2, 0)


def test_the_outer_set_is_found() -> None:
    labels = nested()
    assert find_outer(list(labels)) == 1
    assert find_outer([labels[0], labels[1] % 5]) is None
    assert find_outer([labels[2]]) == 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((4, 3, 3), np.int32), "1 to 3 sets"),
        (np.zeros((3, 3), np.int32), "shape"),
        (np.full((1, 2, 2), -3), "must be 0 or more, got -3"),
        (np.full((1, 2, 2), 2**31), r"below 2\*\*31"),
        (np.array([[[0, 2]], [[0, 1]]]), "row 0, column 1"),
    ],
)
def test_labels_that_make_no_sets_are_refused(labels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list_object_sets(labels, outer=0)


def test_labels_of_fractions_are_refused() -> None:
    with pytest.raises(TypeError, match="float64"):
        list_object_sets(np.zeros((1, 2, 2)), outer=0)
