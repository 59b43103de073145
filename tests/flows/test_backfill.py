"""Backfills: what they would do and what that takes, done here or by runs of the server, and again what is left."""

from __future__ import annotations

import json
import time
from contextlib import closing, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
from google.cloud.bigquery import QueryJobConfig

import flows.backfill
from flows.backfill import DEPLOYMENT, request_runs
from flows.settings import Settings
from imaging.backfill import plan_backfill
from imaging.costs import Spending
from imaging.errors import ConfigurationError, MissingPartError
from imaging.experiment import Experiment
from imaging.job import open_experiment, open_job
from imaging.measure import measure_planes
from imaging.names import results_prefix, to_json
from imaging.plate_recipes import BACKGROUND
from imaging.query import run_query
from imaging.recipe_book import open_recipes
from imaging.site import process_site
from imaging.steps import beat, plan_work, site_task
from imaging.store import FolderStore
from tests.flows.command_line import command_line
from tests.following import follow
from tests.imaging.bigquery_copy import copy_store
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_plate
from tests.imaging.test_recipe_book import WIDER as V2
from tests.standins.bigquery import BigQueryStandIn

NOBODY = "http://127.0.0.1:9/api"
"""Address at which no Prefect server answers."""


@pytest.fixture
def root(tmp_path: Path) -> FolderStore:
    """Plates P1 and P2 with all images, P3 with one; a second recipe."""
    store = FolderStore(tmp_path / "store")
    store.write("experiments/screen/experiment.yaml", EXPERIMENT.encode())
    store.write("experiments/screen/recipes/v2.yaml", V2.encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())
    for plate, count in (("P1", 8), ("P2", 8), ("P3", 1)):
        for name, data in list(draw_plate().items())[:count]:
            store.write(f"raw/screen/{plate}/{name}", data)
    return store


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path):
    monkeypatch.setenv("PLATESTREAM_API_URL", NOBODY)
    monkeypatch.setenv("PLATESTREAM_SETTLE_S", "0")
    return command_line(monkeypatch, capfd, tmp_path)


def find(root: FolderStore, recipe: str = "v2") -> Experiment:
    return open_recipes(root, open_experiment(root, "screen")).find(recipe)


def process(root: FolderStore, plate: str, recipe: str = "") -> None:
    follow(open_job(root, "screen", plate, settle_s=0.0, recipe=recipe))


def put_costs(root: FolderStore, plate: str, recipe: str, sites: int, seconds: float, cost: float | None) -> None:
    spent = {"sites": sites, "machine_seconds": seconds, "cost": cost or 0.0, "unpriced": 0 if cost else sites}
    key = f"{results_prefix('screen', plate, recipe)}costs.json"
    root.write(key, to_json({"days": {"2026-02-03": spent}, "counted": []}))


def plan(root: FolderStore, *patterns: str, recipe: str = "v2") -> Any:
    return plan_backfill(root, find(root, recipe), patterns or ("*",), stale_s=90.0)


def test_a_plan_says_of_each_plate_what_is_done_and_what_is_left(root: FolderStore) -> None:
    process(root, "P1", "v2")
    job = open_job(root, "screen", "P2", settle_s=0.0, recipe="v2")
    process_site(site_task(job, plan_work(job).todo[0]), measure_planes)
    planned = plan(root)
    assert planned.recipe == find(root).recipe_id
    assert [(each.plate, each.state, each.sites, each.done, each.todo) for each in planned.plates] == [
        ("P1", "published", 4, 4, 0),
        ("P2", "to do", 4, 1, 3),
        ("P3", "being imaged", 4, 0, 1),
    ]
    assert ([each.plate for each in planned.todo], planned.sites_todo) == (["P2"], 3)


def test_a_plate_that_somebody_follows_under_the_recipe_is_left_to_them(root: FolderStore) -> None:
    beat(open_job(root, "screen", "P1", recipe="v2"), "somebody")
    assert [each.state for each in plan(root, "P1", "P2").plates] == ["followed", "to do"]


def test_a_plate_whose_patience_is_over_is_done_with_the_images_that_it_has(
    root: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = time.time() + 3600
    monkeypatch.setattr("imaging.backfill.time.time", lambda: later)
    (only,) = plan(root, "P3").plates
    assert (only.state, only.todo) == ("to do", 1)


def test_a_plate_at_fault_stops_no_other(root: FolderStore) -> None:
    root.write(f"{open_job(root, 'screen', 'P1', recipe='v2').prefix}pins.json", b"")
    first, second = plan(root, "P1", "P2").plates
    assert (first.state, second.state) == ("at fault", "to do")
    assert "the record is damaged" in first.problem
    assert "pins.json" in first.problem


@pytest.mark.parametrize(
    ("patterns", "names"),
    [(["P1"], ["P1"]), (["P2", "P1"], ["P1", "P2"]), (["*"], ["P1", "P2", "P3"]), (["?1"], ["P1"])],
)
def test_plates_are_chosen_by_name_or_pattern(patterns: list[str], names: list[str], root: FolderStore) -> None:
    assert [each.plate for each in plan(root, *patterns).plates] == names


def test_a_name_that_fits_no_plate_is_told(root: FolderStore) -> None:
    with pytest.raises(ConfigurationError, match="no plate of the experiment is called 'P9'; known here: P1, P2, P3"):
        plan(root, "P1", "P9")


def test_time_and_cost_are_estimated_by_sites_of_the_same_recipe_before_all_others(root: FolderStore) -> None:
    put_costs(root, "P8", find(root).recipe_id, 10, 30.0, 0.5)
    put_costs(root, "P1", find(root, "v1").recipe_id, 10, 1000.0, 9.0)
    planned = plan(root, "P1", "P2")
    assert planned.basis.of == f"sites under {find(root).recipe_id}"
    assert (planned.sites_todo, planned.seconds(planned.sites_todo), planned.cost(planned.sites_todo)) == (8, 24.0, 0.4)


def test_without_sites_of_the_recipe_those_of_the_same_plates_count_then_any_of_the_experiment(
    root: FolderStore,
) -> None:
    put_costs(root, "P8", "v0-00000000", 10, 50.0, None)
    planned = plan(root, "P1")
    assert planned.basis.of == "sites of other plates of the experiment"
    assert (planned.seconds(4), planned.cost(4)) == (20.0, None)
    put_costs(root, "P1", find(root, "v1").recipe_id, 10, 10.0, 1.0)
    planned = plan(root, "P1")
    assert planned.basis.of == "sites of these plates under other recipes"
    assert (planned.seconds(4), planned.cost(4)) == (4.0, 0.4)


def test_manifests_that_no_book_of_costs_holds_yet_count(root: FolderStore) -> None:
    process(root, "P1")
    basis = plan(root, "P1").basis
    assert basis.measured.sites == 4
    assert basis.measured.machine_seconds > 0


def test_experimental_results_are_nothing_to_estimate_by(root: FolderStore) -> None:
    put_costs(root, "P1", "v1+experimental-00000000", 10, 10.0, 1.0)
    assert plan(root, "P1").basis is None


def test_a_dry_run_prints_what_would_be_done_and_does_nothing(run, root: FolderStore) -> None:
    process(root, "P1", "v2")
    put_costs(root, "P8", find(root).recipe_id, 96, 196.0, None)
    before = {item.key for item in root.list("").objects}
    arguments = ("backfill", "screen", "--recipe", "v2", "--plates", "P*", "--store", root.root, "--workers", 2)
    outcome = run(*arguments, "--dry-run")
    lines = outcome.out.splitlines()
    assert outcome.status == 0
    assert lines[0] == f"screen under {find(root).recipe_id}:"
    assert [line.split()[:6] for line in lines[2:4]] == [
        ["P1", "published", "4", "4", "0"],
        ["P2", "to", "do", "4", "0", "4"],
    ]
    assert lines[-2].startswith("1 plate, 4 sites to do: about ")
    assert lines[-2].endswith("with 2 workers, cost unknown, as those sites have no price")
    assert "by 100 measured sites (sites under v2-" in lines[-1]
    assert {item.key for item in root.list("").objects} == before


def test_a_dry_run_says_where_nothing_was_measured(run, root: FolderStore) -> None:
    outcome = run("backfill", "screen", "--recipe", "v2", "--plates", "P1", "--store", root.root, "--dry-run")
    assert outcome.out.splitlines()[-1] == (
        "1 plate, 4 sites to do; nothing of this experiment was measured yet, so time and cost cannot be estimated"
    )


def test_a_plan_as_json_has_the_numbers(run, root: FolderStore) -> None:
    put_costs(root, "P8", find(root).recipe_id, 10, 30.0, 0.5)
    arguments = ("backfill", "screen", "--recipe", "v2", "--plates", "P1,P3", "--store", root.root)
    said = json.loads(run(*arguments, "--dry-run", "--json").out)
    assert {name: said[name] for name in ("plates_todo", "sites_todo", "machine_seconds", "cost")} == {
        "plates_todo": 1,
        "sites_todo": 4,
        "machine_seconds": 12.0,
        "cost": 0.2,
    }
    assert said["basis"] == {"of": f"sites under {find(root).recipe_id}", "sites": 10, "seconds_per_site": 3.0}
    assert [(each["plate"], each["state"], each["todo"]) for each in said["plates"]] == [
        ("P1", "to do", 4),
        ("P3", "being imaged", 1),
    ]


def test_a_backfill_here_lets_two_recipes_be_compared_and_does_nothing_the_second_time(
    run, root: FolderStore, bigquery: BigQueryStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    priorities: list[int] = []
    original = flows.backfill.process_job
    monkeypatch.setattr(
        flows.backfill,
        "process_job",
        lambda *values, **named: priorities.append(named["priority"]) or original(*values, **named),
    )
    for plate in ("P1", "P2"):
        process(root, plate)
    assert (
        run("promote", "screen", "v2", "--store", root.root)
        .out.splitlines()[1]
        .startswith("0 of 2 published plates have results under it; the others are shown as before.")
    )
    process(root, "P1", "v2")  # one of the two is done already
    arguments = ("backfill", "screen", "--plates", "P1,P2", "--store", root.root, "--workers", 1)
    assert run(*arguments).err.splitlines()[-1].startswith("P2: published (complete), 4 sites, ")
    assert priorities == [BACKGROUND]
    again = run(*arguments)
    assert again.out.splitlines()[-1] == "nothing is left to do"
    assert priorities == [BACKGROUND]
    shown = run_query(root, "SELECT plate, recipe, is_promoted FROM plate_overview ORDER BY plate").to_pylist()
    assert [(row["plate"], row["recipe"][:3], row["is_promoted"]) for row in shown] == [
        ("P1", "v2-", True),
        ("P2", "v2-", True),
    ]
    sql = (
        "SELECT plate, feature, n_wells, correlation, median_shift, null_share, against_null_share "
        "FROM compare_recipes WHERE recipe LIKE 'v2-%' AND against LIKE 'v1-%' ORDER BY plate, feature"
    )
    here = run_query(root, sql).to_pylist()
    assert {row["plate"] for row in here} == {"P1", "P2"}
    area = next(row for row in here if row["feature"] == "Nuclei_AreaShape_Area")
    assert (area["n_wells"], area["null_share"], area["against_null_share"]) == (4, 0.0, 0.0)
    with closing(bigquery.client()) as client:
        dataset = client.create_dataset("backfill")
        copy_store(root, client, dataset)
        client.default_query_job_config = QueryJobConfig(default_dataset=dataset.reference)
        there = [dict(row) for row in client.query(sql).result()]
        client.delete_dataset(dataset, delete_contents=True)
    assert there == [
        {name: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value for name, value in row.items()}
        for row in here
    ]


def test_a_plate_that_cannot_be_done_stops_no_other(run, root: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_first(job: Any, *values: Any, **named: Any) -> Any:
        if job.plate == "P1":
            raise ConfigurationError("the map is at fault", plate="P1")
        raise MissingPartError("no workers")

    monkeypatch.setattr(flows.backfill, "process_job", fail_first)
    monkeypatch.setattr(flows.backfill, "open_for_run", lambda settings: nullcontext("tcp://127.0.0.1:9"))
    arguments = ("backfill", "screen", "--recipe", "v2", "--plates", "P1,P2", "--store", root.root, "--workers", 1)
    outcome = run(*arguments)
    assert outcome.status == 1
    assert outcome.err.splitlines() == [
        "P1: begun",
        "P1: the map is at fault (plate P1)",
        "P2: begun",
        "P2: no workers",
    ]


def test_the_server_gets_one_run_for_each_plate_however_often_it_is_asked(root: FolderStore, deployed: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    settings = Settings(api_url=deployed, store=str(root.root))
    with get_client(sync_client=True) as client, suppress(ObjectNotFound):  # of a test before this one
        client.delete_deployment(client.read_deployment_by_name(DEPLOYMENT).id)
    with pytest.raises(MissingPartError, match="has no deployment process-plate/process-plate-background"):
        request_runs(plan(root, "P1"), settings)
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name(DEPLOYMENT.split("/")[0])
        client.create_deployment(flow_id, DEPLOYMENT.split("/")[1])
        first = request_runs(plan(root, "P1"), settings)
        second = request_runs(plan(root, "P1", "P2"), settings)
        assert [each.said for each in first] == ["a run is asked for"]
        assert [(each.plate, each.said) for each in second] == [
            ("P1", "a run is open already"),
            ("P2", "a run is asked for"),
        ]
        runs = [each for each in client.read_flow_runs() if "backfill" in each.tags]
    assert sorted(
        (each.parameters["plate"], each.parameters["recipe"], each.parameters["priority"]) for each in runs
    ) == [
        ("P1", find(root).recipe_id, BACKGROUND),
        ("P2", find(root).recipe_id, BACKGROUND),
    ]


def test_the_mean_of_a_basis_is_that_of_its_sites() -> None:
    from imaging.backfill import Basis

    assert Basis(Spending(4, 10.0), "").seconds_per_site == 2.5
