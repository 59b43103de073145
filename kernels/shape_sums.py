"""What AreaShape is made of: whole numbers and moments of each object of each set, equal on both devices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.convex_hull import find_hull
from kernels.object_moments import MOMENTS, power_sums, reach_of, sum_moments
from kernels.object_runs import find_row_ends, list_runs, make_runs
from kernels.object_sets import Ints, ObjectSets
from kernels.outlines import count_euler, count_outline, draw_bits, find_edge, words_of
from kernels.planes import Floats
from kernels.radii import LEAST_SHORT, count_distances, farthest, measure_depths, room_of_rows, summarise_distances


class ShapeSums(NamedTuple):
    """Sums per set and object; those of an object that is not in a set mean nothing.

    Parameters
    ----------
    boxes
        The object's own box in each set: first row, first column, row and column behind the last; ``(s, k, 4)``.
    moments
        Moments about the pixel ``middle(first, behind)`` of the box; shape ``(s, k, MOMENTS)``, float64.
    patterns
        Pixels of the outline that stand for 1, sqrt(2) and (1 + sqrt(2)) / 2, and the Euler number; ``(s, k, 4)``.
    radii
        As ``kernels.radii.summarise_distances`` says; ``(s, k, 5)``, int64.
    corners
        Corners of the convex hull, ``corner_count[s, k]`` of them from ``corner_start[s, k]`` on in ``corner_y`` and
        ``corner_x``, in the order of ``kernels.convex_hull.find_hull``, in rows and columns of the plane.
    """

    boxes: Ints
    moments: Floats
    patterns: npt.NDArray[np.int64]
    radii: npt.NDArray[np.int64]
    corner_start: npt.NDArray[np.int64]
    corner_count: Ints
    corner_y: Ints
    corner_x: Ints


@compiled
def middle(first, behind):  # pyright: ignore[reportMissingParameterType]
    """Give the row or column about which the moments of a box are taken."""
    return (first + behind - 1) >> 1


def start_corners(boxes: Ints, n_sets: int) -> tuple[npt.NDArray[np.int64], int]:
    """Make room for corners: where those of each set and object begin, shape ``(s, k)``, and the room in all."""
    room = 2 * (boxes[:, 2] - boxes[:, 0]).astype(np.int64) + 1
    first = np.concatenate([[0], np.cumsum(np.tile(room, n_sets))])
    return first[:-1].reshape(n_sets, len(boxes)), int(first[-1])


def empty_sums(boxes: Ints, n_sets: int) -> ShapeSums:
    """Make room for the sums of objects with such boxes."""
    count = len(boxes)
    corner_start, room = start_corners(boxes, n_sets)
    return ShapeSums(
        np.zeros((n_sets, count, 4), np.int32),
        np.zeros((n_sets, count, MOMENTS)),
        np.zeros((n_sets, count, 4), np.int64),
        np.zeros((n_sets, count, 5), np.int64),
        corner_start,
        np.zeros((n_sets, count), np.int32),
        np.empty(room, np.int32),
        np.empty(room, np.int32),
    )


def sum_shapes(objects: ObjectSets) -> ShapeSums:
    """Go over the objects of the sets, on the host."""
    boxes = objects.boxes
    sums = empty_sums(boxes, objects.n_sets)
    if objects.count:
        powers = power_sums(reach_of(int((boxes[:, 3] - boxes[:, 1]).max())))
        most = int(farthest(int((boxes[:, 2] - boxes[:, 0]).max()), int((boxes[:, 3] - boxes[:, 1]).max())))
        roots = np.sqrt(np.arange(most * most + 1, dtype=np.float64))
        plane = (objects.position, objects.member, objects.start, boxes, objects.labels.shape[2])
        _sum_all(*plane, powers, roots, *sums)
    return sums


@compiled
def _sum_all(
    position,  # pyright: ignore[reportMissingParameterType]
    member,  # pyright: ignore[reportMissingParameterType]
    start,  # pyright: ignore[reportMissingParameterType]
    outer_boxes,  # pyright: ignore[reportMissingParameterType]
    width,  # pyright: ignore[reportMissingParameterType]
    powers,  # pyright: ignore[reportMissingParameterType]
    roots,  # pyright: ignore[reportMissingParameterType]
    boxes,  # pyright: ignore[reportMissingParameterType]
    moments,  # pyright: ignore[reportMissingParameterType]
    patterns,  # pyright: ignore[reportMissingParameterType]
    radii,  # pyright: ignore[reportMissingParameterType]
    corner_start,  # pyright: ignore[reportMissingParameterType]
    corner_count,  # pyright: ignore[reportMissingParameterType]
    corner_y,  # pyright: ignore[reportMissingParameterType]
    corner_x,  # pyright: ignore[reportMissingParameterType]
):
    n_sets = boxes.shape[0]
    rows, columns, words, pixels = 0, 0, 0, 0
    for box in outer_boxes:
        down, across = box[2] - box[0], box[3] - box[1]
        rows, columns = max(rows, down), max(columns, across)
        words, pixels = max(words, (down + 2) * words_of(across)), max(pixels, (down + 2) * across)
    runs, found = make_runs(n_sets, outer_boxes), np.zeros(n_sets, np.int64)
    left, right = np.empty(rows, np.int32), np.empty(rows, np.int32)
    hull_y, hull_x = np.empty(2 * rows + 1, np.int32), np.empty(2 * rows + 1, np.int32)
    bits, edge = np.empty(words, np.uint64), np.empty(words, np.uint64)
    counts = np.zeros(roots.size, np.int64)
    short, long = _distance_buffers(rows, columns, pixels)
    for index in range(outer_boxes.shape[0]):
        outer, begin, end = outer_boxes[index], start[index], start[index + 1]
        runs = list_runs(position[begin:end], member[begin:end], width, outer, runs, found)
        for z in range(n_sets):
            if found[z] == 0:
                continue
            top, first, bottom, behind = find_row_ends(runs[z], found[z], left, right)
            box = boxes[z, index]
            box[0], box[1], box[2], box[3] = outer[0] + top, outer[1] + first, outer[0] + bottom, outer[1] + behind
            sum_moments(runs[z], found[z], middle(top, bottom), middle(first, behind), powers, moments[z, index])
            corners = find_hull(left, right, bottom - top, hull_y, hull_x)
            corner_count[z, index] = corners
            place = corner_start[z, index]
            for corner in range(corners):
                corner_y[place + corner] = hull_y[corner] + box[0]
                corner_x[place + corner] = hull_x[corner] + outer[1]
            _count_patterns(runs[z], found[z], top, first, bottom, behind, bits, edge, patterns[z, index])
            if farthest(bottom - top, behind - first) <= LEAST_SHORT:
                _sum_radii(runs[z], found[z], top, first, bottom, behind, short, counts, roots, radii[z, index])
            else:
                _sum_radii(runs[z], found[z], top, first, bottom, behind, long, counts, roots, radii[z, index])


@compiled
def _distance_buffers(rows, columns, pixels):  # pyright: ignore[reportMissingParameterType]
    """Make room for distances: of 16 bits for most objects, of 32 bits too where one may need them."""
    most = farthest(rows, columns)
    of_32 = pixels if most > LEAST_SHORT else 0
    of_16 = pixels
    row, whole = room_of_rows(rows, columns)
    short = (np.empty(of_16, np.uint16), np.empty(row, np.uint16), np.empty(whole, np.uint16))
    long = (np.empty(of_32, np.uint32), np.empty(row, np.uint32), np.empty(whole, np.uint32))
    return short, long


@compiled
def _count_patterns(runs, count, top, first, bottom, behind, bits, edge, patterns):  # pyright: ignore[reportMissingParameterType]
    rows, words = bottom - top + 2, words_of(behind - first)
    drawn, rim = bits[: rows * words].reshape(rows, words), edge[: rows * words].reshape(rows, words)
    draw_bits(runs, count, top, first, drawn)
    find_edge(drawn, rim)
    count_outline(rim, patterns)
    patterns[3] = count_euler(drawn)


@compiled
def _sum_radii(runs, count, top, first, bottom, behind, buffers, counts, roots, radii):  # pyright: ignore[reportMissingParameterType]
    all_depths, padded, nearest = buffers
    rows, columns = bottom - top, behind - first
    depth = all_depths[: (rows + 2) * columns].reshape(rows + 2, columns)
    row, whole = room_of_rows(rows, columns)
    padded[:row] = 0
    nearest[:whole] = 0
    measure_depths(runs, count, top, first, depth)
    greatest = count_distances(depth, padded, nearest, counts)
    summarise_distances(counts, greatest, roots, radii)
