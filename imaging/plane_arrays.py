"""Which arrays of other programs are planes of pixels or label images: their kind by shape and type, then their values.

Floating-point images are pixels where they reach from 0 to 1; they are rounded to 1/65535, the step of a 16-bit image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.decode import MAX_PIXELS
from imaging.errors import UnreadableImageError

Plane = NDArray[np.uint8 | np.uint16]
"""One image, shape (y, x), camera counts."""
LabelImage = NDArray[np.integer]
"""One label image, shape (y, x), 0 outside objects, else the number of the object."""

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
_GREATEST_LABEL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ArrayKind:
    """What an array should be.

    ``find_fault`` judges type and shape, ``convert`` the values (or raises UnreadableImageError), and ``is_certain``
    says of which types no value can be wrong. ``needs`` and ``cure`` are parts of sentences about what is refused.
    """

    find_fault: Callable[[np.dtype, tuple[int, ...]], str | None]
    convert: Callable[[NDArray[Any]], NDArray[Any]]
    is_certain: Callable[[np.dtype], bool]
    needs: str
    cure: str


def find_kind_fault(dtype: np.dtype, shape: tuple[int, ...], *, max_pixels: int = MAX_PIXELS) -> str | None:
    """Say why an array of this type and shape is no plane of pixels, or ``None``; no value is looked at."""
    if dtype.hasobject:
        return "it holds Python objects, which are never loaded"
    if dtype.kind not in "iuf":
        return f"its values are {_kind(dtype)}; camera counts, or intensities from 0 to 1, are needed"
    return _find_shape_fault(shape, "one channel", max_pixels)


def find_label_fault(dtype: np.dtype, shape: tuple[int, ...], *, max_pixels: int = MAX_PIXELS) -> str | None:
    """Say why an array of this type and shape is no label image, or ``None``; no value is looked at."""
    if dtype.hasobject:
        return "it holds Python objects, which are never loaded"
    if dtype.kind == "f":
        return f"its labels are {_kind(dtype)}; convert them to whole numbers, such as labels.astype('int32')"
    if dtype.kind == "b":
        return f"its values are {_kind(dtype)}; number the objects of the mask, such as skimage.measure.label(mask)"
    if dtype.kind not in "iu":
        return f"its values are {_kind(dtype)}; whole numbers of objects are needed"
    return _find_shape_fault(shape, "the labels of one object set", max_pixels)


def _kind(dtype: np.dtype) -> str:
    return f"{_KINDS.get(dtype.kind, 'of unknown kind')} ({dtype})"


def _find_shape_fault(shape: tuple[int, ...], what: str, max_pixels: int) -> str | None:
    if len(shape) != 2:
        are = "are" if what.startswith("the labels") else "is"
        return f"its shape is {shape}; {what} {are} one array of shape (y, x)"
    if 0 in shape:
        return f"it is empty: its shape is {shape}"
    if shape[0] * shape[1] > max_pixels:
        return f"its header claims {shape[0]:,} x {shape[1]:,} pixels; {max_pixels:,} are the limit"
    return None


def is_pixel_type(dtype: np.dtype) -> bool:
    """Whether every value of the type is a pixel: uint8 or uint16 of any byte order."""
    return dtype.newbyteorder("=") in (np.dtype(np.uint8), np.dtype(np.uint16))


def is_label_type(dtype: np.dtype) -> bool:
    """Whether every value of the type is a label: unsigned, at most 16 bits."""
    return dtype.kind == "u" and dtype.itemsize <= 2


def as_pixels(values: NDArray[Any]) -> Plane:
    """Make numbers of any type pixels.

    Parameters
    ----------
    values
        One plane, shape ``(y, x)``, any byte order: integers are camera counts, floating-point numbers intensities from
        0 to 1.

    Returns
    -------
    The plane, shape ``(y, x)``: uint8 as it came, everything else as uint16 of the machine's byte order. An intensity v
    becomes 65535 v, rounded to the nearest whole number.

    Raises
    ------
    UnreadableImageError
        If a count lies outside 0 to 65,535, an intensity outside 0 to 1, or a pixel is NaN or infinite.
    """
    if values.dtype.kind == "f":
        return _round_intensities(values)
    if not is_pixel_type(values.dtype):
        lowest, highest = int(values.min()), int(values.max())
        if lowest < 0 or highest > _GREATEST:
            raise UnreadableImageError(
                f"its values reach from {lowest:,} to {highest:,}; camera counts lie between 0 and {_GREATEST:,}"
            )
    return np.ascontiguousarray(values, np.uint8 if values.dtype == np.uint8 else np.uint16)


def _round_intensities(values: NDArray[np.floating]) -> NDArray[np.uint16]:
    is_finite = np.isfinite(values)
    if not is_finite.all():
        count = int(values.size - np.count_nonzero(is_finite))
        y, x = (int(place) for place in np.unravel_index(int(np.argmin(is_finite)), values.shape))
        what = "NaN" if np.isnan(values[y, x]) else "infinite"
        raise UnreadableImageError(
            f"{count:,} of its pixels {'is' if count == 1 else 'are'} NaN or infinite, the first ({what}) at row "
            f"{y:,}, column {x:,} (from 0); give them a value, such as numpy.nan_to_num(image)"
        )
    lowest, highest = float(values.min()), float(values.max())
    if lowest < 0 or highest > 1:
        raise UnreadableImageError(
            f"its values reach from {lowest:g} to {highest:g}; floating-point images must lie between 0 and 1: "
            "divide by the full scale of the camera, or give camera counts as uint8 or uint16"
        )
    return np.rint(np.multiply(values, _GREATEST, dtype=np.float64)).astype(np.uint16)


def as_labels(values: NDArray[Any]) -> LabelImage:
    """Make whole numbers of any type labels.

    Parameters
    ----------
    values
        One label image, shape ``(y, x)``, any integer type and byte order.

    Returns
    -------
    The labels, shape ``(y, x)``, uint8 or uint16 as they came, everything else as int32 of the machine's byte order.

    Raises
    ------
    UnreadableImageError
        If a label is negative or greater than 2,147,483,647.
    """
    if is_label_type(values.dtype):
        return np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0:
        y, x = (int(place) for place in np.argwhere(values < 0)[0])
        raise UnreadableImageError(
            f"label {lowest:,} is the least, and the first negative one stands at row {y:,}, column {x:,} (from 0); 0 "
            "is background and objects count from 1"
        )
    if highest > _GREATEST_LABEL:
        raise UnreadableImageError(
            f"its greatest label is {highest:,}; labels are at most {_GREATEST_LABEL:,}, so number the objects anew, "
            "such as skimage.segmentation.relabel_sequential(labels)[0]"
        )
    return np.ascontiguousarray(values, np.int32)


def rescale(plane: Plane, full_scale: int | None) -> Plane:
    """Bring camera counts to the scale on which features are measured, where the greatest value of the type is 1.

    Parameters
    ----------
    plane
        One plane, shape ``(y, x)``, uint8 or uint16, camera counts.
    full_scale
        Count that should be 1, such as 4095 of a 12-bit camera; ``None`` is the greatest of the plane's type.

    Returns
    -------
    The plane as it is where that is its scale already, else uint16: a count v becomes 65535 v / full_scale, rounded to
    the nearest whole number (halves up), which is less than 1/131,070 of the scale away.

    Raises
    ------
    UnreadableImageError
        If a count is greater than the full scale.
    """
    if full_scale is None or full_scale == np.iinfo(plane.dtype).max:
        return plane
    highest = int(plane.max())
    if highest > full_scale:
        raise UnreadableImageError(
            f"its pixels reach {highest:,}, beyond the full scale of {full_scale:,}; give the camera's --full-scale"
        )
    counts = np.arange(full_scale + 1)
    return ((2 * _GREATEST * counts + full_scale) // (2 * full_scale)).astype(np.uint16)[plane]


PIXELS = ArrayKind(
    find_kind_fault,
    as_pixels,
    is_pixel_type,
    "one 2-D array per channel",
    "leave out what is no image, and give images as uint8 or uint16",
)
"""Images: camera counts, or floating-point intensities from 0 to 1."""
LABELS = ArrayKind(
    find_label_fault,
    as_labels,
    is_label_type,
    "one 2-D array per object set",
    "give label images of whole numbers, and choose them with --objects NAME if the file holds others too",
)
"""Label images: numbers of objects, 0 outside."""
