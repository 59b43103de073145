"""`platestream init` and `check`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from imaging.experiment import read_experiment
from tests.flows.command_line import command_line
from tests.parts import ROOT

BBBC013 = ROOT / "tests" / "data" / "bbbc013"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    return command_line(monkeypatch, capfd, tmp_path)


# init


def test_init_writes_a_declaration_that_check_takes(run, tmp_path: Path) -> None:
    outcome = run("init", BBBC013 / "images")
    assert outcome.status == 0
    assert "wrote experiment.yaml: 96 images, wells A01-D12 of 96, 1 site per well" in outcome.out
    assert "no channel looks like the nuclei" in outcome.out
    assert f"`platestream check experiment.yaml --images {BBBC013 / 'images'}`" in outcome.out
    assert read_experiment((tmp_path / "experiment.yaml").read_bytes()).name == "images"
    checked = run("check", "--images", BBBC013 / "images")
    assert checked.status == 0
    assert "96 of 96 are there" in checked.out


def test_init_tells_what_it_found_as_json_and_writes_nothing(run, tmp_path: Path) -> None:
    found = json.loads(run("init", BBBC013 / "images", "--json").out)
    assert found["imaged"] == ["A01-D12"]
    assert [channel["full_scale"] for channel in found["channels"]] == [255, 255]
    assert (found["format"], found["images"], found["expected"], found["pixel_size_um"]) == ("pattern", 96, None, None)
    assert (found["plate_wells"], len(found["wells"]), found["sites"]) == (96, 48, [1])
    assert (found["z"], found["time_points"], found["manifests"]) == ([1], [1], [])
    assert found["plates"] == [{"name": "images", "images": 96, "expected": None, "wells": 48, "sites": 48}]
    assert found["unknown"] == {"count": 0, "reasons": {}, "names": []}
    assert list(tmp_path.iterdir()) == []


def test_init_says_what_is_odd_about_the_folder(run, tmp_path: Path) -> None:
    for name in ("A01_s1_DNA.tif", "A02_s1_DNA.tif", "overview.tif"):
        (tmp_path / name).touch()
    out = run("init", tmp_path, "--out", "e.yaml").out
    assert "\nnote: 1 file is no image that is known here" in out
    assert "no channel looks like the nuclei" not in out


def test_init_lists_ignored_and_unknown_names_with_reasons_and_no_more_than_a_hundred(run, tmp_path: Path) -> None:
    for name in ("r01c01f01p01-ch1sk1fk1fl1.tiff", *(f"log {number}.txt" for number in range(120)), "odd.tif"):
        (tmp_path / name).touch()
    found = json.loads(run("init", tmp_path, "--json").out)
    assert found["format"] == "harmony"
    assert found["ignored"]["count"] == 120
    assert found["ignored"]["reasons"] == {"a .txt file, no image": 120}
    assert len(found["ignored"]["names"]) == 100
    assert [item["name"] for item in found["unknown"]["names"]] == ["odd.tif"]


def test_init_and_check_agree_about_a_format_with_planes_and_time_points(run, tmp_path: Path) -> None:
    folder = tmp_path / "plate"
    for time in (1, 2):
        for step in (1, 2):
            (folder / f"TimePoint_{time}" / f"ZStep_{step}").mkdir(parents=True)
            (folder / f"TimePoint_{time}" / f"ZStep_{step}" / "x_A01_s1_w1.TIF").touch()
    out = run("init", folder).out
    assert "4 images, wells A01 of 96, 1 site per well, channels Channel1, 2 z planes, 2 time points" in out
    checked = json.loads(run("check", "--images", folder, "--json").out)
    assert checked["images"] == {"expected": 2, "arrived": 2, "unknown": []}


def test_init_overwrites_only_by_force(run, tmp_path: Path) -> None:
    (tmp_path / "experiment.yaml").write_text("mine")
    refused = run("init", BBBC013 / "images")
    assert refused.status == 2
    assert "use --force" in refused.err
    assert (tmp_path / "experiment.yaml").read_text() == "mine"
    assert run("init", BBBC013 / "images", "--force", "--name", "screen 1").status == 0
    assert read_experiment((tmp_path / "experiment.yaml").read_bytes()).name == "screen 1"


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (("nowhere",), "there is no folder nowhere"),
        ((".", "--name", "a/b"), "the experiment name 'a/b' is refused"),
        ((BBBC013 / "platemaps",), "holds no image"),
        ((BBBC013 / "images", "--out", "far/away.yaml"), "there is no folder far to write away.yaml into"),
    ],
)
def test_init_refuses_what_it_cannot_use(arguments: tuple[object, ...], part: str, run) -> None:
    outcome = run("init", *arguments)
    assert outcome.status == 2
    assert part in outcome.err


# check


def test_check_describes_the_real_experiment(run) -> None:
    out = run("check", BBBC013 / "experiment.yaml").out
    assert "bbbc013 is sound: recipe v1-" in out
    assert "GFP (code 1, cell), DNA (code 2, nucleus)" in out
    assert "48 of 96 wells imaged, 48 sites, 96 images" in out
    assert "objects     nuclei, cells\n" in out
    assert "platemaps/bbbc013.csv: 48 wells" in out


def test_an_archive_is_looked_at_as_the_folder_in_it(run, tmp_path: Path) -> None:
    archive = Path(shutil.make_archive(str(tmp_path / "plate 7"), "zip", BBBC013 / "images"))
    (tmp_path / "A01_s1_w1.TIF").write_bytes(b"x")  # beside it, and no part of it
    alone = json.loads(run("init", archive, "--json").out)
    assert alone["images"] == json.loads(run("init", BBBC013 / "images", "--json").out)["images"]
    assert alone["plates"][0]["name"] == "plate 7"
    assert run("init", archive, "--out", tmp_path / "e.yaml").status == 0
    assert read_experiment((tmp_path / "e.yaml").read_bytes()).name == "plate 7"
    counted = json.loads(run("check", tmp_path / "e.yaml", "--images", archive, "--json").out)["images"]
    assert counted["arrived"] == alone["images"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plate.tar.gz", "a compressed archive cannot be read in place; upload a .zip, or a .tar"),
        ("plate.tif", "plate.tif is a file; give the folder of one plate's images, or a .zip or .tar of it"),
        ("plate.zip", "plate.zip: "),
    ],
)
def test_a_file_that_is_no_archive_is_refused_with_what_to_do(run, tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    outcome = run("init", tmp_path / name)
    assert outcome.status == 2
    assert words in outcome.err


def test_a_folder_that_no_experiment_can_be_called_is_looked_at_all_the_same(run, tmp_path: Path) -> None:
    folder = tmp_path / "Plate #4, day 2"
    shutil.copytree(BBBC013 / "images", folder)
    assert json.loads(run("init", folder, "--json").out)["images"]
    assert "the experiment name 'Plate #4, day 2' is refused" in run("init", folder).err


def test_check_answers_in_json(run) -> None:
    answer = json.loads(run("check", BBBC013 / "experiment.yaml", "--images", BBBC013 / "images", "--json").out)
    assert answer["plate_maps"] == {
        "platemaps/bbbc013.csv": {
            "wells": 48,
            "treatments": 2,
            "controls": {"negcon": 8, "poscon": 4, "trt": 36},
            "plates": ["*"],
        }
    }
    assert answer["plate_map_warnings"] == []
    assert answer["images"] == {"expected": 96, "arrived": 96, "unknown": []}
    assert answer["objects"] == ["nuclei", "cells"]


def test_check_lists_all_faults_of_a_file(run, tmp_path: Path) -> None:
    text = (BBBC013 / "experiment.yaml").read_text()
    (tmp_path / "a.yaml").write_text(text.replace("role: cell", "role: cll").replace("wells: 96", "wells: 95"))
    outcome = run("check", "a.yaml")
    assert outcome.status == 2
    assert outcome.err.startswith("error: a.yaml has 2 faults\n  - channels[0].role: must be")
    assert "\n  - layout.wells: must be one of" in outcome.err


def test_check_lists_all_faults_of_a_plate_map(run, tmp_path: Path) -> None:
    shutil.copytree(BBBC013, tmp_path / "e", ignore=shutil.ignore_patterns("images"))
    (tmp_path / "e" / "platemaps" / "bbbc013.csv").write_text("well,control\nA01,x\nZ01,negcon\n")
    outcome = run("check", "e/experiment.yaml")
    assert outcome.status == 2
    assert "bbbc013.csv line 2: the control value 'x' is not known" in outcome.err
    assert "bbbc013.csv line 3: well Z01 lies outside" in outcome.err


def test_check_reads_the_declared_fields_of_illumination(run, tmp_path: Path) -> None:
    declared = (BBBC013 / "experiment.yaml").read_text() + "illumination: {source: file, file: fields.npz}\n"
    (tmp_path / "e.yaml").write_text(declared)
    shutil.copytree(BBBC013 / "platemaps", tmp_path / "platemaps")
    refused = run("check", "e.yaml")
    assert refused.status == 2
    assert "illumination.file: fields.npz is not there" in refused.err
    np.savez(tmp_path / "fields.npz", DNA=np.linspace(1, 1.5, 640 * 640).reshape(640, 640))
    assert "field       of illumination: file; DNA brightest 1.50 x darkest" in run("check", "e.yaml").out
    assert "field " not in run("check", BBBC013 / "experiment.yaml").out
    (tmp_path / "e.yaml").write_text(declared.replace("{source: file, file: fields.npz}", "previous"))
    assert json.loads(run("check", "e.yaml", "--json").out)["illumination"] == {"source": "previous"}


def test_check_shows_which_files_are_no_images(run, tmp_path: Path) -> None:
    shutil.copy(BBBC013 / "images" / "Channel1-01-A-01.tif", tmp_path)
    (tmp_path / "Channel9-01-A-01.tif").touch()
    out = run("check", BBBC013 / "experiment.yaml", "--images", tmp_path).out
    assert "1 of 96 are there" in out
    assert "Channel9-01-A-01.tif: channel '9' is none of" in out


def test_check_shows_ten_unknown_files_and_counts_the_others(run, tmp_path: Path) -> None:
    shutil.copy(BBBC013 / "images" / "Channel1-01-A-01.tif", tmp_path)
    for number in range(12):
        (tmp_path / f"x{number}.txt").touch()
    out = run("check", BBBC013 / "experiment.yaml", "--images", tmp_path).out
    assert out.count(".txt: ") == 10
    assert "and 2 more files" in out


def test_check_refuses_a_folder_of_images_that_is_not_there(run) -> None:
    outcome = run("check", BBBC013 / "experiment.yaml", "--images", "nowhere")
    assert outcome.status == 2
    assert "there is no folder nowhere" in outcome.err


def test_check_refuses_a_folder_without_any_image_of_the_experiment(run, tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    outcome = run("check", BBBC013 / "experiment.yaml", "--images", tmp_path)
    assert outcome.status == 2
    assert "no file in" in outcome.err
    assert "a.tif: the name does not fit" in outcome.err


def test_check_tells_what_each_map_of_a_barcode_file_says_and_what_is_suspicious(run, tmp_path: Path) -> None:
    text = (BBBC013 / "experiment.yaml").read_text()
    head, _, _ = text.partition("plate_maps:")
    folder = tmp_path / "s" / "experiments" / "bbbc013"
    folder.mkdir(parents=True)
    declared = head + "plate_maps: [{barcodes: barcodes.csv, concentration_unit: index}]\n"
    (folder / "experiment.yaml").write_text(declared)
    (folder / "barcodes.csv").write_text("Barcode,Plate map\nP1,bbbc013\nP2,bbbc013\nP3,later\n")
    shutil.copytree(BBBC013 / "platemaps", folder / "platemaps")
    for plate in ("P1", "P9"):
        (tmp_path / "s" / "raw" / "bbbc013" / plate).mkdir(parents=True)
    out = run("check", "--store", "s", "--experiment", "bbbc013").out
    assert "platemaps/bbbc013.csv: 48 wells, 2 treatments, 8 negcon, 4 poscon, 36 trt; for P1, P2\n" in out
    assert "warning     barcodes.csv line 4: the plate map 'later' is not there yet; it is looked for in" in out
    assert "warning     barcodes.csv: names no map for the plate 'P9'\n" in out


def test_check_reads_a_map_in_the_folder_of_images(run, tmp_path: Path) -> None:
    text = (BBBC013 / "experiment.yaml").read_text()
    (tmp_path / "e.yaml").write_text(text.partition("plate_maps:")[0] + "plate_maps: [{in_plate: layouts/*.csv}]\n")
    shutil.copytree(BBBC013 / "images", tmp_path / "P1")
    shutil.copytree(BBBC013 / "platemaps", tmp_path / "P1" / "layouts")
    assert "layouts/bbbc013.csv: 48 wells" in run("check", "e.yaml", "--images", tmp_path / "P1").out


def test_check_reads_an_experiment_of_the_store(run, tmp_path: Path) -> None:
    shutil.copytree(BBBC013, tmp_path / "s" / "experiments" / "bbbc013", ignore=shutil.ignore_patterns("images"))
    assert "48 wells, 2 treatments" in run("check", "--store", "s", "--experiment", "bbbc013").out
    missing = run("check", "--store", "s", "--experiment", "other")
    assert missing.status == 2
    assert "is not declared" in missing.err
    assert "give --experiment NAME" in run("check", "--store", "s").err
