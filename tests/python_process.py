"""A Python of its own for code whose effects outlive it: imports, and the choice of a device."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.parts import ROOT


def run_python(code: str, *, before_all: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a text as a program that finds modules in a folder before all others; it must succeed."""
    path = os.pathsep.join(str(folder) for folder in (before_all, ROOT, os.environ.get("PYTHONPATH")) if folder)
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done
