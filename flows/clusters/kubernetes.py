"""The little that we ask of Kubernetes, each call once and with one way to fail; kr8s finds address and credentials."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from flows.clusters.gke_objects import GROUP
from imaging.errors import MissingPartError

ANSWER_S = 10.0
"""Seconds that Kubernetes may take to answer; kr8s itself would wait for ever."""
NOT_FOUND, CONFLICT = 404, 409


class Kubernetes:
    """Objects of one namespace.

    Every method raises MissingPartError when Kubernetes does not answer or refuses.

    Parameters
    ----------
    namespace
        The namespace.

    Raises
    ------
    MissingPartError
        When the extra ``gke`` is not installed, or nothing says where Kubernetes is.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._kr8s = _import_kr8s()
        make = self._kr8s.objects.new_class
        scalable = {"scalable": True, "scalable_spec": "worker.replicas"}
        self._kinds = {
            kind: make(kind, GROUP, asyncio=False, **scalable) for kind in ("DaskCluster", "DaskWorkerGroup")
        }
        with self._told("look at"):
            self._api: Any = self._kr8s.api()
            self._api.timeout = ANSWER_S

    def find(self, described: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the object of this kind and name as it is now; ``None`` when there is none."""
        found = self._object(described)
        with self._told("look at", described):
            try:
                found.refresh()
            except self._kr8s.NotFoundError:
                return None
        return found.raw.to_dict()

    def create(self, described: Mapping[str, Any]) -> bool:
        """Create an object; ``False`` when it is there already."""
        with self._told("create", described):
            try:
                self._object(described).create()
            except self._kr8s.ServerError as error:
                if _status(error) == CONFLICT:
                    return False
                raise
        return True

    def delete(self, described: Mapping[str, Any]) -> None:
        """Delete an object and then what was made for it, if it is there; it is gone after all that only."""
        with self._told("delete", described), contextlib.suppress(self._kr8s.NotFoundError):
            self._object(described).delete(propagation_policy="Foreground")

    def patch_replicas(self, described: Mapping[str, Any], number: int) -> None:
        """Set the number of workers of a group."""
        with self._told("scale", described):
            self._object(described).patch({"spec": {"worker": {"replicas": number}}})

    def deployments(self, labels: Mapping[str, str]) -> list[str]:
        """Names of the Deployments with these labels that are not being deleted."""
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        with self._told("list Deployments of"):
            kind = self._kr8s.objects.Deployment
            found = list(kind.list(namespace=self.namespace, label_selector=selector, api=self._api))
        return [each.name for each in found if "deletionTimestamp" not in each.metadata]

    def delete_deployment(self, name: str) -> None:
        """Delete a Deployment with its pods, if it is there."""
        deployment = self._kr8s.objects.Deployment(name, namespace=self.namespace, api=self._api)
        with self._told(f"delete the Deployment {name} of"), contextlib.suppress(self._kr8s.NotFoundError):
            deployment.delete(propagation_policy="Background")

    def _object(self, described: Mapping[str, Any]) -> Any:
        return self._kinds[described["kind"]](dict(described), namespace=self.namespace, api=self._api)

    @contextlib.contextmanager
    def _told(self, action: str, described: Mapping[str, Any] | None = None) -> Iterator[None]:
        """Turn what can go wrong on the way into one sentence."""
        what = f"{described['kind']} {described['metadata']['name']} in the" if described else "the"
        place = f"{action} {what} namespace {self.namespace}"
        try:
            yield
        except self._kr8s.ServerError as error:
            raise MissingPartError(f"Kubernetes does not let us {place}: {_reason(error, described)}") from error
        except (self._kr8s.APITimeoutError, httpx.HTTPError, OSError) as error:
            raise MissingPartError(f"Kubernetes does not answer, so we cannot {place} ({error})") from error
        except ValueError as error:  # kr8s has no credentials
            raise MissingPartError(
                f"we cannot {place}: neither KUBECONFIG nor a service account says where Kubernetes is ({error})"
            ) from error


def _reason(error: Any, described: Mapping[str, Any] | None) -> str:
    if _status(error) == NOT_FOUND and described is not None:
        return "it does not know this kind; install the operator dask-kubernetes-operator with helm"
    return str(error)


def _status(error: Any) -> int:
    return error.response.status_code if error.response is not None else 0


def _import_kr8s() -> Any:
    try:
        importlib.import_module("kr8s.objects")
        return importlib.import_module("kr8s")
    except ImportError as error:
        raise MissingPartError(
            f"compute=gke needs dask-kubernetes ({error}): pip install 'platestream[gke]'"
        ) from error
