"""Exact Euclidean distances to the background."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.planes import Floats

_MOST_STEPS = 16
"""Steps per pixel after which OpenCV's transform is the faster one."""
_FAR = 30_000


def measure_distance(foreground: npt.NDArray[np.uint8]) -> Floats:
    """Measure each pixel's distance to the nearest pixel of the background.

    Squared distances are whole numbers. OpenCV, which is faster in large objects, gives the distance in float32, and
    its last bit depends on where in memory the plane lies; it is rounded to that whole number, so that the same plane
    gives the same bits.

    Parameters
    ----------
    foreground
        Shape ``(y, x)``, uint8, 0 is background. What lies beyond the plane counts as foreground.

    Returns
    -------
    Distance in pixels, shape ``(y, x)``, float64, 0 on the background. Exact below 2,000 pixels.
    """
    near, is_done = _measure_near(foreground, _MOST_STEPS * foreground.size)
    if is_done:
        return near
    distance = cv2.distanceTransform(foreground, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.sqrt(np.rint(np.square(distance, dtype=np.float64)))


@compiled
def _measure_near(foreground, most_steps):  # pyright: ignore[reportMissingParameterType]
    """Distances, and whether they were found in so many steps: each pixel costs as many as it is deep.

    First the distance to the background along the column, then the least along the line of its square and the square
    of the way there (Saito and Toriwaki 1994).
    """
    rows, columns = foreground.shape
    along = np.empty((rows, columns), np.int32)
    found = np.zeros((rows, columns), np.float64)
    for x in range(columns):
        along[0, x] = _FAR if foreground[0, x] else 0
    for y in range(1, rows):
        for x in range(columns):
            along[y, x] = along[y - 1, x] + 1 if foreground[y, x] else 0
    for y in range(rows - 2, -1, -1):
        for x in range(columns):
            along[y, x] = min(along[y, x], along[y + 1, x] + 1)
    steps = 0
    for y in range(rows):
        for x in range(columns):
            if not foreground[y, x]:
                continue
            best, away = np.int64(along[y, x]) * along[y, x], 1
            while away * away < best:
                is_beyond = True
                if x >= away:
                    best = min(best, np.int64(along[y, x - away]) * along[y, x - away] + away * away)
                    is_beyond = False
                if x + away < columns:
                    best = min(best, np.int64(along[y, x + away]) * along[y, x + away] + away * away)
                    is_beyond = False
                if is_beyond:
                    break
                away += 1
            found[y, x] = np.sqrt(np.float64(best))
            steps += away
        if steps > most_steps:
            return found, False
    return found, True
