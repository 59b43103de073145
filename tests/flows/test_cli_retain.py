"""`platestream clean`: says what would go, and deletes no more than that."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from imaging.job import PlateJob, open_job
from imaging.store import FolderStore
from imaging.sweep import GRACE_S
from tests.flows.command_line import command_line
from tests.following import follow
from tests.imaging.small_plate import EXPERIMENT, draw_cells, draw_plate, object_states


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    monkeypatch.setenv("PLATESTREAM_SETTLE_S", "0")
    return command_line(monkeypatch, capfd, tmp_path)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with a plate that was published twice, days ago, and one that nobody processed."""
    store = FolderStore(tmp_path / "lab")
    store.write("experiments/screen/experiment.yaml", EXPERIMENT.replace("plate_maps", "# plate_maps").encode())
    for name, data in draw_plate().items():
        store.write(f"raw/screen/P1/{name}", data)
    store.write("raw/screen/P2/A01_w1.tif", draw_cells(1))
    job = open_job(store, "screen", "P1", settle_s=0.0)
    follow(job)
    store.write("raw/screen/P1/A01_w1.tif", draw_cells(99))
    follow(job)
    now = time.time() + 3 * GRACE_S
    monkeypatch.setattr("imaging.grace.read_clocks", lambda: (now, 0.0))
    monkeypatch.setattr("imaging.grace.read_store_clock", lambda store, key: now)
    return tmp_path / "lab"


def test_a_dry_run_says_what_would_go_and_deletes_nothing(run, lab: Path) -> None:
    job = open_job(FolderStore(lab), "screen", "P1")
    before = object_states(job)
    (plate,) = json.loads(run("clean", "--store", lab, "--keep-publications", 1, "--dry-run", "--json").out)
    assert (plate["experiment"], plate["plate"], plate["publications"]) == ("screen", "P1", [1])
    said = run("clean", "screen", "P1", "--store", lab, "--keep-publications", 1, "--dry-run").out
    gone = {*plate["records"], *plate["data"]}
    assert f"{len(plate['records'])} records and {len(plate['data'])} data objects would be deleted" in said
    assert object_states(job) == before
    assert "were deleted" in run("clean", "--store", lab, "--keep-publications", 1).out
    assert before.keys() - object_states(job).keys() == gone
    assert (
        "in all 0 records and 0 data objects were deleted" in run("clean", "--store", lab, "--keep-publications", 1).out
    )


def test_without_a_policy_nothing_goes_and_the_setting_is_one(run, lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "0 records and 0 data objects would be deleted" in run("clean", "--store", lab, "--dry-run").out
    monkeypatch.setenv("PLATESTREAM_KEEP_PUBLICATIONS", "1")
    assert json.loads(run("clean", "--store", lab, "--dry-run", "--json").out)[0]["publications"] == [1]


def test_a_plate_that_is_not_there_is_said(run, lab: Path) -> None:
    outcome = run("clean", "screen", "P7", "--store", lab)
    assert outcome.status == 2
    assert "there is no such plate" in outcome.err


def test_a_plate_and_an_experiment_at_fault_stop_no_other_and_are_said(run, lab: Path) -> None:
    store = FolderStore(lab)
    store.write("raw/another/P1/A01_w1.tif", draw_cells(1))
    store.write("raw/screen/P0/A01_w1.tif", draw_cells(1))
    store.write(f"{open_job(store, 'screen', 'P0').prefix}pins.json", b"")
    outcome = run("clean", "--store", lab, "--keep-publications", 1)
    assert outcome.status == 1
    assert "error: another: the experiment is not declared" in outcome.err
    assert "error: screen/P0: the record is damaged" in outcome.err
    assert outcome.out.startswith("screen/P1 (v1-")
    assert "): publications 1: " in outcome.out
    assert run("clean", "--store", lab, "--keep-publications", 1, "--json").out == "[]\n"


def test_a_record_that_another_cleaner_deleted_meanwhile_is_said(
    run, lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imaging import retention

    def find_unreferenced(job: PlateJob, **_: object) -> list[str]:
        record = next(item.key for item in job.store.list(f"{job.prefix}publications/").objects)
        job.store.delete(record)
        job.store.read(record)
        return []

    monkeypatch.setattr(retention, "find_unreferenced", find_unreferenced)
    outcome = run("clean", "--store", lab, "--dry-run")
    assert outcome.status == 1
    assert "error: screen/P1: " in outcome.err
    assert "was deleted meanwhile, as by another cleaner; begin again" in outcome.err
    assert "Traceback" not in outcome.err
