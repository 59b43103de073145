"""The brightness of objects on a GPU: one launch of ``kernels/cuda/intensity.cu``.

Its CPU version, and what the numbers mean, is ``kernels/intensity_scan.py``.
"""

from __future__ import annotations

import numpy as np

from kernels.gpu import Array
from kernels.intensity_scan import FIELDS, IntensityState
from kernels.object_sets_gpu import GpuObjectSets

_THREADS = 256


def scan_objects_on_gpu(planes: Array, objects: GpuObjectSets) -> IntensityState:
    """Go over objects on planes of the device, shape ``(c, y, x)``, uint16, contiguous; the state is on the host."""
    gpu = objects.gpu
    channels, height, width = planes.shape
    counts = gpu.zeros((objects.count, objects.n_sets, channels, FIELDS), np.int64)
    places = gpu.zeros((objects.count, objects.n_sets, 3), np.int64)
    if objects.count and channels:
        gpu.kernel("intensity", "object_intensity")(
            (objects.count, channels, objects.n_sets),
            (_THREADS,),
            (
                planes,
                np.int64(height * width),
                np.int32(width),
                objects.boxes_there,
                objects.first_there,
                objects.member,
                counts,
                places,
            ),
        )
    return IntensityState(gpu.get(counts), gpu.get(places))
