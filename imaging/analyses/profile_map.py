"""A map of profiles: their first two principal components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse.linalg import LinearOperator, eigsh

from imaging.analyses.profiles import Profiles

_SHOWN = ("plate", "well", "treatment", "concentration", "control")


@dataclass(frozen=True, eq=False)
class ProfileMap:
    """Where each profile lies (``x``, ``y`` and what is known of its well), and what share of the variance that is."""

    points: pd.DataFrame
    explained: tuple[float | None, float | None]


def map_profiles(profiles: Profiles) -> ProfileMap:
    """Project profiles on the two directions of their greatest variance (Pearson 1901).

    What has no value stands at its feature's median, where it moves nothing. A direction is turned so that its
    greatest loading is positive: the same profiles give the same map.

    Parameters
    ----------
    profiles
        Normalised profiles, shape ``(profiles, features)``.

    Returns
    -------
    One point per profile in their order. With fewer than two profiles, or none that differ, all points are at 0.
    """
    centred = _centred(profiles.values)
    total = float((centred**2).sum())
    points = profiles.wells[list(_SHOWN)].copy()
    if total <= 0:
        return ProfileMap(points.assign(x=0.0, y=0.0), (None, None))
    directions = _directions(centred)
    places = centred @ directions
    shares = (places**2).sum(axis=0) / total
    return ProfileMap(points.assign(x=places[:, 0], y=places[:, 1]), (float(shares[0]), float(shares[1])))


def _centred(values: np.ndarray) -> np.ndarray:
    """Values less the mean of their feature, shape ``(profiles, features)``; 0 in features without any value."""
    has_value = ~np.isnan(values)
    used = values[:, has_value.any(axis=0)]
    if not used.size:
        return np.zeros((len(values), 2))
    filled = np.where(np.isnan(used), np.nanmedian(used, axis=0), used)
    return filled - filled.mean(axis=0)


def _directions(centred: np.ndarray) -> np.ndarray:
    """The two directions, shape ``(features, 2)``; the second is 0 where there is only one."""
    n_features = centred.shape[1]
    if n_features <= 2 or len(centred) <= 2:
        _, _, rows = np.linalg.svd(centred, full_matrices=False)
        found = np.zeros((n_features, 2))
        found[:, : len(rows[:2])] = rows[:2].T
    else:
        # Lanczos asks for products with the covariance only: 4,000 features need no matrix of 4,000 by 4,000
        covariance: Any = LinearOperator  # its constructor gives a subclass, whose arguments are others
        operator = covariance((n_features, n_features), matvec=lambda v: centred.T @ (centred @ v), dtype=np.float64)
        _, vectors = eigsh(operator, k=2, v0=np.full(n_features, n_features**-0.5))
        found = vectors[:, ::-1]
    signs = np.sign(found[np.abs(found).argmax(axis=0), [0, 1]])
    return found * np.where(signs == 0, 1.0, signs)
