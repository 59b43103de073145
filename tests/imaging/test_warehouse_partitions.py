"""Rows of publications in their partitions: counted, repaired and deleted there, and found where they are."""

from __future__ import annotations

import re

from imaging.store import Store
from imaging.warehouse.outcomes import Refused
from tests.imaging import small_screen
from tests.imaging.small_screen import publish, record
from tests.imaging.small_warehouse import counts, load, prepared
from tests.imaging.test_warehouse_publications import NOTHING, SHOWN, shown
from tests.parts import ROOT
from tests.standins.bigquery_jobs import BigQueryJobs


def test_rows_lie_in_the_partition_of_the_day_of_their_publication(
    bigquery_jobs: BigQueryJobs, folder_store: Store
) -> None:
    publish(folder_store)
    load(bigquery_jobs.client(), folder_store)
    assert {partition for table, partition, _ in bigquery_jobs.tables.loads if table != "plate_runs_all"} == {
        "20260203"
    }
    made = bigquery_jobs.client().get_table("lab.screens.images_all")
    assert (made.time_partitioning.type_, made.clustering_fields) == ("DAY", ["experiment", "plate"])


def test_doubled_rows_are_deleted_and_loaded_again_before_they_are_shown(
    bigquery_jobs: BigQueryJobs, folder_store: Store
) -> None:
    keys = publish(folder_store)
    loader = prepared(bigquery_jobs.client(), folder_store)

    def double() -> None:
        target = {"datasetId": "screens", "tableId": "images_all$20260203"}
        bigquery_jobs.tables.load(target, [folder_store.read(keys["images"])], infers_lists=True)
        assert shown(bigquery_jobs) == NOTHING

    bigquery_jobs.trouble("load images_all", double)
    loader.load_plate("screen", "P1")
    assert [rows for table, _, rows in bigquery_jobs.tables.loads if table == "images_all"] == [24, 24, 24]
    assert counts(bigquery_jobs.client(), "images_all") == {"images_all": 24}
    assert shown(bigquery_jobs) == SHOWN
    (repair,) = [line.removeprefix("change ") for line in bigquery_jobs.requests if line.startswith("change platestr")]
    assert bigquery_jobs.client().get_job(repair).query.endswith("AND _PARTITIONTIME = TIMESTAMP '2026-02-03'")


def test_rows_are_counted_in_their_partition_alone(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish(folder_store)
    load(bigquery_jobs.client(), folder_store)
    counted = [line for line in bigquery_jobs.requests if line.startswith("query SELECT COUNT(*) AS m0")]
    assert len(counted) == len([line for line in bigquery_jobs.loads() if not line.startswith("plate_runs_all")])
    assert all(line.endswith("AND _PARTITIONTIME = TIMESTAMP '2026-02-03'") for line in counted)


def test_a_run_lies_in_the_partition_of_its_first_publication_whichever_is_loaded(
    bigquery_jobs: BigQueryJobs, folder_store: Store
) -> None:
    publish(folder_store, 1)
    record(folder_store, 2, status="withdrawn", published_at="2026-02-05T05:00:00+00:00")
    publish(folder_store, 3, published_at="2026-02-07T05:00:00+00:00")
    load(bigquery_jobs.client(), folder_store)
    days = {partition for table, partition, _ in bigquery_jobs.tables.loads if table == "images_all"}
    assert days == {"20260203"}
    assert shown(bigquery_jobs) == SHOWN | {"plate_runs": 3}


def test_rows_that_lie_in_another_partition_are_found_and_not_doubled(
    bigquery_jobs: BigQueryJobs, folder_store: Store
) -> None:
    publish(folder_store)
    load(bigquery_jobs.client(), folder_store)
    moved = "UPDATE screens.images_all SET _PARTITIONTIME = TIMESTAMP '2026-03-01' WHERE TRUE"
    bigquery_jobs.tables.query(moved, {})
    bigquery_jobs.client().delete_table("lab.screens.plate_runs_all")
    load(bigquery_jobs.client(), folder_store)
    assert counts(bigquery_jobs.client(), "images_all") == {"images_all": 24}
    assert shown(bigquery_jobs) == SHOWN


def test_superseded_rows_are_deleted_as_the_operations_guide_says(
    bigquery_jobs: BigQueryJobs, folder_store: Store
) -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    (sql,) = re.findall(r"^    DELETE FROM DATASET\.images_all.*?^    \)$", guide, re.MULTILINE | re.DOTALL)
    publish(folder_store, 1)
    publish(folder_store, 2, run="run2", manifests=tuple(small_screen.manifests()[:4]))
    loader = prepared(bigquery_jobs.client(), folder_store)
    loader.load_plate("screen", "P1")
    before = shown(bigquery_jobs)
    assert counts(bigquery_jobs.client(), "images_all") == {"images_all": 48}
    bigquery_jobs.tables.query(sql.replace("DATASET", "screens"), {})
    assert counts(bigquery_jobs.client(), "images_all") == {"images_all": 24}
    assert shown(bigquery_jobs) == before
    assert loader.load_plate("screen", "P1") == []


def test_rows_that_differ_each_time_are_never_shown(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish(folder_store)
    loader = prepared(bigquery_jobs.client(), folder_store)
    spoil = "UPDATE screens.plates_all SET z_prime = 0.5 WHERE TRUE"
    for _ in range(3):
        bigquery_jobs.trouble("load plates_all", lambda: bigquery_jobs.tables.query(spoil, {}) and None)
    (outcome,) = loader.load_plate("screen", "P1")
    assert isinstance(outcome, Refused)
    assert "the rows of plates in BigQuery differ from those published (1 and 1 rows)" in outcome.reason
    assert shown(bigquery_jobs) == NOTHING


def test_a_table_that_was_made_anew_is_filled_again(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish(folder_store)
    load(bigquery_jobs.client(), folder_store)
    for table in ("plate_runs_all", "sites_all"):
        bigquery_jobs.client().delete_table(f"lab.screens.{table}")
    load(bigquery_jobs.client(), folder_store)
    assert shown(bigquery_jobs) == SHOWN
    assert counts(bigquery_jobs.client(), "images_all", "sites_all") == {"images_all": 24, "sites_all": 12}
