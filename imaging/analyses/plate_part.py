"""What an analysis does to one plate alone: failures that show within it, who takes part, values in its own measure.

It needs no other plate, so of a plate that was analysed before it is read back (``imaging.analyses.kept_parts``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from imaging.analyses.failures import find_failures
from imaging.analyses.normalize import normalize
from imaging.analyses.profiles import NEGCON, Profiles
from imaging.analyses.recipe import AnalysisRecipe

ACROSS = ("replicates", "drift")
"""Rules of failures that compare plates with one another."""
FAILURE_COLUMNS = (
    "experiment",
    "plate",
    "level",
    "well",
    "site",
    "row",
    "column",
    "rule",
    "feature",
    "value",
    "limit",
    "evidence",
    "excluded",
    "decided_by",
    "reason",
)
LEAST_CONTROLS = 3
"""Negative control wells that a plate needs to be the measure of itself."""


@dataclass(frozen=True, eq=False)
class PlatePart:
    """A plate as far as it can be analysed alone.

    Parameters
    ----------
    raw
        The wells that take part, in the features' own units.
    values
        The same wells normalised, shape ``(wells, features)``; those of ``raw`` where the recipe normalises over plates.
    failures
        What failed within the plate, one row each, columns `FAILURE_COLUMNS`.
    left_out
        Wells that do not take part, and why, in words: their number by reason.
    notes
        What has to be said, one sentence each.
    """

    raw: Profiles
    values: np.ndarray
    failures: pd.DataFrame
    left_out: dict[str, int]
    notes: tuple[str, ...] = ()

    @property
    def normalized(self) -> Profiles:
        """The wells with their normalised values."""
        return self.raw.with_values(self.values)


def prepare_plate(
    profiles: Profiles,
    recipe: AnalysisRecipe,
    *,
    sites: pd.DataFrame | None = None,
    images: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
) -> PlatePart:
    """Find what failed within a plate, leave out who does not take part, and normalise where the plate is the measure.

    Parameters
    ----------
    profiles
        All wells of one plate, in the features' own units.
    recipe
        The recipe.
    sites, images
        Quality of the plate's sites and images, where it is known.
    decisions
        What a person decided about wells of the plate.
    """
    failures = failures_of(profiles, recipe, sites=sites, images=images, decisions=decisions, is_across=False)
    takes_part, left_out = _who_takes_part(profiles, recipe, failures)
    raw = profiles.take(takes_part)
    if not recipe.normalize.needs_controls_of("plate") or not len(raw):
        return _normalized(raw, recipe, failures, left_out)
    controls = int(raw.is_control(NEGCON).sum())
    if controls >= LEAST_CONTROLS:
        return _normalized(raw, recipe, failures, left_out)
    plate = str(raw.wells["plate"].iloc[0])
    row = dict.fromkeys(FAILURE_COLUMNS) | {
        "experiment": raw.wells["experiment"].iloc[0],
        "plate": plate,
        "level": "plate",
        "rule": "controls",
        "feature": "negcon",
        "value": float(controls),
        "limit": float(LEAST_CONTROLS),
        "evidence": f"{controls} negative control wells are left on the plate, and it is normalised to at least "
        f"{LEAST_CONTROLS}",
        "excluded": True,
        "decided_by": "rule",
    }
    failures = _stack([failures, pd.DataFrame([row])])
    left_out = left_out | {"too few negative controls on the plate": len(raw)}
    nobody = raw.take(np.zeros(len(raw), bool))
    return PlatePart(nobody, nobody.values, failures, left_out)


def _normalized(
    raw: Profiles, recipe: AnalysisRecipe, failures: pd.DataFrame, left_out: dict[str, int]
) -> PlatePart:
    if recipe.normalize.by != "plate" or not len(raw):
        return PlatePart(raw, raw.values, failures, left_out)
    found = normalize(raw, recipe.normalize)
    return PlatePart(raw, found.profiles.values, failures, left_out, tuple(found.notes))


def failures_of(
    profiles: Profiles,
    recipe: AnalysisRecipe,
    *,
    sites: pd.DataFrame | None = None,
    images: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
    is_across: bool,
) -> pd.DataFrame:
    """Failures by the rules that look within plates, or by those that compare plates; columns `FAILURE_COLUMNS`.

    A person's decisions belong to the plate alone.
    """
    rules = tuple(rule for rule in recipe.failures.rules if (rule in ACROSS) == is_across)
    if not len(profiles) or not (rules or decisions is not None):
        return pd.DataFrame(columns=list(FAILURE_COLUMNS))
    chosen = recipe.failures.model_copy(update={"rules": rules})
    found = find_failures(profiles, chosen, sites=sites, images=images, decisions=decisions)
    return found.reindex(columns=list(FAILURE_COLUMNS))


def failed_wells(wells: pd.DataFrame, failures: pd.DataFrame) -> np.ndarray:
    """Which wells a failure leaves out, shape ``(wells,)``, bool: by their well, row, column or plate."""
    failed = np.zeros(len(wells), bool)
    columns = {"well": "well", "row": "row", "column": "column", "plate": None}
    for item in failures[failures["excluded"].fillna(False).astype(bool)].itertuples():
        if item.level not in columns:
            continue
        here = (wells["plate"] == item.plate).to_numpy()
        name = columns[str(item.level)]
        failed |= here & (wells[name] == getattr(item, name)).to_numpy() if name else here
    return failed


def stack_failures(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Failures of several plates below one another."""
    return _stack(frames)


def _stack(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame.astype(object) for frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame(columns=list(FAILURE_COLUMNS))
    return pd.concat(filled, ignore_index=True)


def _who_takes_part(
    profiles: Profiles, recipe: AnalysisRecipe, failures: pd.DataFrame
) -> tuple[np.ndarray, dict[str, int]]:
    """Wells that take part, shape ``(wells,)``, bool, and the number of others by the first reason that holds."""
    wells, left_out = profiles.wells, {}
    takes_part = np.ones(len(profiles), bool)

    def leave_out(reason: str, which: np.ndarray) -> None:
        count = int((which & takes_part).sum())
        if count:
            left_out[reason] = count
        takes_part[which] = False

    leave_out("empty wells", profiles.is_control("empty"))
    verdict = wells["verdict"]
    leave_out("quality verdict", ((verdict != "") & ~verdict.isin(recipe.filter.verdicts)).to_numpy())
    leave_out("too few cells", (wells["cells_count"] < recipe.filter.least_cells).to_numpy())
    if recipe.filter.failures == "exclude":
        leave_out("process failure", failed_wells(wells, failures))
    leave_out("no values", np.isnan(profiles.values).all(axis=1))
    return takes_part, left_out


def without(part: PlatePart, which: np.ndarray, reason: str) -> PlatePart:
    """The plate without some of its wells, a mask of shape ``(wells,)``."""
    if not which.any():
        return part
    left_out = part.left_out | {reason: part.left_out.get(reason, 0) + int(which.sum())}
    return replace(part, raw=part.raw.take(~which), values=part.values[~which], left_out=left_out)
