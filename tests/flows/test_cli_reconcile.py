"""`platestream reconcile`: plates of the store, published or not, as a table and as JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imaging.store import FolderStore
from tests.flows.command_line import command_line
from tests.imaging.small_plate import EXPERIMENT, draw_plate


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("PLATESTREAM_SETTLE_S", "0")
    return command_line(monkeypatch, capfd, tmp_path)


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A store with a plate that nobody processed yet, and of which an image is not there."""
    store = FolderStore(tmp_path / "lab")
    store.write("experiments/screen/experiment.yaml", EXPERIMENT.replace("plate_maps", "# plate_maps").encode())
    for name, data in draw_plate().items():
        if name != "A02_w2.tif":
            store.write(f"raw/screen/P1/{name}", data)
    store.write("raw/screen/P1/odd name.txt", b"")
    return tmp_path / "lab"


def test_a_plate_that_is_not_published_is_reconciled_from_files_and_records(run, lab: Path) -> None:
    out = run("reconcile", "--store", lab, "--sites").out
    assert out.splitlines()[1].split()[:6] == ["screen", "P1", "8", "7", "0", "0"]
    assert "unknown odd name.txt: the name does not fit files.pattern of experiment.yaml" in out
    assert "3 x still to be processed" in out
    assert "1 x is waited for" in out
    (waiting,) = [line for line in out.splitlines() if "GFP is waited for" in line]
    assert waiting.split()[:7] == ["A02", "1", "1", "2", "1", "0", "0"]
    assert "no warehouse" in out


def test_a_plate_is_reconciled_under_the_recipe_that_was_promoted(run, lab: Path) -> None:
    declared = json.loads(run("reconcile", "screen", "--store", lab, "--json").out)[0]["recipe"]
    FolderStore(lab).write("experiments/screen/recipes/v2.yaml", b"nuclei: {diameter_px: [5, 50]}\n")
    run("promote", "screen", "v2", "--store", lab)
    (plate,) = json.loads(run("reconcile", "screen", "--store", lab, "--json").out)
    assert declared.startswith("v1-")
    assert plate["recipe"].startswith("v2-")


def test_json_holds_all_sites(run, lab: Path) -> None:
    (plate,) = json.loads(run("reconcile", "screen", "P1", "--store", lab, "--json").out)
    assert (plate["expected"], plate["arrived"], plate["processed"], plate["loaded"]) == (8, 7, 0, 0)
    assert [site["well"] for site in plate["sites"]] == ["A01", "A02", "B01", "B02"]
    assert plate["sites"][1]["reasons"] == ["GFP is waited for"]


def test_a_plate_that_is_not_there_is_bad_input(run, lab: Path) -> None:
    outcome = run("reconcile", "screen", "P9", "--store", lab)
    assert outcome.status == 2
    assert "there is no such plate; `platestream status` shows which there are" in outcome.err


def test_a_store_without_plates_says_where_images_belong(run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "images belong into raw/EXPERIMENT/PLATE/" in run("reconcile", "--store", tmp_path / "empty").out
