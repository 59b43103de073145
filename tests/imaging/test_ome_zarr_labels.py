"""Label images of a Zarr: beside an image, of both versions, of a site of ours, or arrays of any group."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.ome_zarr_labels import open_zarr_labels
from imaging.store import FolderStore
from tests.imaging import small_zarr
from tests.imaging.small_images import planes, write_ome_zarr

NUCLEI, CELLS = np.zeros((2, 72, 96), np.int32)
NUCLEI[3:6, 4:9], CELLS[2:8, 3:12] = 7, 7
GIVEN = {"Nuclei": NUCLEI, "Cells": CELLS}


def write_labelled(folder: Path, version: str, axes: str = "yx", **labels: Any) -> Path:
    """An image with a group of label images."""
    write_ome_zarr(folder, planes(), axes="cyx", version=version)
    for name, image in labels.items():
        shaped = image.reshape((1,) * (len(axes) - 2) + image.shape)
        write_ome_zarr(folder / "labels" / name, shaped, axes=axes, version=version, labels=(), fill_value=0)
        change(folder / "labels" / name, **{"image-label": {"source": {"image": "../../"}}})
    group = zarr.open_group(folder / "labels", mode="a", zarr_format=2 if version == "0.4" else 3)
    group.attrs.update({"labels": list(labels)} if version == "0.4" else {"ome": {"labels": list(labels)}})
    return folder


def change(group: Path, **changes: Any) -> None:
    file = group / "zarr.json" if (group / "zarr.json").is_file() else group / ".zattrs"
    described = json.loads(file.read_text())
    (described["attributes"]["ome"] if file.name == "zarr.json" else described).update(changes)
    file.write_text(json.dumps(described))


def read(folder: Path) -> dict[str, np.ndarray]:
    return {name: read_one() for name, read_one in open_zarr_labels(folder).items()}


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        open_zarr_labels(folder)
    return str(caught.value)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["yx", "tczyx"])
def test_labels_beside_an_image_are_found_from_each_of_their_folders(version: str, axes: str, tmp_path: Path) -> None:
    folder = write_labelled(tmp_path / "a.zarr", version, axes, **GIVEN)
    for given in (folder, folder / "labels"):
        found = read(given)
        assert list(found) == ["Nuclei", "Cells"]
        for name, image in found.items():
            np.testing.assert_array_equal(image, GIVEN[name])
    np.testing.assert_array_equal(read(folder / "labels" / "Cells")["Cells"], CELLS)


def test_labels_of_a_site_of_ours_are_its_object_sets(folder_store: FolderStore) -> None:
    small_zarr.write_plate(folder_store)
    site = folder_store.local_path(f"{small_zarr.PLATE}/{small_zarr.group_of('B03', 1)}")
    for folder in (Path(site), Path(site) / "objects"):
        found = read(folder)
        assert list(found) == ["Nuclei", "Cells"]
        for name, image in found.items():
            np.testing.assert_array_equal(image, small_zarr.labels()[name])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_of_any_group_are_object_sets(zarr_format: Any, tmp_path: Path) -> None:
    group = zarr.open_group(tmp_path / "l.zarr", mode="w", zarr_format=zarr_format)
    for name, image in GIVEN.items():
        group.create_array(name, data=image)
    assert list(read(tmp_path / "l.zarr")) == ["Cells", "Nuclei"]
    np.testing.assert_array_equal(read(tmp_path / "l.zarr")["Nuclei"], NUCLEI)
    np.testing.assert_array_equal(read(tmp_path / "l.zarr" / "Nuclei")["Nuclei"], NUCLEI)


def test_chunks_that_are_not_stored_are_background(tmp_path: Path) -> None:
    folder = write_labelled(tmp_path / "a.zarr", "0.5", Nuclei=np.zeros_like(NUCLEI))
    assert not list((folder / "labels" / "Nuclei" / "0").glob("c/**/*"))
    assert not read(folder)["Nuclei"].any()


def test_damaged_labels_are_refused(tmp_path: Path) -> None:
    folder = write_labelled(tmp_path / "a.zarr", "0.4", Nuclei=NUCLEI)
    (folder / "labels" / "Nuclei" / "0" / "0.0").write_bytes(b"damage")
    with pytest.raises(UnreadableImageError, match="its pixels are damaged"):
        read(folder)


def test_what_holds_no_label_images_says_so(tmp_path: Path) -> None:
    image = write_ome_zarr(tmp_path / "a.zarr", planes(), axes="cyx")
    assert refusal(image).startswith("the image has no labels: it has no group `labels`")
    empty = zarr.open_group(tmp_path / "e.zarr", mode="w")
    assert refusal(tmp_path / "e.zarr").startswith("it holds no label image; it needs one 2-D array per object set")
    empty.create_array("Nuclei", data=NUCLEI / 2)
    empty.create_array("stack", data=np.stack([NUCLEI, CELLS]))
    assert refusal(tmp_path / "e.zarr").splitlines()[1:] == [
        "  - Nuclei: its labels are floating-point numbers (float64); convert them to whole numbers, such as "
        "labels.astype('int32')",
        "  - stack: its shape is (2, 72, 96); the labels of one object set are one array of shape (y, x)",
    ]
    many = write_labelled(tmp_path / "m.zarr", "0.4", Nuclei=NUCLEI)
    write_ome_zarr(many / "labels" / "Nuclei", np.stack([NUCLEI, CELLS]), axes="cyx", labels=())
    assert refusal(many).startswith("it has 2 channels; one label image per object set is needed")
    change(many / "labels", labels=["../../far"])
    assert "leads out of its group" in refusal(many)
    change(many / "labels", labels=["Cells"])
    assert "there is no label image" in refusal(many)
    change(many / "labels", labels=[])
    assert "its group lists no label image" in refusal(many)
