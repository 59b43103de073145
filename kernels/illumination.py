"""Illumination: planes divided by the field of their channel, in fixed point, alike on every device.

A field is known on a small grid and is above 0; its ``gains`` are 1 / field at each pixel of a plane, as whole numbers
of 1/32768. Corrected planes are whole counts again, so everything that is measured on them stays exact.
"""

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.gpu import Array, Gpu, gpu_of
from kernels.planes import Pixels, check_planes

GAIN_BITS = 15
"""Bits behind the point of a gain: 32768 leaves a pixel as it is."""
GREATEST_GAIN = 65535
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
    shape = (-(-height // factor), -(-width // factor))
    if field.shape != shape:
        raise ValueError(f"field must have shape {shape} for planes of {height} x {width}, got {field.shape}")
    rows = _blend(np.asarray(field, np.float64), height, factor)
    return np.ascontiguousarray(_blend(rows.T, width, factor).T)


def _blend(values: npt.NDArray[np.float64], length: int, factor: int) -> npt.NDArray[np.float64]:
    """Interpolate along the first axis."""
    place = np.clip((np.arange(length) + 0.5) / factor - 0.5, 0, len(values) - 1)
    lower = np.minimum(place.astype(np.intp), max(len(values) - 2, 0))
    share = (place - lower)[:, None]
    upper = np.minimum(lower + 1, len(values) - 1)
    return values[lower] * (1 - share) + values[upper] * share


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
    inverse = (1 << GAIN_BITS) / enlarge_field(field, factor=factor, height=height, width=width)
    return np.clip(np.floor(inverse + 0.5), 1, GREATEST_GAIN).astype(np.uint16)


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
