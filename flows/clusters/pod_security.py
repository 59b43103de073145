"""Pods of Dask as a namespace of Kubernetes' standard ``restricted`` takes them: no root, few folders to write to."""

from __future__ import annotations

from typing import Any

USER = 1000
"""The user of our images."""
WRITTEN = ("/state", "/cache", "/tmp")
"""All that a process of ours writes to; each is a folder of the pod's own that goes with it."""


def secure_pod(pod: dict[str, Any]) -> dict[str, Any]:
    """Return a pod's specification without rights that it has no use for.

    Parameters
    ----------
    pod
        Its specification, with all its containers.
    """
    folders = {path.strip("/"): path for path in WRITTEN}
    mounts = [{"name": name, "mountPath": path} for name, path in folders.items()]
    rights = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    containers = [
        {**each, "securityContext": rights, "volumeMounts": [*each.get("volumeMounts", []), *mounts]}
        for each in pod["containers"]
    ]
    return {
        **pod,
        "containers": containers,
        "volumes": [*pod.get("volumes", []), *({"name": name, "emptyDir": {}} for name in folders)],
        "automountServiceAccountToken": False,
        # else each Service beside it is a variable, and PLATESTREAM_DASK_SCHEDULER_PORT would be a setting of ours
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
