"""Connected regions and their holes: drawn by hand, then against plain definitions."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import measure

from kernels.regions import border_labels, connect, fill_holes, fill_small_holes, keep_labels, outermost, separate


def read(text: str) -> np.ndarray:
    return np.array([[int(sign) if sign != "." else 0 for sign in line] for line in text.split()], np.int32)


def show(labels: np.ndarray) -> list[str]:
    return ["".join(str(label) if label else "." for label in line) for line in labels]


RING = """
.........
.11111...
.1...1...
.1...1...
.11111...
.........
"""


def test_a_hole_goes_to_the_object_around_it() -> None:
    filled = fill_holes(read(RING))
    assert filled[2:4, 2:5].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert (filled > 0).sum() == 20


def test_an_object_in_a_hole_goes_to_the_object_around_it() -> None:
    inside = read(RING)
    inside[2, 3] = 2
    assert show(fill_holes(inside))[1:5] == [".11111...", *2 * [".11111..."], ".11111..."]


def test_an_object_around_which_another_lies_closely_goes_to_it() -> None:
    assert show(fill_holes(read("..... .111. .121. .111. ....."))) == [".....", *3 * [".111."], "....."]


def test_a_hole_between_two_objects_stays() -> None:
    between = read("...... .1122. .1..2. .1122. ......")
    assert (fill_holes(between) == between).all()


def test_a_bay_at_the_border_stays() -> None:
    bay = read("1.1 1.1 111")
    assert (fill_holes(bay) == bay).all()


def test_holes_in_holes_are_filled() -> None:
    target = np.zeros((11, 11), np.int32)
    for reach, label in enumerate((3, 0, 2, 0, 1)[::-1]):
        target[1 + reach : 10 - reach, 1 + reach : 10 - reach] = label
    assert (fill_holes(target)[1:10, 1:10] == 1).all()


@pytest.mark.parametrize("labels", [np.zeros((1, 1), np.int32), np.ones((1, 7), np.int32), np.zeros((7, 1), np.int32)])
def test_thin_planes_have_no_holes(labels: np.ndarray) -> None:
    assert (fill_holes(labels) == labels).all()


def test_small_holes_are_filled_and_large_ones_are_not() -> None:
    for greatest, expected in ((7, 20), (6, 14)):
        foreground = (read(RING) > 0).astype(np.uint8)
        fill_small_holes(foreground, greatest)
        assert foreground.sum() == expected


@pytest.mark.parametrize("number", range(6))
def test_holes_of_random_masks_are_background_off_the_border(number: int) -> None:
    foreground = (np.random.default_rng(number).random((40, 50)) < 0.6).astype(np.uint8)
    background = np.asarray(measure.label(foreground == 0, connectivity=1))
    holes = (background > 0) & ~np.isin(background, border_labels(background))
    expected = foreground | holes
    fill_small_holes(foreground, np.inf)
    assert (foreground == expected).all()
    assert ((fill_holes(foreground.astype(np.int32)) > 0) == expected).all()


@pytest.mark.parametrize("number", range(6))
def test_pixels_of_equal_label_are_separated_where_they_do_not_touch(number: int) -> None:
    labels = np.random.default_rng(number).integers(0, 4, (30, 41)).astype(np.int32)
    assert (separate(labels) == measure.label(labels, connectivity=2)).all()
    assert (connect(labels > 0) == measure.label(labels > 0, connectivity=2)).all()


def test_labels_that_are_kept_are_numbered_anew() -> None:
    assert keep_labels(read("1234"), np.array([True, False, True, False, True])).tolist() == [[0, 1, 0, 2]]


def test_outermost_pixels_have_another_neighbour_or_lie_on_the_border() -> None:
    labels = np.zeros((7, 7), np.int32)
    labels[1:6, 0:5] = 3
    assert show(np.where(outermost(labels), labels, 0))[1:6] == ["33333..", *3 * ["3...3.."], "33333.."]
