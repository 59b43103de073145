"""Where wells lie on their plates: rows and columns as numbers, the plate's shape, its edge."""

from __future__ import annotations

import numpy as np
import pandas as pd

from imaging.wells import PLATE_SHAPES, parse_row


def number_rows(wells: pd.DataFrame) -> np.ndarray:
    """Rows counted from 0, shape ``(wells,)``; -1 where a well has none."""
    names = {name: parse_row(name) if name else -1 for name in wells["row"].unique()}
    return wells["row"].map(names).to_numpy(dtype=int)


def number_columns(wells: pd.DataFrame) -> np.ndarray:
    """Columns counted from 0, shape ``(wells,)``; -1 where a well has none."""
    return wells["column"].fillna(0).to_numpy().astype(int) - 1


def fit_plate(rows: np.ndarray, columns: np.ndarray) -> tuple[int, int]:
    """Rows and columns of the smallest standard plate that has these, counted from 0."""
    height, width = int(rows.max(initial=0)) + 1, int(columns.max(initial=0)) + 1
    fits = (shape for shape in PLATE_SHAPES.values() if shape[0] >= height and shape[1] >= width)
    return next(fits, (height, width))


def name_edge(wells: pd.DataFrame) -> list[str]:
    """``edge`` of wells in an outermost row or column of their plate, else ``inside``; ``""`` without a place."""
    rows, columns = number_rows(wells), number_columns(wells)
    height, width = fit_plate(rows, columns)
    outermost = np.isin(rows, (0, height - 1)) | np.isin(columns, (0, width - 1))
    placed = (rows >= 0) & (columns >= 0)
    return np.where(placed, np.where(outermost, "edge", "inside"), "").tolist()
