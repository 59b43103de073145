"""One plane of a z-stack: its brightest pixels, their mean, or the sharpest plane.

    max         the greatest count of each pixel over z
    mean        its sum over z, divided by the number of planes and rounded half up, in whole numbers
    best-focus  the plane with the greatest FocusScore (``kernels.image_quality``: variance over mean); of planes with
                the same score the first

Nothing is rounded but the mean, so both devices give the same bits.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from kernels.gpu import Array, Gpu, gpu_of
from kernels.planes import Pixels, check_planes
from kernels.planes_gpu import as_uint8, as_uint16
from kernels.quality_gpu import count_values_on_gpu

Method = Literal["max", "mean", "best-focus"]
METHODS: tuple[Method, ...] = ("max", "mean", "best-focus")
_THREADS = 256
_MOST_BLOCKS = 4096


def project(planes: Any, method: Method) -> Any:
    """Make one plane of a z-stack.

    Parameters
    ----------
    planes
        The stack in order of z, shape ``(z, y, x)``, uint8 or uint16, camera counts; a NumPy or a CuPy array.
    method
        ``max``, ``mean`` or ``best-focus``; see the module.

    Returns
    -------
    Shape ``(y, x)``, same type, unit and device.

    Raises
    ------
    TypeError
        If ``planes`` is not uint8 or uint16.
    ValueError
        If ``planes`` is not three-dimensional, has no plane or no pixel, or there is no such method.
    """
    _check(planes)
    if method not in METHODS:
        raise ValueError(f"method must be {', '.join(METHODS[:-1])} or {METHODS[-1]}, got {method!r}")
    if method == "best-focus":
        return planes[find_sharpest(planes)].copy()
    gpu = gpu_of(planes)
    if gpu is not None:
        return project_on_gpu(planes, method, gpu)
    if method == "max":
        return planes.max(axis=0)
    total, n = planes.sum(axis=0, dtype=np.uint64), len(planes)
    return ((2 * total + np.uint64(n)) // np.uint64(2 * n)).astype(planes.dtype)


def find_sharpest(planes: Any) -> int:
    """Index of the plane with the greatest FocusScore, the first of equals; ``planes`` and errors as of ``project``.

    Variance over mean is ``(n * squares - total**2) / (n * total)`` of a plane's n pixels: whole numbers until the one
    division, for which the scale and n do not matter.
    """
    _check(planes)
    gpu = gpu_of(planes)
    histograms = gpu.get(count_values_on_gpu(as_uint16(planes, gpu), gpu)) if gpu else map(_count_values, planes)
    return int(np.argmax([_focus_of(np.asarray(histogram)) for histogram in histograms]))


def project_on_gpu(planes: Array, method: Method, gpu: Gpu) -> Array:
    """Project the planes of a device there by ``max`` or ``mean``. One launch."""
    depth, height, width = planes.shape
    wide, pixels = as_uint16(planes, gpu), height * width
    projected = gpu.empty((height, width), np.uint16)
    blocks = min(_MOST_BLOCKS, -(-pixels // _THREADS))
    gpu.kernel("projection", f"project_{method}")(
        (blocks,), (_THREADS,), (wide, np.int32(depth), np.int64(pixels), projected)
    )
    return projected if planes.dtype == np.uint16 else as_uint8(projected, gpu)


def _check(planes: Any) -> None:
    check_planes("planes", planes)
    if not planes.shape[0]:
        raise ValueError("planes must have at least one plane, got none")


def _count_values(plane: Pixels) -> npt.NDArray[np.int64]:
    return np.bincount(plane.ravel(), minlength=1)


def _focus_of(histogram: npt.NDArray[np.integer]) -> float:
    values = np.flatnonzero(histogram)
    weights = histogram[values].astype(np.int64)
    area, total, squares = int(weights.sum()), int(values @ weights), int(values**2 @ weights)
    return (area * squares - total**2) / (area * total) if total else 0.0
