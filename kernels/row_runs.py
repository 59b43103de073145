"""Runs of equal labels along the rows of a label image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.object_sets import Ints
from kernels.planes import Labels


def list_row_runs(labels: Labels) -> tuple[npt.NDArray[np.int64], Ints]:
    """List the runs of a label image.

    Parameters
    ----------
    labels
        Shape ``(y, x)``, integer, 0 outside objects, no label above 2**31 - 1.

    Returns
    -------
    Where each row's runs begin, shape ``(y + 1,)``, and the runs in raster order, shape ``(r, 3)``, int32: first
    column, column behind the last, label.
    """
    plane = np.ascontiguousarray(labels, np.int32)
    first = np.zeros(plane.shape[0] + 1, np.int64)
    _count(plane, first)
    runs = np.empty((int(first[-1]), 3), np.int32)
    _list(plane, runs)
    return first, runs


@compiled
def _count(labels, first):  # pyright: ignore[reportMissingParameterType]
    height, width = labels.shape
    for y in range(height):
        row = labels[y]
        found = 0
        if width > 0 and row[0] != 0:
            found = 1
        for x in range(1, width):
            found += (row[x] != row[x - 1]) & (row[x] != 0)
        first[y + 1] = first[y] + found


@compiled
def _list(labels, runs):  # pyright: ignore[reportMissingParameterType]
    height, width = labels.shape
    index = 0
    for y in range(height):
        row = labels[y]
        x = 0
        while x < width:
            label = row[x]
            if label == 0:
                x += 1
                continue
            runs[index, 0], runs[index, 2] = x, label
            while x < width and row[x] == label:
                x += 1
            runs[index, 1] = x
            index += 1
