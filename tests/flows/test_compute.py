from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import KilledWorker
from distributed.comm import CommClosedError

from flows import compute as module
from flows.cluster import cluster_service, open_cluster, open_for_run, run_cluster, write_state
from flows.clusters import local as cluster_module
from flows.clusters.local import CLUSTER_CONFIG, ONE_THREAD, replace_lost_workers
from flows.compute import COMPARED_PACKAGES, Compute, compare_versions, connect
from flows.keeper import find_descendants
from flows.settings import Settings
from flows.stack import local_services
from flows.supervise import Supervisor, find_free_ports
from imaging.errors import ConfigurationError, MissingPartError
from tests.flows.jobs import kill_worker, read_environment, sleep


def wait_for(is_true: Callable[[], object], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class Cluster:
    """`python -m flows.cluster` with one worker."""

    def __init__(self, folder: Path) -> None:
        (port,) = find_free_ports(1)
        self.address = f"tcp://127.0.0.1:{port}"
        self.state = folder / "cluster.json"
        self.log = folder / "log"
        self.start()

    def start(self) -> None:
        self.state.unlink(missing_ok=True)
        port = self.address.rpartition(":")[2]
        argv = [sys.executable, "-m", "flows.cluster", "--port", port, "--workers", "1", "--state-file", self.state]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(argv, stderr=log, stdout=log)
        wait_for(self.state.exists)

    def pids(self) -> dict[str, Any]:
        return json.loads(self.state.read_text())

    def end(self, number: signal.Signals) -> None:
        family = find_descendants(self.process.pid)
        self.process.send_signal(number)
        self.process.wait(20)
        for pid in family:
            wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.end(signal.SIGTERM)


@pytest.fixture
def compute(cluster: Cluster) -> Iterator[Compute]:
    with connect(Settings(scheduler=cluster.address)) as compute:
        wait_for(lambda: compute.client().nthreads())
        yield compute


def versions(**changes: dict[str, str]) -> dict[str, Any]:
    same = {"packages": {**dict.fromkeys(COMPARED_PACKAGES, "1.0"), "python": "3.11.7.final.0"}}
    told = {"client": same, "scheduler": same, "workers": {"tcp://1.2.3.4:5": same}}
    for place, change in changes.items():
        changed = {"packages": same["packages"] | change}
        told |= {"workers": {"tcp://1.2.3.4:5": changed}} if place == "worker" else {place: changed}
    return told


def test_one_version_everywhere_is_no_fault() -> None:
    assert compare_versions(versions(worker={"python": "3.11.9.final.0"})) == []


def test_a_worker_or_scheduler_of_another_version_is_named() -> None:
    assert compare_versions(versions(worker={"numpy": "2.0"})) == ["tcp://1.2.3.4:5 has numpy 2.0 instead of 1.0"]
    assert compare_versions(versions(scheduler={"python": "3.12.1.final.0", "dask": "0.1"})) == [
        "the scheduler has python 3.12 instead of 3.11, dask 0.1 instead of 1.0"
    ]


def test_a_cluster_of_other_versions_is_refused(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "compare_versions", lambda versions: ["the scheduler has dask 0.1 instead of 1.0"])
    with pytest.raises(MissingPartError, match=r"install the same everywhere: the scheduler has dask 0\.1"):
        connect(Settings(scheduler=cluster.address))


def test_a_scheduler_that_is_not_there_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ATTEMPT_S", 0.3)
    with pytest.raises(MissingPartError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9: start one with"):
        connect(Settings(scheduler="tcp://127.0.0.1:9"))


def test_a_key_is_computed_once_for_whoever_asks(compute: Compute, cluster: Cluster) -> None:
    first = compute.submit(time.time_ns, key="shared")
    with Compute(cluster.address) as other:
        assert other.submit(time.time_ns, key="shared").result(60) == first.result(60)


def test_the_number_of_workers_is_told(compute: Compute) -> None:
    assert compute.workers == 1
    assert compute.ensure_connected()


def test_workers_use_one_thread_and_the_device_that_was_chosen(compute: Compute) -> None:
    names = [*ONE_THREAD, "PLATESTREAM_DEVICE"]
    found = compute.submit(read_environment, *names, key="environment").result(60)
    assert found == ["1"] * len(ONE_THREAD) + ["cpu"]


def test_a_worker_is_handed_one_site_at_a_time(compute: Compute) -> None:
    futures = [compute.submit(sleep, 1.0, key=f"site-{i}") for i in range(2)]
    client: Any = compute.client()
    wait_for(lambda: any(client.processing().values()))
    assert [len(keys) for keys in client.processing().values()] == [1]
    assert [future.result(60) for future in futures] == [1.0, 1.0]


def test_a_site_that_kills_its_worker_three_times_is_given_up_alone(compute: Compute, cluster: Cluster) -> None:
    before = cluster.pids()["workers"]
    poison = compute.submit(kill_worker, key="poison")
    innocent = compute.submit(sleep, 0.01, key="innocent")
    with pytest.raises(KilledWorker):
        poison.result(60)
    assert innocent.result(60) == 0.01
    wait_for(lambda: cluster.pids()["workers"] not in (before, {"0": None}))


def refuse_once(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Ask as a client does whose connection breaks the first time."""
    refusals: list[Exception] = [CommClosedError("in <TCP (closed)>")]

    def asked(**options: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return ask(**options)

    return asked


def test_a_run_outlasts_a_scheduler_that_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ATTEMPT_S", 0.5)
    cluster = Cluster(tmp_path)
    with Compute(cluster.address, reconnect_s=0.5) as compute:
        future = compute.submit(sleep, 600, key="unfinished")
        cluster.end(signal.SIGKILL)
        with pytest.raises(MissingPartError, match=r"no Dask scheduler answers|went away while it was asked"):
            compute.check_versions()
        wait_for(lambda: future.status == "cancelled")
        wait_for(lambda: compute._client.status == "closed")
        assert compute.workers == 0
        with pytest.raises(MissingPartError, match="no Dask scheduler answers"):
            compute.ensure_connected()
        compute.reconnect_s = 60
        cluster.start()
        assert [compute.ensure_connected(), compute.ensure_connected()] == [False, True]
        assert compute.submit(sleep, 0.01, key="after").result(60) == 0.01
        monkeypatch.setattr(compute._client, "get_versions", refuse_once(compute._client.get_versions))
        compute.check_versions()
    cluster.end(signal.SIGTERM)


def test_losing_the_scheduler_is_told_once(cluster: Cluster) -> None:
    with Compute(cluster.address) as compute:
        compute._client.close()
        assert [compute.ensure_connected(), compute.ensure_connected()] == [False, True]


def test_a_taken_port_is_refused(cluster: Cluster) -> None:
    with pytest.raises(MissingPartError, match=r"port \d+ of 127\.0\.0\.1 is taken"):
        run_cluster(Settings(scheduler=cluster.address, workers=1))


def test_the_state_file_names_the_cluster_and_its_workers(cluster: Cluster) -> None:
    wait_for(lambda: cluster.pids()["workers"]["0"])
    told = cluster.pids()
    assert (told["pid"], told["scheduler"]) == (cluster.process.pid, cluster.address)
    assert told["workers"]["0"] in find_descendants(cluster.process.pid)


def test_a_disk_that_takes_no_state_file_ends_no_cluster(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (blocked := tmp_path / "state").write_text("no folder")
    assert not write_state(blocked / "cluster.json", "tcp://127.0.0.1:1", {"0": 7})
    assert "is tried again; make room or check the disk" in caplog.text
    blocked.unlink()
    assert write_state(blocked / "cluster.json", "tcp://127.0.0.1:1", {"0": 7})
    assert json.loads((blocked / "cluster.json").read_text())["workers"] == {"0": 7}


def test_workers_that_dask_gave_up_are_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = CLUSTER_CONFIG | {"distributed.deploy.lost-worker-timeout": "1ms", "distributed.worker.preload": []}
    monkeypatch.setattr(cluster_module, "CLUSTER_CONFIG", impatient)

    def is_started_anew() -> bool:
        """Kill a worker; whether another takes its place. So impatient, Dask may restart the old one while it drops it:
        that one then keeps the name for itself, and the scene has to be set again."""
        with open_cluster(1) as cluster, Compute(cluster.scheduler_address) as compute:
            first: Any = cluster.workers[0]
            killed = first.pid
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda: not cluster.workers)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                replace_lost_workers(cluster, 1)  # again and again, as the service does
                if cluster.workers and compute.client().nthreads():
                    second: Any = cluster.workers[0]
                    return second.pid != killed
            return False

    assert any(is_started_anew() for _ in range(3))


def test_a_cluster_that_runs_elsewhere_is_used_and_not_started(
    cluster: Cluster, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    settings = Settings(compute="address", scheduler=cluster.address)
    run_cluster(settings)
    assert caplog.messages == [
        f"compute=address: the cluster at {cluster.address} runs elsewhere, so nothing is started here"
    ]
    with open_for_run(settings) as address:
        assert address == cluster.address
    assert [service.name for service in local_services(settings, tmp_path)] == ["server", "runner", "watch", "web"]


def test_a_run_has_a_cluster_of_its_own_at_a_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATESTREAM_ENVIRONMENT", "lab")
    settings = Settings(workers=1, environment="gcp")
    with open_for_run(settings) as address:
        assert address != settings.scheduler
        with Compute(address) as compute:
            told = compute.submit(read_environment, "PLATESTREAM_ENVIRONMENT", key="a").result(60)
            assert told == ["gcp"], "workers have the settings of the run"


def test_a_cluster_here_cannot_have_the_address_of_another_machine() -> None:
    with pytest.raises(ConfigurationError, match="SCHEDULER is tcp://lab:8786; PLATESTREAM_COMPUTE=address"):
        run_cluster(Settings(scheduler="tcp://lab:8786"))


def test_a_floor_above_the_number_of_workers_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="FLOOR must be at most the number of workers, 1, got 2"):
        run_cluster(Settings(scheduler="tcp://127.0.0.1:1", workers=1, workers_floor=2))


def test_a_cluster_on_kubernetes_has_time_to_let_its_workers_go(tmp_path: Path) -> None:
    here, gke = (cluster_service(Settings(compute=kind), tmp_path / "log").grace_s for kind in ("local", "gke"))
    assert (here, gke) == (10.0, 60.0)


def test_the_cluster_is_a_service_at_the_address_of_the_settings(tmp_path: Path) -> None:
    (port,) = find_free_ports(1)
    settings = Settings(scheduler=f"tcp://127.0.0.1:{port}", workers=1)
    service = cluster_service(settings, tmp_path / "log", tmp_path / "state")
    assert service.is_ready is not None
    assert not service.is_ready()
    with Supervisor([service]) as supervisor:
        supervisor.wait_until_ready(60)
        with connect(settings) as compute:
            assert compute.submit(sleep, 0.01, key="a").result(60) == 0.01
    assert not service.is_ready()
