"""Real folders of instruments, from what ``init`` writes to the publication."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.parts import require
from tests.real_folders import FOLDERS, process

FOUND = {
    "MetaXpress, exported": ("metaxpress", 16, 96, {"done": 8, "missing": 16}, 1.3672),
    "MetaXpress, projections": ("metaxpress", 8, None, {"done": 2}, 1.3668),
    "MetaXpress, stacks": ("metaxpress", 4, None, {"done": 2}, 1.3668),
    "Harmony, with index": ("harmony", 2, 2, {"done": 2}, 1.195952),
    "Harmony, six channels": ("harmony", 6, None, {"done": 1}, None),
    "Harmony, JUMP": ("harmony", 3, None, {"done": 1}, 0.597976),
    "CellVoyager": ("cellvoyager", 96, 96, {"done": 12}, 0.325),
    "Cellomics": ("cellomics", 3, None, {"done": 1}, None),
    "OME-TIFF, companion": ("ome-tiff", 5, 5, {"done": 1}, None),
    "OME-TIFF, master": ("ome-tiff", 5, 5, {"done": 1}, None),
    "well, site, stain": ("pattern", 6, None, {"done": 2, "missing": 2}, None),
}
"""Format, images, expected images, sites by state, size of a pixel."""


def found(title: str, root: Path, *, as_archive: bool = False) -> tuple[object, ...]:
    shared = Path(require("shared")) / "data"
    outcome = process(title, shared / FOLDERS[title], root, as_archive=as_archive)
    look = outcome.look
    states = Counter(site.state for site in outcome.plan.sites)
    return look.format, look.image_count, look.expected, dict(states), look.pixel_size_um


@pytest.mark.parametrize("title", FOUND)
def test_a_real_folder_is_recognised_and_processed(title: str, tmp_path: Path) -> None:
    assert found(title, tmp_path) == FOUND[title]


def test_an_acquisition_in_one_archive_is_processed_like_its_folder(tmp_path: Path) -> None:
    assert found("MetaXpress, exported", tmp_path, as_archive=True) == FOUND["MetaXpress, exported"]
