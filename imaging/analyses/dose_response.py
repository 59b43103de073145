"""Dose responses: a sigmoid over the concentrations of a treatment, or why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import isotonic_regression
from scipy.stats import f as f_distribution

from imaging.analyses.effects import centre_on_controls, value_of
from imaging.analyses.exchange import p_value_of, plate_codes
from imaging.analyses.profiles import Profiles
from imaging.analyses.recipe import HitCriteria
from imaging.analyses.sigmoid import PARAMETERS, Doses, fit_sigmoid, shapes_of
from imaging.analyses.treatments import BY, Treatments, false_discovery_rates, list_treatments
from imaging.platemaps.plate_map import is_linear_unit

LEAST_DOSES = 5
"""Different doses that a fit needs: one more than the curve has parameters."""
NOT_MONOTONE = 0.01
"""P-value below which doses contradict every curve that only rises or only falls."""
COLUMNS = (
    "feature",
    "ec50",
    "ec50_low",
    "ec50_high",
    "slope",
    "bottom",
    "top",
    "n_doses",
    "n_wells",
    "n_replicates",
    "p",
    "q",
    "reason",
)
"""What `fit_dose_responses` finds of each series, beside what tells it from others."""


def fit_dose_responses(
    profiles: Profiles,
    hits: HitCriteria,
    *,
    by: Sequence[str] = BY,
    features: Sequence[str] | None = None,
    reference: np.ndarray | None = None,
) -> pd.DataFrame:
    """Fit a sigmoid to each treatment's concentrations.

    Parameters
    ----------
    profiles
        Wells before features were selected or corrected.
    by
        What treatments are told apart by; those equal but for the concentration are one series.
    features
        By default those of ``hits.features``.
    hits, reference
        As in `activity.measure_activity`.

    Returns
    -------
    One row per series and feature: what tells it from others, ``concentration_unit``, ``mechanism`` and `COLUMNS`.
    ``ec50`` with its interval of 95 % in units of the concentration, an end that the doses leave open NaN; ``bottom``
    and ``top`` above the median of the plate's negative controls in their typical 1.4826 MAD (that of a single plate is
    too uncertain: it would stretch its curve), or as measured where a single plate has no controls; ``p`` that the
    wells' doses do not matter; ``n_replicates`` wells of a dose at most;
    ``q`` over treatments of the least p times the number of features, NaN where no dose has as many wells as a decision
    needs; and where there is no fit the ``reason``. A single concentration is no series.

    Raises
    ------
    ConfigurationError
        If a feature is not there.
    """
    keys = tuple(name for name in by if name != "concentration")
    treatments = list_treatments(profiles, keys)
    plates = plate_codes(profiles)
    found = []
    for series in _list_series(profiles, hits.features if features is None else features, treatments, reference):
        one: dict[str, object] = {"reason": "no negative controls on its plates"}
        if series.y is not None:
            one = _fit(_axis(series.concentration, series.unit), series.y, plates[series.rows], hits)
        is_log = not is_linear_unit(series.unit)
        found.append({"number": series.number, "feature": series.feature} | _back(one, is_log=is_log))
    table = pd.DataFrame(found, columns=["number", *(name for name in COLUMNS if name != "q")])
    return _with_keys(table, treatments, keys, hits.least_replicates)


def list_dose_points(
    profiles: Profiles, hits: HitCriteria, *, by: Sequence[str] = BY, reference: np.ndarray | None = None
) -> pd.DataFrame:
    """What the curves of `fit_dose_responses` are fitted to.

    Parameters
    ----------
    profiles, hits, by, reference
        As there.

    Returns
    -------
    One row per series, feature and concentration: what tells the series from others, ``concentration_unit``,
    ``feature``, ``concentration``, ``value`` (median of its wells, in the unit of ``bottom`` and ``top``) and
    ``n_wells`` (those with a value).
    """
    keys = tuple(name for name in by if name != "concentration")
    treatments = list_treatments(profiles, keys)
    names = [*keys, "concentration_unit"]
    found = []
    for series in _list_series(profiles, hits.features, treatments, reference):
        if series.y is None:
            continue
        said = dict(zip(names, treatments.table[names].iloc[series.number], strict=True)) | {"feature": series.feature}
        for dose in np.unique(series.concentration[np.isfinite(series.concentration)]):
            values = series.y[series.concentration == dose]
            has = np.isfinite(values)
            if has.any():
                place = {"concentration": float(dose), "n_wells": int(has.sum())}
                found.append(said | place | {"value": float(np.median(values[has]))})
    return pd.DataFrame(found, columns=[*names, "feature", "concentration", "value", "n_wells"])


@dataclass(frozen=True, eq=False)
class _Series:
    """Wells of one treatment at two concentrations or more: number of the treatment, positions, and responses.

    ``y`` is ``None`` where there are no negative controls to hold them against.
    """

    number: int
    feature: str
    unit: str
    rows: np.ndarray
    concentration: np.ndarray
    y: np.ndarray | None


def _list_series(
    profiles: Profiles, features: Sequence[str], treatments: Treatments, reference: np.ndarray | None
) -> Iterator[_Series]:
    """Series of each feature, treatment by treatment."""
    concentration = profiles.wells["concentration"].to_numpy(float)
    plates = plate_codes(profiles)
    for feature in features:
        values = value_of(profiles, feature)
        z = centre_on_controls(profiles, values, reference=reference)
        for number, rows in enumerate(treatments.rows):
            unit = str(treatments.table["concentration_unit"].iloc[number])
            axis = _axis(concentration[rows], unit)
            if len(np.unique(axis[np.isfinite(axis)])) < 2:
                continue
            y, has_controls = _response(z[rows], values[rows], plates[rows])
            yield _Series(number, feature, unit, rows, concentration[rows], y if has_controls else None)


def _with_keys(table: pd.DataFrame, treatments: Treatments, keys: tuple[str, ...], least: int) -> pd.DataFrame:
    """The series with their names, and q of those with enough wells of a dose: others are not decided."""
    tested = max(table["feature"].nunique(), 1)
    p = table["p"].where(table["n_replicates"].fillna(0) >= least)
    p_any = (p.groupby(table["number"]).min() * tested).clip(upper=1)
    positive = treatments.is_positive[p_any.index.to_numpy(int)]
    q = pd.Series(false_discovery_rates(p_any.to_numpy(float), positive), index=p_any.index)
    table["q"] = table["number"].map(q)
    said = treatments.table[[*keys, "concentration_unit", "mechanism"]]
    known = said.iloc[table["number"].to_numpy(int)].reset_index(drop=True)
    return pd.concat([known, table[list(COLUMNS)]], axis=1)


def _axis(concentration: np.ndarray, unit: str) -> np.ndarray:
    """Logarithms of concentrations, NaN where there is none; those of an index or a logarithm as they are."""
    if is_linear_unit(unit):
        return concentration
    is_positive = np.isfinite(concentration) & (concentration > 0)
    return np.where(is_positive, np.log10(np.where(is_positive, concentration, 1.0)), np.nan)


def _back(found: dict[str, object], *, is_log: bool) -> dict[str, object]:
    """Concentrations for the logarithms that a fit has found."""
    if not is_log:
        return found
    return {
        name: 10**value if name.startswith("ec50") and isinstance(value, float) else value
        for name, value in found.items()
    }


def _response(z: np.ndarray, values: np.ndarray, plates: np.ndarray) -> tuple[np.ndarray, bool]:
    """Robust z of a series' wells; on a single plate without negative controls what was measured."""
    if np.isfinite(z).any():
        return z, True
    return values, len(np.unique(plates)) == 1


def _fit(axis: np.ndarray, y: np.ndarray, plates: np.ndarray, hits: HitCriteria) -> dict[str, object]:
    """Fit one series; everything is in units of its axis."""
    has = np.isfinite(axis) & np.isfinite(y)
    order = np.lexsort((plates[has], y[has], axis[has]))
    x, y, plates = axis[has][order], y[has][order], plates[has][order]
    levels = np.unique(x)
    replicates = np.unique(x, return_counts=True)[1].max(initial=0)
    found: dict[str, object] = {"n_doses": len(levels), "n_wells": len(x), "n_replicates": int(replicates)}
    if len(levels) < LEAST_DOSES:
        return found | {"reason": f"{len(levels)} doses with values, a fit needs {LEAST_DOSES}"}
    if len(x) <= PARAMETERS + 1:
        return found | {"reason": f"{len(x)} wells, a fit needs {PARAMETERS + 2}"}
    if all(len(np.unique(x[plates == plate])) == 1 for plate in np.unique(plates)):
        return found | {"reason": "each plate has one dose, and what plates do cannot be told from what doses do"}
    doses = Doses(x, y)
    found["p"] = p = _chance(doses, plates, hits)
    if p > hits.fdr:
        return found | {"reason": f"flat: doses differ no more than by chance (p = {p:.2g})"}
    if (contradiction := _contradiction(doses)) < NOT_MONOTONE:
        return found | {"reason": f"neither rising nor falling throughout (p = {contradiction:.2g})"}
    curve = fit_sigmoid(doses)
    ends = {"ec50_low": curve.low, "ec50_high": curve.high}
    if curve.midpoint > levels[-1]:
        return found | {"ec50_low": curve.low, "reason": "EC50 above the highest dose: no upper plateau is reached"}
    if curve.midpoint < levels[0]:
        return found | {"ec50_high": curve.high, "reason": "EC50 below the lowest dose: no lower plateau is seen"}
    if curve.low is None and curve.high is None:
        return found | {"reason": "the doses do not tell where the midpoint is"}
    levels_of = {"slope": curve.slope, "bottom": curve.bottom, "top": curve.top}
    return found | ends | levels_of | {"ec50": curve.midpoint, "reason": ""}


def _chance(doses: Doses, plates: np.ndarray, hits: HitCriteria) -> float:
    """P-value of the best of many curves, from exchanging the wells of each plate between doses.

    The usual F-test against a constant has no known distribution here: without an effect there is no midpoint.
    """
    shapes = shapes_of(doses)
    if np.ptp(doses.y) <= 1e-12 * np.abs(doses.y).max():
        return 1.0
    of_plate = [np.flatnonzero(plates == p) for p in np.unique(plates)]

    def draw(step: int, size: int) -> np.ndarray:
        random = np.random.default_rng([hits.seed, step, *map(len, of_plate)])
        drawn = np.empty((size, len(doses.y)))
        for wells in of_plate:
            shuffled = random.permuted(np.broadcast_to(wells, (size, len(wells))), axis=1)
            drawn[:, wells] = doses.y[shuffled]
        return np.abs(drawn @ shapes.T).max(axis=1)

    seen = float(np.abs(shapes @ doses.y).max())
    return p_value_of(seen - 1e-9 * seen, draw, hits.permutations)


def _contradiction(doses: Doses) -> float:
    """P-value of the best monotone curve: how the doses' means deviate from it, against the scatter within doses.

    An F-test of lack of fit with as many degrees of freedom as it could have at most, which makes it careful; 1 where
    no dose has two wells.
    """
    freedom = len(doses.x) - len(doses.levels)
    if freedom < 1 or doses.pure_error <= 0:
        return 1.0
    lack = min(
        float(
            (
                doses.counts
                * (doses.means - isotonic_regression(doses.means, weights=doses.counts, increasing=rising).x) ** 2
            ).sum()
        )
        for rising in (True, False)
    )
    between = len(doses.levels) - 1
    return float(f_distribution.sf((lack / between) / (doses.pure_error / freedom), between, freedom))
