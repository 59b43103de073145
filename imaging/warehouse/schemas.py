"""Tables of the dataset, made and widened from ``imaging.tables``; what contradicts them is refused.

A table is only ever widened, by columns that may be NULL. Tables with feature columns have one version per set of
features: ``wells_1a2b3c4d`` for that hash of its column names. So one plate's features cost another's table no column.

Published rows lie in the partition of the day of their publication, clustered by experiment and plate. No table has a
column with that day, and a load job can add none, so the partition is named in the job (``wells$20260203``): the rows
of a warehouse that is built anew lie where they lay before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from google.api_core.exceptions import Conflict, NotFound, PreconditionFailed
from google.cloud import bigquery

from imaging.analysis_tables import ANALYSED, ANALYSES, ANALYSIS_CHOICES
from imaging.errors import RefusedLoadError, SchemaDriftError
from imaging.names import hash_of
from imaging.table_schema import TEXT, TEXTS, TIME, Column, Table, bigquery_schema
from imaging.tables import (
    ACQUISITION_DECISIONS,
    CELLS,
    FAULT_RECORDS,
    IMAGES_LIVE,
    PLATE_RUNS,
    PROMOTIONS,
    PUBLISHED,
    SITES_LIVE,
)
from imaging.warehouse.connection import Warehouse, present

AT_ONCE = 8
"""Requests that are made at the same time."""
COLUMN_LIMIT = 10_000
LIVE_DAYS = 4
"""Days that rows of plates in progress are kept; those of plates that are still in progress are loaded again before."""
REMEDY = "drop it and plate_runs_all and start `platestream warehouse` again, which loads all rows again"
"""What to do about a table that cannot be widened: rows are loaded again of publications that plate_runs_all lacks."""
_TYPES = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN"}
_VERSION = re.compile(r"_[0-9a-f]{8}")

LOADED = tuple(table for table in PUBLISHED if table is not CELLS)
"""Published tables that are loaded; cells stay in Parquet."""
WITH_ROWS = (*LOADED, *ANALYSED)
"""Tables of publications and of analyses."""
WORKED_OUT = ("is_current", "is_current_acquisition", "is_experimental")
"""Columns of ``plate_runs`` that the view works out."""
RUNS_ALL = Table(
    "plate_runs_all",
    "One row per publication of a plate whose rows are all here; the view plate_runs shows each once.",
    (
        *(column for column in PLATE_RUNS.columns if column.name not in WORKED_OUT),
        Column("measured_until", TIME, "UTC", "when the last of its sites was measured; NULL when it is withdrawn"),
        Column("manifests", TEXTS, "", "marks of the manifests of sites that it counts"),
        Column("loaded_at", TIME, "UTC", "when its rows were found to be right"),
    ),
)
PROMOTIONS_ALL = Table(
    "promotions_all",
    "One row per promotion of a recipe, as loaded; the view promotions shows each once.",
    (
        *(column for column in PROMOTIONS.columns if column.name != "is_current"),
        Column("loaded_at", TIME, "UTC", "when the row was made"),
    ),
)

ANALYSES_ALL = Table(
    "analyses_all",
    "One row per analysis whose rows are all here; the view analyses shows each once.",
    (
        *(column for column in ANALYSES.columns if column.name != "is_current"),
        Column("loaded_at", TIME, "UTC", "when its rows were found to be right"),
    ),
)
ANALYSIS_CHOICES_ALL = Table(
    "analysis_choices_all",
    "One row per choice of an analysis recipe, as loaded; the view analysis_choices shows each once.",
    (
        *(column for column in ANALYSIS_CHOICES.columns if column.name != "is_current"),
        Column("loaded_at", TIME, "UTC", "when the row was made"),
    ),
)

_OBSERVED_AT = Column("observed_at", TIME, "UTC", "when the row was made; the newest counts")
_MANIFEST = Column("manifest", TEXT, "", "mark of the site's manifest")


def _as_they_came(name: str, shown: Table, *more: Column) -> Table:
    columns = tuple(column for column in shown.columns if column.name != "is_published")
    return Table(
        name,
        f"Rows of {shown.name} as they came, the same several times; the view shows the newest.",
        (*columns, *more),
    )


def mark_of(manifest: str) -> str:
    """Name a site's manifest by ten digits: a publication has thousands, and each query of what is live reads them."""
    return hash_of(manifest)[:10]


IMAGE_METRICS_LIVE = _as_they_came("image_metrics_live", IMAGES_LIVE, _MANIFEST, _OBSERVED_AT)
SITE_METRICS_LIVE = _as_they_came("site_metrics_live", SITES_LIVE, _MANIFEST, _OBSERVED_AT)
FAULT_RECORDS_ALL = _as_they_came("fault_records_all", FAULT_RECORDS, _OBSERVED_AT)
ACQUISITION_DECISIONS_ALL = _as_they_came("acquisition_decisions_all", ACQUISITION_DECISIONS, _OBSERVED_AT)
LIVE = ((IMAGES_LIVE, IMAGE_METRICS_LIVE), (SITES_LIVE, SITE_METRICS_LIVE))
"""Views of plates in progress, and the tables that they stand on."""
BASE = (
    RUNS_ALL,
    PROMOTIONS_ALL,
    ANALYSES_ALL,
    ANALYSIS_CHOICES_ALL,
    IMAGE_METRICS_LIVE,
    SITE_METRICS_LIVE,
    FAULT_RECORDS_ALL,
    ACQUISITION_DECISIONS_ALL,
)
"""Tables besides those of publications."""
PASSING = (IMAGE_METRICS_LIVE.name, SITE_METRICS_LIVE.name)
"""Tables whose rows expire."""
CLUSTER = ["experiment", "plate"]


def base_name(table: Table, features: Sequence[str] = ()) -> str:
    """Name of the table in the dataset that holds the rows: ``images_all``, or the version ``wells_1a2b3c4d``."""
    return f"{table.name}_{hash_of(list(features))[:8]}" if table.has_features else f"{table.name}_all"


def is_version(name: str, table: Table) -> bool:
    """Whether a name is that of a version of a table with features."""
    return name.startswith(table.name) and _VERSION.fullmatch(name.removeprefix(table.name)) is not None


@dataclass
class Schemas:
    """Tables as they were last seen in the dataset; safe to be used by several threads.

    Parameters
    ----------
    warehouse
        The dataset.
    """

    warehouse: Warehouse
    _right: set[str] = field(default_factory=set)

    def ensure_base(self) -> None:
        """Make or widen dataset and tables; of those with features a version without any, so that views have one."""
        self.ensure_dataset()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self.ensure, (*WITH_ROWS, *BASE)))

    def ensure_dataset(self) -> None:
        """Make the dataset unless it is there."""
        warehouse = self.warehouse
        name = warehouse.full_name
        try:
            warehouse.call(warehouse.client.get_dataset, name)
        except NotFound:
            dataset = bigquery.Dataset(name)
            if warehouse.wanted:
                dataset.location = warehouse.wanted
            dataset.description = (
                "Platestream: plates, wells, sites and images; made from the publications in the store"
            )
            warehouse.call(warehouse.client.create_dataset, dataset, exists_ok=True)

    def ensure(self, table: Table, features: Sequence[str] = ()) -> bool:
        """Make or widen the table that takes these rows; return whether it is new.

        Raises
        ------
        SchemaDriftError
            If the table in the dataset contradicts the declared one.
        RefusedLoadError
            If it would have too many columns.
        WarehouseUnavailableError
            If BigQuery does not answer, or the dataset or the table was dropped meanwhile.
        """
        name = base_name(table, features) if table in WITH_ROWS else table.name
        wanted = [bigquery.SchemaField.from_api_repr(item) for item in bigquery_schema(table, features)]
        check_width(name, len(wanted))
        if name in self._right:
            return False
        with present(self.warehouse.dataset):
            is_new = self._make_or_widen(name, table, wanted)
        self._right.add(name)
        return is_new

    def _make_or_widen(self, name: str, table: Table, wanted: list[bigquery.SchemaField]) -> bool:
        warehouse = self.warehouse
        made = _new_table(warehouse, name, table, wanted)
        with suppress(Conflict):
            warehouse.call(warehouse.client.create_table, made)
            return True
        while True:
            found = warehouse.call(warehouse.client.get_table, made.reference)
            if found.table_type != "TABLE":
                raise SchemaDriftError(
                    f"{name} in the dataset {warehouse.dataset} is a {str(found.table_type).lower()}, and must be a "
                    "table; rename or drop it"
                )
            if found.time_partitioning is None:
                raise SchemaDriftError(f"the table {name} in BigQuery is not partitioned by day; {REMEDY}")
            missing = compare(name, found.schema, wanted)
            if not missing:
                return False
            check_width(name, len(found.schema) + len(missing))
            found.schema = [*found.schema, *missing]
            with suppress(PreconditionFailed):  # somebody changed it in between
                warehouse.call(warehouse.client.update_table, found, ["schema"])
                return False


def _new_table(warehouse: Warehouse, name: str, table: Table, schema: list[bigquery.SchemaField]) -> bigquery.Table:
    made = bigquery.Table(warehouse.table_id(name), schema=schema)
    made.description = table.description
    kept_ms = LIVE_DAYS * 86_400_000 if name in PASSING else None
    made.time_partitioning = bigquery.TimePartitioning(type_=bigquery.TimePartitioningType.DAY, expiration_ms=kept_ms)
    made.clustering_fields = [column for column in CLUSTER if column in {item.name for item in schema}]
    return made


def compare(
    name: str, found: Iterable[bigquery.SchemaField], wanted: Iterable[bigquery.SchemaField]
) -> list[bigquery.SchemaField]:
    """Columns that a table lacks.

    Raises
    ------
    SchemaDriftError
        If a column has another type or mode, or one that is not ours must not be NULL; one sentence for each.
    """
    ours = {item.name.lower(): item for item in wanted}
    theirs = {item.name.lower(): item for item in found}
    problems = []
    for key, item in theirs.items():
        if key not in ours:
            if item.mode == "REQUIRED":
                problems.append(f"{item.name} is REQUIRED, and no published table has it")
        elif _kind(item) != _kind(ours[key]):
            problems.append(f"{item.name} is {_shown(item)}, and must be {_shown(ours[key])}")
    if problems:
        raise SchemaDriftError(
            f"the table {name} in BigQuery contradicts the published one: {'; '.join(problems)}; mend the column, or "
            f"{REMEDY}"
        )
    return [item for key, item in ours.items() if key not in theirs]


def check_width(name: str, columns: int) -> None:
    """Refuse a table that is too wide for BigQuery."""
    if columns > COLUMN_LIMIT:
        raise RefusedLoadError(
            f"the table {name} would have {columns:,} columns, and BigQuery takes {COLUMN_LIMIT:,}; choose fewer "
            "feature families in the recipe"
        )


def _kind(item: bigquery.SchemaField) -> tuple[str, str]:
    return _TYPES.get(item.field_type, item.field_type), item.mode


def _shown(item: bigquery.SchemaField) -> str:
    kind, mode = _kind(item)
    return kind if mode == "NULLABLE" else f"{mode} {kind}"
