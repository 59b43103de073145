"""Planes of pixels: checks that every kernel makes, their scale, and smoothing."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8 | np.uint16]
Labels = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float64]


def check_planes(name: str, planes: npt.NDArray[Any]) -> None:
    """Raise unless ``planes`` is a stack of unsigned 8- or 16-bit planes with at least one pixel each."""
    if planes.ndim != 3:
        raise ValueError(f"{name} must have shape (n, y, x), got {planes.shape}")
    _check_depth(name, planes)
    if 0 in planes.shape[1:]:
        raise ValueError(f"{name} must have at least one pixel, got {planes.shape}")


def check_plane(name: str, plane: npt.NDArray[Any]) -> None:
    """Raise unless ``plane`` is one unsigned 8- or 16-bit plane with at least one pixel."""
    if plane.ndim != 2:
        raise ValueError(f"{name} must have shape (y, x), got {plane.shape}")
    _check_depth(name, plane)
    if plane.size == 0:
        raise ValueError(f"{name} must have at least one pixel, got {plane.shape}")


def check_label_image(name: str, labels: npt.NDArray[Any]) -> None:
    """Raise unless ``labels`` is one integer plane."""
    if labels.ndim != 2:
        raise ValueError(f"{name} must have shape (y, x), got {labels.shape}")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{name} must have an integer type, got {labels.dtype}")


def _check_depth(name: str, array: npt.NDArray[Any]) -> None:
    if array.dtype not in (np.uint8, np.uint16):
        raise TypeError(f"{name} must be uint8 or uint16, got {array.dtype}")


def dtype_scale(plane: Pixels) -> int:
    """Give the count that CellProfiler scales to 1: 255 or 65535."""
    return int(np.iinfo(plane.dtype).max)


def smooth_plane(plane: Pixels, smoothing_px: float) -> npt.NDArray[np.uint16]:
    """Smooth one plane with a Gaussian, mirrored at the border.

    Parameters
    ----------
    plane
        One plane, shape ``(y, x)``, uint8 or uint16, camera counts.
    smoothing_px
        Standard deviation, pixels; 0 does not smooth.

    Returns
    -------
    The plane on a scale of 0 to 65535 for both types, shape ``(y, x)``, uint16: 8-bit planes keep the fractions of
    counts that averaging gives them.

    Raises
    ------
    ValueError
        If ``smoothing_px`` is negative.
    """
    if not smoothing_px >= 0:
        raise ValueError(f"smoothing_px must be 0 or more, got {smoothing_px}")
    wide = np.ascontiguousarray(plane, np.uint16)
    if plane.dtype == np.uint8:
        wide = wide * np.uint16(257)
    if smoothing_px == 0:
        return wide
    return np.asarray(cv2.GaussianBlur(wide, (0, 0), smoothing_px, borderType=cv2.BORDER_REFLECT), np.uint16)
