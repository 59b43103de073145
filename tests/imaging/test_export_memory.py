"""An export holds a part of a plate at a time."""

from __future__ import annotations

import subprocess
import sys

from imaging.store import open_store
from tests.imaging import small_screen
from tests.parts import ROOT


def test_memory_holds_a_part_of_the_cells_of_a_plate(tmp_path):
    small_screen.publish(open_store(str(tmp_path / "root")))
    program = [sys.executable, "-m", "tests.imaging.export_memory", str(tmp_path / "root"), str(tmp_path / "out")]
    made = subprocess.run([*program, "anndata", "csv", "parquet"], cwd=ROOT, capture_output=True, text=True, check=True)
    cells, anndata, csv_, parquet = map(float, made.stdout.split())
    assert cells > 80
    assert max(anndata, csv_) < 20
    assert parquet < 60
