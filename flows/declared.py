"""What prefect.yaml and deployments/ declare: the only place that says which event starts which flow, and where.

Read strictly: a key that is not applied would look as if it were.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from flows.clusters.gke_section import ClusterSection
from imaging.errors import ConfigurationError, MissingPartError

ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds prefect.yaml and deployments/."""
PROJECT, FOLDER, AUTOMATIONS = "prefect.yaml", "deployments", "automations"

_Model = TypeVar("_Model")


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UsedPool(_Strict):
    """The work pool of a deployment and how its workers start a run."""

    name: str
    work_queue_name: str = "default"
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Deployment(_Strict):
    """One deployment of prefect.yaml.

    Parameters
    ----------
    entrypoint
        Dotted name of the flow, e.g. ``flows.process_plate.process_plate``: it is imported, so no code is fetched.
    triggers
        As Prefect takes them; each becomes an automation of its name.
    """

    name: str
    entrypoint: str = Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
    description: str = ""
    tags: list[str] = Field(default_factory=list)
    parameters: dict[str, Any] = Field(default_factory=dict)
    concurrency_limit: int | None = None
    work_pool: UsedPool
    triggers: list[dict[str, Any]] = Field(default_factory=list)


class Project(_Strict):
    """prefect.yaml."""

    name: str
    prefect_version: str = Field(alias="prefect-version")
    pull: list[Any] = Field(default_factory=list, max_length=0)
    deployments: list[Deployment]


class WorkPool(_Strict):
    """A work pool; ``concurrency_limit`` runs at the same time, ``None`` for as many as there are."""

    name: str
    type: str
    concurrency_limit: int | None = None


class Environment(_Strict):
    """A file of ``deployments/``: the work pool of one environment, what its runs get on top of prefect.yaml's, and its
    cluster on Kubernetes, if it has one.
    """

    work_pool: WorkPool
    job_variables: dict[str, Any] = Field(default_factory=dict)
    cluster: ClusterSection | None = None


def read_deployments(root: Path = ROOT) -> list[Deployment]:
    """Read the deployments of prefect.yaml.

    Raises
    ------
    MissingPartError
        If the file is not there: it comes with the repository.
    ConfigurationError
        If it is at fault, with all faults.
    """
    return _read(root / PROJECT, Project).deployments


def read_environment(name: str, root: Path = ROOT) -> Environment:
    """Read the file of an environment in ``deployments/``.

    Raises
    ------
    MissingPartError, ConfigurationError
        As ``read_deployments``; also if there is no such environment.
    """
    names = sorted(path.stem for path in (root / FOLDER).glob("*.yaml") if path.stem != AUTOMATIONS)
    if names and name not in names:
        raise ConfigurationError(
            f"there is no environment {name!r}; there are: {', '.join(names)}", key=str(root / FOLDER)
        )
    return _read(root / FOLDER / f"{name}.yaml", Environment)


def read_automations(root: Path = ROOT) -> list[dict[str, Any]]:
    """Read the automations that belong to no deployment, as Prefect takes them; each has a name.

    Raises
    ------
    MissingPartError, ConfigurationError
        As ``read_deployments``.
    """
    path = root / FOLDER / f"{AUTOMATIONS}.yaml"
    automations = _read(path, list[dict[str, Any]])
    problems = tuple(f"[{i}].name is missing" for i, each in enumerate(automations) if not each.get("name"))
    if problems:
        raise ConfigurationError("the automations are at fault:", problems, key=str(path))
    return automations


def _read(path: Path, model: type[_Model]) -> _Model:
    try:
        return TypeAdapter(model).validate_python(yaml.safe_load(path.read_text()))
    except FileNotFoundError as error:
        raise MissingPartError(
            "prefect.yaml and deployments/ come with the repository: clone it, then `pip install -e .`", key=str(path)
        ) from error
    except yaml.YAMLError as error:
        raise ConfigurationError("the file is no YAML:", (str(error),), key=str(path)) from error
    except ValidationError as error:
        problems = tuple(f"{_spell(fault['loc'])}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError("the file is at fault:", problems, key=str(path)) from error


def _spell(place: tuple[int | str, ...]) -> str:
    spelt = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return spelt.removeprefix(".") or "the file"
