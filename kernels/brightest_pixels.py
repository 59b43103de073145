"""Which of an object's equally bright pixels is its brightest: the one that CellProfiler takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.object_sets import ObjectSets
from kernels.radial_centres import choose_centres


def choose_brightest(
    planes: npt.NDArray[np.uint16],
    objects: ObjectSets,
    greatest: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Choose the brightest pixel of each object as CellProfiler does.

    It sorts all objects' pixels of a set by an unstable sort, of which the last of equal values is taken
    (``kernels.radial_centres``); so the choice depends on every pixel. Nothing is sorted where nothing is equal.

    Parameters
    ----------
    planes
        Shape ``(c, y, x)``, uint16.
    objects
        Objects of s sets on these planes.
    greatest, first
        Greatest count of each object and the first pixel that has it, shape ``(k, s, c)``, int64.

    Returns
    -------
    Index ``y * width + x`` of the pixel, shape ``(k, s, c)``, int64; that of ``first`` where it is alone.
    """
    chosen = first.copy()
    ties = np.zeros(greatest.shape, np.int32)
    _count_ties(
        planes.reshape(len(planes), int(np.prod(planes.shape[1:]))),
        objects.start,
        objects.position,
        objects.member,
        greatest,
        ties,
    )
    for z, labels in enumerate(objects.labels):
        channels = np.flatnonzero((ties[:, z] > 1).any(axis=0))
        if not channels.size:
            continue
        inside = np.flatnonzero(labels)
        owner = labels.ravel()[inside]
        for c in channels:
            counts = planes[c].ravel()[inside].astype(np.int32) + 1  # the sort passes over zeros
            most = np.where(objects.area[z] > 0, greatest[:, z, c] + 1, 0).astype(np.int32)
            begin = np.searchsorted(inside, first[:, z, c])
            places = choose_centres(owner, counts, most, ties[:, z, c].copy(), begin, "cellprofiler")
            is_tied = ties[:, z, c] > 1
            chosen[is_tied, z, c] = inside[places[is_tied]]
    return chosen


@compiled
def _count_ties(flat, start, position, member, greatest, ties):  # pyright: ignore[reportMissingParameterType]
    objects, sets, channels = greatest.shape
    for c in range(channels):
        plane = flat[c]
        for k in range(objects):
            least = greatest[k, 0, c]
            for z in range(1, sets):
                least = min(least, greatest[k, z, c])
            for index in range(start[k], start[k + 1]):
                count = plane[position[index]]
                if count < least:
                    continue
                for z in range(sets):
                    if count == greatest[k, z, c] and member[index] >> z & 1:
                        ties[k, z, c] += 1
