"""What a worker does before its first site: its device."""

from __future__ import annotations

import subprocess
import sys

import pytest

from flows.cluster import open_cluster
from flows.settings import child_environment
from flows.worker import choose_device
from imaging.errors import MissingPartError
from kernels import device
from tests.parts import find_part

CURE = "PLATESTREAM_DEVICE=cpu computes without one"


@pytest.fixture
def _no_gpu() -> None:
    if find_part("gpu"):
        pytest.skip("this machine has a GPU")


@pytest.mark.usefixtures("_no_gpu")
def test_a_device_that_is_not_there_is_a_missing_part() -> None:
    with pytest.raises(MissingPartError, match=f"device must be cpu on this machine, got 'cuda': .*; {CURE}"):
        choose_device("cuda")
    assert device.current_device() == "cpu"


@pytest.mark.usefixtures("_no_gpu")
def test_a_cluster_without_its_device_does_not_start() -> None:
    with pytest.raises(MissingPartError, match=CURE), open_cluster(1, device="cuda"):
        pytest.fail("the cluster started")


@pytest.mark.usefixtures("_no_gpu")
def test_a_worker_without_its_device_ends_with_a_sentence() -> None:
    code = "from flows.worker import dask_setup; dask_setup(None); print('it computes elsewhere')"
    environment = child_environment({"PLATESTREAM_DEVICE": "cuda"})
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert CURE in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("preparation", "variables", "cause"),
    [
        ("", {"PLATESTREAM_NOTICE_S": "soon"}, "PLATESTREAM_NOTICE_S"),
        ("sys.modules['flows.sites'] = None", {}, "import of flows.sites halted"),
        ("worker.limit_memory = lambda fraction: 1 / 0", {}, "ZeroDivisionError"),
    ],
)
def test_a_worker_that_cannot_be_prepared_ends_and_says_why(
    preparation: str, variables: dict[str, str], cause: str
) -> None:
    code = f"""if True:
        import sys
        from flows import worker
        {preparation}
        try:
            worker.dask_setup(None)
        finally:
            print("it goes on, as Dask would")
    """
    environment = child_environment(variables)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "this worker cannot start: " in done.stderr
    assert cause in done.stderr
    assert done.stdout == ""


def test_a_worker_takes_its_device_from_the_settings() -> None:
    code = """if True:
        from flows import worker
        worker.use_device = lambda name: print("chosen:", name)
        worker.dask_setup(None)
    """
    environment = child_environment({"PLATESTREAM_DEVICE": "cuda"})
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "chosen: cuda\n"
