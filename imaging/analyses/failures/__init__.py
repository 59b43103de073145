"""Process failures: sites, wells, rows, columns and plates that failed for technical reasons, with evidence in words.

optics        focus, saturation, debris: images unlike those of the plate's control wells
cells         cell loss beyond treatment
patterns      rows, columns and edges; median polish, B-score
replicates    wells unlike all other replicates
controls      negative controls that failed, and whole plates
drift         control charts over the plates, in the order of their imaging
decided       what people and screen logs decided
finding, limits, measured, summaries    what all of them share
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from imaging.analyses.failures.cells import find_cell_loss
from imaging.analyses.failures.controls import find_dead_plates, find_failed_controls, find_failed_plates
from imaging.analyses.failures.decided import RULE as DECISION
from imaging.analyses.failures.decided import apply_decisions
from imaging.analyses.failures.drift import find_drift
from imaging.analyses.failures.finding import Failure, as_table
from imaging.analyses.failures.measured import gather_metrics
from imaging.analyses.failures.optics import find_bad_images
from imaging.analyses.failures.patterns import b_scores, find_patterns, polish_plate
from imaging.analyses.failures.replicates import find_outlying_replicates
from imaging.analyses.failures.summaries import scale_by_plate, summarise
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import Failures

__all__ = ["b_scores", "find_failures", "mark_excluded", "polish_plate"]


def find_failures(
    profiles: Profiles,
    recipe: Failures,
    *,
    sites: pd.DataFrame | None = None,
    images: pd.DataFrame | None = None,
    decisions: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Find what failed for technical reasons.

    Parameters
    ----------
    profiles
        Raw wells, not normalised, of one or several experiments.
    recipe
        The rules that are applied, and the limit.
    sites, images, decisions
        Rows of these tables, where there are any. Without images, features named as CellProfiler names image metrics
        are looked at.

    Returns
    -------
    One row per failure and rule: ``experiment``, ``plate``, ``level`` (site, well, row, column or plate), ``well``,
    ``site``, ``row``, ``column``, ``rule``, ``feature``, ``value``, ``limit``, ``evidence`` in words, ``excluded``,
    ``decided_by`` (``rule``, a person or the screen log) and ``reason``. Texts are ``""`` and numbers NaN or NA where
    there is nothing to say. The same wells give the same rows in any order.
    """
    order = profiles.wells.sort_values(["experiment", "batch", "plate", "well", "time_point"], kind="stable").index
    wells = profiles.take(np.asarray(order))
    return as_table(apply_decisions(_apply_rules(wells, recipe, sites, images), wells, decisions))


def _apply_rules(
    profiles: Profiles, recipe: Failures, sites: pd.DataFrame | None, images: pd.DataFrame | None
) -> Iterator[Failure]:
    rules: set[str] = set(recipe.rules)
    if not len(profiles):
        return
    metrics = gather_metrics(profiles, images)
    yield from find_bad_images(profiles, metrics, recipe.limit, rules)
    yield from find_failed_plates(metrics, recipe.limit, rules)
    yield from find_dead_plates(profiles, recipe.limit, rules)
    if "sites" in rules and sites is not None:
        yield from _failed_sites(sites)
    if "cell_loss" in rules:
        yield from find_cell_loss(profiles, recipe.limit)
    if rules & {"pattern", "replicates", "controls"}:
        scaled = scale_by_plate(profiles)
        summaries = summarise(profiles, scaled) if rules & {"pattern", "controls"} else []
        if "pattern" in rules:
            yield from find_patterns(profiles, summaries, recipe.limit)
        if "controls" in rules:
            yield from find_failed_controls(profiles, summaries, recipe.limit)
        if "replicates" in rules:
            yield from find_outlying_replicates(profiles, scaled, recipe.limit)
    if "drift" in rules:
        yield from find_drift(profiles, metrics)


def _failed_sites(sites: pd.DataFrame) -> Iterator[Failure]:
    """Sites that could not be processed or never came; their wells have the cells of the others."""
    for row in sites[sites["state"].isin(["failed", "missing"])].to_dict("records"):
        said = "could not be processed" if row["state"] == "failed" else "never came"
        yield Failure(
            experiment=str(row["experiment"]),
            plate=str(row["plate"]),
            level="site",
            rule="sites",
            evidence=f"the site {said}",
            well=str(row["well"]),
            site=int(row["site"]),
            excluded=False,
        )


def mark_excluded(profiles: Profiles, failures: pd.DataFrame) -> np.ndarray:
    """Tell which wells do not take part: excluded themselves or by their line or plate, and not kept by a person.

    Parameters
    ----------
    profiles
        Wells.
    failures
        What `find_failures` found.

    Returns
    -------
    Shape ``(profiles,)``, bool.
    """
    wells = profiles.wells
    marked, kept, decided = (np.zeros(len(wells), dtype=bool) for _ in range(3))
    for item in failures.to_dict("records"):
        is_kept = item["rule"] == DECISION and not item["excluded"] and item["level"] != "site"
        if item["level"] == "site" or not (item["excluded"] or is_kept):
            continue
        here = wells["plate"].eq(item["plate"]).to_numpy()
        if item["experiment"]:
            here = here & wells["experiment"].eq(item["experiment"]).to_numpy()
        if item["level"] != "plate":
            here = here & wells[item["level"]].eq(item[item["level"]]).to_numpy()
        (kept if is_kept else marked)[here] = True
        if item["rule"] == DECISION and item["excluded"] and item["level"] == "well":
            decided |= here
    return (marked & ~kept) | decided  # to keep a plate takes in no well that somebody excluded
