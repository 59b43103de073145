"""Machines that are taken away: SIGTERM and SIGKILL on real workers, with and without a nanny."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster

from flows.clusters.local import CLUSTER_CONFIG, open_cluster
from flows.compute import Compute
from flows.settings import child_environment
from tests.flows.jobs import mark_and_sleep

NOTICE_S = 2.5
LONG_S = 20.0
"""Seconds that a job takes which no notice is long enough for."""


def wait_for(is_true: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := is_true()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found


class Cluster:
    """A real cluster, and jobs on it that leave marks."""

    def __init__(self, cluster: LocalCluster, compute: Compute, folder: Path) -> None:
        self.cluster, self.compute, self.folder = cluster, compute, folder

    def submit(self, name: str, seconds: float) -> Any:
        return self.compute.submit(mark_and_sleep, self.folder, name, seconds, key=name)

    def marks(self, name: str, what: str = "begun") -> list[int]:
        """Process ids that began, or ended, a job."""
        return [int(path.name.rpartition("-")[2]) for path in self.folder.glob(f"{name}-{what}-*")]

    def begun_by(self, name: str) -> int:
        """The process that began a job."""
        return wait_for(lambda: self.marks(name))[0]

    def pids(self) -> list[int]:
        return [nanny.pid for nanny in self.cluster.workers.values()]


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalCluster, Compute]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLATESTREAM_NOTICE_S", str(NOTICE_S))
        patch.setitem(CLUSTER_CONFIG, "distributed.scheduler.allowed-failures", 0)
        with open_cluster(2) as cluster, Compute(cluster.scheduler_address) as compute:
            yield cluster, compute


@pytest.fixture
def cluster(running: tuple[LocalCluster, Compute], tmp_path: Path) -> Cluster:
    wait_for(lambda: len(running[1].client().nthreads()) == 2)
    return Cluster(*running, tmp_path)


def test_a_job_that_ends_within_the_notice_is_not_done_again_and_nothing_else_is_begun(cluster: Cluster) -> None:
    last = cluster.submit("last", 1.5)
    pid = cluster.begun_by("last")
    os.kill(pid, signal.SIGTERM)
    others = [cluster.submit(f"other{number}", 0.2) for number in range(6)]
    assert last.result(30) == pid
    assert pid not in [other.result(30) for other in others]
    wait_for(lambda: not is_alive(pid))
    assert cluster.marks("last") == [pid]


def test_a_worker_that_was_sent_away_is_followed_by_a_fresh_one(cluster: Cluster) -> None:
    pid = cluster.pids()[0]
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not is_alive(pid))
    wait_for(lambda: all(cluster.pids()) and pid not in cluster.pids())


@pytest.mark.parametrize("kills", [False, True], ids=["with a goodbye", "killed before the goodbye"])
def test_a_preemption_does_not_count_as_a_death(cluster: Cluster, *, kills: bool) -> None:
    future = cluster.submit(f"long{kills}", LONG_S)
    pid = cluster.begun_by(f"long{kills}")
    os.kill(pid, signal.SIGTERM)
    if kills:
        wait_for(lambda: cluster.compute.client().run_on_scheduler(is_forgiven, f"long{kills}"))
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(cluster.marks(f"long{kills}")) == 2)  # with the first death that counts, it would have failed
    assert not is_alive(pid)
    assert future.status == "pending"
    future.release()


def is_forgiven(key: str, *, dask_scheduler: Any) -> bool:
    """Whether the scheduler has heard that the worker of a job leaves."""
    return dask_scheduler.tasks[key].suspicious < 0


@pytest.mark.parametrize("options", [(), ("--no-nanny",)], ids=["nanny", "no nanny"])
def test_a_machine_of_one_worker_ends_in_time_after_its_site(cluster: Cluster, options: tuple[str, ...]) -> None:
    address, name = cluster.cluster.scheduler_address, f"spot{len(options)}"
    argv = [sys.executable, "-m", "dask", "worker", address, "--name", name, "--nthreads", "1", "--no-dashboard"]
    argv += ["--preload", "flows.worker", "--local-directory", str(cluster.folder)]
    argv += ["--preload-nanny", "flows.worker"] if not options else []
    environment = child_environment({"PLATESTREAM_NOTICE_S": str(NOTICE_S)})
    with subprocess.Popen([*argv, *options], env=environment) as machine:
        client = cluster.compute.client()
        # Dask takes the name of a worker that it does not know yet for no restriction at all
        wait_for(lambda: name in [worker["name"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()])
        job: Any = client.submit(mark_and_sleep, cluster.folder, name, 1.0, workers=[name], key=name)
        pid = cluster.begun_by(name)
        assert pid not in cluster.pids()
        machine.send_signal(signal.SIGTERM)
        assert job.result(30) == pid
        assert machine.wait(30) == 0
    assert not is_alive(pid)
    wait_for(lambda: len(client.nthreads()) == 2)
