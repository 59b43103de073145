"""The recovery drills of docs/operations.md, each on the parts that it is about.

The warehouse lost       also tests/imaging/test_warehouse_rebuild.py
Upgrade during a plate   tests/imaging/test_upgrade_stored.py
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from flows.settings import Settings
from flows.stack import local_services
from flows.supervise import Supervisor, find_free_ports
from imaging.job import PlateJob, open_job
from imaging.measure import measure_planes
from imaging.names import experiment_key
from imaging.promotions import record_promotion
from imaging.publication import is_current
from imaging.query import run_query
from imaging.recipe_book import open_recipes
from imaging.records import publication_key
from imaging.site import process_site
from imaging.steps import beat, plan_work, site_task
from imaging.store import FolderStore, Store, open_store
from tests.flows.command_line import command_line
from tests.imaging.small_damage import flip, follow_quickly, manifest_of, remove, truncate
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_plate
from tests.prepared import prepare_cache
from tests.standins.bigquery_jobs import BigQueryJobs
from tests.standins.gcs import GcsStandIn

LIMIT_S = 300.0
SECOND_RECIPE = """
name: v2
nuclei: {diameter_px: [8, 20]}
cells: {}
features: {families: [AreaShape, Intensity], whole_images: no}
"""


def declare(store: Store) -> None:
    """Put the experiment into a store."""
    folder = experiment_key("screen").rpartition("/")[0]
    store.write(f"{folder}/experiment.yaml", EXPERIMENT.encode())
    store.write(f"{folder}/map.csv", PLATE_MAP.encode())


def upload(store: Store, wells: str = "AB") -> None:
    for name, data in draw_plate().items():
        if name[0] in wells:
            store.write(f"raw/screen/P1/{name}", data)


def open_plate(store: Store, recipe: str = "") -> PlateJob:
    return open_job(store, "screen", "P1", settle_s=0.0, recipe=recipe)


def test_prefects_database_lost_in_the_middle_of_a_plate(tmp_path: Path) -> None:
    """A plate that is half done, its run gone with its database: finished by a Prefect that never heard of it."""
    store = FolderStore(tmp_path / "store")
    declare(store)
    upload(store, "A")
    job = open_plate(store)
    for site in plan_work(job).todo:
        process_site(site_task(job, site), measure_planes)
    beat(job, "a run that ended with its database")
    done = manifests(store)
    upload(store, "B")
    server, scheduler, web = find_free_ports(3)
    settings = Settings(
        store=str(tmp_path / "store"),
        api_url=f"http://127.0.0.1:{server}/api",
        scheduler=f"tcp://127.0.0.1:{scheduler}",
        state_folder=tmp_path / "state",
        cache_folder=prepare_cache(tmp_path / "cache"),
        web_port=web,
        workers=1,
        linger_s=2.0,
        heartbeat_s=2.0,
        heartbeat_stale_s=6.0,
    )
    services = local_services(settings, tmp_path / "logs")
    watch = [each for each in services if each.name == "watch"]
    with Supervisor([each for each in services if each.name != "watch"]) as supervisor, ExitStack() as until_done:
        supervisor.wait_until_ready(LIMIT_S)
        # not before: what it asks for while nothing is registered is asked for again half a minute later
        until_done.enter_context(Supervisor(watch))
        deadline = time.monotonic() + LIMIT_S
        while not is_current(job := open_plate(store), job.survey()):
            assert time.monotonic() < deadline, (tmp_path / "logs" / "watch.log").read_text()[-2000:]
            time.sleep(0.5)
    assert len(done) == 2
    assert {key: token for key, token in manifests(store).items() if key in done} == done
    assert len(manifests(store)) == 4
    assert run_query(store, "SELECT status FROM plate_runs").to_pylist() == [{"status": "complete"}]


def manifests(store: Store) -> dict[str, str]:
    """Key -> version of the manifests of the plate's sites."""
    prefix = open_plate(store).prefix
    return {item.key: item.token for item in store.list(f"{prefix}sites/").objects}


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    store = FolderStore(tmp_path / "store")
    declare(store)
    upload(store)
    return store


def test_results_damaged_are_found_and_mended_by_the_commands(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = command_line(monkeypatch, capfd, tmp_path)
    monkeypatch.setenv("PLATESTREAM_WORKERS", "1")
    job = open_plate(store)
    follow_quickly(job)
    assert run("verify", "--store", store.root).status == 0
    truncate(store, manifest_of(job, "A02")["part"]["key"])
    flip(store, next(item["key"] for item in manifest_of(job, "B01")["zarr"]["objects"] if "/0/c/" in item["key"]))
    remove(store, f"{job.zarr}/A/zarr.json")
    found = run("verify", "screen", "P1", "--json", "--store", store.root)
    assert found.status == 1
    assert sorted(item["what"] for item in json.loads(found.out)["damages"]) == ["description", "site", "site"]
    mended = run("repair", "--store", store.root)
    assert mended.status == 0, mended
    assert mended.out.splitlines()[-1] == "3 damages mended, 0 left"
    whole = run("verify", "--store", store.root)
    assert whole.status == 0
    assert "all whole" in whole.out
    assert run("repair", "--store", store.root).out == "nothing is damaged\n"
    redone = {key.rpartition("/")[2][:3] for key in manifests(store)}
    assert len(manifests(store)) == 6
    assert redone == {"A01", "A02", "B01", "B02"}


def test_what_cannot_be_mended_is_said_and_left(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    run = command_line(monkeypatch, capfd, tmp_path)
    job = open_plate(store)
    follow_quickly(job)
    remove(store, manifest_of(job, "A02")["part"]["key"])
    remove(store, "raw/screen/P1/A02_w1.tif")
    outcome = run("repair", "--store", store.root)
    assert outcome.status == 1
    assert "NOT MENDED" in outcome.out
    assert "upload them again" in outcome.out
    assert "0 damages mended, 1 left" in outcome.out
    assert run("verify", "typo", "--store", store.root).status == 2


def test_a_lost_warehouse_is_made_again_by_the_command(
    store: FolderStore,
    bigquery_jobs: BigQueryJobs,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for name, value in {"BIGQUERY_EMULATOR": bigquery_jobs.url, "GOOGLE_PROJECT": "lab", "DATASET": "screens"}.items():
        monkeypatch.setenv(f"PLATESTREAM_{name}", value)
    run = command_line(monkeypatch, capfd, tmp_path)
    job = open_plate(store)
    follow_quickly(job)
    assert run("warehouse", "--once", "--store", store.root).status == 0
    whole = run("rebuild-warehouse", "--json", "--store", store.root)
    tables = json.loads(whole.out)["tables"]
    assert (whole.status, tables["wells"], tables["sites"]) == (0, 4, 4)
    assert [item["jobs"] for item in json.loads(whole.out)["publications"]] == [0], "what is right is left"
    bigquery_jobs.client().delete_dataset("screens", delete_contents=True)
    made = run("rebuild-warehouse", "--store", store.root)
    assert (made.status, made.err) == (0, "")
    *rows, last = made.out.splitlines()
    assert {row.split()[0]: row.split()[1] for row in rows[1:]} == {name: f"{n:,}" for name, n in tables.items()}
    assert all("counted and summed on both sides" in row for row in rows[1:])
    assert last.startswith("1 publication in the warehouse as in the store, by ")
    again = json.loads(run("rebuild-warehouse", "--json", "--store", store.root).out)
    assert (again["tables"], [item["jobs"] for item in again["publications"]]) == (tables, [0])
    remove(store, json.loads(store.read(publication_key(job.prefix, 1)))["tables"]["wells"])
    bigquery_jobs.client().delete_dataset("screens", delete_contents=True)
    refused = run("rebuild-warehouse", "--store", store.root)
    assert refused.status == 1
    assert refused.err.startswith(f"screen/P1, publication 1 ({job.recipe}): ")


def test_a_bad_recipe_is_rolled_back_without_a_pixel(store: FolderStore) -> None:
    follow_quickly(open_plate(store))
    store.write(f"{experiment_key('screen').rpartition('/')[0]}/recipes/v2.yaml", SECOND_RECIPE.encode())
    book = open_recipes(store, open_plate(store).experiment)
    first, second = book.find("v1"), book.find("v2")
    record_promotion(store, second, instead_of=first.recipe_id, because="finds more")
    follow_quickly(open_plate(store))
    assert shown(store) == [second.recipe_id]
    before = {item.key: item.token for item in store.list("results/").objects}
    record_promotion(store, first, instead_of=second.recipe_id, because="v2 loses small nuclei")
    assert shown(store) == [first.recipe_id]
    assert open_plate(store).recipe == first.recipe_id
    assert follow_quickly(open_plate(store)) is not None
    assert {item.key: item.token for item in store.list("results/").objects} == before


def shown(store: Store) -> list[str]:
    """Recipes whose rows the views show."""
    return [row["recipe"] for row in run_query(store, "SELECT DISTINCT recipe FROM wells").to_pylist()]


def test_a_store_moved_to_another_bucket_is_gone_on_with_and_nothing_is_measured_again(gcs: GcsStandIn) -> None:
    old = open_store(gcs.address("lab/screens"))
    declare(old)
    upload(old)
    follow_quickly(open_plate(old))
    upload_of_later = draw_plate()["A01_w1.tif"]
    gcs.create_bucket("other")
    new = open_store(gcs.address("other/plates"))
    for item in old.list("").objects:
        new.write(item.key, old.read(item.key))
    for item in old.list("raw/").objects:
        old.delete(item.key)
    job = open_plate(new)
    assert is_current(job, job.survey())
    before = {item.key: item.token for item in new.list("results/").objects}
    follow_quickly(job)
    assert {item.key: item.token for item in new.list("results/").objects} == before
    assert run_query(new, "SELECT COUNT(*) AS n FROM wells").to_pylist() == [{"n": 4}]
    new.write("raw/screen/P1/A01_w1.tif", upload_of_later[:-1] + b"\1")
    assert [site.well for site in open_plate(new).survey().todo] == ["A01"]
