"""Statistics of many groups of rows drawn from one pool, for tests that exchange rows: CPU only.

A group is one row of an index array ``groups[g, k]``: which k rows of the pool it is made of.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kernels.compiled import compiled

_SMALL = 32
"""Rows of a group up to which their ranks are put in order, instead of being counted."""

Floats = npt.NDArray[np.floating]
Groups = npt.NDArray[np.int32]


def rank_neighbours(similarities: Floats) -> npt.NDArray[np.int32]:
    """Rank for each row of a pool all others by how similar they are.

    Parameters
    ----------
    similarities
        Shape ``(n, n)``, float32; the greater the more similar. The diagonal does not count.

    Returns
    -------
    Ranks, shape ``(n, n)``, int32: 1 for the most similar other row, at most ``n - 1``; equal similarities have the
    last of their ranks, so that a tie is never to anybody's advantage. The diagonal is 0.

    Raises
    ------
    ValueError
        If the array is not square.
    """
    if similarities.ndim != 2 or similarities.shape[0] != similarities.shape[1]:
        raise ValueError(f"similarities must have shape (n, n), got {similarities.shape}")
    return _rank_neighbours(np.ascontiguousarray(similarities))


def average_precisions(ranks: npt.NDArray[np.int32], groups: Groups) -> npt.NDArray[np.float64]:
    """Mean average precision of each group: how early its rows find one another among all rows of the pool.

    Parameters
    ----------
    ranks
        From `rank_neighbours`, shape ``(n, n)``.
    groups
        Shape ``(g, k)``, int32, two rows or more each.

    Returns
    -------
    Shape ``(g,)``, from above 0 to 1. With r_1 < r_2 < ... the ranks of the others of the group in the list of one of
    them, its average precision is the mean of m / r_m (Manning, Raghavan, Schuetze: Introduction to Information
    Retrieval, 2008, section 8.4); the group's is the mean of its rows'.

    Raises
    ------
    ValueError
        If groups have less than two rows.
    """
    if groups.ndim != 2 or groups.shape[1] < 2:
        raise ValueError(f"groups must have shape (g, k) with k of 2 or more, got {groups.shape}")
    return _average_precisions(ranks, groups)


def mean_products(products: Floats, groups: Groups) -> npt.NDArray[np.float64]:
    """Mean of a matrix over all pairs of rows of each group, a row with itself among them: the group's mean, squared.

    Parameters
    ----------
    products
        Scalar products of the pool's rows in any space, shape ``(n, n)``, float64.
    groups
        Shape ``(g, k)``, int32.

    Returns
    -------
    Squared length of each group's mean in that space, shape ``(g,)``.
    """
    return _mean_products(np.ascontiguousarray(products), groups)


def median_pairs(similarities: Floats, groups: Groups) -> npt.NDArray[np.float64]:
    """Median similarity of the pairs of different rows of each group.

    Parameters
    ----------
    similarities
        Symmetric, shape ``(n, n)``; the diagonal does not count.
    groups
        Shape ``(g, k)``, int32, k of 2 or more.

    Returns
    -------
    Shape ``(g,)``, float64.

    Raises
    ------
    ValueError
        If groups have less than two rows.
    """
    if groups.ndim != 2 or groups.shape[1] < 2:
        raise ValueError(f"groups must have shape (g, k) with k of 2 or more, got {groups.shape}")
    return _median_pairs(np.ascontiguousarray(similarities), groups)


@compiled
def _rank_neighbours(similarities: Floats) -> npt.NDArray[np.int32]:
    n = len(similarities)
    ranks = np.zeros((n, n), np.int32)
    for i in range(n):
        row = -similarities[i]
        row[i] = np.inf
        order = np.argsort(row)
        last = n - 1  # the row itself, at n - 1, has no rank
        for place in range(n - 2, -1, -1):
            if place < n - 2 and row[order[place]] != row[order[place + 1]]:
                last = place + 1
            ranks[i, order[place]] = last
    return ranks


@compiled
def _average_precisions(ranks: npt.NDArray[np.int32], groups: Groups) -> npt.NDArray[np.float64]:
    count, size = groups.shape
    found = np.empty(count)
    own = np.empty(size - 1, np.int32)
    with_rank = np.zeros(len(ranks), np.int32)
    for g in range(count):
        total = 0.0
        for i in range(size):
            row = ranks[groups[g, i]]
            if size > _SMALL:
                total += _by_counting(row, groups[g], i, with_rank)
            else:
                total += _by_insertion(row, groups[g], i, own)
        found[g] = total / (size * (size - 1))
    return found


@compiled
def _by_insertion(row: npt.NDArray[np.int32], group: Groups, own_place: int, own: npt.NDArray[np.int32]) -> float:
    """Sum of m / r_m, the ranks put in order one by one: ``own`` is room for them."""
    filled = 0
    for j in range(len(group)):
        if j == own_place:
            continue
        rank = row[group[j]]
        place = filled
        while place > 0 and own[place - 1] > rank:
            own[place] = own[place - 1]
            place -= 1
        own[place] = rank
        filled += 1
    total = 0.0
    for m in range(filled):
        total += (m + 1) / own[m]
    return total


@compiled
def _by_counting(row: npt.NDArray[np.int32], group: Groups, own_place: int, with_rank: npt.NDArray[np.int32]) -> float:
    """The same sum in the time of the pool's size, which is less for large groups; ``with_rank`` is 0, and is again."""
    for j in range(len(group)):
        if j != own_place:
            with_rank[row[group[j]]] += 1
    total, filled = 0.0, 0
    for rank in range(1, len(with_rank)):
        for _ in range(with_rank[rank]):
            filled += 1
            total += filled / rank
        with_rank[rank] = 0
    return total


@compiled
def _mean_products(products: Floats, groups: Groups) -> npt.NDArray[np.float64]:
    count, size = groups.shape
    found = np.empty(count)
    for g in range(count):
        total = 0.0
        for i in range(size):
            row = products[groups[g, i]]
            total += row[groups[g, i]]
            for j in range(i + 1, size):
                total += 2 * row[groups[g, j]]
        found[g] = total / (size * size)
    return found


@compiled
def _median_pairs(similarities: Floats, groups: Groups) -> npt.NDArray[np.float64]:
    count, size = groups.shape
    pairs = np.empty(size * (size - 1) // 2)
    found = np.empty(count)
    half = len(pairs) // 2
    for g in range(count):
        filled = 0
        for i in range(size):
            row = similarities[groups[g, i]]
            for j in range(i + 1, size):
                pairs[filled] = row[groups[g, j]]
                filled += 1
        pairs.sort()
        found[g] = pairs[half] if len(pairs) % 2 else (pairs[half - 1] + pairs[half]) / 2
    return found
