"""Where the wells of plates lie and what they hold: values in their places, with what treatments do taken off."""

from __future__ import annotations

import numpy as np
import pandas as pd

from imaging.analyses.positions import fit_plate, number_columns, number_rows
from imaging.analyses.profiles import Profiles

FEWEST_PLATES = 3
FEWEST_OTHERS = 2
MOST_COMPARED = 200
"""Of a treatment with more wells the median of all is taken off."""
_MOSTLY = 0.5


class Layout:
    """Where wells lie, what they hold, and which lines of a plate hold one thing by design."""

    def __init__(self, profiles: Profiles) -> None:
        wells = profiles.wells
        self._rows, self._columns = number_rows(wells), number_columns(wells)
        control = wells["control"]
        self._left_out = (control.isin(["poscon", "empty"]) | (self._rows < 0) | (self._columns < 0)).to_numpy()
        self._is_negcon = control.eq("negcon").to_numpy()
        self._treatment = wells.groupby("treatment", sort=False).ngroup().to_numpy()
        self._is_known = wells["treatment"].ne("").to_numpy()
        self._dose = pd.factorize(wells["concentration"], sort=True)[0]  # -1 where none is
        self._replicates = [rows for key, rows in profiles.groups(["treatment", "concentration"]) if key[0] != ""]
        keys = wells.assign(position=self._rows * 1000 + self._columns)
        self._same = keys.groupby(["position", "treatment", "concentration"], sort=False, dropna=False).ngroup()
        self._plate = wells.groupby(["experiment", "plate"], sort=False).ngroup()

    def grid(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Values of a plate's wells in their places, NaN where none is or a well is left out; several are averaged."""
        kept = ~self._left_out[rows]
        frame = pd.DataFrame(
            {"row": self._rows[rows][kept], "column": self._columns[rows][kept], "value": values[kept]}
        )
        grid = np.full(fit_plate(self._rows[rows], self._columns[rows]), np.nan)
        means = frame.groupby(["row", "column"], as_index=False)["value"].mean()
        grid[means["row"], means["column"]] = means["value"]
        return grid

    def designed(self, rows: np.ndarray) -> np.ndarray:
        """Whether each row, then each column of a plate holds mostly one treatment, dose or negative controls."""
        used = rows[~self._left_out[rows]]
        height, width = fit_plate(self._rows[rows], self._columns[rows])
        found = np.zeros(height + width, dtype=bool)
        for kind in (np.where(self._is_known, self._treatment, -1), self._dose, np.where(self._is_negcon, 0, -1)):
            for line in range(height):
                found[line] |= _is_mostly(kind[used], self._rows[used] == line)
            for line in range(width):
                found[height + line] |= _is_mostly(kind[used], self._columns[used] == line)
        return found

    def repeated(self, plain: np.ndarray, apart: np.ndarray) -> np.ndarray:
        """Whether most wells of each row, then each column, and of the plate can be compared with other plates."""
        known, compared = np.isfinite(plain), np.isfinite(apart)
        if compared.sum() <= _MOSTLY * known.sum():
            return np.zeros(sum(plain.shape), dtype=bool)
        of_lines = [(compared.sum(axis=axis), known.sum(axis=axis)) for axis in (1, 0)]
        return np.concatenate([some > _MOSTLY * np.maximum(every, 1) for some, every in of_lines])

    def without_treatment(self, values: np.ndarray) -> np.ndarray:
        """Values less the median of the treatment's wells in other rows and columns, on any plate, where two are."""
        own = values.copy()
        for rows in self._replicates:
            known = rows[np.isfinite(values[rows])]
            if len(known) <= FEWEST_OTHERS:
                continue
            if len(known) > MOST_COMPARED:
                own[known] -= np.median(values[known])
                continue
            row, column = self._rows[known], self._columns[known]
            elsewhere = (row[:, None] != row) & (column[:, None] != column)
            enough = elsewhere.sum(axis=1) >= FEWEST_OTHERS
            if enough.any():
                others = np.where(elsewhere[enough], values[known][None, :], np.nan)
                own[known[enough]] -= np.nanmedian(others, axis=1)
        return own

    def beyond_others(self, rows: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Values less the median of wells that hold the same in the same place of at least three other plates."""
        frame = pd.DataFrame({"same": self._same, "plate": self._plate, "value": values})
        of_plate = frame.iloc[rows]
        others = frame[(frame["plate"] != of_plate["plate"].iloc[0]) & frame["same"].isin(of_plate["same"])]
        known = others.dropna(subset=["value"]).groupby("same")["value"].agg(["median", "size"])
        usual = known.loc[known["size"] >= FEWEST_PLATES, "median"]
        return of_plate["value"].to_numpy() - of_plate["same"].map(usual).to_numpy(dtype=float)


def _is_mostly(kinds: np.ndarray, line: np.ndarray) -> bool:
    """Whether one kind makes more than half of a line, and not of the whole plate as well."""
    known = kinds[line]
    known = known[known >= 0]
    if not len(known):
        return False
    counts = np.bincount(known)
    most = int(counts.argmax())
    return bool(counts[most] > _MOSTLY * line.sum() and (kinds == most).mean() <= _MOSTLY)
