"""Everything that ``platestream serve`` starts, with secrets that are found again wherever they leak to.

Where this user may have mounts of his own, it runs as in a container with a read-only root: only the folders that the
container file names can be written, and for numba's sake that of compiled kernels.
"""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from flows.events import emit
from flows.keeper import find_descendants
from flows.supervise import find_free_ports
from flows.watchdogs.alerts import Alert
from flows.watchdogs.rounds import AlertEvent
from tests.deployments.declared import DEPLOYMENTS
from tests.parts import ROOT, find_part
from tests.prepared import prepare_cache
from tests.security.hostile import write_screen
from tests.security.sockets import command_of

AUTH, TOKEN = "canary-user:canary-1f0c8a6e2b", "canary-token-7d93b1e04c5a"
USER, _, PASSWORD = AUTH.partition(":")
HOOK, MAIL = "canary-hook-40d6b2e91f7c", "canary-mail-c5a81e07d392"
NEWS_HOOK, NEWS_SLACK, NEWS_MAIL = "canary-news-2be90d7f61a4", "canary-slack-8c17f3e5b06d", "canary-post-e64a0b9d21c8"
CHANNELS = ("webhook", "slack", "email")
NOBODY = "127.0.0.1:1"
"""Where nobody listens, so that every message fails there and is told of."""
SECRETS = {
    "password of the API": PASSWORD,
    "password of the API, as sent": base64.b64encode(AUTH.encode()).decode(),
    "token of the web server": TOKEN,
    "address of the webhook": HOOK,
    "password of the mail server": MAIL,
    "address of the webhook of messages": NEWS_HOOK,
    "address of Slack's webhook of messages": NEWS_SLACK,
    "password of the mail server of messages": NEWS_MAIL,
}
LIMIT_S, END_S = 420.0, 180.0


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
            self.command_lines.add(command_of(pid))
        return found

    def ask(self, url: str, *, auth: tuple[str, str] | None = None, **headers: str) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=60, auth=auth) as client:
            return client.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def find(self, kind: str, wanted: dict[str, object]) -> list[dict[str, object]]:
        """Ask the Prefect API for what it has of a kind."""
        with httpx.Client(trust_env=False, timeout=60, auth=(USER, PASSWORD)) as client:
            found = client.post(f"{self.api_url}/{kind}/filter", json=wanted).raise_for_status().json()
        return found["events"] if kind == "events" else found

    def log_in(self, token: str) -> httpx.Response:
        """Send the web server's form."""
        with httpx.Client(trust_env=False, timeout=60) as client:
            return client.post(f"{self.web_url}/login", data={"token": token})

    def wait_for(self, what: str, is_so: Callable[[], object]) -> None:
        """Wait until something is so, and look at the processes meanwhile."""
        deadline = time.monotonic() + LIMIT_S
        while not is_so():
            self.processes()
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"{what}: {self.last_words()}")
            time.sleep(0.2)

    def last_words(self) -> str:
        logs = [self.folder / "serve.log", *sorted((self.folder / "state" / "logs").glob("*.log"))]
        return "\n".join(f"{path.name}: {path.read_text(errors='replace')[-2000:]}" for path in logs)


def say_secrets(stack: Stack) -> None:
    """Use every secret, in each way that is meant and in some that are not; alerts and messages fail."""
    for password in (PASSWORD, f"{PASSWORD} not"):
        stack.ask(f"{stack.api_url}/admin/version?password={PASSWORD}", auth=(USER, password))
    for address in ("/", f"/?token={TOKEN}", f"/login?next={TOKEN}", f"/{TOKEN}"):
        stack.ask(f"{stack.web_url}{address}")
        stack.ask(f"{stack.web_url}{address}", authorization=f"Bearer {TOKEN}")
    for token in (TOKEN, f"{TOKEN} not"):
        stack.log_in(token)
    automation = {"automations": {"name": {"any_": ["platestream alerts"]}}}
    stack.wait_for("alerts are not set up", lambda: stack.find("automations", automation))
    alert = Alert("test", "here", time.time(), "this is a test", "nothing is to be done")
    emit(stack.api_url, AlertEvent(alert, "new", alert.sentence, alert.since), auth=AUTH)
    failed = {"filter": {"event": {"name": ["prefect.automation.action.failed"]}}}
    stack.wait_for("no alert has failed", lambda: len(stack.find("events", failed)) >= 2)
    for channel in CHANNELS:
        stack.wait_for(
            f"no message by {channel} has failed",
            lambda name=channel: list(stack.data.glob(f"messages/*/*/{name}-*-failed.json")),
        )


@contextmanager
def run_stack(folder: Path) -> Iterator[Stack]:
    """Run ``platestream serve`` on the hostile plate until the block ends."""
    for name in ("data", "state", "tmp"):
        (folder / name).mkdir()
    prepare_cache(folder / "cache")
    write_screen(folder / "data")
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
        "PLATESTREAM_ALERT_WEBHOOK": f"http://{NOBODY}/{HOOK}?key={HOOK}",
        "PLATESTREAM_ALERT_EMAIL": f"mailto://lab:{MAIL}@{NOBODY}?from=platestream@lab.example&to=night@lab.example",
        "PLATESTREAM_MESSAGE_WEBHOOK": f"http://{NOBODY}/{NEWS_HOOK}?key={NEWS_HOOK}",
        "PLATESTREAM_MESSAGE_SLACK": f"https://{NOBODY}/{NEWS_SLACK}",
        "PLATESTREAM_MESSAGE_EMAIL": f"mailto://lab:{NEWS_MAIL}@{NOBODY}?from=lab@lab.example&to=all@lab.example",
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
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End the services; those that do not end within their time are killed, and that is a fault."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        for pid in (*find_descendants(process.pid), process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        raise
