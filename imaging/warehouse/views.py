"""Views of the dataset, under the names that they have on DuckDB, so that the same SQL runs on both.

    wells_all           rows of all versions of a table with features, joined by name
    images, wells, ...  rows of the publications that are shown: imaging/sql/current_rows.sql
    profiles, hits, ... rows of the analyses that are shown: imaging/sql/current_analysis_rows.sql
    images_live, sites_live    plates in progress: imaging/warehouse/sql/live_rows.sql
    plate_runs, acquisition_decisions, promotions, fault_records
                        what DuckDB makes from records: imaging/warehouse/sql
    plate_overview, ... the views of imaging/sql that need no cells

A view is a projection: it is written again whenever its text differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sqlglot
from google.api_core.exceptions import NotFound
from sqlglot import exp

from imaging import views
from imaging.errors import RefusedLoadError, SchemaDriftError
from imaging.table_schema import Table
from imaging.warehouse.connection import Warehouse, present, translated
from imaging.warehouse.schemas import (
    BASE,
    COLUMN_LIMIT,
    LIVE,
    WITH_ROWS,
    is_version,
)

VERSION_LIMIT = 500
"""Versions of one table that a view joins; BigQuery takes 1,000 tables in a query."""
_OWN = Path(__file__).parent / "sql"
_LIVE_ROWS = "live_rows"


def ensure_views(warehouse: Warehouse) -> None:
    """Write every view that is missing or has another text.

    Raises
    ------
    SchemaDriftError
        If a table has the name of a view.
    """
    for table in WITH_ROWS:
        if table.has_features:
            ensure_versions(warehouse, table)
    for name, sql in _ordered(warehouse):
        _ensure(warehouse, name, sql)


def ensure_versions(warehouse: Warehouse, table: Table) -> set[str]:
    """Write the view that joins the versions of a table with features; repeated while others add versions.

    Returns
    -------
    Names of the versions that it joins: all, or the oldest where there are more than a view takes.
    """
    while True:
        versions = _versions(warehouse, table)
        joined = versions[:VERSION_LIMIT]
        _ensure(warehouse, f"{table.name}_all", _joined(warehouse, table, joined))
        if _versions(warehouse, table) == versions:
            return set(joined)


def check_room(warehouse: Warehouse, table: Table, name: str) -> None:
    """Refuse a new version of a table that its view could not join, before it is made.

    Raises
    ------
    RefusedLoadError
        If the view is full.
    """
    versions = _versions(warehouse, table)
    if name not in versions and len(versions) >= VERSION_LIMIT:
        raise no_room(table)


def no_room(table: Table) -> RefusedLoadError:
    """Why a plate with other features than all before cannot be loaded."""
    return RefusedLoadError(
        f"{table.name} has {VERSION_LIMIT} sets of feature columns already, and a view takes no more; drop the tables "
        f"{table.name}_... of plates that nobody asks for, or load this plate into another dataset"
    )


def _versions(warehouse: Warehouse, table: Table) -> list[str]:
    """Names of a table's versions, the oldest first."""
    with present(warehouse.dataset), translated(warehouse.dataset):
        listed = list(warehouse.call(warehouse.client.list_tables, warehouse.full_name))
    found = sorted((str(item.created), item.table_id) for item in listed if is_version(item.table_id, table))
    return [name for _, name in found]


def _joined(warehouse: Warehouse, table: Table, versions: Sequence[str]) -> str:
    """SQL of all versions: newest first, and without features once they would be more columns than a result has."""
    with present(warehouse.dataset):
        found = [warehouse.call(warehouse.client.get_table, warehouse.table_id(name)) for name in reversed(versions)]
    declared = [column.name for column in table.columns]
    shown, parts = set(declared), []
    for item in found:
        columns = {field.name for field in item.schema}
        is_narrow = len(shown | columns) > COLUMN_LIMIT
        shown |= set() if is_narrow else columns
        listed = ", ".join(f"`{name}`" for name in declared if name in columns) if is_narrow else "*"
        parts.append(f"SELECT {listed} FROM `{warehouse.table_id(item.table_id)}`")
    return " FULL OUTER UNION ALL BY NAME ".join(parts)


def _ordered(warehouse: Warehouse) -> Iterator[tuple[str, str]]:
    """Views with their texts, each after those that it stands on."""
    texts = view_texts()
    tables = {table.name for table in BASE} | {f"{table.name}_all" for table in WITH_ROWS}
    for name in views.in_order(texts, tables):
        yield name, qualified(texts[name], tables | set(texts), warehouse)


def view_texts() -> dict[str, exp.Query]:
    """Every view but those over versions, parsed, by name; tables and views in them by plain names."""
    texts = {name: views.read_view(name) for name in views.view_names()}
    for path in _OWN.glob("*.sql"):
        if path.stem != _LIVE_ROWS:
            texts[path.stem] = _read(path.stem)
    texts |= {shown.name: _live_rows(table) for shown, table in LIVE}
    return texts | {table.name: views.current_rows(table.name) for table in WITH_ROWS}


def _read(name: str) -> exp.Query:
    tree = sqlglot.parse_one((_OWN / f"{name}.sql").read_text(encoding="utf-8"), read="bigquery")
    if not isinstance(tree, exp.Query):
        raise ValueError(f"imaging/warehouse/sql/{name}.sql must be one SELECT statement")
    return tree


def _live_rows(table: Table) -> exp.Query:
    """SQL of the view over rows of plates in progress; one over a table without channels takes a row per site."""
    tree = _read(_LIVE_ROWS)
    for item in tree.find_all(exp.Table):
        if item.name == "rows_live":
            item.set("this", exp.to_identifier(table.name))
    columns = {column.name for column in table.columns}
    for window in tree.find_all(exp.Window):
        parts = window.args["partition_by"]
        window.set("partition_by", [item for item in parts if item.name != "channel" or "channel" in columns])
    return tree


def qualified(tree: exp.Query, names: Iterable[str], warehouse: Warehouse) -> str:
    """SQL for BigQuery with project and dataset at each table: a view knows no default ones."""
    known = set(names)
    for item in tree.find_all(exp.Table):
        if item.name in known:
            item.set("db", exp.to_identifier(warehouse.dataset, quoted=True))
            item.set("catalog", exp.to_identifier(warehouse.client.project, quoted=True))
            if not item.alias:
                item.set("alias", exp.TableAlias(this=exp.to_identifier(item.name)))
    return tree.sql("bigquery")


def _ensure(warehouse: Warehouse, name: str, sql: str) -> None:
    """Write a view unless it has this text."""
    try:
        found = warehouse.call(warehouse.client.get_table, warehouse.table_id(name))
    except NotFound:
        found = None
    if found is not None and found.table_type != "VIEW":
        raise SchemaDriftError(
            f"{name} in the dataset {warehouse.dataset} is a {str(found.table_type).lower()}, and must be a view; "
            "rename or drop it"
        )
    if found is None or found.view_query != sql:
        warehouse.ask(f"CREATE OR REPLACE VIEW `{warehouse.table_id(name)}` AS {sql}")
