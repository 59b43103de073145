"""`platestream analyse` and `exclude`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from imaging.query import run_query
from imaging.store import FolderStore
from tests.flows.api_standin import api_standin
from tests.flows.command_line import Outcome, command_line
from tests.imaging import small_analyses
from tests.imaging.small_analyses import EXPERIMENT, FEATURES, QUICK, publish, rows_of
from tests.parts import require

Run = Callable[..., Outcome]
RELAXED = QUICK + b"normalize: {method: standardize}\n"
STRICT = b"hits: {permutations: 500, criteria: viability}\nfailures: {rules: none}\n"
"""By which nothing is a hit."""


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    return command_line(monkeypatch, capfd, tmp_path)


@pytest.fixture
def root(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "store")
    small_analyses.declare(store)
    for plate in ("P1", "P2"):
        publish(store, plate)
    return store


@pytest.fixture
def recipes(tmp_path: Path) -> list[str]:
    for name, data in (("a", QUICK), ("b", RELAXED), ("c", STRICT)):
        (tmp_path / f"{name}.yaml").write_bytes(data)
    return ["a.yaml", "b.yaml", "c.yaml"]


def profiles_csv(path: Path, plates: tuple[str, ...] = ("P1", "P2"), *, without: str = "") -> None:
    """Profiles as others make them."""
    lines = [",".join(["Metadata_Plate", "Metadata_Well", "Metadata_drug", "Metadata_dose", *FEATURES])]
    for plate in plates:
        for row in rows_of(plate)["wells"]:
            place = [plate, row["well"], row["treatment"], "" if row["concentration"] is None else "1.0"]
            lines.append(",".join([*place, *(repr(row[name]) for name in FEATURES)]))
    path.write_text("\n".join(line for line in lines if not without or without not in line) + "\n")


FOREIGN = (
    b"annotate: {treatment: drug, concentration: dose, negative_controls: DMSO}\nhits: {permutations: 500}\n"
    b"failures: {rules: none}\n"
)


def test_an_experiment_is_brought_up_to_its_publications(run: Run, root: FolderStore) -> None:
    outcome = run("analyse", EXPERIMENT, "--store", root.root)
    assert outcome.status == 0
    assert "analysis 1 of 2 plates, 2 made, 0 kept" in outcome.err
    scores = {
        line.rsplit(None, 1)[0].strip(): line.split()[-1] for line in outcome.out.splitlines() if len(line.split()) > 1
    }
    assert (scores["wells"], scores["hits"], scores["treatments"]) == ("192", "4", "20")
    assert run_query(root, "SELECT COUNT(*) AS n FROM hits WHERE is_hit").to_pylist() == [{"n": 4}]
    again = run("analyse", EXPERIMENT, "--store", root.root)
    assert (again.status, "made" in again.err, again.out) == (0, False, outcome.out)


def test_recipes_are_compared_with_hits_gained_and_lost(run: Run, root: FolderStore, recipes: list[str]) -> None:
    outcome = run("analyse", EXPERIMENT, "--recipes", *recipes, "--store", root.root, "--output", "out", "--json")
    assert outcome.status == 0
    rows = json.loads(outcome.out)
    assert [row["recipe"].partition("-")[0] for row in rows] == ["a", "b", "c"]
    assert (rows[0]["hits"], rows[0]["gained"]) == (4, None)
    for row in rows[1:]:
        assert row["gained"] - row["lost"] == row["hits"] - rows[0]["hits"]
        assert len(row["lost_examples"]) == min(row["lost"], 5)
    assert rows[2]["hits"] == 0
    assert rows[2]["lost_examples"] == ["t1 1 uM", "t2 1 uM", "t3 1 uM", "t4 1 uM"]
    assert not [item.key for item in root.list(f"results/{EXPERIMENT}/_analyses/").objects if "/records/" in item.key]
    hits = pq.read_table(Path("out") / rows[0]["recipe"] / "hits.parquet").to_pylist()
    assert {row["treatment"] for row in hits if row["is_hit"]} == {"t1", "t2", "t3", "t4"}
    assert pq.read_table("out/leaderboard.parquet").num_rows == 3
    page = Path("out/leaderboard.html").read_text()
    assert all(row["recipe"] in page for row in rows)
    assert "Lost: t1 1 uM, t2 1 uM" in page


def test_the_table_names_what_is_gained_and_lost(run: Run, root: FolderStore, recipes: list[str]) -> None:
    out = run("analyse", EXPERIMENT, "-r", "a.yaml", "-r", "c.yaml", "--store", root.root).out
    (lost,) = [line for line in out.splitlines() if " lost: " in line]
    assert lost.endswith("lost: t1 1 uM, t2 1 uM, t3 1 uM, t4 1 uM")


def test_a_recipe_that_fails_stands_beside_the_others_with_its_reason(
    run: Run, root: FolderStore, recipes: list[str], tmp_path: Path
) -> None:
    (tmp_path / "f.yaml").write_bytes(QUICK + b"filter: {least_cells: 100000}\n")
    outcome = run("analyse", EXPERIMENT, "--recipes", "a.yaml", "f.yaml", "--store", root.root)
    assert outcome.status == 0
    assert "no well is left to analyse (too few cells)" in outcome.err
    alone = run("analyse", EXPERIMENT, "--recipes", "f.yaml", "--store", root.root)
    assert (alone.status, alone.out) == (2, "")
    assert alone.err.startswith("error: no well is left to analyse (too few cells)")


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.parquet"])
def test_profiles_made_elsewhere_are_analysed_by_the_same_command(run: Run, tmp_path: Path, name: str) -> None:
    import pandas as pd

    profiles_csv(tmp_path / "p.csv")
    frame = pd.read_csv(tmp_path / "p.csv")
    if name.endswith(".gz"):
        frame.to_csv(tmp_path / name, index=False)
    elif name.endswith(".parquet"):
        frame.to_parquet(tmp_path / name)
    (tmp_path / "r.yaml").write_bytes(FOREIGN)
    outcome = run("analyse", "mine", "--profiles", name, "--recipes", "r.yaml", "--json")
    assert outcome.status == 0
    (row,) = json.loads(outcome.out)
    assert (row["wells"], row["features"], row["hits"]) == (192, 8, 4)


def test_published_plates_and_the_same_profiles_as_a_file_give_the_same(
    run: Run, root: FolderStore, tmp_path: Path
) -> None:
    profiles_csv(tmp_path / "p.csv")
    (tmp_path / "r.yaml").write_bytes(FOREIGN)
    (tmp_path / "a.yaml").write_bytes(QUICK)
    run("analyse", "mine", "--profiles", "p.csv", "--recipes", "r.yaml", "--output", "one")
    run("analyse", EXPERIMENT, "--recipes", "a.yaml", "--store", root.root, "--output", "two")
    hits = [pq.read_table(next((tmp_path / folder).glob("*/hits.parquet"))).to_pylist() for folder in ("one", "two")]
    for ours, theirs in zip(*hits, strict=True):
        assert ours["treatment"] == theirs["treatment"]
        assert ours["activity_map"] == pytest.approx(theirs["activity_map"], rel=1e-9)
        assert ours["is_hit"] == theirs["is_hit"]


def test_annotations_say_what_wells_and_treatments_are(run: Run, tmp_path: Path) -> None:
    profiles_csv(tmp_path / "p.csv")
    (tmp_path / "moa.csv").write_text("drug,moa\nt1,one\nt2,one\nt3,two\nt4,two\n")
    (tmp_path / "r.yaml").write_bytes(FOREIGN)
    outcome = run("analyse", "mine", "--profiles", "p.csv", "--annotations", "moa.csv", "-r", "r.yaml", "--json")
    (row,) = json.loads(outcome.out)
    assert row["nsc"] == 1.0


BAD = {
    "no such file": ("nothing.csv", b"", "there is no file nothing.csv", 3),
    "no negative controls": ("p.csv", b"annotate: {treatment: drug}\n", "has no negative controls to compare with", 2),
    "a column that is not there": ("p.csv", b"annotate: {features: [Cells_Intensity_f9]}\n", "did you mean", 2),
    "a recipe at fault": ("p.csv", b"normalise: {}\n", "did you mean 'normalize'", 2),
    "no table": ("r.yaml", b"", "", 2),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence(run: Run, tmp_path: Path, name: str) -> None:
    path, recipe, sentence, status = BAD[name]
    profiles_csv(tmp_path / "p.csv")
    (tmp_path / "r.yaml").write_bytes(recipe)
    outcome = run("analyse", "mine", "--profiles", path, "--recipes", "r.yaml")
    assert (outcome.status, outcome.out) == (status, "")
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err


def test_nothing_published_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    outcome = run("analyse", EXPERIMENT, "--store", "store")
    assert (outcome.status, "there is nothing to analyse" in outcome.err) == (2, True)
    outcome = run("analyse", EXPERIMENT, "--annotations", "x.csv", "--store", "store")
    assert (outcome.status, "--annotations belong to --profiles" in outcome.err) == (2, True)


def test_what_failed_is_printed_and_asked_for_again(run: Run, root: FolderStore) -> None:
    for plate in ("P1", "P2"):
        publish(root, plate, 2, controls=False)
    outcome = run("analyse", EXPERIMENT, "--store", root.root)
    assert outcome.status == 1
    assert "has no negative controls to compare with" in outcome.err
    run("analyse", EXPERIMENT, "--store", root.root)
    assert run_query(root, "SELECT MAX(number) AS n FROM analyses").to_pylist() == [{"n": 1}]
    run("analyse", EXPERIMENT, "--again", "--store", root.root)
    assert run_query(root, "SELECT MAX(number) AS n FROM analyses").to_pylist() == [{"n": 2}]


def test_the_status_says_what_experiments_came_to(run: Run, root: FolderStore) -> None:
    run("analyse", EXPERIMENT, "--store", root.root)
    (line,) = [line for line in run("status", "--store", root.root).out.splitlines() if line.startswith("screen: ")]
    assert line.startswith("screen: 2 plates analysed under standard-")
    assert line.endswith(", 4 hits of 20 treatments")
    for plate in ("P1", "P2"):
        publish(root, plate, 2, controls=False)
    run("analyse", EXPERIMENT, "--store", root.root)
    (line,) = [line for line in run("status", "--store", root.root).out.splitlines() if line.startswith("screen: ")]
    assert "is failed: the experiment has no negative controls to compare with" in line


def test_a_person_leaves_a_well_out_and_takes_it_in_again(run: Run, root: FolderStore) -> None:
    out = run("exclude", EXPERIMENT, "P1", "b2", "--because", "a hair", "--by", "Ada", "--store", root.root).out
    assert out.splitlines() == [
        "B02 of P1 takes no part in analyses of screen, decided by Ada: a hair",
        "it counts from the next analysis on; platestream analyse screen makes it now",
    ]
    outcome = run("exclude", EXPERIMENT, "P1", "Z99", "--because", "so", "--store", root.root)
    assert (outcome.status, "the plate has no well 'Z99'; it has 96, from A01 to H12" in outcome.err) == (2, True)
    outcome = run("analyse", EXPERIMENT, "--store", root.root, "--json")
    assert json.loads(outcome.out)[0]["wells"] == 191
    out = run(
        "exclude", EXPERIMENT, "P1", "B02", "--keep", "--because", "none", "--by", "Ada", "--store", root.root
    ).out
    assert "B02 of P1 takes part, whatever the rules say" in out
    outcome = run("analyse", EXPERIMENT, "--store", root.root, "--json")
    assert json.loads(outcome.out)[0]["wells"] == 192
    outcome = run("exclude", EXPERIMENT, "P3", "--because", "so", "--store", root.root)
    assert (outcome.status, "there is no plate 'P3'; " in outcome.err) == (2, True)
    outcome = run("exclude", EXPERIMENT, "P1", "--store", root.root)
    assert (outcome.status, "say why, by --because" in outcome.err) == (2, True)


def test_a_decision_asks_for_a_run_where_a_server_answers(
    run: Run, root: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with api_standin() as (address, requests):
        monkeypatch.setenv("PLATESTREAM_API_URL", address)
        monkeypatch.setattr("flows.server.is_healthy", lambda url: url == address)
        out = run("exclude", EXPERIMENT, "P1", "B02", "--because", "a hair", "--store", root.root).out
    assert out.endswith("a run is asked for, which analyses the experiment anew\n")
    (event,) = [event for each in requests if each.path.endswith("/events") for event in each.body]
    assert "B02 of P1" in str(event)


def test_four_recipes_on_bbbc021(run: Run, tmp_path: Path) -> None:
    shared = Path(require("shared")) / "data" / "profiles_bbbc021_subset"
    recipes = Path(__file__).parents[2] / "deployments" / "analyses" / "bbbc021"
    outcome = run(
        "analyse",
        "bbbc021",
        *("--profiles", shared / "ljosa_per_well_mean_weeks1-4.csv.gz"),
        *("--annotations", shared / "BBBC021_v1_image_weeks1-4.csv.gz"),
        *("--annotations", shared / "BBBC021_v1_moa.csv", "--json", "--recipes"),
        *(recipes / f"{name}.yaml" for name in ("robust", "standardize", "sphering", "harmony")),
    )
    assert outcome.status == 0
    rows = json.loads(outcome.out)
    assert [(row["wells"], row["treatments"]) for row in rows] == [(342, 66)] * 4
    recall = {row["recipe"].partition("-")[0]: row["nsc"] for row in rows}
    assert min(recall[name] for name in ("robust", "standardize", "sphering")) > 0.7
    assert all(row["hits"] + 0 >= 0 and row["nscb"] is not None and row["kbet"] is not None for row in rows)
