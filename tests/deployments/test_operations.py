from __future__ import annotations

import re

import pytest
import yaml

from flows.cli import app
from tests.deployments.declared import containers, declared, documents
from tests.deployments.test_kubernetes import SECRETS
from tests.parts import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text()


def test_each_command_of_ours_in_the_text_exists() -> None:
    named = set(re.findall(r"(?:^|[`/]|^ {4,})platestream ([a-z]+)(?= |`|$)", TEXT, re.MULTILINE))
    known = {each.callback.__name__ for each in app.registered_commands}
    assert {"serve", "status", "deploy", "manifests", "warehouse", "certificates"} <= named
    assert named <= known


def test_the_secrets_that_pods_want_are_made_as_the_text_says() -> None:
    for name, keys in SECRETS.items():
        (made,) = re.findall(rf"create secret generic {name} ((?:.*\\\n)*.*)", TEXT)
        assert set(re.findall(r"--from-literal=(\w+)=", made)) == keys
    assert f"create secret generic {declared()['cluster']['tls_secret']} --from-file=certificates" in TEXT


def test_names_of_the_environment_are_told_as_they_are() -> None:
    google, cluster = declared()["google"], declared()["cluster"]
    for name in (google["subscription"], google["dead_letter"], cluster["name"]):
        assert name in TEXT
    assert f"--version {declared()['kubernetes']['operator_version']}" in TEXT
    assert set(re.findall(r"deployment/([a-z-]+)", TEXT)) <= set(containers())
    services = {each["metadata"]["name"] for each in documents() if each["kind"] == "Service"}
    assert set(re.findall(r"service/([a-z-]+)", TEXT)) <= services
    assert f"--location {google['region']}" in TEXT


@pytest.mark.parametrize("key", sorted(set(re.findall(r"`((?:google|cluster|kubernetes)\.[a-z_.]+)`", TEXT))))
def test_what_is_to_be_changed_is_in_the_environments_file(key: str) -> None:
    value = declared()
    for step in key.split("."):
        value = value[step]
    assert yaml.safe_dump(value)


def test_pages_that_are_linked_are_there() -> None:
    linked = set(re.findall(r"\]\(([\w-]+\.md)\)", TEXT))
    assert {"clusters.md", "sql.md"} <= linked
    assert [name for name in sorted(linked) if not (ROOT / "docs" / name).is_file()] == []
