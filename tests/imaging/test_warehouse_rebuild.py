"""A warehouse that is lost in whole or in part is made again from the store, equal to before; what is right is left."""

from __future__ import annotations

import json
from typing import Any

from imaging.records import publication_key
from imaging.store import Store
from imaging.voids import void_publication
from imaging.warehouse.live import LiveLoader
from imaging.warehouse.outcomes import Loaded, Refused
from imaging.warehouse.publications import Loader
from imaging.warehouse.rounds import Rounds
from tests.imaging import small_screen
from tests.imaging.small_screen import publish, record
from tests.imaging.small_warehouse import DATASET, load, open_warehouse, rows
from tests.standins.bigquery_jobs import BigQueryJobs

VIEWS = ("images", "sites", "wells", "plates", "site_runs", "plate_runs", "sites_all")
OF_NOW = {"loaded_at"}


def publish_all(store: Store) -> None:
    """A plate published twice, the second time with fewer sites, and withdrawn in between."""
    publish(store, 1)
    record(store, 2, status="withdrawn")
    publish(store, 3, run="run2", manifests=tuple(small_screen.manifests()[:4]))


def contents(bigquery: BigQueryJobs) -> dict[str, list[str]]:
    """Every row of some views, of superseded publications too, as texts in an order of their own."""
    found = {}
    for name in VIEWS:
        read: list[dict[str, Any]] = rows(bigquery.client(), f"SELECT * FROM {DATASET}.{name}")
        kept = [{key: value for key, value in row.items() if key not in OF_NOW} for row in read]
        found[name] = sorted(json.dumps(row, default=str, sort_keys=True) for row in kept)
    return found


def rebuild(bigquery: BigQueryJobs, store: Store) -> list[Loaded | Refused]:
    outcomes: list[Loaded | Refused] = []
    loader = Loader(open_warehouse(bigquery.client()), store, outcomes.append, compares_all=True)
    Rounds(loader, LiveLoader(loader.warehouse, store)).round()
    return outcomes


def begun(bigquery: BigQueryJobs, before: int) -> set[str]:
    """Tables that jobs were begun for."""
    return {line.split("$")[0].split()[0] for line in bigquery.loads()[before:]}


def test_what_is_lost_of_a_warehouse_is_made_again_equal_to_before_and_no_more(
    bigquery_jobs: BigQueryJobs, folder_store: Store
) -> None:
    publish_all(folder_store)
    load(bigquery_jobs.client(), folder_store)
    before = contents(bigquery_jobs)
    client, jobs = bigquery_jobs.client(), len(bigquery_jobs.loads())
    assert [item.jobs for item in rebuild(bigquery_jobs, folder_store) if isinstance(item, Loaded)] == [0, 0, 0]
    assert begun(bigquery_jobs, jobs) == set()
    for table in ("sites_all", "plate_runs_all"):
        client.delete_table(f"{DATASET}.{table}")
    rebuild(bigquery_jobs, folder_store)
    assert contents(bigquery_jobs) == before
    assert begun(bigquery_jobs, jobs) == {"sites_all", "plate_runs_all"}
    client.delete_dataset(DATASET, delete_contents=True)
    assert [type(item) for item in rebuild(bigquery_jobs, folder_store)] == [Loaded] * 3
    assert contents(bigquery_jobs) == before


def test_a_publication_that_was_given_up_holds_up_no_other(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish_all(folder_store)
    prefix = f"results/screen/P1/{small_screen.RECIPE}/"
    lost = json.loads(folder_store.read(publication_key(prefix, 1)))["tables"]["sites"]
    folder_store.delete(lost)
    assert [type(item) for item in rebuild(bigquery_jobs, folder_store)] == [Loaded, Loaded, Refused]
    void_publication(folder_store, prefix, 1, "gone", is_current=False)
    assert [item.number for item in rebuild(bigquery_jobs, folder_store)] == [3, 2]
    assert len(contents(bigquery_jobs)["sites"]) == 12
