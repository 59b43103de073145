"""Image sets of any origin: what is found, how channels are named, what is refused."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from imaging import image_sets
from imaging.errors import ConfigurationError, UnreadableImageError
from imaging.image_sets import ImageSets, name_channels, open_image_sets
from tests.imaging.small_images import planes, write_npz, write_ome_zarr, write_tiff
from tests.parts import ROOT

BBBC013 = ROOT / "tests" / "data" / "bbbc013" / "images"
DNA, RNA = planes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sets; the second lacks RNA."""
    for name, plane in (("A01_w1.tif", DNA), ("A01_w2.tif", RNA), ("A02_w1.tif", RNA)):
        write_tiff(tmp_path / "images" / name, plane)
    return tmp_path / "images"


def open_folder(folder: Path, **changes: str) -> ImageSets:
    return open_image_sets(folder, {"DNA": "*_w1.tif", "RNA": "*_w2.tif"} | changes)


def refusal(images: str | Path, **channels: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        open_image_sets(images, channels)
    return str(caught.value)


def test_a_folder_gives_sets_whose_planes_are_read_when_asked_for(folder: Path) -> None:
    found = open_folder(folder)
    assert found.channels == ("DNA", "RNA")
    assert [(one.name, dict(one.files)) for one in found.sets] == [
        ("A01", {"DNA": "A01_w1.tif", "RNA": "A01_w2.tif"}),
        ("A02", {"DNA": "A02_w1.tif"}),
    ]
    np.testing.assert_array_equal(found.sets[0].read("RNA"), RNA)
    (folder / "A01_w2.tif").unlink()
    with pytest.raises(UnreadableImageError, match=r"cannot be read: No such file .*\(file A01_w2.tif\)"):
        found.sets[0].read("RNA")


def test_sets_that_lack_channels_are_known(folder: Path) -> None:
    assert [(one.name, absent) for one, absent in open_folder(folder).lacking()] == [("A02", ["RNA"])]
    assert open_image_sets(folder, {"DNA": "*_w1.tif"}).lacking() == []


def test_a_set_without_a_wildcard_is_called_like_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert [one.name for one in open_image_sets(".", {"DNA": "A01_w1.tif"}).sets] == ["images"]


def test_a_real_plate_gives_a_set_per_well() -> None:
    found = open_image_sets(BBBC013, {"DNA": "Channel2-*.tif", "GFP": "Channel1-*.tif"})
    assert len(found.sets) == 48
    assert found.lacking() == []
    assert found.sets[0].read("GFP").shape == (640, 640)


def test_an_unreadable_file_says_which_and_why(folder: Path) -> None:
    data = (folder / "A01_w1.tif").read_bytes()
    (folder / "A01_w1.tif").write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableImageError) as caught:
        open_folder(folder).sets[0].read("DNA")
    assert caught.value.key == "A01_w1.tif"


def test_a_file_too_large_for_a_plane_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (folder / "A01_w1.tif").stat().st_size
    monkeypatch.setattr(image_sets, "_MAX_FILE", size)
    open_folder(folder).sets[0].read("DNA")
    monkeypatch.setattr(image_sets, "_MAX_FILE", size - 1)
    with pytest.raises(UnreadableImageError, match=f"the file has {size:,} bytes; one plane has at most {size - 1:,}"):
        open_folder(folder).sets[0].read("DNA")


def test_links_to_files_are_files_and_other_odd_names_are_told(folder: Path, tmp_path: Path) -> None:
    (folder / "A02_w2.tif").symlink_to(folder / "A01_w2.tif")
    assert open_folder(folder).lacking() == []
    assert open_folder(folder).notes == ()
    (folder / "linked").symlink_to(tmp_path)
    (folder / "lost.tif").symlink_to(tmp_path / "nowhere")
    Path(os.fsdecode(os.fsencode(folder) + b"/\xe9_w1.tif")).touch()
    found = open_folder(folder)
    assert [one.name for one in found.sets] == ["A01", "A02"]
    assert found.notes == (
        f"3 names in {folder} are passed over, first \\xe9_w1.tif: the name is not UTF-8; rename the file",
    )


def test_an_npz_is_one_set_named_like_the_file(tmp_path: Path) -> None:
    found = open_image_sets(str(write_npz(tmp_path / "site 1.NPZ.npz", **{"DNA 1": DNA, "RNA": RNA})))
    (one,) = found.sets
    assert (found.channels, one.name) == (("DNA_1", "RNA"), "site 1.NPZ")
    assert one.files == {"DNA_1": "site 1.NPZ.npz", "RNA": "site 1.NPZ.npz"}
    np.testing.assert_array_equal(one.read("DNA_1"), DNA)
    assert found.notes == ("channel 1, 'DNA 1', is named DNA_1",)


@pytest.mark.parametrize(("name", "called"), [("s1.ome.zarr", "s1"), ("s1.zarr", "s1"), ("s1x3fa", "s1x3fa")])
def test_an_ome_zarr_is_one_set_named_like_the_folder(name: str, called: str, tmp_path: Path) -> None:
    found = open_image_sets(write_ome_zarr(tmp_path / name, planes(), axes="cyx"))
    (one,) = found.sets
    assert (found.channels, one.name, one.files) == (("DNA", "RNA"), called, {"DNA": name, "RNA": name})
    np.testing.assert_array_equal(one.read("RNA"), RNA)
    assert found.notes == ()


def test_chunks_that_zarr_fills_with_zeros_are_told(tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", planes(3), axes="cyx", labels=("DNA", "RNA", "ER"))
    (folder / "0" / "1.1.0").unlink()
    for chunk in ("2.0.0", "2.1.0"):
        (folder / "0" / chunk).unlink()
    assert open_image_sets(folder).notes == (
        "RNA: 1 of 2 chunks are not stored and count as 0, as Zarr has it; where the image is not black, the copy is "
        "incomplete",
    )


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (("DNA", "RNA"), ("DNA", "RNA")),
        (("", ""), ("C1", "C2")),
        (("Hoechst 33342", "µ-Tubulin", "488", "(?)"), ("Hoechst_33342", "Tubulin", "C488", "C4")),
        (("DNA", "dna", "DNA"), ("DNA", "C2", "C3")),
        (("C2", ""), ("C2", "C2_")),
        (("x" * 50,), ("x" * 40,)),
    ],
)
def test_channels_get_names_that_columns_can_end_with(labels: tuple[str, ...], names: tuple[str, ...]) -> None:
    assert name_channels(labels)[0] == names


def test_only_labels_that_were_changed_are_told() -> None:
    assert name_channels(("DNA", "", "488"))[1] == ("channel 3, '488', is named C488",)


def test_what_is_not_there_or_of_another_kind_is_refused(tmp_path: Path, folder: Path) -> None:
    forms = "give an .npz file, an OME-Zarr image, a TIFF or PNG file, or a folder of such files"
    assert refusal(tmp_path / "x") == f"there is no {tmp_path / 'x'}; {forms}"
    assert refusal("gs://lab/x.zarr").startswith("gs://lab/x.zarr is no path of this machine")
    (tmp_path / "notes.txt").touch()
    assert refusal(tmp_path / "notes.txt") == f"{tmp_path / 'notes.txt'} is a file, but no .npz, TIFF or PNG; {forms}"
    assert "which of the 3 files" in refusal(folder)
    assert "such as A01_w1.tif? give a glob for each channel, such as DNA=*_w1.tif" in refusal(folder)
    (tmp_path / "empty").mkdir()
    assert refusal(tmp_path / "empty", DNA="*") == f"{tmp_path / 'empty'} holds no file; {forms}"


def test_globs_are_for_folders_of_files(tmp_path: Path) -> None:
    npz, image = write_npz(tmp_path / "a.npz", DNA=DNA), write_ome_zarr(tmp_path / "a.zarr", planes(), axes="cyx")
    for images in (npz, image):
        assert refusal(images, DNA="*") == (
            f"{images} names its channels itself; globs of channels are for a folder of files"
        )


def test_names_of_channels_are_checked_all_at_once(folder: Path) -> None:
    text = refusal(folder, **{"D NA": "*_w1.tif", "1": "*_w2.tif", "x" * 41: "*"})
    assert text.count("\n  - a channel's name is a letter and then letters, digits and _ (at most 40), got ") == 3


def test_one_picture_is_one_image_set_with_one_channel(folder: Path) -> None:
    picture = folder / "A01_w1.tif"
    for found, channel in (
        (open_image_sets(picture), "C1"),
        (open_image_sets(picture, one_channel="DNA"), "DNA"),
        (open_image_sets(picture, {"ER": "*_w1.tif"}), "ER"),
    ):
        (one,) = found.sets
        assert (found.channels, one.name, one.files) == ((channel,), "A01_w1", {channel: "A01_w1.tif"})
        np.testing.assert_array_equal(one.read(channel), DNA)
    assert "DNA=*_w2.tif matches none of 1 files" in refusal(picture, DNA="*_w2.tif")
    assert "there is no" in refusal(folder / "A09_w1.tif")


def test_a_folder_of_pictures_is_an_image_set_each_where_one_channel_is_named(folder: Path) -> None:
    write_tiff(folder / "deep" / "A10.TIF", DNA)
    write_tiff(folder / ".hidden" / "A11.tif", DNA)
    (folder / "notes.txt").touch()
    found = open_image_sets(folder, one_channel="DNA")
    assert [one.name for one in found.sets] == ["A01_w1", "A01_w2", "A02_w1", "deep/A10"]
    np.testing.assert_array_equal(found.sets[3].read("DNA"), DNA)
    shutil.copy(folder / "A01_w1.tif", folder / "A01_w1.png")
    assert open_image_sets(folder, one_channel="DNA").sets[0].name == "A01_w1.png"
    assert [one.name for one in open_image_sets(folder, {"DNA": "*_w1.tif"}, one_channel="RNA").sets] == ["A01", "A02"]
    with pytest.raises(ConfigurationError, match="a channel's name is a letter"):
        open_image_sets(folder, one_channel="D-N-A")


def test_a_folder_without_a_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigurationError, match="holds no TIFF or PNG file"):
        open_image_sets(tmp_path, one_channel="DNA")


def test_intensities_are_known_and_told(tmp_path: Path) -> None:
    npz = write_npz(tmp_path / "a.npz", DNA=DNA / 65535, RNA=RNA)
    zarr = write_ome_zarr(tmp_path / "a.zarr", planes() / 65535, axes="cyx")
    for images, channels in ((npz, ["DNA"]), (zarr, ["DNA", "RNA"])):
        found = open_image_sets(images)
        assert found.rounded == set(channels)
        assert found.notes == (f"{', '.join(channels)}: floating-point intensities are rounded to 1/65535",)
        np.testing.assert_array_equal(found.sets[0].read("DNA"), DNA)
