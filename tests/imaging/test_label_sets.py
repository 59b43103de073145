"""Label images of any origin: what is found, how they pair with image sets, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.image_sets import ImageSet, ImageSets
from imaging.label_sets import LabelSets, open_label_sets
from tests.imaging.small_images import write_npz, write_tiff

NUCLEI, CELLS = np.zeros((2, 9, 12), np.uint16)
NUCLEI[3:6, 4:9], CELLS[2:8, 3:12] = 300, 300


def images_of(*names: str) -> ImageSets:
    return ImageSets(("DNA",), tuple(ImageSet(name, {}, lambda channel: np.zeros((9, 12), np.uint8)) for name in names))


ONE, TWO = images_of("site"), images_of("A01", "A02/s1")


def found(labels: Path, images: ImageSets = ONE, **objects: str) -> LabelSets:
    return open_label_sets(labels, images, objects)


def refusal(labels: Path | str, images: ImageSets = ONE, **objects: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        open_label_sets(labels, images, objects)
    return str(caught.value)


def test_arrays_of_an_npz_are_object_sets_in_the_usual_order(tmp_path: Path) -> None:
    labels = found(write_npz(tmp_path / "l.npz", Spots=NUCLEI, Cells=CELLS.astype(np.int64), Nuclei=NUCLEI))
    assert labels.objects == ("Nuclei", "Cells", "Spots")
    assert dict(labels.sets["site"].files) == dict.fromkeys(("Spots", "Cells", "Nuclei"), "l.npz")
    np.testing.assert_array_equal(labels.sets["site"].read("Cells"), CELLS)


def test_object_sets_can_be_chosen_and_what_else_is_there_does_not_matter(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "l.npz", Nuclei=NUCLEI, flows=np.zeros((2, 9, 12)), **{"not a name": NUCLEI})
    assert found(path, Nuclei="").objects == ("Nuclei",)
    assert "flows: its labels are floating-point numbers (float64)" in refusal(path)
    assert "choose them with --objects NAME" in refusal(path)
    good = write_npz(tmp_path / "good.npz", Nuclei=NUCLEI)
    assert refusal(good, Nuclei="", Cells="") == f"{good} has no labels of Cells; it has Nuclei"


def test_arrays_of_several_image_sets_are_named_by_them(tmp_path: Path) -> None:
    arrays = {"A01/Nuclei": NUCLEI, "A02/s1/Nuclei": CELLS, "A02/s1/Cells": CELLS}
    labels = found(write_npz(tmp_path / "l.npz", **arrays), TWO)
    assert labels.objects == ("Nuclei", "Cells")
    assert {name: list(one.files) for name, one in labels.sets.items()} == {
        "A01": ["Nuclei"],
        "A02/s1": ["Nuclei", "Cells"],
    }
    np.testing.assert_array_equal(labels.sets["A02/s1"].read("Nuclei"), CELLS)


def test_one_image_set_takes_the_only_labels_whatever_they_are_called(tmp_path: Path) -> None:
    assert list(found(write_npz(tmp_path / "l.npz", **{"other/Nuclei": NUCLEI})).sets) == ["site"]


def test_labels_of_image_sets_that_are_not_there_are_told(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "l.npz", **{"A01/Nuclei": NUCLEI, "A09/Nuclei": NUCLEI})
    labels = found(path, TWO)
    assert list(labels.sets) == ["A01"]
    assert labels.notes == ("labels of 1 image sets that are not there are passed over: A09",)
    none = write_npz(tmp_path / "n.npz", **{"B01/Nuclei": NUCLEI, "B02/Nuclei": NUCLEI})
    assert refusal(none, TWO).endswith("labels are of B01, B02, images of A01, A02/s1")
    bare = write_npz(tmp_path / "b.npz", Nuclei=NUCLEI)
    assert refusal(bare, TWO).endswith("such as A01/Nuclei in an .npz file")


@pytest.mark.parametrize(
    ("name", "objects"),
    [("labels.tif", "Nuclei"), ("site_CELLS.tif", "Cells"), ("cytoplasm.TIFF", "Cytoplasm"), ("nucleus.tif", "Nuclei")],
)
def test_one_label_file_is_named_by_its_end_or_nuclei(name: str, objects: str, tmp_path: Path) -> None:
    labels = found(write_tiff(tmp_path / name, CELLS.astype(np.int32)))
    assert labels.objects == (objects,)
    np.testing.assert_array_equal(labels.sets["site"].read(objects), CELLS)
    assert found(tmp_path / name, Spots="").objects == ("Spots",)
    assert "2 are asked for" in refusal(tmp_path / name, Nuclei="", Cells="")


def test_a_name_without_a_file_stands_for_those_of_its_object_sets(tmp_path: Path) -> None:
    for name in ("Cells", "Nuclei", "not a name"):
        write_tiff(tmp_path / f"l[1].{name}.tif", NUCLEI)
    assert found(tmp_path / "l[1].tif").objects == ("Nuclei", "Cells")
    assert refusal(tmp_path / "m.tif").startswith(f"there is no {tmp_path / 'm.tif'}, and no m.Nuclei.tif; give")


def test_files_of_a_folder_pair_by_what_their_wildcards_match(tmp_path: Path) -> None:
    for name in ("A01_n.tif", "A02/s1_n.tif", "A02/s1_c.tif"):
        write_tiff(tmp_path / name, NUCLEI)
    labels = found(tmp_path, TWO, Nuclei="**/*_n.tif", Cells="**/*_c.tif")
    assert dict(labels.sets["A02/s1"].files) == {"Nuclei": "A02/s1_n.tif", "Cells": "A02/s1_c.tif"}
    assert list(labels.sets["A01"].files) == ["Nuclei"]
    text = refusal(tmp_path, TWO, Nuclei="*_x.tif")
    assert text.startswith("the globs of the object sets do not fit the folder\n  - Nuclei=*_x.tif matches none of 3")


def test_files_named_as_segment_names_them_need_no_glob(tmp_path: Path) -> None:
    for name in ("A01_Nuclei.tif", "A02/s1_Nuclei.tif", "A02/s1_Cells.tif", "notes.txt"):
        write_tiff(tmp_path / name, NUCLEI)
    assert found(tmp_path, TWO).objects == ("Nuclei", "Cells")
    assert found(tmp_path, TWO, Cells="").objects == ("Cells",)
    assert "are labels of Spots, such as A01_Nuclei.tif? give a glob" in refusal(tmp_path, TWO, Spots="")
    other = write_tiff(tmp_path / "other" / "a.tif", NUCLEI).parent
    assert "which of the 1 files" in refusal(other, TWO)
    assert "--objects 'Nuclei=*_nuclei.tif'" in refusal(other, TWO)
    (tmp_path / "empty").mkdir()
    assert "holds no file" in refusal(tmp_path / "empty")


def test_arrays_of_a_zarr_are_object_sets(tmp_path: Path) -> None:
    zarr.open_group(tmp_path / "l.zarr", mode="w").create_array("Nuclei", data=NUCLEI)
    np.testing.assert_array_equal(found(tmp_path / "l.zarr").sets["site"].read("Nuclei"), NUCLEI)
    assert "globs of object sets are for a folder of files" in refusal(tmp_path / "l.zarr", Nuclei="*")


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a b": NUCLEI}, "an object set's name is a letter and then letters, digits and _ (at most 40), got 'a b'"),
        ({"Image": NUCLEI}, "Image is the name of another table; rename the object set"),
        ({"cells": NUCLEI, "Cells": NUCLEI}, "cells: another object set's name differs in capital letters only"),
        ({"Nuclei": NUCLEI / 1.0}, "Nuclei: its labels are floating-point numbers (float64); convert them"),
        ({"Nuclei": NUCLEI.astype(np.int32) - 1}, "Nuclei: label -1 is the least"),
        ({"Nuclei": NUCLEI > 0}, "Nuclei: its values are true and false (bool); number the objects of the mask"),
        ({"Nuclei": NUCLEI.astype(np.uint64) << 30}, "Nuclei: its greatest label is 322,122,547,200"),
        ({}, "the file holds no array; it needs one 2-D array per object set"),
    ],
)
def test_what_is_no_label_image_is_refused(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert words in refusal(write_npz(tmp_path / "l.npz", **arrays))


def test_what_is_not_there_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    forms = "give an .npz file, a label TIFF or PNG file, a folder of them, or a Zarr"
    assert refusal(tmp_path / "x") == f"there is no {tmp_path / 'x'}; {forms}"
    assert refusal(tmp_path / "x.npz") == f"there is no {tmp_path / 'x.npz'}; {forms}"
    (tmp_path / "a.npy").touch()
    assert refusal(tmp_path / "a.npy") == f"{tmp_path / 'a.npy'} is a file, but no .npz, TIFF or PNG; {forms}"
    assert refusal("gs://lab/l.npz").startswith("gs://lab/l.npz is no path of this machine")
    assert "the names of the object sets are refused" in refusal(tmp_path, **{"a b": "*"})


def test_a_damaged_label_file_says_which(tmp_path: Path) -> None:
    write_tiff(tmp_path / "n.tif", NUCLEI - 1.0)
    with pytest.raises(UnreadableImageError, match="convert labels to whole numbers") as caught:
        found(tmp_path / "n.tif").sets["site"].read("Nuclei")
    assert caught.value.key == "n.tif"
    write_tiff(tmp_path / "m.tif", NUCLEI.astype(np.int16) - 5)
    with pytest.raises(UnreadableImageError, match="label -5 is the least") as caught:
        found(tmp_path / "m.tif").sets["site"].read("Nuclei")
    assert caught.value.key == "m.tif"
