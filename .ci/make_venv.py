"""Make .venv from requirements.lock, with nothing but the standard library; `make` runs this before each command.

Nothing is done when .venv already fits: the lock, pyproject.toml, this Python and this folder make up a stamp. It is
written last, so an interrupted installation is begun again. Of two at once the second waits for the first.

pip does the work and reads the user's settings (pip.conf, PIP_INDEX_URL, proxies) as always.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "stamp"
LOCK = ROOT / "requirements.lock"
LOG = ROOT / ".cache" / "pip.log"
PIPS = 2
DOWNLOAD_MB, INSTALLED_GB = 460, 1.8


def main() -> None:
    """Make or complete .venv, or say in a sentence why not."""
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        sys.exit(f"Platestream needs Python 3.11, 3.12 or 3.13; {sys.executable} is {sys.version.split()[0]}.")
    wanted = stamp()
    LOG.parent.mkdir(exist_ok=True)
    with open(LOG.parent / "venv.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another make is preparing .venv; waiting for it.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not fits(wanted):
            install(wanted)


def stamp() -> str:
    """Everything that .venv depends on, in one line."""
    files = hashlib.sha256(LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return f"{files} {sys.version.split()[0]} {VENV}"


def fits(wanted: str) -> bool:
    """Whether .venv is complete and made for this checkout."""
    return PYTHON.exists() and STAMP.exists() and STAMP.read_text() == wanted


def install(wanted: str) -> None:
    """Fill .venv; one of another Python or folder, or an incomplete one, is made anew."""
    started = time.monotonic()
    usable = PYTHON.exists() and STAMP.exists() and STAMP.read_text().split()[1:] == wanted.split()[1:]
    if usable:
        STAMP.unlink()
    else:
        shutil.rmtree(VENV, ignore_errors=True)
        need = f"downloads about {DOWNLOAD_MB} MB, {INSTALLED_GB} GB on disk, one to five minutes"
        print(f"Preparing .venv with Python {sys.version.split()[0]}, once: {need}.", flush=True)
        make_venv()
    shares = share_out(LOCK.read_text())
    with ThreadPoolExecutor(len(shares)) as pool:
        for done in [pool.submit(install_share, number, share) for number, share in enumerate(shares, 1)]:
            done.result()
    pip("Platestream itself", 1, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    progress("compiling to bytecode")
    # packages' own tests, a sixth of all, are never imported
    compiling = ("-W", "ignore", "-m", "compileall", "-q", "-j", "0", "-x", r"/tests/")
    subprocess.run([PYTHON, *compiling, str(VENV / "lib")], check=False)
    progress("compiling kernels, which takes a minute")
    subprocess.run([PYTHON, "-m", "imaging.warm_up"], cwd=ROOT, stderr=subprocess.DEVNULL, check=False)
    STAMP.write_text(wanted)
    progress(f".venv is ready after {time.monotonic() - started:.0f} s", end="\n")


def share_out(lock: str) -> list[list[str]]:
    """The packages of a lock with their hashes, dealt out to several pips: one unpacks on one core only."""
    packages = re.split(r"\n(?=\w)", "\n" + re.sub(r"(?m)^\s*#.*\n", "", lock))[1:]
    return [packages[first::PIPS] for first in range(min(PIPS, len(packages)))]


def install_share(number: int, packages: list[str]) -> None:
    """Install a share of the lock."""
    share = LOG.parent / f"share-{number}.lock"
    share.write_text("\n".join(packages))
    # the lock is complete: without --no-deps, pip before 23.3 asks for the newest version of what is wanted with extras
    pip("packages", len(packages), "--no-deps", "--require-hashes", "--no-compile", "--requirement", str(share))


def make_venv() -> None:
    """Make an empty .venv with pip."""
    made = subprocess.run([sys.executable, "-m", "venv", VENV], capture_output=True, text=True, check=False)
    if made.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        cure = f"on Debian or Ubuntu: apt-get install python{version}-venv"
        sys.exit(f"{made.stdout}{made.stderr}Python's venv module does not work here; {cure}.")


def pip(what: str, packages: int, *arguments: str) -> None:
    """Run pip install with a count of packages; its own words go to a log, which is shown when it fails."""
    command = [PYTHON, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PIP_NO_INPUT": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    seen = 0
    words: list[str] = []
    with open(LOG, "a") as log, process:
        for line in process.stdout or ():
            log.write(line)
            words.append(line)
            if found := re.match(r"(?:Collecting|Requirement already satisfied:|Ignoring|Obtaining) ([\w.-]+)", line):
                seen += 1
                progress(f"{what}: {seen} of {packages}, {found[1]}", often=seen % 20 == 0)
            if line.startswith("Installing collected"):
                progress(f"unpacking {line.count(',') + 1} packages")
    if process.returncode:
        print("\n" + "".join(words[-20:]))
        sys.exit(
            f"pip could not install {what}. Is a package index within reach (pip config list)? The whole log: {LOG}. "
            "The next make begins again."
        )


def progress(text: str, *, often: bool = True, end: str = " ") -> None:
    """Show how far it is: on a terminal in place, else as a line now and then."""
    if sys.stdout.isatty():
        print(f"\r\033[K  {text}", end=end, flush=True)
    elif often:
        print(f"  {text}", flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the next make begins again")
