"""The settings that follow from an environment's file: for runs, services and Dask's workers alike."""

from __future__ import annotations

from typing import Any

from flows.clusters.certificates import AUTHORITY, certificate_names
from flows.clusters.gke_objects import TLS_FOLDER
from flows.declared import Environment
from flows.declared_google import Cloud
from flows.settings import PREFIX

SPOT_NOTICE_S = 14
"""Seconds a pod on a spot machine gets: the machine goes after 30, of which Kubernetes' own pods keep 15."""


def settings_variables(name: str, environment: Environment) -> dict[str, str]:
    """Return the variables that processes of an environment get; a machine of a lab has its own and gets none.

    No secret is among them. Google's credentials are those of the machine: nothing names a block, so that the watcher
    goes on while the Prefect server is down.

    Parameters
    ----------
    name
        Name of the environment's file, such as ``gcp``.
    environment
        What it says.

    Returns
    -------
    ``{"PLATESTREAM_STORE": "gs://...", ...}``. The price is that of a spot worker, which most are.
    """
    cloud = environment.cloud
    return _cloud_variables(name, cloud) if cloud else {}


def job_variables(name: str, environment: Environment, declared: dict[str, Any]) -> dict[str, Any]:
    """Return what a deployment's runs get: prefect.yaml's, the environment's on top; ``env`` variable by variable."""
    both = declared | environment.job_variables
    variables: dict[str, str] = settings_variables(name, environment)
    for source in (declared, environment.job_variables):
        variables |= source.get("env", {})
    return both | ({"env": variables} if variables else {})


def _cloud_variables(name: str, cloud: Cloud) -> dict[str, str]:
    google, budgets, workers = cloud.google, cloud.budgets, cloud.cluster.workers
    certificate, key = certificate_names("client")
    values = {
        "store": google.store,
        "scheduler": cloud.cluster.address,
        "compute": "gke",
        "device": "cuda" if workers.gpus else "cpu",
        "environment": name,
        "place": google.place,
        "google_project": google.project,
        "subscription": google.subscription,
        "dataset": google.dataset.name,
        "dataset_location": google.dataset.location,
        "sites_per_gpu": workers.threads,
        "notice_s": SPOT_NOTICE_S,
        "price_per_worker_hour": cloud.price(workers.spot_node_pool),
        "budget_per_plate": budgets.per_plate,
        "budget_per_day": budgets.per_day,
        "tls_ca": f"{TLS_FOLDER}/{AUTHORITY}",
        "tls_cert": f"{TLS_FOLDER}/{certificate}",
        "tls_key": f"{TLS_FOLDER}/{key}",
    }
    return {PREFIX + field.upper(): str(value) for field, value in values.items() if value is not None}
