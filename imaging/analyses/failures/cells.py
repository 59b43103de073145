"""Cell loss beyond treatment: wells with far fewer cells than other wells of the same treatment.

A well's cell count is taken relative to the median of its plate's negative controls, its logarithm compared with the
median of the treatment's other wells, on other plates where there are two or more. A compound that kills cells kills
them in all of its wells and is no failure; where fewer than two other wells are there, loss cannot be told from
toxicity and is not judged. Below a twentieth of the controls fewer cells make no difference.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from imaging.analyses.failures.finding import Failure, say_z
from imaging.analyses.failures.limits import FEWEST, find_usual, limit_for
from imaging.analyses.profiles import Profiles

LEAST_LOSS = 0.5
"""A loss of a smaller share of the cells is none."""
FEWEST_OTHERS = 2
_OFFSET = 0.05
_LEAST_SD = 0.02


def find_cell_loss(profiles: Profiles, limit: float) -> Iterator[Failure]:
    """Find wells that lost cells for no reason of their treatment."""
    levels = relative_counts(profiles)
    expected, others = _expected(profiles, levels)
    difference = levels - expected
    judged = np.isfinite(difference)
    usual = find_usual(difference[judged])
    if usual.n < FEWEST:
        return
    sd = max(usual.sd, _LEAST_SD)
    reach = limit_for(limit, tests=usual.n, n=usual.n)
    counts = profiles.wells["cells_count"].to_numpy()
    for row in np.flatnonzero(judged):
        z = difference[row] / sd
        share = max(np.exp(levels[row]) * (1 + _OFFSET) - _OFFSET, 0)
        usually = max(np.exp(expected[row]) * (1 + _OFFSET) - _OFFSET, 0)
        if z < -reach and share < (1 - LEAST_LOSS) * usually:
            place = profiles.wells.iloc[row]
            yield Failure(
                experiment=place["experiment"],
                plate=place["plate"],
                level="well",
                rule="cell_loss",
                evidence=(
                    f"{counts[row]:,.0f} cells are {share:.0%} of the plate's controls; the {others[row]} other wells "
                    f"of {place['treatment']} have {usually:.0%}: {say_z(z)} them (limit {reach:.1f})"
                ),
                feature="cells_count",
                value=float(z),
                limit=-reach,
                well=place["well"],
                reason="cells were lost that the treatment does not kill",
            )


def relative_counts(profiles: Profiles) -> np.ndarray:
    """Logarithm of each well's cell count over the median of its plate's negative controls, shape ``(profiles,)``.

    A twentieth of the controls is added to both. Where a plate has no controls, its wells' median stands for theirs.
    NaN where nobody counted, for empty wells and where the median is 0.
    """
    counts = profiles.wells["cells_count"].to_numpy(dtype=float)
    is_control, is_empty = profiles.is_control("negcon"), profiles.is_control("empty")
    levels = np.full(len(profiles), np.nan)
    for _, rows in profiles.groups(["experiment", "plate"]):
        known = rows[np.isfinite(counts[rows]) & ~is_empty[rows]]
        controls = known[is_control[known]]
        measure = controls if len(controls) else known
        typical = float(np.median(counts[measure])) if len(measure) else 0.0
        if typical > 0:
            levels[known] = np.log((counts[known] / typical + _OFFSET) / (1 + _OFFSET))
    return levels


def _expected(profiles: Profiles, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median of the treatment's other wells for each well, and how many those are."""
    expected, others = np.full(len(levels), np.nan), np.zeros(len(levels), dtype=int)
    plates = profiles.wells.groupby(["experiment", "plate"], sort=False).ngroup().to_numpy()
    for key, rows in profiles.groups(["treatment", "concentration"]):
        known = rows[np.isfinite(levels[rows])]
        if key[0] == "" or len(known) <= FEWEST_OTHERS:
            continue
        for row in known:
            elsewhere = known[plates[known] != plates[row]]
            other = elsewhere if len(elsewhere) >= FEWEST_OTHERS else known[known != row]
            expected[row], others[row] = np.median(levels[other]), len(other)
    return expected, others
