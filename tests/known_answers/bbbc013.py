"""BBBC013: a stain moves into the nucleus with the dose; four rows of a real plate."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from imaging.analyses.hits import Hits, find_hits
from imaging.analyses.profiles import Profiles, complete_wells
from imaging.analyses.recipe import AnalysisRecipe, HitCriteria

FOLDER = Path(__file__).parents[1] / "data" / "bbbc013"
RATIO = "Cells_Intensity_NucleusCytoplasmRatio_GFP"


def read_plate() -> Profiles:
    """The wells of the plate with one feature, the ratio of nucleus to cytoplasm."""
    with (FOLDER / "ratios.csv").open() as file:
        measured = {row["well"]: row for row in csv.DictReader(file)}
    with (FOLDER / "platemaps" / "bbbc013.csv").open() as file:
        plate_map = list(csv.DictReader(file))
    wells = [
        {
            "experiment": "bbbc013",
            "plate": "P1",
            "well": row["well"],
            "row": row["well"][0],
            "column": int(row["well"][1:]),
            "treatment": row["treatment"],
            "concentration": float(row["concentration"]),
            "concentration_unit": "index",
            "control": row["control"],
            "cells_count": float(measured[row["well"]]["nuclei"]),
        }
        for row in plate_map
    ]
    ratios = [float(measured[row["well"]]["nucleus_cytoplasm_ratio"]) for row in plate_map]
    return Profiles(np.array(ratios)[:, None], (RATIO,), complete_wells(pd.DataFrame(wells)))


def judge(plate: Profiles) -> Hits:
    """Hits by the effect on the ratio, its dose response and viability."""
    criteria = HitCriteria(criteria=("effect", "dose_response", "distance", "viability"), features=(RATIO,))
    return find_hits(plate, AnalysisRecipe(hits=criteria), raw=plate)


def negative_controls_as_treatments(plate: Profiles) -> Hits:
    """The two columns of negative controls, each pair of neighbours in a row as a treatment against the others."""
    controls = plate.take(plate.is_control("negcon"))
    found = []
    for number in range(4):
        wells = controls.wells.copy()
        is_own = (wells["row"] == "ABCD"[number]).to_numpy()
        wells.loc[is_own, ["treatment", "control"]] = [f"pretended {number}", "trt"]
        criteria = HitCriteria(criteria=("effect", "distance"), features=(RATIO,))
        pretended = Profiles(controls.values, controls.features, wells)
        found.append(find_hits(pretended, AnalysisRecipe(hits=criteria), raw=pretended).hits)
    nothing = pd.DataFrame()
    tables = {"controls": nothing, "doses": nothing, "dose_points": nothing, "checks": nothing}
    return Hits(pd.concat(found, ignore_index=True), **tables, notes=())


def rows() -> list[tuple[str, object, object]]:
    """What is asked, the known answer, ours."""
    plate = read_plate()
    hits = judge(plate)
    series = hits.doses.iloc[0]
    means = plate.wells.assign(ratio=plate.of(RATIO)).groupby("concentration")["ratio"].mean()
    controls = hits.controls[(hits.controls["control"] == "poscon") & (hits.controls["feature"] == RATIO)].iloc[0]
    steps = np.diff(means.iloc[:7])
    interval = f"{series.ec50:.3f} ({series.ec50_low:.3f} to {series.ec50_high:.3f})"
    positive = hits.hits[hits.hits["control"] == "poscon"]
    negative = negative_controls_as_treatments(plate).hits
    return [
        ("BBBC013", "known", "ours"),
        ("rises from dose 1 to its plateau at 6", "yes", "yes" if (steps > -0.05).all() else "no"),
        ("EC50 (interval of 95 %), dose index", "between 4 and 5", interval),
        ("Z' of the ratio", ">= 0.6", round(float(controls["z_prime"]), 2)),
        ("positive controls that are hits", "all", f"{int(positive['is_hit'].sum())} of {len(positive)}"),
        ("negative controls that are hits", 0, f"{int(negative['is_hit'].fillna(False).sum())} of {len(negative)}"),
    ]
