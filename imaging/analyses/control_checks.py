"""What the controls say of an experiment: how far apart they are, and whether negative controls pass for hits."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy.stats import binom

from imaging.analyses.activity import measure_activity
from imaging.analyses.distances import measure_distances
from imaging.analyses.effects import CELLS_COUNT, measure_effects, value_of
from imaging.analyses.exchange import plate_codes, well_order
from imaging.analyses.profiles import NEGCON, POSCON, Profiles
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.treatments import Treatments
from imaging.analyses.viability import measure_viability
from imaging.statistics import measure_statistics, robust_sd

MOST_PRETENDED = 200
"""Negative controls are tested as at most so many treatments."""
SUSPICIOUS = 0.001
"""Chance of as many small p-values below which controls are said not to behave like wells without a treatment."""
CONTROL_COLUMNS = (
    "experiment",
    "batch",
    "plate",
    "feature",
    "control",
    "treatment",
    "n_wells",
    "mean",
    "sd",
    "median",
    "mad",
    "z_prime",
    "robust_z_prime",
    "ssmd",
)


def describe_controls(profiles: Profiles, features: Sequence[str]) -> pd.DataFrame:
    """Describe the controls of each plate, feature by feature.

    Parameters
    ----------
    profiles
        Wells before they were normalised.
    features
        Which; the number of cells is added if there is any.

    Returns
    -------
    `CONTROL_COLUMNS`: negative controls once per plate and feature, positive controls once per treatment. Those have
    Z', robust Z' and SSMD (`imaging.statistics`) against the plate's negative controls; NaN with less than two of
    either.
    """
    counts = profiles.wells[CELLS_COUNT].to_numpy(float)
    names: list[str] = list(dict.fromkeys([*features, *([CELLS_COUNT] if np.isfinite(counts).any() else [])]))
    kinds = {kind: profiles.is_control(kind) for kind in (NEGCON, POSCON)}
    found = []
    for feature in names:
        values = value_of(profiles, feature)
        for (experiment, batch, plate), rows in profiles.groups(("experiment", "batch", "plate")):
            place = {"experiment": experiment, "batch": batch, "plate": plate, "feature": feature}
            negative = values[rows[kinds[NEGCON][rows]]]
            if len(negative):
                found.append(place | {"control": NEGCON, "treatment": ""} | _describe(negative))
            positive = rows[kinds[POSCON][rows]]
            treatments = profiles.wells["treatment"].iloc[positive].to_numpy()
            for treatment in sorted(set(treatments)):
                own = values[positive[treatments == treatment]]
                said = {"control": POSCON, "treatment": treatment}
                found.append(place | said | _describe(own) | _separate(own, negative))
    return pd.DataFrame(found, columns=list(CONTROL_COLUMNS))


def _describe(values: np.ndarray) -> dict[str, float]:
    values = np.sort(values[np.isfinite(values)])
    if len(values) == 0:
        return {"n_wells": 0}
    return {
        "n_wells": len(values),
        "mean": float(values.mean()),
        "sd": float(values.std(ddof=1)) if len(values) > 1 else float("nan"),
        "median": float(np.median(values)),
        "mad": robust_sd(values),
    }


def _separate(positive: np.ndarray, negative: np.ndarray) -> dict[str, float]:
    found = measure_statistics("", np.sort(negative), np.sort(positive))
    figures = {"z_prime": found.z_prime, "robust_z_prime": found.robust_z_prime, "ssmd": found.ssmd}
    return {name: value for name, value in figures.items() if value is not None}


def pretend_treatments(
    profiles: Profiles, treatments: Treatments, *, seed: int, reference: np.ndarray | None = None
) -> Treatments:
    """Form treatments of negative controls, laid out over plates as the real ones are.

    Parameters
    ----------
    treatments
        The real ones; a layout is how many wells one has on which plates.
    seed
        Which controls come together.
    reference
        Which negative controls count; ``None`` for all.

    Returns
    -------
    No control is in two of them but for treatments of different layouts; the most frequent layouts come first.
    """
    is_control = profiles.is_control(NEGCON) if reference is None else profiles.is_control(NEGCON) & reference
    plates, order = plate_codes(profiles), well_order(profiles)
    controls = np.flatnonzero(is_control)
    controls = controls[np.argsort(order[controls])]
    layouts = Counter(tuple(sorted(Counter(plates[rows].tolist()).items())) for rows in treatments.rows)
    names = [name for name, _ in profiles.groups(("experiment", "plate"))]
    rows: list[np.ndarray] = []
    for layout, _ in sorted(layouts.items(), key=lambda item: (-item[1], item[0])):
        place = repr([(names[p], k) for p, k in layout]).encode()
        random = np.random.default_rng([seed, zlib.crc32(place)])  # the same whichever other plates there are
        of_plate = {p: random.permutation(controls[plates[controls] == p]) for p, _ in layout}
        # Two controls of each plate stay controls.
        for number in range(min((len(of_plate[p]) - 2) // k for p, k in layout)):
            if len(rows) < MOST_PRETENDED:
                rows.append(np.concatenate([of_plate[p][number * k : (number + 1) * k] for p, k in layout]))
    table = pd.DataFrame(
        {
            "treatment": [f"negcon {i}" for i in range(len(rows))],
            "control": NEGCON,
            "n_replicates": [len(r) for r in rows],
        }
    )
    return Treatments(table, tuple(rows))


def check_controls(
    profiles: Profiles,
    raw: Profiles,
    hits: HitCriteria,
    treatments: Treatments,
    *,
    reference: np.ndarray | None = None,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Test negative controls as if they were treatments.

    Parameters
    ----------
    profiles, raw
        The same wells, corrected and as measured.
    treatments
        The real ones.

    Returns
    -------
    One row per criterion that compares with negative controls: ``criterion``, ``tested``, ``n_below`` (p at most the
    rate of the recipe), ``n_hits`` (after the false discovery rate), ``rate``; and a note for each with more small
    p-values than chance allows.
    """
    pretended = pretend_treatments(profiles, treatments, seed=hits.seed, reference=reference)
    measures: dict[str, Callable[[], pd.DataFrame]] = {
        "activity": lambda: measure_activity(profiles, hits, treatments=pretended, reference=reference),
        "distance": lambda: measure_distances(profiles, hits, treatments=pretended, reference=reference),
        "effect": lambda: measure_effects(raw, hits, treatments=pretended).drop_duplicates("number"),
        "viability": lambda: measure_viability(raw, hits, treatments=pretended),
    }
    found, notes = [], []
    for criterion in hits.criteria:
        if criterion not in measures or len(pretended) == 0:
            continue
        table = measures[criterion]()
        p = table["p_any" if criterion == "effect" else "p"].to_numpy(float)
        tested, below = int(np.isfinite(p).sum()), int((p <= hits.fdr).sum())
        found.append((criterion, tested, below, int((table["q"] <= hits.fdr).sum()), hits.fdr))
        if tested and binom.sf(below - 1, tested, hits.fdr) < SUSPICIOUS:
            notes.append(
                f"{criterion}: of {tested} groups of negative controls {below} have p of {hits.fdr:g} or less, where "
                f"{tested * hits.fdr:.1f} are expected; positions on the plates tell wells apart, or a correction does"
            )
    return pd.DataFrame(found, columns=["criterion", "tested", "n_below", "n_hits", "rate"]), tuple(notes)
