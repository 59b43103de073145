"""What ties a forked run to its client when the process that forked it is gone."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Iterator

from flows.warm_client import describe_code


class Lifeline:
    """A run's own hold on the connection to its client, made right after the fork.

    Parameters
    ----------
    client
        The connection; the process that forked the run has it too, and tells the client how the run ends.
    parent
        Process id of that one.
    """

    def __init__(self, client: socket.socket, parent: int) -> None:
        self._client, self._parent = client, parent
        self._is_told = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Be killed when the client is; at the end, tell it the code if nobody else is left to."""
        threading.Thread(target=self._wait, name="lifeline", daemon=True).start()
        code = 1  # of an exception that nobody caught
        try:
            yield
            code = 0
        except SystemExit as ended:
            code = _code_of(ended)
            raise
        finally:
            if os.getppid() != self._parent:
                self._is_told = True
                with contextlib.suppress(OSError):
                    self._client.sendall(describe_code(code))

    def _wait(self) -> None:
        """The client never says anything: when its end can be read, it is gone, killed unless it was told the code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the run's
        poll = select.poll()
        poll.register(self._client, select.POLLIN)
        poll.poll()
        if not self._is_told:
            os.kill(os.getpid(), signal.SIGKILL)


def _code_of(ended: SystemExit) -> int:
    """The code that Python ends with."""
    if ended.code is None:
        return 0
    return ended.code & 0xFF if isinstance(ended.code, int) else 1
