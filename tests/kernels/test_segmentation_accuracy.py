"""Real images: CellProfiler's own labels, annotated nuclei, counts of a published example."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from imaging.recipes import Recipe
from kernels.segmentation import segment_objects
from tests.golden import draw_dense_site, read_labels, read_planes
from tests.parts import require


def segment(nucleus: np.ndarray, cell: np.ndarray | None, recipe: dict) -> dict[str, np.ndarray]:
    """Segment as a recipe says."""
    read = Recipe.model_validate(recipe)
    assert read.nuclei is not None
    assert read.cells is not None
    parts = {"nuclei": read.nuclei.parameters(None), "cells": read.cells.parameters(None)}
    return segment_objects(nucleus, cell, **parts, shared_rim=read.cells.shared_rim)


def overlaps(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give the intersection over union of all pairs of objects that meet."""
    keys, shared = np.unique(labels.astype(np.int64) * (1 << 20) + truth, return_counts=True)
    pairs = np.stack(np.divmod(keys, 1 << 20))
    both = (pairs > 0).all(axis=0)
    union = np.bincount(labels.ravel())[pairs[0]] + np.bincount(truth.ravel())[pairs[1]] - shared
    return shared[both] / union[both]


def data() -> Path:
    return Path(require("shared")) / "data"


def test_jump_s_recipe_gives_cellprofiler_s_own_labels() -> None:
    nucleus, cell = read_planes(("DNA", "RNA"))
    found = segment(nucleus, cell, {"preset": "jump"})
    names = ("Nuclei", "Cells", "Cytoplasm", "NucleiIncludingEdges", "CellsIncludingEdges")
    for name, expected in zip(names, read_labels(names), strict=True):
        np.testing.assert_array_equal(found[name], expected, err_msg=name)


def test_automatic_labels_are_of_cellprofiler_s_kind() -> None:
    nucleus, cell = read_planes(("DNA", "RNA"))
    found = segment(nucleus, cell, {"nuclei": {"diameter_px": [15, 90]}, "cells": {}})
    expected = read_labels(("NucleiIncludingEdges", "CellsIncludingEdges"))
    # CellProfiler's outlines follow one threshold and lie further out
    assert (overlaps(found["Nuclei"], expected[0]) > 0.5).sum() >= 34
    assert (overlaps(found["Cells"], expected[1]) > 0.5).sum() >= 32


def test_dense_cells_are_all_found() -> None:
    planes, labels = draw_dense_site()
    for recipe in ({"preset": "jump"}, {"nuclei": {"diameter_px": [15, 90]}, "cells": {}}):
        found = segment(planes[0], planes[2], recipe)
        assert (overlaps(found["Nuclei"], labels[0]) > 0.5).sum() >= 0.95 * labels.max()


def test_annotated_nuclei_are_found_with_one_set_of_parameters() -> None:
    folder = data() / "segmentation_dsb2018_fluo"
    found = expected = 0
    hits = np.zeros(2)
    for path in sorted((folder / "images").glob("*.png")):
        plane = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        truth = cv2.imread(str(folder / "labels" / path.name), cv2.IMREAD_UNCHANGED)
        labels = segment(plane, None, {"nuclei": {"diameter_px": [8, 80]}, "cells": {}})["Nuclei"]
        quality = overlaps(labels, truth)
        hits += [(quality > 0.5).sum(), (quality > 0.7).sum()]
        found, expected = found + labels.max(), expected + truth.max()
    # a Gaussian, Otsu and a distance watershed reach 0.78 and 0.68
    assert (2 * hits / (found + expected) >= (0.85, 0.75)).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_an_example_has_as_many_nuclei_and_cells_as_cellprofiler_finds(bits: int) -> None:
    folder = data() / "cellprofiler_reference_features_ExampleHuman"
    nucleus, cell = (tifffile.imread(folder / f"AS_09125_050116030001_D03f00d{channel}.tif") for channel in (0, 2))
    if bits == 16:
        nucleus, cell = nucleus.astype(np.uint16) * 257, cell.astype(np.uint16) * 257
    # CellProfiler's pipeline leaves out nuclei at the border
    found = segment(nucleus, cell, {"nuclei": {"diameter_px": [8, 80], "drop_border": True}, "cells": {}})
    for name in ("Nuclei", "Cells"):
        assert np.unique(found[name]).size - 1 == pytest.approx(289, rel=0.03)
