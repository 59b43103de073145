"""Screens without any effect, and with known ones: how often something is called a hit.

python -m tests.known_answers noise          40 screens of each kind
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from imaging.analyses.hits import find_hits
from imaging.analyses.profiles import Profiles, complete_wells
from imaging.analyses.recipe import AnalysisRecipe, HitCriteria

SCREENS = 40


@dataclass(frozen=True)
class Screen:
    """How a screen is drawn.

    Parameters
    ----------
    treatments, replicates, controls
        Treatments, wells of each (one per plate), and negative controls of each plate.
    features, factors
        Features, and how many hidden ones they are mixed of; 0 for independent features.
    plate, position
        Standard deviation of what a plate and what a place on it adds to each feature, in those of wells.
    same_places
        Whether replicates lie in the same place on each plate.
    tails
        Degrees of freedom of Student's t that wells scatter with; 0 for a normal distribution.
    active, effect
        Treatments that do something, and how much: standard deviations in each of a third of the features.
    """

    treatments: int = 60
    replicates: int = 4
    controls: int = 16
    features: int = 50
    factors: int = 0
    plate: float = 2.0
    position: float = 0.0
    same_places: bool = False
    tails: int = 0
    active: int = 0
    effect: float = 0.0


def draw(screen: Screen, seed: int) -> Profiles:
    """Draw a screen as measured: no plate is normalised."""
    random = np.random.default_rng(seed)
    count = screen.controls + screen.treatments
    mixing = random.normal(size=(screen.factors, screen.features)) if screen.factors else None
    slope = random.normal(size=(2, screen.features)) * screen.position
    changes = np.zeros((screen.treatments, screen.features))
    for number in range(screen.active):
        third = random.permutation(screen.features)[: max(screen.features // 3, 1)]
        changes[number, third] = screen.effect * random.choice([-1, 1], len(third))
    places = random.permutation(count)
    parts, wells = [], []
    for plate in range(screen.replicates):
        if not screen.same_places:
            places = random.permutation(count)
        shape = (count, screen.factors or screen.features)
        scatter = random.standard_t(screen.tails, shape) if screen.tails else random.normal(size=shape)
        if mixing is not None:
            scatter = scatter @ mixing / np.sqrt(screen.factors) + 0.5 * random.normal(size=(count, screen.features))
        where = np.column_stack([places // 12 - count / 24, places % 12 - 5.5]) / 4
        values = scatter + random.normal(size=screen.features) * screen.plate + where @ slope
        values[screen.controls :] += changes
        parts.append(values * np.exp(0.2 * screen.plate * random.normal(size=screen.features)))
        wells.append(
            pd.DataFrame(
                {
                    "experiment": "noise",
                    "plate": f"P{plate}",
                    "well": [f"{chr(65 + p // 12)}{p % 12 + 1:02d}" for p in places],
                    "row": [chr(65 + p // 12) for p in places],
                    "column": places % 12 + 1,
                    "treatment": ["DMSO"] * screen.controls + [f"t{i:03d}" for i in range(screen.treatments)],
                    "concentration": 1.0,
                    "control": ["negcon"] * screen.controls + ["trt"] * screen.treatments,
                    "cells_count": random.poisson(500, count),
                }
            )
        )
    names = tuple(f"f{i}" for i in range(screen.features))
    return Profiles(np.concatenate(parts), names, complete_wells(pd.concat(wells, ignore_index=True)))


def normalized(raw: Profiles) -> Profiles:
    """Robust z of each plate against its negative controls, as the usual recipe has it."""
    values = raw.values.copy()
    for _, rows in raw.groups(("plate",)):
        controls = values[rows[raw.is_control("negcon")[rows]]]
        centre = np.median(controls, axis=0)
        values[rows] = (values[rows] - centre) / (1.4826 * np.median(np.abs(controls - centre), axis=0))
    return raw.with_values(values)


ALL = HitCriteria(
    criteria=("activity", "distance", "replication", "effect", "viability"),
    features=("f0", "f1", "f2"),
    permutations=2_000,
)


def judge(screen: Screen, seed: int, criteria: HitCriteria = ALL) -> pd.DataFrame:
    """The hits table of a screen that is drawn, normalised and judged."""
    raw = draw(screen, seed)
    return find_hits(normalized(raw), AnalysisRecipe(hits=criteria), raw=raw).hits


@dataclass(frozen=True)
class Rates:
    """What became of several screens.

    Parameters
    ----------
    with_false
        Share of the screens with a hit that does nothing.
    false_share
        Mean over screens of the share of hits that do nothing.
    found
        Share of the active treatments that are hits; NaN without any.
    small
        Share of treatments that do nothing with p of 0.05 or less, by criterion.
    """

    with_false: float
    false_share: float
    found: float
    small: dict[str, float]


def rate(screen: Screen, seeds: range, criteria: HitCriteria = ALL) -> Rates:
    """Judge several screens."""
    shares, found, any_false = [], [], 0
    small: dict[str, list[float]] = {name: [] for name in criteria.criteria}
    for seed in seeds:
        table = judge(screen, seed, criteria)
        is_active = table["treatment"].isin([f"t{i:03d}" for i in range(screen.active)]).to_numpy()
        is_hit = table["is_hit"].fillna(False).to_numpy(bool)
        false = int((is_hit & ~is_active).sum())
        any_false += false > 0
        shares.append(false / max(int(is_hit.sum()), 1))
        found.append(float(is_hit[is_active].mean()) if screen.active else float("nan"))
        for name, into in small.items():
            into.append(float((table[f"{name}_p"] <= 0.05)[~is_active].mean()))
    means = {name: float(np.mean(into)) for name, into in small.items()}
    return Rates(any_false / len(seeds), float(np.mean(shares)), float(np.mean(found)), means)


KINDS = {
    "16 controls, 4 replicates": Screen(),
    "8 controls": Screen(controls=8),
    "32 controls": Screen(controls=32),
    "2 replicates, 32 controls": Screen(replicates=2, controls=32),
    "8 replicates": Screen(replicates=8, treatments=30),
    "heavy tails (t with 3 degrees)": Screen(tails=3),
    "correlated features": Screen(factors=5),
    "more features than wells": Screen(features=600, treatments=30),
    "strong plates": Screen(plate=6.0),
    "positions, wells in other places on each plate": Screen(position=0.5),
    "no normalization needed (plates alike)": Screen(plate=0.0),
}
"""Without any effect."""
POWERS = {
    "10 of 60 change a third of 50 features by 1 sd": Screen(active=10, effect=1.0),
    "by 3 sd": Screen(active=10, effect=3.0),
    "by 6 sd": Screen(active=10, effect=6.0),
    "by 3 sd, 2 replicates, 32 controls": Screen(active=10, effect=3.0, replicates=2, controls=32),
    "by 3 sd, 8 controls": Screen(active=10, effect=3.0, controls=8),
    "by 3 sd, correlated features": Screen(active=10, effect=3.0, factors=5),
}
"""With effects."""
LIMITS = {
    "positions, replicates in the same place": replace(Screen(position=0.5), same_places=True),
}
"""What no test of wells can tell from an effect."""


def rows(screens: int = SCREENS) -> list[tuple[object, ...]]:
    """Rates of each kind of screen."""
    names = list(ALL.criteria)
    head = (
        "screens",
        "with a false hit",
        "share of hits that are false",
        "actives found",
        *(f"p <= 0.05 in {n}" for n in names),
    )
    found: list[tuple[object, ...]] = [head]
    for kind, screen in (KINDS | POWERS | LIMITS).items():
        rates = rate(screen, range(screens))
        power = "" if np.isnan(rates.found) else f"{rates.found:.0%}"
        small = [f"{rates.small[name]:.3f}" for name in names]
        found.append((kind, f"{rates.with_false:.1%}", f"{rates.false_share:.1%}", power, *small))
    return found
