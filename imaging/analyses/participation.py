"""Who takes part in an analysis: wells by their verdict, their cells, process failures, and their plate's controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imaging.analyses.failures import mark_excluded
from imaging.analyses.failures.decided import RULE as DECISION
from imaging.analyses.profiles import EMPTY, NEGCON, Profiles
from imaging.analyses.recipe import AnalysisRecipe
from imaging.errors import ConfigurationError
from imaging.sentences import counted

LEAST_CONTROLS = 3
"""Negative control wells that a plate needs to be the measure of itself."""


@dataclass(frozen=True, eq=False)
class Participation:
    """Wells that take part, wells and plates left out by reason, and failures, plates without controls among them.

    ``controls`` are the negative controls that take part, or would if their plates had enough of them.
    """

    profiles: Profiles
    left_out: dict[str, tuple[int, int]]
    failures: pd.DataFrame
    controls: int

    @property
    def notes(self) -> list[str]:
        """Who was left out, one sentence per reason."""
        return [
            f"left out: {counted(wells, 'well')} of {counted(plates, 'plate')} ({reason})"
            for reason, (wells, plates) in sorted(self.left_out.items())
        ]


def choose_wells(profiles: Profiles, recipe: AnalysisRecipe, failures: pd.DataFrame) -> Participation:
    """Leave out who does not take part.

    Parameters
    ----------
    profiles
        All wells, in the features' own units.
    recipe
        The recipe.
    failures
        What ``failures.find_failures`` found.
    """
    wells, left_out = profiles.wells, {}
    takes_part = np.ones(len(profiles), bool)

    def leave_out(reason: str, which: np.ndarray) -> None:
        left = which & takes_part
        if left.any():
            left_out[reason] = int(left.sum()), len(set(wells["plate"].to_numpy()[left]))
        takes_part[which] = False

    verdict = wells["verdict"]
    leave_out("other time points", _other_time_points(wells, recipe.filter.time_point))
    leave_out("empty wells", profiles.is_control(EMPTY))
    leave_out("quality verdict", ((verdict != "") & ~verdict.isin(recipe.filter.verdicts)).to_numpy())
    leave_out("too few cells", (wells["cells_count"] < recipe.filter.least_cells).to_numpy())
    if recipe.filter.failures == "exclude":
        leave_out("decided so", mark_excluded(profiles, failures[failures["rule"] == DECISION]))
        leave_out("process failure", mark_excluded(profiles, failures))
    leave_out("no values", np.asarray(np.isnan(profiles.values).all(axis=1)))
    controls = int((profiles.is_control(NEGCON) & takes_part).sum())
    if recipe.normalize.needs_controls_of("plate"):
        lacking = _without_controls(profiles, takes_part)
        leave_out(
            "too few negative controls on the plate", wells["plate"].isin([plate for plate, _ in lacking]).to_numpy()
        )
        failures = _with_lacking(failures, wells, lacking)
    return Participation(profiles.take(takes_part), left_out, failures, controls)


def _other_time_points(wells: pd.DataFrame, asked: int | None) -> np.ndarray:
    """Wells at other time points than the one that is analysed: one well at several times is no replicate of itself."""
    points = wells["time_point"].fillna(1).astype(int)
    last = points.groupby([wells["experiment"], wells["plate"]]).transform("max")
    return (points != (last if asked is None else asked)).to_numpy()


def _without_controls(profiles: Profiles, takes_part: np.ndarray) -> list[tuple[str, int]]:
    """Plates with too few negative controls that take part, and how many these are."""
    is_control = profiles.is_control(NEGCON) & takes_part
    found = []
    for (plate,), rows in profiles.groups(["plate"]):
        count = int(is_control[rows].sum())
        if count < LEAST_CONTROLS and takes_part[rows].any():
            found.append((str(plate), count))
    return found


def _with_lacking(failures: pd.DataFrame, wells: pd.DataFrame, lacking: Sequence[tuple[str, int]]) -> pd.DataFrame:
    """The failures with the plates that lack controls."""
    if not lacking:
        return failures
    experiment = wells["experiment"].iloc[0]
    rows = [
        {
            "experiment": experiment,
            "plate": plate,
            "level": "plate",
            "well": "",
            "row": "",
            "rule": "controls",
            "feature": "negcon",
            "value": float(count),
            "limit": float(LEAST_CONTROLS),
            "evidence": f"of the plate {counted(count, 'negative control well')} take part, and it is "
            f"normalised to at least {LEAST_CONTROLS}",
            "excluded": True,
            "decided_by": "rule",
            "reason": "",
        }
        for plate, count in lacking
    ]
    added = pd.DataFrame(rows, columns=failures.columns)
    return added if failures.empty else pd.concat([failures.astype(object), added.astype(object)], ignore_index=True)


def check_participation(
    part: Participation, recipe: AnalysisRecipe, *, experiment: str, because: Sequence[str] = ()
) -> None:
    """Refuse an experiment of which nothing can be said; ``because`` says what may be why.

    Raises
    ------
    ConfigurationError
        If no well is left, or there are no negative controls where the recipe needs them.
    """
    is_lacking = "too few negative controls on the plate" in part.left_out
    if not len(part.profiles) and not is_lacking:
        reasons = ", ".join(sorted(part.left_out))
        raise ConfigurationError(
            f"no well is left to analyse ({reasons or 'the plates have none'}); see filter in the recipe, the plates' "
            "quality and what people excluded",
            tuple(because),
            experiment=experiment,
        )
    if is_lacking and not len(part.profiles) and part.controls:
        raise ConfigurationError(
            f"each plate has fewer than {LEAST_CONTROLS} negative controls that take part, and the recipe normalises "
            "each to its own; `normalize: {to: all}` takes all its wells as the measure, `{by: batch}` the controls of "
            "several plates",
            tuple(because),
            experiment=experiment,
        )
    if not len(part.profiles) or (recipe.needs_controls and not part.profiles.is_control(NEGCON).any()):
        raise ConfigurationError(
            "the experiment has no negative controls to compare with; say which wells are negcon in the plate map, or "
            "which treatments under annotate.negative_controls in the analysis recipe",
            tuple(because),
            experiment=experiment,
        )
