"""What rules about whole lines and plates look at: the number of cells, and the features or what they have in common.

Thousands of features would be thousands of tests of the same thing. Where there are more than ten, the first three
principal components of the wells, each feature relative to its plate's wells, stand for them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imaging.analyses.failures.cells import relative_counts
from imaging.analyses.profiles import Profiles
from imaging.statistics import MAD_TO_SD

MOST_FEATURES = 10
COMPONENTS = 3
CLIP = 10.0
"""Robust z beyond which a value of one feature counts no more."""

LARGE_LOSS, LARGE_SHIFT = 0.2, 3.0
MOST_USED = 300
"""Of more features components are of every second, third, ... one."""
FEWEST_WELLS = 24
"""Fewer wells have no components that mean something."""


@dataclass(frozen=True)
class Summary:
    """One value per well: its name, what it is called in a sentence, and the values, shape ``(profiles,)``.

    ``is_log`` says that they are logarithms of a ratio, else they are in robust standard deviations of the plate.
    """

    name: str
    words: str
    values: np.ndarray
    is_log: bool = False

    def is_large(self, difference: float) -> bool:
        """Whether a line that differs so much is of no use: by a fifth of the cells, or three spreads of a well."""
        return abs(np.expm1(difference)) >= LARGE_LOSS if self.is_log else abs(difference) >= LARGE_SHIFT

    def say(self, difference: float) -> str:
        """``31 % lower``, ``2.4 robust standard deviations of a well higher``."""
        side = "lower" if difference < 0 else "higher"
        if self.is_log:
            return f"{abs(np.expm1(difference)):.0%} {side}"
        return f"{abs(difference):.1f} spreads of a well {side}"


def summarise(profiles: Profiles, scaled: np.ndarray) -> list[Summary]:
    """Summaries of the wells; ``scaled`` as `scale_by_plate` gives it."""
    found = []
    counts = relative_counts(profiles)
    if np.isfinite(counts).any():
        found.append(Summary("cells_count", "number of cells", counts, is_log=True))
    if 0 < len(profiles.features) <= MOST_FEATURES:
        named = zip(profiles.features, scaled.T, strict=True)
        return found + [Summary(name, name, values) for name, values in named if np.isfinite(values).any()]
    return found + _components(profiles, scaled)


def scale_by_plate(profiles: Profiles) -> np.ndarray:
    """Robust z of each feature against its plate's wells, cut at 10; NaN where a well or plate gives none.

    Positive controls and empty wells do not take part in what is usual. Shape ``(profiles, features)``.
    """
    scaled = np.full(profiles.values.shape, np.nan)
    measure = ~(profiles.is_control("poscon") | profiles.is_control("empty"))
    for _, rows in profiles.groups(["experiment", "plate"]):
        used = rows[measure[rows]]
        if len(used) < 2:
            continue
        usual = profiles.values[used]
        known = np.isfinite(usual).any(axis=0)
        median = np.full(usual.shape[1], np.nan)
        spread = np.full(usual.shape[1], np.nan)
        median[known] = np.nanmedian(usual[:, known], axis=0)
        spread[known] = MAD_TO_SD * np.nanmedian(np.abs(usual[:, known] - median[known]), axis=0)
        spread[~(spread > 1e-9 * np.abs(median))] = np.nan
        scaled[rows] = np.clip((profiles.values[rows] - median) / spread, -CLIP, CLIP)
    return scaled


def _components(profiles: Profiles, scaled: np.ndarray) -> list[Summary]:
    """First principal components of the features that nearly every well has, gaps at 0, in robust z of the plate."""
    used = np.flatnonzero(np.isfinite(scaled).mean(axis=0) > 0.9)
    used = used[:: max(1, len(used) // MOST_USED)]
    values = np.nan_to_num(scaled[:, used])
    if values.shape[1] < COMPONENTS or len(values) < FEWEST_WELLS:
        return []
    centred = values - values.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    scores = centred @ vectors[:, ::-1][:, :COMPONENTS]
    scores *= np.sign(np.take_along_axis(scores, np.abs(scores).argmax(axis=0)[None], axis=0))
    scores[~np.isfinite(scaled[:, used]).any(axis=1)] = np.nan
    by_plate = scale_by_plate(Profiles(scores, tuple(map(str, range(COMPONENTS))), profiles.wells))
    names = [f"principal component {number}" for number in range(1, COMPONENTS + 1)]
    return [Summary(name, f"the wells' {name}", values) for name, values in zip(names, by_plate.T, strict=True)]
