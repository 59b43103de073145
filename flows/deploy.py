"""`platestream deploy`: tells a Prefect server what prefect.yaml and deployments/ declare; twice is as good as once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from flows.serve import DECLARED, make_deployment, read_deployments
from flows.server import is_healthy
from flows.settings import Settings
from imaging.errors import ConfigurationError, MissingPartError

FOLDER = DECLARED.with_name("deployments")
Change = Literal["created", "updated", "unchanged"]


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done about one declared thing."""

    kind: str
    name: str
    change: Change

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.change}"


def deploy(environment: str = "local", *, settings: Settings | None = None, folder: Path = FOLDER) -> list[Applied]:
    """Apply work pool, deployments and automations of an environment to the server; return what was done.

    Parameters
    ----------
    environment
        Name of a file in ``deployments/``, such as ``local``.

    Raises
    ------
    ConfigurationError
        If there is no such environment, or its file lacks the work pool.
    MissingPartError
        If no Prefect server answers.
    """
    settings = settings or Settings()
    declared = read_environment(environment, folder)
    if not is_healthy(settings.api_url, timeout_s=5.0):
        raise MissingPartError(
            f"no Prefect server answers at {settings.api_url}; start one (platestream serve, or prefect server start), "
            "or set PREFECT_API_URL to the address of yours, ending in /api"
        )
    return list(_apply(declared, yaml.safe_load((folder / "automations.yaml").read_text())))


def read_environment(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Read the file of an environment.

    Raises
    ------
    ConfigurationError
        If there is none, or it does not say which work pool to use.
    """
    names = sorted(path.stem for path in folder.glob("*.yaml") if path.stem != "automations")
    if name not in names:
        raise ConfigurationError(f"there is no environment {name!r}; there are: {', '.join(names)}", key=str(folder))
    declared = yaml.safe_load((folder / f"{name}.yaml").read_text())
    if not isinstance(declared, dict) or not {"name", "type"} <= set(declared.get("work_pool") or {}):
        raise ConfigurationError("the file must name a work_pool with name and type", key=str(folder / f"{name}.yaml"))
    return declared


def _apply(declared: dict[str, Any], automations: list[dict[str, Any]]) -> Iterator[Applied]:
    from prefect.client.orchestration import get_client

    pool = declared["work_pool"]
    with get_client(sync_client=True) as client:
        yield Applied("work pool", pool["name"], _apply_pool(client, pool))
        for each in read_deployments():
            options = {"work_pool_name": pool["name"], "job_variables": declared.get("job_variables") or {}}
            yield Applied("deployment", each["name"], _apply_deployment(client, each, options))
        for automation in automations:
            yield Applied("automation", automation["name"], _apply_automation(client, automation))


def _apply_pool(client: Any, pool: dict[str, Any]) -> Change:
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectNotFound

    limit = pool.get("concurrency_limit")
    try:
        found = client.read_work_pool(pool["name"])
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=pool["name"], type=pool["type"], concurrency_limit=limit))
        return "created"
    if found.concurrency_limit == limit:
        return "unchanged"
    client.update_work_pool(pool["name"], WorkPoolUpdate(concurrency_limit=limit))
    return "updated"


def _apply_deployment(client: Any, declared: dict[str, Any], options: dict[str, Any]) -> Change:
    deployment = make_deployment(declared, **options)
    before = _deployment_state(client, deployment)
    deployment.apply()
    after = _deployment_state(client, deployment)
    return "created" if before is None else "unchanged" if before == after else "updated"


def _deployment_state(client: Any, deployment: Any) -> Any:
    """What a deployment says apart from ids and times; ``None`` if there is none."""
    from prefect.exceptions import ObjectNotFound

    try:
        found = client.read_deployment_by_name(f"{deployment.flow_name}/{deployment.name}")
    except ObjectNotFound:
        return None
    triggers = client.read_resource_related_automations(f"prefect.deployment.{found.id}")
    fields = ("entrypoint", "tags", "description", "work_pool_name", "work_queue_name", "job_variables", "parameters")
    return [getattr(found, name) for name in fields], [_automation_state(each) for each in triggers]


def _apply_automation(client: Any, declared: dict[str, Any]) -> Change:
    from prefect.events.schemas.automations import AutomationCore

    wanted = AutomationCore.model_validate(declared)
    found = client.read_automations_by_name(wanted.name)
    if not found:
        client.create_automation(wanted)
        return "created"
    if _automation_state(found[0]) == _automation_state(wanted):
        return "unchanged"
    client.update_automation(found[0].id, wanted)
    return "updated"


def _automation_state(automation: Any) -> Any:
    """What an automation says, apart from ids and what the server adds."""
    said = automation.model_dump(mode="json", include={"name", "description", "enabled", "trigger", "actions"})
    return _without_ids(said)


def _without_ids(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_ids(each) for key, each in value.items() if key not in ("id", "deployment_id")}
    return [_without_ids(each) for each in value] if isinstance(value, list) else value
