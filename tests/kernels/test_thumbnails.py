"""Thumbnails: exact means of tiles."""

import numpy as np
import pytest

from kernels.thumbnails import shrink, thumbnail_factor


def test_tile_mean_is_rounded_half_up():
    planes = np.array([[[0, 1], [0, 1]], [[1, 1], [1, 0]], [[1, 0], [0, 0]]], np.uint8)
    assert shrink(planes, 2).ravel().tolist() == [1, 1, 0]


def test_tiles_cut_by_the_border_average_the_pixels_they_have():
    plane = np.array([[10, 20, 7], [30, 40, 9], [5, 6, 65535]], np.uint16)
    small = shrink(plane[None], 2)
    assert small.dtype == np.uint16
    assert small[0].tolist() == [[25, 8], [6, 65535]]


def test_full_scale_tiles_do_not_overflow():
    planes = np.full((2, 600, 520), 65535, np.uint16)
    assert (shrink(planes, 512) == 65535).all()
    assert shrink(planes, 512).shape == (2, 2, 2)


def test_random_planes_agree_with_means_of_blocks():
    planes = np.random.default_rng(1).integers(0, 65536, (3, 64, 48)).astype(np.uint16)
    means = planes.reshape(3, 8, 8, 6, 8).mean(axis=(2, 4))
    assert (shrink(planes, 8) == np.floor(means + 0.5)).all()


def test_factor_one_keeps_the_planes():
    planes = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    assert (shrink(planes, 1) == planes).all()


def test_factor_larger_than_the_plane_gives_one_pixel():
    assert shrink(np.array([[[1, 2, 6]]], np.uint8), 64).tolist() == [[[3]]]


@pytest.mark.parametrize(
    ("height", "width", "factor"), [(320, 320, 1), (321, 10, 2), (640, 640, 2), (2160, 2160, 8), (1, 5000, 16)]
)
def test_thumbnail_factor_brings_the_longer_side_to_320(height, width, factor):
    assert thumbnail_factor(height, width) == factor


@pytest.mark.parametrize(
    ("planes", "factor", "error", "message"),
    [
        (np.zeros((8, 8), np.uint8), 2, ValueError, r"planes must have shape \(n, y, x\), got \(8, 8\)"),
        (np.zeros((1, 8, 8), np.float32), 2, TypeError, "planes must be uint8 or uint16, got float32"),
        (np.zeros((1, 0, 8), np.uint8), 2, ValueError, "planes must have at least one pixel"),
        (np.zeros((1, 8, 8), np.uint8), 0, ValueError, "factor must be 1 or more, got 0"),
    ],
)
def test_wrong_arguments_are_refused(planes, factor, error, message):
    with pytest.raises(error, match=message):
        shrink(planes, factor)


def test_empty_sides_have_no_factor():
    with pytest.raises(ValueError, match="height and width must be 1 or more, got 0 x 5"):
        thumbnail_factor(0, 5)
