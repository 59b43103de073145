"""`platestream recipes` and `promote`, and `process` under a recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imaging.job import open_job
from imaging.store import FolderStore
from tests.flows.command_line import command_line
from tests.following import follow
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_plate
from tests.imaging.test_experimental import UPLOADS, WIDER
from tests.imaging.test_recipe_book import WIDER as V2


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    return command_line(monkeypatch, capfd, tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "store")
    store.write("experiments/screen/experiment.yaml", UPLOADS.encode())
    store.write("experiments/screen/recipes/v2.yaml", V2.encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())
    for name, data in draw_plate().items():
        store.write(f"raw/screen/P1/{name}", data)
    return store


def test_recipes_are_listed_with_what_is_promoted_and_what_is_at_fault(run, root: FolderStore) -> None:
    root.write("experiments/screen/recipes/v3.yaml", b"nuclei: 3\n")
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    assert run("promote", "screen", "v2", "--because", "finds large nuclei", "--store", root.root).status == 0
    rows = json.loads(run("recipes", "screen", "--store", root.root, "--json").out)
    assert [(row["name"], row["declared_in"], row["plates"], row["is_promoted"]) for row in rows] == [
        ("v1", "experiment.yaml", 1, False),
        ("v2", "recipes/v2.yaml", 0, True),
        ("v3", "recipes/v3.yaml", 0, False),
    ]
    assert "nuclei: must be a mapping" in rows[2]["note"]
    printed = run("recipes", "screen", "--store", root.root).out
    assert printed.splitlines()[2].split()[-1] == "promoted"
    record = json.loads(root.read("experiments/screen/promotions/000001.json"))
    assert record["because"] == "finds large nuclei"


def test_a_promotion_says_what_counts_now_and_again_that_it_does(run, root: FolderStore) -> None:
    follow(open_job(root, "screen", "P1", settle_s=0.0))
    first = run("promote", "screen", "v2", "--store", root.root).out.splitlines()
    assert first[0].split(" is promoted ")[1].startswith("(number 1 of screen), before it was v1-")
    assert first[1] == (
        "0 of 1 published plates have results under it; the others are shown as before. To process them: platestream "
        "backfill screen --recipe v2 --plates '*'"
    )
    again = run("promote", "screen", "v2", "--store", root.root)
    assert (again.status, again.out.endswith("is the promoted recipe of screen already\n")) == (0, True)
    assert len(root.list("experiments/screen/promotions/").objects) == 1


def test_a_recipe_that_is_not_there_cannot_be_promoted(run, root: FolderStore) -> None:
    outcome = run("promote", "screen", "v9", "--store", root.root)
    assert outcome.status == 2
    assert outcome.err.startswith("error: there is no recipe 'v9'; known here: v1, v2;")


def test_a_plate_is_processed_here_under_a_recipe_by_its_name(run, root: FolderStore) -> None:
    outcome = run(
        "process", "--experiment", "screen", "--plate", "P1", "--recipe", "v2", "--store", root.root, "--workers", 1
    )
    assert outcome.status == 0, outcome.err
    (recipe,) = root.list_folders("results/screen/P1")
    assert recipe.startswith("v2-")


def test_a_folder_is_processed_under_a_recipe_beside_its_file_and_its_manifest_is_followed_after(
    run, root: FolderStore, tmp_path: Path
) -> None:
    declared = tmp_path / "declared"
    (declared / "recipes").mkdir(parents=True)
    (declared / "mine.yaml").write_text(UPLOADS)
    (declared / "map.csv").write_text(PLATE_MAP)
    (declared / "recipes" / "v2.yaml").write_text(V2)
    images = root.root / "raw" / "screen" / "P1"
    (images / "manifest.yaml").write_bytes(WIDER.replace(b"30", b"40"))
    store = tmp_path / "results"
    outcome = run(
        "process", images, "--experiment", declared / "mine.yaml", "--recipe", "v2", "--store", store, "--workers", 1
    )
    assert outcome.status == 0, outcome.err
    first, second = sorted(path.name for path in (store / "results" / "screen" / "P1").iterdir())
    assert (first[:15], second[:3]) == ("v2+experimental", "v2-")
    assert f"experimental, as manifest.yaml asks for, under the recipe {first}:" in outcome.out.splitlines()
    assert EXPERIMENT in UPLOADS


def test_check_looks_at_recipes_beside_the_file_too(run, root: FolderStore) -> None:
    declared = root.root / "experiments" / "screen"
    sound = run("check", declared / "experiment.yaml")
    assert [line.split()[1][:3] for line in sound.out.splitlines() if line.startswith("recipe ")] == ["v2-"]
    root.write("experiments/screen/recipes/v3.yaml", b"nuclei: 3\n")
    root.write("experiments/screen/recipes/v4.yaml", b"cells: {}\n")
    for arguments in ((declared / "experiment.yaml",), ("--experiment", "screen", "--store", root.root)):
        outcome = run("check", *arguments)
        assert outcome.status == 2
        assert "recipes/v3.yaml has 1 fault: nuclei: must be a mapping (name: value), got '3' (line 1)" in outcome.err
        assert "recipes/v4.yaml has " in outcome.err
