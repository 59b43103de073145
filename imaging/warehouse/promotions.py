"""Promotions of recipes in the warehouse: one row each, by a job that is named by experiment and number."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from imaging.names import hash_of
from imaging.promotions import Promotion, promotion_row
from imaging.table_schema import table_of
from imaging.warehouse.connection import Warehouse
from imaging.warehouse.jobs import job_name, load_rows
from imaging.warehouse.parquet import to_parquet
from imaging.warehouse.schemas import PROMOTIONS_ALL


def load_promotions(warehouse: Warehouse, experiment: str, promotions: Sequence[Promotion]) -> int:
    """Append the rows of an experiment's promotions that are not there yet; return how many.

    Raises
    ------
    WarehouseUnavailableError
        If BigQuery does not answer; what was loaded so far stays.
    """
    loaded = _loaded(warehouse, experiment)
    missing = [each for each in promotions if each.number not in loaded]
    for promotion in missing:
        row = promotion_row(experiment, promotion) | {"loaded_at": datetime.now(UTC)}
        data = to_parquet(table_of(PROMOTIONS_ALL, [row]))
        name = job_name(warehouse, PROMOTIONS_ALL.name, hash_of(experiment), str(promotion.number))
        attempt = 1
        while True:
            done = load_rows(warehouse, name, PROMOTIONS_ALL.name, data, first=attempt)
            if promotion.number in _loaded(warehouse, experiment):
                break
            attempt = done.attempt + 1  # the table was made anew since that job
    return len(missing)


def _loaded(warehouse: Warehouse, experiment: str) -> set[int]:
    table = warehouse.table_id(PROMOTIONS_ALL.name)
    rows = warehouse.ask(f"SELECT number FROM `{table}` WHERE experiment = @experiment", experiment=experiment)
    return {row["number"] for row in rows}
