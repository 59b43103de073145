"""Tables of the dataset are made and widened from the declarations; what contradicts them is refused."""

from __future__ import annotations

import pytest
from google.cloud.bigquery import Client, SchemaField, Table, TimePartitioning

from imaging.analysis_tables import ANALYSED
from imaging.errors import RefusedLoadError, SchemaDriftError, WarehouseUnavailableError
from imaging.store import FolderStore
from imaging.table_schema import INTEGER, Column
from imaging.table_schema import Table as DeclaredTable
from imaging.tables import PUBLISHED, TABLES, WELLS
from imaging.views import view_names
from imaging.warehouse import schemas, views
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.outcomes import Loaded, Refused
from imaging.warehouse.schemas import COLUMN_LIMIT, RUNS_ALL, Schemas, base_name, compare, is_version
from tests.imaging import small_screen
from tests.imaging.small_screen import publish
from tests.imaging.small_warehouse import counts, load, open_warehouse, prepared, rows
from tests.imaging.test_warehouse_publications import areas
from tests.standins.bigquery_jobs import BigQueryJobs

SHOWN = ("sites", "sites_all", "plate_runs")


def partitioned(name: str, schema: list[SchemaField]) -> Table:
    table = Table(f"lab.screens.{name}", schema)
    table.time_partitioning = TimePartitioning()
    return table


def names_in(client: Client) -> dict[str, str]:
    return {item.table_id: item.table_type for item in client.list_tables("lab.screens")}


def test_everything_that_duckdb_has_is_there_but_what_needs_cells(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    prepared(bigquery_jobs.client(), folder_store)
    found = names_in(bigquery_jobs.client())
    expected = {*TABLES, *view_names(), *(f"{table.name}_all" for table in (*PUBLISHED, *ANALYSED))} - {
        "cells",
        "cells_all",
    }
    assert expected <= set(found)
    for name in expected - {f"{table.name}_all" for table in (*PUBLISHED, *ANALYSED)}:
        assert found[name] == "VIEW", name
    assert bigquery_jobs.client().get_dataset("screens").location == "EU"


def test_columns_are_those_declared(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    client = prepared(bigquery_jobs.client(), folder_store).warehouse.client
    for name in {*TABLES} - {"cells"}:
        answer = client.query_and_wait(f"SELECT * FROM screens.{name}")
        assert [field.name for field in answer.schema] == [column.name for column in TABLES[name].columns]


def test_descriptions_and_units_are_told(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    prepared(bigquery_jobs.client(), folder_store)
    table = bigquery_jobs.client().get_table("screens.images_all")
    described = {field.name: field.description for field in table.schema}
    assert described["size_bytes"] == "size of the file [bytes]"
    assert table.description == "One row per expected image."


def test_preparing_again_changes_nothing(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    prepared(bigquery_jobs.client(), folder_store)
    bigquery_jobs.requests.clear()
    prepared(bigquery_jobs.client(), folder_store)
    assert not [line for line in bigquery_jobs.requests if line.startswith(("query", "change", "load"))]


def test_a_new_column_is_added_and_old_rows_have_none(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    publish(folder_store)
    client = bigquery_jobs.client()
    before_all = TABLES["sites"].columns
    client.create_dataset("screens")
    client.create_table(partitioned("sites_all", [SchemaField("experiment", "STRING")]))
    bigquery_jobs.tables.query("INSERT INTO screens.sites_all (experiment) VALUES ('old')", {})
    load(client, folder_store)
    schema = {field.name: field.field_type for field in client.get_table("screens.sites_all").schema}
    assert set(schema) == {column.name for column in before_all}
    old = rows(client, "SELECT experiment, well, reasons FROM screens.sites_all WHERE experiment = 'old'")
    assert [row["well"] for row in old] == [None]
    assert counts(client, *SHOWN) == {"sites": 12, "sites_all": 13, "plate_runs": 1}


def test_columns_of_somebody_else_stay(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    publish(folder_store)
    client = bigquery_jobs.client()
    prepared(client, folder_store)
    table = client.get_table("screens.sites_all")
    table.schema = [*table.schema, SchemaField("remark", "STRING")]
    client.update_table(table, ["schema"])
    load(client, folder_store)
    assert rows(client, "SELECT DISTINCT remark FROM screens.sites") == [{"remark": None}]


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        (SchemaField("site", "STRING"), "site is STRING, and must be INTEGER"),
        (SchemaField("reasons", "STRING"), "reasons is STRING, and must be REPEATED STRING"),
        (SchemaField("well", "STRING", mode="REQUIRED"), "well is REQUIRED STRING, and must be STRING"),
        (SchemaField("batch", "STRING", mode="REQUIRED"), "batch is REQUIRED, and no published table has it"),
    ],
)
def test_drift_is_refused_before_any_job_and_nothing_is_changed(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, column: SchemaField, sentence: str
) -> None:
    publish(folder_store)
    client = bigquery_jobs.client()
    load(client, folder_store)
    before = counts(client, *SHOWN)
    schema = [field for field in client.get_table("screens.sites_all").schema if field.name != column.name]
    client.delete_table("screens.sites_all")
    client.create_table(partitioned("sites_all", [*schema, column]))
    jobs = len(bigquery_jobs.loads())
    publish(folder_store, 2, run="run2")
    with pytest.raises(
        SchemaDriftError, match=r"the table sites_all in BigQuery contradicts the published one"
    ) as caught:
        load(client, folder_store)
    assert sentence in str(caught.value)
    assert "drop it and plate_runs_all and start `platestream warehouse` again" in str(caught.value)
    assert len(bigquery_jobs.loads()) == jobs
    assert before == {"sites": 12, "sites_all": 12, "plate_runs": 1}
    assert counts(client, "plate_runs", "images") == {"plate_runs": 1, "images": 24}


def test_a_table_without_partitions_is_refused(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    client = bigquery_jobs.client()
    client.create_dataset("screens")
    client.create_table(Table("lab.screens.sites_all", [_X]))
    with pytest.raises(
        SchemaDriftError, match="sites_all in BigQuery is not partitioned by day; drop it and plate_runs_all and start"
    ):
        prepared(client, folder_store)


def test_a_name_that_is_taken_by_something_else_is_named(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore
) -> None:
    client = bigquery_jobs.client()
    client.create_dataset("screens")
    client.create_table(Table("lab.screens.plate_overview", [_X]))
    sentence = "plate_overview in the dataset screens is a table, and must be a view; rename or drop it"
    with pytest.raises(SchemaDriftError, match=sentence):
        prepared(client, folder_store)
    client.delete_table("screens.plate_overview")
    client.delete_table("screens.sites_all")
    client.query_and_wait("CREATE OR REPLACE VIEW screens.sites_all AS SELECT 1 AS x")
    with pytest.raises(SchemaDriftError, match="sites_all in the dataset screens is a view, and must be a table"):
        prepared(client, folder_store)


_X = SchemaField("x", "INTEGER")


def test_a_view_of_older_software_is_replaced(bigquery_jobs: BigQueryJobs, folder_store: FolderStore) -> None:
    client = bigquery_jobs.client()
    client.create_dataset("screens")
    client.query_and_wait("CREATE OR REPLACE VIEW screens.plate_runs AS SELECT 7 AS number")
    publish(folder_store)
    load(client, folder_store)
    assert rows(client, "SELECT number FROM screens.plate_runs") == [{"number": 1}]


def test_a_set_of_features_names_its_version_by_order_and_names() -> None:
    assert base_name(WELLS, ["a", "b"]) != base_name(WELLS, ["b", "a"]) != base_name(WELLS, [])
    assert base_name(WELLS, ["a"]) == base_name(WELLS, ("a",))
    assert base_name(TABLES["images"]) == "images_all"


def test_versions_that_are_too_wide_together_are_shown_without_their_features(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "COLUMN_LIMIT", len(WELLS.columns) + 9)
    loader = prepared(bigquery_jobs.client(), folder_store)
    sets = [[f"{prefix}{number}" for number in range(6)] for prefix in ("a", "b")]
    for features in sets:
        loader.schemas.ensure(WELLS, features)
        views.ensure_versions(loader.warehouse, WELLS)
    older = base_name(WELLS, sets[0])
    bigquery_jobs.tables.query(f"INSERT INTO screens.{older} (well, a1) VALUES ('A01', 1.5)", {})
    answer = loader.warehouse.client.query_and_wait("SELECT * FROM screens.wells_all")
    assert [field.name for field in answer.schema][-6:] == sets[1]
    assert len(answer.schema) == len(WELLS.columns) + 6
    assert [row["well"] for row in answer] == ["A01"]


def test_one_set_of_features_too_many_is_refused_and_stops_no_other_plate(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "VERSION_LIMIT", 2)  # one without features, one with those of P1
    publish(folder_store)
    load(bigquery_jobs.client(), folder_store)
    only_area = {"feature_descriptions": [small_screen.FEATURES[0]], "read_part": areas}
    publish(folder_store, plate="P2", run="r2", **only_area)
    publish(folder_store, plate="P3", run="r3")
    (refused,) = load(bigquery_jobs.client(), folder_store, "P2")
    assert isinstance(refused, Refused)
    assert refused.reason.startswith("wells has 2 sets of feature columns already, and a view takes no more; drop")
    assert len([name for name in names_in(bigquery_jobs.client()) if is_version(name, WELLS)]) == 2
    (loaded,) = load(bigquery_jobs.client(), folder_store, "P3")
    assert isinstance(loaded, Loaded)
    assert counts(bigquery_jobs.client(), "plates", "wells") == {"plates": 2, "wells": 12}


def test_a_dataset_with_too_many_sets_of_features_is_prepared_with_the_oldest(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = prepared(bigquery_jobs.client(), folder_store)
    for number in range(2):
        loader.schemas.ensure(WELLS, [f"f{number}"])
    monkeypatch.setattr(views, "VERSION_LIMIT", 2)
    loader.prepare()
    shown = bigquery_jobs.client().query_and_wait("SELECT * FROM screens.wells_all")
    assert [field.name for field in shown.schema][len(WELLS.columns) :] == ["f0"]


@pytest.mark.parametrize("request_line", ["create sites_all", "get sites_all", "change sites_all"])
def test_a_table_that_is_dropped_while_it_is_made_is_one_sentence(
    bigquery_jobs: BigQueryJobs, folder_store: FolderStore, monkeypatch: pytest.MonkeyPatch, request_line: str
) -> None:
    loader = prepared(bigquery_jobs.client(), folder_store)
    later = DeclaredTable("sites", "", (*TABLES["sites"].columns, Column("shade", INTEGER, "", "")))
    bigquery_jobs.trouble(request_line, 404, "notFound")
    monkeypatch.setattr(schemas, "WITH_ROWS", (later,))
    with pytest.raises(WarehouseUnavailableError, match="the dataset screens was changed by somebody else meanwhile"):
        Schemas(loader.warehouse).ensure(later)


def test_a_dataset_that_is_gone_has_no_place_and_that_is_one_sentence(bigquery_jobs: BigQueryJobs) -> None:
    with pytest.raises(WarehouseUnavailableError, match=r"there is no dataset \S+[.]screens; platestream warehouse"):
        print(open_warehouse(bigquery_jobs.client()).place)


def test_a_wider_table_than_bigquery_takes_is_refused_by_name(bigquery_jobs: BigQueryJobs) -> None:
    schemas = Schemas(open_warehouse(bigquery_jobs.client()))
    features = [f"f{number}" for number in range(COLUMN_LIMIT + 1 - len(WELLS.columns))]
    with pytest.raises(RefusedLoadError, match=r"would have 10,001 columns, and BigQuery takes 10,000"):
        schemas.ensure(WELLS, features)
    assert bigquery_jobs.requests == []


def test_names_of_types_in_either_form_are_one() -> None:
    found = [SchemaField("a", "INT64"), SchemaField("b", "FLOAT64"), SchemaField("C", "BOOL")]
    wanted = [SchemaField("a", "INTEGER"), SchemaField("b", "FLOAT"), SchemaField("c", "BOOLEAN"), _X]
    assert compare("t", found, wanted) == [_X]


def test_a_column_that_is_declared_later_widens_the_table(bigquery_jobs: BigQueryJobs) -> None:
    warehouse = open_warehouse(bigquery_jobs.client())
    Schemas(warehouse).ensure_dataset()
    assert Schemas(warehouse).ensure(RUNS_ALL) is True
    later = DeclaredTable(RUNS_ALL.name, "", (*RUNS_ALL.columns, Column("wells", INTEGER, "", "")))
    assert Schemas(warehouse).ensure(later) is False
    assert warehouse.client.get_table("screens.plate_runs_all").schema[-1].name == "wells"


def test_jobs_are_asked_for_where_the_dataset_is(bigquery_jobs: BigQueryJobs) -> None:
    warehouse = Warehouse(bigquery_jobs.client(), "screens", patience_s=2.0, pause_s=0.02)
    assert warehouse.where is None
    Schemas(open_warehouse(bigquery_jobs.client())).ensure_dataset()
    assert warehouse.where == "EU"
