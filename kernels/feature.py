"""What one feature column is: an entry of the feature dictionary, as each family describes its own."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kernels.planes import Floats

IMAGE = "Image"
"""Object set of features of whole images."""


class Feature(NamedTuple):
    """One column of one object set.

    ``name`` is CellProfiler's, without the object set (``Intensity_MeanIntensity_DNA``); ``channel`` is empty for
    features of form and ``"DNA,ER"`` for those of two channels; ``unit`` is ``"1"`` where there is none; ``null_when``
    says which objects of the set have no value, a clause without a full stop, and is empty where each has one;
    ``source`` where the definition is from.
    """

    name: str
    family: str
    channel: str
    unit: str
    definition: str
    null_when: str
    source: str


class FeatureDescription(NamedTuple):
    """One column of the feature dictionary: a ``Feature`` of the object set ``objects``, whose name begins its name."""

    name: str
    family: str
    objects: str
    channel: str
    unit: str
    definition: str
    null_when: str = ""
    source: str = ""


def empty_values(sets: int, features: int, count: int) -> Floats:
    """Make the array that a family fills: shape ``(s, f, k)``, NaN where an object is not in a set."""
    return np.full((sets, features, count), np.nan)
