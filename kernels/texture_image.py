"""The texture of whole planes on the CPU: every pixel and every grey level counts, 0 too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.texture_scan import look_up_levels
from kernels.texture_state import (
    ANGLES,
    STATE,
    Bytes,
    Integers,
    TextureState,
    bits_of,
    list_keys,
    nearness_table,
    subtract,
    sum_entries,
    sum_marginals,
)
from kernels.texture_terms import first_terms


def scan_planes(planes: npt.NDArray[np.uint16], tables: Bytes, scales: Integers) -> TextureState:
    """Go over planes as if each were one object of one set; see ``kernels.texture_scan.scan_objects``."""
    channels = len(planes)
    sums = np.zeros((1, channels, len(scales), ANGLES, 1, STATE), np.int64)
    levels = np.zeros((1, channels, 2), np.int32)
    for channel in range(channels):
        drawn = np.empty(planes.shape[1:], np.uint8)
        look_up_levels(planes[channel].ravel(), tables[channel], drawn.ravel())
        least, greatest = int(drawn.min()), int(drawn.max())
        levels[0, channel] = least + 1, greatest
        drawn -= np.uint8(least)
        _scan(drawn, greatest - least + 1, scales, first_terms(), nearness_table(), sums[0, channel])
    return TextureState(sums, levels)


@compiled
def _scan(drawn, most, scales, terms, nearness, sums):
    height, width = drawn.shape
    shift = bits_of(most - 1)
    counts = np.zeros((ANGLES, most << shift), np.uint32)
    keys = np.empty((ANGLES, width), np.uint16)
    listed, marginals = np.empty(65_537, np.uint16), np.zeros((3, 512), np.uint64)
    for k in range(len(scales)):
        step = scales[k]
        if height <= step or width <= step:
            continue
        reach = width - step
        for y in range(height):
            row = drawn[y]
            subtract(row[:reach], row[step:], 1 << shift, keys[0, :reach])
            if y + step >= height:
                _count_row(keys[0, :reach], counts[0])
                continue
            below = drawn[y + step]
            subtract(row[:reach], below[step:], 1 << shift, keys[1, :reach])
            subtract(row, below, 1 << shift, keys[2])
            subtract(row[step:], below[:reach], 1 << shift, keys[3, :reach])
            _count_rows(keys[0], keys[1], keys[2], keys[3], reach, counts[0], counts[1], counts[2], counts[3])
            _count_row(keys[2, reach:], counts[2])
        for angle in range(ANGLES):
            found = list_keys(counts[angle], 0, most, shift, listed)
            sum_entries(counts[angle], listed, found, shift, 63, terms, marginals, sums[k, angle])
            sum_marginals(marginals, most, 63, terms, nearness, sums[k, angle])


@compiled
def _count_row(keys, counts):
    for t in range(len(keys)):
        counts[keys[t]] += np.uint32(1)


@compiled
def _count_rows(keys0, keys1, keys2, keys3, size, counts0, counts1, counts2, counts3):
    """Count the pairs of all angles side by side, as equal pairs that follow each other wait for one another."""
    for t in range(size):
        counts0[keys0[t]] += np.uint32(1)
        counts1[keys1[t]] += np.uint32(1)
        counts2[keys2[t]] += np.uint32(1)
        counts3[keys3[t]] += np.uint32(1)
