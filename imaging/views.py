"""The views of ``imaging/sql``: BigQuery's dialect in files, one view each, and what each stands on.

    current_rows.sql    the pattern of ``wells``, ``images``, ...: rows of the publications that are shown
    shown_runs.sql      which those are; it stands on ``plate_runs`` and ``promotions`` alone, and the tables on it
    current_analysis_rows.sql, shown_analyses.sql    the same of ``profiles``, ``hits``, ... and ``analyses``
    every other file    a view with the file's name

A view may stand on tables and on other views.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

import sqlglot
from sqlglot import exp

from imaging.analysis_tables import ANALYSED
from imaging.tables import PUBLISHED, TABLES

_SQL = Path(__file__).parent / "sql"
_CURRENT_ROWS = "current_rows"
_CURRENT_ANALYSIS_ROWS = "current_analysis_rows"
SHOWN_RUNS = "shown_runs"
SHOWN_ANALYSES = "shown_analyses"
_OF_ANALYSES = frozenset(table.name for table in ANALYSED)


def table_names() -> list[str]:
    """Names of everything that a query can select from."""
    return sorted([*TABLES, *(f"{table.name}_all" for table in (*PUBLISHED, *ANALYSED)), *view_names()])


def view_names() -> list[str]:
    """Names of the views."""
    patterns = {_CURRENT_ROWS, _CURRENT_ANALYSIS_ROWS}
    return sorted(path.stem for path in _SQL.glob("*.sql") if path.stem not in patterns)


@lru_cache
def ordered_views() -> tuple[str, ...]:
    """Names of the views, each after those that it stands on."""
    texts = {name: read_view(name) for name in view_names()}
    ordered = in_order(texts, set(table_names()) - set(texts))
    if len(ordered) < len(texts):
        ring = sorted(set(texts) - set(ordered))
        raise ValueError(f"views of imaging/sql must stand on tables and not on each other in a ring, got {ring}")
    return tuple(ordered)


def in_order(texts: Mapping[str, exp.Query], tables: set[str]) -> list[str]:
    """Names of views, each after those that it stands on; those that need what is neither table nor view are left out.

    Parameters
    ----------
    texts
        Views by name.
    tables
        Names of the tables that are there.
    """
    needed = {name: tables_in(tree) - own_tables(tree) for name, tree in texts.items()}
    ordered: list[str] = []
    while ready := [name for name in texts if name not in ordered and needed[name] <= tables | set(ordered)]:
        ordered += ready
    return ordered


def own_tables(tree: exp.Query) -> set[str]:
    """Names, in lower case, of the tables that a statement defines in itself."""
    return {item.alias.lower() for item in tree.find_all(exp.CTE)}


def read_view(name: str) -> exp.Query:
    """Parse the SQL of a view."""
    tree = sqlglot.parse_one((_SQL / f"{name}.sql").read_text(encoding="utf-8"), read="bigquery")
    if not isinstance(tree, exp.Query):
        raise ValueError(f"imaging/sql/{name}.sql must be one SELECT statement")
    return tree


def current_rows(table: str) -> exp.Query:
    """Parsed SQL of a table's rows in the publications, or the analyses, that are shown.

    Rows of earlier versions have no time point: they are of the first.
    """
    is_of_analyses = table in _OF_ANALYSES
    tree = read_view(_CURRENT_ANALYSIS_ROWS if is_of_analyses else _CURRENT_ROWS)
    columns = {column.name for column in TABLES[table].columns}
    if "time_point" in columns and not is_of_analyses:
        first = "COALESCE(item.time_point, 1)"
        value = f"CASE WHEN item.site IS NULL THEN NULL ELSE {first} END" if "site" in columns else first
        for star in list(tree.find_all(exp.Star)):
            star.set("replace", [exp.alias_(sqlglot.parse_one(value, read="bigquery"), "time_point")])
    for item in tree.find_all(exp.Table):
        if item.name == "rows_all":
            item.set("this", exp.to_identifier(f"{table}_all"))
    return tree


def tables_in(tree: exp.Query) -> set[str]:
    """Names, in lower case, of the tables and views that a statement reads, and of those that it defines in itself."""
    return {item.name.lower() for item in tree.find_all(exp.Table)}


def with_foundations(names: Iterable[str]) -> set[str]:
    """Names with everything that they stand on."""
    wanted: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in wanted:
            continue
        wanted.add(name)
        if name in view_names():
            queue += tables_in(read_view(name))
        elif name in TABLES:
            queue += [f"{name}_all", SHOWN_ANALYSES if name in _OF_ANALYSES else SHOWN_RUNS]
    return wanted


@lru_cache
def duckdb_view(name: str) -> str:
    """SQL of a view for DuckDB."""
    return _with_lists_in_select(read_view(name)).sql("duckdb")


def _with_lists_in_select(tree: exp.Query) -> exp.Query:
    """Unnest lists in the SELECT, where DuckDB does not join each element with its row by all that the row holds."""
    for join in list(tree.find_all(exp.Join)):
        list_, select = join.this, join.parent
        if not (isinstance(list_, exp.Unnest) and isinstance(select, exp.Select)):
            continue
        (column,) = list_.args["alias"].columns
        element = exp.alias_(exp.Unnest(expressions=list_.expressions), column.name)
        select.set("expressions", [element if item.name == column.name else item for item in select.expressions])
        join.pop()
    return tree


@lru_cache
def duckdb_current_rows(table: str) -> str:
    """SQL for DuckDB of a table's rows in the publications, or the analyses, that are shown."""
    return current_rows(table).sql("duckdb")
