"""Pixels of 8 bits as 16 bits and back, on a GPU (``kernels/cuda/planes.cu``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernels.gpu import Array, Gpu

_THREADS = 256
_MOST_BLOCKS = 4096


def as_uint16(planes: Array, gpu: Gpu) -> Array:
    """Give planes of a device, uint8 or uint16, as uint16 with the same counts; uint16 ones as they are."""
    return planes if planes.dtype == np.uint16 else _convert("widen", planes, np.uint16, gpu)


def as_uint8(planes: Array, gpu: Gpu) -> Array:
    """Give planes of a device, uint16 with counts up to 255, as uint8."""
    return _convert("narrow", planes, np.uint8, gpu)


def _convert(name: str, planes: Array, dtype: Any, gpu: Gpu) -> Array:
    converted = gpu.empty(planes.shape, dtype)
    if planes.size:
        blocks = min(_MOST_BLOCKS, -(-planes.size // (8 * _THREADS)))
        gpu.kernel("planes", name)((blocks,), (_THREADS,), (planes, np.int64(planes.size), converted))
    return converted
