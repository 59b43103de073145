"""The place of each pixel in its object: its ring between centre and edge, and its wedge around the centre."""

from __future__ import annotations

import numpy as np

from kernels.compiled import compiled
from kernels.geodesic_paths import DIAGONAL, FAR, FAR_WIDE, STRAIGHT, spread_paths

WEDGES = 8
MOST_BINS = 31
NOWHERE = 255
"""Place of pixels in no ring; elsewhere it is ``ring * WEDGES + wedge``, which for ``MOST_BINS`` is below it."""
CLEARANCE_PX = 0.001
"""CellProfiler adds it to the way from the centre to the edge, so that no pixel is at the very edge."""
_CHUNK = 64
"""Pixels whose rings are found together: loops of fixed length become vector instructions without a rest."""


@compiled
def place_objects(labels, squares, centres, boxes, bins, is_wide, places):
    """Write the place of each pixel of one plane's objects; ``is_wide`` measures all paths in 64 bits."""
    most = 0
    for index in range(len(boxes)):
        box = boxes[index]
        most = max(most, _padded((box[2] - box[0] + 2) * (box[3] - box[1] + 2)))
    buffers = np.empty((2, most), np.uint32)
    edges, rings = np.zeros(most, np.int32), np.empty(most, np.uint8)
    is_fresh = np.empty((2, len(labels) + 2), np.bool_)
    for index in range(len(boxes)):
        if centres[index] < 0:
            continue
        part = (labels, squares, centres[index], boxes[index], index + 1, edges, rings, is_fresh)
        if is_wide or not _place_object(part, buffers, np.uint32(FAR), bins, places):
            _place_object(part, np.empty((2, most), np.uint64), np.uint64(FAR_WIDE), bins, places)


@compiled
def _padded(size):
    return (size + _CHUNK - 1) // _CHUNK * _CHUNK


@compiled
def _place_object(part, buffers, far, bins, places):
    """Write the places of one object; False if some path may be too long for its type."""
    labels, squares, centre, box, label, edges, rings, is_fresh = part
    kind = buffers.dtype.type
    top, left = np.int64(box[0]), np.int64(box[1])
    height, width = np.int64(box[2]) - top, np.int64(box[3]) - left
    across = width + 2
    size = (height + 2) * across
    buffers[0, : _padded(size)] = far
    buffers[1, : across + 1] = far
    buffers[1, size - across - 1 : size] = far
    for y in range(height):
        row, near = labels[top + y, left : left + width], squares[top + y, left : left + width]
        first = (y + 1) * across + 1
        wall, edge = buffers[1, first : first + width + 2], edges[first : first + width]
        for x in range(width):
            wall[x] = kind(0) if row[x] == label else far
            edge[x] = near[x]
        wall[width] = wall[width + 1] = far
    down, right = centre // labels.shape[1] - top, centre % labels.shape[1] - left
    buffers[0, (down + 1) * across + right + 1] = 0
    paths = buffers[0, :size].reshape((height + 2, across))
    spread_paths(paths, buffers[1, :size].reshape(paths.shape), down + 1, kind(STRAIGHT), kind(DIAGONAL), is_fresh)
    if height * width * DIAGONAL >= FAR - DIAGONAL and _is_long(buffers[0, :size], far):
        return False
    _find_rings(buffers[0], edges, size, bins, rings)
    for y in range(height):
        line = places[top + y, left : left + width]
        _place_row(paths, y + 1, rings, far, y - down, -right, line)
    return True


@compiled
def _is_long(paths, far):
    kind = paths.dtype.type
    longest = kind(0)
    for i in range(len(paths)):
        longest = max(longest, paths[i] if paths[i] < far else kind(0))
    return longest >= far - DIAGONAL


@compiled
def _find_rings(paths, edges, size, bins, rings):
    """Find the ring of each pixel: ring k begins where length / (length + way to the edge) is k / bins."""
    lengths, ways, found = np.empty(_CHUNK), np.empty(_CHUNK), np.empty(_CHUNK)
    for start in range(0, size, _CHUNK):
        path, edge, ring = paths[start : start + _CHUNK], edges[start : start + _CHUNK], rings[start : start + _CHUNK]
        for x in range(_CHUNK):
            lengths[x] = np.float64(path[x])
            ways[x] = STRAIGHT * (np.sqrt(np.float64(edge[x])) + CLEARANCE_PX)
            found[x] = 0.0
        for k in range(1, bins):
            inner, outer = np.float64(k), np.float64(bins - k)
            for x in range(_CHUNK):
                found[x] += 1.0 if lengths[x] * outer >= inner * ways[x] else 0.0
        for x in range(_CHUNK):
            ring[x] = np.uint8(np.int32(found[x]))


@compiled
def _place_row(paths, y, rings, far, down, across, places):
    """Write the places of a row that lies ``down`` rows below the centre and begins ``across`` columns beside it."""
    below, steep = np.int32(down > 0), np.int32(abs(down))
    ring = rings[y * paths.shape[1] + 1 : (y + 1) * paths.shape[1] - 1]
    for x in range(len(places)):
        step = np.int32(across + x)
        wedge = below + 2 * np.int32(step > 0) + 4 * np.int32(steep > abs(step))
        place = np.uint8(np.int32(np.int32(ring[x]) * np.int32(WEDGES)) + wedge)
        places[x] = place if paths[y, x + 1] < far else places[x]
