"""What is compiled before the first site."""

from __future__ import annotations

from pathlib import Path

import numba
import pytest

from imaging.warm_up import is_compiled, warm_up, warm_up_illumination
from kernels import clumps, fields, illumination, nuclei_cellprofiler, regions


def test_both_ways_of_finding_nuclei_are_compiled() -> None:
    warm_up(())
    warm_up((), preset="jump")
    kernels = (clumps._join_parts, clumps._trim, nuclei_cellprofiler._block_minima, regions._outermost)
    assert all(kernel.signatures for kernel in kernels)


def test_estimating_and_correcting_illumination_is_compiled() -> None:
    warm_up_illumination()
    kernels = (fields._weigh_background, fields._rank_median, illumination._fill_gains, illumination._correct)
    assert all(kernel.signatures for kernel in kernels)


def test_whether_kernels_were_compiled_is_told_by_their_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path), raising=False)
    assert not is_compiled()
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "texture.py311.nbi").touch()
    assert is_compiled()
