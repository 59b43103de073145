"""A warehouse that is lost in whole or in part is made again from the store, equal to before; what is right is left."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imaging.records import publication_key
from imaging.store import Store
from imaging.voids import void_publication
from imaging.warehouse.live import LiveLoader
from imaging.warehouse.publications import Loaded, Loader, Refused
from imaging.warehouse.rounds import Rounds
from imaging.warehouse.schemas import LOADED
from tests.imaging import small_screen
from tests.imaging.small_screen import publish, record
from tests.imaging.small_warehouse import DATASET, load, open_warehouse, rows
from tests.standins.bigquery_jobs import BigQueryJobs

TABLES = (*(table.name for table in LOADED), "plate_runs")
OF_NOW = {"loaded_at"}


def publish_all(store: Store) -> None:
    """A plate published twice, the second time with fewer sites, and one that is withdrawn."""
    publish(store, 1)
    publish(store, 2, run="run2", manifests=tuple(small_screen.manifests()[:4]))
    publish(store, 1, plate="P2", run="run3")
    record(store, 2, plate="P2", status="withdrawn")


def contents(bigquery: BigQueryJobs) -> dict[str, list[str]]:
    """Every row of every view, those of superseded publications too, as texts in an order of their own."""
    found = {}
    for name in (*TABLES, *(f"{table.name}_all" for table in LOADED)):
        read: list[dict[str, Any]] = rows(bigquery.client(), f"SELECT * FROM {DATASET}.{name}")
        kept = [{key: value for key, value in row.items() if key not in OF_NOW} for row in read]
        found[name] = sorted(json.dumps(row, default=str, sort_keys=True) for row in kept)
    return found


def rebuild(bigquery: BigQueryJobs, store: Store) -> list[Loaded | Refused]:
    outcomes: list[Loaded | Refused] = []
    loader = Loader(open_warehouse(bigquery.client()), store, outcomes.append, compares_all=True)
    Rounds(loader, LiveLoader(loader.warehouse, store)).round()
    return outcomes


@pytest.fixture
def loaded(bigquery_jobs: BigQueryJobs, folder_store: Store) -> dict[str, list[str]]:
    publish_all(folder_store)
    for plate in ("P1", "P2"):
        load(bigquery_jobs.client(), folder_store, plate)
    return contents(bigquery_jobs)


def test_a_lost_dataset_is_made_again_equal_to_before(
    bigquery_jobs: BigQueryJobs, folder_store: Store, loaded: dict[str, list[str]]
) -> None:
    bigquery_jobs.client().delete_dataset(DATASET, delete_contents=True)
    outcomes = rebuild(bigquery_jobs, folder_store)
    assert [type(item) for item in outcomes] == [Loaded] * 4
    assert contents(bigquery_jobs) == loaded


@pytest.mark.parametrize("table", ["sites_all", "images_all", "plate_runs_all"])
def test_a_lost_table_is_filled_again_and_no_other_is_touched(
    bigquery_jobs: BigQueryJobs, folder_store: Store, loaded: dict[str, list[str]], table: str
) -> None:
    bigquery_jobs.client().delete_table(f"{DATASET}.{table}")
    before = len(bigquery_jobs.loads())
    rebuild(bigquery_jobs, folder_store)
    assert contents(bigquery_jobs) == loaded
    assert {line.split("$")[0].split()[0] for line in bigquery_jobs.loads()[before:]} == {table}


def test_a_warehouse_that_is_right_begins_no_job(
    bigquery_jobs: BigQueryJobs, folder_store: Store, loaded: dict[str, list[str]]
) -> None:
    before = bigquery_jobs.loads()
    outcomes = rebuild(bigquery_jobs, folder_store)
    assert [item.jobs for item in outcomes if isinstance(item, Loaded)] == [0] * 4
    assert bigquery_jobs.loads() == before
    assert contents(bigquery_jobs) == loaded


def test_a_publication_that_was_given_up_holds_up_no_other(
    bigquery_jobs: BigQueryJobs, folder_store: Store, loaded: dict[str, list[str]]
) -> None:
    prefix = f"results/screen/P1/{small_screen.RECIPE}/"
    lost = json.loads(folder_store.read(publication_key(prefix, 1)))["tables"]["sites"]
    folder_store.delete(lost)
    void_publication(folder_store, prefix, 1, "gone", is_current=False)
    bigquery_jobs.client().delete_dataset(DATASET, delete_contents=True)
    assert [type(item) for item in rebuild(bigquery_jobs, folder_store)] == [Loaded] * 3
    found = contents(bigquery_jobs)
    assert {name: found[name] for name in TABLES[:-1]} == {name: loaded[name] for name in TABLES[:-1]}
