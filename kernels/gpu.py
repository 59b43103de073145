"""What the host side of a CUDA kernel needs of a device, and the real device behind it.

The array decides where it is computed: a public kernel asks ``gpu_of(planes)`` and returns early if there is a GPU. The
function behind the early return takes the ``Gpu`` as an argument, so that tests can hand it another one. Nothing here
imports cupy before it has seen a CuPy array.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Array = Any
"""An array of a device: ``numpy.ndarray``, or ``cupy.ndarray``, which is known only where there is a GPU."""

OPTIONS = ("--std=c++17", "--fmad=false")
"""How kernels are compiled: without fused multiply-adds, so that both devices round alike.

CuPy adds ``-ftz=true`` to whatever is said here: on a GPU a float32 below 1.2e-38 is 0. Nothing may depend on those.
"""

_FOLDER = Path(__file__).with_name("cuda")
_PLAIN_SHARED_BYTES = 48 * 1024


class Kernel(Protocol):
    """A compiled kernel."""

    def __call__(
        self, grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0
    ) -> None:
        """Launch it.

        Parameters
        ----------
        grid, block
            Blocks, and threads of a block, along x, y, z.
        args
            Arrays of the device, contiguous, and NumPy scalars of the kernel's own types (``np.int32(7)``).
        shared_mem
            Dynamic shared memory, bytes.

        Raises
        ------
        TypeError
            If an argument is neither an array of the device nor a NumPy scalar.
        ValueError
            If an array is not contiguous.
        """
        ...


class Gpu(Protocol):
    """What the host side of a CUDA kernel needs of a device.

    Planes come to a device through ``kernels.device``; ``put`` and ``get`` move a kernel's own constants and results.
    """

    @property
    def shared_bytes(self) -> int:
        """Most shared memory that a block can ask for, bytes."""
        ...

    def kernel(self, file: str, name: str) -> Kernel:
        """Give the function ``extern "C" name`` of ``kernels/cuda/<file>.cu``, compiled once per process."""
        ...

    def empty(self, shape: int | Sequence[int], dtype: Any) -> Array:
        """Make an array whose values mean nothing yet."""
        ...

    def zeros(self, shape: int | Sequence[int], dtype: Any) -> Array:
        """Make an array of zeros."""
        ...

    def put(self, array: np.ndarray) -> Array:
        """Copy from the host to the device."""
        ...

    def get(self, array: Array) -> np.ndarray:
        """Copy from the device to the host, after all launches that came before."""
        ...

    def stream(self) -> AbstractContextManager[None]:
        """Let what this thread does in the block wait for nothing that another thread does; ended when the block is."""
        ...

    def limit_memory(self, fraction: float) -> None:
        """Let arrays of this process take no more than a share of the device's memory; beyond it, MemoryError."""
        ...

    def free_memory(self) -> None:
        """Give back to the device what arrays that are gone have left in the pool."""
        ...

    def rfft_columns(self, planes: Array, columns: int) -> Array:
        """Give the lowest frequencies along x of the Fourier transform of planes.

        Parameters
        ----------
        planes
            Shape ``(n, y, x)``, float32.
        columns
            Number of frequencies along x that are kept, from 0; at most ``x // 2 + 1``.

        Returns
        -------
        Shape ``(n, y, columns)``, complex64, contiguous, not normalised.
        """
        ...


def gpu_of(array: Array) -> Gpu | None:
    """Give the device that holds an array; ``None`` for a NumPy array.

    A subclass of NumPy's array may name its device by an attribute ``gpu``: so do the tests that run CUDA on the CPU.

    Raises
    ------
    TypeError
        If it is an array of neither library.
    """
    if isinstance(array, np.ndarray):
        return getattr(array, "gpu", None)
    if type(array).__module__.partition(".")[0] != "cupy":
        raise TypeError(f"the array must be NumPy's or CuPy's, got {type(array).__name__}")
    return cuda()


@functools.cache
def cuda() -> Gpu:
    """Give the CUDA device of this process; nothing is asked of it yet."""
    return _CudaGpu()


def read_source(file: str) -> str:
    """Read ``kernels/cuda/<file>.cu``, with ``common.cuh`` before it, as every compiler gets it."""
    return complete_source(f"{file}.cu", (_FOLDER / f"{file}.cu").read_text())


def complete_source(name: str, text: str) -> str:
    """Put ``common.cuh`` before the text of a .cu file; compilers will name lines of both as in their files."""
    common = (_FOLDER / "common.cuh").read_text()
    return f'#line 1 "common.cuh"\n{common}\n#line 1 "{name}"\n{text}'


def check_arguments(kernel: str, args: Sequence[Any], array_type: type) -> None:
    """Raise unless each argument of a launch is a contiguous array of the device or a NumPy scalar.

    CuPy would hand a Python number over as 64 bits whatever the kernel reads, and an array as its first address only.
    """
    for number, value in enumerate(args, 1):
        if isinstance(value, np.generic):
            continue
        if not isinstance(value, array_type):
            raise TypeError(
                f"argument {number} of {kernel} must be an array of the device or a NumPy scalar such as np.int32(7), "
                f"got {type(value).__name__}"
            )
        if not value.flags.c_contiguous:
            raise ValueError(f"argument {number} of {kernel} must be contiguous, got strides {value.strides}")


class _CudaGpu:
    """The CUDA device of this process, through CuPy. Its arrays come from CuPy's pool, which threads may share.

    Copies to the device go through a buffer of CuPy's pool of pinned memory, in the order of the thread's stream: they
    run beside the kernels of other threads' streams.
    """

    def __init__(self) -> None:
        self._cupy = importlib.import_module("cupy")
        self._modules: dict[str, Any] = {}
        self._kernels: dict[tuple[str, str], Kernel] = {}
        self._of_thread = threading.local()
        self._lock = threading.Lock()

    @property
    def shared_bytes(self) -> int:
        runtime = self._cupy.cuda.runtime
        return int(runtime.getDeviceProperties(runtime.getDevice())["sharedMemPerBlockOptin"])

    def kernel(self, file: str, name: str) -> Kernel:
        with self._lock:  # two sites at once: a kernel is compiled once all the same
            if (file, name) not in self._kernels:
                self._kernels[file, name] = self._load(file, name)
            return self._kernels[file, name]

    def _load(self, file: str, name: str) -> Kernel:
        if file not in self._modules:
            self._modules[file] = self._cupy.RawModule(code=read_source(file), options=OPTIONS)
        function = self._modules[file].get_function(name)
        most_shared = _PLAIN_SHARED_BYTES

        def launch(
            grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0
        ) -> None:
            check_arguments(f"{file}.{name}", args, self._cupy.ndarray)
            nonlocal most_shared
            with self._lock:  # the limit is the function's, not the launch's: another thread must not lower it
                if shared_mem > most_shared:
                    function.max_dynamic_shared_size_bytes = most_shared = shared_mem
            function(grid, block, args, shared_mem=shared_mem)

        return launch

    def empty(self, shape: int | Sequence[int], dtype: Any) -> Array:
        return self._cupy.empty(shape, dtype)

    def zeros(self, shape: int | Sequence[int], dtype: Any) -> Array:
        return self._cupy.zeros(shape, dtype)

    def put(self, array: np.ndarray) -> Array:
        return self._cupy.asarray(array, order="C")

    def get(self, array: Array) -> np.ndarray:
        return self._cupy.asnumpy(array)

    @contextlib.contextmanager
    def stream(self) -> Iterator[None]:
        if not hasattr(self._of_thread, "stream"):
            self._of_thread.stream = self._cupy.cuda.Stream(non_blocking=True)
        with self._of_thread.stream as stream:
            try:
                yield
            finally:
                stream.synchronize()

    def limit_memory(self, fraction: float) -> None:
        self._cupy.get_default_memory_pool().set_limit(fraction=fraction)

    def free_memory(self) -> None:
        self._cupy.get_default_memory_pool().free_all_blocks()

    def rfft_columns(self, planes: Array, columns: int) -> Array:
        cupy = self._cupy
        rows = cupy.fft.rfft(planes, axis=2)[:, :, :columns]
        return cupy.ascontiguousarray(cupy.fft.fft(rows, axis=1))
