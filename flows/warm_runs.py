"""Flow runs from a process that has imported everything: ``python -m flows.warm_runs SOCKET MODULE ...``.

A run's Python spends more time on its imports than on most plates. So the runner starts this process once; for each run
it starts ``flows/warm_client.py``, which asks here for a fork, hands over environment, folder and output, and lives as
long as the run does. Whatever the client is told, the run is told: signals are passed on, and where the client is
killed, so is the run. Where this process cannot help, as it is gone or was started with other variables, the client
becomes a Python that imports everything itself.

Runs go on when this process or the runner is killed, and their clients still learn how they end; with standard input
closed, it ends after its last run.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import logging
import os
import runpy
import select
import selectors
import signal
import socket
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flows.lifeline import Lifeline
from flows.warm_client import LENGTH, describe_end, ready_mark

OF_A_RUN = "PREFECT__"
"""Variables that begin so are of one run; all others must be those that this process was started with."""
PATIENCE_S = 5.0
"""Seconds that a client may take to say what it wants."""
log = logging.getLogger(__name__)

LIBRARIES = (
    "prefect.engine",
    "prefect.flow_engine",
    "flows.process_plate",
    "flows.process_experiment",
    "flows.load_warehouse",
)
"""Modules that the runs of this machine import."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client wants: a run with these variables, in this folder, of these arguments of a Python."""

    environment: dict[str, str]
    folder: str
    arguments: list[str]


@dataclass
class WarmRuns:
    """Takes requests on a socket and forks a run for each.

    Parameters
    ----------
    listener
        A listening Unix socket.
    keeps_open
        A file whose end means that no more runs will be asked for.
    environment
        The variables that this process was started with; some libraries set others while they are imported.
    lifeline
        In a forked child, what ties it to its client.
    """

    listener: socket.socket
    keeps_open: int
    environment: Mapping[str, str]
    lifeline: Lifeline | None = None
    _runs: dict[int, socket.socket] = field(default_factory=dict)
    _is_over: bool = False

    def serve(self) -> list[str] | None:
        """Serve until all is over and return ``None``; in a forked child, return the run's arguments."""
        awake, waker = os.pipe()
        os.set_blocking(awake, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            for each in (self.listener, self.keeps_open, awake):
                selector.register(each, selectors.EVENT_READ)
            while self._runs or not self._is_over:
                for key, _ in selector.select():
                    if key.fileobj == awake:
                        with contextlib.suppress(BlockingIOError):
                            os.read(awake, 4096)
                    elif key.fileobj == self.keeps_open:
                        selector.unregister(self.keeps_open)
                        selector.unregister(self.listener)
                        self.listener.close()
                        self._is_over = True
                    elif key.fileobj == self.listener and not self._is_over:
                        if (arguments := self._take(selector)) is not None:
                            return arguments
                    elif isinstance(key.data, int):
                        self._hear(selector, key.data)
                self._reap(selector)
        return None

    def _take(self, selector: selectors.BaseSelector) -> list[str] | None:
        """Fork for one client; return the run's arguments in the child only."""
        client, _ = self.listener.accept()
        client.settimeout(PATIENCE_S)
        try:
            wanted, outputs = read_request(client)
        except (OSError, ValueError):
            client.close()
            return None
        parent = os.getpid()
        pid = None if self._refuses(client, wanted) else _fork()
        if pid == 0:
            _become_run(wanted, outputs)
            for each in (self.listener, *self._runs.values()):
                each.close()
            self.lifeline = Lifeline(client, parent)
            return wanted.arguments
        for descriptor in outputs:
            os.close(descriptor)
        if pid is None:
            client.close()
            return None
        self._runs[pid] = client
        selector.register(client, selectors.EVENT_READ, pid)
        with contextlib.suppress(OSError):
            client.sendall(pid.to_bytes(LENGTH, "big"))
        return None

    def _refuses(self, client: socket.socket, wanted: Wanted) -> bool:
        """Whether a client is to be left to itself: it wants another process's fork, or has begun without one."""
        if different := find_differences(self.environment, wanted.environment):
            log.warning("a run wants another process's fork, for these variables differ: %s", ", ".join(different))
        return bool(different) or has_hung_up(client)

    def _hear(self, selector: selectors.BaseSelector, pid: int) -> None:
        """Nothing is ever said by a client: its end of file means that it was killed, and so is its run."""
        client = self._runs.get(pid)
        if client is None:
            return
        with contextlib.suppress(OSError):
            if client.recv(1):
                return
        selector.unregister(client)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _reap(self, selector: selectors.BaseSelector) -> None:
        """Tell the clients of runs that ended how they did."""
        for pid in list(self._runs):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                client = self._runs.pop(pid)
                with contextlib.suppress(KeyError, ValueError):
                    selector.unregister(client)
                with contextlib.suppress(OSError):
                    client.sendall(describe_end(status))
                client.close()


def read_request(client: socket.socket) -> tuple[Wanted, list[int]]:
    """Read what a client wants, and the descriptors of its standard output and error.

    Raises
    ------
    ValueError
        If the client ends in the middle, or says something else.
    OSError
        If it takes too long.
    """
    head, outputs, *_ = socket.recv_fds(client, LENGTH, 2)
    with contextlib.ExitStack() as unread:
        for descriptor in outputs:  # whoever reads what the run says waits until nobody holds these
            unread.callback(os.close, descriptor)
        length, data = int.from_bytes(head, "big"), b""
        while len(data) < length and (more := client.recv(length - len(data))):
            data += more
        if len(head) < LENGTH or len(data) < length or len(outputs) != 2:
            raise ValueError("the client ended before it had said what it wants")
        try:
            wanted = Wanted(**json.loads(data))
        except TypeError as error:
            raise ValueError("the client wants something else than a run") from error
        unread.pop_all()
    return wanted, outputs


def has_hung_up(client: socket.socket) -> bool:
    """Whether a client, which says nothing more, has closed its end."""
    poll = select.poll()
    poll.register(client, select.POLLIN)
    return bool(poll.poll(0))


def _fork() -> int | None:
    """Fork; ``None`` where the machine has no room for a further process."""
    with warnings.catch_warnings():
        # Python warns of threads beside the fork. Here are none of Python's; those of the BLAS and of Arrow's
        # memory are stopped and started by their own handlers of the fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return os.fork()
        except OSError as error:
            log.warning("no run can be forked: %s", error.strerror)
            return None


def find_differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Names of variables in which two environments differ, those of a run left out; with none, imports fit both."""
    names = sorted(ours.keys() | theirs.keys())
    return [name for name in names if not name.startswith(OF_A_RUN) and ours.get(name) != theirs.get(name)]


def _become_run(wanted: Wanted, outputs: list[int]) -> None:
    """Turn a fresh fork into the process that the client stands for."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)
    os.environ.update(wanted.environment)  # noqa: TID251 - the run's own, as Prefect gave them to its process
    os.chdir(wanted.folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for standard, descriptor in zip((1, 2), outputs, strict=True):
        os.dup2(descriptor, standard)
        os.close(descriptor)


def warm_up(modules: list[str]) -> None:
    """Import what every run needs, and have all of it shared by the forks."""
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # else the first collection of a fork would touch, and so copy, every page


def main() -> None:
    """Serve; in each fork, run the module that was asked for. Clients that come during the imports wait for them."""
    path, modules, environment = Path(sys.argv[1]), sys.argv[2:], dict(os.environ)  # noqa: TID251 - compared as a whole
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.new")
        path.with_name(f"{path.name}.new").chmod(0o600)  # only this user may ask for a run
        listener.listen(64)
        path.with_name(f"{path.name}.new").rename(path)
        warm_up(modules)
        Path(ready_mark(str(path))).touch()
        runs = WarmRuns(listener, 0, environment)
        arguments = runs.serve()
    gc.unfreeze()  # else what is frozen is never freed, and libraries call it leaked
    if arguments is None or runs.lifeline is None:
        return
    option, module, *rest = arguments
    if option != "-m":
        raise SystemExit(f"a run is a module, not {option}")
    sys.argv = [module, *rest]
    sys.modules.pop(module, None)  # it is run as a program, and was imported only for what it imports
    with runs.lifeline.held():
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
