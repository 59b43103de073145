"""Services of one machine: started together, restarted when they die, stopped in order, never left behind.

Each service runs under its own keeper (``flows/keeper.py``), which ends the service and everything it started when the
supervisor says so, and also when the supervisor itself is gone.
"""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import IO, Self

from imaging.errors import MissingPartError

KEEPER = Path(__file__).with_name("keeper.py")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Pause before a restart: doubled from the first to the longest with every death in a row."""
STEADY_S = 60.0
"""A service that lived this long had started well: the next pause is the first again."""
DEATHS_WHILE_STARTING = 3
"""A service that died this often before it was ready will not get ready."""


@dataclass(frozen=True)
class Service:
    """One program that runs beside others.

    Parameters
    ----------
    name
        Name in messages.
    argv
        Program and arguments.
    log
        File that its output is appended to.
    environment
        Its whole environment; ``None`` for a copy of ours.
    is_ready
        Says whether it answers; called from the thread that waits, must return within about a second.
    grace_s
        Seconds from SIGTERM to SIGKILL when it is stopped.
    is_outlived
        May what it started go on when it dies unasked? (Flow runs of a killed runner should.) Never after a stop.
    """

    name: str
    argv: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] | None = None
    is_ready: Callable[[], bool] | None = None
    grace_s: float = 5.0
    is_outlived: bool = False


def find_free_ports(count: int) -> tuple[int, ...]:
    """Choose TCP ports of the loopback interface that nobody listens on, all different."""
    with contextlib.ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(each.getsockname()[1] for each in sockets)


@contextlib.contextmanager
def interrupt_on_termination() -> Iterator[None]:
    """Make SIGTERM and SIGHUP end the block as Ctrl-C does, by KeyboardInterrupt (main thread only)."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass
class _Kept:
    """A service as the supervisor sees it."""

    service: Service
    keeper: subprocess.Popen[bytes] | None = None
    pid: int = 0
    deaths: int = 0
    short_lives: int = 0
    last_code: int = 0
    started_at: float = 0.0
    due_at: float | None = None
    heard: bytes = field(default=b"", repr=False)


class Supervisor:
    """Runs services; a context manager that starts them all at once and stops them.

    Parameters
    ----------
    services
        The services; names must differ.
    stop_order
        Names in the order in which they are stopped; default the reverse of ``services``.
    """

    def __init__(self, services: Sequence[Service], *, stop_order: Sequence[str] | None = None) -> None:
        self._kept = {service.name: _Kept(service) for service in services}
        self._stop_order = tuple(stop_order) if stop_order is not None else tuple(reversed(self._kept))
        if len(self._kept) != len(services) or sorted(self._stop_order) != sorted(self._kept):
            raise ValueError("services must have different names, and stop_order must hold each of them once")
        self._selector = selectors.DefaultSelector()
        self._awake, self._waker = socket.socketpair()
        self._selector.register(self._awake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._tend, name="supervisor", daemon=True)
        self._started_at = 0.0
        self._is_running = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def restarts(self) -> dict[str, int]:
        """How often each service died and was (or is about to be) started again."""
        return {name: kept.deaths for name, kept in self._kept.items()}

    def pid(self, name: str) -> int:
        """Process id of a service, 0 while it is down."""
        return self._kept[name].pid

    def start(self) -> None:
        """Start all services at once; returns without waiting for them."""
        self._started_at = time.monotonic()
        self._is_running = True
        for kept in self._kept.values():
            self._launch(kept)
        self._thread.start()

    def wait_until_ready(self, timeout_s: float = 300.0, names: Sequence[str] | None = None) -> dict[str, float]:
        """Wait for services (default all) and return the seconds from start that each took.

        Raises
        ------
        MissingPartError
            When one is not ready in time or keeps dying; with the end of its log.
        """
        waiting = dict.fromkeys(names if names is not None else self._kept)
        ready: dict[str, float] = {}
        while waiting:
            passed_s = time.monotonic() - self._started_at
            for name in list(waiting):
                kept = self._kept[name]
                if kept.pid and (kept.service.is_ready is None or kept.service.is_ready()):
                    ready[name] = round(time.monotonic() - self._started_at, 3)
                    del waiting[name]
                elif kept.deaths >= DEATHS_WHILE_STARTING:
                    raise _failure(kept, f"ended {kept.deaths} times while starting, last with code {kept.last_code}")
                elif passed_s > timeout_s:
                    raise _failure(kept, f"was not ready within {timeout_s:g} s")
            if waiting:
                time.sleep(0.05)
        return ready

    def stop(self) -> None:
        """Stop the services in order: SIGTERM, after its grace SIGKILL to it and all that it started."""
        if not self._is_running:
            return
        self._is_running = False
        self._waker.send(b"x")
        self._thread.join()
        for name in self._stop_order:
            kept = self._kept[name]
            if kept.keeper is not None:
                _say(kept.keeper, b"stop\n")
                _end_keeper(kept.keeper, kept.service.grace_s + 5.0)
            kept.pid, kept.keeper = 0, None
        self._selector.close()
        self._awake.close()
        self._waker.close()

    def _tend(self) -> None:
        """Read what the keepers report and start again what is due, until woken by ``stop``."""
        while True:
            dues = [kept.due_at for kept in self._kept.values() if kept.due_at is not None]
            wait_s = max(0.0, min(dues) - time.monotonic()) if dues else None
            for key, _ in self._selector.select(wait_s):
                if key.fileobj is self._awake:
                    return
                self._hear(key.data, key.fd)
            for kept in self._kept.values():
                if kept.due_at is not None and kept.due_at <= time.monotonic():
                    kept.due_at = None
                    self._launch(kept)

    def _launch(self, kept: _Kept) -> None:
        kept.started_at = time.monotonic()
        if kept.keeper is None:
            kept.keeper = _start_keeper(kept.service)
            self._selector.register(_pipe(kept.keeper.stdout), selectors.EVENT_READ, kept)
        _say(kept.keeper, b"start\n")

    def _hear(self, kept: _Kept, descriptor: int) -> None:
        keeper = kept.keeper
        if keeper is None:
            return
        data = _pipe(keeper.stdout).read(4096)
        *lines, kept.heard = (kept.heard + data).split(b"\n")
        for line in lines:
            what, number = line.split()
            if what == b"started":
                kept.pid = int(number)
            else:
                self._count_death(kept, int(number))
        if not data:
            self._selector.unregister(descriptor)
            _end_keeper(keeper, 1.0)
            kept.keeper, kept.heard = None, b""
            if kept.due_at is None:
                self._count_death(kept, keeper.returncode)

    def _count_death(self, kept: _Kept, code: int) -> None:
        kept.pid, kept.last_code = 0, code
        kept.deaths += 1
        lived_s = time.monotonic() - kept.started_at
        kept.short_lives = 0 if lived_s >= STEADY_S else kept.short_lives + 1
        kept.due_at = time.monotonic() + pause_before_restart(kept.short_lives)


def pause_before_restart(short_lives: int) -> float:
    """Seconds to wait with a restart after so many short lives in a row."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** max(0, short_lives - 1))


def _start_keeper(service: Service) -> subprocess.Popen[bytes]:
    service.log.parent.mkdir(parents=True, exist_ok=True)
    options = (str(service.grace_s), str(int(service.is_outlived)))
    with service.log.open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(KEEPER), *options, *service.argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=service.environment,
            start_new_session=True,
            bufsize=0,  # a read returns what is there
        )


def _say(keeper: subprocess.Popen[bytes], message: bytes) -> None:
    with contextlib.suppress(BrokenPipeError):
        _pipe(keeper.stdin).write(message)


def _end_keeper(keeper: subprocess.Popen[bytes], timeout_s: float) -> None:
    try:
        keeper.wait(timeout_s)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()
    with contextlib.suppress(BrokenPipeError):
        _pipe(keeper.stdin).close()
    _pipe(keeper.stdout).close()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise RuntimeError("a keeper is always started with pipes")
    return pipe


def _failure(kept: _Kept, what: str) -> MissingPartError:
    with contextlib.suppress(FileNotFoundError):
        lines = kept.service.log.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
        what += ":\n" + "\n".join(lines[-12:]) if lines else "; its log is empty"
    return MissingPartError(f"the service {kept.service.name} {what}\n(log: {kept.service.log})")
