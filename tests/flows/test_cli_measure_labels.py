"""`platestream measure --labels`, as a user runs it: CellProfiler's own values, every form of labels, wrong input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
import zarr

from kernels.feature_options import FAMILIES
from tests import golden
from tests.flows.command_line import Outcome, command_line
from tests.imaging.small_images import planes, write_npz, write_ome_zarr, write_tiff
from tests.parts import require

DNA, RNA = planes()
NUCLEI = np.zeros(DNA.shape, np.int32)
CELLS = np.zeros_like(NUCLEI)
for number, corner in ((1, 10), (4, 40)):
    NUCLEI[corner : corner + 4, corner : corner + 6] = number
    CELLS[corner - 3 : corner + 7, corner - 3 : corner + 9] = number
SHAPES = ("--families", "AreaShape")
TOLERANCES = {"Granularity": 1e-3, "Correlation": 1e-3, "RadialDistribution": 2e-4}
"""Relative tolerances of families; of the others 1e-6."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    return command_line(monkeypatch, capfd, tmp_path)


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    return write_npz(tmp_path / "site.npz", DNA=DNA, RNA=RNA)


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return write_npz(tmp_path / "labels.npz", Nuclei=NUCLEI, Cells=CELLS)


def table(path: Path) -> dict[str, list[Any]]:
    return pyarrow.parquet.read_table(path).to_pydict()


def refused(outcome: Outcome) -> str:
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    return outcome.err.removeprefix("error: ").rstrip()


def test_a_real_site_has_the_values_that_cellprofiler_gives(run, tmp_path: Path) -> None:
    folder = Path(require("shared")) / "golden" / "sparse_site"
    chosen = [part for name in golden.SETS for part in ("--objects", name)]
    outcome = run("measure", folder / "images_uint16.npz", "--labels", folder / "labels_uint16.npz", *chosen)
    assert outcome == (
        0,
        "wrote features.Nuclei.parquet, features.Cells.parquet, features.Cytoplasm.parquet, features.Image.parquet: 1 "
        "image set, 6 channels (DNA, ER, RNA, AGP, Mito, Brightfield); 35 Nuclei, 35 Cells, 35 Cytoplasm\n",
        "",
    )
    for name in golden.SETS:
        measured, known = table(tmp_path / f"features.{name}.parquet"), golden.read_values(name)
        assert measured["ObjectNumber"] == list(range(1, 36))
        shared = [column for column in measured if column in known and column.partition("_")[0] in FAMILIES]
        assert shared
        off = [column for column in shared if not is_close(measured[column], known[column], column)]
        assert len(off) <= 0.01 * len(shared), off
    (counts,) = pyarrow.parquet.read_table(tmp_path / "features.Image.parquet").to_pylist()
    image_values = golden.read_image_values()
    for column in ("Count_Nuclei", "Count_Cells", "Count_Cytoplasm"):
        assert counts[column] == image_values[column]


def is_close(values: list[float | None], known: np.ndarray, column: str) -> bool:
    numbers = np.array([np.nan if value is None else value for value in values])
    tolerance = TOLERANCES.get(column.partition("_")[0], 1e-6)
    return np.allclose(numbers, known, rtol=tolerance, atol=1e-9, equal_nan=True)


def test_the_same_labels_have_the_same_values_in_every_form(run, tmp_path: Path, npz: Path, labels: Path) -> None:
    for name, image in (("Nuclei", NUCLEI), ("Cells", CELLS)):
        write_tiff(tmp_path / "files" / f"site_{name}.tif", image.astype(np.uint8))
        write_tiff(tmp_path / "named" / f"{name.lower()}.tif", image)
        write_tiff(tmp_path / f"masks.{name}.tif", image.astype(np.uint32))
    group = zarr.open_group(tmp_path / "l.zarr", mode="w")
    group.create_array("Nuclei", data=NUCLEI.astype(np.uint16))
    group.create_array("Cells", data=CELLS)
    forms = {
        "npz": [labels],
        "tiffs": [tmp_path / "masks.tif"],
        "folder": [tmp_path / "files"],
        "globs": [tmp_path / "named", "--objects", "Nuclei=nuclei.tif", "--objects", "Cells=cells.tif"],
        "zarr": [tmp_path / "l.zarr"],
    }
    found = {}
    for form, arguments in forms.items():
        assert run("measure", npz, "--labels", *arguments, *SHAPES).status == 0, form
        found[form] = [table(tmp_path / f"features.{name}.parquet") for name in ("Nuclei", "Cells")]
    assert all(tables == found["npz"] for tables in found.values())
    assert found["npz"][0]["ObjectNumber"] == [1, 4]


def test_labels_of_an_ome_zarr_stand_beside_its_image(run, tmp_path: Path) -> None:
    folder = write_ome_zarr(tmp_path / "a.zarr", planes(), axes="cyx")
    write_ome_zarr(folder / "labels" / "Nuclei", NUCLEI, axes="yx", labels=())
    zarr.open_group(folder / "labels", mode="a", zarr_format=2).attrs["labels"] = ["Nuclei"]
    assert run("measure", folder, "--labels", folder, *SHAPES).status == 0
    assert table(tmp_path / "features.Nuclei.parquet")["AreaShape_Area"] == [24, 24]


def test_a_folder_pairs_labels_with_images(run, tmp_path: Path) -> None:
    for well in ("A01", "A02", "A03"):
        write_tiff(tmp_path / "plate" / f"{well}_w1.tif", DNA)
    for well in ("A01", "A02"):
        write_tiff(tmp_path / "plate" / f"{well}_nuclei.tif", NUCLEI.astype(np.uint16))
    options = ("--channel", "DNA=*_w1.tif", "--labels", "plate", "--objects", "Nuclei=*_nuclei.tif")
    outcome = run("measure", "plate", *options, *SHAPES, "-o", "plate.csv")
    assert outcome.status == 0
    assert outcome.out.endswith("3 image sets, 1 channel (DNA); 4 Nuclei\n")
    assert outcome.err == "note: 1 of 3 image sets lacks labels, first A03: no Nuclei\n"
    read = pyarrow.csv.read_csv(tmp_path / "plate.Nuclei.csv")
    assert read["Metadata_ImageSet"].to_pylist() == ["A01", "A01", "A02", "A02"]
    assert pyarrow.csv.read_csv(tmp_path / "plate.Image.csv")["Count_Nuclei"].to_pylist() == [2, 2, None]


def test_a_cytoplasm_that_is_not_given_is_not_made_up(run, npz: Path, labels: Path, tmp_path: Path) -> None:
    outcome = run("measure", npz, "--labels", labels, *SHAPES)
    assert outcome.err == "note: there are no labels of Cytoplasm, so it is not measured\n"
    assert not (tmp_path / "features.Cytoplasm.parquet").exists()
    outcome = run("measure", npz, "--labels", labels, "--objects", "Nuclei", *SHAPES)
    assert outcome.err == "note: features.Cells.parquet: not of this run\n"


def test_one_label_picture_is_measured_with_one_picture(run, tmp_path: Path) -> None:
    write_tiff(tmp_path / "dna.tif", DNA)
    write_tiff(tmp_path / "mask.tif", NUCLEI)
    assert run("measure", "dna.tif", "--labels", "mask.tif", *SHAPES).out.endswith("1 channel (C1); 2 Nuclei\n")


def test_one_bad_label_file_costs_its_image_set_only(run, tmp_path: Path) -> None:
    for well, image in (("A01", NUCLEI - 9), ("A02", NUCLEI)):
        write_tiff(tmp_path / "plate" / f"{well}_w1.tif", DNA)
        write_tiff(tmp_path / "plate" / f"{well}_Nuclei.tif", image)
    outcome = run("measure", "plate", "--channel", "DNA=*_w1.tif", "--labels", "plate", *SHAPES)
    assert outcome.status == 1
    assert outcome.err == (
        "error: 1 of 4 images and label images could not be measured and is NULL in features.Image.parquet, first "
        "Nuclei of A01: label -9 is the least, and the first negative one stands at row 0, column 0 (from 0); 0 is "
        "background and objects count from 1 (file A01_Nuclei.tif)\n"
    )
    assert table(tmp_path / "features.Nuclei.parquet")["Metadata_ImageSet"] == ["A02", "A02"]


def test_every_wrong_label_is_a_sentence_and_leaves_no_file(run, tmp_path: Path, npz: Path, labels: Path) -> None:
    wrong = {
        "shape": (NUCLEI[:50], "Nuclei of site: its labels are 50 x 96 pixels (rows x columns), the images 72 x 96"),
        "float": (
            NUCLEI / 1.0,
            "Nuclei: its labels are floating-point numbers (float64); convert them to whole numbers",
        ),
        "nan": (np.where(NUCLEI > 0, np.nan, 0), "Nuclei: its labels are floating-point numbers (float64)"),
        "negative": (NUCLEI - 1, "Nuclei: label -1 is the least"),
        "great": (NUCLEI.astype(np.int64) << 32, "Nuclei: its greatest label is 17,179,869,184; labels are at most"),
        "mask": (NUCLEI > 0, "Nuclei: its values are true and false (bool); number the objects of the mask"),
    }
    files = {name: write_npz(tmp_path / f"{name}.npz", Nuclei=image) for name, (image, _) in wrong.items()}
    write_npz(tmp_path / "unnamed.npz", **{"1": NUCLEI})
    before = sorted(path.name for path in tmp_path.iterdir())
    for name, (_, words) in wrong.items():
        assert words in refused(run("measure", npz, "--labels", files[name], *SHAPES))
    assert "an object set's name is a letter" in refused(run("measure", npz, "--labels", "unnamed.npz"))
    assert refused(run("measure", npz, "--labels", "nowhere")).startswith("there is no nowhere; give an .npz file")
    assert "none of the arrays asked for; it has Nuclei, Cells" in refused(
        run("measure", npz, "--labels", labels, "--objects", "Spots")
    )
    assert "must end in .parquet or .csv" in refused(run("measure", npz, "--labels", labels, "--out", "f.txt"))
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_no_objects_are_no_error(run, tmp_path: Path, npz: Path) -> None:
    write_npz(tmp_path / "empty.npz", Nuclei=np.zeros_like(NUCLEI))
    assert run("measure", npz, "--labels", "empty.npz", *SHAPES).out.endswith("; 0 Nuclei\n")
    assert table(tmp_path / "features.Nuclei.parquet")["AreaShape_Area"] == []


def test_options_choose_what_is_measured(run, tmp_path: Path, npz: Path, labels: Path) -> None:
    assert run("measure", npz, "--labels", labels, "--families", "areashape").status == 0
    columns = pyarrow.parquet.read_schema(tmp_path / "features.Nuclei.parquet").names
    assert {name.partition("_")[0] for name in columns[3:]} == {"AreaShape", "Location"}


def test_options_that_cannot_be_understood_are_named_at_once(run, npz: Path, labels: Path) -> None:
    options = {
        "--families": "Shape",
        "--with": "costes,all",
        "--texture-scales": "3,x",
        "--texture-scaling": "log",
        "--ties": "last",
    }
    text = refused(run("measure", npz, "--labels", labels, *[part for pair in options.items() for part in pair]))
    assert text.splitlines() == [
        "what to measure cannot be understood",
        "  - --families knows AreaShape, Intensity, Texture, Granularity, RadialDistribution, Correlation, Neighbors; "
        "got 'Shape'",
        "  - --with knows costes, slope, moments, zernikes; got 'all'",
        "  - --texture-scaling knows full, percentile; got 'log'",
        "  - --ties knows cellprofiler, first; got 'last'",
        "  - --texture-scales takes whole numbers from 1 to 100 with commas, got '3,x'",
    ]
    text = refused(run("measure", npz, "--labels", labels, "--objects", "=a.tif", "--objects", "Cells="))
    assert "--objects '=a.tif' must be NAME or NAME=GLOB, such as 'Nuclei=*_nuclei.tif'" in text
    assert "--objects 'Cells=' must be NAME or NAME=GLOB" in text


@pytest.mark.parametrize("option", [("--objects", "Nuclei"), ("--with", "costes"), ("--families", "Texture")])
def test_options_of_objects_need_labels(run, npz: Path, option: tuple[str, str]) -> None:
    assert refused(run("measure", npz, *option)) == (
        "options of objects and their features need --labels; give it, or leave them out"
    )
