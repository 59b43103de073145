"""Negative controls that a correction is fitted on, and those that are held back to compare treatments with.

A transform that was fitted on controls has seen their noise and takes it out: afterwards they lie closer to 0 and to
each other than any other well, treated or not, and everything looks different from them. So half of the controls of
each group are held back; they are to the transform what a treated well is (docs/decisions/010).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from imaging.analyses.groups import LEAST_MEASURES, MeasureGroup, find_groups, name_some
from imaging.analyses.order_statistics import is_rounding
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import Correct
from imaging.analyses.whitening import group_means
from imaging.errors import ConfigurationError
from imaging.names import hash_of

FOLDS = 5
"""Parts that cross-validation splits plates, or wells, in."""


@dataclass(frozen=True, eq=False)
class ControlledValues:
    """Profiles around the centre of their group's fitted controls, in units of the controls' spread.

    Parameters
    ----------
    profiles
        The profiles with complete values: features that groups' controls lack are left out, other gaps filled with the
        centre. Shape ``(wells, features)``.
    groups
        Group of each well, shape ``(wells,)``, int; ``names`` are theirs.
    names
        Groups in words.
    fitted
        Which wells are controls to fit on, shape ``(wells,)``, bool.
    folds
        Fold of each fitted control, shape ``(fitted,)``, int.
    notes
        What was left out or filled.
    """

    profiles: Profiles
    groups: np.ndarray
    names: tuple[str, ...]
    fitted: np.ndarray
    folds: np.ndarray
    notes: tuple[str, ...]


def control_values(profiles: Profiles, recipe: Correct, *, to: str, section: str) -> ControlledValues:
    """Choose the controls to fit on and bring all profiles into their units.

    Parameters
    ----------
    profiles
        Wells.
    recipe
        ``by`` and ``held_back``.
    to
        ``negcon``, or ``all`` to fit on all wells, of which none is held back.
    section
        Section of the recipe in messages.

    Raises
    ------
    ConfigurationError
        If groups have too few controls.
    """
    found = find_groups(profiles, by=recipe.by, to=to, section=section)
    groups = np.empty(len(profiles), int)
    fitted = np.zeros(len(profiles), bool)
    whole: list[str] = []
    for number, group in enumerate(found):
        groups[group.rows] = number
        chosen = choose_fitted(profiles, group, recipe.held_back if to == "negcon" else 0.0)
        fitted[chosen] = True
        if len(chosen) == len(group.measures) and recipe.held_back and to == "negcon":
            whole.append(group.name)
    usable, notes = _usable(profiles, groups, fitted, found)
    if len(profiles.features) and not usable.any():
        raise ConfigurationError(
            f"{section} has nothing to be fitted on: no feature varies among the negative controls that it is fitted on"
        )
    if whole:
        notes.append(f"no negative control could be held back for comparisons in {name_some(whole)}: there are too few")
    kept = profiles.only(np.array(profiles.features)[usable].tolist())
    values, said = _in_units(kept.values, groups, fitted)
    return ControlledValues(
        kept.with_values(values),
        groups,
        tuple(group.name for group in found),
        fitted,
        _folds(profiles, groups, fitted),
        (*notes, *said),
    )


def choose_fitted(profiles: Profiles, group: MeasureGroup, held_back: float) -> np.ndarray:
    """Positions of the controls to fit on: of each plate the same share, by a hash of plate and well.

    At least `LEAST_MEASURES` are fitted on. The hash is no random number, so the choice does not depend on the order of
    wells, and is no pattern on the plate; a plate that is added may shift it by a well.
    """
    wells = profiles.wells.iloc[group.measures]
    names = wells[["plate", "well", "time_point"]].astype(str)
    keys = [hash_of(list(name)) for name in names.itertuples(index=False)]
    frame = wells[["plate"]].assign(position=group.measures, key=keys).sort_values(["plate", "key"], kind="stable")
    # Every so many-th along all plates: each plate gives its share, also where it has one control only.
    wanted = max(round(len(frame) * (1 - held_back)), min(LEAST_MEASURES, len(frame)))
    take = np.diff(np.arange(len(frame) + 1) * wanted // len(frame)) > 0
    return np.sort(frame["position"].to_numpy()[take])


def _usable(
    profiles: Profiles, groups: np.ndarray, fitted: np.ndarray, found: tuple[MeasureGroup, ...]
) -> tuple[np.ndarray, list[str]]:
    """Features that the fitted controls of each group have values of, and that vary among them."""
    known = ~np.isnan(profiles.values)
    in_all = np.ones(len(profiles.features), bool)
    for number in range(len(found)):
        in_all &= known[fitted & (groups == number)].any(axis=0)
    values = profiles.values[fitted]
    centers, spreads = _moments(values, groups[fitted], len(found))
    varies = in_all & ~is_rounding(spreads, np.fmax.reduce(np.abs(centers)))
    notes = []
    faults = ((~in_all, "have no value in the controls of a group"), (in_all & ~varies, "do not vary in controls"))
    for where, say in faults:
        if where.any():
            names = np.array(profiles.features)[where].tolist()
            notes.append(f"{len(names)} features were left out, which {say}: {name_some(names, 3)}")
    return varies, notes


def _moments(values: np.ndarray, groups: np.ndarray, n_groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Centre of each group, and spread within groups of each feature, of the values there are."""
    known = ~np.isnan(values)
    sums, _ = group_means(np.where(known, values, 0.0), groups, n_groups)
    shares, _ = group_means(known.astype(float), groups, n_groups)
    centers = np.divide(sums, shares, out=np.full(sums.shape, np.nan), where=shares > 0)
    apart = np.where(known, values - centers[groups], 0.0)
    return centers, np.sqrt((apart**2).sum(axis=0) / np.maximum(known.sum(axis=0), 1))


def _in_units(values: np.ndarray, groups: np.ndarray, fitted: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Around the centre of the group's fitted controls, over their spread; gaps filled with the centre, that is 0."""
    centers, spreads = _moments(values[fitted], groups[fitted], int(groups.max()) + 1)
    units = np.empty_like(values)
    missing, lacking = 0, 0
    for group in range(len(centers)):  # one group at a time, for arrays of all wells are large
        rows = groups == group
        own = (values[rows] - centers[group]) / spreads
        gaps = np.isnan(own)
        missing, lacking = missing + int(gaps.sum()), lacking + int(gaps.any(axis=1).sum())
        own[gaps] = 0.0
        units[rows] = own
    notes = [f"{missing} values that {lacking} wells lack count as the mean of their controls"] if missing else []
    return units, notes


def _folds(profiles: Profiles, groups: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    """Parts for cross-validation: whole plates where each group has several with controls, else wells."""
    wells = profiles.wells.loc[fitted, ["plate", "well", "time_point"]]
    frame = pd.DataFrame(wells).assign(group=groups[fitted], row=np.arange(len(wells)))
    if (frame.groupby("group")["plate"].nunique() > 1).all():
        # Numbered through all groups, so that a group of two plates does not make it two folds.
        return frame.groupby(["group", "plate"]).ngroup().to_numpy(int) % FOLDS
    frame = frame.sort_values(["group", "plate", "well", "time_point"], kind="stable")
    frame["fold"] = np.arange(len(frame)) % FOLDS
    return frame.sort_values("row")["fold"].to_numpy()
