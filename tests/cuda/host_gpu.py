"""A device that is this machine's CPU: runs the project's CUDA kernels on NumPy arrays and reports their mistakes.

``HostGpu(seed)`` is a ``kernels.gpu.Gpu``. Its arrays lie against untouchable pages; what ``empty`` gives is filled
with a pattern, and so is shared memory. The seed chooses the order in which threads and blocks run, where they are
interrupted, the patterns, the side of the untouchable page, and the architecture that the source is told: each seed
finds other mistakes. A kernel's mistake is a ``KernelFaultError`` and leaves the process as it was.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.fft

from kernels.gpu import Kernel, check_arguments, read_source
from tests.cuda.guarded import GuardedMemory, HostArray
from tests.cuda.host_build import HostModule, Report, host_module

SEEDS = (0, 1, 2, 5)
"""What a test runs with: in order, interrupted every few loads, and twice every few dozens, on both sides of a page."""

MOST_SHARED_BYTES = 64 * 1024
"""Static and dynamic shared memory of a block on sm_75, the least of the architectures."""

_POISONS = (0xCD, 0x00, 0xFF)  # as in cuda_on_cpu.cpp: a forgotten initial value of a sum, a minimum, a maximum shows
_GREATEST_GRID = (2**31 - 1, 65_535, 65_535)
_launching = threading.Lock()


class KernelFaultError(AssertionError):
    """A kernel did what it must not do."""


class HostGpu:
    """A device that is this machine's CPU.

    Parameters
    ----------
    seed
        Chooses how the kernels are run; 0 runs threads in order.
    sources
        Texts by name, complete, that are taken instead of ``kernels/cuda/<name>.cu``.
    most_effort
        Loads and stores after which a launch counts as endless.
    """

    def __init__(
        self, seed: int = 0, sources: Mapping[str, str] | None = None, *, most_effort: int = 4_000_000_000
    ) -> None:
        self.seed, self._most_effort = seed, most_effort
        self.memory = GuardedMemory(at_end=seed % 2 == 0)
        self._architecture = 750 if seed % 2 == 0 else 900
        self._sources = dict(sources or {})

    def __repr__(self) -> str:
        return f"HostGpu({self.seed})"

    @property
    def shared_bytes(self) -> int:
        return MOST_SHARED_BYTES

    def kernel(self, file: str, name: str) -> Kernel:
        module = host_module(self._sources.get(file) or read_source(file), self._architecture)
        if name not in module.names:
            raise KeyError(f'kernels/cuda/{file}.cu has no function extern "C" {name}')

        def launch(
            grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], *, shared_mem: int = 0
        ) -> None:
            place = f"{file}.{name}"
            self._check_types(place, module.signature(name), args)
            _check_sizes(place, module, name, grid, block, shared_mem)
            self._launch(place, module, name, (grid, block, args, shared_mem))

        return launch

    def empty(self, shape: int | Sequence[int], dtype: Any) -> HostArray:
        return self._make(shape, dtype, _POISONS[self.seed % 3])

    def zeros(self, shape: int | Sequence[int], dtype: Any) -> HostArray:
        return self._make(shape, dtype, 0)

    def put(self, array: np.ndarray) -> HostArray:
        made = self._make(np.shape(array), np.asarray(array).dtype, 0)
        made.view(np.ndarray)[...] = array
        return made

    def get(self, array: HostArray) -> np.ndarray:
        if not isinstance(array, HostArray):
            raise TypeError(f"get wants an array of the device, got {type(array).__name__}")
        return np.array(array, subok=False)

    def stream(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def limit_memory(self, fraction: float) -> None:
        """Its memory is the machine's."""

    def free_memory(self) -> None:
        """It has no pool."""

    def rfft_columns(self, planes: HostArray, columns: int) -> HostArray:
        plain = self.get(planes)
        rows = np.asarray(scipy.fft.rfft(plain, axis=2))[:, :, :columns]
        return self.put(np.asarray(scipy.fft.fft(rows, axis=1)))

    def _make(self, shape: Any, dtype: Any, fill: int) -> HostArray:
        made = self.memory.array(shape, dtype, fill).view(HostArray)
        made.gpu = self
        return made

    def _check_types(self, place: str, codes: list[str], args: tuple[Any, ...]) -> None:
        check_arguments(place, args, HostArray)
        if len(args) != len(codes):
            raise TypeError(f"{place} has {len(codes)} parameters, got {len(args)} arguments")
        for number, (code, value) in enumerate(zip(codes, args, strict=True), 1):
            came = f"{'*' if isinstance(value, HostArray) else ''}{value.dtype.kind}{value.dtype.itemsize}"
            if not _fits(code, came):
                raise TypeError(f"argument {number} of {place} must be {code}, got {came}")
            if isinstance(value, HostArray) and not self.memory.owns(value):
                raise TypeError(f"argument {number} of {place} was not made by this device: put it there")

    def _launch(self, place: str, module: HostModule, name: str, call: tuple[Any, Any, tuple[Any, ...], int]) -> None:
        grid, block, args, shared_mem = call
        # a kernel's parameters, each behind a pointer: the address of an array, the bytes of a scalar
        values = [np.array(value.ctypes.data if isinstance(value, HostArray) else value) for value in args]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        sizes = [(ctypes.c_uint * 3)(*size, *[1] * (3 - len(size))) for size in (grid, block)]
        report = Report(most_effort=self._most_effort)
        with _launching:  # the scheduler has one state
            failed = module.library[f"launch_{name}"](
                pointers, *sizes, ctypes.c_uint64(shared_mem), ctypes.c_uint(self.seed), ctypes.byref(report)
            )
        if failed:
            raise KernelFaultError(f"{place}: {self._describe(module, report)}; {self}")
        if written := self.memory.overwritten():
            raise KernelFaultError(f"{place}: it {written}; {self}")

    def _describe(self, module: HostModule, report: Report) -> str:
        message = report.message.decode(errors="replace")
        if not report.signal:
            return message
        if report.signal == signal.SIGSEGV and message.startswith(" ("):
            done = "writes" if report.is_write else "reads"
            message = f"{done} {self.memory.describe(report.address)}{message}"
        elif message.startswith(" ("):
            message = f"{signal.Signals(report.signal).name}{message}"
        return f"{message} at {module.place(report)}"


def _fits(code: str, came: str) -> bool:
    """Whether an argument fits a parameter; vectors and floats read any array of their parts."""
    if code == came:
        return True
    parts = {"*f4": "*c8", "*f8": "*c16"}
    return (code[:2] in ("*V", "*c") and came.startswith("*")) or parts.get(code) == came


def _check_sizes(
    place: str, module: HostModule, name: str, grid: tuple[int, ...], block: tuple[int, ...], shared_mem: int
) -> None:
    """Raise where a device would refuse the launch."""
    if not 1 <= len(grid) <= 3 or any(not 1 <= size <= most for size, most in zip(grid, _GREATEST_GRID, strict=False)):
        raise ValueError(f"grid of {place} must have 1 to 3 sizes of at least 1, got {grid}")
    if not 1 <= len(block) <= 3 or any(size < 1 for size in block) or block[2:] > (64,):
        raise ValueError(f"block of {place} must have 1 to 3 sizes of at least 1, got {block}")
    threads, most = int(np.prod(block)), module.greatest_block(name)
    if threads > most:
        raise ValueError(f"block of {place} has {threads} threads, more than its __launch_bounds__ ({most})")
    function = module.library["static_shared_bytes"]
    function.restype = ctypes.c_uint64
    if function() + shared_mem > MOST_SHARED_BYTES:
        raise ValueError(f"{place} asks for {function()} + {shared_mem} bytes of shared memory, sm_75 has 65536")
