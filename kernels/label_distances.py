"""Exact squared distances inside the objects of a label image to the nearest pixel of another label."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.planes import Labels, check_label_image

GREATEST_SIDE = 32_767
"""Of a plane, pixels: squared distances stay below 2**31."""

_NONE = 65_535
"""Stands for "no other label in this column"."""
_CHUNK = 64
"""Pixels of a row that are closed together: a loop of fixed length becomes a few vector instructions."""
_NARROW = 181
"""Greatest distance whose square, with that of a step of one pixel less, fits into 16 bits."""


def squared_distances(labels: Labels, *, frame_counts: bool) -> npt.NDArray[np.int32]:
    """Measure for each pixel of an object how far the nearest pixel of another label (0 included) is.

    Parameters
    ----------
    labels
        Shape ``(y, x)``, integer, 0 outside objects, sides of at most ``GREATEST_SIDE`` pixels.
    frame_counts
        Whether what lies beyond the plane is of another label. It is for the radii of an object (CellProfiler pads its
        crop), and is not for its radial distribution (CellProfiler's ``distance_to_edge``).

    Returns
    -------
    Squared distance in pixels, exact, shape ``(y, x)``, int32, 0 outside objects. Where one object fills the plane and
    the frame does not count there is nothing to measure to; as SciPy does, and CellProfiler through it, the distance to
    the pixel above the plane's first one is given.

    Raises
    ------
    TypeError, ValueError
        If ``labels`` is no plane of integers, or too large.
    """
    check_label_image("labels", labels)
    if max(labels.shape) > GREATEST_SIDE:
        raise ValueError(f"labels must have sides of at most {GREATEST_SIDE} pixels, got {labels.shape}")
    squares = np.empty(labels.shape, np.int32)
    if labels.size:
        columns = np.empty(labels.shape, np.uint16)
        fill_squared_distances(np.ascontiguousarray(labels, np.int32), frame_counts, columns, squares)
    return squares


@compiled
def fill_squared_distances(labels, frame_counts, above, squares):
    """Fill ``squares`` (int32); ``above`` (uint16) is a work buffer. Labels are int32, all have shape ``(y, x)``.

    Distances along columns come from above and then from below; a row that has both is closed along its runs at once.
    """
    height, width = labels.shape
    frame = np.uint16(1 if frame_counts else _NONE)
    below = np.empty(width, np.uint16)
    narrow = np.empty((2, 3 * width + 2 + _CHUNK), np.uint16)
    wide = np.empty((2, 3 * width + 2 + _CHUNK), np.int64)
    _begin_column(labels[0], frame, above[0])
    for y in range(1, height):
        _go_along_column(labels[y - 1], labels[y], above[y - 1], above[y])
    _begin_column(labels[height - 1], frame, below)
    for y in range(height - 1, -1, -1):
        if y < height - 1:
            _go_along_column(labels[y + 1], labels[y], below, below)
        nearest = above[y]
        for x in range(width):
            nearest[x] = min(nearest[x], below[x])
        _close_row(y, labels[y], nearest, frame_counts, narrow, wide, squares[y])


@compiled
def _begin_column(labels, frame, distance):
    for x in range(len(labels)):
        distance[x] = frame if labels[x] != 0 else np.uint16(0)


@compiled
def _go_along_column(before, labels, known, distance):
    for x in range(len(labels)):
        further = np.uint16(min(known[x], np.uint16(_NONE - 1)) + 1)
        further = further if before[x] == labels[x] else np.uint16(1)
        distance[x] = further if labels[x] != 0 else np.uint16(0)


@compiled
def _close_row(y, labels, nearest, frame_counts, narrow, wide, squares):
    """Find the squared distances of a row from the distances along its columns, run by run."""
    width = len(labels)
    x = 0
    while x < width:
        label = labels[x]
        first = x
        while x < width and labels[x] == label:
            x += 1
        if label == 0:
            squares[first:x] = 0
            continue
        run = nearest[first:x]
        most = np.uint16(0)
        for i in range(len(run)):
            most = max(most, run[i])
        is_bounded_left, is_bounded_right = first > 0 or frame_counts, x < width or frame_counts
        reach = min(np.int64(most) - 1, len(run))
        if is_bounded_left and is_bounded_right:
            reach = min(reach, (len(run) + 1) // 2)
        if most <= _NARROW:
            _square_narrow(run, narrow[0], reach)
            _close_run(narrow, reach, len(run), is_bounded_left, is_bounded_right, np.uint16(32_767))
            squares[first:x] = narrow[1, : len(run)]
            continue
        _square_wide(run, wide[0], reach)
        _close_run(wide, reach, len(run), is_bounded_left, is_bounded_right, np.int64(1 << 40))
        for i in range(len(run)):
            square = wide[1, i]
            squares[first + i] = square if square < 1 << 40 else (y + 1) ** 2 + (first + i) ** 2


@compiled
def _square_narrow(run, squares, offset):
    target = squares[offset + 1 : offset + 1 + len(run)]
    for i in range(len(run)):
        target[i] = np.uint16(run[i] * run[i])


@compiled
def _square_wide(run, squares, offset):
    for i in range(len(run)):
        distance = np.int64(run[i])
        squares[offset + 1 + i] = distance * distance if distance < _NONE else 1 << 40


@compiled
def _close_run(rows, reach, length, is_bounded_left, is_bounded_right, none):
    """Write the least ``square + step ** 2`` to ``rows[1]``; ``rows[0]`` has squares from ``reach + 1`` on."""
    along, least = rows[0], rows[1]
    kind = rows.dtype.type
    zero = kind(0)
    for step in range(reach + 1):
        along[step] = zero if is_bounded_left else none
        along[reach + 1 + length + step] = zero if is_bounded_right else none
    first = reach + 1
    least[:length] = along[first : first + length]
    for start in range(0, length, _CHUNK):
        chunk = least[start : start + _CHUNK]
        farthest = min(reach, start + _CHUNK) if is_bounded_left else reach
        farthest = min(farthest, length - start) if is_bounded_right else farthest
        begin = first + start
        for step in range(1, farthest + 1):
            square = kind(step * step)
            left, right = along[begin - step : begin - step + _CHUNK], along[begin + step : begin + step + _CHUNK]
            for i in range(_CHUNK):
                chunk[i] = min(chunk[i], kind(min(left[i], right[i]) + square))
