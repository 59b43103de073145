"""Real image files to planes: as other readers read them, whole, cut and made to do harm."""

from __future__ import annotations

import random
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from imaging.decode import decode_plane
from imaging.errors import UnreadableImageError
from tests.parts import require

PLANES = {
    "bbbc013_translocation_plate/images": 96,
    "harmony_cellpainting_6ch_BR00143976/images/orig": 6,
    "nf1_cellpainting_3ch": 12,
    "focus_bbbc006": 19,
    "imagexpress_metaxpress": 53,
}


@pytest.mark.parametrize("folder", PLANES)
def test_every_real_plane_reads_as_other_readers_read_it(folder: str) -> None:
    data = Path(require("shared")) / "data" / folder
    files = [file for file in data.rglob("*") if file.suffix.lower() in (".tif", ".tiff", ".png")]
    assert len(files) == PLANES[folder]
    for file in files:
        plane = decode_plane(file.read_bytes(), name=file.name)
        other = imagecodecs.imread(file) if file.suffix == ".png" else tifffile.imread(file)
        np.testing.assert_array_equal(plane, other)
        assert plane.dtype == other.dtype


def test_crash_and_memory_bombs_are_refused_and_odd_planes_read_as_tifffile_reads_them() -> None:
    files = sorted((Path(require("shared")) / "data" / "tiff_oddities").rglob("*.tif*"))
    read = []
    for file in files:
        try:
            plane = decode_plane(file.read_bytes(), name=file.name)
        except UnreadableImageError:
            continue
        read.append(file)
        np.testing.assert_array_equal(plane, tifffile.imread(file))
    assert len(files) == 134
    assert len(read) == 21
    assert not [file.name for file in read if file.name.startswith(("crash-", "oom-"))]


def test_a_real_file_cut_anywhere_is_refused() -> None:
    folder = Path(require("shared")) / "data"
    chance = random.Random(3)
    names = [
        "bbbc013_translocation_plate/images/Channel1-01-A-01.tif",
        "harmony_cellpainting_6ch_BR00143976/images/orig/r03c03f03p01-ch1sk1fk1fl1.tiff",
        "harmony_cellpainting_6ch_BR00143976/images/orig/r03c03f03p01-ch4sk1fk1fl1.tiff",
        "nf1_cellpainting_3ch/Plate_2_images/B7_01_1_3_DAPI_001.tif",
    ]
    for name in names:
        whole = (folder / name).read_bytes()
        for size in [*(chance.randrange(len(whole)) for _ in range(50)), *range(len(whole) - 30, len(whole))]:
            with pytest.raises(UnreadableImageError):
                decode_plane(whole[:size], name=name)
