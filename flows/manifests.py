"""`platestream manifests`: the Kubernetes manifests of an environment, with the names and sizes of its file in them.

deployments/kubernetes/*.yaml say ``${namespace}`` and the like wherever deployments/gcp.yaml has the word. The settings
of all processes become one ConfigMap, the environment's file another: a container reads it as it is now, not as it was
when its image was built. No secret is printed: manifests only name them.
"""

from __future__ import annotations

import string
from pathlib import Path

import yaml

from flows.clusters.gke_objects import TLS_FOLDER
from flows.declared import FOLDER, ROOT, read_environment
from flows.declared_google import Cloud
from flows.declared_settings import settings_variables
from flows.server import client_variables
from imaging.errors import ConfigurationError, MissingPartError

MANIFESTS = "kubernetes"
SETTINGS = "platestream-settings"
"""The ConfigMap that each of our processes reads its settings from."""
FILE = "platestream-environment"
"""The ConfigMap of the environment's file, which `platestream cluster` reads."""
FIRST = "namespace.yaml"
"""The file that the others need before them."""
STATE = Path("/state")
ROLES = ("watch", "runs", "workers", "warehouse")


def render_manifests(name: str, root: Path = ROOT) -> str:
    """Return all manifests of an environment as one text of YAML documents, the namespace first.

    Parameters
    ----------
    name
        Name of the environment's file, such as ``gcp``.
    root
        The folder that holds ``deployments/``.

    Raises
    ------
    ConfigurationError
        If the environment has no Kubernetes, or a manifest asks for a word that there is not.
    MissingPartError
        If there are no manifests.
    """
    environment = read_environment(name, root)
    if environment.cloud is None:
        raise ConfigurationError(
            f"the environment {name} says nothing of Kubernetes; deployments/gcp.yaml shows how one does"
        )
    folder = root / FOLDER / MANIFESTS
    files = sorted(folder.glob("*.yaml"), key=lambda path: (path.name != FIRST, path.name))
    if not files:
        raise MissingPartError("the manifests come with the repository: clone it", key=str(folder))
    words = manifest_words(name, environment.cloud, environment.work_pool.name)
    texts = [_fill(path, words) for path in files]
    settings = settings_variables(name, environment) | _client_variables(environment.cloud)
    file = f"{name}.yaml"
    maps = {SETTINGS: settings, FILE: {file: (root / FOLDER / file).read_text()}}
    texts[1:1] = [_config_map(each, environment.cloud, data) for each, data in maps.items()]
    return "---\n".join(texts)


def manifest_words(name: str, cloud: Cloud, work_pool: str) -> dict[str, str]:
    """Return what stands for each ``${word}`` of a manifest."""
    google, cluster, postgresql = cloud.google, cloud.cluster, cloud.kubernetes.postgresql
    words = {
        "environment_file": f"{name}.yaml",
        "namespace": cluster.namespace,
        "work_pool": work_pool,
        "cpu_image": google.image("cpu"),
        "standard_pool": cluster.scheduler.node_pool,
        "dask_cluster": cluster.name,
        "tls_secret": cluster.tls_secret,
        "tls_folder": TLS_FOLDER,
        "postgresql_image": postgresql.image,
        "postgresql_disk": f"{postgresql.disk_gb}Gi",
    }
    for role in ROLES:
        words |= {f"{role}_account": getattr(google.service_accounts, role), f"{role}_email": google.account(role)}
    return words


def _fill(path: Path, words: dict[str, str]) -> str:
    try:
        return string.Template(path.read_text()).substitute(words)
    except (KeyError, ValueError) as error:
        raise ConfigurationError(
            f"a manifest asks for {error}, which is none of the words: {', '.join(sorted(words))}", key=str(path)
        ) from error


def _client_variables(cloud: Cloud) -> dict[str, str]:
    return client_variables(f"http://prefect-server.{cloud.cluster.namespace}.svc:4200/api", STATE / "prefect")


def _config_map(name: str, cloud: Cloud, data: dict[str, str]) -> str:
    metadata = {"name": name, "namespace": cloud.cluster.namespace}
    return yaml.safe_dump(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}, sort_keys=False
    )
