"""SQL over everything that is published, and over plates in progress: DuckDB in memory over Parquet files.

For each published table, and each table of analyses, there is ``<table>_all`` with the rows of every publication or
analysis, and ``<table>`` with those that are shown: ``shown_runs`` says which, from ``plate_runs`` and ``promotions``,
and ``shown_analyses``. ``images_live`` and ``sites_live`` show plates in progress. The views of ``imaging/sql`` stand
on these. Nothing is opened for writing and nothing stays open, so any number of queries run beside the pipeline.
"""

from __future__ import annotations

import difflib
import re
import tempfile
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from imaging.acquisitions import decision_rows, list_decisions, read_decision
from imaging.analysis_tables import ANALYSED, ANALYSES, ANALYSIS_CHOICES
from imaging.errors import PlateError, StoredDataError
from imaging.live import PlateFolder, read_fault_rows, read_live_rows
from imaging.names import is_experimental, plate_folders, results_prefix
from imaging.promotions import Promotion, promotion_row, read_promotions
from imaging.publication_records import read_publications
from imaging.records import publication_key, publication_numbers
from imaging.sentences import shorten
from imaging.store import Store
from imaging.table_schema import Table, arrow_schema, table_of_records
from imaging.tables import ACQUISITION_DECISIONS, FAULT_RECORDS, PLATE_RUNS, PROMOTIONS, PUBLISHED, TABLES
from imaging.views import (
    SHOWN_ANALYSES,
    SHOWN_RUNS,
    duckdb_current_rows,
    duckdb_view,
    ordered_views,
    table_names,
    tables_in,
    view_names,
    with_foundations,
)

DIALECTS = ("bigquery", "duckdb")

_LIVE = frozenset({"images_live", "sites_live"})
_OF_ANALYSES = frozenset({f"{table.name}_all" for table in ANALYSED} | {ANALYSES.name, ANALYSIS_CHOICES.name})
_CATALOGUES = ("information_schema", "duckdb_")
_NO_TABLE = re.compile(r"Table with name (\S+) does not exist")


class QueryError(PlateError, ValueError):
    """A query that cannot be answered, and why in one sentence."""


@dataclass(frozen=True)
class Catalog:
    """All plates with results, every publication record by plate and number, promotions by experiment, in order."""

    folders: tuple[PlateFolder, ...]
    publications: tuple[Mapping[str, Any], ...]
    acquisitions: tuple[Mapping[str, Any], ...] = ()
    """Rows of ``acquisition_decisions``: what counts of each barcode with several acquisitions."""
    promotions: Mapping[str, tuple[Promotion, ...]] = field(default_factory=dict)

    @property
    def current(self) -> dict[PlateFolder, Mapping[str, Any]]:
        """The publication with the highest number of each plate that has one."""
        return {_folder(record): record for record in self.publications}

    def keys(self, table: str) -> list[str]:
        """Parquet files of a table: one per plate and run, however often that run was published."""
        files = {
            (*_folder(record), record["run"]): record["tables"][table]
            for record in self.publications
            if table in (record.get("tables") or {})
        }
        return sorted(set(files.values()))


def run_query(
    store: Store, sql: str, *, dialect: str = "bigquery", values: Mapping[str, Any] | None = None
) -> pa.Table:
    """Answer one SELECT.

    Parameters
    ----------
    store
        The store whose results are asked.
    sql
        One statement; it can read the tables and nothing else, and write nothing.
    dialect
        ``bigquery`` or ``duckdb``.
    values
        Values of the parameters that the query names: ``@name``, in DuckDB's dialect ``$name``.

    Raises
    ------
    QueryError
        If the SQL is at fault or asks for more than reading tables.
    StoredDataError
        If a record or table that the query needs is gone or damaged.
    """
    tree = _parse(sql, dialect)
    with closing(connect(store, tables=_tables_in(tree))) as connection:
        return _execute(connection, tree.sql("duckdb"), values)


def connect(store: Store, *, tables: Iterable[str] | None = None) -> duckdb.DuckDBPyConnection:
    """Open DuckDB in memory with the tables and views of a store, as they are now.

    The connection reads these files only, and its settings are locked. Take `run_query` for SQL that others wrote: a
    connection could still be told to overwrite them.

    Parameters
    ----------
    store
        The store whose results are shown.
    tables
        Tables and views that are needed, with what they stand on; left out, all of them. Live tables read every
        manifest of plates in progress.

    Raises
    ------
    StoredDataError
        If a record or one of these tables is gone or damaged.
    """
    wanted = with_foundations(table_names() if tables is None else tables)
    catalog = read_catalog(store)
    with ExitStack() as until_ready:
        connection = until_ready.enter_context(closing(duckdb.connect(config=_config())))
        connection.execute("SET TimeZone = 'UTC'")
        allowed = _add_tables(connection, store, catalog, wanted)
        for name in ordered_views():
            if name in wanted and name not in (SHOWN_RUNS, SHOWN_ANALYSES):
                _create_view(connection, name, duckdb_view(name))
        _lock(connection, allowed)
        until_ready.pop_all()
    return connection


def read_catalog(store: Store) -> Catalog:
    """List the plates with results and read the records of publications, lowest number first, and of promotions.

    Raises
    ------
    StoredDataError
        If a record is gone or damaged.
    """
    experiments = store.list_folders("results/")
    folders = tuple(
        (experiment, plate, recipe)
        for experiment in experiments
        for plate in plate_folders(store, experiment)
        for recipe in store.list_folders(f"results/{experiment}/{plate}/")
    )
    keys = [
        publication_key(prefix, number)
        for prefix in (results_prefix(*folder) for folder in folders)
        for number in publication_numbers(prefix, store.list(f"{prefix}publications/"))
    ]
    records = read_publications(store, keys)
    return Catalog(
        folders,
        tuple(sorted(records, key=lambda record: (*_folder(record), record["number"]))),
        tuple(row for experiment in experiments for row in _decided(store, experiment)),
        {name: read_promotions(store, name) for name in experiments},
    )


def _decided(store: Store, experiment: str) -> list[dict[str, Any]]:
    """Rows of the decisions that count about an experiment's acquisitions."""
    last = {barcode: numbers[-1] for barcode, numbers in list_decisions(store, experiment).items()}
    return [row for item in last.items() for row in decision_rows(read_decision(store, experiment, *item))]


def _folder(record: Mapping[str, Any]) -> PlateFolder:
    return record["experiment"], record["plate"], record["recipe"]


def _parse(sql: str, dialect: str) -> exp.Query:
    if dialect not in DIALECTS:
        raise QueryError(f"the dialect must be {' or '.join(DIALECTS)}, got {dialect!r}")
    try:
        statements = [item for item in sqlglot.parse(sql, read=dialect) if item is not None]
    except ParseError as error:
        fault = error.errors[0] if error.errors else {}
        place = f" at line {fault['line']}, column {fault['col']}" if fault.get("line") else ""
        words = _sentence(fault.get("description") or str(error))
        raise QueryError(f"the SQL cannot be read{place}: {words}") from error
    except TokenError as error:
        raise QueryError(f"the SQL cannot be read: {_sentence(str(error))}") from error
    if len(statements) != 1:
        raise QueryError(f"the SQL must be one SELECT statement, got {len(statements)} statements")
    tree = statements[0]
    if not isinstance(tree, exp.Query):
        raise QueryError("the SQL must be a SELECT statement: queries read tables and change nothing")
    return tree


def _execute(connection: duckdb.DuckDBPyConnection, sql: str, values: Mapping[str, Any] | None = None) -> pa.Table:
    try:
        if [item.type for item in connection.extract_statements(sql)] != [duckdb.StatementType.SELECT]:
            raise QueryError("the SQL must be a SELECT statement: queries read tables and change nothing")
        return _with_integers(connection.sql(sql, params=dict(values) if values else None).to_arrow_table())
    except duckdb.PermissionException as error:
        raise QueryError("the query asks for files; it can read the tables and nothing else") from error
    except duckdb.CatalogException as error:
        raise QueryError(_no_such_table(str(error))) from error
    except duckdb.Error as error:
        raise QueryError(f"the query failed: {_sentence(str(error))}") from error


def _with_integers(table: pa.Table) -> pa.Table:
    """Sums of integers as integers, where they fit: DuckDB gives them 128 bits, BigQuery 64."""
    for index, column in enumerate(table.columns):
        if pa.types.is_decimal(column.type) and (column.type.precision, column.type.scale) == (38, 0):
            with suppress(pa.ArrowInvalid):
                table = table.set_column(index, table.column_names[index], column.cast(pa.int64()))
    return table


def _no_such_table(message: str) -> str:
    match = _NO_TABLE.search(message)
    if match is None:
        return f"the query failed: {_sentence(message)}"
    near = difflib.get_close_matches(match[1], table_names(), n=1)
    known = ", ".join([*(table.name for table in TABLES.values()), *view_names()])
    hint = f", did you mean {near[0]}" if near else ""
    return shorten(f"there is no table {match[1][:100]}{hint}; tables are {known}", 2_000)


def _sentence(message: str) -> str:
    """The first paragraph of a message, on one line."""
    return shorten(" ".join(message.split("\n\n")[0].split("\nLINE ")[0].split()))


def _tables_in(tree: exp.Query) -> set[str]:
    """Names of tables that a statement reads; everything when it asks for the catalogue itself."""
    found = tree.find_all(exp.Table)
    if any(f"{item.db}.{item.name}".lower().lstrip(".").startswith(_CATALOGUES) for item in found):
        return set(table_names())
    return tables_in(tree)


def _config() -> dict[str, str | bool | int | float | list[str]]:
    """No extensions from the network, no Python variables as tables, a folder of its own for what exceeds memory."""
    return {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        "temp_directory": str(Path(tempfile.gettempdir()) / f"platestream-query-{uuid.uuid4().hex[:12]}"),
    }


def _lock(connection: duckdb.DuckDBPyConnection, allowed: Sequence[Path]) -> None:
    """Take all file access away but for these files, for good."""
    connection.execute(f"SET allowed_paths = {_text_list(allowed)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _add_tables(connection: duckdb.DuckDBPyConnection, store: Store, catalog: Catalog, wanted: set[str]) -> list[Path]:
    """Create the wanted tables; return the files that they read."""
    connection.register("plate_runs", _plate_runs(catalog))
    connection.register(ACQUISITION_DECISIONS.name, table_of_records(ACQUISITION_DECISIONS, catalog.acquisitions))
    connection.register("promotions", _promotions(catalog))
    _create_view(connection, SHOWN_RUNS, duckdb_view(SHOWN_RUNS))
    allowed: list[Path] = []
    for table in PUBLISHED:
        if f"{table.name}_all" in wanted:
            allowed += _add_published(connection, store, catalog.keys(table.name), table)
    if wanted & _OF_ANALYSES:
        allowed += _add_analyses(connection, store, wanted)
    if wanted & _LIVE:
        for name, rows in read_live_rows(store, catalog.folders, catalog.current).items():
            connection.register(name, table_of_records(TABLES[name], rows))
    if FAULT_RECORDS.name in wanted:
        rows = read_fault_rows(store, catalog.folders)
        connection.register(FAULT_RECORDS.name, table_of_records(FAULT_RECORDS, rows))
    return allowed


def _add_analyses(connection: duckdb.DuckDBPyConnection, store: Store, wanted: set[str]) -> list[Path]:
    """Create the wanted tables of analyses; return the files that they read."""
    from imaging.analyses.catalog import read_analysis_catalog

    analyses = read_analysis_catalog(store)
    connection.register(ANALYSES.name, analyses.analyses())
    connection.register(ANALYSIS_CHOICES.name, analyses.choices_table())
    _create_view(connection, SHOWN_ANALYSES, duckdb_view(SHOWN_ANALYSES))
    asked = [table for table in ANALYSED if f"{table.name}_all" in wanted]
    return [path for table in asked for path in _add_published(connection, store, analyses.keys(table.name), table)]


def _plate_runs(catalog: Catalog) -> pa.Table:
    current = catalog.current
    hidden = {(row["experiment"], row["plate"], row["barcode"]) for row in catalog.acquisitions if not row["is_chosen"]}
    rows = [
        {
            **{column.name: record.get(column.name) for column in PLATE_RUNS.columns},
            "is_current": record is current[_folder(record)],
            "is_current_acquisition": (*_folder(record)[:2], record.get("barcode") or record["plate"]) not in hidden,
            "is_experimental": is_experimental(record["recipe"]),
        }
        for record in catalog.publications
    ]
    return table_of_records(PLATE_RUNS, rows)


def _promotions(catalog: Catalog) -> pa.Table:
    rows = [
        promotion_row(experiment, promotion) | {"is_current": promotion is promotions[-1]}
        for experiment, promotions in catalog.promotions.items()
        for promotion in promotions
    ]
    return table_of_records(PROMOTIONS, rows)


def _add_published(
    connection: duckdb.DuckDBPyConnection, store: Store, keys: Sequence[str], table: Table
) -> list[Path]:
    """Create ``<table>_all`` and ``<table>`` of these files; plates may have different feature columns."""
    name = f"{table.name}_all"
    paths = _plain_paths(store, keys)
    empty = arrow_schema(table).empty_table()
    if paths:
        connection.register(f"{table.name}_declared", empty)
        files = f"SELECT * FROM read_parquet({_text_list(paths)}, union_by_name = true)"
        try:
            _create_view(connection, name, f'SELECT * FROM "{table.name}_declared" UNION ALL BY NAME {files}')
        except duckdb.Error as error:
            raise _damaged(str(error)) from error
    else:
        read = [_read_parquet(store, key) for key in keys]
        connection.register(name, pa.concat_tables([empty, *read], promote_options="default"))
    _create_view(connection, table.name, duckdb_current_rows(table.name))
    return paths


def _create_view(connection: duckdb.DuckDBPyConnection, name: str, sql: str) -> None:
    connection.execute(f'CREATE VIEW "{name}" AS {sql}')


def _plain_paths(store: Store, keys: Iterable[str]) -> list[Path]:
    """Paths that DuckDB can read by itself; none where the store is no folder, or its path looks like a pattern.

    Raises
    ------
    StoredDataError
        If a file is gone.
    """
    paths: list[Path] = []
    for key in keys:
        path = store.local_path(key)
        if path is None or re.search(r"[*?\[]", str(path)):
            return []
        if not path.is_file():
            raise _gone(key)
        paths.append(path)
    return paths


def _read_parquet(store: Store, key: str) -> pa.Table:
    try:
        return pq.read_table(pa.BufferReader(store.read(key)))
    except FileNotFoundError as error:
        raise _gone(key) from error
    except pa.ArrowInvalid as error:
        raise _damaged(str(error), key) from error


def _damaged(message: str, key: str = "") -> StoredDataError:
    return StoredDataError(f"a published table cannot be read: {_sentence(message)}", key=key)


def _gone(key: str) -> StoredDataError:
    cure = "the experiment is analysed anew" if "/_analyses/" in key else "platestream repair publishes the plate anew"
    return StoredDataError(f"a published table is gone; {cure}", key=key)


def _text_list(paths: Iterable[Path]) -> str:
    quoted = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    return f"[{quoted}]"
