"""The runner of one machine: registers what prefect.yaml declares and runs it in processes of its own.

``python -m flows.serve``. A lab with several machines registers the same with ``platestream deploy`` and starts
``prefect worker`` instead.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from flows.declared import Deployment, read_automations, read_deployments
from flows.server import api_client, client_variables, is_healthy, prefect_environment
from flows.settings import Settings
from flows.supervise import Service
from flows.warm_process import warm_runs
from imaging.errors import ConfigurationError

WAREHOUSE = "load-warehouse"
"""Deployment that is of use with a BigQuery dataset only."""
BACKGROUND = "background"
"""Tag of deployments whose runs can wait."""
QUERY_S = 1.0
"""Seconds between two questions for scheduled runs."""


def load_flow(entrypoint: str) -> Any:
    """Import a flow by its dotted name.

    Raises
    ------
    ConfigurationError
        If there is no such flow.
    """
    module, _, name = entrypoint.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise ConfigurationError(
            f"prefect.yaml names the flow {entrypoint}, which cannot be imported: {error}"
        ) from error


def served_deployments(settings: Settings) -> list[Deployment]:
    """Deployments of this machine's runner; without a dataset none that would do nothing at each publication."""
    return [each for each in read_deployments() if settings.dataset or each.name != WAREHOUSE]


def background_places(served: Iterable[Deployment]) -> int:
    """Runs that can wait, at the same time: they get places of their own and take none of those of plates."""
    return sum(each.concurrency_limit or 0 for each in served if BACKGROUND in each.tags)


def make_deployment(declared: Deployment) -> Any:
    """Make Prefect's deployment of one declaration, for a runner and so without a work pool."""
    from prefect.deployments.runner import EntrypointType

    return load_flow(declared.entrypoint).to_deployment(
        declared.name,
        description=declared.description,
        tags=declared.tags,
        parameters=declared.parameters,
        concurrency_limit=declared.concurrency_limit,
        triggers=make_triggers(declared),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )


def make_triggers(declared: Deployment) -> list[Any]:
    """Make Prefect's triggers of one declaration.

    Raises
    ------
    ConfigurationError
        If Prefect does not take one of them.
    """
    from prefect.events import DeploymentTriggerTypes
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(list[DeploymentTriggerTypes]).validate_python(declared.triggers)
    except ValidationError as error:
        problems = tuple(f"triggers{list(fault['loc'])}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError(f"prefect.yaml: deployment {declared.name} is at fault:", problems) from error


def serve_service(settings: Settings, log_file: Path) -> Service:
    """Return the runner as a service; runs that it started outlive it."""
    client = client_variables(settings.api_url, settings.state_folder / "prefect", settings.auth)
    variables = client | settings.as_environment()
    served = served_deployments(settings)
    names = [f"{each.entrypoint.rpartition('.')[2].replace('_', '-')}/{each.name}" for each in served]
    return Service(
        "runner",
        (sys.executable, "-m", "flows.serve"),
        log_file,
        prefect_environment(variables),
        is_ready=lambda: all(_is_registered(settings, name) for name in names),
        is_outlived=True,
    )


def _is_registered(settings: Settings, name: str) -> bool:
    try:
        with api_client(settings.api_url, auth=settings.auth, timeout_s=1.0) as client:
            return client.get(f"/deployments/name/{quote(name)}").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def main() -> None:
    """Run until the process is stopped; waits for a server that is only starting."""
    settings = Settings()
    while not is_healthy(settings.api_url):
        time.sleep(0.2)
    from prefect import serve
    from prefect.client.orchestration import get_client

    from flows.deploy import alone, apply_automations

    with alone(settings), get_client(sync_client=True) as client:
        apply_automations(client, read_automations())
    served = served_deployments(settings)
    deployments = [make_deployment(declared) for declared in served]
    limit = settings.plates_at_once + background_places(served)
    with warm_runs():
        serve(*deployments, limit=limit, query_seconds=QUERY_S, print_starting_message=False)


if __name__ == "__main__":
    main()
