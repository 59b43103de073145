"""Outlying replicates: wells whose profile is far from every other of their treatment.

Features are in robust z of their plate, cut at 10. The distance between two profiles is the root mean square of the
differences; what counts is a well's distance to the nearest other replicate, so that one outlier does not make the
others look bad. Its logarithm is compared with those of all wells of the experiment. A replicate fails when it is
beyond the limit, half as far again as is usual for any well and twice as far as the median of its treatment's other
wells from each other. Two replicates cannot tell which of them is wrong: treatments need three. Negative controls are
compared within their plate.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imaging.analyses.failures.finding import Failure, say_z
from imaging.analyses.failures.limits import FEWEST, find_usual, limit_for
from imaging.analyses.profiles import Profiles
from imaging.words import show_number

FEWEST_REPLICATES = 3
LEAST_RATIO = 1.5
LEAST_OF_TREATMENT = 2.0
_FEWEST_FEATURES = 5
_CHUNK = 256


def find_outlying_replicates(profiles: Profiles, scaled: np.ndarray, limit: float) -> Iterator[Failure]:
    """Find replicates far from all others; ``scaled`` as `summaries.scale_by_plate` gives it."""
    used = np.isfinite(scaled).mean(axis=0) > 0.95
    if used.sum() < _FEWEST_FEATURES:
        return
    values = np.nan_to_num(scaled[:, used])
    nearest, of_others = np.full(len(profiles), np.nan), np.full(len(profiles), np.nan)
    sizes = np.zeros(len(profiles), dtype=int)
    for rows in _replicates(profiles, np.asarray(np.isfinite(scaled[:, used]).any(axis=1))):
        distances = _distances(values[rows])
        closest = distances.min(axis=1)
        nearest[rows], sizes[rows] = closest, len(rows)
        for place, row in enumerate(rows):
            of_others[row] = _usual_without(distances, closest, place)
    judged = np.flatnonzero(nearest > 0)
    logs = np.log(nearest[judged])
    usual = find_usual(logs)
    if usual.n < FEWEST or not usual.sd > 0:
        return
    reach = limit_for(limit, tests=usual.n, n=usual.n)
    for row, value in zip(judged, logs, strict=True):
        z = float((value - usual.median) / usual.sd)
        far = nearest[row]
        if z <= reach or far < LEAST_RATIO * np.exp(usual.median) or far < LEAST_OF_TREATMENT * of_others[row]:
            continue
        place = profiles.wells.iloc[row]
        yield Failure(
            experiment=place["experiment"],
            plate=place["plate"],
            level="well",
            rule="replicates",
            evidence=(
                f"its profile is {show_number(far)} from the nearest of the {sizes[row] - 1} other wells of "
                f"{place['treatment']}, whose own is {show_number(of_others[row])}: {say_z(z)} the experiment's wells "
                f"(limit {reach:.1f})"
            ),
            feature="profile",
            value=z,
            limit=reach,
            well=place["well"],
            reason="the well is unlike its replicates",
        )


def _replicates(profiles: Profiles, has_values: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of wells that should look alike: those of a treatment, or a plate's negative controls of one kind."""
    is_control = profiles.is_control("negcon")
    named = (profiles.wells["treatment"] != "").to_numpy() & ~profiles.is_control("empty") & has_values
    groups = [rows[~is_control[rows]] for _, rows in profiles.groups(["treatment", "concentration"])]
    groups += [
        rows[is_control[rows]] for _, rows in profiles.groups(["experiment", "plate", "treatment", "concentration"])
    ]
    for rows in groups:
        kept = rows[named[rows]]
        if len(kept) >= FEWEST_REPLICATES:
            yield kept


def _distances(values: np.ndarray) -> np.ndarray:
    """Root mean squares of differences between profiles, infinite on the diagonal; shape ``(profiles, profiles)``."""
    found = np.empty((len(values), len(values)))
    squares = (values**2).mean(axis=1)
    for begin in range(0, len(values), _CHUNK):
        part = slice(begin, begin + _CHUNK)
        cross = values[part] @ values.T / values.shape[1]
        found[part] = np.sqrt(np.clip(squares[part, None] + squares[None, :] - 2 * cross, 0, None))
    np.fill_diagonal(found, np.inf)
    return found


def _usual_without(distances: np.ndarray, closest: np.ndarray, place: int) -> float:
    """Median of the other wells' distances to their nearest, were this one not there."""
    others = np.delete(np.arange(len(distances)), place)
    if len(others) > _CHUNK:  # one well more or less is no matter there
        return float(np.median(closest[others]))
    return float(np.median(distances[np.ix_(others, others)].min(axis=1)))
