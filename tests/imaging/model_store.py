"""An in-memory store for protocol tests: its own clock, one step at a time, and death between any two steps.

A call may also fail, as a service fails: see ``Fate``.
"""

from __future__ import annotations

import contextlib
import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

from imaging.errors import ChangedObjectError, StoreUnavailableError
from imaging.store import Listing, Store, StoredObject

PROJECTIONS = ("/heartbeat.json", "/clock.json", "/page/", ".zarr/")

_DATA = re.compile(rb'"((?:results/[^"]+/(?:parts|published|fields)|images/[^"]+[.]zarr)/[^"]+)"')
"""Addresses of data in a record."""

Fate = Literal["", "refused", "lost", "repeated"]
"""What happens to a call: nothing; it is not taken; it is done and the answer lost; or the client asks again then."""
FATES = get_args(Fate)[1:]
FEW, MOST = 0.08, 0.5
"""Shares of an actor's calls on a bad day that fail in any way, and that are asked again."""


class Killed(BaseException):
    """The process ended here; nothing may catch this."""


@dataclass
class Clock:
    """Time as the test sets it, in seconds; ``ahead`` is what the clocks of everybody but the store are ahead by."""

    now: float = 1_000_000.0
    ahead: float = 0.0

    @property
    def told(self) -> float:
        """What a clock says that is not the store's."""
        return self.now + self.ahead


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
        self.broken: list[str] = []
        self.version = 0
        self.gate: Callable[[str], Fate] = lambda verb: ""
        self.lock = threading.RLock()

    def put(self, key: str, data: bytes, modified: float | None = None) -> None:
        """Write as somebody outside would: a microscope."""
        with self.lock:
            self.version += 1
            self.objects[key] = _Object(data, str(self.version), self.clock.now if modified is None else modified)

    def list(self, prefix: str, *, min_age_s: float = 0.0) -> Listing:
        with self.call("list", prefix):
            found = [
                StoredObject(key, len(item.data), item.token, item.modified)
                for key, item in sorted(self.objects.items())
                if key.startswith(prefix)
            ]
        return Listing(tuple(found))

    def list_folders(self, prefix: str) -> list[str]:
        with self.call("list_folders", prefix):
            below = [key.removeprefix(prefix) for key in self.objects if key.startswith(prefix)]
        return sorted({name.partition("/")[0] for name in below if "/" in name})

    def read(self, key: str, *, token: str | None = None) -> bytes:
        with self.call("read", key):
            if key not in self.objects:
                raise FileNotFoundError(key)
            if token and self.objects[key].token != token:
                raise ChangedObjectError("changed", key=key)
            return self.objects[key].data

    def exists(self, key: str) -> bool:
        with self.call("exists", key):
            return key in self.objects

    def modified(self, key: str) -> float | None:
        with self.call("modified", key):
            return self.objects[key].modified if key in self.objects else None

    def write(self, key: str, data: bytes) -> None:
        with self.call("write", key):
            if key in self.objects and not any(part in key for part in PROJECTIONS):
                self.overwritten.append(key)
            self.put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        with self.call("create", key) as fate:
            if fate == "repeated":
                self._put_new(key, data)
            return self._put_new(key, data) or self.is_ours(key, data)

    def is_ours(self, key: str, data: bytes) -> bool:
        """Whether what is there already is what was to be created, as ``imaging.store`` finds out."""
        return self.objects[key].data == data

    def delete(self, key: str) -> None:
        with self.call("delete", key):
            namers = [name for name, item in self.objects.items() if key in _named_by(name, item.data)]
            self.broken += [f"{key} was deleted, which {name} names" for name in namers]
            self.objects.pop(key, None)

    def _put_new(self, key: str, data: bytes) -> bool:
        if key in self.objects:
            return False
        missing = _named_by(key, data) - set(self.objects)
        self.broken += [f"{key} names {name}, which is not there" for name in missing]
        self.put(key, data)
        return True

    @contextlib.contextmanager
    def call(self, verb: str, key: str) -> Iterator[Fate]:
        """Wait for a grant, then do one call, or not, or do it and lose its answer."""
        fate = self.gate(verb)
        if fate == "refused":
            raise StoreUnavailableError("the storage takes no call", key=key)
        with self.lock:
            yield fate
        if fate == "lost":
            raise StoreUnavailableError("the answer was lost", key=key)


def _named_by(key: str, data: bytes) -> set[str]:
    """Data that a record names; those of a preview go once the plate is published."""
    if not key.endswith(".json") or "/previews/" in key:
        return set()
    return {name.decode() for name in _DATA.findall(data)}


@dataclass
class Actor:
    """A process in a thread of its own that takes a step when it is granted one.

    The number of a bad day, but 0, decides which of its calls fail, and how: on odd ones many creates are asked again.
    """

    body: Callable[[], None]
    name: str
    is_killed: bool = False
    is_over: bool = False
    error: BaseException | None = None
    pending: str = ""
    bad_day: int = 0
    refuses_next: bool = False
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

    def __post_init__(self) -> None:
        self._chance = random.Random(self.bad_day)

    def wait_for_grant(self, verb: str) -> Fate:
        """Called by the actor before each storage call; returns what happens to it."""
        self.pending = verb
        self._paused.release()
        self._resume.acquire()
        if self.is_killed:
            raise Killed
        if self.refuses_next:
            self.refuses_next = False
            return "refused"
        fates: tuple[Fate, ...] = ("repeated",) if self.bad_day % 2 else FATES
        share = MOST if self.bad_day % 2 else FEW
        return self._chance.choice(fates) if self.bad_day and self._chance.random() < share else ""

    def _run(self) -> None:
        try:
            self.body()
        except (Killed, StoreUnavailableError):  # a run that the storage does not answer ends, and another comes
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

    def gate(self, verb: str) -> Fate:
        """Make the calling thread wait if it is an actor's."""
        current = threading.current_thread()
        for actor in self.actors:
            if getattr(actor, "_thread", None) is current and not actor.is_over:
                return actor.wait_for_grant(verb)
        return ""

    def start(self, body: Callable[[], None], name: str, bad_day: int = 0) -> Actor:
        actor = Actor(body, name, bad_day=bad_day)
        self.actors.append(actor)
        actor.start()
        return actor
