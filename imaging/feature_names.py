"""Faults of an experiment that names features: those that no column of ``wells`` is called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from imaging.cell_statistics import STATISTICS, Statistic, well_columns
from imaging.declared import Fault
from imaging.feature_recipe import ALL_FAMILIES, Features
from imaging.recipes import Recipe
from kernels.feature import IMAGE

Tree = dict[str, Any]


def find_feature_faults(tree: Tree) -> Iterator[Fault]:
    """Names in ``analysis.statistics`` of no column of ``wells``, each with its place."""
    analysis = tree.get("analysis")
    features = analysis.get("statistics") if isinstance(analysis, dict) else None
    for number, feature in enumerate(features if isinstance(features, list) else [features]):
        if isinstance(feature, str):
            fault = _feature_fault(feature, tree)
            if fault:
                place = ("analysis", "statistics", number) if isinstance(features, list) else ("analysis", "statistics")
                yield place, fault


def _feature_fault(feature: str, tree: Tree) -> str | None:
    """Why no feature column of wells has this name or any values."""
    # loads the kernels: only a file that names features pays for it
    from imaging.measure_cells import describe_columns
    from kernels.translocation import RATIO

    recipe = tree.get("recipe")
    declared: Tree = recipe if isinstance(recipe, dict) else {}
    statistics = _well_statistics(tree)
    described = describe_columns(_channel_names(tree), _complete(declared))
    features = [item.name for item in described if item.objects != IMAGE]
    known = well_columns(features, statistics)
    if feature not in known:
        if any(feature == f"{begin}{name}" for begin, _ in STATISTICS.values() for name in features):
            return f"{feature!r} is no column of wells; add its statistic to analysis.wells"
        family = _family_left_out(feature, declared, tree, statistics)
        if family:
            return f"{feature!r} is not measured by this recipe; add {family} to recipe.features.families"
        close = get_close_matches(feature, known, n=1, cutoff=0.6)
        hint = f"did you mean {close[0]!r}?" if close else "a feature is named such as Nuclei_AreaShape_Area"
        return f"{feature!r} is no feature of this experiment; {hint}"
    if declared.get("nuclei") is None:
        return f"{feature!r} needs objects; give recipe.nuclei"
    if "Nuclei_" not in feature and RATIO not in feature and declared.get("cells") is None:
        return f"{feature!r} needs cells; give recipe.cells"
    return None


def _family_left_out(feature: str, recipe: Tree, tree: Tree, statistics: Sequence[Statistic]) -> str | None:
    """The family that ``recipe.features`` leaves out and that has the feature, if one does."""
    from imaging.measure_cells import describe_columns

    declared = recipe.get("features")
    others = declared if isinstance(declared, dict) else {}
    for family in ALL_FAMILIES:
        described = describe_columns(_channel_names(tree), _complete({"features": {**others, "families": [family]}}))
        if feature in well_columns([item.name for item in described if item.objects != IMAGE], statistics):
            return family
    return None


def _complete(recipe: Tree) -> Recipe:
    """A recipe with nuclei and cells that measures what this one does, as far as it says so without a fault."""
    try:
        features = Features.model_validate(recipe.get("features") or {})
    except ValidationError:
        features = Features.model_validate({})
    return Recipe.model_validate({"nuclei": {"diameter_px": [1, 2]}, "cells": {}, "features": features})


def _well_statistics(tree: Tree) -> list[Statistic]:
    analysis = tree.get("analysis")
    declared = analysis.get("wells") if isinstance(analysis, dict) else None
    names = declared if isinstance(declared, list) else [declared]
    return [name for name in STATISTICS if name in names] or ["median"]


def _channel_names(tree: Tree) -> list[str]:
    entries = tree.get("channels")
    named = [entry.get("name") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [name for name in named if isinstance(name, str) and name]
