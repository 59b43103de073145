"""Correlations between all columns of a table with gaps, by matrix products."""

from __future__ import annotations

import numpy as np
from scipy.linalg import get_blas_funcs

_STILL = 1e-12


def correlate_columns(values: np.ndarray) -> np.ndarray:
    """Pearson correlation of each pair of columns over the rows where both have a value.

    Parameters
    ----------
    values
        Shape ``(rows, columns)``, float64, may hold NaN.

    Returns
    -------
    Shape ``(columns, columns)``, symmetric; NaN where a pair has fewer than two rows in common or one of it does not
    vary there. The same numbers as ``pandas.DataFrame.corr`` to 1e-9.
    """
    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, values, 0.0).sum(axis=0) / counts
    scaled = np.where(known, values - center, 0.0)
    spread = np.sqrt((scaled**2).sum(axis=0) / counts)
    varies = spread > 64 * np.finfo(float).eps * np.abs(center)
    scaled /= np.where(varies, spread, 1.0)
    # A symmetric product in half the time; NumPy's transposed array is what Fortran takes without a copy.
    products = get_blas_funcs("syrk", (scaled,))(1.0, scaled.T, trans=0, lower=1)
    products = np.tril(products) + np.tril(products, -1).T
    correlations = products / len(values)
    gappy = np.flatnonzero(~known.all(axis=0))
    if len(gappy):
        correlations[gappy] = _pairwise(scaled, known, products[gappy], gappy)
        correlations[:, gappy] = correlations[gappy].T
    correlations[~varies] = np.nan
    correlations[:, ~varies] = np.nan
    np.clip(correlations, -1.0, 1.0, out=correlations)
    return correlations


def _pairwise(scaled: np.ndarray, known: np.ndarray, products: np.ndarray, gappy: np.ndarray) -> np.ndarray:
    """Correlations of columns with gaps with all columns, over the rows that each pair has; shape (gappy, columns)."""
    ours, our_rows = scaled[:, gappy], known[:, gappy].astype(float)
    all_rows = known.astype(float)
    n = our_rows.T @ all_rows
    sums, other_sums = ours.T @ all_rows, our_rows.T @ scaled
    squares, other_squares = (ours**2).T @ all_rows, our_rows.T @ (scaled**2)
    safe = np.maximum(n, 1)
    covariance = products - sums * other_sums / safe
    variance, other = squares - sums**2 / safe, other_squares - other_sums**2 / safe
    # In units of the columns' own spread; what is smaller is the rounding of equal values.
    can = (variance > _STILL * n) & (other > _STILL * n)
    product = np.where(can, variance * other, 1.0)
    return np.where(can, covariance / np.sqrt(product), np.nan)
