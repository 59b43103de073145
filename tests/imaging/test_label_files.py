"""Label images written to files: forms that are read back, numbers that fit, files that appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from imaging.errors import ConfigurationError, StoreUnavailableError
from imaging.image_sets import ImageSet, ImageSets
from imaging.label_files import check_labels_out, writing_labels
from imaging.label_sets import open_label_sets

NUCLEI, CELLS = np.zeros((2, 9, 12), np.int32)
NUCLEI[3:6, 4:9], CELLS[2:8, 3:12] = 3, 3
GIVEN = {"Nuclei": NUCLEI, "Cells": CELLS}


def images_of(*names: str) -> ImageSets:
    return ImageSets(("DNA",), tuple(ImageSet(name, {}, lambda channel: np.zeros((9, 12), np.uint8)) for name in names))


def write(out: Path, *names: str) -> None:
    check_labels_out(out, names)
    with writing_labels(out, names) as add:
        for number, name in enumerate(names):
            add(name, {objects: np.roll(image, number) for objects, image in GIVEN.items()})


@pytest.mark.parametrize(
    ("out", "names", "files"),
    [
        ("l.npz", ("site",), ["l.npz"]),
        ("l.npz", ("A01", "A02/s1"), ["l.npz"]),
        ("l.tif", ("site",), ["l.Cells.tif", "l.Nuclei.tif"]),
        ("l", ("site",), ["site_Cells.tif", "site_Nuclei.tif"]),
        ("l", ("A01", "A02/s1"), ["A01_Cells.tif", "A01_Nuclei.tif", "s1_Cells.tif", "s1_Nuclei.tif"]),
    ],
)
def test_what_is_written_is_read_back_for_the_same_images(
    out: str, names: tuple[str, ...], files: list[str], tmp_path: Path
) -> None:
    write(tmp_path / out, *names)
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == files
    labels = open_label_sets(tmp_path / out, images_of(*names))
    assert labels.objects == ("Nuclei", "Cells")
    assert labels.notes == ()
    for number, name in enumerate(names):
        for objects, image in GIVEN.items():
            np.testing.assert_array_equal(labels.sets[name].read(objects), np.roll(image, number))


@pytest.mark.parametrize(("greatest", "dtype"), [(65535, np.uint16), (65536, np.int32)])
@pytest.mark.parametrize("out", ["l.npz", "l.tif"])
def test_numbers_are_stored_as_narrow_as_they_fit(out: str, greatest: int, dtype: type, tmp_path: Path) -> None:
    with writing_labels(tmp_path / out, ["site"]) as add:
        add("site", {"Nuclei": np.array([[0, greatest]], np.int32)})
    read = np.load(tmp_path / out)["Nuclei"] if out == "l.npz" else tifffile.imread(tmp_path / "l.Nuclei.tif")
    assert (read.dtype, read.max()) == (dtype, greatest)


def test_an_npz_is_read_by_numpy_and_the_same_labels_give_the_same_file(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", "A01", "A02")
    write(tmp_path / "b.npz", "A01", "A02")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    arrays = np.load(tmp_path / "a.npz")
    assert list(arrays) == ["A01/Nuclei", "A01/Cells", "A02/Nuclei", "A02/Cells"]
    np.testing.assert_array_equal(arrays["A01/Cells"], CELLS)


@pytest.mark.parametrize("out", ["l.npz", "l.tif"])
def test_an_interrupted_run_leaves_what_was_there(out: str, tmp_path: Path) -> None:
    (tmp_path / out).write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), writing_labels(tmp_path / out, ["site"]):
        raise KeyboardInterrupt
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [(out, b"old")]


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "l").mkdir()
    (tmp_path / "l" / "A01").touch()
    with (
        pytest.raises(StoreUnavailableError, match=r"l cannot be written: .*; choose another --out"),
        writing_labels(tmp_path / "l", ["A01/s1"]) as add,
    ):
        add("A01/s1", GIVEN)


@pytest.mark.parametrize(
    ("out", "names", "words"),
    [
        ("l.txt", ("A01",), "must end in .npz or .tif, or have no ending: a folder of TIFF files"),
        ("l.tif", ("A01", "A02"), "l.tif can hold one image set, and there are 2; write .*l.npz, or a folder, .*/l$"),
        ("far/l.npz", ("A01",), "there is no folder .*far to write l.npz into; make it first"),
        ("far/l", ("A01",), "there is no folder .*far to make l in; make it first"),
        ("file", ("A01",), "file is a file without an ending"),
        ("folder.npz", ("A01",), "is a folder; give a file to write"),
        ("l", ("A01", ".hidden"), "the image set '.hidden' cannot name a file; write an .npz file"),
    ],
)
def test_what_cannot_be_written_is_refused(out: str, names: tuple[str, ...], words: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(ConfigurationError, match=words):
        check_labels_out(tmp_path / out, names)
