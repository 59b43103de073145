"""Hits: which treatments meet the criteria of the recipe, and why some are not decided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imaging.analyses.activity import measure_activity
from imaging.analyses.control_checks import check_controls, describe_controls
from imaging.analyses.distances import measure_distances
from imaging.analyses.dose_response import fit_dose_responses, list_dose_points
from imaging.analyses.effects import measure_effects
from imaging.analyses.mechanisms import find_nearest_mechanisms
from imaging.analyses.profiles import NEGCON, Profiles
from imaging.analyses.recipe import AnalysisRecipe, Criterion, HitCriteria
from imaging.analyses.replication import measure_replication
from imaging.analyses.treatments import Treatments, list_treatments
from imaging.analyses.viability import measure_viability
from imaging.errors import ConfigurationError

_WELL = ["experiment", "plate", "well", "time_point"]


@dataclass(frozen=True, eq=False)
class Hits:
    """Treatments with what they do, and what says how far that can be believed.

    Parameters
    ----------
    hits
        One row per treatment and concentration: what tells it from others, annotations, ``n_replicates``; of each
        criterion of the recipe its figures, ``<criterion>_q`` and ``<criterion>_met``; ``criteria_met``, ``is_hit``
        (NA where it is not decided) and ``reason`` in words.
    controls
        `control_checks.CONTROL_COLUMNS`: controls of each plate.
    doses
        Dose responses (`dose_response.fit_dose_responses`); empty if the recipe names no features.
    dose_points
        What their curves are fitted to (`dose_response.list_dose_points`).
    checks
        Negative controls tested as if they were treatments, by criterion.
    notes
        What a reader must know, in sentences.
    """

    hits: pd.DataFrame
    controls: pd.DataFrame
    doses: pd.DataFrame
    dose_points: pd.DataFrame
    checks: pd.DataFrame
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Wells:
    """What all criteria are evaluated on."""

    profiles: Profiles
    raw: Profiles
    criteria: HitCriteria
    treatments: Treatments
    doses: pd.DataFrame
    by: tuple[str, ...]
    reference: np.ndarray | None


def find_hits(
    profiles: Profiles, recipe: AnalysisRecipe, *, raw: Profiles, reference: np.ndarray | None = None
) -> Hits:
    """Evaluate the criteria of a recipe.

    Parameters
    ----------
    profiles
        Wells, normalised, with the features that were selected, corrected.
    recipe
        Its sections ``hits`` and ``consensus``: wells that are equal in ``consensus.by`` are replicates.
    raw
        The same wells as measured, in any order; more wells are left aside.
    reference
        Which negative controls count, shape ``(profiles,)``, bool: where a correction was fitted to controls, those
        that it has not seen. ``None`` for all.

    Raises
    ------
    ConfigurationError
        If the criteria need features that the recipe does not name or the profiles do not have.
    ValueError
        If ``raw`` lacks a well.
    """
    by = tuple(recipe.consensus.by)
    criteria = recipe.hits
    _check(criteria)
    raw = _align(raw, profiles)
    treatments = list_treatments(profiles, by)
    doses = fit_dose_responses(raw, criteria, by=by)
    points = list_dose_points(raw, criteria, by=by)
    wells = _Wells(profiles, raw, criteria, treatments, doses, by, reference)
    parts = [treatments.table, _mechanisms(profiles, treatments)]
    judged = {criterion: _JUDGES[criterion](wells) for criterion in criteria.criteria}
    for criterion, (figures, _) in judged.items():
        parts.append(figures.add_prefix(f"{criterion}_"))
    met = pd.DataFrame({criterion: figures["met"] for criterion, (figures, _) in judged.items()})
    met = met.reindex(range(len(treatments)))
    reasons = {criterion: said for criterion, (_, said) in judged.items()}
    table = pd.concat(parts, axis=1)
    table["criteria_met"] = [", ".join(name for name in judged if row[name] is True) for row in met.to_dict("records")]
    table["is_hit"] = _decide(met, criteria.needed)
    table["reason"] = [_explain({name: said[i] for name, said in reasons.items()}) for i in range(len(treatments))]
    for criterion in judged:
        table[f"{criterion}_met"] = table[f"{criterion}_met"].astype("boolean")
    checks, suspicions = check_controls(profiles, raw, criteria, treatments, reference=reference)
    notes = (*_notes(profiles, table), *suspicions)
    return Hits(table, describe_controls(raw, criteria.features), doses, points, checks, notes)


def _check(criteria: HitCriteria) -> None:
    need = [name for name in ("effect", "dose_response") if name in criteria.criteria]
    if need and not criteria.features:
        raise ConfigurationError(
            f"hits.criteria of the recipe has {' and '.join(need)}, which are of single features, but hits.features "
            "names none; name some, or cells_count"
        )


def _align(raw: Profiles, profiles: Profiles) -> Profiles:
    """The wells of ``profiles`` as measured, in their order."""
    place = pd.MultiIndex.from_frame(raw.wells[_WELL].fillna(0))
    wanted = pd.MultiIndex.from_frame(profiles.wells[_WELL].fillna(0))
    if place.equals(wanted):
        return raw
    if not place.is_unique:
        raise ValueError("raw has a well twice: " + " ".join(map(str, place[place.duplicated()][0])))
    rows = place.get_indexer(wanted)
    if (rows < 0).any():
        raise ValueError(f"raw lacks a well of the profiles: {' '.join(map(str, wanted[rows < 0][0]))}")
    return raw.take(rows)


# Criteria: figures with ``met`` (True, False, None where not decided), and why a treatment is not decided

_Judged = tuple[pd.DataFrame, list[str]]


def _judge(table: pd.DataFrame, wells: _Wells, also: np.ndarray | None = None) -> _Judged:
    """Decide by the false discovery rate, and by what else must hold."""
    table = table.drop(columns="n_replicates", errors="ignore")
    table["q"] = _share_rate(table["q"], wells.criteria)
    is_met = (table["q"] <= wells.criteria.fdr).to_numpy() & (True if also is None else also)
    is_decided = np.isfinite(table["p"].to_numpy(float))
    table["met"] = _tristate(is_met, is_decided)
    return table.drop(columns="reason"), [
        "" if done else said for said, done in zip(table["reason"], is_decided, strict=True)
    ]


def _share_rate(q: pd.Series, criteria: HitCriteria) -> pd.Series:
    """Where any criterion is enough, each is held to its share of the rate."""
    return (q * len(criteria.criteria)).clip(upper=1) if criteria.needed == "any" else q


def _tristate(is_met: np.ndarray, is_decided: np.ndarray) -> pd.Series:
    return pd.Series([bool(m) if d else None for m, d in zip(is_met, is_decided, strict=True)], dtype=object)


def _activity(wells: _Wells) -> _Judged:
    found = measure_activity(wells.profiles, wells.criteria, treatments=wells.treatments, reference=wells.reference)
    return _judge(found, wells)


def _distance(wells: _Wells) -> _Judged:
    found = measure_distances(wells.profiles, wells.criteria, treatments=wells.treatments, reference=wells.reference)
    return _judge(found.rename(columns={"distance": "mahalanobis"}), wells)


def _replication(wells: _Wells) -> _Judged:
    return _judge(measure_replication(wells.profiles, wells.criteria, treatments=wells.treatments), wells)


def _viability(wells: _Wells) -> _Judged:
    found = measure_viability(wells.raw, wells.criteria, treatments=wells.treatments)  # nothing was fitted to these
    return _judge(found, wells, also=(found["z"] < wells.criteria.viability).to_numpy())


def _effect(wells: _Wells) -> _Judged:
    """Of each treatment the feature that is told from chance and large enough, or else the least chance one."""
    criteria = wells.criteria
    found = measure_effects(wells.raw, criteria, treatments=wells.treatments)
    positive = wells.treatments.is_positive[found["number"].to_numpy(int)]
    reached = found["p_any"].where(found["q"] <= criteria.rate).groupby(positive).transform("max")
    limit = reached / len(criteria.features)
    is_large = (found["z"].abs() >= criteria.effect) & (found["ssmd"].abs() >= criteria.ssmd)
    found["is_met"] = is_large & (found["p"] <= limit)
    found["size"] = found["z"].abs()
    ranked = found.sort_values(["number", "is_met", "p", "size"], ascending=[True, False, True, False], kind="stable")
    best = ranked.drop_duplicates("number").sort_values("number").reset_index(drop=True)
    also = best["is_met"].to_numpy()
    best["p"] = (best["p"] * len(criteria.features)).clip(upper=1)  # the best of several features
    return _judge(best.drop(columns=["number", "is_met", "size", "p_any"]), wells, also=also)


def _dose_response(wells: _Wells) -> _Judged:
    """Of each treatment the feature with the clearest dose response; it holds for all its concentrations."""
    keys = [name for name in wells.by if name != "concentration"]
    doses = wells.doses
    q = doses.drop_duplicates(keys)["q"]
    cut = wells.criteria.rate * (q <= wells.criteria.rate).sum() / max(q.notna().sum(), 1)  # of Benjamini and Hochberg
    is_clear = doses["p"] * len(wells.criteria.features) <= cut  # the feature that is shown must be beyond it itself
    is_shown = (doses["reason"] == "") & is_clear
    ranked = doses.assign(has_none=~is_shown).sort_values([*keys, "has_none", "p"], kind="stable")
    best = ranked.drop_duplicates(keys)
    found = wells.treatments.table[keys].merge(best, on=keys, how="left")
    said = found["reason"].fillna("one concentration").astype(str)
    is_few = found["p"].notna() & found["q"].isna()
    found.loc[is_few, "p"] = np.nan
    said[is_few] = f"less than {wells.criteria.least_replicates} wells of each dose"
    found["reason"] = said
    also = (said == "").to_numpy() & found["has_none"].eq(other=False).to_numpy()
    return _judge(found[["feature", "ec50", "ec50_low", "ec50_high", "p", "q", "reason"]], wells, also=also)


_JUDGES: dict[Criterion, Callable[[_Wells], _Judged]] = {
    "activity": _activity,
    "replication": _replication,
    "distance": _distance,
    "effect": _effect,
    "dose_response": _dose_response,
    "viability": _viability,
}


# Decisions in words


def _decide(met: pd.DataFrame, needed: str) -> pd.Series:
    decided = []
    for row in met.to_dict("records"):
        said = list(row.values())
        first, rest = (True, False) if needed == "any" else (False, True)
        if first in said:
            decided.append(first)
        elif None in said and (needed == "all" or set(said) == {None}):
            decided.append(None)
        else:
            decided.append(rest)
    return pd.Series(decided, dtype="boolean")


def _explain(reasons: dict[str, str]) -> str:
    """Why criteria are not decided; the same reason of several of them once."""
    by_reason: dict[str, list[str]] = {}
    for criterion, reason in reasons.items():
        if reason:
            by_reason.setdefault(reason, []).append(criterion)
    return "; ".join(f"{', '.join(criteria)} not decided: {reason}" for reason, criteria in by_reason.items())


def _mechanisms(profiles: Profiles, treatments: Treatments) -> pd.DataFrame:
    """The nearest mechanism of each treatment, by the medians of its wells."""
    columns = ["nearest_mechanism", "mechanism_similarity", "mechanism_treatments"]
    empty = pd.DataFrame({columns[0]: "", columns[1]: np.nan, columns[2]: 0}, index=range(len(treatments)))
    if len(treatments) == 0 or not treatments.table["mechanism"].ne("").any():
        return empty
    centres = np.vstack([_median(profiles.values[rows]) for rows in treatments.rows])
    first = profiles.wells.iloc[[rows[0] for rows in treatments.rows]].reset_index(drop=True)
    first = first.assign(mechanism=treatments.table["mechanism"], concentration=np.arange(len(treatments), dtype=float))
    near = find_nearest_mechanisms(Profiles(centres, profiles.features, first), most=1)
    places = near["concentration"].astype(int).to_numpy()
    found = near[["mechanism", "similarity", "n_treatments"]].set_axis(columns, axis=1).set_axis(places, axis=0)
    empty.loc[places] = found
    return empty


def _median(values: np.ndarray) -> np.ndarray:
    """Median of the values that there are, feature by feature; NaN where there is none."""
    has = np.isfinite(values).any(axis=0)
    found = np.full(values.shape[1], np.nan)
    found[has] = np.nanmedian(values[:, has], axis=0)
    return found


def _notes(profiles: Profiles, table: pd.DataFrame) -> list[str]:
    notes = []
    if not profiles.is_control(NEGCON).any():
        notes.append("no well is a negative control: nothing can be told from doing nothing; name them in the recipe")
    elif not np.isfinite(profiles.values).any():
        notes.append("no profile has a value of any feature")
    unnamed = int(((profiles.wells["treatment"] == "") & (profiles.wells["control"] != "empty")).sum())
    if unnamed:
        notes.append(f"{unnamed} well{'s' * (unnamed > 1)} without a treatment's name took no part")
    open_reasons = Counter(table.loc[table["is_hit"].isna(), "reason"])
    for reason, count in sorted(open_reasons.items()):
        notes.append(f"{count} treatment{'s' * (count > 1)}: {reason}")
    return notes
