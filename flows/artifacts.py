"""What a run shows in the Prefect UI: progress, a picture, tables, text, sent by a thread of its own.

The store holds the truth; an artifact is for a person who looks. So a server that is down, slow or gone costs the run
nothing: of each artifact only the newest version waits to be sent, and is sent again until the server took it.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal, Self

import httpx

from flows.markdown import link
from flows.server import api_client

Kind = Literal["progress", "image", "table", "markdown"]
PAUSE_S, LAST_PAUSE_S, TIMEOUT_S = 2.0, 0.2, 5.0
"""Seconds between two rounds of sending, the same at the end, and that one request may take."""
MAX_BYTES = 100_000
"""An artifact lies in the server's database; a larger one is left out."""

log = logging.getLogger(__name__)


@dataclass
class Reporter:
    """Keeps the artifacts of one plate's run up to date; a context manager that sends the last versions at its end.

    Parameters
    ----------
    api_url
        Address of the Prefect API.
    flow_run
        Id of the flow run that they belong to; empty for none.
    names
        Experiment, plate and recipe: they begin each key and stand in each description.
    auth
        ``user:password``, when the API asks for one.
    flush_s
        Seconds that the end may wait for a server.
    """

    api_url: str
    flow_run: str
    names: tuple[str, str, str]
    auth: str = ""
    flush_s: float = 5.0
    _waiting: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    _newest: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    _ids: dict[str, str] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _awake: threading.Event = field(default_factory=threading.Event, repr=False)
    _over: threading.Event = field(default_factory=threading.Event, repr=False)
    _deadline: float = 0.0

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._send_all, name="artifacts", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.flush(self.flush_s)

    def flush(self, timeout_s: float) -> bool:
        """End the sending: wait until the last versions are sent, at most so many seconds; whether they are."""
        self._deadline = time.monotonic() + timeout_s
        self._over.set()
        self._awake.set()
        self._thread.join(timeout_s)
        with self._lock:
            return not self._waiting and not self._thread.is_alive()

    def progress(self, name: str, percent: float, description: str) -> None:
        """Show a bar; percent from 0 to 100."""
        self._put("progress", name, round(percent, 1), description)

    def image(self, name: str, address: str, description: str) -> None:
        """Show a picture by its address, which may be a ``data:`` address with the picture in it."""
        self._put("image", name, address, description)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]], description: str) -> None:
        """Show rows."""
        self._put("table", name, json.dumps([dict(row) for row in rows], default=str), description)

    def markdown(self, name: str, text: str, description: str) -> None:
        """Show text with links."""
        self._put("markdown", name, text, description)

    def link(self, name: str, address: str, description: str) -> None:
        """Show a link."""
        self._put("markdown", name, link(address, description), description)

    def _put(self, kind: Kind, name: str, data: Any, description: str) -> None:
        if len(str(data)) > MAX_BYTES:
            return
        experiment, plate, recipe = self.names
        key = artifact_key(experiment, plate, name)
        body = {"key": key, "type": kind, "data": data}
        body["description"] = f"{experiment}/{plate}, recipe {recipe}: {description}"
        with self._lock:
            if self._newest.get(key) == body:
                return
            self._newest[key] = self._waiting[key] = body
        self._awake.set()

    def _send_all(self) -> None:
        with api_client(self.api_url, auth=self.auth, timeout_s=TIMEOUT_S) as client:
            while True:
                self._awake.wait()
                self._awake.clear()
                is_sent = self._send_waiting(client)
                if not self._over.is_set():
                    self._over.wait(PAUSE_S)
                elif is_sent or time.monotonic() >= self._deadline:
                    return
                else:
                    time.sleep(LAST_PAUSE_S)
                if not is_sent or self._over.is_set():
                    self._awake.set()

    def _send_waiting(self, client: httpx.Client) -> bool:
        """Send what waits; what the server did not take waits on, unless there is a newer version."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        failed = {key: body for key, body in waiting.items() if not self._send(client, key, body)}
        with self._lock:
            self._waiting = failed | self._waiting
            return not self._waiting

    def _send(self, client: httpx.Client, key: str, body: dict[str, Any]) -> bool:
        """Send one artifact; ``False`` if it shall be sent again."""
        try:
            if key in self._ids:
                changes = {name: body[name] for name in ("data", "description")}
                answer = client.patch(f"/artifacts/{self._ids[key]}", json=changes)
                if answer.status_code != httpx.codes.NOT_FOUND:
                    return self._is_settled(answer)
            answer = client.post("/artifacts/", json=body | ({"flow_run_id": self.flow_run} if self.flow_run else {}))
        except httpx.HTTPError:
            return False
        if answer.is_success:
            self._ids[key] = answer.json()["id"]
        return self._is_settled(answer)

    def _is_settled(self, answer: httpx.Response) -> bool:
        """Taken, or refused for good: sending the same again would be refused again."""
        if answer.is_client_error and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            log.warning("the Prefect API refused an artifact with %d: %s", answer.status_code, answer.text[:200])
            return True
        return answer.is_success


def artifact_key(experiment: str, plate: str, name: str) -> str:
    """Name an artifact: lower-case letters, digits and dashes; a few digits of a hash where that loses something."""
    plain = f"{experiment}-{plate}-{name}"
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    return slug if slug == plain else f"{slug}-{sha256(plain.encode()).hexdigest()[:6]}"
