"""An in-memory store for protocol tests: its own clock, one step at a time, and death between any two steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from imaging.errors import ChangedObjectError
from imaging.store import Listing, Store, StoredObject

PROJECTIONS = ("/heartbeat.json", "/page/", ".zarr/")


class Killed(BaseException):
    """The process ended here; nothing may catch this."""


@dataclass
class Clock:
    """Time as the test sets it, in seconds."""

    now: float = 1_000_000.0


@dataclass
class _Object:
    data: bytes
    token: str
    modified: float


class ModelStore(Store):
    """Objects in a dict. Threads registered as actors wait for a grant before each step."""

    def __init__(self, url: str, clock: Clock) -> None:
        self.url = url
        self.clock = clock
        self.objects: dict[str, _Object] = {}
        self.overwritten: list[str] = []
        self.version = 0
        self.gate: Callable[[], None] = lambda: None
        self.lock = threading.RLock()

    def put(self, key: str, data: bytes, modified: float | None = None) -> None:
        """Write as somebody outside would: a microscope."""
        with self.lock:
            self.version += 1
            self.objects[key] = _Object(data, str(self.version), self.clock.now if modified is None else modified)

    def list(self, prefix: str, *, min_age_s: float = 0.0) -> Listing:
        self.gate()
        with self.lock:
            found = [
                StoredObject(key, len(item.data), item.token, item.modified)
                for key, item in sorted(self.objects.items())
                if key.startswith(prefix)
            ]
        return Listing(tuple(found))

    def list_folders(self, prefix: str) -> list[str]:
        self.gate()
        with self.lock:
            below = [key.removeprefix(prefix) for key in self.objects if key.startswith(prefix)]
        return sorted({name.partition("/")[0] for name in below if "/" in name})

    def read(self, key: str, *, token: str | None = None) -> bytes:
        self.gate()
        with self.lock:
            if key not in self.objects:
                raise FileNotFoundError(key)
            if token and self.objects[key].token != token:
                raise ChangedObjectError("changed", key=key)
            return self.objects[key].data

    def modified(self, key: str) -> float | None:
        self.gate()
        with self.lock:
            return self.objects[key].modified if key in self.objects else None

    def exists(self, key: str) -> bool:
        self.gate()
        return key in self.objects

    def write(self, key: str, data: bytes) -> None:
        self.gate()
        with self.lock:
            if key in self.objects and not any(part in key for part in PROJECTIONS):
                self.overwritten.append(key)
            self.put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        self.gate()
        with self.lock:
            if key in self.objects:
                return False
            self.put(key, data)
        return True

    def delete(self, key: str) -> None:
        self.gate()
        with self.lock:
            self.objects.pop(key, None)


@dataclass
class Actor:
    """A process in a thread of its own that takes a step when it is granted one."""

    body: Callable[[], None]
    name: str
    is_killed: bool = False
    is_over: bool = False
    error: BaseException | None = None
    _resume: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _paused: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._paused.acquire()

    def step(self) -> None:
        """Let it do one storage call."""
        if not self.is_over:
            self._resume.release()
            self._paused.acquire()

    def kill(self) -> None:
        """End it before its next storage call."""
        self.is_killed = True
        self.step()

    def finish(self, limit: int = 5000) -> None:
        """Let it run to its end."""
        for _ in range(limit):
            if self.is_over:
                return
            self.step()
        raise AssertionError(f"{self.name} does not end")

    def wait_for_grant(self) -> None:
        """Called by the actor before each storage call."""
        self._paused.release()
        self._resume.acquire()
        if self.is_killed:
            raise Killed

    def _run(self) -> None:
        try:
            self.body()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - kept for the test to raise in its own thread
            self.error = error
        finally:
            self.is_over = True
            self._paused.release()


class Stage:
    """The actors of one test, known by their threads."""

    def __init__(self) -> None:
        self.actors: list[Actor] = []

    def gate(self) -> None:
        """Make the calling thread wait if it is an actor's."""
        current = threading.current_thread()
        for actor in self.actors:
            if getattr(actor, "_thread", None) is current and not actor.is_over:
                actor.wait_for_grant()
                return

    def start(self, body: Callable[[], None], name: str) -> Actor:
        actor = Actor(body, name)
        self.actors.append(actor)
        actor.start()
        return actor
