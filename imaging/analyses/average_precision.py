"""Average precision: how early a profile finds its own kind among others, by cosine similarity.

The definitions are those of copairs (Kalinin et al., A versatile information retrieval framework for evaluating
profile strength and similarity, Nat Commun 2025), without its lists of pairs: similarities are computed block by block
and only counted, so that memory grows with the profiles and not with their pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

BLOCK_BYTES = 64 << 20
"""Similarities held at a time."""

Ties = Literal["mean", "first"]


class Precisions(NamedTuple):
    """Average precision of each profile, shape ``(profiles,)`` each; NaN without a positive or a negative pair."""

    values: np.ndarray
    positives: np.ndarray
    total: np.ndarray


def average_precision(
    values: np.ndarray,
    labels: np.ndarray,
    *,
    reference: np.ndarray | None = None,
    apart: np.ndarray | None = None,
    ties: Ties = "mean",
) -> Precisions:
    """Measure how early each profile finds those of its label.

    Parameters
    ----------
    values
        Shape ``(profiles, features)``; a missing value counts as 0, the centre of normalised profiles.
    labels
        Whole numbers, shape ``(profiles,)``; profiles of one label belong together, -1 belongs to nobody.
    reference
        Profiles among which those of a label are sought, such as the negative controls: shape ``(profiles,)``, bool.
        They have no average precision themselves. ``None``: all profiles with another label.
    apart
        Whole numbers, shape ``(profiles,)``: profiles equal in it are no pair, such as those of one batch.
    ties
        What becomes of a positive and a negative that are equally similar, to single precision: ``mean`` over all
        their orders (McSherry and Najork, ECIR 2008), or the positive ``first`` as copairs has it, with which
        profiles that are all alike look perfect.

    Returns
    -------
    Average precision from above 0 to 1, float64, with the number of positive pairs and of all pairs, int64.
    """
    unit = unit_rows(values)
    is_query = labels >= 0 if reference is None else (labels >= 0) & ~reference
    found = np.full(len(values), np.nan)
    positives, total = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    is_target = (labels >= 0) if reference is None else is_query | reference
    targets = np.flatnonzero(is_target)
    queries = np.flatnonzero(is_query)
    step = max(1, BLOCK_BYTES // (8 * max(len(targets), 1)))
    for begin in range(0, len(queries), step):
        rows = queries[begin : begin + step]
        distances = np.float32(1) - (unit[rows] @ unit[targets].T).astype(np.float32)
        for row, distance in zip(rows, distances, strict=True):
            is_alike = labels[targets] == labels[row]
            is_other = ~is_alike if reference is None else reference[targets]
            if apart is not None:
                is_alike = is_alike & (apart[targets] != apart[row])
            is_alike = is_alike & (targets != row)
            near, far = distance[is_alike], np.sort(distance[is_other])
            positives[row], total[row] = len(near), len(near) + len(far)
            if len(near) and len(far):
                found[row] = _precision(np.sort(near), far, ties)
    return Precisions(found, positives, total)


def unit_rows(values: np.ndarray) -> np.ndarray:
    """Rows of length 1; a row of zeros stays one, similar to nobody."""
    filled = np.where(np.isfinite(values), values, 0.0).astype(np.float64)
    length = np.sqrt(np.einsum("ij,ij->i", filled, filled))
    return filled / np.where(length > 0, length, 1.0)[:, None]


def _precision(near: np.ndarray, far: np.ndarray, ties: Ties) -> float:
    """Average precision of sorted distances: those of the positives and of the negatives."""
    before, up_to = np.searchsorted(far, near, "left"), np.searchsorted(far, near, "right")
    order = np.arange(1, len(near) + 1)
    if ties == "first" or np.array_equal(before, up_to):
        return float(np.mean(order / (order + before)))
    total = 0.0
    for value in np.unique(near):
        first, end = np.searchsorted(near, value, "left"), np.searchsorted(near, value, "right")
        alike, others = end - first, up_to[first] - before[first]
        size = alike + others
        place = np.arange(size)
        of_those = (alike - 1) / (size - 1) if size > 1 else 0.0
        total += alike / size * float(np.sum((first + 1 + place * of_those) / (first + before[first] + 1 + place)))
    return total / len(near)


def null_precisions(shapes: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Average precisions of random lists, drawn as copairs draws them with this seed and null size.

    Parameters
    ----------
    shapes
        Positive pairs and all pairs of each kind of list, sorted and each once, shape ``(shapes, 2)``.
    size, seed
        Lists of each kind, and the seed.

    Returns
    -------
    Shape ``(shapes, size)``, float32.
    """
    seeds = np.random.default_rng(seed).integers(8096, size=len(shapes))
    nulls = np.empty((len(shapes), size), np.float32)
    for row, (positives, total), own in zip(nulls, shapes, seeds, strict=True):
        row[:] = _random_precisions(int(positives), int(total), size, int(own))
    return nulls


def _random_precisions(positives: int, total: int, size: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    dtype = np.uint16 if total < 2**16 else np.uint32
    found = np.empty(size, np.float32)
    step = max(1, BLOCK_BYTES // (8 * total))  # rows are shuffled one after another: portions change nothing
    for begin in range(0, size, step):
        lists = np.tile(np.arange(total, dtype=dtype), (min(step, size - begin), 1))
        random.permuted(lists, axis=1, out=lists)
        ranks = np.sort(lists[:, :positives], axis=1)
        precision = np.arange(1, positives + 1, dtype=np.float32) / (ranks + 1)
        found[begin : begin + step] = precision.sum(axis=1) / positives
    return found


def rank_p_values(
    precisions: Precisions, groups: Sequence[np.ndarray], *, size: int, seed: int, equal: bool = True
) -> np.ndarray:
    """Compare mean average precisions with those of random lists, as copairs does.

    Parameters
    ----------
    groups
        Positions of the profiles whose precisions are averaged, for each mean.
    size, seed
        Null size and seed.
    equal
        Whether a null value equal to the mean counts as extreme. copairs has it not (``False``): then even the best
        possible list of few pairs, which is often had by chance, has the least p-value of all.

    Returns
    -------
    P-values, shape ``(groups,)``; NaN for a group without any precision. Replicates whose lists are equally long share
    one random list, as if a treatment had a single one. Random lists know nothing of plates: what shifts all treated
    wells of a plate against its controls, such as a median of few of them, looks like an activity. A test that holds
    its level is `exchange.exchange`.
    """
    has = np.isfinite(precisions.values)
    pairs = np.column_stack([precisions.positives, precisions.total])
    shapes, inverse = np.unique(pairs[has], axis=0, return_inverse=True)
    nulls = null_precisions(shapes, size, seed)
    kind = np.full(len(pairs), -1)
    kind[has] = inverse
    p_values = np.full(len(groups), np.nan)
    for number, rows in enumerate(groups):
        rows = rows[has[rows]]
        if len(rows) == 0:
            continue
        null, mean = nulls[kind[rows]].mean(axis=0), precisions.values[rows].mean()
        # Null values are of single precision: what is equal to the mean but for that counts as equal.
        extreme = (null >= mean - 1e-6 if equal else null > mean).sum()
        p_values[number] = (extreme + 1) / (size + 1)
    return p_values


def mean_precisions(precisions: Precisions, groups: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of the average precisions of each group's profiles, of those that have one; NaN where none has."""
    means = np.full(len(groups), np.nan)
    for number, rows in enumerate(groups):
        found = precisions.values[rows]
        found = found[np.isfinite(found)]
        if len(found):
            means[number] = found.mean()
    return means


def label_map(
    values: np.ndarray, labels: np.ndarray, *, apart: np.ndarray | None = None
) -> tuple[float | None, np.ndarray]:
    """Mean average precision of labels among one another, such as mechanisms among treatments.

    Parameters
    ----------
    values, labels, apart
        As in `average_precision`.

    Returns
    -------
    The mean over all profiles that have one, ``None`` if there is none; and each profile's, NaN where it has none.
    """
    found = average_precision(values, labels, apart=apart).values
    has = np.isfinite(found)
    return (float(found[has].mean()) if has.any() else None), found
