"""The stand-in of BigQuery's jobs does as the service does where loading depends on it."""

from __future__ import annotations

import io
import time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.api_core.exceptions import BadRequest, Conflict, Forbidden, NotFound, PreconditionFailed
from google.cloud.bigquery import Client, LoadJobConfig, ParquetOptions, SchemaField, Table, TimePartitioning

from tests.standins.bigquery_jobs import BigQueryJobs

FIELDS = [SchemaField("well", "STRING"), SchemaField("n", "INTEGER"), SchemaField("why", "STRING", mode="REPEATED")]
ROWS = pa.table({"n": [1, 2], "well": ["A01", None]})


@pytest.fixture
def client(bigquery_jobs: BigQueryJobs) -> Client:
    client = bigquery_jobs.client()
    client.create_dataset("screens")
    table = Table("lab.screens.wells", FIELDS)
    table.time_partitioning = TimePartitioning()
    client.create_table(table)
    return client


def load(client: Client, job_id: str, rows: pa.Table = ROWS, table: str = "wells", **options: Any) -> Any:
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    size = options.pop("size", len(sink.getvalue()))
    parquet = ParquetOptions()
    parquet.enable_list_inference = options.pop("infers_lists", True)
    config = LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND", parquet_options=parquet)
    sink.seek(0)
    target = f"lab.screens.{table}"
    return client.load_table_from_file(sink, target, size=size, job_id=job_id, job_config=config, num_retries=0)


def count(client: Client) -> int:
    return next(iter(client.query_and_wait("SELECT COUNT(*) AS n FROM screens.wells"))).n


@pytest.mark.parametrize("is_resumable", [False, True])
def test_a_file_is_loaded_by_names_of_columns(client: Client, is_resumable: bool) -> None:
    load(client, "one", **({"size": None} if is_resumable else {})).result()
    answer = client.query_and_wait("SELECT well, n, why FROM screens.wells ORDER BY n")
    assert [dict(row) for row in answer] == [{"well": "A01", "n": 1, "why": []}, {"well": None, "n": 2, "why": []}]


def test_the_name_of_a_job_is_taken_once_also_in_other_datasets_and_after_a_failure(
    client: Client, bigquery_jobs: BigQueryJobs
) -> None:
    bigquery_jobs.fail_jobs("wells", "backendError")
    failed = load(client, "one")
    assert (failed.state, failed.error_result["reason"]) == ("DONE", "backendError")
    with pytest.raises(Conflict):
        load(client, "one")
    assert count(client) == 0
    assert client.get_job("one").error_result["reason"] == "backendError"


def test_a_job_goes_on_though_nobody_waits(client: Client, bigquery_jobs: BigQueryJobs) -> None:
    bigquery_jobs.running_s = 0.2
    assert load(client, "one").state == "RUNNING"
    bigquery_jobs.running_s = 0.0
    assert count(client) == 0
    time.sleep(0.25)
    assert count(client) == 2


@pytest.mark.parametrize(
    "rows",
    [
        pa.table({"n": ["x"]}),
        pa.table({"n": [1], "other": [1]}),
        pa.table({"n": [1.5]}),
        pa.table({"why": ["not a list"]}),
    ],
)
def test_a_file_that_does_not_fit_adds_nothing(client: Client, rows: pa.Table) -> None:
    assert load(client, "one", rows).error_result["reason"] == "invalid"
    assert count(client) == 0


def test_lists_are_records_unless_inference_is_asked_for(client: Client) -> None:
    rows = pa.table({"why": pa.array([["a", "b"]], pa.list_(pa.string()))})
    assert load(client, "one", rows, infers_lists=False).error_result["reason"] == "invalid"
    load(client, "two", rows).result()
    assert [row.why for row in client.query_and_wait("SELECT why FROM screens.wells")] == [["a", "b"]]


@pytest.mark.parametrize(("partition", "reason"), [("wells$20260203", None), ("wells$today", "invalid")])
def test_partitions_are_named_by_days(client: Client, partition: str, reason: str | None) -> None:
    assert (load(client, "one", table=partition).error_result or {}).get("reason") == reason


def test_10001_columns_are_refused(client: Client) -> None:
    with pytest.raises(BadRequest, match="Too many columns: 10001"):
        client.create_table(Table("lab.screens.wide", [SchemaField(f"f{n}", "FLOAT") for n in range(10_001)]))


def test_a_stale_change_is_refused(client: Client) -> None:
    first, second = client.get_table("screens.wells"), client.get_table("screens.wells")
    first.schema = [*FIELDS, SchemaField("x", "FLOAT")]
    client.update_table(first, ["schema"])
    second.schema = [*FIELDS, SchemaField("y", "FLOAT")]
    with pytest.raises(PreconditionFailed):
        client.update_table(second, ["schema"])


def test_columns_are_never_changed_or_taken_away(client: Client) -> None:
    for schema in (FIELDS[1:], [SchemaField("well", "INTEGER"), *FIELDS[1:]]):
        table = client.get_table("screens.wells")
        table.schema = schema
        with pytest.raises(BadRequest, match="does not match"):
            client.update_table(table, ["schema"])


def test_views_show_what_their_tables_have_now(client: Client) -> None:
    client.query_and_wait("CREATE OR REPLACE VIEW screens.shown AS SELECT * FROM screens.wells")
    table = client.get_table("screens.wells")
    table.schema = [*FIELDS, SchemaField("x", "FLOAT")]
    client.update_table(table, ["schema"])
    assert [field.name for field in client.query_and_wait("SELECT * FROM screens.shown").schema][-1] == "x"


def test_what_is_not_there_is_not_found(client: Client) -> None:
    for ask in (
        lambda: client.get_job("none"),
        lambda: client.get_table("screens.none"),
        lambda: client.get_dataset("none"),
        lambda: client.query_and_wait("SELECT 1 FROM screens.none"),
    ):
        with pytest.raises(NotFound):
            ask()


def test_a_used_up_quota_is_forbidden_with_its_reason(client: Client, bigquery_jobs: BigQueryJobs) -> None:
    bigquery_jobs.trouble("load wells", 403, "quotaExceeded")
    with pytest.raises(Forbidden) as caught:
        load(client, "one")
    assert caught.value.errors[0]["reason"] == "quotaExceeded"
