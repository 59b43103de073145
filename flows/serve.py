"""The runner of one machine: registers what prefect.yaml declares and runs it in processes of its own.

``python -m flows.serve``. A lab with several machines registers the same with ``platestream deploy`` and starts
``prefect worker`` instead.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import httpx
import yaml

from flows.server import client_variables, prefect_environment
from flows.settings import Settings
from flows.supervise import Service
from imaging.errors import MissingPartError

DECLARED = Path(__file__).resolve().parents[1] / "prefect.yaml"
QUERY_S = 1.0
"""Seconds between two questions for scheduled runs."""


def read_deployments(path: Path = DECLARED) -> list[dict[str, Any]]:
    """Read the deployments of prefect.yaml.

    Raises
    ------
    MissingPartError
        If the file is not there: it comes with the repository.
    """
    try:
        return yaml.safe_load(path.read_text())["deployments"]
    except FileNotFoundError as error:
        raise MissingPartError("prefect.yaml comes with the repository: clone it, then `pip install -e .`") from error


def make_deployment(declared: dict[str, Any], **options: Any) -> Any:
    """Make Prefect's deployment of one declaration; options such as ``work_pool_name`` are passed on."""
    from prefect.deployments.runner import EntrypointType
    from prefect.events import DeploymentEventTrigger

    module, _, name = declared["entrypoint"].rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    triggers = [{key: value for key, value in trigger.items() if key != "type"} for trigger in declared["triggers"]]
    return flow.to_deployment(
        declared["name"],
        description=declared["description"],
        tags=declared["tags"],
        triggers=[DeploymentEventTrigger(**trigger) for trigger in triggers],
        entrypoint_type=EntrypointType.MODULE_PATH,
        **options,
    )


def serve_service(settings: Settings, log_file: Path) -> Service:
    """Return the runner as a service; runs that it started outlive it."""
    variables = client_variables(settings.api_url, settings.state_folder / "prefect") | settings.as_environment()
    names = [f"{each['entrypoint'].rpartition('.')[2].replace('_', '-')}/{each['name']}" for each in read_deployments()]
    return Service(
        "runner",
        (sys.executable, "-m", "flows.serve"),
        log_file,
        prefect_environment(variables),
        is_ready=lambda: all(_is_registered(settings.api_url, name) for name in names),
        is_outlived=True,
    )


def _is_registered(api_url: str, name: str) -> bool:
    try:
        with httpx.Client(timeout=1.0, trust_env=False) as client:
            return client.get(f"{api_url}/deployments/name/{name}").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def main() -> None:
    """Run until the process is stopped; waits for a server that is only starting."""
    import time

    from flows.server import is_healthy

    settings = Settings()
    while not is_healthy(settings.api_url):
        time.sleep(0.2)
    from prefect import serve

    deployments = [make_deployment(declared) for declared in read_deployments()]
    serve(*deployments, limit=settings.plates_at_once, query_seconds=QUERY_S, print_starting_message=False)


if __name__ == "__main__":
    main()
