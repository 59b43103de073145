"""A store's tables and views in a dataset of the BigQuery stand-in, as they are on DuckDB, to ask both the same."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
from google.cloud.bigquery import Client, Dataset, LoadJobConfig, SchemaField, SourceFormat, Table
from sqlglot import exp

from imaging.analysis_tables import ANALYSED
from imaging.query import connect
from imaging.store import Store
from imaging.table_schema import bigquery_schema
from imaging.tables import PUBLISHED, TABLES
from imaging.views import SHOWN_ANALYSES, SHOWN_RUNS, current_rows, ordered_views, read_view

WITH_ROWS = (*PUBLISHED, *ANALYSED)
BASE = {f"{table.name}_all": table for table in WITH_ROWS} | {
    name: table for name, table in TABLES.items() if table not in WITH_ROWS
}
"""What views stand on: rows of all publications, which are current, and plates in progress."""


def copy_store(store: Store, client: Client, dataset: Dataset) -> None:
    """Load every table and create every view."""
    with connect(store) as connection:
        for name in BASE:
            load(connection.sql(f'SELECT * FROM "{name}"').to_arrow_table(), name, client, dataset)
    for name in (SHOWN_RUNS, SHOWN_ANALYSES):
        create_view(name, read_view(name), client, dataset)
    for table in WITH_ROWS:
        create_view(table.name, current_rows(table.name), client, dataset)
    for name in ordered_views():
        if name not in (SHOWN_RUNS, SHOWN_ANALYSES):
            create_view(name, read_view(name), client, dataset)


def load(rows: pa.Table, name: str, client: Client, dataset: Dataset) -> None:
    """Create a table as it is declared and load rows into it."""
    declared = BASE[name]
    features = rows.column_names[len(declared.columns) :]
    schema = [SchemaField.from_api_repr(field) for field in bigquery_schema(declared, features)]
    table = client.create_table(Table(dataset.table(name), schema))
    file = io.BytesIO()
    pq.write_table(rows, file)
    config = LoadJobConfig(source_format=SourceFormat.PARQUET)
    client.load_table_from_file(file, table.reference, rewind=True, job_config=config).result()


def create_view(name: str, tree: exp.Query, client: Client, dataset: Dataset) -> None:
    """Create a view; in a view each table is named with its dataset."""
    own = {item.alias for item in tree.find_all(exp.CTE)}
    for item in tree.find_all(exp.Table):
        if item.name not in own:
            item.set("db", exp.to_identifier(dataset.dataset_id, quoted=True))
    view = Table(dataset.table(name))
    view.view_query = tree.sql("bigquery")
    client.create_table(view)
