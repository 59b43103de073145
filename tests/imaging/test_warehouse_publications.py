"""Publications in BigQuery: each once, whole or not at all, whoever loads them and whatever goes wrong on the way."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imaging.errors import ConfigurationError, WarehouseUnavailableError
from imaging.query import run_query
from imaging.store import FolderStore, Store
from imaging.warehouse.outcomes import Loaded, Refused
from imaging.warehouse.schemas import LOADED
from tests.imaging import small_screen
from tests.imaging.small_screen import AREA, RATIO, publish, record
from tests.imaging.small_warehouse import counts, load, open_warehouse, prepared, rows
from tests.standins.bigquery_jobs import LOST, BigQueryJobs

SHOWN = {"images": 24, "sites": 12, "wells": 6, "plates": 1, "image_features": 24, "site_runs": 12, "plate_runs": 1}
NOTHING = dict.fromkeys(SHOWN, 0)


def shown(bigquery: BigQueryJobs) -> dict[str, int]:
    return counts(bigquery.client(), *SHOWN)


def edit_table(store: Store, key: str, **columns: Any) -> None:
    """Give a published table other columns."""
    table = pq.read_table(pa.BufferReader(store.read(key)))
    for name, values in columns.items():
        index = table.column_names.index(name) if name in table.column_names else table.num_columns
        column = values if isinstance(values, pa.Array) else pa.array(values)
        table = (
            table.set_column(index, name, column) if index < table.num_columns else table.append_column(name, column)
        )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    store.write(key, sink.getvalue().to_pybytes())


def test_a_publication_on_any_store_is_shown_as_on_duckdb(bigquery_jobs: BigQueryJobs, store: Store) -> None:
    publish(store)
    (outcome,) = load(bigquery_jobs.client(), store)
    assert isinstance(outcome, Loaded)
    assert (outcome.plate, outcome.number, outcome.rows["images"], outcome.jobs) == ("P1", 1, 24, 12)
    assert shown(bigquery_jobs) == SHOWN
    for table in (*(table.name for table in LOADED), "plate_runs"):
        ours = run_query(store, f"SELECT * FROM {table}").to_pylist()
        theirs = rows(bigquery_jobs.client(), f"SELECT * FROM screens.{table}")
        names = ours[0] if ours else ()
        assert told(ours) == told([{name: row[name] for name in names} for row in theirs]), table


def told(found: list[dict[str, Any]]) -> list[str]:
    """Rows as texts, in an order of their own."""
    return sorted(json.dumps(row, default=lambda moment: moment.isoformat()) for row in found)


def test_bucket_is_read_by_bigquery_and_other_stores_are_uploaded(
    bigquery_jobs: BigQueryJobs, gcs_store: Store
) -> None:
    keys = publish(gcs_store)
    load(bigquery_jobs.client(), gcs_store)
    job = next(line.split()[1] for line in bigquery_jobs.loads() if line.startswith("sites_all"))
    done: Any = bigquery_jobs.client().get_job(job)
    assert done.source_uris == [f"gs://lab/screens/{keys['sites']}"]


def test_loading_again_begins_no_job(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish(folder_store)
    load(bigquery_jobs.client(), folder_store)
    before = bigquery_jobs.loads()
    assert load(bigquery_jobs.client(), folder_store) == []
    assert bigquery_jobs.loads() == before


def test_two_loaders_at_once_load_once(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish(folder_store)
    loaders = [prepared(bigquery_jobs.client(), folder_store) for _ in range(2)]
    bigquery_jobs.running_s = 0.1
    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(lambda loader: loader.load_plate("screen", "P1"), loaders))
    assert all(isinstance(item, Loaded) for found in outcomes for item in found)
    assert shown(bigquery_jobs) == SHOWN
    assert counts(bigquery_jobs.client(), "images_all", "plate_runs_all") == {"images_all": 24, "plate_runs_all": 1}


def test_the_newest_publication_is_shown_and_older_ones_are_kept(
    bigquery_jobs: BigQueryJobs, folder_store: Store
) -> None:
    publish(folder_store, 1)
    load(bigquery_jobs.client(), folder_store)
    publish(folder_store, 2, run="run2", manifests=tuple(small_screen.manifests()[:4]))
    load(bigquery_jobs.client(), folder_store)
    client = bigquery_jobs.client()
    assert rows(client, "SELECT DISTINCT run FROM screens.sites") == [{"run": "run2"}]
    assert counts(client, "sites", "sites_all") == {"sites": 12, "sites_all": 24}
    assert rows(client, "SELECT number, is_current FROM screens.plate_runs ORDER BY number") == [
        {"number": 1, "is_current": False},
        {"number": 2, "is_current": True},
    ]


def test_withdrawn_plate_is_hidden_and_its_run_published_again_is_loaded_once(
    bigquery_jobs: BigQueryJobs, folder_store: Store
) -> None:
    publish(folder_store, 1)
    record(folder_store, 2, status="withdrawn")
    load(bigquery_jobs.client(), folder_store)
    assert shown(bigquery_jobs) == NOTHING | {"plate_runs": 2}
    publish(folder_store, 3)
    load(bigquery_jobs.client(), folder_store)
    assert shown(bigquery_jobs) == SHOWN | {"plate_runs": 3}
    assert counts(bigquery_jobs.client(), "sites_all") == {"sites_all": 12}


def test_two_plates_of_one_run_are_two(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish(folder_store, 1)
    publish(folder_store, 1, plate="P2")
    for plate in ("P1", "P2"):
        load(bigquery_jobs.client(), folder_store, plate)
    assert shown(bigquery_jobs) == {name: 2 * number for name, number in SHOWN.items()}


def test_plates_of_different_features_are_joined_by_name(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish(folder_store, 1)
    load(bigquery_jobs.client(), folder_store)
    publish(folder_store, 1, plate="P2", run="other", feature_descriptions=[small_screen.FEATURES[0]], read_part=areas)
    load(bigquery_jobs.client(), folder_store, "P2")
    sql = f"SELECT plate, {AREA} AS area, {RATIO} AS ratio FROM screens.wells WHERE well = 'A01' ORDER BY plate"
    assert rows(bigquery_jobs.client(), sql) == [
        {"plate": "P1", "area": 117.0, "ratio": 2.0},
        {"plate": "P2", "area": 9.0, "ratio": None},
    ]
    versions = [table for table, _, _ in bigquery_jobs.tables.loads if table.startswith("wells_")]
    assert len(set(versions)) == 2


def areas(manifest: dict[str, Any], entry: str) -> pa.Table:
    return pa.table({"channel": ["DNA"]} if entry == "image_part" else {"ObjectNumber": [1], AREA: [9.0]})


# What goes wrong on the way


@pytest.mark.parametrize("table", ["images_all", "plate_runs_all"])
@pytest.mark.parametrize(
    ("what", "reason"), [(LOST, ""), (503, "backendError"), (403, "quotaExceeded"), (429, "rateLimitExceeded")]
)
def test_answers_that_are_lost_or_late_cost_nothing(
    bigquery_jobs: BigQueryJobs, folder_store: Store, table: str, what: int, reason: str
) -> None:
    publish(folder_store)
    bigquery_jobs.trouble(f"load {table}", what, reason)
    load(bigquery_jobs.client(), folder_store)
    assert shown(bigquery_jobs) == SHOWN
    assert counts(bigquery_jobs.client(), "images_all", "plate_runs_all") == {"images_all": 24, "plate_runs_all": 1}
    assert sum(line.startswith(table) for line in bigquery_jobs.loads()) == 2


@pytest.mark.parametrize("table", ["wells_", "plate_runs_all"])
def test_a_job_that_failed_has_used_its_name_up(bigquery_jobs: BigQueryJobs, folder_store: Store, table: str) -> None:
    publish(folder_store)
    bigquery_jobs.fail_jobs(table, "backendError", "rateLimitExceeded")
    load(bigquery_jobs.client(), folder_store)
    assert shown(bigquery_jobs) == SHOWN
    tried = [line.rpartition("-")[2] for line in bigquery_jobs.loads() if line.startswith(table)]
    assert tried == ["1", "2", "3"]


def test_a_job_that_goes_on_failing_is_left_for_later(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish(folder_store)
    bigquery_jobs.fail_jobs("sites_all", *["backendError"] * 3)
    with pytest.raises(WarehouseUnavailableError, match="failed 3 times to change sites_all"):
        load(bigquery_jobs.client(), folder_store)
    assert shown(bigquery_jobs) == NOTHING
    load(bigquery_jobs.client(), folder_store)
    assert shown(bigquery_jobs) == SHOWN


def test_where_a_quota_is_used_up_there_is_one_job_a_time_and_what_failed_is_not_asked_about_again(
    bigquery_jobs: BigQueryJobs, folder_store: Store
) -> None:
    publish(folder_store)
    loader = prepared(bigquery_jobs.client(), folder_store)
    bigquery_jobs.fail_jobs("sites_all", *["quotaExceeded"] * 3)
    for _ in range(3):
        with pytest.raises(WarehouseUnavailableError, match="BigQuery has no room to change sites_all"):
            loader.load_plate("screen", "P1")
    loader.load_plate("screen", "P1")
    tried = [line.rpartition("-")[2] for line in bigquery_jobs.loads() if line.startswith("sites_all")]
    assert tried == ["1", "2", "3", "4"]
    assert not [line for line in bigquery_jobs.requests if line.startswith("job platestream-screens-sites_all")]
    assert shown(bigquery_jobs) == SHOWN


def test_bad_data_are_not_tried_again_and_said_each_time(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish(folder_store)
    bigquery_jobs.fail_jobs("sites_all", "invalid")
    for _ in range(2):
        (outcome,) = load(bigquery_jobs.client(), folder_store)
        assert isinstance(outcome, Refused)
        assert "BigQuery refused the load into sites_all$20260203" in outcome.reason
    assert shown(bigquery_jobs) == NOTHING
    assert {line.rpartition("-")[2] for line in bigquery_jobs.loads() if line.startswith("sites_all")} == {"1"}


@pytest.mark.parametrize("reason", ["accessDenied", "notFound", "billingNotEnabled"])
def test_a_job_that_failed_through_no_fault_of_the_data_is_left_for_later(
    bigquery_jobs: BigQueryJobs, folder_store: Store, reason: str
) -> None:
    publish(folder_store)
    bigquery_jobs.fail_jobs("sites_all", reason)
    with pytest.raises(WarehouseUnavailableError, match=r"BigQuery could not change sites_all\$20260203"):
        load(bigquery_jobs.client(), folder_store)
    load(bigquery_jobs.client(), folder_store)
    assert shown(bigquery_jobs) == SHOWN


def test_an_outage_is_one_sentence_and_the_next_time_goes_on(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish(folder_store)
    loader = prepared(bigquery_jobs.client(), folder_store)
    bigquery_jobs.is_down = True
    with pytest.raises(WarehouseUnavailableError, match="BigQuery does not take work for the dataset screens"):
        loader.load_plate("screen", "P1")
    bigquery_jobs.is_down = False
    loader.load_plate("screen", "P1")
    assert shown(bigquery_jobs) == SHOWN


def test_a_version_that_an_outage_kept_from_its_view_is_joined_before_its_plate_is_shown(
    bigquery_jobs: BigQueryJobs, folder_store: Store
) -> None:
    publish(folder_store)
    loader = prepared(bigquery_jobs.client(), folder_store)
    bigquery_jobs.trouble("create wells_", lambda: None, then_down=True)
    with pytest.raises(WarehouseUnavailableError):
        loader.load_plate("screen", "P1")
    bigquery_jobs.is_down = False
    loader.load_plate("screen", "P1")
    assert shown(bigquery_jobs) == SHOWN


def test_whoever_is_not_let_in_learns_what_to_grant(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    bigquery_jobs.trouble("get dataset", 403, "accessDenied")
    with pytest.raises(ConfigurationError, match="grant the roles BigQuery Data Editor and BigQuery Job User"):
        prepared(bigquery_jobs.client(), folder_store)


# What BigQuery must not even be asked


@pytest.mark.parametrize(
    ("table", "columns", "sentence"),
    [
        ("wells", {AREA: [1.0, 2, 3, 4, 5, float("nan")]}, f"the column {AREA} of wells holds NaN or an infinity"),
        ("images", {"FocusScore": [float("inf")] * 24}, "the column FocusScore of images holds NaN or an infinity"),
        ("sites", {"site": [str(n) for n in range(12)]}, "the column site of sites is string, and must be int64"),
        ("sites", {"shade": [1] * 12}, "sites has the column shade, which this version of the software does not know"),
        ("sites", {"run": ["another"] * 12}, "sites holds rows whose run is not 'run1'"),
        ("wells", {"Area/µm": [1.0] * 6}, "wells has the column 'Area/µm', and BigQuery takes letters"),
        ("wells", {AREA.lower(): [1.0] * 6}, "each name once whatever its case"),
    ],
)
def test_what_bigquery_would_refuse_or_change_is_refused_before_any_job(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, table: str, columns: dict[str, Any], sentence: str
) -> None:
    keys = publish(folder_store)
    edit_table(folder_store, keys[table], **columns)
    before = shown_after_prepare(bigquery_jobs, folder_store)
    (outcome,) = load(bigquery_jobs.client(), folder_store)
    assert isinstance(outcome, Refused)
    assert sentence in outcome.reason
    assert "experiment screen, plate P1" in outcome.reason
    assert bigquery_jobs.loads() == []
    assert shown(bigquery_jobs) == before == NOTHING


def shown_after_prepare(bigquery: BigQueryJobs, store: Store) -> dict[str, int]:
    prepared(bigquery.client(), store)
    return shown(bigquery)


def test_a_table_of_10001_columns_is_refused_before_any_job(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    keys = publish(folder_store)
    narrow = pq.read_table(pa.BufferReader(folder_store.read(keys["wells"]))).drop_columns([AREA, RATIO])
    more = 10_001 - narrow.num_columns
    wide = pa.table(
        [*narrow.columns, *[pa.array([1.0] * 6)] * more], [*narrow.column_names, *(f"f{n}" for n in range(more))]
    )
    sink = pa.BufferOutputStream()
    pq.write_table(wide, sink)
    folder_store.write(keys["wells"], sink.getvalue().to_pybytes())
    (outcome,) = load(bigquery_jobs.client(), folder_store)
    assert isinstance(outcome, Refused)
    assert "would have 10,001 columns, and BigQuery takes 10,000" in outcome.reason
    assert bigquery_jobs.loads() == []


def test_one_plate_at_fault_does_not_hold_up_the_others(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    keys = publish(folder_store)
    publish(folder_store, 1, plate="P2", run="other")
    folder_store.write(keys["sites"], b"no Parquet")
    loader = prepared(bigquery_jobs.client(), folder_store)
    refused, loaded = (loader.load_plate("screen", plate)[0] for plate in ("P1", "P2"))
    assert isinstance(refused, Refused)
    assert "a published table cannot be read" in refused.reason
    assert isinstance(loaded, Loaded)
    assert shown(bigquery_jobs) == SHOWN


def test_an_experiment_that_may_not_leave_is_not_read(bigquery_jobs: BigQueryJobs, folder_store: Store) -> None:
    publish(folder_store)
    loader = prepared(bigquery_jobs.client(), folder_store)

    def stay(experiment: str) -> None:
        raise ConfigurationError(f"{experiment} stays in europe-west4")

    loader.admit = stay
    with pytest.raises(ConfigurationError, match="screen stays in europe-west4"):
        loader.load_plate("screen", "P1")
    assert bigquery_jobs.loads() == []


def test_older_publications_lack_tables_and_columns_without_harm(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    keys = publish(folder_store)
    path = folder_store.local_path(keys["faults"])
    pq.write_table(pa.table({**dict(_place()), "kind": ["x"]}), path)
    key = f"{small_screen.results('P1')}publications/000001.json"
    old = json.loads(folder_store.read(key))
    del old["tables"]["statistics"]
    folder_store.write(key, json.dumps(old).encode())
    load(bigquery_jobs.client(), folder_store)
    assert rows(bigquery_jobs.client(), "SELECT kind, well FROM screens.faults") == [{"kind": "x", "well": None}]
    assert counts(bigquery_jobs.client(), "statistics") == {"statistics": 0}


def _place() -> list[tuple[str, list[str]]]:
    place = {"experiment": "screen", "plate": "P1", "recipe": small_screen.RECIPE, "run": "run1"}
    return [(name, [value]) for name, value in place.items()]


def test_patience_is_the_warehouses(bigquery_jobs: BigQueryJobs) -> None:
    assert open_warehouse(bigquery_jobs.client()).retry.timeout == 2.0
