"""One analysis of an experiment: from the profiles of its wells to its hits, as the recipe says.

each plate alone      failures within it, who takes part, normalisation to itself
all plates            failures across them, selection, batch correction, consensus, variance and mixing, hits
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd

from imaging.analyses.annotate import find_unfilled, find_unheld
from imaging.analyses.consensus import make_consensus
from imaging.analyses.correct import correct
from imaging.analyses.failures import find_failures
from imaging.analyses.hits import find_hits
from imaging.analyses.mixing import measure_mixing
from imaging.analyses.normalize import Normalized, normalize
from imaging.analyses.participation import check_participation, choose_wells
from imaging.analyses.profiles import NEGCON, Profiles, stack_profiles
from imaging.analyses.recipe import AnalysisRecipe, Normalize
from imaging.analyses.scores import score_analysis
from imaging.analyses.select import select_features
from imaging.analyses.variance import share_variance
from imaging.errors import ConfigurationError
from imaging.sentences import counted

FACTORS = ("batch", "plate", "row", "column", "treatment")
"""What the variance of features is shared among."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """An analysis.

    Parameters
    ----------
    recipe
        The recipe.
    profiles
        Wells that took part: normalised, selected, corrected.
    consensus
        One profile per treatment.
    failures
        What failed for technical reasons.
    variance
        Share of each feature's variance by factor: ``feature``, ``factor``, ``share``, ``is_corrected``.
    mixing_before, mixing_after
        How batches mix and treatments separate, before batch correction and after.
    hits, controls, doses, dose_points
        Tables of ``imaging.analyses.hits``.
    scores
        What it comes to, by the names of ``analysis_tables.SCORES``; ``None`` where a note says why.
    notes
        What has to be said, one sentence each.
    details
        How features were selected and batches corrected.
    """

    recipe: AnalysisRecipe
    profiles: Profiles
    consensus: Profiles
    failures: pd.DataFrame
    variance: pd.DataFrame
    mixing_before: Any
    mixing_after: Any
    hits: pd.DataFrame
    controls: pd.DataFrame
    doses: pd.DataFrame
    dose_points: pd.DataFrame
    scores: dict[str, float | int | None]
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def as_details(self) -> dict[str, Any]:
        """What a record says of it beside its tables, JSON-able."""
        mixing = {"before": self.mixing_before, "after": self.mixing_after}
        return plain({**self.details, "mixing": mixing, "features": list(self.profiles.features)})


def plain(value: Any) -> Any:
    """A value as JSON takes it; what is no number becomes nothing."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if value is None or isinstance(value, str | int) else str(value)


def analyse(
    profiles: Profiles,
    recipe: AnalysisRecipe,
    *,
    sites: pd.DataFrame | None = None,
    images: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
    normalize_plate: Callable[[Profiles, Normalize], Normalized] = normalize,
) -> Analysis:
    """Analyse an experiment; the order of its wells does not matter.

    Parameters
    ----------
    profiles
        All wells of all plates, in the features' own units.
    recipe
        The recipe.
    sites, images
        Quality of sites and images, columns as the tables ``sites`` and ``images``, where it is known.
    decisions
        What a person decided about wells, as ``failures.find_failures`` takes it.
    normalize_plate
        Normalises one plate where each is the measure of itself; ``normalize``, or what remembers what that gave.

    Raises
    ------
    ConfigurationError
        If nothing can be said: without negative controls where the recipe needs them, or with no well left.
    """
    profiles = _in_order(profiles)
    experiment = str(profiles.wells["experiment"].iloc[0]) if len(profiles) else ""
    failures = find_failures(profiles, recipe.failures, sites=sites, images=images, decisions=decisions)
    part = choose_wells(profiles, recipe, failures)
    absent = find_unfilled(profiles.wells, recipe.annotate) + find_unheld(profiles.wells, recipe.annotate)
    del profiles
    check_participation(part, recipe, experiment=experiment, because=absent)
    normalized, notes, seen = _normalize(part.profiles, recipe.normalize, normalize_plate)
    _check_normalized(part.profiles, normalized, recipe.normalize)
    selected = select_features(normalized, recipe.select)
    _check_features(selected.profiles, normalized)
    del normalized
    corrected = correct(selected.profiles, recipe.correct)
    consensus = make_consensus(corrected.profiles, recipe.consensus)
    reference = _reference(corrected.profiles, [seen, corrected.details])
    hits = find_hits(corrected.profiles, recipe, raw=part.profiles, reference=reference)
    is_corrected = recipe.correct.method != "none"
    before = _mixing(selected.profiles)
    after = _mixing(corrected.profiles) if is_corrected else before
    variance = [_variance(selected.profiles, is_corrected=False)]
    variance += [_variance(corrected.profiles, is_corrected=True)] if is_corrected else []
    scores, said = score_analysis(corrected.profiles, consensus, hits.hits, after, recipe)
    return Analysis(
        recipe=recipe,
        profiles=corrected.profiles,
        consensus=consensus,
        failures=part.failures,
        variance=pd.concat(variance, ignore_index=True),
        mixing_before=before,
        mixing_after=after,
        hits=hits.hits,
        controls=hits.controls,
        doses=hits.doses,
        dose_points=hits.dose_points,
        scores=scores,
        notes=tuple(
            dict.fromkeys([*absent, *part.notes, *notes, *selected.notes, *corrected.notes, *hits.notes, *said])
        ),
        details={
            "dropped": [
                {"feature": item.feature, "operation": item.operation, "reason": item.reason}
                for item in selected.dropped
            ],
            "correction": {name: value for name, value in corrected.details.items() if name != "fitted"},
            "checks": hits.checks.to_dict("records"),
        },
    )


def stack_common(plates: Sequence[Profiles]) -> tuple[Profiles, tuple[str, ...]]:
    """Plates below one another with the features that all of them have, and a note where some have others too.

    Raises
    ------
    ConfigurationError
        If they have none in common.
    """
    known = dict.fromkeys(name for plate in plates for name in plate.features)
    shared = set(known).intersection(*(plate.features for plate in plates))
    common = [name for name in known if name in shared]
    if len(common) == len(known):
        return stack_profiles(plates), ()
    fewest = min(plates, key=lambda plate: (len(plate.features), plate.wells["plate"].iloc[0]))
    experiment, name = fewest.wells[["experiment", "plate"]].iloc[0]
    if not common:
        raise ConfigurationError(
            "the plates have no feature in common, so nothing can be compared; process them under one recipe",
            experiment=experiment,
            plate=name,
        )
    note = (
        f"plates have different features: {len(common)} of {len(known)} are on all plates and are used, {name} has "
        f"{len(fewest.features)}"
    )
    return stack_profiles([plate.only(common) for plate in plates]), (note,)


def _in_order(profiles: Profiles) -> Profiles:
    """The wells in the order of their places: sums do not depend on how a file was sorted."""
    keys = ["batch", "plate", "time_point", "row", "column", "well"]
    return profiles.take(profiles.wells.sort_values(keys, kind="stable").index.to_numpy())


def _normalize(
    raw: Profiles, recipe: Normalize, normalize_plate: Callable[[Profiles, Normalize], Normalized]
) -> tuple[Profiles, list[str], dict[str, Any]]:
    """Normalised wells, notes, and which of them the normalisation was fitted on, where it says so."""
    if recipe.by != "plate" or recipe.method in ("none", "spherize"):
        found = normalize(raw, recipe)
        return found.profiles, list(found.notes), found.details
    values = np.empty(raw.values.shape)
    said: dict[str, list[str]] = {}
    for (_, plate), rows in raw.groups(["batch", "plate"]):
        made = normalize_plate(raw.take(rows), recipe)
        values[rows] = made.profiles.values
        for note in made.notes:
            said.setdefault(note.removeprefix(f"plate {plate} "), []).append(str(plate))
    return raw.with_values(values), [_of_plates(note, plates) for note, plates in said.items()], {}


def _of_plates(note: str, plates: Sequence[str]) -> str:
    """What is to be said of several plates, once."""
    more = f"; so it is with {counted(len(plates) - 1, 'more plate')}" if len(plates) > 1 else ""
    return f"plate {plates[0]} {note}{more}"


def _reference(profiles: Profiles, details: Sequence[dict[str, Any]]) -> np.ndarray | None:
    """Negative controls that no correction was fitted on, shape ``(profiles,)``, bool; ``None`` where all are such."""
    reference = profiles.is_control(NEGCON)
    fitted = [np.asarray(each["fitted"], dtype=bool) for each in details if "fitted" in each]
    if not any((each & reference).any() for each in fitted):
        return None
    for each in fitted:
        reference = reference & ~each
    return reference


def _check_normalized(raw: Profiles, normalized: Profiles, recipe: Normalize) -> None:
    if np.isfinite(raw.values).any() and not np.isfinite(normalized.values).any():
        measure = "the negative controls" if recipe.to == "negcon" else "the wells"
        raise ConfigurationError(
            f"no feature can be normalised, for {measure} of no {recipe.by} differ in any; look at the values, or take "
            "`normalize: {method: none}`",
            experiment=normalized.wells["experiment"].iloc[0],
        )


def _check_features(selected: Profiles, normalized: Profiles) -> None:
    if not selected.features:
        raise ConfigurationError(
            f"none of {len(normalized.features)} features is left after selection; relax the operations under select",
            experiment=normalized.wells["experiment"].iloc[0],
        )


def _mixing(profiles: Profiles) -> Any:
    return measure_mixing(profiles, batch=_process_factor(profiles), label="treatment")


def _process_factor(profiles: Profiles) -> str:
    """What the process differs by: batches, or plates where there is one batch only."""
    return "batch" if profiles.wells["batch"].nunique() > 1 else "plate"


def _variance(profiles: Profiles, *, is_corrected: bool) -> pd.DataFrame:
    factors = [name for name in FACTORS if profiles.wells[name].nunique() > 1]
    if not factors:
        return pd.DataFrame({name: [] for name in ("feature", "factor", "share", "is_corrected")})
    return share_variance(profiles, factors).assign(is_corrected=is_corrected)
