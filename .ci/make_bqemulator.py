"""Make .cache/bqemulator, the environment of the BigQuery stand-in, with nothing but the standard library.

`make bqemulator` runs this. Nothing is done when the environment fits: the lock, this Python and this folder make up a
stamp. It is written last, so an interrupted installation is begun again. Of two at once the second waits for the first.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".cache" / "bqemulator"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "stamp"
LOCK = ROOT / "tests" / "standins" / "bqemulator.lock"
INSTALLED_MB = 400


def main() -> None:
    """Make the environment, or say in a sentence why not."""
    wanted = f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} {sys.version.split()[0]} {VENV}"
    VENV.parent.mkdir(exist_ok=True)
    with open(VENV.parent / "bqemulator.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted):
            install(wanted)


def install(wanted: str) -> None:
    """Make the environment anew."""
    print(f"Preparing {VENV.relative_to(ROOT)}, once: {INSTALLED_MB} MB on disk, half a minute.", flush=True)
    run("Python's venv module does not work here.", sys.executable, "-m", "venv", "--clear", str(VENV))
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    locked = ("--no-deps", "--require-hashes", "--no-compile", "--requirement", str(LOCK))
    run("pip could not install bqemulator; is a package index within reach (pip config list)?", PYTHON, *pip, *locked)
    subprocess.run([PYTHON, "-W", "ignore", "-m", "compileall", "-q", "-j", "0", str(VENV / "lib")], check=False)
    STAMP.write_text(wanted)


def run(fault: str, *command: str | Path) -> None:
    """Run a command; when it fails, its last words and the fault end this process."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stdout + done.stderr).splitlines()[-20:]
        sys.exit("\n".join([*last, f"{fault} The next make begins again."]))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the next make begins again")
