"""Arrays of other programs as pixels and labels: what is taken, to which value, and every other one a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.errors import UnreadableImageError
from imaging.plane_arrays import as_labels, as_pixels, find_label_fault, rescale

SMALL = np.array([[0, 1], [2, 300]])


def refusal(call, *values) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        call(*values)
    return caught.value.message


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ">f4", np.float64, np.longdouble])
def test_intensities_from_0_to_1_become_16_bit_counts(dtype) -> None:
    pixels = as_pixels(np.array([[0, 0.5], [0.25, 1]], dtype))
    assert pixels.dtype == np.uint16
    assert pixels.tolist() == [[0, 32768], [16384, 65535]]


def test_every_16_bit_count_survives_as_an_intensity() -> None:
    counts = np.arange(65536, dtype=np.uint16)[None]
    for dtype in (np.float32, np.float64):
        np.testing.assert_array_equal(as_pixels((counts / 65535).astype(dtype)), counts)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([np.nan], "1 of its pixels is NaN or infinite, the first (NaN) at row 1, column 2 (from 0)"),
        ([np.inf, np.nan], "2 of its pixels are NaN or infinite, the first (infinite) at row 1, column 2 (from 0)"),
        ([-np.inf], "1 of its pixels is NaN or infinite, the first (infinite) at row 1, column 2 (from 0)"),
    ],
)
def test_pixels_without_a_number_are_refused_with_their_place(bad: list[float], words: str) -> None:
    values = np.zeros((3, 4))
    values.ravel()[6 : 6 + len(bad)] = bad
    assert refusal(as_pixels, values) == f"{words}; give them a value, such as numpy.nan_to_num(image)"


@pytest.mark.parametrize("bad", [-0.001, 1.001, 4095.0])
def test_intensities_outside_0_to_1_are_refused(bad: float) -> None:
    text = refusal(as_pixels, np.array([[0.5, bad]]))
    assert f"{bad:g}" in text
    assert text.endswith("divide by the full scale of the camera, or give camera counts as uint8 or uint16")


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "i1", "i4", ">i4", "u4", "i8", "u8"])
def test_labels_of_any_whole_type_keep_their_numbers(dtype: str) -> None:
    given = np.minimum(SMALL, 100).astype(dtype)
    labels = as_labels(given)
    np.testing.assert_array_equal(labels, given)
    assert labels.dtype == (given.dtype.newbyteorder("=") if dtype.endswith(("u1", "u2")) else np.int32)
    assert labels.flags.c_contiguous


def test_the_greatest_label_is_taken_and_a_greater_one_refused() -> None:
    assert as_labels(np.array([[2**31 - 1]], np.uint32)).max() == 2**31 - 1
    for dtype in (np.uint32, np.int64, np.uint64):
        assert "its greatest label is 2,147,483,648; labels are at most" in refusal(
            as_labels, np.array([[2**31]], dtype)
        )


def test_negative_labels_are_refused_with_their_place() -> None:
    assert refusal(as_labels, np.array([[0, 3], [-1, -2]])) == (
        "label -2 is the least, and the first negative one stands at row 1, column 0 (from 0); 0 is background and "
        "objects count from 1"
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.ones((2, 2)), "floating-point numbers (float64); convert them to whole numbers"),
        (np.ones((2, 2), bool), "number the objects of the mask"),
        (np.array([["a"]]), "whole numbers of objects are needed"),
        (np.array([[{}]], object), "which are never loaded"),
        (np.ones((1, 2, 2), int), "the labels of one object set are one array of shape (y, x)"),
        (np.ones((0, 2), int), "it is empty"),
    ],
)
def test_what_is_no_label_image_says_why(values: np.ndarray, words: str) -> None:
    assert words in (find_label_fault(values.dtype, values.shape) or "")


def test_whole_label_images_have_no_fault() -> None:
    assert find_label_fault(np.dtype(np.int64), (2, 2)) is None
    assert "are the limit" in (find_label_fault(np.dtype(np.int64), (2, 2), max_pixels=3) or "")


def test_counts_are_scaled_so_that_the_full_scale_is_1() -> None:
    plane = np.array([[0, 1, 2048, 4095]], np.uint16)
    scaled = rescale(plane, 4095)
    assert scaled.dtype == np.uint16
    assert scaled.tolist() == [[0, 16, 32776, 65535]]
    assert rescale(plane.clip(0, 255).astype(np.uint8), 4095).tolist() == [[0, 16, 4081, 4081]]


@pytest.mark.parametrize("full_scale", [1023, 4095, 16383])
def test_scaled_counts_are_as_near_as_16_bits_allow_and_keep_every_grey_level(full_scale: int) -> None:
    counts = np.arange(full_scale + 1, dtype=np.uint16)[None]
    scaled = rescale(counts, full_scale) / 65535
    assert np.abs(scaled - counts / full_scale).max() <= 0.5 / 65535
    np.testing.assert_array_equal(np.rint(scaled * 255), np.rint(counts / full_scale * 255))


def test_planes_on_their_own_scale_stay_as_they_are() -> None:
    for plane in (np.array([[7]], np.uint8), np.array([[7]], np.uint16)):
        assert rescale(plane, None) is plane
        assert rescale(plane, int(np.iinfo(plane.dtype).max)) is plane


def test_counts_beyond_the_full_scale_are_refused() -> None:
    assert refusal(rescale, np.array([[4096]], np.uint16), 4095) == (
        "its pixels reach 4,096, beyond the full scale of 4,095; give the camera's --full-scale"
    )
