"""`platestream deploy`: tells a Prefect server what prefect.yaml and deployments/ declare; twice is as good as once.

What is as declared is left alone, so that automations keep their ids and what they have counted.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from flows.applied import Applied, Change
from flows.declared import ROOT, Deployment, WorkPool, read_automations, read_deployments, read_environment
from flows.declared_settings import job_variables
from flows.deploy_blocks import apply_blocks
from flows.serve import load_flow, make_triggers
from flows.server import is_healthy
from flows.settings import Settings
from flows.watchdogs.channels import apply_channels, with_blocks
from imaging.errors import ConfigurationError, MissingPartError

OURS = "platestream"
"""Tag of the automations that come from deployments/automations.yaml; one that left the file is removed."""
LOCK = "automations.lock"


def deploy(environment: str = "local", *, settings: Settings | None = None, root: Path = ROOT) -> list[Applied]:
    """Apply work pool, blocks, deployments and automations of an environment to the server; return what was done.

    Parameters
    ----------
    environment
        Name of a file in ``deployments/``, such as ``local``.
    settings
        Where the server is; default from the environment's variables.
    root
        The folder that holds prefect.yaml and ``deployments/``.

    Raises
    ------
    ConfigurationError
        If there is no such environment, or a file is at fault.
    MissingPartError
        If no Prefect server answers.
    """
    settings = settings or Settings()
    target, deployments, automations = (
        read_environment(environment, root),
        read_deployments(root),
        read_automations(root),
    )
    for each in deployments:
        if each.work_pool.name != target.work_pool.name:
            raise ConfigurationError(
                f"prefect.yaml runs {each.name} in the work pool {each.work_pool.name}, and the environment "
                f"{environment} has {target.work_pool.name}; name the same"
            )
    if not is_healthy(settings.api_url, timeout_s=5.0):
        raise MissingPartError(
            f"no Prefect server answers at {settings.api_url}; start one (platestream serve, or prefect server start), "
            "or set PREFECT_API_URL to the address of yours, ending in /api"
        )
    with _client(settings) as client:
        applied = [_apply_pool(client, target.work_pool)]
        if target.google:
            applied += apply_blocks(client, target.google)
        for each in deployments:
            variables = job_variables(environment, target, each.work_pool.job_variables)
            applied += _apply_deployment(client, each, variables)
        applied += apply_channels(client, settings)
        return applied + apply_automations(client, automations)


def deploy_alerts(settings: Settings) -> list[Applied]:
    """Apply the addresses that alerts go to, and the automation that uses them, to the server of the settings.

    Raises
    ------
    ConfigurationError
        If an address has another form than its channel's.
    """
    with alone(settings), _client(settings) as client:
        return apply_channels(client, settings) + apply_automations(client, read_automations())


@contextlib.contextmanager
def alone(settings: Settings) -> Iterator[None]:
    """Wait until no other process of this machine applies automations: two at once would make each of them twice."""
    settings.state_folder.mkdir(parents=True, exist_ok=True)
    with (settings.state_folder / LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _client(settings: Settings) -> Iterator[Any]:
    """A synchronous client of the settings' server."""
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    server: dict[Any, str] = {PREFECT_API_URL: settings.api_url}
    if settings.auth:
        server[PREFECT_API_AUTH_STRING] = settings.auth
    with temporary_settings(server), get_client(sync_client=True) as client:
        yield client


def apply_automations(client: Any, declared: Sequence[dict[str, Any]]) -> list[Applied]:
    """Apply automations that belong to no deployment; remove those of ours that are not declared any more.

    Parameters
    ----------
    client
        A synchronous client of Prefect's.
    declared
        Automations as Prefect takes them; an action may name a block by its type and name.

    Raises
    ------
    ConfigurationError
        If Prefect does not take one of them.
    """
    from prefect.events.schemas.automations import AutomationCore
    from pydantic import ValidationError

    try:
        wanted = [AutomationCore.model_validate({**each, "tags": [OURS]}) for each in with_blocks(client, declared)]
    except ValidationError as error:
        problems = tuple(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError("deployments/automations.yaml is at fault:", problems) from error
    ours = [each for each in client.read_automations() if OURS in each.tags]
    return _reconcile(client, wanted, ours)


def _apply_pool(client: Any, pool: WorkPool) -> Applied:
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectNotFound
    from prefect.workers.process import ProcessWorker

    try:
        found = client.read_work_pool(pool.name)
    except ObjectNotFound:
        # what a deployment may set; of other types the first worker that starts tells the server
        template = ProcessWorker.get_default_base_job_template() if pool.type == ProcessWorker.type else {}
        wanted = WorkPoolCreate(
            name=pool.name, type=pool.type, concurrency_limit=pool.concurrency_limit, base_job_template=template
        )
        client.create_work_pool(wanted)
        return Applied("work pool", pool.name, "created")
    if found.type != pool.type:
        raise ConfigurationError(
            f"the server's work pool {pool.name} has the type {found.type}, declared is {pool.type}; a pool cannot "
            "change its type: delete it or choose another name"
        )
    if found.concurrency_limit == pool.concurrency_limit:
        return Applied("work pool", pool.name, "unchanged")
    client.update_work_pool(pool.name, WorkPoolUpdate(concurrency_limit=pool.concurrency_limit))
    return Applied("work pool", pool.name, "updated")


def _apply_deployment(client: Any, declared: Deployment, variables: dict[str, Any]) -> list[Applied]:
    from prefect.exceptions import ObjectNotFound
    from prefect.utilities.callables import parameter_schema

    flow = load_flow(declared.entrypoint)
    wanted: dict[str, Any] = {
        "entrypoint": declared.entrypoint,
        "description": declared.description,
        "tags": declared.tags,
        "parameters": declared.parameters,
        "concurrency_limit": declared.concurrency_limit,
        "work_pool_name": declared.work_pool.name,
        "work_queue_name": declared.work_pool.work_queue_name,
        "job_variables": variables,
        "parameter_openapi_schema": parameter_schema(flow).model_dump(exclude_unset=True),
        "enforce_parameter_schema": True,
    }
    try:
        found = client.read_deployment_by_name(f"{flow.name}/{declared.name}")
    except ObjectNotFound:
        found = None
    change: Change = "unchanged"
    if found is None or _differs(found, wanted):
        change = "updated" if found else "created"
        flow_id = client.create_flow_from_name(flow.name)
        deployment_id = client.create_deployment(flow_id, declared.name, pull_steps=[], **wanted)
    else:
        deployment_id = found.id
    return [Applied("deployment", declared.name, change), *_apply_triggers(client, declared, deployment_id)]


def _apply_triggers(client: Any, declared: Deployment, deployment_id: Any) -> list[Applied]:
    """Apply a deployment's automations; the server does not say whose an automation is, so a tag or the name does."""
    tag = f"{OURS}:{declared.name}"
    wanted = []
    for trigger in make_triggers(declared):
        trigger.set_deployment_id(deployment_id)
        wanted.append(trigger.as_automation().model_copy(update={"tags": [tag]}))
    names = {automation.name for automation in wanted}
    related = client.read_resource_related_automations(f"prefect.deployment.{deployment_id}")
    return _reconcile(client, wanted, [each for each in related if tag in each.tags or each.name in names])


def _differs(found: Any, wanted: dict[str, Any]) -> bool:
    limit = found.global_concurrency_limit
    said = {name: getattr(found, name) for name in wanted if name != "concurrency_limit"}
    return {**said, "concurrency_limit": limit.limit if limit else None} != wanted


def _reconcile(client: Any, wanted: Sequence[Any], found: Sequence[Any]) -> list[Applied]:
    """Make the automations that were found those that are wanted, by name; of two with one name, one stays."""
    applied = []
    left = {str(each.id): each for each in found}
    for automation in wanted:
        same = [each for each in left.values() if each.name == automation.name]
        change: Change = "unchanged"
        if not same:
            client.create_automation(automation)
            change = "created"
        else:
            del left[str(same[0].id)]
            if _state(same[0]) != _state(automation):
                # its own update_automation leaves out defaults, the kind of an action too, and names an owner
                said = automation.model_dump(mode="json", exclude={"owner_resource"})
                client.request("PUT", "/automations/{id}", json=said, path_params={"id": same[0].id}).raise_for_status()
                change = "updated"
        applied.append(Applied("automation", automation.name, change))
    for automation in left.values():
        client.delete_automation(automation.id)
        applied.append(Applied("automation", automation.name, "removed"))
    return applied


def _state(automation: Any) -> Any:
    """What an automation says, apart from ids that the server gives."""
    said = {"name", "description", "enabled", "tags", "trigger", "actions"}
    return _comparable(automation.model_dump(mode="json", include=said))


def _comparable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _comparable(each) for key, each in value.items() if key != "id"}
    if isinstance(value, list):
        return sorted(value) if all(isinstance(each, str) for each in value) else [_comparable(each) for each in value]
    return value
