"""Analyses in BigQuery: each once, shown as on DuckDB, and what is refused is said."""

from __future__ import annotations

import json
from typing import Any

from imaging.analyses.analysis_records import record_key
from imaging.analysis_tables import ANALYSED
from imaging.query import run_query
from imaging.store import FolderStore, Store
from imaging.warehouse.live import LiveLoader
from imaging.warehouse.outcomes import Loaded, Refused
from imaging.warehouse.publications import Loader
from imaging.warehouse.rounds import Rounds
from tests.imaging import small_screen
from tests.imaging.small_analyses import record_analysis
from tests.imaging.small_warehouse import counts, open_warehouse, prepared, rows
from tests.standins.bigquery_jobs import BigQueryJobs

NAMES = [*(table.name for table in ANALYSED), "analyses", "analysis_choices", "shown_analyses"]


def told(found: list[dict[str, Any]]) -> list[str]:
    """Rows as texts, in an order of their own."""
    return sorted(json.dumps(row, sort_keys=True, default=lambda moment: moment.isoformat()) for row in found)


def same_as_duckdb(bigquery: BigQueryJobs, store: Store) -> None:
    for name in [*NAMES, *(f"{table.name}_all" for table in ANALYSED)]:
        ours = run_query(store, f"SELECT * FROM {name}").to_pylist()
        theirs = rows(bigquery.client(), f"SELECT * FROM screens.{name}")
        names = ours[0] if ours else ()
        assert told(ours) == told([{column: row[column] for column in names} for row in theirs]), name


def test_analyses_on_any_store_are_shown_as_on_duckdb(bigquery_jobs: BigQueryJobs, store: Store) -> None:
    record_analysis(store, 1, hits=("x", "y"))
    record_analysis(store, 2, hits=("x",))
    record_analysis(store, 1, recipe="other-89abcdef", hits=("z",))
    loader = prepared(bigquery_jobs.client(), store)
    assert [type(item) for item in loader.load_analyses("screen")] == [Loaded] * 3
    same_as_duckdb(bigquery_jobs, store)
    assert counts(bigquery_jobs.client(), "hits", "hits_all", "analyses") == {"hits": 1, "hits_all": 4, "analyses": 3}


def test_what_is_loaded_is_not_loaded_again_by_anybody(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    run = record_analysis(folder_store, 1, hits=("x",))
    loader = prepared(bigquery_jobs.client(), folder_store)
    loader.load_analyses("screen")
    done = len(bigquery_jobs.loads())
    loader.load_analyses("screen")
    prepared(bigquery_jobs.client(), folder_store).load_analyses("screen")
    assert len(bigquery_jobs.loads()) == done
    record_analysis(folder_store, 2, hits=("y",))
    record_analysis(folder_store, 3, hits=("x",), run=run)  # the first one once more: its rows are there
    loader.load_analyses("screen")
    assert counts(bigquery_jobs.client(), "hits_all", "analyses") == {"hits_all": 2, "analyses": 3}
    same_as_duckdb(bigquery_jobs, folder_store)


def test_a_failed_analysis_is_told_and_shows_nothing(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    record_analysis(folder_store, 1, hits=("x",))
    record_analysis(folder_store, 2, hits=(), status="failed", reason="no negative controls", tables={}, scores={})
    prepared(bigquery_jobs.client(), folder_store).load_analyses("screen")
    assert counts(bigquery_jobs.client(), "hits", "hits_all") == {"hits": 0, "hits_all": 1}
    (row,) = rows(bigquery_jobs.client(), "SELECT status, reason FROM screens.analyses WHERE is_current")
    assert (row["status"], row["reason"]) == ("failed", "no negative controls")


def test_a_damaged_record_or_table_is_said_and_holds_up_no_other(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    record_analysis(folder_store, 1, hits=("x",))
    record_analysis(folder_store, 2, hits=("y",))
    record_analysis(folder_store, 3, hits=("z",))
    folder_store.write(record_key("screen", "standard-0123abcd", 3), b"no record")
    for item in folder_store.list("results/screen/_analyses/").objects:
        if "/000002-" in item.key and item.key.endswith("hits.parquet"):
            folder_store.write(item.key, b"no Parquet")
    loader = prepared(bigquery_jobs.client(), folder_store)
    outcomes = loader.load_analyses("screen")
    assert [item.place for item in outcomes if isinstance(item, Refused)] == [
        "screen, analysis 3 (standard-0123abcd)",
        "screen, analysis 2 (standard-0123abcd)",
    ]
    assert [(item.number, item.rows["hits"]) for item in outcomes if isinstance(item, Loaded)] == [(1, 1)]
    assert loader.load_analyses("screen") == []
    assert counts(bigquery_jobs.client(), "hits_all", "analyses") == {"hits_all": 1, "analyses": 1}


def test_a_round_loads_analyses_too(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    small_screen.publish(folder_store)
    record_analysis(folder_store, 1, hits=("x",))
    warehouse = open_warehouse(bigquery_jobs.client())
    rounds = Rounds(Loader(warehouse, folder_store), LiveLoader(warehouse, folder_store))
    rounds.round()
    assert counts(bigquery_jobs.client(), "hits") == {"hits": 1}
    record_analysis(folder_store, 2, hits=("x", "y"))
    rounds.round()
    assert counts(bigquery_jobs.client(), "hits", "hits_all") == {"hits": 2, "hits_all": 3}


def test_a_rebuild_compares_analyses_and_loads_again_what_is_gone_or_differs(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    record_analysis(folder_store, 1, hits=("x", "y"))
    prepared(bigquery_jobs.client(), folder_store).load_analyses("screen")

    def rebuild() -> list[int]:
        loader = Loader(open_warehouse(bigquery_jobs.client()), folder_store, compares_all=True)
        loader.prepare()
        return [item.jobs for item in loader.load_analyses("screen") if isinstance(item, Loaded)]

    assert rebuild() == [0], "what is right is left"
    rows(bigquery_jobs.client(), "UPDATE screens.hits_all SET n_plates = 99 WHERE TRUE")
    assert rebuild()[0] > 0
    same_as_duckdb(bigquery_jobs, folder_store)
    bigquery_jobs.client().delete_dataset("screens", delete_contents=True)
    assert rebuild()[0] > 0
    same_as_duckdb(bigquery_jobs, folder_store)
    assert rebuild() == [0]
