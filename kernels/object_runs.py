"""Runs of an object's pixels along rows, for each of the sets that it is part of, and the rows' ends."""

from __future__ import annotations

import numpy as np

from kernels.compiled import compiled


@compiled
def make_runs(n_sets, boxes):  # pyright: ignore[reportMissingParameterType]
    """Make room for the runs of any object that is not ragged, shape ``(s, r, 3)``, int32."""
    rows = 0
    for box in boxes:
        rows = max(rows, box[2] - box[0])
    return np.empty((n_sets, 2 * rows + 16, 3), np.int32)


@compiled
def list_runs(position, member, width, box, runs, count):  # pyright: ignore[reportMissingParameterType]
    """List the runs of one object in each set.

    Parameters
    ----------
    position, member
        The object's part of ``ObjectSets.position`` and ``ObjectSets.member``.
    width
        Columns of the plane.
    box
        The object's box.
    runs
        Room for the runs, int32, shape ``(s, r, 3)``.
    count
        Becomes the number of runs of each set; shape ``(s,)``.

    Returns
    -------
    The runs, each as row, first column, column behind the last, counted from the box, in raster order: in the room
    that was given, or in a greater one if that was too small.
    """
    most = _list(position, member, width, box, runs, count)
    if most > runs.shape[1]:
        runs = np.empty((runs.shape[0], most, 3), np.int32)
        _list(position, member, width, box, runs, count)
    return runs


@compiled
def _list(position, member, width, box, runs, count):  # pyright: ignore[reportMissingParameterType]
    """List as many runs as there is room for; give the greatest number that a set has."""
    n_sets, room = runs.shape[0], runs.shape[1]
    count[:] = 0
    row, row_start = 0, box[0] * width + box[1]
    row_end = row_start - box[1] + width
    before, bits = -2, 0
    for index in range(position.size):
        place, now = position[index], member[index] & 7
        joins = place == before + 1 and place < row_end
        if not joins or now != bits:
            ends = bits & ~now if joins else bits
            begins = now & ~bits if joins else now
            column = before + 1 - row_start
            for z in range(n_sets):
                if ends >> z & 1:
                    if count[z] < room:
                        runs[z, count[z], 2] = column
                    count[z] += 1
            while place >= row_end:
                row += 1
                row_start += width
                row_end += width
            for z in range(n_sets):
                if begins >> z & 1 and count[z] < room:
                    runs[z, count[z], 0] = row
                    runs[z, count[z], 1] = place - row_start
        before, bits = place, now
    most = 0
    for z in range(n_sets):
        if bits >> z & 1:
            if count[z] < room:
                runs[z, count[z], 2] = before + 1 - row_start
            count[z] += 1
        most = max(most, count[z])
    return most


@compiled
def find_row_ends(runs, count, left, right):  # pyright: ignore[reportMissingParameterType]
    """Find the first and the last column of each row of one set's runs, and its rows and columns.

    ``left`` and ``right`` begin at the set's first row; a row without a pixel gets ``left > right``. Returns first row,
    first column, row behind the last, column behind the last, counted as the runs are.
    """
    top, bottom = runs[0, 0], runs[count - 1, 0] + 1
    for row in range(bottom - top):
        left[row], right[row] = 1 << 30, -1
    first, last = runs[0, 1], runs[0, 2]
    for index in range(count):
        row = runs[index, 0] - top
        left[row] = min(left[row], runs[index, 1])
        right[row] = runs[index, 2] - 1
        first, last = min(first, runs[index, 1]), max(last, runs[index, 2])
    return top, first, bottom, last
