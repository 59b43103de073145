"""`imaging.open_results`: every table of a store by experiment, plate and recipe, for Python and without a server."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pyarrow as pa

from imaging.addresses import split_address
from imaging.errors import ConfigurationError
from imaging.export.selection import select_plates
from imaging.names import check_name, plate_folders
from imaging.results.frames import Frame, HeldFrame
from imaging.results.published import PublishedFrame
from imaging.results.sources import IDENTITY, Source, schema_of
from imaging.sentences import name_unknown
from imaging.store import Store, open_store
from imaging.table_schema import arrow_schema
from imaging.tables import ANALYSED, PUBLISHED, TABLES

_READERS = 4
"""Footers that are read at once: that of a plate's cells takes a hundred megabytes."""
_PUBLISHED = frozenset(table.name for table in PUBLISHED)
_ANALYSED = frozenset(table.name for table in ANALYSED)
_OF_EXPERIMENTS = frozenset({"hits", "doses", "dose_points", "feature_variance", "analyses", "analysis_choices"})
"""Tables whose rows are of no plate."""
_RECIPES = "SELECT DISTINCT analysis_recipe FROM analyses WHERE experiment = $experiment ORDER BY analysis_recipe"


class UnknownTableError(ConfigurationError, AttributeError):
    """There is no such table; it is asked for as an attribute or by its name."""


class Results:
    """The results in a store.

    Every table is a method: ``results.wells("screen")``, ``results.cells("screen", plate="P1")``,
    ``results.plate_runs("screen")``. What it takes is described at `table`.

    Parameters
    ----------
    store
        The store.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def experiments(self) -> list[str]:
        """Names of the experiments that have results."""
        return self.store.list_folders("results/")

    def tables(self) -> dict[str, str]:
        """Every table by name, and what a row of it is."""
        return {name: table.description for name, table in TABLES.items()}

    def table(
        self,
        name: str,
        experiment: str,
        *,
        plate: str | Sequence[str] = (),
        recipe: str = "",
        columns: Sequence[str] | None = None,
    ) -> Frame:
        """Rows of a table of an experiment.

        Of each plate one publication counts: the current one under the recipe that was promoted or else declared, as in
        exports and views, or under the recipe asked for; see `imaging.export.selection.select_plates`. What had to be
        decided stands in ``remarks`` of a published table.

        Parameters
        ----------
        name
            Name of the table.
        experiment
            Name of the experiment.
        plate
            A plate, or several; none means all.
        recipe
            A recipe such as ``v1-3fa9c2d4``, or its name (``v1``). Of an analysis it is the analysis recipe, and the
            current analysis under it counts; left out, that of the recipe that counts.
        columns
            Columns to read, in this order, after those that say which row it is; ``Nuclei_*`` means all that begin so.
            Left out, all.

        Raises
        ------
        UnknownTableError
            If there is no such table.
        ConfigurationError
            If there is no such experiment, plate or column, or nothing is published.
        StoredDataError
            If a record or a file is gone or damaged.
        """
        if name not in TABLES:
            raise UnknownTableError(name_unknown("table", name, list(TABLES)))
        plates = (plate,) if isinstance(plate, str) else tuple(plate)
        self._check_experiment(experiment)
        if name in _PUBLISHED:
            return self._published(name, experiment, plates, recipe, columns)
        return self._recorded(name, experiment, plates, recipe, columns)

    def sql(self, query: str, *, dialect: str = "bigquery") -> HeldFrame:
        """Answer one SELECT over all tables and views, as ``platestream sql`` does; see `imaging.query.run_query`.

        Raises
        ------
        QueryError
            If the SQL is at fault.
        """
        from imaging.query import run_query

        return HeldFrame(run_query(self.store, query, dialect=dialect))

    def __repr__(self) -> str:
        return f"results in {self.store.url}"

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *TABLES})

    if TYPE_CHECKING:  # the tables that are asked for most, so that editors and type checkers know what they give

        def wells(self, experiment: str, **choice: Any) -> PublishedFrame: ...  # noqa: D102 - see `table`
        def cells(self, experiment: str, **choice: Any) -> PublishedFrame: ...  # noqa: D102
        def images(self, experiment: str, **choice: Any) -> PublishedFrame: ...  # noqa: D102
        def sites(self, experiment: str, **choice: Any) -> PublishedFrame: ...  # noqa: D102
        def plates(self, experiment: str, **choice: Any) -> PublishedFrame: ...  # noqa: D102
        def features(self, experiment: str, **choice: Any) -> PublishedFrame: ...  # noqa: D102

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name in TABLES:
            return partial(self.table, name)
        known = [*TABLES, "experiments", "tables", "table", "sql"]
        raise UnknownTableError(name_unknown("table", name, known))

    def _check_experiment(self, experiment: str) -> None:
        check_name("experiment", experiment)
        known = self.experiments()
        if experiment not in known:
            nothing = "; nothing has been measured in this store yet"
            raise ConfigurationError(name_unknown("experiment", experiment, known) + ("" if known else nothing))

    def _published(
        self, name: str, experiment: str, plates: tuple[str, ...], recipe: str, columns: Sequence[str] | None
    ) -> PublishedFrame:
        chosen = select_plates(self.store, experiment, plates, recipe=recipe)
        sources = [Source(item, name) for item in chosen.plates if name in item.record["tables"]]
        older = tuple(
            f"{item.plate}: its publication has no table {name}, it is of older software; publish the plate again"
            for item in chosen.plates
            if name not in item.record["tables"]
        )
        with ThreadPoolExecutor(_READERS) as pool:
            list(pool.map(lambda source: source.groups, sources))
        schema = _choose(schema_of(name, sources), name, columns)
        return PublishedFrame(name, sources, schema, chosen.remarks + older)

    def _recorded(
        self, name: str, experiment: str, plates: tuple[str, ...], recipe: str, columns: Sequence[str] | None
    ) -> HeldFrame:
        """Rows of a table that is made of records, or of an analysis."""
        from imaging.query import run_query

        if plates and name in _OF_EXPERIMENTS:
            raise ConfigurationError(f"a row of {name} is of all plates of the experiment; leave plate out")
        if recipe and name in _ANALYSED and (rows := self._analysed(name, experiment, plates, recipe)) is not None:
            return HeldFrame(rows.select(_choose(rows.schema, name, columns).names))
        declared = arrow_schema(TABLES[name])
        asked: list[tuple[str, tuple[str, ...]]] = [("experiment", (experiment,))]
        if plates:
            _check_plates(self.store, experiment, plates)
            asked.append(("plate", plates))
        for column, _ in [*asked, *([("recipe", ())] if recipe else [])]:
            if column not in declared.names:
                raise ConfigurationError(f"the table {name} has no column {column}; leave {column} out")
        where = [f"list_contains(${column}, {column})" for column, _ in asked]
        bound: dict[str, Any] = {column: list(values) for column, values in asked}
        if recipe:
            bound["recipe"] = check_name("recipe", recipe)
            where.append("(recipe = $recipe OR regexp_replace(recipe, '-[^-]*$', '') = $recipe)")
        sql = f'SELECT * FROM "{name}" WHERE {" AND ".join(where)}'  # `name` is one of TABLES
        rows = run_query(self.store, sql, dialect="duckdb", values=bound)
        if recipe and name in _ANALYSED and not rows.num_rows:
            known = run_query(self.store, _RECIPES, dialect="duckdb", values={"experiment": experiment})
            names = known["analysis_recipe"].to_pylist()
            raise ConfigurationError(name_unknown("recipe", recipe, names), experiment=experiment)
        return HeldFrame(rows.select(_choose(rows.schema, name, columns).names))

    def _analysed(self, name: str, experiment: str, plates: tuple[str, ...], recipe: str) -> pa.Table | None:
        """Rows of the current analysis under an analysis recipe, whichever counts; ``None`` where none is so called."""
        from imaging.query import run_query

        known = run_query(self.store, _RECIPES, dialect="duckdb", values={"experiment": experiment})
        called = [item for item in known["analysis_recipe"].to_pylist() if recipe in (item, item.rpartition("-")[0])]
        if not called:
            return None
        bound: dict[str, Any] = {"experiment": experiment, "recipes": called}
        where = "experiment = $experiment AND list_contains($recipes, analysis_recipe)"
        where += " AND analysis IN (SELECT analysis FROM analyses WHERE is_current)"
        if plates:
            _check_plates(self.store, experiment, plates)
            bound["plates"] = list(plates)
            where += " AND list_contains($plates, plate)"
        sql = f'SELECT * FROM "{name}_all" WHERE {where}'  # `name` is one of TABLES
        return run_query(self.store, sql, dialect="duckdb", values=bound)


def open_entry(store: str | Path | Store) -> Results:
    """Open the results of a store; see `imaging.open_results`."""
    if isinstance(store, Store):
        return Results(store)
    url = str(store)
    parts = split_address(url)
    folder = unquote(parts.path) if parts.scheme == "file" else url if "://" not in url else ""
    if folder and not Path(folder).expanduser().is_dir():  # to open it as a store would make it
        raise ConfigurationError("there is no such folder; give that of the store, or its gs:// address", key=url)
    return Results(open_store(url))


def _check_plates(store: Store, experiment: str, plates: Sequence[str]) -> None:
    there = plate_folders(store, experiment)
    problems = [name_unknown("plate", plate, there) for plate in plates if check_name("plate", plate) not in there]
    if problems:
        raise ConfigurationError("; ".join(problems), experiment=experiment)


def _choose(schema: pa.Schema, table: str, columns: Sequence[str] | None) -> pa.Schema:
    """Columns that are asked for, behind those that say which row it is."""
    if columns is None:
        return schema
    if isinstance(columns, str):
        columns = [columns]
    chosen = [name for name in IDENTITY if name in schema.names]
    problems = []
    for asked in columns:
        found = [name for name in schema.names if fnmatchcase(name, asked)] if "*" in asked else [asked]
        if not found or found[0] not in schema.names:
            problems.append(name_unknown("column", asked, schema.names, f" in {table}"))
        chosen += found
    if problems:
        raise ConfigurationError("; ".join(problems))
    return pa.schema([schema.field(name) for name in dict.fromkeys(chosen)])
