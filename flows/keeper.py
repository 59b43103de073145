"""The small process between the supervisor and one service: nothing that the service started outlives it.

Run as ``python -I -S keeper.py GRACE_S OUTLIVE PROGRAM [ARGUMENT ...]``; only the standard library is imported, so that
it is up within 30 ms. It talks with the supervisor over two pipes, one line per message; what the service writes goes
to the keeper's standard error, which is the service's log file:

    standard input      start         start the service (again)
                        stop          ask it to end, end what is left after GRACE_S seconds, then exit
                        end of file   the supervisor is gone, even by SIGKILL: as stop, but with a second of grace
    standard output     started PID
                        ended CODE    negative: the signal that ended it

As a Linux *child subreaper* it becomes the parent of every process whose own parent died, however many sessions and
process groups lie between (Prefect starts each flow run in a session of its own), so it can find and end them all.
With OUTLIVE 1 the children of a service that died may finish their work, e.g. the flow runs of a killed runner.
On other systems than Linux only the service's process group is ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

GONE_GRACE_S = 1.0
"""Seconds that a service has to end when its supervisor is gone."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_ON_LINUX = sys.platform == "linux"


def _control_process(option: int, value: int) -> None:
    if _ON_LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def end_with_parent() -> None:
    """End this process at once when the thread that started it ends (Linux)."""
    _control_process(_PR_SET_PDEATHSIG, signal.SIGKILL)


def find_descendants(pid: int) -> list[int]:
    """Process ids of all children, grandchildren and so on of a process, zombies left out (Linux; else empty)."""
    if not _ON_LINUX:
        return []
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]  # the name before it may hold anything
                if state != b"Z":
                    children.setdefault(int(parent), []).append(int(name))
    found, todo = [], [pid]
    while todo:
        todo += (young := children.get(todo.pop(), []))
        found += young
    return found


class Keeper:
    """Starts one service as often as it is told to, and ends all of its family."""

    def __init__(self, argv: list[str], grace_s: float, is_outlived: bool) -> None:
        self.argv, self.grace_s, self.is_outlived = argv, grace_s, is_outlived
        self.service = 0
        self.ending_since: float | None = None

    def run(self) -> None:
        """Obey the supervisor until it says stop or is gone, and nothing is left."""
        _control_process(_PR_SET_CHILD_SUBREAPER, 1)
        awake, waker = os.pipe()
        os.set_blocking(awake, False)
        os.set_blocking(waker, False)
        signal.set_wakeup_fd(waker)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: self._end(GONE_GRACE_S))
        listen, heard = [0, awake], b""
        while True:
            wait_s = None if self.ending_since is None else 0.05
            readable = select.select(listen, [], [], wait_s)[0]
            if awake in readable:
                with contextlib.suppress(BlockingIOError):
                    os.read(awake, 4096)
            if 0 in readable:
                data = os.read(0, 4096)
                heard += data
                *lines, heard = heard.split(b"\n")
                for line in lines:
                    self._obey(line)
                if not data:
                    listen.remove(0)
                    self._end(GONE_GRACE_S)
            has_children = self._reap()
            if self.ending_since is not None:
                is_late = time.monotonic() - self.ending_since >= self.grace_s
                if not has_children:
                    return
                if is_late or not self.service:
                    self._kill()

    def _obey(self, line: bytes) -> None:
        if line == b"stop":
            self._end(self.grace_s)
        elif line == b"start" and not self.service and self.ending_since is None:
            self._start()

    def _start(self) -> None:
        keeper = os.getpid()
        pid = os.fork()
        if not pid:
            os.setsid()
            _control_process(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != keeper:
                os._exit(1)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            try:
                os.execvp(self.argv[0], self.argv)
            except OSError as error:
                os.write(2, f"{self.argv[0]} cannot be started: {error.strerror}\n".encode())
                os._exit(127)
        self.service = pid
        _report(f"started {pid}")

    def _end(self, grace_s: float) -> None:
        if self.ending_since is None:
            self.ending_since = time.monotonic()
        self.grace_s = min(self.grace_s, grace_s)
        if self.service:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.service, signal.SIGTERM)

    def _reap(self) -> bool:
        """Collect the dead; is a child left?"""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if not pid:
                return True
            if pid == self.service:
                self.service = 0
                if not self.is_outlived:
                    self._kill()
                _report(f"ended {os.waitstatus_to_exitcode(status)}")

    def _kill(self) -> None:
        for pid in find_descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not _ON_LINUX and self.service:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.service, signal.SIGKILL)


def _report(line: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        os.write(1, line.encode() + b"\n")


if __name__ == "__main__":
    Keeper(sys.argv[3:], float(sys.argv[1]), sys.argv[2] == "1").run()
