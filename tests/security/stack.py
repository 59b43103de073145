"""Everything that ``platestream serve`` starts, with secrets that are found again wherever they leak to.

Where this user may have mounts of his own, it runs as in a container with a read-only root: only the folders that the
container file names can be written, and for numba's sake that of compiled kernels.
"""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import httpx

from flows.keeper import find_descendants
from flows.server import copy_prepared
from flows.settings import Settings
from flows.supervise import find_free_ports
from tests.deployments.declared import DEPLOYMENTS
from tests.parts import ROOT, find_part
from tests.security.hostile import write_screen

AUTH, TOKEN = "canary-user:canary-1f0c8a6e2b", "canary-token-7d93b1e04c5a"
SECRETS = {
    "password of the API": AUTH.partition(":")[2],
    "password of the API, as sent": base64.b64encode(AUTH.encode()).decode(),
    "token of the web server": TOKEN,
}
LIMIT_S = 420.0


@dataclass
class Stack:
    """The services, where they lie and how they are reached."""

    folder: Path
    process: subprocess.Popen[bytes]
    ports: tuple[int, int, int]
    is_read_only: bool
    command_lines: set[str] = field(default_factory=set)

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}/api"

    @property
    def web_url(self) -> str:
        return f"http://127.0.0.1:{self.ports[2]}"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def processes(self) -> list[int]:
        """Process ids of all services and of what they started; their command lines are kept."""
        found = [self.process.pid, *find_descendants(self.process.pid)]
        for pid in found:
            self.command_lines.add(read_of(pid, "cmdline").decode(errors="replace"))
        return found

    def ask(self, url: str, *, auth: tuple[str, str] | None = None, **headers: str) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=60, auth=auth) as client:
            return client.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def wait_for(self, what: str, pattern: str) -> None:
        """Wait until the store has a file like this, and look at the processes meanwhile."""
        deadline = time.monotonic() + LIMIT_S
        while not list(self.data.glob(pattern)):
            self.processes()
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"{what}: {self.last_words()}")
            time.sleep(0.2)

    def last_words(self) -> str:
        logs = [self.folder / "serve.log", *sorted((self.folder / "state" / "logs").glob("*.log"))]
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-2000:]}" for path in logs)


def read_of(pid: int, name: str) -> bytes:
    """What the kernel tells of a process; nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


@contextmanager
def run_stack(folder: Path) -> Iterator[Stack]:
    """Run ``platestream serve`` on the hostile plate until the block ends."""
    for name in ("data", "state", "cache", "tmp"):
        (folder / name).mkdir()
    write_screen(folder / "data")
    prepared = f"prefect-{version('prefect')}"
    (folder / "cache" / prepared).mkdir()
    copy_prepared(Settings().cache_folder / prepared, folder / "cache" / prepared)  # saves half of the server's start
    ports = find_free_ports(3)
    program = [str(DEPLOYMENTS / "start.sh"), sys.executable, "-m", "flows.cli", "serve"]
    unshare = find_part("unshare")
    if unshare:
        writable = [str(folder / name) for name in ("data", "state", "cache", "tmp")]
        writable += [str(path) for path in (ROOT / "kernels").rglob("__pycache__")]
        program = [unshare, "-rm", str(Path(__file__).with_name("readonly.sh")), *writable, "--", *program]
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
    environment = kept | {
        "HOME": str(folder / "state"),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": str(ROOT),
        "PLATESTREAM_STORE": str(folder / "data"),
        "PLATESTREAM_STATE_FOLDER": str(folder / "state"),
        "PLATESTREAM_CACHE_FOLDER": str(folder / "cache"),
        "PLATESTREAM_API_URL": f"http://127.0.0.1:{ports[0]}/api",
        "PLATESTREAM_SCHEDULER": f"tcp://127.0.0.1:{ports[1]}",
        "PLATESTREAM_WEB_PORT": str(ports[2]),
        "PLATESTREAM_WEB_TOKEN": TOKEN,
        "PLATESTREAM_API_AUTH": AUTH,
        "PLATESTREAM_WORKERS": "1",
        "PLATESTREAM_LINGER_S": "2",
        "PLATESTREAM_SETTLE_S": "0",
    }
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(program, env=environment, stdout=log, stderr=log, cwd=folder / "tmp")
    stack = Stack(folder, process, ports, bool(unshare))
    try:
        yield stack
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
