"""`platestream status`, `sql` and `validate`."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from imaging.records import publication_key
from tests.flows.command_line import command_line, replacer
from tests.parts import ROOT

BBBC013 = ROOT / "tests" / "data" / "bbbc013"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    return command_line(monkeypatch, capfd, tmp_path)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch):
    return replacer(monkeypatch)


# status, sql, validate


def test_commands_that_look_make_no_store(run, tmp_path: Path) -> None:
    for command in (("status",), ("sql", "SELECT 1"), ("validate", "e", "p")):
        outcome = run(*command, "--store", "typo")
        assert outcome.status == 2
        assert "there is no store" in outcome.err
    assert list(tmp_path.iterdir()) == []


ROW = {
    "experiment": "e",
    "plate": "p[1]",
    "state": "published",
    "images_arrived": 5,
    "images_expected": 6,
    "sites_done": 2,
    "sites_expected": 3,
    "sites_failed": 1,
    "status": "with-missing",
}


def test_status_shows_each_plate(run, calls, tmp_path: Path) -> None:
    calls(
        "flows.status", "read_status", [ROW, {"experiment": "e", "plate": "q", "state": "at fault", "problem": "why"}]
    )
    out = run("status", "--store", tmp_path).out
    assert out.splitlines()[1].split() == ["e", "p[1]", "published", "5/6", "2/3", "1", "with-missing"]
    assert out.splitlines()[-1] == "e/q: why"


def test_status_tells_what_looks_wrong_with_a_plate_and_which_acquisition_is_shown(run, calls, tmp_path: Path) -> None:
    calls("flows.status", "read_status", [ROW | {"shown_instead": "q", "suspicions": ["DNA looks like cells"]}])
    assert run("status", "--store", tmp_path).out.splitlines()[-2:] == [
        "e/p[1]: views show another acquisition, q",
        "e/p[1]: DNA looks like cells",
    ]


COSTS = {"sites_measured": 2, "sites_unpriced": 0, "machine_seconds": 90.0, "cost": 0.5}
NO_PRICE = COSTS | {"sites_unpriced": 2, "cost": None, "cost_per_site": None, "cost_estimate": None}


def test_status_shows_machine_time_and_no_cost_where_there_is_no_price(run, calls, tmp_path: Path) -> None:
    calls("flows.status", "read_status", [ROW | NO_PRICE])
    lines = run("status", "--store", tmp_path).out.splitlines()
    assert lines[0].split()[-2:] == ["machine", "time"]
    assert lines[1].rstrip().endswith("with-missing  1 min 30 s")
    assert len(lines) == 2


def test_status_shows_what_plates_and_experiments_cost_and_which_are_over_budget(run, calls, tmp_path: Path) -> None:
    priced = ROW | COSTS | {"cost_per_site": 0.25, "cost_estimate": 0.75, "refusal": "the budget is used up"}
    calls("flows.status", "read_status", [priced, ROW | NO_PRICE])
    out = run("status", "--store", tmp_path).out
    assert out.splitlines()[0].split()[-1] == "cost"
    assert out.splitlines()[1].rstrip().endswith("with-missing  0.50 USD")
    assert out.splitlines()[3:] == [
        "e/p[1]: the budget is used up",
        "e/p[1]: 0.25 USD a site, about 0.75 USD in all",
        "e: 4 sites, 3 min, 0.50 USD, 2 sites without a price",
    ]


def test_status_answers_in_json(run, calls, tmp_path: Path) -> None:
    noted = calls("flows.status", "read_status", [ROW])
    assert json.loads(run("status", "--store", tmp_path, "--json").out) == [ROW]
    assert noted[0][0][0].url == tmp_path.as_uri()


def test_status_of_an_empty_store_says_where_images_belong(run, calls, tmp_path: Path) -> None:
    calls("flows.status", "read_status", [])
    assert "images belong into raw/EXPERIMENT/PLATE/" in run("status", "--store", tmp_path).out


ROWS = pa.table({"plate": ["a[b]", None], "value": [1.5, float("nan")]})


@pytest.mark.parametrize(
    ("form", "printed"),
    [
        ("csv", '"plate","value"\n"a[b]",1.5\n,nan\n'),
        ("json", json.dumps([{"plate": "a[b]", "value": 1.5}, {"plate": None, "value": None}], indent=2) + "\n"),
        ("table", " plate  value \n a[b]   1.5   \n        nan   \n2 rows\n"),
    ],
)
def test_sql_prints_rows_in_each_form(form: str, printed: str, run, calls, tmp_path: Path) -> None:
    noted = calls("imaging.query", "run_query", ROWS)
    assert run("sql", "SELECT 1", "--format", form, "--dialect", "duckdb", "--store", tmp_path).out == printed
    assert noted[0][0][1] == "SELECT 1"
    assert noted[0][1] == {"dialect": "duckdb"}


def test_lists_of_texts_are_one_text_each_in_csv(run, calls, tmp_path: Path) -> None:
    rows = pa.table({"well": ["A01", "A02", "A03"], "reasons": [["a", "b"], [], None]})
    calls("imaging.query", "run_query", rows)
    outcome = run("sql", "SELECT 1", "--format", "csv", "--store", str(tmp_path))
    assert outcome.out == '"well","reasons"\n"A01","a; b"\n"A02",""\n"A03",\n'


def test_sql_that_is_no_select_is_bad_input(run, tmp_path: Path) -> None:
    outcome = run("sql", "DROP TABLE wells", "--store", tmp_path)
    assert outcome.status == 2
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err


def test_validate_of_an_unpublished_plate_is_bad_input(run, tmp_path: Path) -> None:
    outcome = run("validate", "e", "p", "--store", tmp_path)
    assert outcome.status == 2
    assert "the plate is not published yet" in outcome.err
    assert "the plate name 'a/b' is refused" in run("validate", "e", "a/b", "--store", tmp_path).err


@pytest.mark.parametrize("problems", [[], ["well A01: damaged"]])
def test_validate_checks_the_zarr_against_the_newest_publication(
    problems: list[str], run, calls, tmp_path: Path
) -> None:
    for recipe, day in (("v1-0", 2), ("v2-0", 3), ("v3-0", 1)):
        folder = tmp_path / "results" / "e" / "p" / recipe
        (folder / "publications").mkdir(parents=True)
        record = {"experiment": "e", "plate": "p", "recipe": recipe, "run": "r", "number": 1, "status": "complete"}
        record |= {"published_at": f"2026-01-0{day}", "manifests": [f"results/e/p/{recipe}/m.json"], "tables": {}}
        (tmp_path / publication_key(f"results/e/p/{recipe}/", 1)).write_text(json.dumps(record))
        (folder / "m.json").write_text(json.dumps({"recipe": recipe}))
    noted = calls("imaging.zarr_check", "check_plate", problems)
    outcome = run("validate", "e", "p", "--store", tmp_path)
    assert noted[0][0][1:] == ("images/e/p.zarr", [{"recipe": "v2-0"}])
    assert outcome.status == (1 if problems else 0)
    assert outcome.out == ("well A01: damaged\n" if problems else "images/e/p.zarr is sound: 1 site\n")
