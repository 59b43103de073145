"""The declarations of tables and what is derived from them."""

from __future__ import annotations

import re
from pathlib import Path

import pyarrow as pa
import pytest
from google.cloud import bigquery

from imaging.rules import IMAGE_METRICS
from imaging.table_schema import arrow_schema, bigquery_schema, table_of
from imaging.tables import CELLS, FAULTS, IMAGES, PLATE_RUNS, PUBLISHED, SITES, TABLES, WELLS, tables_markdown

PLACE = ["experiment", "plate", "recipe", "run"]


@pytest.mark.parametrize("table", [*PUBLISHED, PLATE_RUNS], ids=lambda table: table.name)
def test_every_row_says_which_plate_and_run_it_belongs_to(table):
    assert arrow_schema(table).names[:4] == PLACE


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_column_names_are_unique_and_plain_and_every_column_is_described(table):
    names = [column.name for column in table.columns]
    assert len({name.lower() for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,299}", name) for name in names)
    assert all(column.description for column in table.columns)


def test_only_provenance_and_records_hold_times_hosts_or_devices():
    kept = {table.name for table in PUBLISHED for column in table.columns if column.kind == "time"}
    named = {table.name for table in PUBLISHED for column in table.columns if column.name in ("host", "device")}
    assert kept == named == {"site_runs"}


def test_image_metrics_are_those_a_limit_can_name():
    names = [column.name for column in IMAGES.columns]
    assert tuple(name for name in names if name in IMAGE_METRICS) == IMAGE_METRICS


def test_feature_columns_follow_in_wells_and_cells_of_half_the_size():
    features = ["Nuclei_AreaShape_Area", "Cells_AreaShape_Area"]
    for table, kind in ((WELLS, pa.float64()), (CELLS, pa.float32())):
        schema = arrow_schema(table, features)
        assert schema.names[-2:] == features
        assert schema.field("Cells_AreaShape_Area").type == kind
    assert "Nuclei_AreaShape_Area" not in arrow_schema(SITES, features).names


def test_bigquery_takes_the_schemas():
    for table in TABLES.values():
        fields = bigquery.SchemaField.from_api_repr
        schema = [fields(item) for item in bigquery_schema(table, ["Nuclei_AreaShape_Area"])]
        assert [field.name for field in schema] == arrow_schema(table, ["Nuclei_AreaShape_Area"]).names
    by_name = {item["name"]: item for item in bigquery_schema(IMAGES)}
    assert by_name["reasons"]["mode"] == "REPEATED"
    assert by_name["reasons"]["type"] == "STRING"
    assert by_name["size_bytes"] == {
        "name": "size_bytes",
        "type": "INTEGER",
        "mode": "NULLABLE",
        "description": "size of the file [bytes]",
    }
    assert {item["type"] for item in bigquery_schema(PLATE_RUNS)} == {"STRING", "INTEGER", "TIMESTAMP", "BOOLEAN"}
    assert bigquery_schema(WELLS, ["F"])[-1] == {"name": "F", "type": "FLOAT", "mode": "NULLABLE"}


def test_rows_become_a_table_with_null_for_what_they_lack():
    table = table_of(FAULTS, [{"kind": "unknown", "name": "x.txt"}, {"kind": "unreadable", "site": 2}])
    assert table.schema == arrow_schema(FAULTS)
    assert table.column("site").to_pylist() == [None, 2]
    assert table.column("name").to_pylist() == ["x.txt", None]


def test_rows_with_undeclared_columns_are_refused():
    with pytest.raises(ValueError, match=r"rows of faults must hold declared columns only, got \['when'\]"):
        table_of(FAULTS, [{"kind": "unknown", "when": 3}])


def test_documentation_names_every_table_and_column():
    text = tables_markdown()
    for table in TABLES.values():
        section = text.split(f"## {table.name}\n")[1].split("\n## ")[0]
        assert f"{table.description}\n\n| column | type | unit | description |\n|---|---|---|---|\n| `" in section
        assert all(f"| `{column.name}` |" in section for column in table.columns)
        assert ("one per feature" in section) == table.has_features
    assert "| `size_bytes` | INTEGER | bytes | size of the file |" in text
    assert "| `reasons` | STRING list |" in text


def test_the_documentation_of_the_tables_is_up_to_date() -> None:
    written = (Path(__file__).parents[2] / "docs" / "tables.md").read_text()
    assert written == tables_markdown(), "write imaging.tables.tables_markdown() to docs/tables.md"
