"""How well features agree with CellProfiler's own on the golden site: columns within tolerance, by family."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

TOLERANCES = {
    "Intensity": 1e-6,
    "Location": 1e-6,
    "Texture": 1e-6,
    "AreaShape": 1e-6,
    "Granularity": 1e-3,
    "RadialDistribution": 2e-4,
    "Correlation": 1e-3,
    "Neighbors": 1e-6,
    "Parent": 0,
    "Children": 0,
}
"""Relative; CellProfiler adds radial distributions in single precision."""
_PEARSON = re.compile(r"Correlation_Correlation_")
_OTHER = re.compile(
    r"mito_tubeness|mito_skel|ObjectSkeleton_|Parent_NucleiIncludingEdges|ImageNumber|ObjectNumber$|Number_Object_Number"
)
"""Columns of derived images and of objects that the pipeline dropped; and what identifies a row."""
_ZEROS = re.compile(r"CentralMoment_(0_1|1_0)$|HuMoment|NormalizedMoment|_Zernike|InfoMeas|DifferenceVariance")


@dataclass
class Agreement:
    """Columns of one family: how many there are, how many agree, the worst relative error of those, and the rest."""

    columns: int = 0
    within: int = 0
    worst: float = 0.0
    outside: dict[str, str] = field(default_factory=dict)


def compare(ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]) -> dict[str, Agreement]:
    """Compare columns by CellProfiler's names, shape ``(k,)`` each; NaN where CellProfiler has a number is an error."""
    found: dict[str, Agreement] = {}
    for name, values in theirs.items():
        if _OTHER.search(name):
            continue
        family = name.partition("_")[0]
        agreement = found.setdefault(family, Agreement())
        agreement.columns += 1
        tolerance = 1e-6 if _PEARSON.match(name) else TOLERANCES[family]
        fault, error = _difference(ours.get(name), values, tolerance, absolute=_absolute(name, values))
        if fault:
            agreement.outside[name] = fault
        else:
            agreement.within += 1
            agreement.worst = max(agreement.worst, error)
    return found


def _absolute(name: str, values: np.ndarray) -> float:
    """What counts as zero: rounding of theoretical zeros, relative to what the column is made of."""
    scale = float(np.nanmax(np.abs(values), initial=0))
    if re.search(r"CentralMoment_(0_1|1_0)$", name):
        return 1e-3
    return 1e-12 + (1e-9 * scale if _ZEROS.search(name) else 0.0)


def _difference(ours: np.ndarray | None, theirs: np.ndarray, tolerance: float, *, absolute: float) -> tuple[str, float]:
    """What is wrong with a column, if anything, and its worst relative error."""
    if ours is None:
        return "is missing", 0.0
    lost = np.isnan(ours) & ~np.isnan(theirs)
    if lost.any():
        return f"is NULL for {int(lost.sum())} of {lost.size} objects", 0.0
    both = ~np.isnan(theirs) & ~np.isnan(ours)
    difference = np.abs(ours[both] - theirs[both])
    error = np.where(difference <= absolute, 0, difference / np.maximum(np.abs(theirs[both]), 1e-300))
    worst = float(error.max(initial=0))
    if worst > tolerance:
        return f"{int((error > tolerance).sum())} of {error.size} objects differ, by up to {worst:.1e}", worst
    return "", worst
