"""Plates as ngio opens them, on whose reading of OME-Zarr those of napari's plugins stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from ngio import OmeZarrPlate, open_label, open_ome_zarr_container, open_ome_zarr_plate

from imaging.store import open_store
from tests.imaging import small_zarr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = open_store(str(tmp_path_factory.mktemp("ngio")))
    small_zarr.write_plate(store)
    path = store.local_path(small_zarr.PLATE)
    assert path is not None
    return path


@pytest.fixture(scope="module")
def plate(folder: Path) -> OmeZarrPlate:
    return open_ome_zarr_plate(folder, mode="r")


def test_wells_and_sites_are_listed_as_on_the_plate(plate):
    assert plate.rows == ["A", "B"]
    assert plate.columns == ["1", "2", "3"]
    assert plate.wells_paths() == ["A/1", "B/3"]
    groups = {well: [small_zarr.group_of(w, s) for w, s in small_zarr.SITES if w == well] for well in ("A01", "B03")}
    assert plate.well_images_paths("A", 1) == groups["A01"]
    assert sorted(plate.get_well_images("B", 3)) == groups["B03"]


def test_pixels_channels_and_pixel_size_are_those_that_were_written(plate):
    container = plate.get_image("B", 3, small_zarr.group_of("B03", 1).rpartition("/")[2])
    assert container.channel_labels == ["DNA", "RNA"]
    assert container.levels == 2
    image = container.get_image(path="0")
    pixels = small_zarr.planes(small_zarr.SITES.index(("B03", 1)))
    np.testing.assert_array_equal(image.get_as_numpy(axes_order=("c", "y", "x")), pixels)
    np.testing.assert_array_equal(image.get_as_numpy(channel_selection="RNA").squeeze(), pixels[1])
    assert (image.pixel_size.x, image.pixel_size.y, str(image.space_unit)) == (0.5, 0.5, "micrometer")
    small = container.get_image(path="1")
    assert small.pixel_size.x == 0.5 * small_zarr.FACTOR


def test_labels_are_read_by_the_name_of_their_objects(plate, folder):
    site = folder / small_zarr.group_of("A01", 2)
    container = open_ome_zarr_container(site, mode="r")
    described: Any = zarr.open_group(site, mode="r").attrs["platestream"]
    assert described["object_sets"] == ["Nuclei", "Cells"]
    label = open_label(site / described["objects"])
    for number, name in enumerate(described["object_sets"]):
        found = label.get_as_numpy(c=number, axes_order=("y", "x"))
        np.testing.assert_array_equal(found, small_zarr.labels()[name])
    assert label.pixel_size == container.get_image(path="0").pixel_size
    assert label.dtype == "int32"
