"""Screens made of numbers: plates of wells with known treatments, and effects that are known as they were added."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imaging.analyses.profiles import Profiles, complete_wells
from imaging.wells import row_name


def make_wells(
    *,
    batches: int = 2,
    plates: int = 3,
    shape: tuple[int, int] = (8, 12),
    treatments: int = 16,
    controls: Sequence[int] = (1,),
    seed: int = 0,
) -> pd.DataFrame:
    """Wells of a screen: DMSO in the columns ``controls``, every treatment shuffled over the others of each plate."""
    rng = np.random.default_rng(seed)
    parts = []
    for plate in range(batches * plates):
        rows, columns = (axis.ravel() for axis in np.indices(shape))
        is_control = np.isin(columns + 1, list(controls))
        given = np.resize([f"T{number:03d}" for number in range(treatments)], int((~is_control).sum()))
        treatment = np.full(rows.size, "DMSO", dtype=object)
        treatment[~is_control] = rng.permutation(given)
        parts.append(
            pd.DataFrame(
                {
                    "experiment": "made",
                    "batch": f"B{plate // plates + 1}",
                    "plate": f"P{plate + 1:03d}",
                    "well": [f"{row_name(row)}{column + 1:02d}" for row, column in zip(rows, columns, strict=True)],
                    "row": [row_name(row) for row in rows],
                    "column": columns + 1,
                    "treatment": treatment,
                    "control": np.where(is_control, "negcon", "trt"),
                }
            )
        )
    return complete_wells(pd.concat(parts, ignore_index=True))


def add_effect(values: np.ndarray, keys: pd.Series, sd: float | np.ndarray, rng: np.random.Generator) -> None:
    """Add to each feature a random effect of each level, in place; ``sd`` is one number or one per feature."""
    levels, place = np.unique(keys.astype(str).to_numpy(), return_inverse=True)
    values += (rng.normal(size=(len(levels), values.shape[1])) * sd)[place]


def make_profiles(wells: pd.DataFrame, values: np.ndarray) -> Profiles:
    """Profiles with features ``F000``, ``F001``, ..."""
    return Profiles(values, tuple(f"F{number:03d}" for number in range(values.shape[1])), wells)
