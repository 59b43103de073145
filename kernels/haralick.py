"""Haralick's features of a co-occurrence matrix, from its whole-number state: one way for both devices."""

from __future__ import annotations

import math

import numpy as np

from kernels.compiled import compiled
from kernels.planes import Floats
from kernels.texture_state import (
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
    Integers,
    TextureState,
)
from kernels.texture_terms import BITS, entropy_term

HARALICK = {
    "AngularSecondMoment": ("1", "Sum of the squared shares: 1 where all pairs have the same two levels."),
    "Contrast": ("level^2", "Mean squared difference of the two levels of a pair."),
    "Correlation": (
        "1",
        "Correlation of the two levels of a pair; 1 where all pixels of pairs have the same level.",
    ),
    "Variance": ("level^2", "Variance of the levels of the pixels of pairs."),
    "InverseDifferenceMoment": ("1", "Mean of 1 / (1 + squared difference of the two levels)."),
    "SumAverage": ("level", "Mean sum of the two levels of a pair."),
    "SumVariance": ("level^2", "Variance of the sum of the two levels: 4 Variance - Contrast."),
    "SumEntropy": ("bit", "Entropy of the sum of the two levels."),
    "Entropy": ("bit", "Entropy of the ordered pairs of levels (each pair is counted in both orders)."),
    "DifferenceVariance": (
        "1",
        "Variance, over the differences from 0 to the greatest level of the object in this set, of the share of pairs "
        "with that difference (not of the difference itself, as in Haralick's paper).",
    ),
    "DifferenceEntropy": ("bit", "Entropy of the difference of the two levels."),
    "InfoMeas1": (
        "1",
        "(Entropy - 2 H) / H, where H is the entropy of the levels of the pixels of pairs; 0 where H is 0.",
    ),
    "InfoMeas2": (
        "1",
        "Square root of 1 - exp(2 (Entropy - 2 H)), 0 where that is negative; H as for InfoMeas1.",
    ),
}
"""Unit and definition of each feature, in the order of the values."""


def finish_texture(state: TextureState, areas: Integers, values: Floats) -> None:
    """Compute the features of k objects.

    Parameters
    ----------
    state
        The objects' matrices.
    areas
        Pixels of each set and object, shape ``(s, k)``.
    values
        Where the features go, shape ``(s, c, scales, 4, 13, k)``: NaN where the object is not in the set; 0 for all
        angles of a scale at which one angle has no pair, as CellProfiler has it.
    """
    _finish(state.sums, state.levels, areas, values)


@compiled
def _finish(sums, levels, areas, values):
    objects, channels, scales, angles, sets, _ = sums.shape
    for index in range(objects):
        for c in range(channels):
            for n in range(scales):
                for z in range(sets):
                    fewest = sums[index, c, n, :, z, PAIRS].min()
                    for a in range(angles):
                        features = values[z, c, n, a, :, index]
                        if fewest > 0:
                            _finish_matrix(
                                sums[index, c, n, a, z], levels[index, c, 0], levels[index, c, 1 + z], features
                            )
                        else:
                            features[:] = 0.0 if areas[z, index] else np.nan


@compiled
def _finish_matrix(state, first, greatest, features):
    """Compute the features of one matrix; ``first`` is the level that its state calls 1."""
    pairs = state[PAIRS]
    pixels = 2 * pairs
    middle = (2 * state[LEVELS] + pixels) // (2 * pixels)
    offsets = state[LEVELS] - middle * pixels  # from the level nearest to the mean: variances cannot cancel
    squares = state[SQUARED_LEVELS] - 2 * middle * state[LEVELS] + middle * middle * pixels
    mean = offsets / pixels
    variance = squares / pixels - mean * mean
    contrast = state[CONTRAST] / pairs
    all_pairs = entropy_term(pairs)
    all_pixels = 2 * all_pairs + (pixels << BITS)
    of_levels = all_pixels - state[LEVEL_TERMS]
    surplus = all_pixels - 2 * state[ENTRY_TERMS] - (2 * state[EQUAL_PAIRS] << BITS) - 2 * of_levels
    bit = float(1 << BITS)
    differences = float(greatest + 1)
    features[0] = 2.0 * state[SQUARED_ENTRIES] / pixels / pixels
    features[1] = contrast
    features[2] = 1.0 - 0.5 * contrast / variance if squares else 1.0
    features[3] = variance
    features[4] = (state[EQUAL_PAIRS] + state[NEARNESS] / float(NEARNESS_ONE)) / pairs
    features[5] = 2.0 * (mean + (middle + first - 1))
    features[6] = 4.0 * variance - contrast
    features[7] = (all_pairs - state[SUM_TERMS]) / bit / pairs
    features[8] = (surplus + 2 * of_levels) / bit / pixels
    features[9] = state[SQUARED_DIFFERENCES] / float(pairs) / float(pairs) / differences - 1.0 / differences**2
    features[10] = (all_pairs - state[DIFFERENCE_TERMS]) / bit / pairs
    features[11] = surplus / of_levels if of_levels else 0.0
    features[12] = math.sqrt(max(1.0 - math.exp(2.0 * (surplus / bit / pixels)), 0.0))
