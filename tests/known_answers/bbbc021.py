"""BBBC021, weeks 1 to 4: how often a treatment's nearest neighbour has its mechanism, for each way of correcting.

Broad Bioimage Benchmark Collection, Caie et al. 2010 (doi 10.1158/1535-7163.MCT-09-1148); well means of CellProfiler
features and mechanisms as Ljosa et al. 2013 (doi 10.1177/1087057113503553) have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from imaging.analyses.consensus import make_consensus
from imaging.analyses.correct import correct
from imaging.analyses.neighbours import classify_by_neighbour
from imaging.analyses.normalize import normalize
from imaging.analyses.profiles import Profiles, complete_wells
from imaging.analyses.recipe import AnalysisRecipe
from imaging.analyses.select import select_features
from tests.parts import require

Z = {"method": "standardize"}
METHODS: dict[str, dict[str, Any]] = {
    "none": {"normalize": {"method": "none"}},
    "z to DMSO, per plate": {"normalize": Z},
    "MAD to DMSO, per plate, clipped at 15": {"normalize": {"method": "mad_robustize", "clip": 15}},
    "inverse normal, per plate": {"normalize": {"method": "inverse_normal"}},
    "z, sphering": {"normalize": Z, "correct": {"method": "sphering"}},
    "z, TVN": {"normalize": Z, "correct": {"method": "tvn"}},
    "z, Harmony": {"normalize": Z, "correct": {"method": "harmony"}},
}
PUBLISHED = {
    "z to DMSO, per plate": "0.825",
    "MAD to DMSO, per plate, clipped at 15": "0.88",
    "z, sphering": "0.68 to 0.80",
}
"""On all 55 plates, every feature."""
SELECTIONS = {"all": "none", "selected": ["missing", "variance", "correlation", "outliers"]}


def read_bbbc021() -> Profiles:
    """The 342 wells of weeks 1 to 4 with treatments, mechanisms and week; DMSO wells are the negative controls."""
    folder = Path(require("shared")) / "data" / "profiles_bbbc021_subset"
    measured = pd.read_csv(folder / "ljosa_per_well_mean_weeks1-4.csv.gz")
    images = pd.read_csv(folder / "BBBC021_v1_image_weeks1-4.csv.gz")
    images.columns = images.columns.str.removeprefix("Image_Metadata_")
    known = images.rename(
        columns={"Plate_DAPI": "plate", "Well_DAPI": "well", "Compound": "treatment", "Concentration": "concentration"}
    )[["plate", "well", "treatment", "concentration"]].drop_duplicates()
    mechanisms = pd.read_csv(folder / "BBBC021_v1_moa.csv").rename(
        columns={"compound": "treatment", "moa": "mechanism"}
    )
    wells = measured.iloc[:, :2].set_axis(["plate", "well"], axis=1)
    wells = wells.merge(known, how="left", validate="one_to_one").merge(mechanisms, how="left", validate="many_to_one")
    wells["control"] = wells["treatment"].eq("DMSO").map({True: "negcon", False: "trt"})
    wells["batch"], wells["experiment"] = wells["plate"].str.partition("_")[0], "bbbc021"
    features = tuple(measured.columns[2:])
    return Profiles(measured[list(features)].to_numpy(float), features, complete_wells(wells))


def accuracies(profiles: Profiles, recipe: AnalysisRecipe) -> tuple[float, float, int, int]:
    """NSC and NSCB accuracy, features that the profiles have in the end, treatments."""
    selected = select_features(normalize(profiles, recipe.normalize).profiles, recipe.select).profiles
    consensus = make_consensus(correct(selected, recipe.correct).profiles, recipe.consensus)
    by_treatment = classify_by_neighbour(consensus)
    by_batch = classify_by_neighbour(consensus, exclude="treatment+batch")
    return by_treatment.accuracy, by_batch.accuracy, len(selected.features), by_treatment.n


def rows() -> list[dict[str, str]]:
    """The table: a method in each row."""
    return list(_rows(read_bbbc021()))


def _rows(profiles: Profiles) -> Iterator[dict[str, str]]:
    for method, sections in METHODS.items():
        row = {"method": method, "published, 55 plates, NSC": PUBLISHED.get(method, "")}
        for features, operations in SELECTIONS.items():
            recipe = AnalysisRecipe.model_validate({"select": {"operations": operations}} | sections)
            nsc, nscb, count, n = accuracies(profiles, recipe)
            row |= {f"NSC, {features}": f"{nsc:.3f}", f"NSCB, {features}": f"{nscb:.3f}", f"{features}": str(count)}
            row |= {"treatments": str(n)}
        yield row
