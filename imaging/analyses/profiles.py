"""Profiles: wells by features, with what is known of each well beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

NEGCON, POSCON, EMPTY, TREATED = "negcon", "poscon", "empty", "trt"
"""What a well is, in the column ``control``."""

PLACE = ("experiment", "batch", "plate", "well", "row", "column", "time_point")
TREATMENT = ("treatment", "concentration", "concentration_unit", "control", "mechanism")
WELL_COLUMNS = (*PLACE, *TREATMENT, "cells_count", "verdict", "run", "recipe")
"""Columns that ``Profiles.wells`` always has; annotations of the plate map follow them."""
GROUP_COLUMNS = {
    "plate": ("experiment", "batch", "plate", "time_point"),
    "batch": ("experiment", "batch", "time_point"),
    "experiment": ("experiment", "time_point"),
}
"""What wells of one plate, batch or experiment have in common; those of different time points are never mixed."""


@dataclass(frozen=True, eq=False)
class Profiles:
    """Wells, or consensus profiles of treatments, by features.

    Parameters
    ----------
    values
        Shape ``(profiles, features)``, float64; NaN where there is no value, never infinite.
    features
        Names of the features, in the order of their columns.
    wells
        One row per profile, its index 0, 1, 2, ...; `WELL_COLUMNS` and annotations. Texts are ``""`` where nothing is
        known, numbers NaN.

    Raises
    ------
    ValueError
        If the shapes do not agree.
    """

    values: np.ndarray
    features: tuple[str, ...]
    wells: pd.DataFrame

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.wells), len(self.features)):
            raise ValueError(
                f"values must have shape {(len(self.wells), len(self.features))} for {len(self.wells)} wells and "
                f"{len(self.features)} features, got {self.values.shape}"
            )

    def __len__(self) -> int:
        return len(self.wells)

    def take(self, rows: np.ndarray | Sequence[int]) -> Profiles:
        """Some of the profiles, by a mask of shape ``(profiles,)`` or by their positions."""
        index = np.asarray(rows) if len(rows) else np.zeros(0, dtype=np.intp)
        wells = self.wells.loc[index] if index.dtype == bool else self.wells.iloc[index]
        return replace(self, values=self.values[index], wells=wells.reset_index(drop=True))

    def with_values(self, values: np.ndarray, features: Iterable[str] | None = None) -> Profiles:
        """The same wells with other values, and other features if their names are given."""
        return replace(self, values=values, features=self.features if features is None else tuple(features))

    def only(self, features: Iterable[str]) -> Profiles:
        """The same wells with some of the features, in the order given."""
        position = {name: i for i, name in enumerate(self.features)}
        chosen = tuple(features)
        return self.with_values(self.values[:, [position[name] for name in chosen]], chosen)

    def of(self, feature: str) -> np.ndarray:
        """Values of one feature, shape ``(profiles,)``."""
        return self.values[:, self.features.index(feature)]

    def is_control(self, kind: str) -> np.ndarray:
        """Which profiles are of a kind: ``negcon``, ``poscon``, ``empty`` or ``trt``; shape ``(profiles,)``, bool."""
        return (self.wells["control"] == kind).to_numpy()

    def groups(self, columns: Sequence[str]) -> list[tuple[tuple[Any, ...], np.ndarray]]:
        """Positions of the profiles of each combination of values, sorted by the values; without columns, all."""
        if not columns:
            return [((), np.arange(len(self)))]
        grouped = self.wells.groupby(list(columns), sort=True, dropna=False).indices
        return [(key if isinstance(key, tuple) else (key,), np.sort(rows)) for key, rows in grouped.items()]


def stack_profiles(parts: Sequence[Profiles]) -> Profiles:
    """Put profiles of several plates below one another; features are those of any, NaN where a plate lacks one."""
    features = tuple(dict.fromkeys(name for part in parts for name in part.features))
    position = {name: i for i, name in enumerate(features)}
    values = np.full((sum(map(len, parts)), len(features)), np.nan)
    begin = 0
    for part in parts:
        columns = [position[name] for name in part.features]
        values[begin : begin + len(part), columns] = part.values
        begin += len(part)
    wells = pd.concat([part.wells for part in parts], ignore_index=True) if parts else complete_wells(pd.DataFrame())
    return Profiles(values, features, wells)


def complete_wells(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the columns of `WELL_COLUMNS` that a table lacks; where nothing stands texts become ``""``, numbers NaN."""
    columns: dict[str, Any] = {}
    for name in WELL_COLUMNS:
        given = frame.get(name, pd.Series(np.nan, index=frame.index))
        if name in _NUMBERS:
            columns[name] = pd.to_numeric(given, errors="coerce").astype(float)
        else:
            columns[name] = given.astype(object).where(given.notna(), "").astype(str)
    known = pd.DataFrame(columns, index=frame.index)
    return pd.concat([known, frame[[n for n in frame.columns if n not in known]]], axis=1).reset_index(drop=True)


_NUMBERS = frozenset({"column", "time_point", "concentration", "cells_count"})
