"""A cluster with one worker per GPU, as far as it can be shown without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.cluster import run_cluster
from flows.clusters import cuda as module
from flows.clusters.cuda import count_gpus, open_cuda
from flows.clusters.local import WORKER_PRELOAD
from flows.settings import Settings, child_environment
from imaging.errors import ConfigurationError, MissingPartError
from tests.parts import find_part, require

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stand-in for NVIDIA's management library."""
    require("dask-cuda")
    folder = tmp_path_factory.mktemp("nvml")
    source, library = ROOT / "tests/standins/nvml.c", folder / "libnvidia-ml.so.1"
    flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([require("gcc"), *flags, "-o", library, source], check=True, timeout=60)
    return folder


def run(nvml: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = child_environment({"LD_LIBRARY_PATH": str(nvml), "PYTHONPATH": str(ROOT)})
    environment |= {"PLATESTREAM_DEVICE": "cpu", "PLATESTREAM_PLACE": "elsewhere"}  # as a service of ours has them
    argv = [sys.executable, *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=180)


def test_each_gpu_has_a_worker_that_sees_it_first(nvml: Path) -> None:
    done = run(nvml, "-m", "tests.flows.two_gpus")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["gpus"] == 2
    assert told["environment"] == [["0,1", "cuda", "1", "here"], ["1,0", "cuda", "1", "here"]]
    assert told["threads"] == [4, 4], "sites of a GPU"
    assert told["preload"] == [["tests.flows.no_preload", "dask_cuda.initialize"], "dict"]
    assert (told["ran"], told["ended"], told["names"]) == ([0.01, 0.01], 2, ["0", "1"])


def test_gpus_that_run_no_kernel_start_no_cluster(nvml: Path) -> None:
    """The whole way of the service, up to the proof that two GPUs of paper cannot give."""
    code = "from flows.cluster import *; from flows.settings import Settings; run_cluster(Settings(compute='cuda'))"
    done = run(nvml, "-c", code)
    assert done.returncode == 1
    assert "MissingPartError: device must be cpu on this machine, got 'cuda'" in done.stderr


def test_workers_prove_their_gpu_unless_a_test_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """LocalCUDACluster puts its own preload in the place of the configured one, so ours must be among its arguments."""
    said: dict[str, Any] = {}

    class LocalCUDACluster:
        def __init__(self, **options: Any) -> None:
            said.update(options)

        def __enter__(self) -> LocalCUDACluster:
            return self

        def __exit__(self, *_: object) -> None: ...

    class DaskCuda:
        pass

    DaskCuda.LocalCUDACluster = LocalCUDACluster
    proved: list[str] = []
    monkeypatch.setattr(module, "_dask_cuda", lambda: DaskCuda)
    monkeypatch.setattr(module, "count_gpus", lambda: 2)
    monkeypatch.setattr(module, "check_device", proved.append)
    with open_cuda(Settings(sites_per_gpu=3, workers_floor=1)) as cluster:
        assert (cluster.size.floor, cluster.size.maximum, cluster.size.threads) == (1, 2, 3)
    assert said["preload"] == [WORKER_PRELOAD]
    assert (said["n_workers"], said["threads_per_worker"]) == (2, 3)
    assert proved == ["cuda"]


def test_more_workers_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "count_gpus", lambda: 2)
    with (
        pytest.raises(ConfigurationError, match="one worker per GPU: PLATESTREAM_WORKERS is 3, and this machine has 2"),
        open_cuda(Settings(workers=3)),
    ):
        pytest.fail("it opened")


def test_a_missing_extra_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_cuda", None)
    cure = r"compute=cuda needs dask-cuda .*pip install 'platestream\[gpu\]'; PLATESTREAM_COMPUTE=local"
    with pytest.raises(MissingPartError, match=cure):
        run_cluster(Settings(compute="cuda"))


def test_a_missing_gpu_is_told() -> None:
    require("dask-cuda")
    if find_part("gpu"):
        pytest.skip("this machine has a GPU")
    with pytest.raises(MissingPartError, match=r"compute=cuda needs an NVIDIA GPU and its driver .*COMPUTE=local"):
        count_gpus()
