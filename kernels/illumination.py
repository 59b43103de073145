"""Illumination: planes divided by the field of their channel, in fixed point, alike on every device.

A field is known on a small grid and is above 0; its ``gains`` are 1 / field at each pixel of a plane, as whole numbers
of 1/32768. Corrected planes are whole counts again, so everything that is measured on them stays exact.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.gpu import Array, Gpu, gpu_of
from kernels.planes import Pixels, check_planes

_THREADS = 256


def enlarge_field(field: npt.NDArray[np.floating], *, factor: int, height: int, width: int) -> npt.NDArray[np.float64]:
    """Give a field's value at each pixel of a plane, bilinear between the middles of its tiles.

    Parameters
    ----------
    field
        Shape ``(ceil(height / factor), ceil(width / factor))``, relative brightness of tiles.
    factor
        Side of a tile, pixels.
    height, width
        Size of the plane, pixels.

    Returns
    -------
    Shape ``(height, width)``, float64. Outside the outermost middles the nearest tile counts.

    Raises
    ------
    ValueError
        If the field has another shape.
    """
    _check_shape(field, factor, height, width)
    enlarged = np.empty((height, width))
    _enlarge(np.asarray(field, np.float64), _middles(height, factor), _middles(width, factor), enlarged)
    return enlarged


def make_gains(field: npt.NDArray[np.floating], *, factor: int, height: int, width: int) -> npt.NDArray[np.uint16]:
    """Give what each pixel of a plane is multiplied by.

    Parameters
    ----------
    field, factor, height, width
        As ``enlarge_field`` takes them.

    Returns
    -------
    ``1 / field`` in units of 1/32768, rounded half up, shape ``(height, width)``, uint16; from 1 to 65535, so a field
    below one half corrects as one half does.

    Raises
    ------
    ValueError
        If a value of the field is not above 0, or not finite, or the field has another shape.
    """
    if not (np.isfinite(field).all() and (field > 0).all()):
        raise ValueError("field must be finite and above 0 everywhere")
    _check_shape(field, factor, height, width)
    gains = np.empty((height, width), np.uint16)
    _fill_gains(np.asarray(field, np.float64), _middles(height, factor), _middles(width, factor), gains)
    return gains


def _check_shape(field: npt.NDArray[Any], factor: int, height: int, width: int) -> None:
    shape = (-(-height // factor), -(-width // factor))
    if field.shape != shape:
        raise ValueError(f"field must have shape {shape} for planes of {height} x {width}, got {field.shape}")


def _middles(length: int, factor: int) -> npt.NDArray[np.float64]:
    """Place of each pixel's middle among the middles of tiles, the first and the last one at least and at most."""
    return np.clip((np.arange(length) + 0.5) / factor - 0.5, 0, -(-length // factor) - 1)


@compiled
def _enlarge(field, down, right, enlarged):
    row = np.empty(field.shape[1])
    for y in range(down.size):
        _blend_rows(field, down[y], row)
        for x in range(right.size):
            enlarged[y, x] = _blend(row, right[x])


@compiled
def _fill_gains(field, down, right, gains):
    row = np.empty(field.shape[1])
    for y in range(down.size):
        _blend_rows(field, down[y], row)
        for x in range(right.size):
            gains[y, x] = min(max(np.floor(32768 / _blend(row, right[x]) + 0.5), 1), 65535)


@compiled
def _blend_rows(field, place, row):
    lower = min(int(place), max(field.shape[0] - 2, 0))
    upper, share = min(lower + 1, field.shape[0] - 1), place - lower
    for x in range(row.size):
        row[x] = field[lower, x] * (1 - share) + field[upper, x] * share


@compiled
def _blend(row, place):
    lower = min(int(place), max(row.size - 2, 0))
    share = place - lower
    return row[lower] * (1 - share) + row[min(lower + 1, row.size - 1)] * share


def correct_planes(planes: Pixels | Array, gains: npt.NDArray[np.uint16] | Array) -> npt.NDArray[np.uint16] | Array:
    """Divide planes by their fields.

    Parameters
    ----------
    planes
        Raw planes, shape ``(n, y, x)``, uint8 or uint16, camera counts.
    gains
        What ``make_gains`` gives for each of them, shape ``(n, y, x)``, uint16, on the same device.

    Returns
    -------
    ``(planes * gains + 16384) >> 15``, at most 65535, shape ``(n, y, x)``, uint16, on the same device. 8-bit planes
    come out on a scale of 0 to 65535 (times 257), so that fractions of counts are kept.

    Raises
    ------
    TypeError
        If ``planes`` is not uint8 or uint16, or ``gains`` not uint16.
    ValueError
        If ``planes`` is not three-dimensional or has no pixel, or the shapes differ.
    """
    check_planes("planes", planes)
    if gains.dtype != np.uint16:
        raise TypeError(f"gains must be uint16, got {gains.dtype}")
    if gains.shape != planes.shape:
        raise ValueError(f"gains must have the shape of planes {planes.shape}, got {gains.shape}")
    gpu = gpu_of(planes)
    if gpu is not None:
        return _correct_on(gpu, planes, gains)
    corrected = np.empty(planes.shape, np.uint16)
    scale = np.uint32(257 if planes.dtype == np.uint8 else 1)
    for plane, gain, out in zip(planes, gains, corrected, strict=True):
        _correct(
            np.ascontiguousarray(plane).reshape(-1), np.ascontiguousarray(gain).reshape(-1), scale, out.reshape(-1)
        )
    return corrected


@compiled
def _correct(pixels, gains, scale, out):
    for i in range(pixels.size):
        value = (np.uint32(pixels[i]) * scale * np.uint32(gains[i]) + np.uint32(16384)) >> np.uint32(15)
        out[i] = np.uint16(min(value, np.uint32(65535)))


def _correct_on(gpu: Gpu, planes: Array, gains: Array) -> Array:
    corrected = gpu.empty(planes.shape, np.uint16)
    kernel = gpu.kernel("illumination", "correct_u8" if planes.dtype == np.uint8 else "correct_u16")
    kernel((-(-planes.size // _THREADS),), (_THREADS,), (planes, gains, corrected, np.uint64(planes.size)))
    return corrected
