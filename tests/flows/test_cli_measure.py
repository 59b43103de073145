"""`platestream measure`, as a user runs it: CellProfiler's own values, real plates, every wrong input a sentence."""

from __future__ import annotations

import csv
import gzip
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from imaging.store import FolderStore
from tests.flows.command_line import Outcome, command_line
from tests.imaging import small_zarr
from tests.imaging.small_images import planes, write_npz, write_ome_zarr, write_tiff
from tests.parts import ROOT, find_part, require

BBBC013 = ROOT / "tests" / "data" / "bbbc013" / "images"
GLOBS = ("--channel", "DNA=Channel2-*.tif", "--channel", "GFP=Channel1-*.tif")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    return command_line(monkeypatch, capfd, tmp_path)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Four wells of a real plate."""
    folder = tmp_path / "images"
    folder.mkdir()
    for file in sorted(BBBC013.glob("*-A-0[1-4].tif")):
        shutil.copy(file, folder)
    return folder


def rows(path: Path) -> list[dict[str, Any]]:
    return pyarrow.parquet.read_table(path).to_pylist()


def refused(outcome: Outcome) -> str:
    """What a refusal says, with the files it must not have left checked."""
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    return outcome.err.removeprefix("error: ").rstrip()


def test_a_real_site_has_the_values_that_cellprofiler_gives(run, tmp_path: Path) -> None:
    folder = Path(require("shared")) / "golden" / "sparse_site"
    outcome = run("measure", folder / "images_uint16.npz")
    channels = ["DNA", "ER", "RNA", "AGP", "Mito", "Brightfield"]
    assert outcome == (0, f"wrote metrics.parquet: 1 image set, 6 channels ({', '.join(channels)})\n", "")
    (row,) = rows(tmp_path / "metrics.parquet")
    with gzip.open(folder / "cellprofiler_4.2.8.1_Image.csv.gz", "rt") as file:
        known = {item["feature"]: item["value"] for item in csv.DictReader(file)}
    measured = [name for name in known if name.startswith("ImageQuality_")]
    assert len(measured) == 107
    for name in measured:
        assert row[name.replace("_Orig", "_")] == pytest.approx(float(known[name]), rel=1e-4), name
    assert (row["Height_DNA"], row["Width_DNA"], row["Metadata_ImageSet"]) == (1080, 1080, "images_uint16")


def test_a_real_plate_is_one_row_per_well(run, tmp_path: Path) -> None:
    outcome = run("measure", BBBC013, *GLOBS, "--out", "plate.parquet")
    assert outcome == (0, "wrote plate.parquet: 48 image sets, 2 channels (DNA, GFP)\n", "")
    measured = rows(tmp_path / "plate.parquet")
    assert [row["ImageNumber"] for row in measured] == list(range(1, 49))
    assert measured[13]["Metadata_ImageSet"] == "14-B-02"
    assert measured[13]["FileName_GFP"] == "Channel1-14-B-02.tif"
    assert all(row["ImageQuality_FocusScore_GFP"] > 0 for row in measured)
    assert all(len(row["not_measured"]) == list(row.values()).count(None) for row in measured)


def test_the_same_image_has_the_same_values_in_every_form(run, tmp_path: Path, folder_store: FolderStore) -> None:
    dna, rna = pixels = small_zarr.planes(2)
    small_zarr.write_plate(folder_store)
    write_tiff(tmp_path / "images" / "B03_w1.tif", dna)
    write_tiff(tmp_path / "images" / "B03_w2.tif", rna)
    forms = {
        "npz": [write_npz(tmp_path / "B03.npz", DNA=dna, RNA=rna)],
        "zarr 0.4": [write_ome_zarr(tmp_path / "04.zarr", pixels[None, :, None])],
        "zarr 0.5": [write_ome_zarr(tmp_path / "05.zarr", pixels, version="0.5", axes="cyx")],
        "ours": [folder_store.local_path(f"{small_zarr.PLATE}/{small_zarr.group_of('B03', 1)}")],
        "tiff": [tmp_path / "images", "--channel", "DNA=*_w1.tif", "--channel", "RNA=*_w2.tif"],
    }
    found = {}
    for form, arguments in forms.items():
        assert run("measure", *arguments).status == 0
        (row,) = rows(tmp_path / "metrics.parquet")
        found[form] = {name: value for name, value in row.items() if name.startswith(("Image", "Height", "Width"))}
    assert len({str(values) for values in found.values()}) == 1
    assert found["npz"]["Height_DNA"] == small_zarr.HEIGHT


def test_one_cut_file_costs_its_own_columns_only(run, tmp_path: Path, copied: Path) -> None:
    file = copied / "Channel1-02-A-02.tif"
    file.write_bytes(file.read_bytes()[:-50_000])
    outcome = run("measure", copied, *GLOBS)
    assert outcome.status == 1
    assert outcome.out == "wrote metrics.parquet: 4 image sets, 2 channels (DNA, GFP)\n"
    first = "first GFP of 02-A-02: the file ends after"
    assert outcome.err.startswith(f"error: 1 of 8 images could not be measured and is NULL in metrics.parquet, {first}")
    assert outcome.err.endswith(" (file Channel1-02-A-02.tif)\n")
    measured = rows(tmp_path / "metrics.parquet")
    assert [len(row["not_measured"]) for row in measured] == [0, 1, 0, 0]
    assert measured[1]["not_measured"][0].startswith("GFP: the file ends after ")
    assert measured[1]["ImageQuality_FocusScore_GFP"] is None
    assert measured[1]["ImageQuality_FocusScore_DNA"] is not None


def test_missing_files_are_one_line_and_no_failure(run, tmp_path: Path, copied: Path) -> None:
    (copied / "Channel1-02-A-02.tif").unlink()
    outcome = run("measure", copied, *GLOBS)
    assert outcome.status == 0
    assert outcome.err == "note: 1 of 4 image sets lacks a channel, first 02-A-02: no GFP\n"
    (copied / "Channel2-03-A-03.tif").unlink()
    assert run("measure", copied, *GLOBS).err.startswith("note: 2 of 4 image sets lack a channel, first 02-A-02")
    assert rows(tmp_path / "metrics.parquet")[2]["FileName_DNA"] is None


@pytest.mark.parametrize("full_scale", [0, 65536])
def test_a_full_scale_that_no_image_has_is_refused(run, copied: Path, full_scale: int) -> None:
    assert run("measure", copied, *GLOBS, "--full-scale", full_scale).status == 2


def test_the_full_scale_is_what_pixels_are_divided_by_and_saturated_at(run, tmp_path: Path) -> None:
    npz = write_npz(tmp_path / "a.npz", DNA=np.array([[4095, 4094]], np.uint16))
    assert run("measure", npz, "--full-scale", 4095).status == 0
    (row,) = rows(tmp_path / "metrics.parquet")
    assert row["ImageQuality_PercentSaturated_DNA"] == 50
    assert row["ImageQuality_MaxIntensity_DNA"] == 1
    assert row["ImageQuality_Scaling_DNA"] == 4095


def test_intensities_from_0_to_1_are_measured_as_the_counts_they_round_to(run, tmp_path: Path) -> None:
    (counts,) = planes(1)
    npz = write_npz(tmp_path / "a.npz", DNA=(counts / 65535).astype(np.float32))
    note = "note: DNA: floating-point intensities are rounded to 1/65535\n"
    note += "note: --full-scale 4095 is not applied to DNA: floating-point intensities go from 0 to 1\n"
    assert run("measure", npz, "--full-scale", 4095, "-o", "f.parquet").err == note
    assert run("measure", write_npz(npz, DNA=counts), "-o", "u.parquet").err == ""
    assert rows(tmp_path / "f.parquet") == rows(tmp_path / "u.parquet")


def test_pixels_without_a_number_are_refused_with_their_place(run, tmp_path: Path) -> None:
    values = planes(1)[0] / 65535
    values[3, 5] = np.nan
    assert "DNA: 1 of its pixels is NaN or infinite, the first (NaN) at row 3, column 5 (from 0)" in refused(
        run("measure", write_npz(tmp_path / "a.npz", DNA=values))
    )


def test_one_picture_is_an_image_set(run, tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", planes(1)[0])
    assert run("measure", "a.tif").out == "wrote metrics.parquet: 1 image set, 1 channel (C1)\n"
    assert run("measure", "a.tif", "--channel", "DNA=*").out.endswith("1 channel (DNA)\n")


def test_csv_is_written_by_its_ending(run, tmp_path: Path, copied: Path) -> None:
    assert run("measure", copied, *GLOBS, "-o", "m.csv").status == 0
    read = list(csv.DictReader((tmp_path / "m.csv").read_text().splitlines()))
    assert [row["Metadata_ImageSet"] for row in read] == ["01-A-01", "02-A-02", "03-A-03", "04-A-04"]


def test_notes_are_told(run, tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", planes(), axes="cyx", labels=("Hoechst 33342", "RNA"))
    assert run("measure", folder).err == "note: channel 1, 'Hoechst 33342', is named Hoechst_33342\n"


def test_a_terminal_shows_how_far_it_is(run, copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert run("measure", copied, *GLOBS).err == "".join(f"\r{done} of 4 image sets" for done in range(1, 5)) + "\n"
    assert run("measure", copied, "--channel", "DNA=Channel2-01-*").err == ""


def test_every_wrong_input_is_a_sentence_and_leaves_no_file(run, tmp_path: Path, copied: Path) -> None:
    npz = write_npz(tmp_path / "bad.npz", a=planes(1)[0] / 3, b=planes(3))
    before = sorted(path.name for path in tmp_path.iterdir())
    assert refused(run("measure", "nowhere")).startswith("there is no nowhere; give an .npz file, an OME-Zarr image")
    assert refused(run("measure", "gs://lab/a.zarr")).startswith("gs://lab/a.zarr is no path of this machine")
    assert "which of the 8 files in images are which channel" in refused(run("measure", "images"))
    assert refused(run("measure", npz)).splitlines()[1:] == [
        "  - a: its values reach from 0.333333 to 66.3333; floating-point images must lie between 0 and 1: divide by "
        "the full scale of the camera, or give camera counts as uint8 or uint16",
        "  - b: its shape is (3, 72, 96); one channel is one array of shape (y, x)",
    ]
    assert refused(run("measure", "images", "--channel", "DNA=*_w1.tif")).startswith(
        "the globs of the channels do not fit the folder\n  - DNA=*_w1.tif matches none of 8 files; the closest are "
    )
    assert refused(run("measure", copied, *GLOBS, "--out", "m.txt")).startswith("m.txt must end in .parquet or .csv")
    assert refused(run("measure", "nowhere", "--out", "far/m.csv")).startswith("there is no folder far to write m.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("how", ["option", "environment"])
def test_a_device_that_is_not_there_is_a_missing_part(
    how: str, run, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_part("gpu"):
        pytest.skip("this machine has a GPU")
    if how == "environment":
        monkeypatch.setenv("PLATESTREAM_DEVICE", "cuda")
    outcome = run("measure", copied, *GLOBS, *(["--device", "cuda"] if how == "option" else []))
    assert (outcome.status, outcome.out) == (3, "")
    assert outcome.err.startswith("error: device must be cpu on this machine, got 'cuda': ")
    assert run("measure", copied, *GLOBS, "--device", "cpu").status == 0
    assert refused(run("measure", copied, *GLOBS, "--device", "tpu")).startswith("the settings cannot be used:")


def test_channels_that_cannot_be_understood_are_named_at_once(run, copied: Path) -> None:
    options = [part for text in ("DNA", "=*.tif", "GFP=", "RNA=a", "RNA=b") for part in ("--channel", text)]
    assert refused(run("measure", copied, *options)).splitlines() == [
        "the channels cannot be understood",
        "  - --channel 'DNA' must be NAME=GLOB, such as 'DNA=*_w1.tif'",
        "  - --channel '=*.tif' must be NAME=GLOB, such as 'DNA=*_w1.tif'",
        "  - --channel 'GFP=' must be NAME=GLOB, such as 'DNA=*_w1.tif'",
        "  - RNA is given 2 times",
    ]


def test_a_glob_may_hold_an_equals_sign(run, tmp_path: Path) -> None:
    write_tiff(tmp_path / "images" / "well=A01.tif", planes(1)[0])
    assert run("measure", "images", "--channel", "DNA=well=*.tif").status == 0
    assert rows(tmp_path / "metrics.parquet")[0]["Metadata_ImageSet"] == "A01"


def test_an_archive_that_was_cut_off_is_a_failure_with_its_name(run, tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", DNA=planes(1)[0])
    path.write_bytes(path.read_bytes()[:-9])
    outcome = run("measure", path)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == f"error: the file is cut off, damaged or no .npz archive (file {path})\n"
