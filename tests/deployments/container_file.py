"""Container files, read and, as far as a machine without a container engine can, carried out.

    python -m tests.deployments.container_file deployments/Containerfile FOLDER

copies and installs as the file says, into a fresh venv and a folder instead of an image: the lock with its hashes, our
package, the proof that its packages are ours, the compiled kernels. Steps that need root (apt-get, useradd) are named
and left out. It takes some minutes and 2 GB.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDS_ROOT = ("apt-get", "useradd")


@dataclass(frozen=True)
class Instruction:
    """One instruction: ``RUN``, and the rest on one line."""

    word: str
    text: str


def read_container_file(path: Path) -> list[Instruction]:
    """Read the instructions of a container file, comments left out and continued lines joined."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    parts = [line.split(None, 1) for line in joined.splitlines() if line.strip()]
    return [Instruction(word, re.sub(r"\s+", " ", text).strip()) for word, text in parts]


def carry_out(file: Path, folder: Path) -> None:
    """Do what a container file says, in a folder and a venv of its own."""
    work, environment = folder / "opt" / "platestream", folder / "venv"
    work.mkdir(parents=True)
    venv.create(environment, with_pip=True)
    places = {"/opt/platestream": work, "/opt/": f"{folder}/opt/", "/usr/local/bin": environment / "bin"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PLATESTREAM_"))}
    kept["PATH"] = f"{environment / 'bin'}{os.pathsep}{kept['PATH']}"
    for each in read_container_file(file):
        text = each.text
        for said, here in places.items():
            text = re.sub(rf"(?<![\w.]){re.escape(said)}", str(here), text)
        if each.word == "COPY":
            *sources, target = text.split()
            for source in sources:
                _copy(ROOT / source, work / target / source if target == "./" else work / target)
        elif each.word == "ENV" and "NUMBA" in text:
            kept |= {
                name: value for name, value in re.findall(r'(\w+)="?([^"\s]*)"?', text) if name.startswith("NUMBA_CPU")
            }
        elif each.word == "RUN" and any(word in text for word in NEEDS_ROOT):
            print(f"left out, since it needs root: RUN {text}", flush=True)
        elif each.word == "RUN":
            print(f"RUN {text}", flush=True)
            subprocess.run(["sh", "-ec", text], cwd=work, env=kept, check=True)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(source, target)


if __name__ == "__main__":
    carry_out(Path(sys.argv[1]), Path(sys.argv[2]).absolute())
