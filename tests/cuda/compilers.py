"""NVIDIA's compilers on this machine: NVRTC, which compiles where kernels run, or nvcc. Neither needs a GPU.

Both hand the work to ptxas, whose words about each function's resources are the same.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from kernels.gpu import OPTIONS

COMPILED_WITH = (*OPTIONS, "-ftz=true", "--ptxas-options=--verbose")
"""Options of nvcc and NVRTC alike: ours, the one that CuPy adds, and the one that makes ptxas speak."""


class CompilerError(Exception):
    """A source does not compile; what the compiler says."""


class Nvcc:
    """nvcc on the PATH."""

    def __init__(self, program: str) -> None:
        self.program = program

    @functools.cached_property
    def version(self) -> str:
        told = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True).stdout
        return f"nvcc {told.rpartition('release ')[2].split(',')[0]}"

    def compile(self, name: str, source: str, architectures: Sequence[int]) -> str:
        """Compile for all architectures and return what ptxas says."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_text(source)
            targets = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in architectures]
            command = [self.program, "-fatbin", *COMPILED_WITH, *targets, str(path), "-o", f"{path}.fatbin"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CompilerError(done.stderr)
        return done.stderr


class Nvrtc:
    """NVRTC of the package nvidia-cuda-nvrtc."""

    def __init__(self, library: str) -> None:
        # the library looks for its other half beside nothing but the loader's paths
        for other in Path(library).parent.glob("libnvrtc-builtins.so*"):
            ctypes.CDLL(str(other), mode=ctypes.RTLD_GLOBAL)
        self._nvrtc = ctypes.CDLL(library)

    @functools.cached_property
    def version(self) -> str:
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._nvrtc.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
        return f"NVRTC {major.value}.{minor.value}"

    def compile(self, name: str, source: str, architectures: Sequence[int]) -> str:
        """Compile for all architectures and return what ptxas says."""
        return "\n".join(self._compile(name, source, number) for number in architectures)

    def _compile(self, name: str, source: str, architecture: int) -> str:
        nvrtc, program, size = self._nvrtc, ctypes.c_void_p(), ctypes.c_size_t()
        nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None)
        try:
            options = [f"--gpu-architecture=sm_{architecture}", *COMPILED_WITH]
            texts = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
            failed = nvrtc.nvrtcCompileProgram(program, len(options), texts)
            nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value)
            nvrtc.nvrtcGetProgramLog(program, log)
        finally:
            nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
        if failed:
            raise CompilerError(f"for sm_{architecture}: {log.value.decode()}")
        return log.value.decode()


def find_cuda_compiler() -> str | None:
    """Where NVRTC's library or nvcc is."""
    spec = importlib.util.find_spec("nvidia")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for library in sorted(Path(folder).glob("*/lib/libnvrtc.so.1[3-9]")):
            return str(library)
    return shutil.which("nvcc")


def cuda_compiler(found: str) -> Nvcc | Nvrtc:
    """Give the compiler that ``find_cuda_compiler`` found."""
    return Nvrtc(found) if ".so" in Path(found).name else Nvcc(found)
