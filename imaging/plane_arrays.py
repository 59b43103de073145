"""Which arrays of other programs are planes of pixels: their kind by shape and type, their values by range."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imaging.decode import MAX_PIXELS
from imaging.errors import UnreadableImageError

Plane = NDArray[np.uint8 | np.uint16]
"""One image, shape (y, x), camera counts."""

_KINDS = {
    "b": "true and false",
    "f": "floating-point numbers",
    "c": "complex numbers",
    "U": "text",
    "S": "text",
    "T": "text",
    "V": "records",
    "M": "dates",
    "m": "durations",
}
_GREATEST = 65_535


def find_kind_fault(dtype: np.dtype, shape: tuple[int, ...], *, max_pixels: int = MAX_PIXELS) -> str | None:
    """Say why an array of this type and shape is no plane of pixels, or ``None``; no value is looked at."""
    if dtype.hasobject:
        return "it holds Python objects, which are never loaded"
    if dtype.kind not in "iu":
        return f"its values are {_KINDS.get(dtype.kind, 'of unknown kind')} ({dtype}); whole camera counts are needed"
    if len(shape) != 2:
        return f"its shape is {shape}; one channel is one array of shape (y, x)"
    if 0 in shape:
        return f"it is empty: its shape is {shape}"
    if shape[0] * shape[1] > max_pixels:
        return f"its header claims {shape[0]:,} x {shape[1]:,} pixels; {max_pixels:,} are the limit"
    return None


def is_pixel_type(dtype: np.dtype) -> bool:
    """Whether every value of the type is a pixel: uint8 or uint16 of any byte order."""
    return dtype.newbyteorder("=") in (np.dtype(np.uint8), np.dtype(np.uint16))


def as_pixels(values: NDArray[np.integer]) -> Plane:
    """Make whole numbers of any type pixels.

    Parameters
    ----------
    values
        One plane, shape ``(y, x)``, any integer type and byte order.

    Returns
    -------
    The plane, shape ``(y, x)``: uint8 as it came, everything else as uint16 of the machine's byte order.

    Raises
    ------
    UnreadableImageError
        If a value lies outside 0 to 65,535.
    """
    if not is_pixel_type(values.dtype):
        lowest, highest = int(values.min()), int(values.max())
        if lowest < 0 or highest > _GREATEST:
            raise UnreadableImageError(
                f"its values reach from {lowest:,} to {highest:,}; camera counts lie between 0 and {_GREATEST:,}"
            )
    return np.ascontiguousarray(values, np.uint8 if values.dtype == np.uint8 else np.uint16)
