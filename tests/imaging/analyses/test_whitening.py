from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.covariance import ledoit_wolf

from imaging.analyses.whitening import (
    REGULARIZATIONS,
    cross_validate,
    fit_covariance,
    group_means,
    shrink_covariance,
)

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("wells", [6, 40], ids=["fewer wells than features", "more"])
def test_whitening_is_the_inverse_root_of_the_regularised_covariance(wells: int) -> None:
    centered = RNG.normal(size=(wells, 12)) @ RNG.normal(size=(12, 12))
    made = fit_covariance(centered, freedom=wells - 1, regularization=0.3)
    plain = centered.T @ centered / (wells - 1)
    plain = (plain + 0.3 * np.trace(plain) / 12 * np.eye(12)) / 1.3
    eigenvalues, vectors = np.linalg.eigh(plain)
    values = RNG.normal(size=(5, 12))
    np.testing.assert_allclose(made.whiten(values), values @ (vectors / np.sqrt(eigenvalues)) @ vectors.T)
    assert made.log_determinant() == pytest.approx(np.linalg.slogdet(plain)[1])


@pytest.mark.parametrize("wells", [5, 30])
def test_shrinkage_is_scikit_learns(wells: int) -> None:
    centered = RNG.normal(size=(wells, 9)) * np.arange(1, 10)
    expected, shrinkage = ledoit_wolf(centered, assume_centered=True)
    made = shrink_covariance(centered)
    assert made.regularization / (1 + made.regularization) == pytest.approx(shrinkage)
    eigenvalues, vectors = np.linalg.eigh(expected)
    np.testing.assert_allclose(made.whiten(centered), centered @ (vectors / np.sqrt(eigenvalues)) @ vectors.T)


def test_the_regularisation_is_the_one_under_which_held_out_wells_are_most_likely() -> None:
    values = RNG.normal(size=(30, 8)) @ RNG.normal(size=(8, 8))
    groups, folds = np.repeat([0, 1], 15), np.arange(30) % 3
    likelihoods, squares = np.zeros(len(REGULARIZATIONS)), np.zeros(len(REGULARIZATIONS))
    for fold in range(3):
        train, test = folds != fold, folds == fold
        centers = np.array([values[train & (groups == g)].mean(axis=0) for g in (0, 1)])
        centered = values - centers[groups]
        plain = centered[train].T @ centered[train] / (train.sum() - 2)
        for i, r in enumerate(REGULARIZATIONS):
            covariance = (plain + r * np.trace(plain) / 8 * np.eye(8)) / (1 + r)
            likelihoods[i] += multivariate_normal(np.zeros(8), covariance).logpdf(centered[test]).sum()
            squares[i] += np.trace(centered[test] @ np.linalg.inv(covariance) @ centered[test].T)
    made = cross_validate(values, groups, folds, REGULARIZATIONS)
    assert made.value == REGULARIZATIONS[likelihoods.argmax()]
    assert made.held_out_variance == pytest.approx(squares[likelihoods.argmax()] / (30 * 8))


def test_pure_noise_is_regularised_more_than_structure() -> None:
    noise = RNG.normal(size=(40, 100))
    structure = noise * 0.3 + RNG.normal(size=(40, 2)) @ RNG.normal(size=(2, 100)) * 3
    chosen = [
        cross_validate(x, np.zeros(40, int), np.arange(40) % 5, REGULARIZATIONS).value for x in (noise, structure)
    ]
    assert chosen[0] > 10 * chosen[1]


def test_one_fold_holds_nothing_out() -> None:
    made = cross_validate(RNG.normal(size=(5, 3)), np.zeros(5, int), np.zeros(5, int), [1.0])
    assert np.isnan(made.held_out_variance)


def test_group_means_are_of_each_group() -> None:
    means, known = group_means(np.array([[1.0], [3.0], [10.0]]), np.array([0, 0, 2]), 3)
    assert means[[0, 2], 0].tolist() == [2, 10]
    assert known.tolist() == [True, False, True]
