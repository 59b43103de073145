"""Parts of a machine that a test may need beyond the Python packages, and how to get them.

    chromium    pages are looked at in a browser
    g++         CUDA kernels run on the CPU
    nvcc        CUDA kernels are compiled for each architecture (NVRTC does as well)
    cupy        the names that kernels take from it are looked up
    postgresql  the Prefect server keeps its database there
    terraform   its formatter reads deployments/terraform
    gcc         a stand-in for NVIDIA's management library is compiled
    dask-cuda   a cluster with one worker per GPU is started, without one
    unshare     services run where they may write to few folders
    gpu         CUDA kernels run where they belong
    bqemulator  the SQL of the warehouse runs on a BigQuery stand-in
    shared      reference data of the developers, in a folder beside the checkout

``require("chromium")`` skips the test where there is none; with ``PLATESTREAM_TEST_ALL=1``, as in .ci/run, it fails
instead, except for the parts that no package of the system brings.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from kernels.device import probe
from tests.cuda.compilers import find_cuda_compiler

ROOT = Path(__file__).resolve().parents[1]

# Taken out of the environment, where every name of this kind must be a setting of the pipeline.
MUST_HAVE_ALL = os.environ.pop("PLATESTREAM_TEST_ALL", "") == "1"


@dataclass(frozen=True)
class Part:
    """A part, where it is, how to get it, and whether every machine can have it."""

    find: Callable[[], str | None]
    cure: str
    for_all: bool = True


def _program(*names: str) -> Callable[[], str | None]:
    return lambda: next((found for name in names if (found := shutil.which(name))), None)


def _gpu() -> str | None:
    if not Path("/dev/nvidiactl").exists() or importlib.util.find_spec("cupy") is None:
        return None
    found = probe()  # only where there is a driver: the import alone costs a second
    return found.name if found.is_usable else None


def _cupy() -> str | None:
    spec = importlib.util.find_spec("cupy")
    return spec.origin if spec else None


def _postgresql() -> str | None:
    """Folder of the newest PostgreSQL's programs; Debian keeps them off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: int(folder.parent.name))
    program = shutil.which("initdb", path=os.pathsep.join(map(str, reversed(folders)))) or shutil.which("initdb")
    return str(Path(program).resolve().parent) if program else None


def _bqemulator() -> str | None:
    """Its Python, once `make bqemulator` has finished it."""
    venv = ROOT / ".cache" / "bqemulator"
    return str(venv / "bin" / "python") if (venv / "stamp").exists() else None


def _dask_cuda() -> str | None:
    spec = importlib.util.find_spec("dask_cuda")
    return spec.origin if spec else None


def _unshare() -> str | None:
    """The program, where this user may have mounts of his own."""
    program = shutil.which("unshare")
    if program is None or shutil.which("mount") is None:
        return None
    tried = subprocess.run([program, "-rm", "mount", "--make-rprivate", "/"], capture_output=True, check=False)
    return program if tried.returncode == 0 else None


def _shared() -> str | None:
    folder = ROOT.parent / "shared"
    return str(folder) if (folder / "data").is_dir() else None


PARTS = {
    "chromium": Part(_program("chromium", "chromium-browser", "google-chrome"), "apt-get install chromium"),
    "g++": Part(_program("g++"), "apt-get install g++"),
    "nvcc": Part(
        find_cuda_compiler, ".venv/bin/pip install 'nvidia-cuda-nvrtc==13.0.*' (or put CUDA 13's nvcc on the PATH)"
    ),
    "cupy": Part(_cupy, ".venv/bin/pip install --no-deps 'cupy-cuda13x==14.2.*' cuda-pathfinder"),
    "postgresql": Part(_postgresql, "apt-get install postgresql"),
    "terraform": Part(_program("terraform"), "put HashiCorp's terraform on the PATH", for_all=False),
    "gcc": Part(_program("gcc"), "apt-get install gcc"),
    "dask-cuda": Part(
        _dask_cuda, ".venv/bin/pip install --no-deps 'dask-cuda==26.10.*' cuda-bindings cuda-core nvidia-ml-py"
    ),
    "gpu": Part(_gpu, "an NVIDIA GPU, compute capability 7.5 or newer, and `pip install -e .[gpu]`", for_all=False),
    "bqemulator": Part(_bqemulator, "make bqemulator"),
    "unshare": Part(_unshare, "apt-get install util-linux, and allow user namespaces", for_all=False),
    "shared": Part(_shared, "put the developers' folder `shared` beside the checkout", for_all=False),
}


@functools.cache
def find_part(name: str) -> str | None:
    """Where a part is: the path of a program or folder; ``None`` where there is none."""
    return PARTS[name].find()


def require(name: str) -> str:
    """Return where a part is, or skip the test that asks; on a machine that must have it, fail the test."""
    found = find_part(name)
    if found is not None:
        return found
    part = PARTS[name]
    reason = f"no {name}: {part.cure}"
    if part.for_all and MUST_HAVE_ALL:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)
