from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import hcl2
import pytest

from flows.declared import read_environment
from flows.manifests import ROLES
from flows.watchdogs.memory import KEY
from imaging.costs import DAYS
from imaging.illumination_shelf import SHELVES
from imaging.names import plate_zarr, results_prefix
from imaging.suspicions.portrait import PORTRAITS
from tests.deployments.declared import TERRAFORM, declared, documents, names, resources
from tests.parts import require

TEXTS = {path.name: path.read_text() for path in TERRAFORM}
ALIASES = {"declared": (), "google": ("google",), "machines": ("kubernetes",), "workers": ("cluster", "workers")}
"""What main.tf calls the parts of gcp.yaml."""


def look_up(value: Any, steps: list[str]) -> Any:
    for step in steps:
        value = value[step]
    return value


def test_terraform_is_formatted() -> None:
    terraform = require("terraform")
    command = [terraform, "fmt", "-check", "-list=true", *map(str, TERRAFORM)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_name_is_read_from_the_environments_file() -> None:
    used = [
        (alias, steps.strip(".").split("."))
        for text in TEXTS.values()
        for alias, steps in re.findall(r"\blocal\.(declared|google|machines|workers)((?:\.\w+)+)", text)
    ]
    assert len(used) > 30
    for alias, steps in used:
        look_up(declared(), [*ALIASES[alias], *steps])  # KeyError: gcp.yaml does not say that


def test_no_name_of_the_environment_is_written_in_terraform() -> None:
    for file, text in TEXTS.items():
        code = re.sub(r"#.*", "", text)
        literals = set(re.findall(r'"([^"$]*)"', code))
        common = {"platestream", "standard", "floor", "spot"}  # words that also stand for other things, see below
        assert not literals & (names(declared()) - common), file
    strings = json.dumps(list(resources().values()))
    for field in ("account_id", "bucket", "topic", "dataset_id", "repository_id", "location", "name"):
        assert not re.search(rf'"{field}": "\\"', strings), field


def test_each_attribute_of_a_node_pool_is_one_that_the_environments_file_may_say() -> None:
    (machines,) = [text for text in TEXTS.values() if "google_container_node_pool" in text]
    used = set(re.findall(r"\beach\.value\.(\w+)", machines))
    pools = declared()["kubernetes"]["node_pools"].values()
    assert used == set().union(*pools) - {"usd_per_worker_hour"}


def test_accounts_are_those_of_the_manifests() -> None:
    google = read_environment("gcp").google
    (roles,) = re.findall(r"roles = \[(.*)\]", TEXTS["accounts.tf"])
    assert json.loads(f"[{roles}]") == list(ROLES)
    pods = resources()["google_service_account_iam_member.pods"]["member"]
    # the pod's account is called as Google's: that is what the manifests say too
    assert "svc.id.goog[${local.namespace}/${each.value.account_id}]" in pods
    annotated = {
        each["metadata"]["name"]: each["metadata"]["annotations"]["iam.gke.io/gcp-service-account"]
        for each in documents()
        if each["kind"] == "ServiceAccount" and "annotations" in each["metadata"]
    }
    assert annotated == {getattr(google.service_accounts, role): google.account(role) for role in ROLES}


def test_each_role_may_do_what_it_needs_and_nothing_else() -> None:
    granted: dict[str, set[str]] = {}
    for name, body in resources().items():
        if name.split(".")[0].endswith("_iam_member") and "google_service_account.role" in json.dumps(body):
            told = json.dumps([body["member"], body.get("for_each", "")])
            named = re.findall(r"role in \[(.*?)\]", told) + re.findall(r"role\[(\W+\w+\W+)\]", told)
            others = ["runs", "workers", "watch"] if "local.written" in told else ["all"]
            roles = re.findall(r"\w+", named[0]) if named else others
            for role in roles:
                granted.setdefault(role, set()).add(body["role"].strip('"'))
    sweeps, sees_jobs = (f"${{google_project_iam_custom_role.{name}.id}}" for name in ("sweeps", "sees_jobs"))
    loads = {"roles/bigquery.dataEditor", "roles/bigquery.jobUser", sees_jobs}
    assert granted == {
        "all": {"roles/iam.workloadIdentityUser", "roles/storage.objectViewer"},
        "runs": {"roles/storage.objectUser", *loads},
        "workers": {"roles/storage.objectUser"},
        "watch": {"roles/pubsub.subscriber", "roles/storage.objectUser", sweeps},
        "warehouse": loads,
    }
    for name in ("writes", "watch_sweeps"):
        assert "startsWith" in resources()[f"google_storage_bucket_iam_member.{name}"]["condition"][0]["expression"]
    permissions = {
        name.split(".")[1]: [each.strip('"') for each in body["permissions"]]
        for name, body in resources().items()
        if name.startswith("google_project_iam_custom_role.")
    }
    assert permissions == {"sweeps": ["storage.objects.delete"], "sees_jobs": ["bigquery.jobs.get"]}
    assert not re.search(r"roles/(owner|editor|\w+\.admin)\b|service_account_key", "".join(TEXTS.values()))


def test_each_account_may_write_the_folders_that_its_processes_write() -> None:
    def folders(name: str) -> set[str]:
        (text,) = re.findall(rf"^ +{name} += (\[.*\])$", TEXTS["accounts.tf"], re.MULTILINE)
        return {f"{folder}/" for folder in json.loads(text)}

    results = {plate_zarr("screen", "P1").split("screen")[0], results_prefix("screen", "P1", "v1").split("screen")[0]}
    assert folders("workers") == results
    assert folders("runs") == results | {DAYS, SHELVES, PORTRAITS}
    assert folders("swept") == results
    assert folders("watch") == {KEY.split("current")[0]}


def test_messages_of_new_images_reach_the_watcher() -> None:
    found = resources()
    notification = found["google_storage_notification.images"]
    assert notification["event_types"] == ['"OBJECT_FINALIZE"']
    assert notification["object_name_prefix"].strip('"') == "${local.store}raw/"
    assert notification["topic"] == found["google_pubsub_subscription.watch"]["topic"]
    assert found["google_pubsub_subscription.watch"]["name"] == "${local.google.subscription}"
    assert found["google_pubsub_subscription.watch"]["expiration_policy"][0]["ttl"] == '""'


def test_spot_machines_take_only_who_tolerates_them() -> None:
    pool = resources()["google_container_node_pool.pool"]
    text = json.dumps(pool["node_config"])
    assert "cloud.google.com/gke-spot" in text
    assert "NO_SCHEDULE" in text


def test_a_process_of_a_worker_that_needs_too_much_memory_is_killed_alone() -> None:
    blocks = resources()["google_container_node_pool.pool"]["node_config"][0]["dynamic"]
    (config,) = [body for block in blocks for name, body in block.items() if "kubelet_config" in name]
    assert config["content"][0]["single_process_oom_kill"] is True
    assert {"floor_node_pool", "spot_node_pool"} == set(re.findall(r"local\.workers\.(\w+)", config["for_each"]))


@pytest.mark.parametrize("file", TERRAFORM, ids=lambda path: path.name)
def test_each_file_is_of_terraforms_language(file: Path) -> None:
    with file.open() as text:
        assert hcl2.load(text)
