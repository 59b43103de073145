"""How well an assay separates its controls, Z', robust Z' and SSMD of well values, and how they spread.

With p the positive and n the negative controls, mean m, standard deviation s (n - 1 in the denominator), median M and
D = 1.4826 x the median absolute deviation from the median:

    Z'          1 - 3 (s_p + s_n) / |m_p - m_n|        Zhang, Chung and Oldenburg 1999, J Biomol Screen 4:67
    robust Z'   1 - 3 (D_p + D_n) / |M_p - M_n|        Z' with median for mean and D for s
    SSMD        (m_p - m_n) / sqrt(s_p^2 + s_n^2)      Zhang 2007, Genomics 89:552; independent groups
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

MAD_TO_SD = 1.4826
"""Median absolute deviation -> standard deviation of a normal distribution."""

FEWEST_WELLS = 2
"""A group of controls with fewer wells has no spread."""


@dataclass(frozen=True, slots=True)
class AssayStatistics:
    """Statistics of one feature; ``None`` where undefined, and then ``reason`` says why."""

    feature: str
    z_prime: float | None
    robust_z_prime: float | None
    ssmd: float | None
    n_negcon: int
    n_poscon: int
    reason: str | None
    negcon_mean: float | None = None
    negcon_sd: float | None = None
    poscon_mean: float | None = None
    poscon_sd: float | None = None


def measure_statistics(feature: str, negcon: Iterable[float | None], poscon: Iterable[float | None]) -> AssayStatistics:
    """Measure how well the controls are separated by one feature.

    Parameters
    ----------
    feature
        Name of the feature, for the row.
    negcon, poscon
        One value per control well, in the feature's unit; wells without a value are left out.
    """
    negative, positive = _values(negcon), _values(poscon)
    sizes = len(negative), len(positive)
    spread = *_mean_and_sd(negative), *_mean_and_sd(positive)
    small = [
        f"{name} has {len(group)} well{'' if len(group) == 1 else 's'} with a value, {FEWEST_WELLS} are needed"
        for name, group in (("negcon", negative), ("poscon", positive))
        if len(group) < FEWEST_WELLS
    ]
    if small:
        return AssayStatistics(feature, None, None, None, *sizes, "; ".join(small), *spread)
    z_prime, robust = _z_prime(negative, positive), _robust_z_prime(negative, positive)
    ssmd = _ssmd(negative, positive)
    reasons = [
        reason
        for value, reason in (
            (z_prime, "the controls have the same mean"),
            (robust, "the controls have the same median"),
            (ssmd, "the controls do not vary"),
        )
        if value is None
    ]
    return AssayStatistics(feature, z_prime, robust, ssmd, *sizes, "; ".join(reasons) or None, *spread)


def measure_ssmd(negcon: Iterable[float | None], poscon: Iterable[float | None]) -> float | None:
    """SSMD of two groups of wells; ``None`` with less than two values in either, or where nothing varies."""
    negative, positive = _values(negcon), _values(poscon)
    return _ssmd(negative, positive) if min(len(negative), len(positive)) >= FEWEST_WELLS else None


def robust_sd(values: np.ndarray) -> float:
    """1.4826 x the median absolute deviation of values from their median, shape ``(values,)``, none of them NaN."""
    return float(MAD_TO_SD * np.median(np.abs(values - np.median(values))))


def _values(wells: Iterable[float | None]) -> np.ndarray:
    return np.array([value for value in wells if value is not None and math.isfinite(value)], dtype=np.float64)


def _mean_and_sd(values: np.ndarray) -> tuple[float | None, float | None]:
    mean = float(np.mean(values)) if len(values) else None
    return mean, float(np.std(values, ddof=1)) if len(values) >= FEWEST_WELLS else None


def _z_prime(negative: np.ndarray, positive: np.ndarray) -> float | None:
    return _window(np.std(negative, ddof=1) + np.std(positive, ddof=1), np.mean(positive) - np.mean(negative))


def _robust_z_prime(negative: np.ndarray, positive: np.ndarray) -> float | None:
    return _window(robust_sd(negative) + robust_sd(positive), np.median(positive) - np.median(negative))


def _window(spread: float | np.floating, difference: np.floating) -> float | None:
    return None if difference == 0 else float(1 - 3 * spread / abs(difference))


def _ssmd(negative: np.ndarray, positive: np.ndarray) -> float | None:
    spread = math.hypot(np.std(negative, ddof=1), np.std(positive, ddof=1))
    return None if spread == 0 else float((np.mean(positive) - np.mean(negative)) / spread)
