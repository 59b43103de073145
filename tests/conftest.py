"""Fixtures that several folders of tests share, and the closing words of a test run.

    gcs             a Google Cloud Storage stand-in for the session, with an empty bucket ``lab`` for each test
    pubsub          a Google Cloud Pub/Sub stand-in for the session, with nothing in it for each test
    store           an empty store, three times: a folder, memory, a bucket of the stand-in
    bigquery_jobs   a stand-in of BigQuery's jobs API; gs:// addresses in jobs are objects of the stand-in of storage
    gcs_store       the same, on the stand-in only
    folder_store    the same, on a folder only
    bigquery        a BigQuery stand-in for the session; ``dataset`` is an empty dataset in it for each test
    gpu             a device for CUDA kernels: this machine's CPU under several seeds, and the real one (marked ``gpu``)

A test that needs more of the machine than Python packages asks ``tests.parts.require`` for it.
"""

from __future__ import annotations

import importlib
import itertools
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.cloud.bigquery import Dataset
from hypothesis import configuration, settings

from imaging.store import Store, open_store
from kernels.gpu import Gpu, cuda
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import SEEDS, HostGpu
from tests.order import pytest_collection_modifyitems, pytest_xdist_make_scheduler  # noqa: F401 - hooks
from tests.parts import ROOT, require
from tests.standins.bigquery import BigQueryStandIn
from tests.standins.gcs import GcsStandIn

if TYPE_CHECKING:
    from tests.standins.pubsub import PubSubStandIn

if TYPE_CHECKING:
    from tests.standins.bigquery_jobs import BigQueryJobs

_NUMBERS = itertools.count(1)

configuration.set_hypothesis_home_dir(ROOT / ".cache" / "hypothesis")
settings.register_profile("platestream", deadline=None)  # a busy machine is no fault of the code
settings.load_profile("platestream")


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[GcsStandIn]:
    with GcsStandIn() as server:
        yield server


@pytest.fixture
def gcs(gcs_server: GcsStandIn) -> GcsStandIn:
    gcs_server.clear()
    gcs_server.create_bucket("lab")
    return gcs_server


@pytest.fixture(scope="session")
def pubsub_server() -> Iterator[PubSubStandIn]:
    from tests.standins.pubsub import PubSubStandIn  # gRPC takes a moment that most tests do without

    with PubSubStandIn() as server:
        yield server


@pytest.fixture
def pubsub(pubsub_server: PubSubStandIn) -> Iterator[PubSubStandIn]:
    pubsub_server.clear()
    yield pubsub_server
    pubsub_server.clear()


@pytest.fixture
def bigquery_jobs(request: pytest.FixtureRequest) -> Iterator[BigQueryJobs]:
    from tests.standins.bigquery_jobs import BigQueryJobs  # Google's client takes a second to import

    with BigQueryJobs(storage_url=request.getfixturevalue("gcs_server").url) as server:
        yield server


@pytest.fixture(params=["folder", "memory", "gcs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "gcs":
        return request.getfixturevalue("gcs_store")
    return open_store(str(tmp_path / "root") if request.param == "folder" else f"memory://test-{next(_NUMBERS)}")


@pytest.fixture
def gcs_store(gcs: GcsStandIn) -> Store:
    return open_store(gcs.address("lab/screens"))


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "root"))


@pytest.fixture(scope="session")
def bigquery() -> Iterator[BigQueryStandIn]:
    with BigQueryStandIn() as server:
        yield server


@pytest.fixture
def dataset(bigquery: BigQueryStandIn) -> Iterator[Dataset]:
    with closing(bigquery.client()) as client:
        dataset = client.create_dataset(f"test_{next(_NUMBERS)}")
        yield dataset
        client.delete_dataset(dataset, delete_contents=True)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "gpu: runs on a real GPU (make test-gpu)")


@pytest.fixture(params=[*(f"cpu-{seed}" for seed in SEEDS), pytest.param("cuda", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Gpu:
    if request.param != "cuda":
        require_host_cuda()
        return HostGpu(int(request.param.removeprefix("cpu-")))
    require("gpu")
    importlib.import_module("cupy").cuda.set_allocator(None)  # compute-sanitizer sees the ends of arrays of their own
    return cuda()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what was not tested and what would make it tested."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    if reasons:
        terminalreporter.section("not tested on this machine")
    for reason, count in sorted(reasons.items()):
        terminalreporter.line(f"{count:4d} skipped, {reason}")
