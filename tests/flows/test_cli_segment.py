"""`platestream segment`, as a user runs it: any images, labels that `measure` takes, every wrong input a sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import tifffile

from tests.flows.command_line import Outcome, command_line
from tests.imaging.small_images import write_npz, write_ome_zarr, write_tiff
from tests.imaging.test_segment_images import DNA, RNA, spots
from tests.parts import require

SHAPES = ("--families", "AreaShape")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    return command_line(monkeypatch, capfd, tmp_path)


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    return write_npz(tmp_path / "site.npz", DNA=DNA, RNA=RNA)


def refused(outcome: Outcome) -> str:
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    return outcome.err.removeprefix("error: ").rstrip()


def numbers(folder: Path, objects: str = "Nuclei") -> list[int]:
    return pyarrow.parquet.read_table(folder / f"features.{objects}.parquet")["ObjectNumber"].to_pylist()


@pytest.mark.parametrize("out", ["labels.npz", "labels.tif", "labels"])
def test_what_segment_writes_measure_takes(run, npz: Path, out: str, tmp_path: Path) -> None:
    outcome = run("segment", npz, "--nucleus", "DNA", "--cell", "RNA", "--out", out)
    tiffs = "labels.Nuclei.tif, labels.Cells.tif, labels.Cytoplasm.tif"
    assert outcome == (
        0,
        f"site: 3 cells\nwrote {tiffs if out == 'labels.tif' else out}: 1 image set; 3 Nuclei, 3 Cells, 3 Cytoplasm\n",
        "",
    )
    assert run("measure", npz, "--labels", out, *SHAPES).out.endswith("; 3 Nuclei, 3 Cells, 3 Cytoplasm\n")
    assert numbers(tmp_path, "Cytoplasm") == [1, 2, 3]


def test_nuclei_and_cells_are_not_looked_for_in_one_channel(run, npz: Path) -> None:
    message = refused(run("segment", npz, "--nucleus", "DNA", "--cell", "DNA"))
    assert "--cell must be another channel than that of the nuclei, got DNA" in message


@pytest.mark.parametrize("out", ["labels.npz", "labels"])
def test_image_sets_of_a_folder_are_told_one_by_one(run, out: str, tmp_path: Path) -> None:
    for well, plane in (("A01", DNA), ("A02", spots((40, 40)))):
        write_tiff(tmp_path / "plate" / f"{well}_w1.tif", plane)
    channel = ("--channel", "DNA=*_w1.tif")
    outcome = run("segment", "plate", *channel, "--out", out)
    assert outcome.out == f"A01: 3 cells\nA02: 1 cell\nwrote {out}: 2 image sets; 4 Nuclei, 4 Cells, 4 Cytoplasm\n"
    assert run("measure", "plate", *channel, "--labels", out, *SHAPES).status == 0
    assert numbers(tmp_path) == [1, 2, 3, 1]


@pytest.mark.parametrize("nucleus", [(), ("--nucleus", "DNA")])
def test_pictures_need_no_channel(run, nucleus: tuple[str, ...], tmp_path: Path) -> None:
    for name, plane in (("a.tif", DNA), ("b.tif", (spots((40, 40)) // 32).astype(np.uint8))):
        write_tiff(tmp_path / "pictures" / name, plane)
    assert run("segment", "pictures/a.tif", *nucleus).out.startswith("a: 3 cells\nwrote labels.npz: 1 image set;")
    assert list(np.load(tmp_path / "labels.npz")) == ["Nuclei", "Cells", "Cytoplasm"]
    assert run("segment", "pictures", *nucleus).out.startswith("a: 3 cells\nb: 1 cell\nwrote")
    assert run("measure", "pictures", "--channel", "DNA=*.tif", "--labels", "labels.npz", *SHAPES).status == 0
    assert numbers(tmp_path) == [1, 2, 3, 1]


def test_an_ome_zarr_is_segmented(run, tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", np.stack([DNA, RNA]), axes="cyx")
    assert run("segment", folder, "--nucleus", "DNA").out.startswith("a: 3 cells\n")


def test_a_tif_holds_each_object_set_in_a_file_of_its_own(run, npz: Path, tmp_path: Path) -> None:
    run("segment", npz, "--nucleus", "DNA", "-o", "l.tif")
    assert tifffile.imread(tmp_path / "l.Cells.tif").dtype == np.uint16
    assert sorted(path.name for path in tmp_path.glob("l.*")) == ["l.Cells.tif", "l.Cytoplasm.tif", "l.Nuclei.tif"]


def test_diameters_are_pixels_or_micrometres(run, npz: Path) -> None:
    assert run("segment", npz, "--nucleus", "DNA", "--diameter", "30,60").out.startswith("site: 0 cells\n")
    um = ("--diameter", "5,20", "--pixel-size", "0.5")
    assert run("segment", npz, "--nucleus", "DNA", *um).out.startswith("site: 3 cells\n")
    far = ("--diameter", "5,20", "--pixel-size", "0.1")
    assert run("segment", npz, "--nucleus", "DNA", *far).out.startswith("site: 0 cells\n")


def test_nuclei_on_the_border_can_be_dropped(run, tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", spots((25, 25), (93, 60)))
    diameter = ("--diameter", "8,40")
    assert run("segment", "a.tif", *diameter).out.startswith("a: 2 cells\n")
    assert run("segment", "a.tif", *diameter, "--border", "drop").out.startswith("a: 1 cell\n")


def test_the_flood_can_be_chosen(run, npz: Path) -> None:
    for flood in ("cellprofiler", "fixpoint"):
        assert run("segment", npz, "--nucleus", "DNA", "--cell", "RNA", "--flood", flood).out.startswith(
            "site: 3 cells"
        )


def test_a_cut_file_costs_its_own_image_set(run, tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        write_tiff(tmp_path / "pictures" / name, DNA)
    file = tmp_path / "pictures" / "a.tif"
    file.write_bytes(file.read_bytes()[:-5_000])
    outcome = run("segment", "pictures")
    assert outcome.status == 1
    assert outcome.out.startswith("b: 3 cells\nwrote labels.npz: 1 image set;")
    assert outcome.err.startswith(
        "error: 1 of 2 image sets could not be segmented and has no labels in labels.npz, first"
    )
    assert outcome.err.endswith("(file a.tif)\n")


def test_every_wrong_input_is_a_sentence_and_leaves_no_file(run, npz: Path, tmp_path: Path) -> None:
    write_tiff(tmp_path / "plate" / "a.tif", DNA)
    write_tiff(tmp_path / "plate" / "b.tif", DNA)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert refused(run("segment", "nowhere")).startswith("there is no nowhere; give an .npz file")
    assert "give --nucleus with one of DNA, RNA" in refused(run("segment", npz))
    assert refused(run("segment", npz, "--nucleus", "ER")) == "there is no channel ER; there is DNA, RNA"
    assert refused(run("segment", "plate", "--cell", "RNA")) == "there is no channel RNA; there is DNA"
    dna = ("--nucleus", "DNA")
    assert "must be two numbers MIN,MAX" in refused(run("segment", npz, *dna, "--diameter", "15"))
    assert "with 0 < MIN < MAX, got '90,15'" in refused(run("segment", npz, *dna, "--diameter", "90,15"))
    assert "--pixel-size needs --diameter" in refused(run("segment", npz, *dna, "--pixel-size", "0.5"))
    assert refused(run("segment", npz, *dna, "--border", "cut", "--flood", "fast")).splitlines()[1:] == [
        "  - --border knows keep and drop, got 'cut'",
        "  - --flood knows cellprofiler and fixpoint, got 'fast'",
    ]
    assert "must end in .npz or .tif" in refused(run("segment", npz, *dna, "-o", "l.txt"))
    assert "l.tif can hold one image set, and there are 2; write l.npz" in refused(
        run("segment", "plate", "-o", "l.tif")
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_real_site_is_segmented_and_measured(run, tmp_path: Path) -> None:
    images = Path(require("shared")) / "golden" / "sparse_site" / "images_uint16.npz"
    options = ("--nucleus", "DNA", "--cell", "RNA", "--diameter", "15,90", "--border", "drop")
    assert run("segment", images, *options).status == 0
    labels = np.load(tmp_path / "labels.npz")
    assert 34 <= labels["Nuclei"].max() <= 38  # CellProfiler finds 35
    assert run("measure", images, "--labels", "labels.npz", *SHAPES).status == 0
    assert numbers(tmp_path) == list(range(1, int(labels["Nuclei"].max()) + 1))
