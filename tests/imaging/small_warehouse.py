"""A small screen loaded into a stand-in of BigQuery, in this process or as a program that a test may kill.

python -m tests.imaging.small_warehouse STORE URL DATASET
"""

from __future__ import annotations

import sys
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from imaging.store import Store, open_store
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.outcomes import Loaded, Refused
from imaging.warehouse.publications import Loader

DATASET = "screens"


def open_warehouse(client: bigquery.Client, dataset: str = DATASET) -> Warehouse:
    return Warehouse(client, dataset, "EU", patience_s=2.0, pause_s=0.02)


def prepared(client: bigquery.Client, store: Store) -> Loader:
    loader = Loader(open_warehouse(client), store)
    loader.prepare()
    return loader


def load(client: bigquery.Client, store: Store, plate: str = "P1") -> list[Loaded | Refused]:
    return prepared(client, store).load_plate("screen", plate)


def rows(client: bigquery.Client, sql: str) -> list[dict[str, Any]]:
    return open_warehouse(client).ask(sql)


def counts(client: bigquery.Client, *names: str) -> dict[str, int]:
    """Number of rows of tables and views."""
    return {name: rows(client, f"SELECT COUNT(*) AS n FROM {DATASET}.{name}")[0]["n"] for name in names}


if __name__ == "__main__":
    options = {"api_endpoint": sys.argv[2]}
    given = bigquery.Client("lab", credentials=AnonymousCredentials(), client_options=options)
    for outcome in load(given, open_store(sys.argv[1])):
        print(outcome)
