"""The BigQuery stand-in: it starts offline, does as BigQuery does, and ends with the tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.cloud.bigquery import Client, Dataset, LoadJobConfig, SchemaField, SourceFormat, Table, WriteDisposition

from tests.parts import ROOT
from tests.standins.bigquery import BigQueryStandIn

WELLS = [SchemaField("well", "STRING"), SchemaField("column", "INT64"), SchemaField("nuclei", "FLOAT64")]
PARQUET = LoadJobConfig(source_format=SourceFormat.PARQUET, write_disposition=WriteDisposition.WRITE_APPEND)


@pytest.fixture
def client(bigquery: BigQueryStandIn) -> Client:
    return bigquery.client()


@pytest.fixture
def wells(client: Client, dataset: Dataset) -> Table:
    return client.create_table(Table(dataset.table("wells"), WELLS))


def test_a_query_is_answered_in_bigquerys_dialect(client: Client) -> None:
    rows = client.query_and_wait("SELECT SAFE_DIVIDE(1, 0) AS nothing, COUNTIF(FALSE) AS none FROM UNNEST([1, 2])")
    assert [dict(row) for row in rows] == [{"nothing": None, "none": 0}]


@pytest.mark.parametrize("in_one_request", [True, False])
def test_parquet_is_loaded_by_the_names_of_columns(
    client: Client, wells: Table, tmp_path: Path, in_one_request: bool
) -> None:
    path = tmp_path / "wells.parquet"
    pq.write_table(pa.table({"nuclei": [12.5], "column": [3], "well": ["B03"]}), path)
    with path.open("rb") as file:
        size = path.stat().st_size if in_one_request else None
        client.load_table_from_file(file, wells.reference, size=size, job_config=PARQUET).result()
    assert [dict(row) for row in client.list_rows(wells)] == [{"well": "B03", "column": 3, "nuclei": 12.5}]


def test_gs_addresses_are_files_below_the_root_of_buckets(tmp_path: Path) -> None:
    (tmp_path / "lab" / "results").mkdir(parents=True)
    pq.write_table(pa.table({"nuclei": [1.0], "column": [2], "well": ["A02"]}), tmp_path / "lab/results/wells.parquet")
    with BigQueryStandIn(gcs_root=tmp_path) as server:
        client = server.client()
        table = client.create_table(Table(client.create_dataset("screens").table("wells"), WELLS))
        client.load_table_from_uri("gs://lab/results/wells.parquet", table.reference, job_config=PARQUET).result()
        assert [row["well"] for row in client.list_rows(table)] == ["A02"]


def test_each_test_gets_an_empty_dataset(client: Client, dataset: Dataset) -> None:
    assert list(client.list_tables(dataset)) == []


def test_it_ends_when_the_tests_are_killed(bigquery: BigQueryStandIn) -> None:
    code = (
        "import time; from tests.standins.bigquery import BigQueryStandIn\n"
        "with BigQueryStandIn() as server:\n"
        "    print(server._process.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as tests:
        emulator = int(tests.stdout.readline())
        tests.send_signal(signal.SIGKILL)
    while _is_running(emulator):
        time.sleep(0.05)


def _is_running(process: int) -> bool:
    """Whether a process is there and not only waits for its parent to notice its end."""
    try:
        os.kill(process, 0)
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
