"""The report of an analysis from its tables, as an analysis gives them or as they are read back.

hits, doses, controls, failures, variance have the columns of ``imaging.analyses.hits``, ``dose_response``,
``control_checks``, ``failures`` and ``variance``; what is not there is left out of the page, which says so in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from imaging.analyses.control_charts import centre_and_spread
from imaging.analyses.failures.decided import count_kept
from imaging.analyses.profile_map import ProfileMap
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.report import ExperimentReport, ReportCount, plain
from imaging.platemaps.plate_map import is_linear_unit

Frame = Any
"""A pandas frame; its own types do not tell a frame's row, column and part from each other."""

_CRITERIA = {
    "activity": "mAP against the negative controls",
    "replication": "replicates are alike",
    "distance": "Mahalanobis distance from the negative controls",
    "effect": "effect on a single feature",
    "dose_response": "dose response",
    "viability": "loss of cells",
}
_FIGURES = {
    "map": ("activity_map", "activity_mean_map"),
    "q": ("activity_q", "distance_q", "effect_q", "dose_response_q", "viability_q"),
    "distance": ("distance_mahalanobis", "distance_distance"),
    "effect": ("effect_z",),
    "ssmd": ("effect_ssmd",),
    "viability": ("viability_z",),
    "unit": ("concentration_unit",),
}
"""Columns of the page's hits and where they stand in an analysis'; of several the first that is there."""


@dataclass(frozen=True, eq=False)
class AnalysisTables:
    """The tables of one analysis.

    Parameters
    ----------
    hits, doses, controls, failures, variance
        As the head of this module says.
    plates
        ``plate``, and as far as known ``batch``, ``verdict``, ``page``, ``published_at``, in the order of acquisition.
    dose_points
        ``treatment``, ``feature``, ``concentration``, ``value``: what the curves of ``doses`` were fitted to.
    mixing
        What ``measure_mixing`` gave, by method; the last one is the recipe's.
    leaderboard
        Recipes side by side, columns of ``report.COLUMNS``.
    """

    hits: pd.DataFrame
    doses: pd.DataFrame = field(default_factory=pd.DataFrame)
    controls: pd.DataFrame = field(default_factory=pd.DataFrame)
    failures: pd.DataFrame = field(default_factory=pd.DataFrame)
    variance: pd.DataFrame = field(default_factory=pd.DataFrame)
    plates: pd.DataFrame = field(default_factory=pd.DataFrame)
    dose_points: pd.DataFrame = field(default_factory=pd.DataFrame)
    mixing: Mapping[str, Any] = field(default_factory=dict)
    leaderboard: pd.DataFrame = field(default_factory=pd.DataFrame)


def report_of(
    tables: AnalysisTables,
    *,
    experiment: str,
    analysis: str,
    recipe: str,
    criteria: HitCriteria | None = None,
    profile_map: ProfileMap | None = None,
    notes: Sequence[str] = (),
    is_failed: bool = False,
) -> ExperimentReport:
    """Make the report of an analysis.

    Parameters
    ----------
    tables
        What it gave.
    experiment, analysis, recipe
        Its names.
    criteria
        The recipe's, for their words.
    profile_map
        Where its profiles lie.
    notes
        What it remarks; the first stand in the page's head.
    is_failed
        Whether there is no analysis; a note says why.
    """
    hits = hits_of(tables.hits)
    plates: Frame = plates_of(tables.plates, tables.controls)
    is_hit = [plain(value) is True for value in hits["is_hit"]] if len(hits) else []
    wrong = sum(verdict in ("warn", "fail") for verdict in plates.get("verdict", ()))
    found = len(tables.failures) - count_kept(tables.failures)
    reasons = [f"{wrong} of {len(plates)} plates do not pass"] if wrong else []
    counts = (
        ReportCount("Hits", sum(is_hit), len(hits)),
        ReportCount("Plates", len(plates)),
        ReportCount("Failures", found),
    )
    return ExperimentReport(
        experiment,
        analysis,
        recipe,
        verdict="fail" if is_failed else "warn" if wrong or found else "pass",
        reasons=(*reasons, *notes),
        counts=counts,
        explained=profile_map.explained if profile_map else (None, None),
        criteria=_criteria_words(criteria),
        hits=hits,
        doses=doses_of(tables.doses, tables.hits, tables.dose_points),
        charts=charts_of(tables.controls, tables.failures, plates),
        failures=tables.failures,
        variance=_before_correction(tables.variance),
        mixing=mixing_of(tables.mixing),
        plates=plates,
        points=profile_map.points if profile_map else pd.DataFrame(),
        leaderboard=tables.leaderboard,
    )


def hits_of(hits: Frame) -> pd.DataFrame:
    """Hits in the page's columns."""
    shown: Frame = pd.DataFrame({name: hits[name] for name in hits.columns})
    for name, sources in _FIGURES.items():
        if name not in shown and (there := [source for source in sources if source in shown]):
            shown[name] = shown[there[0]]
    if "criteria" not in shown and "criteria_met" in shown:
        shown["criteria"] = [_texts(value) for value in shown["criteria_met"]]
    if "nearest" not in shown and "nearest_mechanism" in shown:
        similarity = shown.get("mechanism_similarity", pd.Series(np.nan, index=shown.index))
        shown["nearest"] = [
            [f"{name} ({alike:.2f})"] if name and pd.notna(alike) else _texts(name)
            for name, alike in zip(shown["nearest_mechanism"], similarity, strict=True)
        ]
    return shown


def _texts(value: Any) -> list[str]:
    """Several texts, also where they stand in one behind commas."""
    if isinstance(value, str):
        return [text for text in value.split(", ") if text]
    return list(map(str, value)) if isinstance(value, list | tuple | np.ndarray) else []


def doses_of(doses: Frame, hits: Frame, dose_points: Frame) -> pd.DataFrame:
    """A row per dose of each series, with its fit and, where it is known, its value.

    ``is_linear`` says whether the doses are numbers of places or logarithms, which are drawn as they are.
    """
    if not len(doses) or "concentration" not in hits:
        return pd.DataFrame()
    known = {"ec50_low": "low", "ec50_high": "high", "slope": "hill", "concentration_unit": "unit"}
    names = ("treatment", "feature", "ec50", "bottom", "top", "reason", *known)
    fits = doses[[name for name in names if name in doses]].rename(columns=known)
    if len(dose_points):  # hits have no concentration where all of a treatment's wells are replicates
        points = fits.merge(dose_points[["treatment", "feature", "concentration"]], on=["treatment", "feature"])
    else:
        points = fits.merge(hits[["treatment", "concentration"]].drop_duplicates(), on="treatment")
    points["is_linear"] = [is_linear_unit(str(unit)) for unit in points.get("unit", [""] * len(points))]
    if len(dose_points):
        keys = ["treatment", "feature", "concentration"]
        return points.merge(dose_points[[*keys, "value"]], on=keys, how="left")
    return points.assign(value=np.nan)


def plates_of(plates: Frame, controls: Frame) -> pd.DataFrame:
    """Plates with the best Z′ of their positive controls, of the first feature that has one."""
    positive = _positive(controls)
    if not len(plates) or "z_prime" in plates or not len(positive):
        return plates
    first = positive.loc[positive["z_prime"].notna(), "feature"].head(1).tolist()
    best = positive[positive["feature"].isin(first)].groupby("plate")["z_prime"].max()
    return plates.assign(z_prime=plates["plate"].map(best))


def _positive(controls: Frame) -> Frame:
    return controls[controls["control"] == "poscon"] if len(controls) else controls


def charts_of(controls: Frame, failures: Frame, plates: Frame) -> pd.DataFrame:
    """Means of the negative controls of each plate and feature in the order of the plates, with three-sigma limits.

    Centre and standard deviation are those by which plates are judged (`imaging.analyses.control_charts`).
    """
    if not len(controls) or not len(plates):
        return pd.DataFrame()
    order = {plate: place for place, plate in enumerate(plates["plate"])}
    negative = controls[(controls["control"] == "negcon") & controls["plate"].isin(order)]
    times = dict(zip(plates["plate"], plates.get("published_at", pd.Series(None, plates.index)), strict=True))
    signals = _signals(failures)
    parts = []
    for feature, rows in negative.groupby("feature", sort=False):
        placed = rows.sort_values("plate", key=lambda names: names.map(order), kind="stable")
        means = placed["mean"].to_numpy(float)
        known = means[np.isfinite(means)]
        if len(known) < 2:
            continue
        centre, sd = centre_and_spread(known)
        chart = placed[["plate", "feature", "mean"]].assign(centre=centre, low=centre - 3 * sd, high=centre + 3 * sd)
        chart["time"] = chart["plate"].map(times)
        chart["signal"] = [signals.get((plate, feature)) for plate in chart["plate"]]
        parts.append(chart)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _signals(failures: Frame) -> dict[tuple[str, str], str]:
    """What the failures say of drifting features, by plate and feature."""
    if not len(failures) or "feature" not in failures or "evidence" not in failures:
        return {}
    drifting = failures[failures["rule"] == "drift"]
    return dict(
        zip(zip(drifting["plate"], drifting["feature"], strict=True), map(str, drifting["evidence"]), strict=True)
    )


def _before_correction(variance: Frame) -> Frame:
    """Shares before batches are corrected: what the process does to the features."""
    return variance[~variance["is_corrected"].astype(bool)] if "is_corrected" in variance else variance


def mixing_of(mixing: Mapping[str, Any]) -> pd.DataFrame:
    """Measures of mixing, one row per method; the last method is the recipe's."""
    measures = ("silhouette_batch", "silhouette_label", "kbet", "map_batch", "map_label")
    last = list(mixing)[-1] if mixing else None
    rows = [
        {"method": method, "counts": method == last, "notes": "; ".join(_read(said, "notes") or ())}
        | {name: _read(said, name) for name in measures}
        for method, said in mixing.items()
        if said is not None
    ]
    return pd.DataFrame(rows)


def _read(said: Any, name: str) -> Any:
    return said.get(name) if isinstance(said, Mapping) else getattr(said, name, None)


def _criteria_words(criteria: HitCriteria | None) -> dict[str, str]:
    if criteria is None:
        return {}
    return {name: f"{_CRITERIA.get(name, name)}, FDR {100 * criteria.fdr:g} %" for name in criteria.criteria}
