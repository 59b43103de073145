"""The processes of a running stack: which is which, what each has in hand, and how one is killed or stopped.

A victim is stopped first, then the log is read, and only then it is killed: so what it had in hand is known exactly.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flows.supervise import Supervisor
from tests.chaos.worker_log import Work, log_lines, read_work

KINDS = ("worker", "scheduler", "flow", "forks", "runner", "server", "watch")
"""``flow`` is a run, or the process that stands for it; ``forks`` is what runs are forked from."""
LIGHT_KINDS = ("worker", "scheduler", "flow", "runner", "watch")
SERVICES = {"scheduler": "cluster", "runner": "runner", "server": "server", "watch": "watch"}
MARK = "CHAOS_FOLDER"
"""Variable that all processes of a run have, and only they."""
LONGEST_WAIT_S = 240.0
ON_ITS_WAY_S = 0.05
"""Seconds within which a worker has begun what a scheduler that is stopped now had sent it."""
FORK_SERVER = "flows.warm_runs "
OF_A_RUN = ("warm_client.py ", "-m prefect.engine", "flow-run execute", "chaos.light run")
"""Parts of command lines."""


@dataclass(frozen=True)
class Hit:
    """What was done to a process, and the sites that it may cost: those that were in hand of it."""

    kind: str
    pid: int
    stopped_s: float
    in_flight: tuple[str, ...]
    at_risk: tuple[str, ...]

    @property
    def how(self) -> str:
        """What was done, in words."""
        return f"stopped for {self.stopped_s:.0f} s" if self.stopped_s else "killed"

    def __str__(self) -> str:
        return f"{self.kind} {self.pid} {self.how}; {len(self.in_flight)} sites in flight, {len(self.at_risk)} its own"


@dataclass
class Processes:
    """Processes of one run; a context manager that lets all go on that are stopped."""

    supervisor: Supervisor
    folder: Path
    log: Path
    hits: list[Hit] = field(default_factory=list)
    _stopped: dict[int, threading.Timer] = field(default_factory=dict)

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for pid, timer in list(self._stopped.items()):
            timer.cancel()
            self._go_on(pid)

    @property
    def are_all_running(self) -> bool:
        """Whether none is stopped now."""
        return not self._stopped

    def work(self) -> Work:
        """What the workers have done and have in hand; of processes that live."""
        work = read_work(log_lines(self.log))
        for pid in [pid for pid in work.running if not is_alive(pid)]:
            del work.running[pid]
        return work

    def wait_for_work(self, meanwhile: Callable[[], bool]) -> bool:
        """Wait until sites are in flight; whether they came, and did so in time.

        ``meanwhile`` sees to it that work comes, and says whether any can come.
        """
        return any(self.work().running for _ in _moments(meanwhile))

    def hit(
        self, kind: str, chance: random.Random, meanwhile: Callable[[], bool], *, stop_s: float = 0.0
    ) -> Hit | None:
        """Kill a process of a kind, or stop it for some seconds, while sites are in flight; ``None`` if none are."""
        for _ in _moments(meanwhile):
            if self.work().running and (hit := self._try(kind, chance, stop_s)):
                self.hits.append(hit)
                return hit
        return None

    def _try(self, kind: str, chance: random.Random, stop_s: float) -> Hit | None:
        pid = self._choose(kind, chance)
        if not pid or pid in self._stopped or not _send(pid, signal.SIGSTOP):
            return None
        work = self.work()
        at_risk = self._at_risk(kind, pid, work)
        if not work.running or (kind == "worker" and not at_risk):  # it ended just now
            _send(pid, signal.SIGCONT)
            return None
        if kind == "scheduler":
            time.sleep(ON_ITS_WAY_S)
            at_risk = tuple(sorted({*at_risk, *self.work().running.values()}))
        if stop_s:
            self._stopped[pid] = timer = threading.Timer(stop_s, self._go_on, (pid,))
            timer.daemon = True
            timer.start()
        else:
            _send(pid, signal.SIGKILL)
        return Hit(kind, pid, stop_s, tuple(sorted(work.running.values())), at_risk)

    def _at_risk(self, kind: str, pid: int, work: Work) -> tuple[str, ...]:
        """Sites whose work may be lost: a worker's own, and all, whatever their plate, with the scheduler or a run."""
        if kind == "worker":
            return tuple(site for worker, site in work.running.items() if worker == pid)
        return tuple(sorted(work.running.values())) if kind in ("scheduler", "flow") else ()

    def _choose(self, kind: str, chance: random.Random) -> int:
        """Process id of one of that kind, with work in hand where it is a worker; 0 if there is none now."""
        if kind == "worker":
            return chance.choice(sorted(self.work().running) or [0])
        if kind == "flow":
            return chance.choice(sorted(find_runs(find_marked(self.folder))) or [0])
        if kind == "forks":
            runner = self.supervisor.pid("runner")
            return next(iter(find_fork_servers(find_marked(self.folder), of=runner)), 0)
        return self.supervisor.pid(SERVICES[kind])

    def _go_on(self, pid: int) -> None:
        _send(pid, signal.SIGCONT)
        self._stopped.pop(pid, None)


def _moments(meanwhile: Callable[[], bool]) -> Iterator[None]:
    """Moments at which to look, until it has taken too long or nothing more can come."""
    deadline = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < deadline:
        yield
        if not meanwhile():
            return
        time.sleep(0.02)


def tell(sentence: str) -> None:
    """Say what happens, on the standard error."""
    print(f"{time.strftime('%H:%M:%S')} {sentence}", file=sys.stderr, flush=True)


def find_marked(folder: Path) -> list[int]:
    """Living processes that have this run's mark in their environment, zombies left out; never this one."""
    mark = f"{MARK}={folder}".encode()
    return [pid for pid in _processes() if pid != os.getpid() and is_alive(pid) and mark in _environment(pid)]


def find_runs(pids: Iterable[int]) -> list[int]:
    """Those processes that are flow runs, or that stand for one and take it along when they are killed."""
    return [pid for pid in pids if any(word in _command_line(pid) for word in OF_A_RUN) or is_fork(pid)]


def find_fork_servers(pids: Iterable[int], *, of: int) -> list[int]:
    """Those processes that this runner started for its runs to be forked from."""
    return [pid for pid in pids if FORK_SERVER in _command_line(pid) and _parent(pid) == of]


def is_fork(pid: int) -> bool:
    """Whether this is a run that was forked: its command line is that of the process that it was forked from."""
    return FORK_SERVER in _command_line(pid) and FORK_SERVER in _command_line(_parent(pid))


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    return False


def _parent(pid: int) -> int:
    """Process id of the parent; 0 where the process is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return 0


def _processes() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _environment(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return []


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _send(pid: int, number: signal.Signals) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False
