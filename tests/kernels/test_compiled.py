"""Kernels compiled by numba."""

import subprocess
import sys

import numpy as np

from flows.settings import child_environment
from kernels.compiled import compiled, compiled_whole_sums
from tests.parts import ROOT


def test_kernels_are_compiled_also_where_no_cache_can_be_written():
    code = "import numpy as np; from kernels.thumbnails import shrink; print(shrink(np.ones((1, 4, 4), 'u1'), 2).sum())"
    # no locator of those left finds a place for the cache
    environment = child_environment({"NUMBA_CACHE_LOCATOR_CLASSES": "ZipCacheLocator", "PYTHONPATH": str(ROOT)})
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.returncode) == ("4\n", 0), ran.stderr


def test_floats_are_added_in_their_order():
    def add(values):
        total = np.float32(0)
        for value in values:
            total += value
        return total

    values = np.random.default_rng(1).normal(0, 1e4, 10_001).astype(np.float32)
    in_order = np.float32(0)
    for value in values:
        in_order += value
    assert compiled(add)(values) == in_order


def test_whole_sums_are_exact():
    def add(values):
        total = np.float32(0)
        for value in values:
            total += value
        return total

    values = np.random.default_rng(2).integers(0, 65536, 250).astype(np.float32)
    assert compiled_whole_sums(add)(values) == values.sum(dtype=np.float64)
