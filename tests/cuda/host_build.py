"""CUDA sources as shared libraries of this machine: compiled by g++ through cuda_on_cpu.h, kept under .cache."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts import ROOT, require

HERE = Path(__file__).parent
CACHE = ROOT / ".cache" / "cuda-on-cpu"

# -fsanitize=thread is only compiled in, not linked: the scheduler has its hooks. Likewise -fsanitize=undefined.
_COMMON = ("-std=c++17", "-g1", "-fPIC", "-fvisibility=hidden", "-fcf-protection=none", "-U_FORTIFY_SOURCE")
_SCHEDULER = (*_COMMON, "-O2", "-Wall", "-Wextra", "-Werror")
_KERNELS = (
    *_COMMON,
    "-O1",
    "-w",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-fno-omit-frame-pointer",
    "-ftrivial-auto-var-init=pattern",
    "-fsanitize=thread",
    "-fsanitize=bounds,alignment,signed-integer-overflow,shift,integer-divide-by-zero,float-cast-overflow",
    "-fno-sanitize-recover=all",
)
DECLARATION = re.compile(
    r'extern\s+"C"\s+__global__\s+(?:void\s+)?(?:__launch_bounds__\s*\(([^)]*)\)\s*)?(?:void\s+)?(\w+)\s*\('
)
"""A kernel as every .cu file declares it: its launch bounds, if any, and its name."""


class Report(ctypes.Structure):
    """What a launch tells when it fails; the layout is cuda_on_cpu.cpp's."""

    _fields_ = (
        ("effort", ctypes.c_uint64),
        ("most_effort", ctypes.c_uint64),
        ("signal", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("is_write", ctypes.c_uint64),
        ("code_offset", ctypes.c_uint64),
        ("caller_offset", ctypes.c_uint64),
        ("message", ctypes.c_char * 512),
    )


class HostModule:
    """The kernels of one source, compiled for this machine.

    Parameters
    ----------
    source
        CUDA C++, complete.
    architecture
        What ``__CUDA_ARCH__`` is, e.g. 750.
    """

    def __init__(self, source: str, architecture: int) -> None:
        declared = DECLARATION.findall(source)
        launchers = [f"LAUNCHER({name})" for _, name in declared]
        launchers += [
            f"CALLED_FROM_PYTHON int bounds_of_{name}() {{ const int bounds[] = {{{bounds or 0}}}; return bounds[0]; }}"
            for bounds, name in declared
        ]
        text = "\n".join(['#include "cuda_on_cpu.h"', source, *launchers, ""])
        header = (HERE / "cuda_on_cpu.h").read_text()
        options = (*_KERNELS, f"-D__CUDA_ARCH__={architecture}")
        self.names = {name for _, name in declared}
        self.path = _build(text + header, text, options, link_with=_scheduler())
        self.library = ctypes.CDLL(str(self.path))

    def signature(self, name: str) -> list[str]:
        """Types of a kernel's parameters in NumPy's letters, ``*`` before what a pointer points to."""
        function = self.library[f"signature_of_{name}"]
        function.restype = ctypes.c_char_p
        return [code.removeprefix("const") for code in function().decode().split(",") if code]

    def greatest_block(self, name: str) -> int:
        """Threads of a block that the kernel is compiled for.

        Without ``__launch_bounds__`` a compiler may use 255 registers a thread, of which a device has 65,536.
        """
        return self.library[f"bounds_of_{name}"]() or 256

    def place(self, report: Report) -> str:
        """File and line in the source of the instruction that failed, or of the one that called there."""
        command = ["addr2line", "-i", "-e", str(self.path), hex(report.code_offset), hex(report.caller_offset)]
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        known = [Path(line.split(" ")[0]).name for line in lines if ".cu" in line and "cuda_on_cpu" not in line]
        return known[0] if known else "a line that is not known"


@functools.cache
def host_module(source: str, architecture: int) -> HostModule:
    """Compile a source, once."""
    require_host_cuda()
    return HostModule(source, architecture)


def require_host_cuda() -> None:
    """Skip the test unless this machine can run CUDA kernels on its CPU."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("CUDA kernels run on the CPU on x86-64 Linux only: the switch of stacks is written for it")
    require("g++")


@functools.cache
def _scheduler() -> Path:
    text = (HERE / "cuda_on_cpu.cpp").read_text()
    return _build(text + (HERE / "cuda_on_cpu.h").read_text(), text, _SCHEDULER)


def _build(content: str, text: str, options: tuple[str, ...], *, link_with: Path | None = None) -> Path:
    """Compile a text to an object, or with another object to a library, unless the same was done before."""
    key = "\n".join([content, *options, str(link_with), require("g++")])
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    made = CACHE / f"{name}{'.so' if link_with else '.o'}"
    if made.exists():
        return made
    CACHE.mkdir(parents=True, exist_ok=True)
    source, fresh, unlinked = (made.with_name(f"{name}.{os.getpid()}{suffix}") for suffix in (".cpp", "", ".o"))
    source.write_text(text)
    _run("g++", *options, "-I", str(HERE), "-c", str(source), "-o", str(unlinked if link_with else fresh))
    if link_with:
        _run("g++", "-shared", str(unlinked), str(link_with), "-o", str(fresh))
        unlinked.unlink()
    source.unlink()
    fresh.replace(made)  # another process that makes the same loses nothing
    return made


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"a CUDA source does not compile for the CPU:\n{done.stderr[:4000]}", pytrace=False)
