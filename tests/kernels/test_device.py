"""The device of a process: found by running a kernel, chosen once, never exchanged in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kernels.device import _computes, probe, to_host
from kernels.gpu import Gpu, read_source
from tests.cuda.host_build import require_host_cuda
from tests.cuda.host_gpu import HostGpu
from tests.parts import find_part, require
from tests.python_process import run_python

CUPY_WITHOUT_DEVICE = """
class cuda:
    def is_available(): return False
    class compiler: CompileException = type("CompileException", (Exception,), {})
    class runtime:
        def getDeviceCount(): raise RuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
"""
CUPY_THAT_CANNOT_COMPILE = """
class cuda:
    def is_available(): return True
    class compiler: CompileException = type("CompileException", (Exception,), {})
def empty(shape, dtype): raise cuda.compiler.CompileException("nvrtc: no headers\\nand much more")
"""
CUPY_WITHOUT_MEMORY = CUPY_THAT_CANNOT_COMPILE.replace("cuda.compiler.CompileException", "MemoryError")


@pytest.fixture
def no_gpu() -> None:
    if find_part("gpu"):
        pytest.skip("this machine has a GPU")


# The probe


def test_the_probes_kernel_and_transform_give_what_the_host_gives(gpu: Gpu) -> None:
    assert _computes(gpu)


def test_a_device_that_computes_something_else_is_noticed() -> None:
    require_host_cuda()
    wrong = read_source("probe").replace("sum + threadIdx.x", "sum + threadIdx.x + 1")
    assert not _computes(HostGpu(0, {"probe": wrong}))


@pytest.mark.usefixtures("no_gpu")
def test_the_probe_says_why_there_is_no_device() -> None:
    found = probe()
    assert not found.is_usable
    assert ("CuPy is not installed" in found.reason) is not bool(find_part("cupy"))
    assert found.name == ""


@pytest.mark.parametrize(
    ("cupy", "reason"),
    [
        (
            "raise ImportError('libcudart.so.13: no such file\\nsecond line')",
            "CuPy cannot be imported: libcudart.so.13",
        ),
        (CUPY_WITHOUT_DEVICE, "CUDA finds no device (cudaErrorNoDevice: no CUDA-capable device is detected)"),
        (CUPY_THAT_CANNOT_COMPILE, "a kernel cannot be run: nvrtc: no headers\n"),
        (CUPY_WITHOUT_MEMORY, "a kernel cannot be run: nvrtc: no headers\n"),
    ],
    ids=["not importable", "no device", "no compiler", "no memory"],
)
def test_what_is_wrong_with_cupy_is_named(cupy: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text(cupy)
    code = "from kernels.device import probe; found = probe(); print(found.is_usable, found.reason)"
    assert run_python(code, before_all=tmp_path).stdout.startswith(f"False {reason}")


@pytest.mark.gpu
def test_a_device_is_described() -> None:
    require("gpu")
    found = probe()
    assert found.name
    assert found.driver.startswith("CUDA 1")
    assert found.memory_bytes > 2**30


# The choice


def test_the_device_is_the_cpu_until_one_is_chosen() -> None:
    assert run_python("from kernels.device import *; print(current_device())").stdout == "cpu\n"


def test_on_the_cpu_arrays_stay_where_they_are() -> None:
    code = """
        import numpy as np
        from kernels.device import current_device, to_device, to_host, use_device
        use_device("cpu")
        use_device("cpu")
        planes = np.zeros((1, 2, 2), np.uint16)
        print(current_device(), to_device(planes) is planes, to_host(planes) is planes)
    """
    assert run_python(code).stdout == "cpu True True\n"


@pytest.mark.usefixtures("no_gpu")
def test_cuda_without_a_gpu_is_an_error_and_changes_nothing() -> None:
    code = """
        from kernels.device import current_device, probe, use_device
        try:
            use_device("cuda")
        except ValueError as error:
            print(error, current_device())
        use_device("cpu")
    """
    assert run_python(code).stdout == f"device must be cpu on this machine, got 'cuda': {probe().reason} cpu\n"


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ("cpu", "cuda", "device is chosen once per process and is 'cpu', got 'cuda'"),
        ("cpu", "gpu", "device must be cpu or cuda, got 'gpu'"),
    ],
)
def test_a_second_choice_is_refused(first: str, second: str, message: str) -> None:
    code = f"""
        from kernels.device import use_device
        use_device({first!r})
        try:
            use_device({second!r})
        except ValueError as error:
            print(error)
    """
    assert run_python(code).stdout == f"{message}\n"


@pytest.mark.gpu
def test_arrays_go_to_the_gpu_and_come_back() -> None:
    require("gpu")
    code = """
        import numpy as np
        from kernels.device import current_device, to_device, to_host, use_device
        use_device("cuda")
        planes = np.arange(8, dtype=np.uint16).reshape(2, 2, 2)
        there = to_device(planes)
        print(current_device(), type(there).__module__.split(".")[0], (to_host(there) == planes).all())
    """
    assert run_python(code).stdout == "cuda cupy True\n"


def test_arrays_of_a_device_come_to_the_host(gpu: Gpu) -> None:
    values = np.arange(5)
    assert type(to_host(gpu.put(values))) is np.ndarray
    assert (to_host(gpu.put(values)) == values).all()
