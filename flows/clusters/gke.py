"""A cluster on Kubernetes by the operator of dask-kubernetes: on-demand workers as the floor, spot workers on top.

The operator is told numbers, and it does what a number says once, when it changes: it never replaces a pod by itself,
and to have fewer workers it lets the scheduler choose among all groups, so that it may send an on-demand worker away
in place of a spot one. So what counts here are the Deployments that there are, one per worker; those that go are
deleted here, and the operator is told the number that is left.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any

from flows.clusters.contract import Size
from flows.clusters.gke_objects import SPECIFICATION, describe_cluster, describe_spot_group
from flows.clusters.gke_section import ClusterSection
from flows.clusters.kubernetes import Kubernetes
from flows.clusters.security import TLS, read_security
from flows.declared import read_environment
from flows.settings import Settings
from imaging.errors import ConfigurationError, MissingPartError

GONE_S = 120.0
"""Seconds that a cluster may take to go before it is made anew."""
PAUSE_S = 1.0
PATIENCE_S = 60.0
"""Seconds after which workers that were asked for and are not there are asked for again."""

log = logging.getLogger(__name__)


@contextlib.contextmanager
def open_gke(settings: Settings) -> Iterator[KubernetesCluster]:
    """Have the cluster that the environment's file describes on Kubernetes; it goes on after the block.

    Raises
    ------
    MissingPartError
        When the extra ``gke``, Kubernetes or the operator's kinds of object are not there.
    ConfigurationError
        When the environment's file has no section ``cluster``, or the scheduler's address does not fit it.
    """
    environment = read_environment(settings.environment)
    section = environment.cluster
    if section is None:
        raise ConfigurationError(
            f"compute=gke reads names and sizes from the section cluster of deployments/{settings.environment}.yaml, "
            "which has none; PLATESTREAM_ENVIRONMENT names another file"
        )
    read_security(settings)
    if bool(section.tls_secret) != settings.scheduler.startswith(TLS):
        raise ConfigurationError(
            f"the cluster's scheduler is at {section.address}, and PLATESTREAM_SCHEDULER is {settings.scheduler}: both "
            "must begin with tls:// when the section names a tls_secret, with tcp:// when it names none"
        )
    floor_price = environment.cloud.price(section.workers.floor_node_pool) if environment.cloud else None
    cluster = KubernetesCluster(section, settings, floor_price=floor_price)
    cluster.ensure()
    yield cluster


class KubernetesCluster:
    """A DaskCluster with a DaskWorkerGroup of spot workers.

    Parameters
    ----------
    section
        Names and sizes.
    settings
        What workers need to know; their price is that of spot workers.
    floor_price
        USD that an hour of an on-demand worker costs; ``None`` if it is that of spot workers.
    """

    def __init__(self, section: ClusterSection, settings: Settings, *, floor_price: float | None = None) -> None:
        self._section, self._settings = section, settings
        self._floor = settings
        if floor_price is not None:
            self._floor = settings.model_copy(update={"price_per_worker_hour": floor_price})
        self._kubernetes = Kubernetes(section.namespace)
        self._asked: tuple[int, float] | None = None

    @property
    def address(self) -> str:
        """Address of the scheduler inside Kubernetes."""
        return self._section.address

    @property
    def size(self) -> Size:
        """How many workers it may have."""
        workers = self._section.workers
        return Size(workers.floor, workers.maximum, workers.threads)

    def ensure(self) -> None:
        """Create the cluster if need be; one that was made from other values is made anew."""
        cluster = describe_cluster(self._section, self._floor)
        group = describe_spot_group(self._section, self._settings)
        if any(self._differs(wanted) for wanted in (cluster, group)):
            log.info("the cluster %s was made from other values, so it is made anew", self._section.name)
            for wanted in (group, cluster):
                self._kubernetes.delete(wanted)
            for wanted in (group, cluster):
                self._wait_until_gone(wanted)
        for wanted in (cluster, group):  # the operator looks for the cluster of a group as it is created
            if self._kubernetes.create(wanted):
                log.info("%s %s created", wanted["kind"], wanted["metadata"]["name"])

    def count(self) -> int:
        """Count the workers that were asked for, whether they have a machine yet or not."""
        return self._section.workers.floor + len(self._spot_workers())

    def scale(self, number: int, busy: Mapping[str, int]) -> None:
        """Have so many workers: the floor and the rest on spot machines; those with the fewest sites go first."""
        spot, there = number - self._section.workers.floor, self._spot_workers()
        if spot < len(there):
            there.sort(key=lambda name: busy.get(name, 0))
            for name in there[: len(there) - spot]:
                self._kubernetes.delete_deployment(name)
        elif self._has_been_asked(spot):
            # the operator acts when a number changes only, so it is told what there is before it is asked again
            self._kubernetes.patch_replicas(self._group(), len(there))
        self._kubernetes.patch_replicas(self._group(), spot)

    def tend(self) -> None:
        """Do nothing: Kubernetes starts pods anew whose machine was taken away."""

    def pids(self) -> dict[str, int | None]:
        """No worker is a process of this machine."""
        return {}

    def _group(self) -> dict[str, Any]:
        return describe_spot_group(self._section, self._settings)

    def _spot_workers(self) -> list[str]:
        """Names of the spot workers: each has a Deployment of its own, named like the worker."""
        return self._kubernetes.deployments({"dask.org/workergroup-name": self._section.spot_group})

    def _has_been_asked(self, spot: int) -> bool:
        """Whether this number was asked for some time ago already, and the workers have not come to be."""
        now = time.monotonic()
        if self._asked is None or self._asked[0] != spot:
            self._asked = (spot, now)
        is_late = now - self._asked[1] >= PATIENCE_S
        if is_late:
            self._asked = (spot, now)
        return is_late

    def _differs(self, wanted: dict[str, Any]) -> bool:
        there = self._kubernetes.find(wanted)
        return there is not None and _specification(there) != _specification(wanted)

    def _wait_until_gone(self, wanted: dict[str, Any]) -> None:
        deadline = time.monotonic() + GONE_S
        while self._kubernetes.find(wanted) is not None:
            if time.monotonic() > deadline:
                raise MissingPartError(
                    f"{wanted['kind']} {wanted['metadata']['name']} was to be made anew and is not gone after "
                    f"{GONE_S:g} s; see what holds it with kubectl describe"
                )
            time.sleep(PAUSE_S)


def _specification(described: dict[str, Any]) -> str | None:
    return described["metadata"].get("annotations", {}).get(SPECIFICATION)
