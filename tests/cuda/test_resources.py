"""Every kernel compiles for every architecture and spills nowhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from kernels.gpu import complete_source, read_source
from tests.cuda.compilers import CompilerError, Nvcc, Nvrtc, cuda_compiler
from tests.cuda.host_build import DECLARATION
from tests.cuda.resources import ARCHITECTURES, FILES, as_table, measure_resources
from tests.parts import ROOT, require

SPILLS = """
extern "C" __global__ void __launch_bounds__(1024) spills(const float* in, float* out) {
    float kept[80];
    #pragma unroll
    for (int i = 0; i < 80; i++) kept[i] = in[threadIdx.x + 1024 * i];
    #pragma unroll
    for (int i = 0; i < 80; i++) out[threadIdx.x + 1024 * i] = kept[i] * kept[79 - i] + kept[i * 7 % 80];
}
"""


@pytest.fixture(scope="module")
def compiler() -> Nvcc | Nvrtc:
    return cuda_compiler(require("nvcc"))


@pytest.mark.parametrize("file", FILES)
def test_every_kernel_compiles_for_every_architecture_and_spills_nowhere(compiler: Nvcc | Nvrtc, file: str) -> None:
    source = read_source(file)
    rows = measure_resources(compiler, file, source)
    kernels = [name for _, name in DECLARATION.findall(source)]
    assert kernels, f"{file}.cu declares no kernel"
    assert {(row.kernel, row.architecture) for row in rows} == {(k, a) for k in kernels for a in ARCHITECTURES}
    assert [row for row in rows if row.spill_bytes] == [], f"\n{as_table(rows)}"


def test_a_kernel_that_spills_is_found(compiler: Nvcc | Nvrtc) -> None:
    rows = measure_resources(compiler, "spills", complete_source("spills.cu", SPILLS))
    assert [row.architecture for row in rows if row.spill_bytes] == list(ARCHITECTURES)
    assert re.search(r"spills.spills +0( +64\+\d+){7}", as_table(rows))


def test_a_mistake_in_the_language_is_named_with_its_line(compiler: Nvcc | Nvrtc) -> None:
    source = complete_source("broken.cu", '\nextern "C" __global__ void broken(int* out) { out[0] = nothing; }\n')
    with pytest.raises(CompilerError, match=r'(?s)broken.cu\(2\).*"nothing"'):
        measure_resources(compiler, "broken", source)


def test_the_table_is_printed_for_people_and_for_programs(compiler: Nvcc | Nvrtc) -> None:
    def told(*options: str) -> str:
        command = [sys.executable, "-m", "tests.cuda.resources", "probe", *options]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert re.search(r"\nprobe.probe +128( +\d+){7}\n", told())
    kernels = json.loads(told("--json"))["kernels"]
    assert [row["architecture"] for row in kernels] == list(ARCHITECTURES)
    assert {(row["file"], row["kernel"], row["shared_bytes"], row["spill_bytes"]) for row in kernels} == {
        ("probe", "probe", 128, 0)
    }
