"""A real Cell Painting site with CellProfiler's own labels and values, and a dense site made of its cells.

The developers' folder ``shared`` holds it; a test without it is skipped.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet

from tests.parts import require

CHANNELS: tuple[str, ...] = ("DNA", "ER", "RNA", "AGP", "Mito")
"""Channels with values."""
SETS: tuple[str, ...] = ("Nuclei", "Cells", "Cytoplasm")
OUTER = 1
"""Index of the set that holds the others."""
DENSE_CELLS = 185
_PATCH = 77


def _folder() -> Path:
    return Path(require("shared")) / "golden" / "sparse_site"


@functools.cache
def read_planes(channels: tuple[str, ...] = CHANNELS) -> np.ndarray:
    """Planes of the site, shape (c, y, x), uint16."""
    images = np.load(_folder() / "images_uint16.npz")
    return np.stack([images[channel] for channel in channels])


@functools.cache
def read_labels(sets: tuple[str, ...] = SETS) -> np.ndarray:
    """CellProfiler's labels, shape (s, y, x), int32: 35 cells."""
    labels = np.load(_folder() / "labels_uint16.npz")
    return np.stack([labels[name] for name in sets]).astype(np.int32)


@functools.cache
def read_values(objects: str) -> dict[str, np.ndarray]:
    """CellProfiler's values of one object set by column (without the set's name), one per label, NaN where NULL."""
    table = pyarrow.parquet.read_table(_folder() / f"cellprofiler_4.2.8.1_{objects}.parquet")
    assert table["ObjectNumber"].to_pylist() == list(range(1, table.num_rows + 1))
    return {
        name: np.asarray(table[name].to_numpy(), float)
        for name in table.column_names
        if table[name].type in (pyarrow.float64(), pyarrow.int64(), pyarrow.float32(), pyarrow.int32())
    }


@functools.cache
def read_image_values() -> dict[str, float]:
    """CellProfiler's values of the whole image by name."""
    table = pyarrow.csv.read_csv(_folder() / "cellprofiler_4.2.8.1_Image.csv.gz")
    names, values = (table.column(index).to_pylist() for index in (0, 1))
    numbers = {}
    for name, value in zip(names, values, strict=True):
        try:
            numbers[name] = float(value)
        except (TypeError, ValueError):
            continue
    return numbers


@functools.cache
def draw_dense_site(side: int = 1080, cells: int = DENSE_CELLS) -> tuple[np.ndarray, np.ndarray]:
    """Tile the site's cells, cut to squares around their nuclei: planes (c, y, x) uint16 and labels (s, y, x) int32.

    Nothing is drawn that was not imaged; cells are smaller than they were, so that 185 find room on 1080 x 1080
    pixels, or as many more as are asked for.
    """
    planes, labels = read_planes(), read_labels()
    dense = np.zeros((len(CHANNELS), side, side), np.uint16)
    dense_labels = np.zeros((len(SETS), side, side), np.int32)
    patch = (min(_PATCH, side // math.ceil(math.sqrt(cells))) - 1) // 2 * 2 + 1  # odd: the nucleus is in its middle
    across, half = side // patch, patch // 2
    centres = []
    for label in range(1, int(labels.max()) + 1):
        y, x = np.nonzero(labels[0] == label)
        centres.append((int(y.mean()), int(x.mean())))
    height, width = planes.shape[1:]
    number = 0
    for tile in range(across * across):
        label = tile % len(centres) + 1
        y, x = (
            min(max(middle, half), limit - half - 1)
            for middle, limit in zip(centres[label - 1], (height, width), strict=True)
        )
        source = np.s_[:, y - half : y + half + 1, x - half : x + half + 1]
        top, left = patch * (tile // across), patch * (tile % across)
        target = np.s_[:, top : top + patch, left : left + patch]
        dense[target] = planes[source]
        if number < cells:
            number += 1
            dense_labels[target] = np.where(labels[source] == label, number, 0)
    covered = across * patch
    dense[:, covered:], dense[:, :, covered:] = dense[:, : side - covered], dense[:, :, : side - covered]
    return dense, dense_labels
