"""Budgets: no new site over one, nothing lost, an alert; on it goes when the budget is raised or the day is over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

import flows.budget
from flows.artifacts import artifact_key
from flows.budget import Budgets, PlateCosts
from flows.cluster import open_cluster
from flows.compute import Compute
from flows.events import BUDGET_EXCEEDED
from flows.follow import Follower
from flows.needs import Need
from flows.process_folder import process_folder
from flows.process_plate import process_plate
from flows.settings import Settings
from flows.status import read_status
from flows.watch import open_watch
from imaging.costs import CostBook, DayCosts, Spending, day_key, read_book, sum_costs
from imaging.errors import SpentBudgetError
from imaging.experiment import read_experiment
from imaging.experimental import read_manifest
from imaging.job import PlateJob, open_job
from imaging.names import to_json
from imaging.projection import page_folder, publish_and_project
from imaging.steps import plan_work
from imaging.store import FolderStore
from tests.following import follow
from tests.imaging.small_costs import put_site
from tests.imaging.small_page import read_live
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_plate, make_job

TINY = 1e-9
"""USD that the first site of a plate uses up."""


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A cluster of one worker that costs a cent a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLATESTREAM_PRICE_PER_WORKER_HOUR", "36")
        with open_cluster(1) as cluster:
            yield cluster.scheduler_address


@pytest.fixture
def root(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "store")
    store.write("experiments/screen/experiment.yaml", EXPERIMENT.encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())
    for name, data in draw_plate().items():
        store.write(f"raw/screen/P1/{name}", data)
    return store


def open_plate(root: FolderStore) -> PlateJob:
    return open_job(root, "screen", "P1", settle_s=0.0)


def follow_with(job: PlateJob, scheduler: str, **budgets: float) -> PlateCosts:
    """Follow a plate, one site at a time, until it is done or over its budget."""
    with (
        Compute(scheduler) as compute,
        PlateCosts(job, Settings(**budgets)) as costs,
        Follower(job, compute, "test", linger_s=0.0, relist_s=0.0, sites_in_flight=1, refuse=costs.refuse) as follower,
    ):
        while not (follower.is_idle or follower.is_stopped):
            plan = follower.measure(1)
            if plan.is_publishable and not follower.is_published:
                publish_and_project(job)
                follower.note_published()
    return costs


def test_over_its_budget_a_plate_gets_no_new_site_and_goes_on_when_the_budget_is_raised(
    tmp_path: Path, scheduler: str
) -> None:
    job = make_job(tmp_path)
    costs = follow_with(job, scheduler, budget_per_plate=TINY)
    assert str(costs.excess).startswith("the plate's budget is used up (0.")
    assert str(costs.excess).endswith("no new site is begun; raise PLATESTREAM_BUDGET_PER_PLATE")
    plan = job.survey()
    assert (len(plan.of("done")), len(plan.todo)) == (1, 3)
    assert not job.store.list(f"{job.prefix}attempts/").objects
    costs = follow_with(job, scheduler, budget_per_plate=1000.0)
    assert costs.excess is None
    assert job.survey().records.last_publication == 1
    assert read_book(job.store, job.prefix).total == costs.spent
    assert (costs.spent.sites, costs.spent.unpriced) == (4, 0)


def test_a_plate_that_is_finished_is_published_whatever_it_cost(tmp_path: Path, scheduler: str) -> None:
    job = make_job(tmp_path)
    follow(job)
    job.store.delete(f"{job.prefix}publications/000001.json")
    costs = follow_with(job, scheduler, budget_per_plate=0.0)
    assert costs.excess is None
    assert job.survey().records.last_publication == 2, "the number of a lost record is not given again"


def test_a_day_s_budget_is_that_of_all_plates_and_of_that_day_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, other = make_job(tmp_path), make_job(tmp_path)
    other = PlateJob(other.store, other.raw, "", other.experiment, "P2", other.maps, "")
    put_site(other, "A01-1-aa", day="2026-02-02", cost=5.0)
    put_site(job, "A01-1-aa", day="2026-02-02", cost=1.0)
    put_site(job, "A02-1-bb", day="2026-02-03", cost=2.0)
    settings = Settings(budget_per_day=6.0)
    with PlateCosts(other, settings) as costs:
        costs.refuse(other.survey())
    monkeypatch.setattr(flows.budget, "today", lambda: "2026-02-02")
    costs = PlateCosts(job, settings)
    refusal = costs.refuse(job.survey())
    assert refusal == (
        "the day's budget is used up (6.00 USD of 6.00 USD are spent by all plates), no new site is begun before "
        "00:00 UTC; raise PLATESTREAM_BUDGET_PER_DAY to go on sooner"
    )
    monkeypatch.setattr(flows.budget, "today", lambda: "2026-02-03")
    assert costs.refuse(job.survey()) == ""
    assert costs.spent.cost == 3.0


def test_two_followers_of_a_plate_write_what_it_cost_and_not_what_each_did(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    settings = Settings(budget_per_plate=100.0)
    with PlateCosts(job, settings) as first, PlateCosts(job, settings) as second:
        for name in ("A01-1-aa", "A02-1-bb", "B01-1-cc"):
            put_site(job, name)
            first.refuse(job.survey())
            second.refuse(job.survey())
    assert first.spent == second.spent == DayCosts(job.store).of("2026-02-02")
    assert first.spent.cost == 1.5


def test_a_budget_that_nothing_is_counted_against_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = make_job(tmp_path)
    put_site(job, "A01-1-aa", cost=None)
    costs = PlateCosts(job, Settings(budget_per_plate=1.0))
    costs.refuse(job.survey())
    costs.refuse(job.survey())
    assert caplog.text.count("1 sites have no price, so no budget counts them; set PLATESTREAM_PRICE_PER") == 1


def test_without_a_budget_nothing_is_refused_and_costs_are_written_all_the_same(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    put_site(job, "A01-1-aa", cost=1e6)
    with PlateCosts(job, Settings()) as costs:
        assert costs.refuse(job.survey()) == ""
    assert read_book(job.store, job.prefix).total.cost == 1e6
    assert Budgets(job.store, Settings()).refuse(job, job.survey()) == ""


def test_a_folder_over_its_budget_ends_with_the_reason_and_is_finished_later(tmp_path: Path, root: FolderStore) -> None:
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    (tmp_path / "map.csv").write_text(PLATE_MAP)
    images, declared = root.root / "raw/screen/P1", tmp_path / "experiment.yaml"

    def process(**budgets: float) -> Any:
        settings = Settings(store=str(tmp_path / "out"), workers=1, price_per_worker_hour=36.0, **budgets)
        return process_folder(images, declared, plate="P1", settings=settings)

    with pytest.raises(SpentBudgetError, match=r"the plate's budget is used up .* \(experiment screen, plate P1\)"):
        process(budget_per_plate=0.0)
    assert process(budget_per_plate=1000.0).publication.status == "complete"


def test_a_run_over_budget_ends_with_an_alert_and_shows_what_to_do(
    server: str, root: FolderStore, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "STORE": root.root,
        "API_URL": server,
        "SCHEDULER": scheduler,
        "SETTLE_S": 0,
        "LINGER_S": 0,
    }.items():
        monkeypatch.setenv(f"PLATESTREAM_{name}", str(value))
    monkeypatch.setenv("PLATESTREAM_BUDGET_PER_PLATE", str(TINY))
    monkeypatch.setenv("PLATESTREAM_SITES_IN_FLIGHT", "1")
    monkeypatch.setenv("PLATESTREAM_RESCAN_S", "0.001")
    process_plate("screen", "P1")
    job = open_plate(root)
    assert len(job.survey().of("done")) == 1
    live = read_live(root.read(f"{page_folder(job)}live.js"))
    assert live["notice"].endswith("no new site is begun; raise PLATESTREAM_BUDGET_PER_PLATE")
    assert [fact["label"] for fact in live["costs"]] == ["Machine time", "Cost"]
    assert live["costs"][1]["more"].startswith("of about 0.")
    payload = find_event(server, BUDGET_EXCEEDED)
    assert (payload["budget"], payload["limit"], payload["plate"]) == ("plate", TINY, "P1")
    assert payload["spent"] > TINY
    key = artifact_key("screen", "P1", "cost")
    artifact = httpx.get(f"{server}/artifacts/{key}/latest").json()
    assert artifact["data"].startswith("**the plate's budget is used up")
    process_plate("screen", "P1")  # woken by somebody all the same: nothing is begun
    assert len(job.survey().of("done")) == 1
    monkeypatch.setenv("PLATESTREAM_BUDGET_PER_PLATE", "1000")
    process_plate("screen", "P1")
    assert job.survey().records.last_publication == 1
    assert "budget" not in httpx.get(f"{server}/artifacts/{key}/latest").json()["data"]


def find_event(server: str, kind: str) -> dict[str, Any]:
    """Payload of the newest event of a kind; the server stores events a moment after it took them."""
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        answer = httpx.post(f"{server}/events/filter", json={"filter": {"event": {"name": [kind]}}})
        if found := answer.raise_for_status().json()["events"]:
            return found[0]["payload"]
        time.sleep(0.2)
    raise AssertionError(f"no event {kind} came")


def test_the_watch_leaves_a_plate_over_its_budget_alone_says_so_once_and_wakes_it_when_that_is_raised(
    root: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    job, woken = open_plate(root), []
    put_site(job, plan_work(job).todo[0].name, cost=2.0)
    now = time.time()
    watch = open_watch(root, woken.append, Settings(settle_s=0.0, budget_per_plate=2.0))
    for second in (0.0, 10.0, 20.0):
        watch.round(now + second)
    assert not woken
    assert caplog.text.count("screen/P1: the plate's budget is used up (2.00 USD of 2.00 USD are spent)") == 1
    open_watch(root, woken.append, Settings(settle_s=0.0, budget_per_plate=2.01)).round(now)
    assert [need.plate for need in woken] == ["P1"]


def test_the_watch_wakes_a_plate_after_the_day_whose_budget_is_used_up(
    root: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, woken = open_plate(root), []
    put_site(job, plan_work(job).todo[0].name, day="2026-02-02", cost=2.0)
    watch, now = open_watch(root, woken.append, Settings(settle_s=0.0, budget_per_day=2.0)), time.time()
    monkeypatch.setattr(flows.budget, "today", lambda: "2026-02-02")
    watch.round(now)
    assert not woken
    monkeypatch.setattr(flows.budget, "today", lambda: "2026-02-03")
    watch.round(now + 10.0)
    assert [need.reason for need in woken] == ["3 sites to process"]


def test_the_watch_wakes_a_plate_over_its_budget_for_its_publication(root: FolderStore) -> None:
    job = open_plate(root)
    follow(job)
    root.delete(f"{job.prefix}publications/000001.json")
    woken: list[Need] = []
    open_watch(root, woken.append, Settings(settle_s=0.0, budget_per_plate=0.0)).round()
    assert [need.reason for need in woken] == ["a publication is due"]


def test_the_status_tells_what_plates_cost_and_which_are_over_budget(root: FolderStore) -> None:
    job = open_plate(root)
    put_site(job, plan_work(job).todo[0].name, seconds=60.0, cost=2.0)
    settings = Settings(settle_s=0.0, budget_per_plate=1.0)
    (row,) = read_status(root, settings)
    assert (row["machine_seconds"], row["cost"], row["cost_per_site"], row["cost_estimate"]) == (60.0, 2.0, 2.0, 8.0)
    assert row["refusal"].startswith("the plate's budget is used up")
    put_site(job, "B02-1-zz", seconds=30.0, cost=None)
    rows = read_status(root, Settings(settle_s=0.0))
    assert (rows[0]["sites_unpriced"], rows[0]["refusal"]) == (1, None)
    assert {name: (spent.machine_seconds, spent.cost) for name, spent in sum_costs([*rows, *rows]).items()} == {
        "screen": (180.0, 4.0)
    }


# Experimental results


def experimental(job: PlateJob, limit: float | None = 1.0) -> PlateJob:
    """The same plate under an experimental recipe with a budget of its own."""
    text = f"{EXPERIMENT}uploads: {{allow: [nuclei]{'' if limit is None else f', budget_usd: {limit}'}}}\n"
    asked = read_manifest(b"recipe: {nuclei: {diameter_px: [6, 30]}}", read_experiment(text.encode())).experiment
    assert asked is not None
    return job.under(asked)


def spend(job: PlateJob, cost: float) -> None:
    """Let a plate have cost so many USD today."""
    job.store.write(day_key(job, flows.budget.today()), to_json(asdict(Spending(1, 1.0, cost))))


def excess_of(job: PlateJob, **budgets: float) -> str:
    found = Budgets(job.store, Settings(**budgets)).find_excess(job, CostBook())
    return f"{found.of} {found.spent:g} of {found.limit:g}" if found else ""


def test_experimental_results_end_with_their_own_budget_of_the_day(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    other = PlateJob(job.store, job.raw, "", job.experiment, "P2", job.maps, "")
    spend(experimental(other), 0.5)
    spend(job, 100.0)
    assert excess_of(experimental(job)) == ""
    assert excess_of(experimental(job, 0.5)) == "uploads 0.5 of 0.5"
    assert excess_of(experimental(job, None)) == ""
    assert excess_of(job) == ""


def test_what_experimental_results_cost_ends_no_other_plates_work(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    spend(experimental(job), 100.0)
    other = PlateJob(job.store, job.raw, "", job.experiment, "P2", job.maps, "")
    assert excess_of(other, budget_per_day=2.0) == ""
    spend(job, 3.0)
    assert excess_of(other, budget_per_day=2.0) == "day 3 of 2"


def test_experimental_results_end_with_the_budget_of_all(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    spend(job, 3.0)
    assert excess_of(experimental(job, 50.0), budget_per_day=2.0) == "day 3 of 2"


def test_a_budget_of_uploads_says_where_to_raise_it() -> None:
    assert str(flows.budget.Excess("uploads", 2.0, 2.0)) == (
        "the day's budget of experimental results is used up (2.00 USD of 2.00 USD are spent), no new site is begun "
        "before 00:00 UTC; raise uploads.budget_usd in experiment.yaml to go on sooner"
    )
