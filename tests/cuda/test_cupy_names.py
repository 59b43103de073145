"""What kernels take from CuPy exists there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cuda.cupy_names import find_unknown_names
from tests.parts import ROOT, require

SAMPLE = """
def compute(self, xp, planes):
    import cupy as cp
    with xp.errstate(all="ignore"):
        low = xp.percentile(planes, 5) + cp.nanpercentile(planes, 5)
    spectrum = cp.fft.rfft(planes, axis=2, overwrite_x=True)
    self._cupy.cuda.nothing.at_all()
    self._cupy.RawModule(code="", options=())
    return cupyx.scipy.ndimage.gaussian_filter(spectrum, 2), cupyx.scipy.ndimage.watershed_ift(low), numpy.errstate
"""


@pytest.fixture(autouse=True)
def _needs_cupy() -> None:
    require("cupy")


def test_names_and_arguments_that_cupy_lacks_are_found() -> None:
    assert find_unknown_names(SAMPLE) == [
        "line 4: xp.errstate is not in CuPy",
        "line 5: cp.nanpercentile is not in CuPy",
        "line 6: cp.fft.rfft has no argument overwrite_x",
        "line 7: _cupy.cuda.nothing is not in CuPy",
        "line 9: cupyx.scipy.ndimage.watershed_ift is not in CuPy",
    ]


@pytest.mark.parametrize("path", sorted((ROOT / "kernels").glob("*.py")), ids=lambda path: path.stem)
def test_kernels_take_from_cupy_what_it_has(path: Path) -> None:
    assert find_unknown_names(path.read_text()) == []
