"""A flow with the parameters of process_plate that does nothing: for deployments and events."""

from __future__ import annotations

from prefect import flow


@flow(name="tiny", flow_run_name="{experiment}/{plate}")
def tiny(experiment: str, plate: str, recipe: str = "", priority: int = 0) -> str:
    return f"{experiment}/{plate}"
