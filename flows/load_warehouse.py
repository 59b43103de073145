"""The flow that loads what is published of one plate into the warehouse; started by the event of its publication."""

from __future__ import annotations

from prefect import flow, get_run_logger

from flows.settings import Settings
from flows.warehouse import open_loader
from imaging.errors import RefusedLoadError
from imaging.warehouse.outcomes import Loaded, Refused


@flow(name="load-warehouse", flow_run_name="{experiment}/{plate}")
def load_warehouse(experiment: str, plate: str) -> None:
    """Load each publication of a plate that the warehouse lacks; where there is no warehouse, do nothing.

    One that fails is not tried again here, where it would take a place from plates: `platestream warehouse` loads it.
    """
    settings, log = Settings(), get_run_logger()
    if not settings.dataset:
        log.info("there is no warehouse: PLATESTREAM_DATASET names no BigQuery dataset")
        return

    def tell(outcome: Loaded | Refused) -> None:
        if isinstance(outcome, Loaded):
            rows = sum(outcome.rows.values())
            log.info(
                "publication %d: %d rows by %d jobs in %.1f s", outcome.number, rows, outcome.jobs, outcome.seconds
            )

    loader = open_loader(settings, tell)
    loader.prepare()
    refused = [item for item in loader.load_plate(experiment, plate) if isinstance(item, Refused)]
    if refused:
        raise RefusedLoadError("; ".join(f"publication {item.number}: {item.reason}" for item in refused))
