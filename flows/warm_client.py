"""The process that stands for one flow run: ``python -I -S warm_client.py SOCKET PYTHON -m prefect.engine``.

It asks ``flows/warm_runs.py`` for a fork, passes signals on, and ends as the run does. Where no fork is to be had, it
becomes ``PYTHON -m prefect.engine`` itself. Only the standard library is imported, so that it is up within 30 ms.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time

LENGTH = 8
"""Bytes of a number."""
PATIENCE_S = 600.0
"""Seconds to wait for a fork: a Python of its own, beside the one that is importing, would not be there sooner."""
LOOK_S = 0.5
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def describe_end(status: int) -> bytes:
    """How a process ended, as it is told to its client: its code, less than 0 for a signal."""
    return os.waitstatus_to_exitcode(status).to_bytes(LENGTH, "big", signed=True)


def ask_for_fork(path: str, arguments: list[str]) -> tuple[socket.socket, int] | None:
    """Ask for a run; return the connection and its process id, or ``None`` where none is to be had."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(PATIENCE_S)
    wanted = {"environment": dict(os.environ), "folder": os.getcwd(), "arguments": arguments}  # noqa: TID251
    data = json.dumps(wanted).encode()
    try:
        connection.connect(path)
        socket.send_fds(connection, [len(data).to_bytes(LENGTH, "big")], [1, 2])
        connection.sendall(data)
        answer = connection.recv(LENGTH, socket.MSG_WAITALL)
    except OSError:
        return None
    connection.settimeout(None)
    return (connection, int.from_bytes(answer, "big")) if len(answer) == LENGTH else None


def wait_for_end(connection: socket.socket, pid: int) -> int:
    """Wait until the run ends and return its code; 0 where nobody is left who knows it."""
    answer = connection.recv(LENGTH, socket.MSG_WAITALL)
    if len(answer) == LENGTH:
        return int.from_bytes(answer, "big", signed=True)
    with contextlib.suppress(ProcessLookupError):  # whoever forked it was killed: the run goes on, and is waited for
        while True:
            os.kill(pid, 0)
            time.sleep(LOOK_S)
    return 0


def main() -> None:
    """Be a run."""
    path, python, *arguments = sys.argv[1:]
    asked = ask_for_fork(path, arguments)
    if asked is None:
        os.execv(python, [python, *arguments])
    connection, pid = asked

    def pass_on(number: int, frame: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in PASSED_ON:
        signal.signal(number, pass_on)
    code = wait_for_end(connection, pid)
    if code < 0:
        if -code in PASSED_ON:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main()
