"""What an analysis comes to in a few numbers, by which recipes are compared."""

from __future__ import annotations

import math
from collections.abc import Callable

import pandas as pd

from imaging.analyses.mixing import Mixing
from imaging.analyses.neighbours import classify_by_neighbour
from imaging.analyses.profiles import EMPTY, NEGCON, Profiles
from imaging.analyses.recipe import AnalysisRecipe
from imaging.analyses.replication import percent_replicating
from imaging.analysis_tables import SCORES

Score = float | int | None


def score_analysis(
    profiles: Profiles, consensus: Profiles, hits: pd.DataFrame, mixing: Mixing, recipe: AnalysisRecipe
) -> tuple[dict[str, Score], tuple[str, ...]]:
    """Score an analysis by the names of ``analysis_tables.SCORES``.

    Parameters
    ----------
    profiles, consensus
        Wells and treatments, normalised, selected, corrected.
    hits
        One row per treatment and concentration: ``is_hit``, ``activity_map``.
    mixing
        How batches mix after correction.
    recipe
        Whose columns make replicates.

    Returns
    -------
    The scores, ``None`` where there is none, and why there is none.
    """
    notes: list[str] = list(mixing.notes)
    treated = profiles.take(_is_treated(profiles))
    replicates = treated.wells.groupby(list(recipe.consensus.by), dropna=False, sort=True).ngroup().to_numpy()
    known_map = hits["activity_map"].dropna() if "activity_map" in hits else pd.Series(dtype=float)
    found: dict[str, Score] = {
        "wells": len(profiles),
        "features": len(profiles.features),
        "treatments": len(hits),
        "hits": int(hits["is_hit"].fillna(False).astype(bool).sum()) if len(hits) else 0,
        "percent_replicating": _replicating(treated, replicates, notes),
        "mean_map": float(known_map.mean()) if len(known_map) else None,
        "nsc": _recall(lambda: classify_by_neighbour(consensus, exclude="treatment"), "", notes),
        "nscb": _recall(
            lambda: classify_by_neighbour(consensus, exclude="treatment+batch"), " of another batch", notes
        ),
        **{name: getattr(mixing, name) for name in _MIXING},
    }
    return {column.name: _finite(found[column.name]) for column in SCORES}, tuple(notes)


_MIXING = ("silhouette_batch", "silhouette_label", "kbet", "map_batch", "map_label")


def _is_treated(profiles: Profiles):
    return ~profiles.is_control(NEGCON) & ~profiles.is_control(EMPTY) & (profiles.wells["treatment"] != "").to_numpy()


def _replicating(treated: Profiles, replicates, notes: list[str]) -> Score:
    found = percent_replicating(treated.values, replicates)
    if not math.isfinite(found.share_of_groups):
        notes.append("percent replicating is undefined: no treatment has two wells, or there is one treatment only")
        return None
    return found.share_of_groups


def _recall(classify: Callable, whose: str, notes: list[str]) -> Score:
    recall = classify()
    if not recall.n:
        notes.append(f"mechanism recall is undefined: no two treatments{whose} have a mechanism")
        return None
    return recall.accuracy


def _finite(value: Score) -> Score:
    return None if value is None or not math.isfinite(value) else value
