"""Views of the dataset, under the names that they have on DuckDB, so that the same SQL runs on both.

    wells_all           rows of all versions of a table with features, joined by name
    images, wells, ...  rows of the publications that are shown: imaging/sql/current_rows.sql
    plate_runs, acquisition_decisions, promotions, images_live, sites_live, fault_records
                        what DuckDB makes from records: imaging/warehouse/sql
    plate_overview, ... the views of imaging/sql that need no cells

A view is a projection: it is written again whenever its text differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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
    LOADED,
    is_version,
)

VERSION_LIMIT = 500
"""Versions of one table that a view joins; BigQuery takes 1,000 tables in a query."""
_OWN = Path(__file__).parent / "sql"


def ensure_views(warehouse: Warehouse) -> None:
    """Write every view that is missing or has another text.

    Raises
    ------
    SchemaDriftError
        If a table has the name of a view.
    """
    for table in LOADED:
        if table.has_features:
            ensure_versions(warehouse, table)
    for name, sql in _ordered(warehouse):
        _ensure(warehouse, name, sql)


def ensure_versions(warehouse: Warehouse, table: Table) -> None:
    """Write the view that joins all versions of a table with features; repeated while others add versions."""
    while True:
        versions = _versions(warehouse, table)
        _ensure(warehouse, f"{table.name}_all", _joined(warehouse, table, versions))
        if _versions(warehouse, table) == versions:
            return


def _versions(warehouse: Warehouse, table: Table) -> list[str]:
    with present(warehouse.dataset), translated(warehouse.dataset):
        listed = [item.table_id for item in warehouse.call(warehouse.client.list_tables, warehouse.full_name)]
    return sorted(name for name in listed if is_version(name, table))


def _joined(warehouse: Warehouse, table: Table, versions: list[str]) -> str:
    """SQL of all versions: newest first, and without features once they would be more columns than a result has."""
    if len(versions) > VERSION_LIMIT:
        raise RefusedLoadError(
            f"{table.name} has {len(versions)} sets of feature columns, and a view takes {VERSION_LIMIT}; drop the "
            f"tables {versions[0]} and so on whose plates nobody asks for"
        )
    with present(warehouse.dataset):
        found = [warehouse.call(warehouse.client.get_table, warehouse.table_id(name)) for name in versions]
    declared = [column.name for column in table.columns]
    shown, parts = set(declared), []
    for item in sorted(found, key=lambda item: (str(item.created), item.table_id), reverse=True):
        columns = {field.name for field in item.schema}
        is_narrow = len(shown | columns) > COLUMN_LIMIT
        shown |= set() if is_narrow else columns
        listed = ", ".join(f"`{name}`" for name in declared if name in columns) if is_narrow else "*"
        parts.append(f"SELECT {listed} FROM `{warehouse.table_id(item.table_id)}`")
    return " FULL OUTER UNION ALL BY NAME ".join(parts)


def _ordered(warehouse: Warehouse) -> Iterator[tuple[str, str]]:
    """Views with their texts, each after those that it stands on."""
    texts = view_texts()
    known = {table.name for table in BASE} | {f"{table.name}_all" for table in LOADED}
    while ready := [name for name, tree in texts.items() if _needed(tree) <= known]:
        for name in ready:
            yield name, qualified(texts.pop(name), known, warehouse)
            known.add(name)


def view_texts() -> dict[str, exp.Query]:
    """Every view but those over versions, parsed, by name; tables and views in them by plain names."""
    texts = {name: views.read_view(name) for name in views.view_names()}
    for path in _OWN.glob("*.sql"):
        tree = sqlglot.parse_one(path.read_text(encoding="utf-8"), read="bigquery")
        if isinstance(tree, exp.Query):
            texts[path.stem] = tree
    return texts | {table.name: views.current_rows(table.name) for table in LOADED}


def _needed(tree: exp.Query) -> set[str]:
    """Tables that a view reads, without those that it defines in itself."""
    return views.tables_in(tree) - {item.alias.lower() for item in tree.find_all(exp.CTE)}


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
