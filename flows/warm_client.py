"""The process that stands for one flow run: ``python -I -S warm_client.py SOCKET OUTPUTS PYTHON -m prefect.engine``.

It asks ``flows/warm_runs.py`` for a fork, passes signals on, and ends as the run does. Where no fork is to be had, it
becomes ``PYTHON -m prefect.engine`` itself. OUTPUTS are descriptors such as ``7,8`` to which the run is to write, or
``-`` for this process's own. Prefect makes those pipes to the runner; when that is killed nobody reads them, and a run
that still writes there is ended by its log. Only the standard library is imported, so that this is up within 30 ms.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys

LENGTH = 8
"""Bytes of a number."""
IMPORTS_S, FORK_S = 600.0, 60.0
"""Seconds to wait for a fork of a process that imports, and of one that has: beside one that is importing, a Python of
its own would not be there sooner."""
UNKNOWN = 1
"""Code of a run of which nobody is left who knows how it ended."""
OWN = "-"
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def describe_end(status: int) -> bytes:
    """How a process ended, as it is told to its client: its code, less than 0 for a signal."""
    return describe_code(os.waitstatus_to_exitcode(status))


def describe_code(code: int) -> bytes:
    """The same of a code."""
    return code.to_bytes(LENGTH, "big", signed=True)


def ready_mark(path: str) -> str:
    """The file that says that whoever listens on a socket has imported everything."""
    return f"{path}.ready"


def ask_for_fork(path: str, arguments: list[str]) -> tuple[socket.socket, int] | None:
    """Ask for a run; return the connection and its process id, or ``None`` where none is to be had."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(FORK_S if os.path.exists(ready_mark(path)) else IMPORTS_S)
    wanted = {"environment": dict(os.environ), "folder": os.getcwd(), "arguments": arguments}  # noqa: TID251
    data = json.dumps(wanted).encode()
    try:
        connection.connect(path)
        socket.send_fds(connection, [len(data).to_bytes(LENGTH, "big")], [1, 2])
        connection.sendall(data)
        answer = connection.recv(LENGTH, socket.MSG_WAITALL)
    except OSError:
        answer = b""
    if len(answer) < LENGTH:
        connection.close()  # should it be taken yet, no fork is made
        return None
    connection.settimeout(None)
    return connection, int.from_bytes(answer, "big")


def wait_for_end(connection: socket.socket, pid: int) -> int:
    """Wait until the run ends and return its code.

    Whoever forked it says it, or, where that process was killed, the run itself: both hold the connection, so that its
    end without a word means that the run was killed as well.
    """
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = connection.recv(LENGTH, socket.MSG_WAITALL)
    if len(answer) == LENGTH:
        return int.from_bytes(answer, "big", signed=True)
    sys.stderr.write(f"the run (process {pid}) was killed, and so was the process that it is a fork of\n")
    return UNKNOWN


def write_to(outputs: str) -> None:
    """Make other descriptors the standard output and error of this process, and so of the run."""
    if outputs != OWN:
        for standard, descriptor in zip((1, 2), map(int, outputs.split(",")), strict=True):
            os.dup2(descriptor, standard)
            os.close(descriptor)


def main() -> None:
    """Be a run."""
    path, outputs, python, *arguments = sys.argv[1:]
    write_to(outputs)
    asked = ask_for_fork(path, arguments)
    if asked is None:
        sys.stderr.write("a run starts a Python of its own: no fork is to be had\n")
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
