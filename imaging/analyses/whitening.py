"""Covariances of many features from few wells, their inverse roots, and how strongly they must be regularised.

A covariance of d features from n wells has at most n directions of its own; in all others it is what the regularisation
says. So nothing here is of size d x d: everything is done with the n x n products of wells (or with d x d where that is
smaller).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import eigh

REGULARIZATIONS = 10.0 ** np.arange(-4.0, 2.01, 0.25)
"""Candidates, in units of the mean eigenvalue."""
_RANK = 1e-10


@dataclass(frozen=True, eq=False)
class Covariance:
    """A covariance ``(S + r m I) / (1 + r)``: S of the wells, m its mean eigenvalue, r the regularisation.

    Parameters
    ----------
    directions
        Eigenvectors of S that wells vary in, shape ``(features, rank)``.
    variances
        Their eigenvalues, shape ``(rank,)``, descending.
    mean
        Mean eigenvalue of S over all features.
    regularization
        r, in units of the mean eigenvalue. The form is that of Friedman 1989 (doi 10.1080/01621459.1989.10478752) with
        shrinkage r / (1 + r), which keeps the total variance.
    """

    directions: np.ndarray
    variances: np.ndarray
    mean: float
    regularization: float

    @property
    def rest(self) -> float:
        """Variance in the directions that wells do not vary in."""
        return self.regularization * self.mean / (1 + self.regularization)

    @property
    def regularized(self) -> np.ndarray:
        """Variances in the own directions, shape ``(rank,)``."""
        return (self.variances + self.regularization * self.mean) / (1 + self.regularization)

    def whiten(self, values: np.ndarray) -> np.ndarray:
        """Multiply profiles by the symmetric inverse root (ZCA), shape ``(profiles, features)``."""
        extra = 1 / np.sqrt(self.regularized) - 1 / np.sqrt(self.rest)
        whitened = values / np.sqrt(self.rest)
        whitened += ((values @ self.directions) * extra) @ self.directions.T
        return whitened

    def log_determinant(self) -> float:
        """Logarithm of the determinant over all features."""
        others = self.directions.shape[0] - len(self.variances)
        return float(np.log(self.regularized).sum() + others * np.log(self.rest))


def fit_covariance(centered: np.ndarray, *, freedom: int, regularization: float) -> Covariance:
    """Covariance of wells whose centre is 0.

    Parameters
    ----------
    centered
        Shape ``(wells, features)``.
    freedom
        Degrees of freedom: wells less the centres taken from them.
    regularization
        Above 0, in units of the mean eigenvalue.
    """
    wells, features = centered.shape
    if wells <= features:
        squares, vectors = eigh(centered @ centered.T)
        keep = squares > _RANK * max(squares[-1], 0.0)
        directions = centered.T @ (vectors[:, keep] / np.sqrt(squares[keep]))
    else:
        squares, vectors = eigh(centered.T @ centered)
        keep = squares > _RANK * max(squares[-1], 0.0)
        directions = vectors[:, keep]
    variances = squares[keep] / max(freedom, 1)
    return Covariance(directions[:, ::-1], variances[::-1], float(variances.sum() / features), regularization)


@dataclass(frozen=True)
class Regularization:
    """A regularisation, and the variance of whitened wells that it was not fitted on, which should be 1."""

    value: float
    held_out_variance: float


def cross_validate(
    values: np.ndarray, groups: np.ndarray, folds: np.ndarray, candidates: Sequence[float] | np.ndarray
) -> Regularization:
    """Choose the candidate under which held-out wells are most likely.

    Parameters
    ----------
    values
        Wells, shape ``(wells, features)``.
    groups
        Group of each well; each group has its own centre. Shape ``(wells,)``, int.
    folds
        Fold of each well, shape ``(wells,)``, int.
    candidates
        Regularisations.

    Returns
    -------
    The candidate with the greatest Gaussian likelihood of the wells of each fold under the covariance of the others
    (Hoffbeck and Landgrebe 1996, doi 10.1109/34.506799, for wells one by one); the mean square of held-out wells after
    whitening with it. NaN for the latter where there is no fold to hold out.
    """
    log_likelihoods = np.zeros(len(candidates))
    squares = np.zeros(len(candidates))
    held_out = 0
    for fold in np.unique(folds):
        train, test = values[folds != fold], values[folds == fold]
        centers, known = group_means(train, groups[folds != fold], groups.max() + 1)
        test_groups = groups[folds == fold]
        test, test_groups = test[known[test_groups]], test_groups[known[test_groups]]
        freedom = len(train) - int(known.sum())
        if freedom < 2 or not len(test):
            continue
        base = fit_covariance(train - centers[groups[folds != fold]], freedom=freedom, regularization=1.0)
        if base.mean == 0:
            continue
        test = test - centers[test_groups]
        held_out += len(test)
        inside = ((test @ base.directions) ** 2).sum(axis=0)
        outside = (test**2).sum() - inside.sum()
        for i, candidate in enumerate(candidates):
            one = replace(base, regularization=float(candidate))
            distances = outside / one.rest + (inside / one.regularized).sum()
            squares[i] += distances
            log_likelihoods[i] -= (len(test) * one.log_determinant() + distances) / 2
    best = int(np.argmax(log_likelihoods))
    return Regularization(
        float(candidates[best]), float(squares[best] / (held_out * values.shape[1])) if held_out else np.nan
    )


def group_means(values: np.ndarray, groups: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each group's wells, shape ``(n_groups, features)``, and which have any, shape ``(n_groups,)``."""
    belongs = (groups == np.arange(n_groups)[:, None]).astype(float)
    counts = belongs.sum(axis=1)
    return (belongs @ values) / np.maximum(counts, 1)[:, None], counts > 0


def shrink_covariance(centered: np.ndarray) -> Covariance:
    """Covariance with the shrinkage of Ledoit and Wolf 2004 (doi 10.1016/S0047-259X(03)00096-4), from wells around 0.

    The same as scikit-learn's ``ledoit_wolf`` without ever holding features x features. At least 1e-6 is shrunk, so
    that the covariance has an inverse.
    """
    n, d = centered.shape
    products = centered @ centered.T
    mean = np.trace(products) / (n * d)
    norm = (products**2).sum() / n**2
    distance = norm / d - mean**2
    noise = ((np.diag(products) ** 2).sum() / n**2 - norm / n) / d
    shrinkage = float(np.clip(noise / distance if distance > 0 else 1.0, 1e-6, 1 - 1e-6))
    return fit_covariance(centered, freedom=n, regularization=shrinkage / (1 - shrinkage))
