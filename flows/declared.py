"""What prefect.yaml and deployments/ declare: the only place that says which event starts which flow, and where.

Read strictly: a key that is not applied would look as if it were.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import Field, TypeAdapter, ValidationError, model_validator

from flows.clusters.gke_section import ClusterSection
from flows.declared_google import Budgets, Cloud, Google, Kubernetes, Strict
from imaging.errors import ConfigurationError, MissingPartError

ROOT = Path(__file__).resolve().parents[1]
"""The folder that holds prefect.yaml and deployments/."""
PROJECT, FOLDER, AUTOMATIONS = "prefect.yaml", "deployments", "automations"
NO_ENVIRONMENTS = (AUTOMATIONS, "messages")
"""Files beside those of the environments, without their ending."""

_Model = TypeVar("_Model")


class UsedPool(Strict):
    """The work pool of a deployment and how its workers start a run."""

    name: str
    work_queue_name: str = "default"
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Deployment(Strict):
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


class Project(Strict):
    """prefect.yaml."""

    name: str
    prefect_version: str = Field(alias="prefect-version")
    pull: list[Any] = Field(default_factory=list, max_length=0)
    deployments: list[Deployment]


class WorkPool(Strict):
    """A work pool; ``concurrency_limit`` runs at the same time, ``None`` for as many as there are."""

    name: str
    type: str
    concurrency_limit: int | None = None


class Environment(Strict):
    """A file of ``deployments/``: the work pool of one environment, and what its runs get on top of prefect.yaml's.

    It may say ``cluster``, its Dask cluster on Kubernetes. An environment of Google Cloud also says ``google`` and
    ``kubernetes``, and may say ``budgets``; ``cloud`` holds them together. There ``cluster.image`` may be a key of
    ``google.artifacts.images``, and workers have the account of their role.
    """

    work_pool: WorkPool
    job_variables: dict[str, Any] = Field(default_factory=dict)
    google: Google | None = None
    kubernetes: Kubernetes | None = None
    cluster: ClusterSection | None = None
    budgets: Budgets = Budgets()

    @model_validator(mode="after")
    def _fill_cluster(self) -> Environment:
        if self.google is None or self.cluster is None:
            return self
        known: dict[str, Any] = {"service_account": self.google.service_accounts.workers}
        if self.cluster.image in self.google.artifacts.images:
            known["image"] = self.google.image(self.cluster.image)
        # the file is read: from here on nothing changes
        object.__setattr__(self, "cluster", self.cluster.model_copy(update=known))
        return self

    @model_validator(mode="after")
    def _check_cloud(self) -> Environment:
        parts = {"google": self.google, "kubernetes": self.kubernetes, "cluster": self.cluster}
        missing = [name for name, part in parts.items() if part is None]
        if missing and missing != ["google", "kubernetes"] and len(missing) < len(parts):
            raise ValueError(
                f"{' and '.join(missing)} must be there too: google, kubernetes and cluster belong together"
            )
        if missing and self.budgets != Budgets():
            raise ValueError(
                "budgets belong to google, kubernetes and cluster; here PLATESTREAM_BUDGET_PER_... says them"
            )
        if self.cloud and (faults := self.cloud.faults()):
            raise ValueError("; ".join(faults))
        return self

    @property
    def cloud(self) -> Cloud | None:
        """Google Cloud, Kubernetes, Dask cluster and budgets together; ``None`` for machines of a lab."""
        if self.google is None or self.kubernetes is None or self.cluster is None:
            return None
        return Cloud(google=self.google, kubernetes=self.kubernetes, cluster=self.cluster, budgets=self.budgets)


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
    names = sorted(path.stem for path in (root / FOLDER).glob("*.yaml") if path.stem not in NO_ENVIRONMENTS)
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
        problems = tuple(
            f"{_spell(fault['loc'])}: {fault['msg'].removeprefix('Value error, ')}" for fault in error.errors()
        )
        raise ConfigurationError("the file is at fault:", problems, key=str(path)) from error


def _spell(place: tuple[int | str, ...]) -> str:
    spelt = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return spelt.removeprefix(".") or "the file"
