"""Pure noise after sphering: how many treatments seem active, by which controls they are compared with.

Nothing is active, so 5 % should have p < 0.05. Mean average precision of a treatment's replicates against negative
controls, its null from random ranks, as copairs has it (Kalinin et al. 2025, doi 10.1038/s41467-025-60306-2).
"""

from __future__ import annotations

import numpy as np

from imaging.analyses.controls import control_values
from imaging.analyses.normalize import normalize
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import Correct, Normalize
from imaging.analyses.sphering import sphere
from imaging.analyses.whitening import REGULARIZATIONS, cross_validate, fit_covariance
from tests.imaging.analyses.made_profiles import make_profiles

SCREENS = {"16 controls a plate": {"controls": 16, "plates": 6}, "6 controls a plate": {"controls": 6, "plates": 8}}
SEEDS = 5
_NULLS = 2_000


def rows() -> list[dict[str, str]]:
    """The table: a way of choosing controls in each row."""
    found: dict[str, dict[str, list[float]]] = {}
    for screen, keys in SCREENS.items():
        for seed in range(SEEDS):
            made = make_profiles(treatments=60, features=300, rank=20, plate_shift=0.5, seed=seed, **keys)
            for way, rate in noise_rates(made).items():
                found.setdefault(way, {}).setdefault(screen, []).append(rate)
    return [
        {"compared with": way} | {screen: f"{100 * np.mean(rates):.0f} %" for screen, rates in of_screens.items()}
        for way, of_screens in found.items()
    ]


def noise_rates(profiles: Profiles) -> dict[str, float]:
    """Share of treatments with p < 0.05, for each way of choosing the controls to fit on and to compare with."""
    given = normalize(profiles, Normalize.model_validate({"method": "standardize"})).profiles
    controls = given.is_control("negcon")
    recipe = Correct.model_validate({"method": "sphering", "by": "experiment"})
    whole = sphere(given, recipe.model_copy(update={"held_back": 0.0}))
    half = sphere(given, recipe)
    return {
        "all controls, no sphering": active_share(given, controls),
        "the controls that sphering was fitted on": active_share(whole.profiles, controls),
        "all controls, each plate sphered by the others": active_share(cross_fitted(given, recipe), controls),
        "the half that was held back": active_share(half.profiles, controls & ~half.details["fitted"]),
    }


def cross_fitted(profiles: Profiles, recipe: Correct) -> Profiles:
    """Each plate sphered by the controls of all other plates."""
    given = control_values(profiles, recipe.model_copy(update={"held_back": 0.0}), to="negcon", section="correct")
    values, plates = given.profiles.values, given.profiles.wells["plate"].to_numpy()
    fitted = given.fitted
    strength = cross_validate(values[fitted], given.groups[fitted], given.folds, REGULARIZATIONS).value
    sphered = np.empty_like(values)
    for plate in np.unique(plates):
        others = values[fitted & (plates != plate)]
        covariance = fit_covariance(others, freedom=len(others) - 1, regularization=strength)
        sphered[plates == plate] = covariance.whiten(values[plates == plate])
    return given.profiles.with_values(sphered)


def active_share(profiles: Profiles, reference: np.ndarray) -> float:
    """Share of treatments whose mean average precision has p < 0.05."""
    unit = profiles.values / np.linalg.norm(profiles.values, axis=1, keepdims=True)
    rng = np.random.default_rng(0)
    treated = profiles.take(profiles.is_control("trt"))
    units = unit[profiles.is_control("trt")]
    groups = [members for _, members in treated.groups(["treatment"])]
    replicates, controls = len(groups[0]), int(reference.sum())
    positives = np.zeros((_NULLS, replicates - 1 + controls), bool)
    positives[:, : replicates - 1] = True
    null = average_precisions(rng.permuted(positives, axis=1))
    means = null[rng.integers(0, _NULLS, (_NULLS, replicates))].mean(axis=1)
    p_values = []
    for members in groups:
        own = units[members] @ units[members].T
        own = own[~np.eye(replicates, dtype=bool)].reshape(replicates, replicates - 1)
        similarities = np.hstack([own, units[members] @ unit[reference].T])
        ranked = np.argsort(-similarities, axis=1) < replicates - 1
        p_values.append((1 + (means >= average_precisions(ranked).mean()).sum()) / (1 + _NULLS))
    return float((np.array(p_values) < 0.05).mean())


def average_precisions(is_positive: np.ndarray) -> np.ndarray:
    """Average precision of ranked lists, shape ``(lists,)``."""
    precision = np.cumsum(is_positive, axis=1) / np.arange(1, is_positive.shape[1] + 1)
    return (precision * is_positive).sum(axis=1) / is_positive.sum(axis=1)
