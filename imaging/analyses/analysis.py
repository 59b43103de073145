"""One analysis of an experiment: from the profiles of its wells to its hits, as the recipe says.

    each plate alone      failures within it, who takes part, normalisation to itself      (imaging.analyses.plate_part)
    all plates            failures across them, selection, batch correction, consensus, variance and mixing, hits
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from imaging.analyses.consensus import make_consensus
from imaging.analyses.correct import correct
from imaging.analyses.hits import find_hits
from imaging.analyses.mixing import measure_mixing
from imaging.analyses.normalize import normalize
from imaging.analyses.plate_part import (
    PlatePart,
    failed_wells,
    failures_of,
    prepare_plate,
    stack_failures,
    without,
)
from imaging.analyses.profiles import NEGCON, Profiles, stack_profiles
from imaging.analyses.recipe import AnalysisRecipe
from imaging.analyses.scores import score_analysis
from imaging.analyses.select import select_features
from imaging.analyses.variance import share_variance
from imaging.errors import ConfigurationError

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
        What failed for technical reasons, columns ``plate_part.FAILURE_COLUMNS``.
    variance
        Share of each feature's variance by factor: ``feature``, ``factor``, ``share``, ``is_corrected``.
    mixing_before, mixing_after
        How batches mix and treatments separate, before batch correction and after.
    hits, controls, doses
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
) -> Analysis:
    """Analyse an experiment.

    Parameters
    ----------
    profiles
        All wells of all plates, in the features' own units.
    recipe
        The recipe.
    sites, images
        Quality of sites and images, columns as the tables ``sites`` and ``images``, where it is known.
    decisions
        What a person decided about wells: ``plate``, ``well``, ``excluded``, ``decided_by``, ``reason``.

    Raises
    ------
    ConfigurationError
        If nothing can be said: without negative controls where the recipe needs them, or with no well left.
    """
    parts = []
    for (plate,), rows in profiles.groups(["plate"]):
        about = [None if frame is None else frame[frame["plate"] == plate] for frame in (sites, images, decisions)]
        parts.append(
            prepare_plate(profiles.take(rows), recipe, sites=about[0], images=about[1], decisions=about[2])
        )
    return analyse_parts(parts, recipe)


def analyse_parts(parts: Sequence[PlatePart], recipe: AnalysisRecipe) -> Analysis:
    """Analyse an experiment whose plates were prepared; arguments and errors as `analyse`.

    The order of the plates, and of the wells in them, does not matter.
    """
    ordered = sorted(parts, key=lambda part: tuple(part.raw.wells[["batch", "plate"]].head(1).to_numpy().ravel()))
    ordered, notes = _with_common_features([_in_order(part) for part in ordered])
    notes += [note for part in parts for note in part.notes]
    across = failures_of(stack_profiles([part.raw for part in ordered]), recipe, is_across=True)
    if recipe.filter.failures == "exclude":
        ordered = [without(part, failed_wells(part.raw.wells, across), "process failure") for part in ordered]
    failures = stack_failures([*(part.failures for part in ordered), across])
    notes += _left_out(ordered)
    raw = stack_profiles([part.raw for part in ordered])
    _check(raw, recipe, ordered)
    normalized = stack_profiles([part.normalized for part in ordered])
    if recipe.normalize.by != "plate":
        found = normalize(raw, recipe.normalize)
        normalized, notes = found.profiles, [*notes, *found.notes]
    selected = select_features(normalized, recipe.select)
    _check_features(selected.profiles, normalized)
    corrected = correct(selected.profiles, recipe.correct)
    consensus = make_consensus(corrected.profiles, recipe.consensus)
    hits = find_hits(corrected.profiles, recipe, raw=raw)
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
        failures=failures,
        variance=pd.concat(variance, ignore_index=True),
        mixing_before=before,
        mixing_after=after,
        hits=hits.hits,
        controls=hits.controls,
        doses=hits.doses,
        scores=scores,
        notes=tuple(dict.fromkeys([*notes, *selected.notes, *corrected.notes, *hits.notes, *said])),
        details={
            "dropped": [
                {"feature": item.feature, "operation": item.operation, "reason": item.reason}
                for item in selected.dropped
            ],
            "correction": corrected.details,
        },
    )


def _in_order(part: PlatePart) -> PlatePart:
    """The plate with its wells in the order of their places: sums do not depend on how a file was sorted."""
    order = part.raw.wells.sort_values(["time_point", "row", "column", "well"], kind="stable").index.to_numpy()
    return replace(part, raw=part.raw.take(order), values=part.values[order])


def _with_common_features(parts: list[PlatePart]) -> tuple[list[PlatePart], list[str]]:
    """The plates with the features that all of them have, in the order of the first."""
    there = [part for part in parts if len(part.raw)]
    if not there:
        return parts, []
    common = [name for name in there[0].raw.features if all(name in set(part.raw.features) for part in there)]
    known = dict.fromkeys(name for part in there for name in part.raw.features)
    if len(common) == len(known):
        return parts, []
    fewest = min(there, key=lambda part: len(part.raw.features))
    plate = fewest.raw.wells["plate"].iloc[0]
    if not common:
        raise ConfigurationError(
            "the plates have no feature in common, so nothing can be compared; process them under one recipe",
            experiment=fewest.raw.wells["experiment"].iloc[0],
            plate=plate,
        )
    note = (
        f"plates have different features: {len(common)} of {len(known)} are on all plates and are used, {plate} has "
        f"{len(fewest.raw.features)}"
    )
    return [_only(part, common) for part in parts], [note]


def _only(part: PlatePart, features: list[str]) -> PlatePart:
    if not len(part.raw):
        return replace(part, raw=part.raw.with_values(np.empty((0, len(features))), features), values=np.empty((0, len(features))))
    return replace(part, raw=part.raw.only(features), values=part.normalized.only(features).values)


def _left_out(parts: Sequence[PlatePart]) -> list[str]:
    """Who did not take part, by reason."""
    counts: dict[str, tuple[int, int]] = {}
    for part in parts:
        for reason, count in part.left_out.items():
            wells, plates = counts.get(reason, (0, 0))
            counts[reason] = wells + count, plates + 1
    return [
        f"left out: {wells} well{'s' if wells != 1 else ''} of {plates} plate{'s' if plates != 1 else ''} ({reason})"
        for reason, (wells, plates) in sorted(counts.items())
    ]


def _check(raw: Profiles, recipe: AnalysisRecipe, parts: Sequence[PlatePart]) -> None:
    """Refuse an experiment of which nothing can be said."""
    experiment = next((part.failures["experiment"].iloc[0] for part in parts if len(part.failures)), "")
    if len(raw):
        experiment = raw.wells["experiment"].iloc[0]
    reasons = ", ".join(sorted({reason for part in parts for reason in part.left_out}))
    if not len(raw) and "too few negative controls" not in reasons:
        raise ConfigurationError(
            f"no well is left to analyse ({reasons or 'the plates have none'}); see process_failures and filter in the "
            "recipe",
            experiment=experiment,
        )
    if not len(raw) or (recipe.needs_controls and not raw.is_control(NEGCON).any()):
        raise ConfigurationError(
            "the experiment has no negative controls to compare with; say which wells are negcon in the plate map, or "
            "which treatments under annotate.negative_controls in analysis.yaml",
            experiment=experiment,
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
        return pd.DataFrame(columns=["feature", "factor", "share", "is_corrected"])
    return share_variance(profiles, factors).assign(is_corrected=is_corrected)
