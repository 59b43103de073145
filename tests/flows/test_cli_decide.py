"""`platestream choose`."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging.acquisitions import decide_acquisition
from imaging.experiment import read_experiment
from imaging.query import run_query
from imaging.store import FolderStore
from tests.flows.command_line import command_line
from tests.imaging import small_screen

YAML = small_screen.YAML + b"barcode: '^(?P<barcode>[^_]+)'\ncurrent_acquisition: by-hand\n"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    return command_line(monkeypatch, capfd, tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path)
    store.write("experiments/screen/experiment.yaml", YAML)
    for number, plate in enumerate(("P1_a", "P1_b", "P2"), start=1):
        small_screen.record(store, 1, plate=plate, run=plate, barcode=plate[:2], first_image_at=float(number))
        decide_acquisition(store, read_experiment(YAML), plate)
    return store


def current(store: FolderStore) -> list[str]:
    rows = run_query(store, "SELECT plate FROM acquisitions WHERE is_current ORDER BY plate").to_pylist()
    return [row["plate"] for row in rows]


def test_a_person_chooses_an_acquisition_and_gives_it_back(run, root: FolderStore) -> None:
    assert current(root) == ["P1_a", "P2"]
    out = run("choose", "screen", "P1_b", "--because", "P1_a dried out", "--by", "Ada", "--store", root.root).out
    assert out.splitlines() == [
        "P1 is shown as P1_b, decided by Ada: P1_a dried out",
        "no longer shown, but kept: P1_a",
    ]
    assert current(root) == ["P1_b", "P2"]
    out = run("choose", "screen", "P1_b", "--by-rule", "--store", root.root).out
    assert "P1 is shown as P1_a, decided by the rule by-hand: nobody has chosen" in out
    assert current(root) == ["P1_a", "P2"]


def test_the_user_s_name_is_taken_unless_another_is_given(run, root: FolderStore, monkeypatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    assert "decided by grace: so" in run("choose", "screen", "P1_b", "--because", "so", "--store", root.root).out


def test_a_choice_needs_a_reason_and_a_published_plate(run, root: FolderStore) -> None:
    outcome = run("choose", "screen", "P1_b", "--store", root.root)
    assert (outcome.status, "say why" in outcome.err) == (2, True)
    outcome = run("choose", "screen", "P1_x", "--because", "so", "--store", root.root)
    assert (outcome.status, "published acquisitions of P1: P1_a, P1_b" in outcome.err) == (2, True)


def test_a_single_acquisition_needs_no_rule(run, root: FolderStore) -> None:
    out = run("choose", "screen", "P2", "--by-rule", "--store", root.root).out
    assert out == "screen/P2 is the only acquisition of P2: nothing to decide\n"
