"""Treatments: which wells are replicates of one another, and what of them can be tested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from imaging.analyses.exchange import Pool, gather_pools, plate_codes, well_order
from imaging.analyses.profiles import EMPTY, NEGCON, POSCON, Profiles

BY = ("treatment", "concentration")
_TEXTS = ("concentration_unit", "control", "mechanism")


@dataclass(frozen=True, eq=False)
class Treatments:
    """Treatments of an experiment, sorted; negative controls, empty and unnamed wells are none.

    Parameters
    ----------
    table
        One row each: what they are told apart by, ``concentration_unit``, ``control``, ``mechanism`` (``""`` where
        their wells contradict one another), ``n_replicates`` (wells) and ``n_plates``.
    rows
        Positions of their wells in the profiles, in an order that does not depend on that of the profiles.
    """

    table: pd.DataFrame
    rows: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_positive(self) -> np.ndarray:
        """Which are positive controls, shape ``(treatments,)``, bool: a family of their own.

        They are expected to be told from chance: among the treatments each would let another share of chance pass.
        """
        return (self.table["control"] == POSCON).to_numpy()


def list_treatments(profiles: Profiles, by: Sequence[str] = BY) -> Treatments:
    """List the treatments of profiles, told apart by columns of their wells."""
    wells = profiles.wells
    takes_part = ~wells["control"].isin((NEGCON, EMPTY)).to_numpy() & (wells["treatment"] != "").to_numpy()
    order, plates = well_order(profiles), plate_codes(profiles)
    texts_of = {name: wells[name].to_numpy(object) for name in _TEXTS}
    found, rows = [], []
    for key, positions in profiles.groups(tuple(by)):
        own = positions[takes_part[positions]]
        if len(own) == 0:
            continue
        own = own[np.argsort(order[own], kind="stable")]
        texts = {name: _only(texts_of[name][own]) for name in _TEXTS if name not in by}
        counts = {"n_replicates": len(own), "n_plates": len(np.unique(plates[own]))}
        found.append(dict(zip(by, key, strict=True)) | texts | counts)
        rows.append(own)
    columns = [*by, *(name for name in _TEXTS if name not in by), "n_replicates", "n_plates"]
    return Treatments(pd.DataFrame(found, columns=columns), tuple(rows))


def _only(texts: np.ndarray) -> str:
    different = set(texts) - {""}
    return different.pop() if len(different) == 1 else ""


@dataclass(frozen=True, eq=False)
class Testable:
    """Pools of treatments that can be tested, ``None`` for the others, and for these the reason in words."""

    pools: tuple[Pool | None, ...]
    reasons: tuple[str, ...]


def find_testable(
    profiles: Profiles,
    treatments: Treatments,
    *,
    least_replicates: int = 2,
    reference: np.ndarray | None = None,
    has_value: np.ndarray | None = None,
) -> Testable:
    """Find out which treatments can be tested against the negative controls of their plates.

    Parameters
    ----------
    least_replicates
        Wells on plates with negative controls that a test needs.
    reference
        Which negative controls count, shape ``(profiles,)``, bool; ``None`` for all.
    has_value
        Profiles that have what is tested, shape ``(profiles,)``, bool; ``None``: any feature at all.
    """
    if has_value is None:
        has_value = np.asarray(np.isfinite(profiles.values).any(axis=1))
    usable = has_value if reference is None else has_value & reference
    groups = [rows[has_value[rows]] for rows in treatments.rows]
    pools, reasons = [], []
    for all_wells, pool in zip(treatments.rows, gather_pools(profiles, groups, reference=usable), strict=True):
        reason = _why_not(len(all_wells), has_value[all_wells].sum(), pool, least_replicates)
        pools.append(None if reason else pool)
        reasons.append(reason)
    return Testable(tuple(pools), tuple(reasons))


def why_too_few(wells: int, with_value: int, least: int) -> str:
    """Why a treatment's wells, and those of them that have a value, are too few for a decision; else ``""``."""
    if wells < least:
        return f"{wells} replicate{'s' * (wells > 1)}, a decision needs {least}"
    if with_value < least:
        return f"only {with_value} of its {wells} wells have a value, a decision needs {least}"
    return ""


def _why_not(wells: int, with_value: int, pool: Pool, least: int) -> str:
    if too_few := why_too_few(wells, with_value, least):
        return too_few
    tested = pool.treated.shape[1]
    if tested == 0:
        return "no negative controls on its plates"
    if tested < least:
        return f"only {tested} of its {wells} wells lie on plates with negative controls, a decision needs {least}"
    return ""


def false_discovery_rates(p_values: np.ndarray, families: np.ndarray) -> np.ndarray:
    """Adjust p-values so that of those at most r a share of r is expected to be false.

    Parameters
    ----------
    p_values
        One per treatment, NaN where there is none.
    families
        Of each the family that it is adjusted in, shape of ``p_values``: `Treatments.is_positive`.

    Returns
    -------
    Shape of ``p_values``; NaN where there is no p-value (Benjamini and Hochberg, J R Stat Soc B 1995).
    """
    adjusted = np.full(len(p_values), np.nan)
    for family in np.unique(families):
        has = np.isfinite(p_values) & (families == family)
        if has.any():
            adjusted[has] = false_discovery_control(p_values[has], method="bh")
    return adjusted
