"""Correcting planes: by hand, at the edges of the number range, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from kernels.gpu import Gpu, gpu_of
from kernels.illumination import correct_planes, enlarge_field, make_gains


def test_a_field_is_bilinear_between_the_middles_of_its_tiles_and_flat_outside() -> None:
    field = np.array([[1.0, 3.0]], np.float32)
    enlarged = enlarge_field(field, factor=4, height=2, width=8)
    expected = [1.0, 1.0, 1.25, 1.75, 2.25, 2.75, 3.0, 3.0]
    assert enlarged.tolist() == [expected, expected]


def test_a_border_tile_that_is_cut_off_is_no_other_than_the_rest() -> None:
    field = np.array([[1.0], [3.0]])
    assert enlarge_field(field, factor=4, height=6, width=1)[:, 0].tolist() == [1.0, 1.0, 1.25, 1.75, 2.25, 2.75]


def test_a_field_at_full_size_stays_what_it_is() -> None:
    field = np.random.default_rng(1).uniform(0.5, 2, (5, 7))
    assert np.array_equal(enlarge_field(field, factor=1, height=5, width=7), field)


def test_gains_are_one_over_the_field_and_end_at_both_ends_of_their_range() -> None:
    field = np.array([[1.0, 1.6, 0.8, 0.1, 1e9]])
    gains = make_gains(field, factor=1, height=1, width=5)
    assert gains.dtype == np.uint16
    assert gains.tolist() == [[32768, 20480, 40960, 65535, 1]]


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_a_field_that_divides_by_nothing_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        make_gains(np.array([[1.0, value]]), factor=1, height=1, width=2)


def test_a_field_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 3\) for planes of 8 x 9, got \(2, 2\)"):
        make_gains(np.ones((2, 2)), factor=4, height=8, width=9)


def test_pixels_are_multiplied_in_fixed_point_and_rounded_half_up() -> None:
    planes = np.array([[[100, 101, 65535, 65535, 3, 0]]], np.uint16)
    gains = np.array([[[16384, 16384, 32768, 65535, 16383, 65535]]], np.uint16)
    corrected = correct_planes(planes, gains)
    assert corrected.dtype == np.uint16
    # 101 / 2 = 50.5 is 51; 3 * 16383 / 32768 = 1.4999 is 1; twice the greatest count is the greatest count
    assert corrected.tolist() == [[[50, 51, 65535, 65535, 1, 0]]]


def test_8_bit_planes_keep_fractions_of_counts() -> None:
    planes = np.array([[[10, 255, 255]]], np.uint8)
    gains = np.array([[[32768, 16384, 65535]]], np.uint16)
    assert correct_planes(planes, gains).tolist() == [[[2570, 32768, 65535]]]


def test_every_plane_has_gains_of_its_own_and_views_are_planes_too() -> None:
    planes = np.arange(48, dtype=np.uint16).reshape(2, 4, 6)
    gains = np.full((2, 4, 6), 32768, np.uint16)
    gains[1] = 16384
    expected = np.stack([planes[0], (planes[1] + 1) // 2])
    assert np.array_equal(correct_planes(planes, gains), expected)
    assert np.array_equal(correct_planes(planes[:, ::2, ::3], gains[:, ::2, ::3]), expected[:, ::2, ::3])


def test_what_is_no_plane_or_has_no_gains_is_refused() -> None:
    planes, gains = np.ones((1, 2, 3), np.uint16), np.ones((1, 2, 3), np.uint16)
    with pytest.raises(ValueError, match=r"shape \(n, y, x\)"):
        correct_planes(planes[0], gains[0])
    with pytest.raises(TypeError, match="uint8 or uint16"):
        correct_planes(planes.astype(np.float32), gains)
    with pytest.raises(TypeError, match="gains must be uint16"):
        correct_planes(planes, gains.astype(np.float32))
    with pytest.raises(ValueError, match="shape of planes"):
        correct_planes(planes, gains[:, :1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 11), (2, 16, 16), (1, 129, 257)])
def test_a_gpu_computes_what_the_cpu_does(gpu: Gpu, dtype: type, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(11)
    planes = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
    gains = rng.integers(1, 65536, shape).astype(np.uint16)
    planes.ravel()[-1], gains.ravel()[-1] = np.iinfo(dtype).max, 65535
    corrected = correct_planes(gpu.put(planes), gpu.put(gains))
    assert gpu_of(corrected) is gpu
    assert np.array_equal(gpu.get(corrected), correct_planes(planes, gains))
