"""Decisions about acquisitions in BigQuery: each once, whoever loads it, and seen in every view."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from imaging.acquisitions import decide_acquisition, decision_key
from imaging.experiment import read_experiment
from imaging.query import run_query
from imaging.store import FolderStore
from imaging.warehouse.acquisitions import DecisionsLoader
from imaging.warehouse.live import LiveLoader
from imaging.warehouse.publications import Loader
from imaging.warehouse.rounds import Rounds
from tests.imaging import small_screen
from tests.imaging.small_screen import publish
from tests.imaging.small_warehouse import counts, load, open_warehouse, rows
from tests.standins.bigquery_jobs import BigQueryJobs

NOW = datetime(2026, 2, 3, 12, tzinfo=UTC).timestamp()
EXPERIMENT = read_experiment(small_screen.YAML + b"barcode: '^(?P<barcode>[^_]+)'")


def acquire(store: FolderStore, plate: str, at: float) -> None:
    publish(store, plate=plate, run=f"run {plate}", barcode=plate[:2], first_image_at=at)
    decide_acquisition(store, EXPERIMENT, plate)


def rounds_of(bigquery: BigQueryJobs, store: FolderStore) -> Rounds:
    warehouse = open_warehouse(bigquery.client())
    return Rounds(Loader(warehouse, store), LiveLoader(warehouse, store))


def shown(bigquery: BigQueryJobs, sql: str) -> list[dict[str, Any]]:
    return rows(bigquery.client(), sql)


def test_views_of_bigquery_show_the_acquisition_that_was_chosen_last(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    acquire(folder_store, "P1_a", 10.0)
    acquire(folder_store, "P2_a", 10.0)
    rounds = rounds_of(bigquery_jobs, folder_store)
    rounds.round(NOW)
    plates = "SELECT DISTINCT plate FROM screens.sites ORDER BY plate"
    assert [row["plate"] for row in shown(bigquery_jobs, plates)] == ["P1_a", "P2_a"]
    for number, plate in enumerate(("P1_b", "P1_c"), start=1):
        acquire(folder_store, plate, 10.0 * number + 10)
        rounds.round(NOW + 60 * number)
        assert [row["plate"] for row in shown(bigquery_jobs, plates)] == [plate, "P2_a"]
    for name in ("acquisitions", "acquisition_decisions", "plate_runs", "wells", "plate_overview"):
        sql = f"SELECT * FROM {name} ORDER BY plate"
        here = run_query(folder_store, sql).to_pylist()
        assert here
        assert shown(bigquery_jobs, sql.replace(name, f"screens.{name}")) == here, name


def test_a_decision_is_loaded_once_by_any_number_of_loaders(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    acquire(folder_store, "P1_a", 10.0)
    acquire(folder_store, "P1_b", 20.0)
    rounds_of(bigquery_jobs, folder_store).round(NOW)
    late = DecisionsLoader(open_warehouse(bigquery_jobs.client()), folder_store)
    assert late.find_missing("screen") == []
    late._loaded = set()  # as if it had asked before the other one loaded
    late.load(late.find_missing("screen"))
    assert counts(bigquery_jobs.client(), "acquisition_decisions_all") == {"acquisition_decisions_all": 2}


def test_who_loads_one_plate_loads_what_hides_its_other_acquisition(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    """The flow that a publication starts may be all there is of the warehouse's programs."""
    for number, plate in enumerate(("P1_a", "P1_b"), start=1):
        acquire(folder_store, plate, 10.0 * number)
        load(bigquery_jobs.client(), folder_store, plate)
    assert shown(bigquery_jobs, "SELECT DISTINCT plate FROM screens.sites") == [{"plate": "P1_b"}]


def test_a_damaged_decision_holds_up_none_of_other_plates_and_no_promotion(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    for plate in ("P1_a", "P1_b", "P2_a", "P2_b"):
        acquire(folder_store, plate, 10.0)
    small_screen.promote(folder_store, "v2-89abcdef")
    folder_store.write(decision_key("screen", "P1", 1), b"{")
    rounds_of(bigquery_jobs, folder_store).round(NOW)
    barcodes = shown(bigquery_jobs, "SELECT DISTINCT barcode FROM screens.acquisition_decisions")
    assert barcodes == [{"barcode": "P2"}]
    assert counts(bigquery_jobs.client(), "promotions") == {"promotions": 1}


def test_a_damaged_promotion_holds_up_no_decision(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    acquire(folder_store, "P1_a", 10.0)
    acquire(folder_store, "P1_b", 20.0)
    folder_store.write("experiments/screen/promotions/000001.json", b"{")
    rounds_of(bigquery_jobs, folder_store).round(NOW)
    assert counts(bigquery_jobs.client(), "acquisition_decisions") == {"acquisition_decisions": 2}


def test_a_table_that_was_made_anew_is_filled_again(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    acquire(folder_store, "P1_a", 10.0)
    acquire(folder_store, "P1_b", 20.0)
    rounds_of(bigquery_jobs, folder_store).round(NOW)
    bigquery_jobs.client().delete_table("lab.screens.acquisition_decisions_all")
    rounds_of(bigquery_jobs, folder_store).round(NOW)
    assert counts(bigquery_jobs.client(), "acquisition_decisions") == {"acquisition_decisions": 2}


def test_a_damaged_decision_holds_up_no_rows(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    acquire(folder_store, "P1_a", 10.0)
    acquire(folder_store, "P1_b", 20.0)
    folder_store.write(decision_key("screen", "P1", 1), b"{")
    rounds_of(bigquery_jobs, folder_store).round(NOW)
    assert counts(bigquery_jobs.client(), "plate_runs", "acquisition_decisions") == {
        "plate_runs": 2,
        "acquisition_decisions": 0,
    }
