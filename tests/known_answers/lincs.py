"""LINCS pilot 1: a plate of 384 profiles, and the cell counts of 28 plates with their plate maps."""

from __future__ import annotations

import csv
import functools
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from imaging.analyses.activity import measure_activity
from imaging.analyses.average_precision import average_precision, mean_precisions, rank_p_values
from imaging.analyses.profiles import NEGCON, Profiles, complete_wells
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.replication import percent_replicating
from imaging.analyses.treatments import list_treatments
from imaging.analyses.viability import measure_viability
from imaging.platemaps import read_plate_map
from tests.imaging.platemap_files import declare
from tests.parts import require

BATCH = "2016_04_01_a549_48hr_batch1"
MOA = "repurposing_info_external_moa_map_resolved.tsv"
STRONGEST = ("ENMD-2076", "elesclomol", "triptolide", "SNX-2112", "navitoclax", "SB-743921", "AZD5438")
"""Compounds that leave the fewest cells, the strongest first."""
FEWER_CELLS, DOSES = 237, 2354
"""Compounds at a dose with a robust z below -4, of how many."""


def data() -> Path:
    return Path(require("shared")) / "data"


@functools.cache
def read_plate() -> Profiles:
    """Profiles of plate SQ00015054, normalised, features selected: 384 wells x 454 features."""
    folder = data() / "profiles_lincs_SQ00015054"
    table = pd.read_csv(folder / "SQ00015054_normalized_feature_select.csv.gz", low_memory=False)
    features = tuple(name for name in table.columns if not name.startswith("Metadata_"))
    wells = complete_wells(
        pd.DataFrame(
            {
                "experiment": "lincs",
                "plate": table["Metadata_Plate"],
                "well": table["Metadata_Well"],
                "treatment": table["Metadata_broad_sample"],
                "concentration": table["Metadata_mg_per_ml"],
                "concentration_unit": "mg/ml",
                "mechanism": table["Metadata_moa"],
                "control": np.where(table["Metadata_broad_sample"] == "DMSO", "negcon", "trt"),
            }
        )
    )
    return Profiles(table[list(features)].to_numpy(float), features, wells)


def label(profiles: Profiles, *columns: str) -> np.ndarray:
    """Number of each combination of values; an unknown mechanism is one, as cytominer-eval has it."""
    return profiles.wells.groupby(list(columns), dropna=False).ngroup().to_numpy()


@functools.cache
def read_counts() -> tuple[Profiles, int]:
    """Cell counts of 28 plates joined to their plate maps, and how many wells no map knows."""
    folder = data() / "platemaps_lincs"
    maps = f"- {{barcodes: platemaps/{BATCH}/barcode_platemap.csv, join: moa/{MOA}}}"
    experiment = declare(maps, wells=384, imaged="A01-P24")
    found, unmatched = [], 0
    for plate in sorted((folder / "profiles" / "cell_count" / BATCH).iterdir()):
        known = read_plate_map(lambda name: (folder / "metadata" / name).read_bytes(), experiment, plate.name)
        with (plate / f"{plate.name}_cell_count.csv").open() as file:
            for row in csv.DictReader(file):
                well = row["Image_Metadata_Well"]
                if well not in known.rows:
                    unmatched += 1
                    continue
                said = known.rows[well]
                place = {"experiment": "lincs", "plate": plate.name, "well": well, "cells_count": row["cell_count"]}
                treatment = {
                    "treatment": said.treatment,
                    "concentration": said.concentration,
                    "concentration_unit": said.concentration_unit,
                    "control": said.control,
                    "name": known.annotations.get(well, {}).get("pert_iname", ""),
                }
                found.append(place | treatment)
    wells = complete_wells(pd.DataFrame(found))
    return Profiles(np.empty((len(wells), 0)), (), wells), unmatched


def measure_counts(hits: HitCriteria | None = None) -> pd.DataFrame:
    """Viability of each compound at each dose, the fewest cells first."""
    profiles, _ = read_counts()
    treatments = list_treatments(profiles)
    found = measure_viability(profiles, hits or HitCriteria(), treatments=treatments)
    name_of = dict(zip(profiles.wells["treatment"], profiles.wells["name"], strict=True))
    names = treatments.table["treatment"].map(name_of)
    return pd.concat([treatments.table, found, names.rename("name")], axis=1).sort_values("z", kind="stable")


def strongest(table: pd.DataFrame, count: int = len(STRONGEST)) -> tuple[str, ...]:
    """Names of the compounds that leave the fewest cells at any dose."""
    return tuple(table["name"].drop_duplicates().head(count))


def compare_with_copairs(size: int = 2_000, seed: int = 3) -> tuple[float, float, int]:
    """Greatest differences of mAP and of its p-value from copairs, and how many treatments were compared."""
    from copairs import map as copairs_map

    profiles = read_plate()
    is_control = profiles.is_control(NEGCON)
    treatment = profiles.wells["treatment"]
    meta = pd.DataFrame({"t": treatment, "reference": np.where(is_control, np.arange(len(profiles)), -1)})
    theirs = copairs_map.average_precision(
        meta, profiles.values, ["t", "reference"], [], [], ["t", "reference"], progress_bar=False
    )
    with tempfile.TemporaryDirectory() as folder:
        theirs = copairs_map.mean_average_precision(
            theirs[~is_control], ["t"], size, 0.05, seed, progress_bar=False, cache_dir=folder
        )
    labels = np.where(is_control, -1, pd.factorize(treatment)[0])
    ours = average_precision(profiles.values, labels, reference=is_control)
    groups = [np.flatnonzero(treatment == name) for name in theirs["t"]]
    p_values = rank_p_values(ours, groups, size=size, seed=seed, equal=False)
    return (
        float(np.abs(mean_precisions(ours, groups) - theirs["mean_average_precision"]).max()),
        float(np.abs(p_values - theirs["p_value"]).max()),
        len(groups),
    )


def rows() -> list[tuple[str, object, object]]:
    """What is asked, the known answer, ours."""
    plate = read_plate()
    dose, mechanism = label(plate, "treatment", "concentration"), label(plate, "mechanism")
    found: list[tuple[str, object, object]] = [("LINCS", "known", "ours")]
    for said, known, labels, quantile, kind in (
        ("pairs replicating, compound and dose", 0.4583, dose, 0.95, "pearson"),
        ("pairs replicating, mechanism", 0.3074, mechanism, 0.95, "pearson"),
        ("the same of compound and dose, median of others", 0.6814, dose, 0.5, "pearson"),
        ("Spearman, 95 % of others", 0.4657, dose, 0.95, "spearman"),
        ("Spearman, median of others", 0.6789, dose, 0.5, "spearman"),
    ):
        found.append(
            (
                said,
                known,
                round(percent_replicating(plate.values, labels, quantile=quantile, correlation=kind).share, 4),
            )
        )
    medians = percent_replicating(plate.values, dose)
    found.append(("mean median correlation", 0.5407, round(medians.mean_median, 4)))
    of_mechanism = percent_replicating(plate.values, mechanism).medians
    found.append(("greatest median correlation of a mechanism", 0.9357, round(float(of_mechanism.max()), 4)))
    difference, p_difference, groups = compare_with_copairs()
    found.append((f"mAP of {groups} compounds, difference from copairs", 0, difference))
    found.append(("its p-values, difference from copairs", 0, p_difference))
    by_compound = measure_activity(plate, HitCriteria(), treatments=list_treatments(plate, ("treatment",)))
    found.append(("active compounds (wells exchanged, FDR 5 %)", "", int((by_compound["q"] <= 0.05).sum())))
    profiles, unmatched = read_counts()
    counts = measure_counts()
    found.append(("wells without a plate map", 0, unmatched))
    found.append(("wells of DMSO", 672, int(profiles.is_control(NEGCON).sum())))
    found.append(("fewest cells", ", ".join(STRONGEST), ", ".join(strongest(counts))))
    found.append(("the least robust z", -13.5, round(float(counts["z"].iloc[0]), 1)))
    found.append(("compounds at a dose", DOSES, len(counts)))
    found.append(("of these below -4", FEWER_CELLS, int((counts["z"] < -4).sum())))
    is_hit = (counts["z"] < -4) & (counts["q"] <= 0.05)
    found.append(("of these also told from chance (FDR 5 %)", "", int(is_hit.sum())))
    return found
