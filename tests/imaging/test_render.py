"""Contrast, grey, colours and encoding: pixels computed by hand."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from imaging.render import (
    composite,
    count_levels,
    encode_png,
    encode_webp,
    find_limits,
    in_composite,
    read_color,
    render,
)


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def grey(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.uint8)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_histogram_counts_each_level(kind: type) -> None:
    histogram = count_levels(np.array([[3, 0, 3], [255, 3, 0]], kind))
    assert histogram.shape == (65536,)
    assert {level: int(histogram[level]) for level in np.flatnonzero(histogram)} == {0: 2, 3: 3, 255: 1}


def test_the_limits_leave_out_few_pixels_at_both_ends() -> None:
    histogram = np.zeros(65536, np.int64)
    histogram[:1000] = 1  # the 5th of 1,000 pixels reaches 0.5 %, the 998th 99.8 %
    assert find_limits(histogram) == (4, 997)
    histogram[60000] = 2  # of 1,002 pixels 5.01 and 999.996: the 6th and the 1,000th
    assert find_limits(histogram) == (5, 999)


def test_limits_of_one_level_or_of_none_differ_by_one() -> None:
    histogram = np.zeros(65536, np.int64)
    assert find_limits(histogram) == (0, 1)
    histogram[65535] = 9
    assert find_limits(histogram) == (65535, 65536)


def test_counts_become_grey_between_the_limits() -> None:
    picture = np.array([[0, 100, 101], [200, 300, 65535]], np.uint16)
    # (101 - 100) / 200 * 255 = 1.275, (200 - 100) / 200 * 255 = 127.5 to the even neighbour
    assert render(picture, 100, 300).tolist() == [[0, 0, 1], [128, 255, 255]]
    assert render(picture, 100, 300).dtype == np.uint8


def test_pictures_of_eight_bits_are_rendered_alike() -> None:
    assert render(grey([0, 10, 20, 255]), 0, 20).tolist() == [[0, 128, 255, 255]]


def test_colours_add_up_and_are_clipped() -> None:
    blue, orange = grey([255, 100, 0, 51]), grey([0, 100, 255, 255])
    found = composite([blue, orange], ["0000FF", "#FF8000"])
    assert found.shape == (1, 4, 3)
    assert found[0, 0].tolist() == [0, 0, 255]
    assert found[0, 1].tolist() == [100, 50, 100]  # 100 * 128 / 255 = 50.2
    assert found[0, 2].tolist() == [255, 128, 0]
    assert found[0, 3].tolist() == [255, 128, 51]
    assert composite([blue, blue], ["0000FF", "0000FF"])[0, :, 2].tolist() == [255, 200, 0, 102]


def test_one_white_channel_is_itself_in_grey() -> None:
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(composite([picture], ["FFFFFF"]), np.repeat(picture[..., None], 3, axis=2))


@pytest.mark.parametrize(
    ("greys", "colors"),
    [
        ([], []),
        ([grey([1])], ["0000FF", "00FF00"]),
        ([grey([1]), grey([1, 2])], ["0000FF", "00FF00"]),
        ([np.ones((1, 1), np.uint16)], ["0000FF"]),
        ([np.ones((1, 1, 1), np.uint8)], ["0000FF"]),
    ],
)
def test_channels_that_do_not_fit_each_other_are_refused(greys: list[np.ndarray], colors: list[str]) -> None:
    with pytest.raises(ValueError, match="greys"):
        composite(greys, colors)


def test_grey_channels_stay_out_of_a_composite_that_has_colours() -> None:
    assert in_composite(["0000FF", "FFFFFF", "00FF00", "808080"]) == (0, 2)
    assert in_composite(["FFFFFF", "101010"]) == (0, 1)
    assert in_composite(["808097", "808098"]) == (1,)  # apart by 23 and by 24
    assert read_color("#0a10ff") == (10, 16, 255)


@pytest.mark.parametrize(
    ("picture", "limits", "message"),
    [
        (np.ones((2, 2), np.float32), (0, 1), r"got \(2, 2\) float32"),
        (np.ones((1, 2, 2), np.uint8), (0, 1), r"got \(1, 2, 2\) uint8"),
        (grey([1]), (5, 5), "high must be above low, got 5 and 5"),
    ],
)
def test_what_cannot_be_rendered_is_refused(picture: np.ndarray, limits: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render(picture, *limits)


def test_webp_of_the_same_pixels_is_the_same_and_close_to_them() -> None:
    image = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[:, None], 64, axis=1)
    assert encode_webp(image) == encode_webp(image.copy())
    found = np.asarray(Image.open(io.BytesIO(encode_webp(image))).convert("L")).astype(int)
    assert np.abs(found - image).max() < 12


def test_webp_keeps_colours() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, 16:] = (255, 128, 0)
    found = decoded(encode_webp(image))
    assert found[16, 8].tolist() == [0, 0, 0]
    assert np.abs(found[16, 24].astype(int) - (255, 128, 0)).max() < 8


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_png_is_exact(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    assert np.array_equal(decoded(encode_png(image)), image)
    assert encode_png(image) == encode_png(image.copy())


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 16384), np.uint8),
        np.zeros((4, 4), np.uint16),
        np.zeros((2, 2, 4), np.uint8),
        np.zeros((0, 2), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_what_no_webp_can_hold_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"image must have shape \(y, x\) or \(y, x, 3\)"):
        encode_webp(image)
