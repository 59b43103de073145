from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dask.utils import parse_bytes

from flows.cli import app
from flows.clusters.gke_objects import TLS_FOLDER, describe_cluster, describe_spot_group
from flows.declared import read_environment
from flows.declared_settings import settings_variables
from flows.manifests import FILE, SETTINGS, manifest_words, render_manifests
from flows.settings import Settings
from imaging.errors import ConfigurationError
from tests.deployments.declared import DEPLOYMENTS, containers, declared, documents, names, of_kind, pods, renamed

SECRETS = {"platestream-database": {"password", "url"}, "platestream-api": {"auth"}}
"""Secrets that docs/operations.md makes, beside the certificates, and their keys."""


@pytest.mark.parametrize("document", documents(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_kubernetes_knows_every_word_of_a_manifest(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, "1.33", strict=True)
    in_namespace = document["kind"] != "Namespace"
    assert document["metadata"].get("namespace") == ("platestream" if in_namespace else None)


def test_the_namespace_comes_first_and_no_object_twice() -> None:
    found = [(each["kind"], each["metadata"]["name"]) for each in documents()]
    assert found[0] == ("Namespace", "platestream")
    assert len(found) == len(set(found))


def test_no_name_stands_in_a_manifest_that_the_environments_file_does_not_give(tmp_path: Path) -> None:
    olds = names(declared()) - {declared()["google"]["place"]}
    after = json.dumps(documents(renamed(tmp_path)))
    for old in sorted(olds - {"platestream"}):  # of our names this one also begins others, such as part-of: platestream
        assert f'"{old}"' not in after, old
    for word in manifest_words("gcp", read_environment("gcp", tmp_path).cloud, "new-platestream").values():
        assert word in after, word


def test_the_settings_of_all_processes_are_those_that_follow_from_the_environments_file() -> None:
    (found,) = [each for each in of_kind("ConfigMap") if each["metadata"]["name"] == SETTINGS]
    expected = settings_variables("gcp", read_environment("gcp"))
    assert {name: value for name, value in found["data"].items() if name.startswith("PLATESTREAM_")} == expected
    (service,) = [each for each in of_kind("Service") if each["metadata"]["name"] == "prefect-server"]
    port = service["spec"]["ports"][0]["port"]
    assert found["data"]["PREFECT_API_URL"] == f"http://prefect-server.platestream.svc:{port}/api"


def test_the_cluster_is_kept_by_the_environments_file_as_it_is_now_and_not_by_the_images(project: Path) -> None:
    file = project / "deployments" / "gcp.yaml"
    file.write_text(file.read_text().replace("memory: 26Gi", "memory: 27Gi"))
    (found,) = [each for each in documents(project) if each["metadata"]["name"] == FILE]
    assert found["data"] == {"gcp.yaml": file.read_text()}
    (volume,) = [each for each in pods()["cluster"]["volumes"] if "configMap" in each]
    assert volume["configMap"]["name"] == FILE
    (mount,) = [each for each in containers()["cluster"]["volumeMounts"] if each["name"] == volume["name"]]
    assert "WORKDIR /opt/platestream\n" in (DEPLOYMENTS / "Containerfile").read_text()
    assert (mount["mountPath"], mount["subPath"]) == ("/opt/platestream/deployments/gcp.yaml", "gcp.yaml")


@pytest.mark.parametrize("name", pods())
def test_no_pod_has_more_rights_than_it_needs(name: str) -> None:
    pod, container = pods()[name], containers()[name]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is (name == "cluster")  # it alone asks Kubernetes for something
    assert pod["enableServiceLinks"] is False  # PLATESTREAM_DASK_SCHEDULER_PORT would be an unknown setting
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    claimed = {"data"} if name == "postgresql" else set()
    assert mounted == {volume["name"] for volume in pod["volumes"]} | claimed


@pytest.mark.parametrize("name", pods())
def test_what_a_pod_refers_to_is_there(name: str) -> None:
    pod, container = pods()[name], containers()[name]
    assert pod["serviceAccountName"] in {each["metadata"]["name"] for each in of_kind("ServiceAccount")}
    assert pod["nodeSelector"]["cloud.google.com/gke-nodepool"] in declared()["kubernetes"]["node_pools"]
    for source in container.get("envFrom", []):
        assert source["configMapRef"]["name"] == SETTINGS
    for variable in container.get("env", []):
        if "valueFrom" in variable:
            reference = variable["valueFrom"]["secretKeyRef"]
            assert reference["key"] in SECRETS[reference["name"]]
    for volume in pod["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["secretName"] == declared()["cluster"]["tls_secret"]
            (mount,) = [each for each in container["volumeMounts"] if each["name"] == volume["name"]]
            assert mount["mountPath"] == TLS_FOLDER
    ports = {port["name"] for port in container.get("ports", [])}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        if "httpGet" in container.get(probe, {}):
            assert container[probe]["httpGet"]["port"] in ports


def test_who_asks_the_scheduler_is_let_in_and_has_a_certificate() -> None:
    (policy,) = [each for each in of_kind("NetworkPolicy") if each["metadata"]["name"] == "dask-scheduler"]
    (names,) = policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchExpressions"]
    assert set(names["values"]) == {"cluster", "runs", "watch"}
    for name in names["values"]:
        assert TLS_FOLDER in {mount["mountPath"] for mount in containers()[name]["volumeMounts"]}


def dask_pods() -> list[dict[str, Any]]:
    variables = settings_variables("gcp", read_environment("gcp"))
    settings = Settings(**{name.removeprefix("PLATESTREAM_").lower(): value for name, value in variables.items()})
    section = read_environment("gcp").cluster
    cluster, spot = describe_cluster(section, settings)["spec"], describe_spot_group(section, settings)["spec"]
    return [cluster["scheduler"]["spec"], cluster["worker"]["spec"], spot["worker"]["spec"]]


def test_dasks_pods_have_no_more_rights_than_ours() -> None:
    ours = pods()["runs"]
    for pod in dask_pods():
        assert pod["securityContext"] == ours["securityContext"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        (container,) = pod["containers"]
        assert container["securityContext"] == containers()["runs"]["securityContext"]
        assert container["command"][:3] == ["tini", "--", "start"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        template = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "dask"}, "spec": pod}
        kubernetes_validate.validate(template, "1.33", strict=True)


def test_dasks_pods_run_in_the_environments_pools_image_and_account() -> None:
    google, workers = read_environment("gcp").google, read_environment("gcp").cluster.workers
    scheduler, floor, spot = dask_pods()
    assert {pod["containers"][0]["image"] for pod in (scheduler, floor, spot)} == {google.image("cuda")}
    assert floor["serviceAccountName"] == spot["serviceAccountName"] == google.service_accounts.workers
    pool = "cloud.google.com/gke-nodepool"
    assert scheduler["nodeSelector"][pool] == "standard"
    assert (floor["nodeSelector"][pool], spot["nodeSelector"][pool]) == (
        workers.floor_node_pool,
        workers.spot_node_pool,
    )
    # the taint that Terraform gives to spot machines
    assert {"key": "cloud.google.com/gke-spot", "effect": "NoSchedule", "operator": "Equal", "value": "true"} in spot[
        "tolerations"
    ]


def test_a_worker_may_use_the_memory_of_its_pod_and_ends_within_the_notice_of_a_spot_machine() -> None:
    for pod in dask_pods()[1:]:
        (container,) = pod["containers"]
        told = container["command"]
        limit = told[told.index("--memory-limit") + 1]
        assert parse_bytes(limit) == parse_bytes(container["resources"]["limits"]["memory"])
        assert 0 < pod["terminationGracePeriodSeconds"] <= 15  # what is left when Kubernetes' own pods have had theirs


def test_nobody_but_the_server_gets_the_databases_address() -> None:
    readers = {name for name, each in containers().items() if "platestream-database" in json.dumps(each)}
    assert readers == {"prefect-server", "postgresql"}


def test_selectors_find_pods_and_ports_fit() -> None:
    labelled = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in of_kind("Deployment", "StatefulSet")
    }
    for each in of_kind("Deployment", "StatefulSet"):
        wanted = each["spec"]["selector"]["matchLabels"]
        assert wanted.items() <= each["spec"]["template"]["metadata"]["labels"].items()
    for service in of_kind("Service"):
        name = service["spec"]["selector"]["app.kubernetes.io/name"]
        assert name in labelled
        assert service["spec"]["ports"][0]["port"] in [port["containerPort"] for port in containers()[name]["ports"]]
    for policy in of_kind("NetworkPolicy", "PodDisruptionBudget"):
        selector = policy["spec"].get("podSelector", policy["spec"].get("selector"))
        wanted = selector.get("matchLabels", {}).get("app.kubernetes.io/name")
        assert wanted is None or wanted in labelled
        assert policy["kind"] == "NetworkPolicy" or selector["matchLabels"]
        for source in [each for rule in policy["spec"].get("ingress", []) for each in rule["from"]]:
            selected = source.get("podSelector", {})
            for expression in selected.get("matchExpressions", []):
                assert set(expression["values"]) <= labelled.keys()


def test_who_asks_the_server_may_reach_it() -> None:
    (policy,) = [each for each in of_kind("NetworkPolicy") if each["metadata"]["name"] == "prefect-server"]
    allowed = policy["spec"]["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0]["values"]
    asking = {name for name, each in containers().items() if "PREFECT_API_AUTH_STRING" in json.dumps(each)}
    assert set(allowed) == asking


def test_the_server_asks_for_the_password_that_clients_send() -> None:
    references = [
        variable["valueFrom"]["secretKeyRef"]
        for each in containers().values()
        for variable in each.get("env", [])
        if variable["name"] in ("PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING")
    ]
    assert len(references) == 5
    assert {(each["name"], each["key"]) for each in references} == {("platestream-api", "auth")}


def test_services_are_commands_of_ours() -> None:
    ours = {name: each["args"] for name, each in containers().items() if "command" not in each and name != "postgresql"}
    assert ours == {"watch": ["watch"], "warehouse": ["warehouse"], "cluster": ["cluster"]}
    known = {each.callback.__name__ for each in app.registered_commands}
    assert set(ours) <= known


def test_the_worker_takes_runs_from_the_work_pool_that_deploy_makes() -> None:
    environment = read_environment("gcp")
    arguments = containers()["runs"]["args"]
    assert arguments[:3] == ["worker", "start", "--pool"]
    assert arguments[3] == environment.work_pool.name
    assert arguments[arguments.index("--type") + 1] == environment.work_pool.type
    # all workers together take as many runs as the pool has
    replicas = {each["metadata"]["name"]: each["spec"]["replicas"] for each in of_kind("Deployment")}["runs"]
    assert int(arguments[arguments.index("--limit") + 1]) * replicas == environment.work_pool.concurrency_limit


def test_images_are_those_of_the_environment() -> None:
    google = read_environment("gcp").google
    images = {name: each["image"] for name, each in containers().items()}
    assert images.pop("postgresql") == declared()["kubernetes"]["postgresql"]["image"]
    assert set(images.values()) == {google.image("cpu")}


def test_a_word_that_there_is_not_is_named(project: Path) -> None:
    (project / "deployments" / "kubernetes" / "watch.yaml").write_text("a: ${nothing}")
    with pytest.raises(ConfigurationError, match=r"asks for 'nothing', which is none of the words: cpu_image, .*watch"):
        render_manifests("gcp", project)


def test_an_environment_without_kubernetes_has_no_manifests() -> None:
    with pytest.raises(ConfigurationError, match="the environment local says nothing of Kubernetes"):
        render_manifests("local")


def test_the_command_prints_what_kubectl_takes(capsys: pytest.CaptureFixture[str]) -> None:
    app(["manifests", "--env", "gcp"], standalone_mode=False)
    assert list(yaml.safe_load_all(capsys.readouterr().out)) == documents()
    with pytest.raises(ConfigurationError, match="which environment: gcp or local"):
        app(["manifests", "gcp", "--env", "local"], standalone_mode=False)


def test_files_of_one_environment_are_all_there() -> None:
    assert {path.name for path in (DEPLOYMENTS / "kubernetes").iterdir()} >= {"namespace.yaml", "postgresql.yaml"}
