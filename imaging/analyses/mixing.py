"""How well batches mix and how well labels separate: silhouette, a rejection rate like kBET's, mean average precision.

    silhouette         (b - a) / max(a, b): a is the mean distance to wells of the same group, b the least mean distance
                       to those of another (Rousseeuw 1987, J Comput Appl Math 20:53). Of batches near 0 or below is
                       mixed, of labels near 1 is separate.
    kbet               share of wells whose nearest neighbours have another composition of batches than all wells, by a
                       chi-square test at 5 % (Buettner et al. 2019, Nat Methods 16:43). 0.05 or less is mixed, 1 not.
                       Ours differs in that neighbours are drawn without replacement, hence the statistic is multiplied
                       by (n - 1) / (n - k) for n other wells, and that batches with fewer than one neighbour expected
                       count as one.
    mean average precision    how far up in a well's list of the others, by cosine similarity, those of its group stand

Wells that may be compared are those whose label occurs in several batches: where treatments differ between batches,
they would else be taken for an effect of the batch. Of more than `MOST_WELLS` wells as many are compared, of batches
wells that are spread evenly, of labels all wells of every so-manieth label.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.stats import chi2
from sklearn.metrics import pairwise_distances_chunked, silhouette_samples

from imaging.analyses.average_precision import label_map
from imaging.analyses.exchange import thin
from imaging.analyses.profiles import Profiles
from imaging.declared import did_you_mean
from imaging.errors import ConfigurationError

ALPHA = 0.05
FEWEST_NEIGHBOURS = 10
FEWEST_WELLS = 20
MOST_WELLS = 4_000
"""Wells that are compared at most: pairs grow with their square, and more say no more."""


@dataclass(frozen=True)
class Mixing:
    """Measures of one set of profiles; ``None`` where undefined, and then ``notes`` says why.

    ``silhouette_batch``, ``kbet`` and ``map_batch`` are low where batches mix, ``silhouette_label`` and ``map_label``
    high where labels separate.
    """

    silhouette_batch: float | None = None
    silhouette_label: float | None = None
    kbet: float | None = None
    map_batch: float | None = None
    map_label: float | None = None
    notes: tuple[str, ...] = field(default=())


def measure_mixing(profiles: Profiles, *, batch: str, label: str) -> Mixing:
    """Measure how well batches mix and labels separate.

    Parameters
    ----------
    profiles
        Normalised wells. Features that a well has no value of are left out.
    batch, label
        Columns of the wells. Wells without a label, negative controls and empty wells belong to no label.

    Raises
    ------
    ConfigurationError
        If there is no such column.
    """
    for name in (batch, label):
        if name not in profiles.wells:
            hint = did_you_mean(name, list(map(str, profiles.wells.columns)))
            raise ConfigurationError(f"mixing cannot be measured by {name!r}: the wells have no such column; {hint}")
    order = profiles.wells.sort_values(["experiment", "batch", "plate", "well"], kind="stable").index
    used = profiles.take(np.asarray(order))
    notes: list[str] = []
    has_values = np.asarray(~np.isnan(used.values).any(axis=0))
    if dropped := int((~has_values).sum()):
        notes.append(f"{dropped} of {len(has_values)} features that not every well has a value of are left out")
    values = used.values[:, has_values]
    if not values.shape[1] or len(values) < FEWEST_WELLS:
        few = f"{len(values)} wells" if values.shape[1] else "no feature that every well has a value of"
        return Mixing(notes=(*notes, f"mixing is not measured: there is only {few}, {FEWEST_WELLS} wells are needed"))
    batches, labels = used.wells[batch].astype(str).to_numpy(), used.wells[label].astype(str).to_numpy()
    is_labelled = (labels != "") & ~used.is_control("negcon") & ~used.is_control("empty")
    compared, why = _comparable(batches, labels)
    if not why and compared.sum() < len(values):
        notes.append(
            f"batches are compared on {int(compared.sum())} of {len(values)} wells, those whose {label} occurs in "
            "several batches"
        )
    pairs = _replicated(labels, is_labelled)
    lacking = "" if len(set(labels[pairs])) > 1 else f"fewer than two values of {label} have several wells"
    notes += [f"{what} undefined: {reason}" for what, reason in _said(why, lacking)]
    if max(compared.sum(), pairs.sum()) > MOST_WELLS:
        notes.append(f"mixing is measured on {MOST_WELLS:,} of {len(values):,} wells at most")
        compared, pairs = _thin(compared), _thin_labels(pairs, labels)
    return Mixing(
        silhouette_batch=None if why else _silhouette(values[compared], batches[compared]),
        silhouette_label=None if lacking else _silhouette(values[pairs], labels[pairs]),
        kbet=None if why else _reject_neighbourhoods(values[compared], batches[compared]),
        map_batch=None if why else _mean_precision(values[compared], batches[compared]),
        map_label=None if lacking else _mean_precision(values[pairs], labels[pairs]),
        notes=tuple(notes),
    )


def _said(why: str, lacking: str) -> list[tuple[str, str]]:
    of_batches = [("mixing of batches is", why)] if why else []
    return of_batches + ([("separation of labels is", lacking)] if lacking else [])


def _comparable(batches: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, str]:
    """Wells whose label occurs in several batches, and why batches cannot be compared, if so."""
    if len(set(batches)) < 2:
        return np.zeros(len(batches), bool), f"all wells are of one batch{f' ({batches[0]})' if batches[0] else ''}"
    seen: dict[str, set[str]] = {}
    for name, where in zip(labels, batches, strict=True):
        seen.setdefault(name, set()).add(where)
    compared = np.array([name != "" and len(seen[name]) > 1 for name in labels])
    if compared.sum() < FEWEST_WELLS:
        return compared, f"only {int(compared.sum())} wells have a label that occurs in several batches"
    return compared, ""


def _replicated(labels: np.ndarray, is_labelled: np.ndarray) -> np.ndarray:
    """Wells of labels that have at least two wells."""
    names, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    of_label = np.bincount(place, weights=is_labelled, minlength=len(names))
    return is_labelled & (of_label[place] >= 2) & (counts[place] >= 2)


def _thin(used: np.ndarray) -> np.ndarray:
    """As many of the wells that are used as may be, spread evenly."""
    return np.isin(np.arange(len(used)), thin(np.flatnonzero(used), MOST_WELLS))


def _thin_labels(used: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """All wells of every so-manieth label."""
    names = np.unique(labels[used])
    step = -(-int(used.sum()) // MOST_WELLS) or 1
    return used & np.isin(labels, names[::step])


def _silhouette(values: np.ndarray, groups: np.ndarray) -> float | None:
    if not 2 <= len(set(groups)) < len(groups):
        return None
    return float(np.mean(np.asarray(silhouette_samples(values, groups))))


def _reject_neighbourhoods(values: np.ndarray, batches: np.ndarray) -> float | None:
    """Share of wells whose neighbours' batches are unlike those of all."""
    names, place = np.unique(batches, return_inverse=True)
    others = len(values) - 1
    k = int(np.clip(round(len(values) / len(names) / 4), FEWEST_NEIGHBOURS, max(others // 2, 1)))
    neighbours = np.concatenate(list(pairwise_distances_chunked(values, reduce_func=_nearest(k))))
    counts = np.stack([(place[neighbours] == number).sum(axis=1) for number in range(len(names))], axis=1)
    totals = np.bincount(place, minlength=len(names))[None, :] - (place[:, None] == np.arange(len(names)))
    expected = k * totals / others
    is_small = expected.min(axis=0) < 1
    if is_small.any():
        counts = np.column_stack([counts[:, ~is_small], counts[:, is_small].sum(axis=1)])
        expected = np.column_stack([expected[:, ~is_small], expected[:, is_small].sum(axis=1)])
    statistic = ((counts - expected) ** 2 / np.maximum(expected, 1e-12)).sum(axis=1) * (others - 1) / (others - k)
    return float((statistic > chi2.isf(ALPHA, expected.shape[1] - 1)).mean()) if expected.shape[1] > 1 else None


def _nearest(k: int):
    """Takes the k nearest other wells, in any order, from rows of distances."""

    def take(distances: np.ndarray, begin: int) -> np.ndarray:
        rows = np.arange(len(distances))
        distances[rows, rows + begin] = np.inf
        return np.argpartition(distances, k - 1, axis=1)[:, :k]

    return take


def _mean_precision(values: np.ndarray, groups: np.ndarray) -> float | None:
    """Mean over wells of the average precision of finding their group among all others, by cosine similarity."""
    return label_map(values, np.unique(groups, return_inverse=True)[1])[0]
