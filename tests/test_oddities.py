"""Odd uploads: each is read or quarantined in bounded memory, and no worker is lost."""

from __future__ import annotations

import subprocess
import sys

from tests.parts import ROOT


def test_no_odd_file_takes_a_worker_or_much_memory() -> None:
    # the limit of a second is for a look at the table; here it is only a guard against reading without end
    command = [sys.executable, "-m", "tests.oddities", "--seconds", "10"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    *table, summary = done.stdout.splitlines()
    assert done.returncode == 0, "\n".join(line for line in table if "beyond" in line) + done.stderr
    assert "'lost': 0" in summary
    assert len(table) >= 30
