"""Haralick's 13 features from the whole-number state of a co-occurrence matrix: one way for both devices."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled
from kernels.planes import Floats
from kernels.texture_scan import (
    CONTRAST,
    DIFFERENCE_TERMS,
    ENTRY_TERMS,
    EQUAL_PAIRS,
    LEVEL_TERMS,
    LEVELS,
    NEARNESS,
    NEARNESS_ONE,
    PAIRS,
    SQUARED_DIFFERENCES,
    SQUARED_ENTRIES,
    SQUARED_LEVELS,
    SUM_TERMS,
)
from kernels.texture_terms import BITS, look_up_term

HARALICK = {
    "AngularSecondMoment": "",
    "Contrast": "",
    "Correlation": "",
    "Variance": "",
    "InverseDifferenceMoment": "",
    "SumAverage": "",
    "SumVariance": "",
    "SumEntropy": "",
    "Entropy": "",
    "DifferenceVariance": "",
    "DifferenceEntropy": "",
    "InfoMeas1": "",
    "InfoMeas2": "",
}


@compiled
def finish(sums, levels, areas, terms, values):
    """Compute features (s, c, n, a, 13, k) of state (k, c, n, a, s, STATE)."""
    count, channels, scales, angles, sets, _ = sums.shape
    for z in range(sets):
        for c in range(channels):
            for n in range(scales):
                for index in range(count):
                    of_scale = sums[index, c, n, :, z]
                    is_empty = False
                    for a in range(angles):
                        is_empty |= of_scale[a, PAIRS] == 0
                    for a in range(angles):
                        if areas[z, index] == 0:
                            values[z, c, n, a, :, index] = np.nan
                        elif is_empty:
                            values[z, c, n, a, :, index] = 0.0
                        else:
                            _finish_one(of_scale[a], levels[index, c, 0], levels[index, c, 1 + z], terms, values[z, c, n, a, :, index])


@compiled
def _finish_one(state, least, greatest, terms, values):
    pairs = state[PAIRS]
    pixels = 2 * pairs
    middle = (2 * state[LEVELS] + pixels) // (2 * pixels)
    levels = state[LEVELS] - middle * pixels
    squares = state[SQUARED_LEVELS] - 2 * middle * state[LEVELS] + middle * middle * pixels
    mean = levels / pixels
    variance = squares / pixels - mean * mean
    contrast = state[CONTRAST] / pairs
    unit = float(1 << BITS)
    whole = look_up_term(pairs, terms)
    whole_twice = 2 * whole + (pixels << BITS)
    of_levels = whole_twice - state[LEVEL_TERMS]
    of_entries = whole_twice - 2 * state[ENTRY_TERMS] - (2 * state[EQUAL_PAIRS] << BITS)
    surplus = of_entries - 2 * of_levels
    range_ = float(greatest + 1)
    values[0] = 2.0 * state[SQUARED_ENTRIES] / pixels / pixels
    values[1] = contrast
    values[2] = 1.0 - 0.5 * contrast / variance if squares else 1.0
    values[3] = variance
    values[4] = (state[EQUAL_PAIRS] + state[NEARNESS] / float(NEARNESS_ONE)) / pairs
    values[5] = 2.0 * (mean + (middle + least - 1))
    values[6] = 4.0 * variance - contrast
    values[7] = (whole - state[SUM_TERMS]) / unit / pairs
    values[8] = of_entries / unit / pixels
    values[9] = state[SQUARED_DIFFERENCES] / float(pairs) / float(pairs) / range_ - 1.0 / range_ / range_
    values[10] = (whole - state[DIFFERENCE_TERMS]) / unit / pairs
    values[11] = surplus / of_levels if of_levels else surplus / unit / pixels
    information = 1.0 - math.exp(2.0 * (surplus / unit / pixels))
    values[12] = math.sqrt(information) if information > 0.0 else 0.0
