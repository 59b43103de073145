"""A cluster on Kubernetes, against a stand-in that knows the operator's schemas and makes pods with its code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import kr8s.asyncio
import kubernetes_validate
import pytest
from pydantic import ValidationError

from flows.clusters import gke as module
from flows.clusters import kubernetes as kubernetes_module
from flows.clusters.certificates import ROLES, certificate_names
from flows.clusters.contract import Size
from flows.clusters.demand import Demand
from flows.clusters.gke import KubernetesCluster, open_gke
from flows.clusters.gke_objects import START, describe_cluster, describe_spot_group
from flows.clusters.gke_section import ClusterSection
from flows.clusters.keep import Keeper
from flows.clusters.look import Look
from flows.declared import Environment, WorkPool
from flows.settings import Settings
from imaging.errors import ConfigurationError, MissingPartError
from tests.standins.kubernetes import Kubernetes, serve, write_kubeconfig

SECTION = ClusterSection.model_validate(
    {
        "name": "platestream",
        "namespace": "imaging",
        "image": "registry.example/platestream:1",
        "service_account": "worker",
        "tls_secret": "dask-tls",
        "scheduler": {"cpu": "2", "memory": "8Gi", "node_pool": "standard"},
        "workers": {
            "floor": 1,
            "maximum": 5,
            "gpus": 1,
            "cpu": "7500m",
            "memory": "28Gi",
            "threads": 4,
            "spot_node_pool": "gpu-spot",
            "floor_node_pool": "gpu",
        },
    }
)
PLAIN = SECTION.model_copy(update={"tls_secret": ""})
SETTINGS = Settings(store="gs://plates", api_auth="user:secret", environment="gcp", notice_s=25)


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[Kubernetes, str]]:
    kubernetes = Kubernetes()
    with serve(kubernetes) as address:
        yield kubernetes, address


@pytest.fixture
def kubernetes(address: tuple[Kubernetes, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kubernetes:
    kubernetes, url = address
    kubernetes.objects.clear()
    kubernetes.calls.clear()
    kubernetes.has_operator = kubernetes.is_operator_awake = True
    kubernetes.outage = None
    write_kubeconfig(tmp_path / "config", url)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    return kubernetes


@pytest.fixture
def cluster(kubernetes: Kubernetes) -> KubernetesCluster:
    cluster = KubernetesCluster(SECTION, SETTINGS)
    cluster.ensure()
    return cluster


def workers(kubernetes: Kubernetes, group: str = "spot") -> list[str]:
    return [name for name in kubernetes.names("deployments") if name.startswith(f"platestream-{group}-worker-")]


def pod(described: dict[str, Any]) -> dict[str, Any]:
    return described["spec"]["template"]["spec"]


def variables(pod: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in pod["containers"][0]["env"]}


def test_scheduler_floor_and_an_empty_spot_group_are_made(kubernetes: Kubernetes, cluster: KubernetesCluster) -> None:
    assert kubernetes.names("daskclusters") == ["platestream"]
    assert kubernetes.names("daskworkergroups") == ["platestream-default", "platestream-spot"]
    assert (len(workers(kubernetes, "default")), len(workers(kubernetes))) == (1, 0)
    assert (cluster.count(), cluster.size) == (1, Size(1, 5, 4))
    assert cluster.address == "tls://platestream-scheduler.imaging.svc.cluster.local:8786"
    assert cluster.pids() == {}


def test_what_the_operator_makes_of_it_is_valid_for_kubernetes(
    kubernetes: Kubernetes, cluster: KubernetesCluster
) -> None:
    cluster.scale(2, {})
    made = [it for (plural, _, _), it in kubernetes.objects.items() if plural in ("deployments", "services")]
    assert len(made) == 4
    for each in made:
        each = json.loads(json.dumps(each))
        del each["metadata"]["owners"]
        for metadata in (each["metadata"], each["spec"].get("template", {}).get("metadata", {})):
            metadata.pop("owners", None)
        kubernetes_validate.validate(each, "1.33", strict=True)


def test_the_scheduler_is_no_spot_machine_and_spot_workers_are(
    kubernetes: Kubernetes, cluster: KubernetesCluster
) -> None:
    cluster.scale(2, {})
    (spot,), (floor,) = workers(kubernetes), workers(kubernetes, "default")
    pods = {name: pod(kubernetes.objects["deployments", "imaging", name]) for name in (spot, floor)}
    scheduler = pod(kubernetes.objects["deployments", "imaging", "platestream-scheduler"])
    assert scheduler["nodeSelector"] == {"cloud.google.com/gke-nodepool": "standard"}
    assert "tolerations" not in scheduler
    assert pods[floor]["nodeSelector"] == {"cloud.google.com/gke-nodepool": "gpu"}
    assert [each["key"] for each in pods[floor]["tolerations"]] == ["nvidia.com/gpu"]
    assert pods[spot]["nodeSelector"] == {
        "cloud.google.com/gke-nodepool": "gpu-spot",
        "cloud.google.com/gke-spot": "true",
    }
    assert [each["key"] for each in pods[spot]["tolerations"]] == ["nvidia.com/gpu", "cloud.google.com/gke-spot"]
    assert pods[spot]["terminationGracePeriodSeconds"] == 25
    limits = {"memory": "28Gi", "nvidia.com/gpu": "1"}
    assert pods[spot]["containers"][0]["resources"] == {"requests": {"cpu": "7500m", **limits}, "limits": limits}


def test_a_notice_of_less_than_a_second_is_still_one() -> None:
    described = describe_cluster(SECTION, SETTINGS.model_copy(update={"notice_s": 0.4}))["spec"]
    assert described["worker"]["spec"]["terminationGracePeriodSeconds"] == 1


def test_workers_know_what_sites_need_and_no_secret(kubernetes: Kubernetes, cluster: KubernetesCluster) -> None:
    (floor,) = workers(kubernetes, "default")
    worker = pod(kubernetes.objects["deployments", "imaging", floor])
    told = variables(worker)
    assert told["PLATESTREAM_STORE"] == "gs://plates"
    assert (told["PLATESTREAM_DEVICE"], told["OMP_NUM_THREADS"]) == ("cuda", "1")
    assert told["DASK_WORKER_NAME"] == floor, "the operator gives a worker its Deployment's name"
    assert told["DASK_SCHEDULER_ADDRESS"] == cluster.address, "not the operator's tcp://"
    assert "secret" not in json.dumps(told)
    assert worker["serviceAccountName"] == "worker"


def test_on_demand_and_spot_workers_have_their_own_price(kubernetes: Kubernetes) -> None:
    KubernetesCluster(SECTION, SETTINGS.model_copy(update={"price_per_worker_hour": 0.4}), floor_price=0.9).ensure()
    floor = kubernetes.objects["daskclusters", SECTION.namespace, "platestream"]["spec"]["worker"]["spec"]
    spot = kubernetes.objects["daskworkergroups", SECTION.namespace, "platestream-spot"]["spec"]["worker"]["spec"]
    prices = [variables(each)["PLATESTREAM_PRICE_PER_WORKER_HOUR"] for each in (floor, spot)]
    assert prices == ["0.9", "0.4"]


def test_without_gpus_workers_compute_on_the_cpu() -> None:
    workers = SECTION.workers.model_copy(update={"gpus": 0})
    section = PLAIN.model_copy(update={"workers": workers})
    worker = describe_cluster(section, SETTINGS)["spec"]["worker"]["spec"]
    assert variables(worker)["PLATESTREAM_DEVICE"] == "cpu"
    assert "nvidia" not in json.dumps(worker)


def test_with_tls_each_side_gets_its_files_and_accepts_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What Dask reads from the variables, as a process of the pod would."""
    from dask.config import collect_env
    from distributed.security import Security

    described = describe_cluster(SECTION, SETTINGS)["spec"]
    for role, place in (("scheduler", "scheduler"), ("worker", "worker")):
        of_pod = described[place]["spec"]
        found = collect_env(variables(of_pod))["distributed"]
        folder, (certificate, key) = "/etc/platestream/tls", certificate_names(role)
        assert found["comm"]["require_encryption"] is True
        assert found["comm"]["tls"]["ca_file"] == f"{folder}/ca.pem"
        assert found["comm"]["tls"][role] == {"cert": f"{folder}/{certificate}", "key": f"{folder}/{key}"}
        assert found["scheduler"]["allowed_failures"] == 2
        assert of_pod["volumes"][0]["secret"]["secretName"] == "dask-tls"
        assert of_pod["containers"][0]["volumeMounts"][0]["mountPath"] == folder
        assert role in ROLES
    assert "--protocol tls" in " ".join(described["scheduler"]["spec"]["containers"][0]["command"])
    assert Security(require_encryption=True).require_encryption


def test_without_tls_there_is_no_secret() -> None:
    described = json.dumps([describe_cluster(PLAIN, SETTINGS), describe_spot_group(PLAIN, SETTINGS)])
    assert "TLS" not in described
    assert "secret" not in described
    assert '"tcp", "--port"' in described


def test_commands_are_ones_that_dask_knows() -> None:
    """Parsed by Dask's own command line, which refuses what it does not know."""
    from distributed.cli import dask_scheduler, dask_worker

    spec = describe_cluster(SECTION, SETTINGS)["spec"]
    for command, place in ((dask_scheduler.main, "scheduler"), (dask_worker.main, "worker")):
        words = spec[place]["spec"]["containers"][0]["command"]
        assert words[:7] == [*START, "python", "-m", "dask", place]
        command.make_context(place, words[7:])


def test_spot_workers_come_and_the_idle_ones_go_first(kubernetes: Kubernetes, cluster: KubernetesCluster) -> None:
    cluster.scale(5, {})
    assert cluster.count() == 5
    first, second, third, fourth = workers(kubernetes)
    cluster.scale(3, {first: 4, second: 0, third: 1, fourth: 0})
    assert workers(kubernetes) == [first, third]
    cluster.scale(1, {})
    assert workers(kubernetes) == []
    assert len(workers(kubernetes, "default")) == 1, "the floor stays"
    cluster.scale(2, {})
    assert len(workers(kubernetes)) == 1


def test_workers_that_an_operator_slept_through_are_asked_for_again(
    kubernetes: Kubernetes, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubernetes.is_operator_awake = False
    cluster.scale(3, {})
    kubernetes.is_operator_awake = True
    cluster.scale(3, {})
    assert cluster.count() == 1, "no number changed, so the operator did nothing"
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    cluster.scale(3, {})
    assert cluster.count() == 3


def test_an_orderly_end_takes_back_a_wish_that_nobody_has_heard_yet(
    kubernetes: Kubernetes, cluster: KubernetesCluster
) -> None:
    kubernetes.is_operator_awake = False
    cluster.scale(5, {})
    assert cluster.count() == 1
    Keeper(cluster, lambda: Look(0, 0, {}), SETTINGS).let_go()
    group = kubernetes.objects["daskworkergroups", SECTION.namespace, "platestream-spot"]
    assert group["spec"]["worker"]["replicas"] == 0


def test_a_keeper_that_starts_anew_finds_the_workers(kubernetes: Kubernetes, cluster: KubernetesCluster) -> None:
    cluster.scale(4, {})
    kubernetes.calls.clear()
    again = KubernetesCluster(SECTION, SETTINGS)
    again.ensure()
    assert again.count() == 4
    assert not [call for call in kubernetes.calls if call.startswith("DELETE")]
    demand = Demand(again.size, again.count(), idle_s=900, no_progress_s=60, now=0)
    assert demand.number(Look(0, 0, {}), 5) == 4


def test_a_cluster_of_other_values_is_made_anew(kubernetes: Kubernetes, cluster: KubernetesCluster) -> None:
    cluster.scale(4, {})
    newer = SECTION.model_copy(update={"image": "registry.example/platestream:2"})
    KubernetesCluster(newer, SETTINGS).ensure()
    scheduler = pod(kubernetes.objects["deployments", "imaging", "platestream-scheduler"])
    assert scheduler["containers"][0]["image"] == "registry.example/platestream:2"
    assert workers(kubernetes) == []


def test_a_cluster_that_does_not_go_is_told(
    kubernetes: Kubernetes, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GONE_S", -1.0)
    monkeypatch.setattr(kubernetes, "_delete", lambda key, body: {})
    newer = SECTION.model_copy(update={"image": "registry.example/platestream:2"})
    with pytest.raises(MissingPartError, match="DaskWorkerGroup platestream-spot was to be made anew and is not gone"):
        KubernetesCluster(newer, SETTINGS).ensure()


def test_a_kubernetes_without_the_operator_is_told(kubernetes: Kubernetes) -> None:
    kubernetes.has_operator = False
    with pytest.raises(MissingPartError, match=r"create DaskCluster platestream in the namespace imaging: .*operator"):
        KubernetesCluster(SECTION, SETTINGS).ensure()


def test_a_kubernetes_in_trouble_is_told(kubernetes: Kubernetes, cluster: KubernetesCluster) -> None:
    kubernetes.outage = HTTPStatus.INTERNAL_SERVER_ERROR
    with pytest.raises(MissingPartError, match=r"does not let us list Deployments of the namespace imaging: .*500"):
        cluster.count()
    kubernetes.outage = None
    assert cluster.count() == 1


def test_a_kubernetes_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kr8s.asyncio.Api, "_instances", {})  # kr8s keeps what it found for as long as the process runs
    write_kubeconfig(tmp_path / "config", "http://127.0.0.1:9")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    with pytest.raises(
        MissingPartError, match="Kubernetes does not answer, so we cannot look at the namespace imaging"
    ):
        KubernetesCluster(SECTION, SETTINGS)
    kr8s.asyncio.Api._instances.clear()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nowhere"))
    with pytest.raises(MissingPartError, match="neither KUBECONFIG nor a service account says where Kubernetes is"):
        KubernetesCluster(SECTION, SETTINGS)


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def import_module(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(kubernetes_module.importlib, "import_module", import_module)
    with pytest.raises(MissingPartError, match=r"compute=gke needs dask-kubernetes .*pip install 'platestream\[gke\]'"):
        KubernetesCluster(SECTION, SETTINGS)


def declare(monkeypatch: pytest.MonkeyPatch, section: ClusterSection | None) -> None:
    environment = Environment(work_pool=WorkPool(name="p", type="process"), cluster=section)
    monkeypatch.setattr(module, "read_environment", lambda name: environment)


def test_the_section_of_the_environment_is_what_counts(kubernetes: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, PLAIN)
    with open_gke(SETTINGS) as cluster:
        assert cluster.size == Size(1, 5, 4)
    assert kubernetes.names("daskclusters") == ["platestream"], "it goes on without us"


def test_address_and_section_must_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, None)
    with (
        pytest.raises(ConfigurationError, match=r"section cluster of deployments/gcp\.yaml, which has none"),
        open_gke(SETTINGS),
    ):
        pytest.fail("it opened")
    declare(monkeypatch, SECTION)
    with pytest.raises(ConfigurationError, match="both must begin with tls://"), open_gke(SETTINGS):
        pytest.fail("it opened")


@pytest.mark.parametrize(
    ("place", "value"),
    [("name", "Plate_Stream"), ("name", "p" * 54), ("workers", {"maximum": 1, "floor": 2}), ("workers", {"gpus": 2})],
)
def test_a_section_that_kubernetes_would_refuse_is_refused(place: str, value: Any) -> None:
    described = SECTION.model_dump()
    described[place] = described[place] | value if isinstance(value, dict) else value
    with pytest.raises(ValidationError):
        ClusterSection.model_validate(described)


def test_the_longest_name_is_the_operators() -> None:
    from dask_kubernetes.constants import MAX_CLUSTER_NAME_LEN

    assert ClusterSection.model_validate(SECTION.model_dump() | {"name": "p" * MAX_CLUSTER_NAME_LEN})
