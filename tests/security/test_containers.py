"""Containers: nobody is root in one, nothing of their root is written, and nothing gets more rights later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.manifests import render_manifests
from tests.deployments.container_file import read_container_file
from tests.deployments.declared import CONTAINER_FILES

WRITTEN = ("/data", "/state", "/cache", "/tmp", "/var/lib/postgresql/data", "/var/run/postgresql")


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and specification of every pod that a manifest declares."""
    for item in yaml.safe_load_all(render_manifests("gcp")):
        yield from _pods_in(f"{item['kind']} {item['metadata']['name']}", item)


def _pods_in(name: str, item: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(item, dict):
        if "containers" in item:
            yield name, item
        for value in item.values():
            yield from _pods_in(name, value)
    elif isinstance(item, list):
        for value in item:
            yield from _pods_in(name, value)


PODS = dict(pods())


def test_the_pods_are_found() -> None:
    assert len(PODS) >= 6


@pytest.mark.parametrize("name", PODS)
def test_a_pod_is_nobody_and_gets_no_more_rights(name: str) -> None:
    pod = PODS[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    for container in [*pod["containers"], *pod.get("initContainers", ())]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True, container["name"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in context
        assert "limits" in container["resources"]


@pytest.mark.parametrize("name", PODS)
def test_a_pod_writes_only_into_folders_that_it_names(name: str) -> None:
    volumes = {volume["name"]: volume for volume in PODS[name].get("volumes", ())}
    assert not any("hostPath" in volume for volume in volumes.values())
    for container in PODS[name]["containers"]:
        for mount in container["volumeMounts"]:
            is_written = not mount.get("readOnly") and "emptyDir" in volumes.get(mount["name"], {"emptyDir": {}})
            assert not is_written or mount["mountPath"].startswith(WRITTEN), mount


@pytest.mark.parametrize("name", PODS)
def test_a_pods_secrets_are_references(name: str) -> None:
    for container in PODS[name]["containers"]:
        for variable in container.get("env", ()):
            is_secret = any(word in variable["name"] for word in ("AUTH", "PASSWORD", "TOKEN", "DATABASE_URL"))
            assert ("valueFrom" in variable) is is_secret or not is_secret, variable
            assert not is_secret or "secretKeyRef" in variable["valueFrom"]


@pytest.mark.parametrize("file", CONTAINER_FILES, ids=lambda path: path.name)
def test_an_image_drops_its_rights_after_the_last_step_that_needs_them(file: Path) -> None:
    words = [each.word for each in read_container_file(file)]
    assert "RUN" not in words[words.index("USER") :]
    assert "ADD" not in words
    text = file.read_text()
    assert not any(word in text for word in ("sudo", "chmod 777", "chmod -R 777", "setcap", "--privileged"))
