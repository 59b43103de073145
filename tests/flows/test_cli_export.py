"""`platestream export`."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from imaging.store import open_store
from tests.flows.command_line import command_line
from tests.imaging import small_screen


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    return command_line(monkeypatch, capfd, tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> str:
    store = open_store(str(tmp_path / "store"))
    small_screen.publish(store)
    small_screen.publish(store, plate="P2", run="run2")
    return str(tmp_path / "store")


def test_all_published_plates_are_written_as_parquet(run, store, tmp_path: Path) -> None:
    outcome = run("export", "screen", "--out", "out/deep", "--store", store)
    assert outcome.status == 0
    assert outcome.out.splitlines()[0].startswith("profiles/P1.parquet: 6 rows, 0.0")
    assert outcome.out.splitlines()[-1].startswith("2 plates, 0.0")
    assert outcome.out.splitlines()[-1].endswith(" MB in out/deep")
    assert pq.read_table(tmp_path / "out/deep/profiles/P2.parquet").num_rows == 6


def test_named_plates_forms_and_tables_are_taken(run, store, tmp_path: Path) -> None:
    outcome = run("export", "screen", "P2", "--what", "cells", "--format", "csv.gz", "--out", "out", "--store", store)
    assert outcome.status == 0
    assert [str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")] == ["cells/P2.csv.gz"]


def test_files_that_are_there_are_replaced_only_by_force(run, store, tmp_path: Path) -> None:
    first = run("export", "screen", "P1", "--format", "csv", "--out", "out", "--store", store)
    again = run("export", "screen", "--format", "csv", "--out", "out", "--store", store)
    assert (first.status, again.status) == (0, 2)
    assert again.err == (
        "error: these files are there already: out/profiles/P1.csv; replace them by --force, or give another folder\n"
    )
    assert not (tmp_path / "out/profiles/P2.csv").exists()
    assert run("export", "screen", "--format", "csv", "--out", "out", "--force", "--store", store).status == 0
    assert (tmp_path / "out/profiles/P2.csv").exists()


def test_gallery_folders_take_the_experiments_name_unless_others_are_given(run, store, tmp_path: Path) -> None:
    gallery = ("--format", "cpg", "--out", "out", "--store", store)
    assert run("export", "screen", "P1", *gallery).status == 0
    assert (tmp_path / "out/screen/source_1/workspace/profiles/screen/P1/P1.csv.gz").is_file()
    named = run("export", "screen", "P1", *gallery, "--project", "cpg1", "--source", "lab", "--batch", "2026_02_03_b")
    assert named.status == 0
    assert (tmp_path / "out/cpg1/lab/workspace/profiles/2026_02_03_b/P1/P1.csv.gz").is_file()


def test_images_that_cannot_be_copied_and_sites_left_out_are_said(run, tmp_path: Path) -> None:
    manifests = (small_screen.manifest("A01", 1, missing=["RNA"]), *small_screen.manifests()[1:])
    small_screen.publish(open_store(str(tmp_path / "store")), manifests=manifests)
    gallery = ("--format", "cpg", "--out", "out", "--store", tmp_path / "store")
    said = run("export", "screen", *gallery)
    assert said.status == 0
    assert said.err.startswith("P1: 1 site is not in load_data.csv")
    refused = run("export", "screen", *gallery, "--force", "--copy-images")
    assert refused.status == 1
    assert "an image that was measured is gone" in refused.err


def test_faults_are_one_sentence(run, store, tmp_path: Path) -> None:
    for arguments, status, words in (
        (("other",), 2, "nothing is published (experiment other)"),
        (("screen", "P3", "P2"), 2, "P3: the experiment has no such plate; `platestream status` shows the plates"),
        (("screen", "--recipe", "v2"), 2, "P1: the plate is not published under the recipe v2"),
        (("screen", "--copy-images"), 2, "--copy-images belong to --format cpg"),
        (("screen", "--format", "xlsx", "--what", "cells"), 2, "the format xlsx holds profiles"),
    ):
        outcome = run("export", *arguments, "--out", "out", "--store", store)
        assert (outcome.status, words in outcome.err) == (status, True), outcome
    assert not (tmp_path / "out").exists()
    assert run("export", "screen", "--out", "out", "--store", "typo").status == 2


def test_what_was_chosen_for_a_plate_without_the_declared_recipe_is_said(run, store) -> None:
    open_store(store).write("experiments/screen/experiment.yaml", small_screen.YAML)
    outcome = run("export", "screen", "P1", "--out", "out", "--store", store)
    assert outcome.status == 0
    assert outcome.err.startswith("P1: not published under the recipe v1-")
