"""The device of this process: whether there is a GPU, which device is used, and how planes get there and back.

Planes move here and nowhere else: ``to_device`` before the first kernel of a site, ``to_host`` after the last. Kernels
compute where their array lies and never ask for the device.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kernels.gpu import Array, Gpu, cuda, gpu_of

Device = Literal["cpu", "cuda"]

_PROBE_THREADS = 96
_chosen: Device | None = None


@dataclass(frozen=True)
class Probe:
    """What was found when a CUDA device was looked for: what it is, or the reason why there is none to use."""

    name: str = ""
    driver: str = ""
    memory_bytes: int = 0
    reason: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether kernels can be run on it."""
        return not self.reason


@functools.cache
def probe() -> Probe:
    """Look for a CUDA device, compile and run a kernel and a Fourier transform on it, and read the results back."""
    if importlib.util.find_spec("cupy") is None:
        return Probe(reason="CuPy is not installed; install platestream[gpu]")
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        return Probe(reason=f"CuPy cannot be imported: {_first_line(error)}; install platestream[gpu] anew")
    try:
        if not cupy.cuda.is_available():
            return Probe(reason=f"CUDA finds no device ({_why_unavailable(cupy)}); is the NVIDIA driver loaded?")
        if not _computes(cuda()):
            return Probe(reason="a kernel's result is wrong; are driver and CUDA version meant for this GPU?")
        return _describe(cupy)
    except (RuntimeError, MemoryError, OSError, ImportError, cupy.cuda.compiler.CompileException) as error:
        return Probe(reason=f"a kernel cannot be run: {_first_line(error)}")


def use_device(device: str) -> None:
    """Choose the device of this process, once, before its first kernel.

    Parameters
    ----------
    device
        ``cpu``, or ``cuda``, which is taken after a kernel has run on it.

    Raises
    ------
    ValueError
        If there is no such device, ``cuda`` cannot be used, or another device was chosen before.
    """
    global _chosen
    if device != "cpu" and device != "cuda":
        raise ValueError(f"device must be cpu or cuda, got {device!r}")
    if _chosen not in (None, device):
        raise ValueError(f"device is chosen once per process and is {_chosen!r}, got {device!r}")
    if device == "cuda" and not (found := probe()).is_usable:
        raise ValueError(f"device must be cpu on this machine, got 'cuda': {found.reason}")
    _chosen = device


def current_device() -> Device:
    """Give the device that was chosen; ``cpu`` before that."""
    return _chosen or "cpu"


def to_device(array: np.ndarray) -> Array:
    """Copy an array of the host to the device that was chosen; on ``cpu`` it is the same array."""
    return array if current_device() == "cpu" else cuda().put(array)


def to_host(array: Array) -> np.ndarray:
    """Copy an array of any device to the host; a NumPy array is returned as it is."""
    gpu = gpu_of(array)
    return array if gpu is None else gpu.get(array)


def own_stream() -> AbstractContextManager[None]:
    """Let the calling thread's site be copied and computed beside those of other threads; nothing to do on ``cpu``."""
    return contextlib.nullcontext() if current_device() == "cpu" else cuda().stream()


def limit_memory(fraction: float) -> None:
    """Let arrays take no more than a share of the device's memory; a kernel that needs more raises MemoryError."""
    if current_device() == "cuda":
        cuda().limit_memory(fraction)


def free_memory() -> None:
    """Give back what the pool of the device's memory holds and no array uses."""
    if current_device() == "cuda":
        cuda().free_memory()


def _computes(gpu: Gpu) -> bool:
    """Whether the device computes what the host does."""
    out = gpu.empty(_PROBE_THREADS, np.uint32)
    gpu.kernel("probe", "probe")((1,), (_PROBE_THREADS,), (out,))
    threads = np.arange(_PROBE_THREADS)
    impulse = np.zeros((1, 2, 4), np.float32)
    impulse[0, 0, 0] = 1  # all its frequencies are 1
    spectrum = gpu.get(gpu.rfft_columns(gpu.put(impulse), 3))
    return np.array_equal(gpu.get(out), threads.sum() + threads) and np.allclose(spectrum, 1)


def _why_unavailable(cupy: Any) -> str:
    try:
        return f"{cupy.cuda.runtime.getDeviceCount()} devices"
    except RuntimeError as error:
        return _first_line(error)


def _describe(cupy: Any) -> Probe:
    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    version = runtime.driverGetVersion()
    return Probe(
        properties["name"].decode(), f"CUDA {version // 1000}.{version % 1000 // 10}", properties["totalGlobalMem"]
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
