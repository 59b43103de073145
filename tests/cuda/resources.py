"""What each kernel takes of a device: ``python -m tests.cuda.resources`` prints it, ``--json`` for programs.

A kernel's registers and shared memory bound how many threads a multiprocessor holds; spilled registers go through
memory, which no kernel of ours may do.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from kernels.gpu import read_source
from tests.cuda.compilers import COMPILED_WITH, Nvcc, Nvrtc, cuda_compiler, find_cuda_compiler
from tests.parts import PARTS, ROOT

FOLDER = ROOT / "kernels" / "cuda"
FILES = tuple(sorted(path.stem for path in FOLDER.glob("*.cu")))
ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)
"""From Turing, CUDA 13's first, to Blackwell: T4, A100, A10, L4 and RTX 40, H100 and H200, B200, RTX 50."""
CACHE = ROOT / ".cache" / "cuda-resources"

_FUNCTION = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)'")
_STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")


@dataclass(frozen=True)
class Resources:
    """What one kernel takes on one architecture: registers of a thread, static shared memory of a block, spills."""

    file: str
    kernel: str
    architecture: int
    registers: int
    shared_bytes: int
    stack_bytes: int
    spill_bytes: int


def measure_resources(compiler: Nvcc | Nvrtc, file: str, source: str) -> list[Resources]:
    """Compile a source for each architecture, unless that was done before, and read what its kernels take.

    Raises
    ------
    CompilerError
        If it does not compile.
    """
    key = "\n".join(
        [compiler.version, str(ARCHITECTURES), str(COMPILED_WITH), file, source, Path(__file__).read_text()]
    )
    known = CACHE / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    if known.exists():
        return [Resources(**row) for row in json.loads(known.read_text())]
    rows = _parse(file, compiler.compile(f"{file}.cu", source, ARCHITECTURES))
    CACHE.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps([dataclasses.asdict(row) for row in rows]))
    return rows


def _parse(file: str, log: str) -> list[Resources]:
    """Read what ptxas says; device functions that stand on their own count with nobody."""
    rows = []
    parts = _FUNCTION.split(log)[1:]
    for kernel, architecture, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        stack, used, shared = _STACK.search(text), _USED.search(text), _SHARED.search(text)
        if stack is None or used is None:
            raise ValueError(f"ptxas says nothing about {kernel} on sm_{architecture}: {text}")
        spills = int(stack[2]) + int(stack[3])
        shared_bytes = int(shared[1]) if shared else 0
        rows.append(Resources(file, kernel, int(architecture), int(used[1]), shared_bytes, int(stack[1]), spills))
    return sorted(rows, key=lambda row: (row.file, row.kernel, row.architecture))


def as_table(rows: list[Resources]) -> str:
    """Lay rows out as text: a line per kernel, registers per architecture; spilled bytes stand behind a plus."""
    header = ["kernel", "shared bytes", *(f"sm_{number}" for number in ARCHITECTURES)]
    lines = [header]
    for file, kernel in dict.fromkeys((row.file, row.kernel) for row in rows):
        ours = {row.architecture: row for row in rows if (row.file, row.kernel) == (file, kernel)}
        registers = [f"{row.registers}{f'+{row.spill_bytes}' if row.spill_bytes else ''}" for row in ours.values()]
        lines.append([f"{file}.{kernel}", str(max(row.shared_bytes for row in ours.values())), *registers])
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )


def main() -> None:
    """Print the resources of every kernel; exits with 1 if one spills."""
    parser = argparse.ArgumentParser(prog="python -m tests.cuda.resources", description="Compile every CUDA kernel.")
    parser.add_argument("--json", action="store_true", help="print rows as JSON")
    parser.add_argument("files", nargs="*", default=FILES, help="stems of kernels/cuda/*.cu; all by default")
    options = parser.parse_args()
    found = find_cuda_compiler()
    if found is None:
        sys.exit(f"there is no CUDA compiler: {PARTS['nvcc'].cure}")
    compiler = cuda_compiler(found)
    rows = [row for file in options.files for row in measure_resources(compiler, file, read_source(file))]
    if options.json:
        print(
            json.dumps({"compiler": compiler.version, "kernels": [dataclasses.asdict(row) for row in rows]}, indent=1)
        )
    else:
        print(f"registers of a thread, by {compiler.version}\n{as_table(rows)}")
    sys.exit(any(row.spill_bytes for row in rows))


if __name__ == "__main__":
    main()
