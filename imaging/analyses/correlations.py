"""Correlations between all columns of a table with gaps, by matrix products."""

from __future__ import annotations

import numpy as np
from scipy.linalg import get_blas_funcs

_STILL = 1e-12
"""Variance, in units of a column's own, that is nothing but the rounding of equal values."""


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
    spread = np.sqrt(np.einsum("ij,ij->j", scaled, scaled) / counts)
    varies = spread > 64 * np.finfo(float).eps * np.abs(center)
    scaled /= np.where(varies, spread, 1.0)
    # A symmetric product in half the time; NumPy's transposed array is what Fortran takes without a copy.
    (syrk,) = get_blas_funcs(("syrk",), (scaled,))
    products = syrk(1.0, scaled.T, trans=0, lower=1)
    products = np.tril(products) + np.tril(products, -1).T
    gappy = np.flatnonzero(~known.all(axis=0))
    correlations = products / max(len(values), 1)
    if len(gappy):
        correlations[gappy] = _pairwise(scaled, known, products[gappy], gappy)
        correlations[:, gappy] = correlations[gappy].T
    correlations[~varies] = np.nan
    correlations[:, ~varies] = np.nan
    np.clip(correlations, -1.0, 1.0, out=correlations)
    return correlations


def _pairwise(scaled: np.ndarray, known: np.ndarray, products: np.ndarray, gappy: np.ndarray) -> np.ndarray:
    """Correlations of columns with gaps with all columns, over the rows that each pair has; shape (gappy, columns).

    Columns mostly have their gaps in the same rows, as in those of wells without cells; so sums over the rows that
    another column has are made once for all that have the same.
    """
    _, first, same = np.unique(np.packbits(known, axis=0), axis=1, return_index=True, return_inverse=True)
    same = same.ravel()
    rows = known[:, first].astype(float)  # (rows, patterns)
    n = (rows.T @ rows)[np.ix_(same[gappy], same)]
    squared = scaled**2
    sums, other_sums = (scaled[:, gappy].T @ rows)[:, same], (rows.T @ scaled)[same[gappy]]
    squares, other_squares = (squared[:, gappy].T @ rows)[:, same], (rows.T @ squared)[same[gappy]]
    safe = np.maximum(n, 1)
    variance, other = squares - sums**2 / safe, other_squares - other_sums**2 / safe
    can = (variance > _STILL * n) & (other > _STILL * n)
    product = np.where(can, variance * other, 1.0)
    return np.where(can, (products - sums * other_sums / safe) / np.sqrt(product), np.nan)
