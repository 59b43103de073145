"""The process that a runner's runs are forks of (``flows/warm_runs.py``): started, looked after, and told to end."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.settings import child_environment
from flows.warm_client import OWN
from flows.warm_runs import LIBRARIES

CLIENT = Path(__file__).with_name("warm_client.py")

log = logging.getLogger(__name__)


class WarmProcess:
    """A process that has imported everything; one that died is started again as the next run is asked for.

    Parameters
    ----------
    folder
        Where its sockets lie: each start has one of its own, as the last may have left its behind.
    environment
        Variables of the process, which must be those of the runs but for what is a run's own.
    modules
        What it imports.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], modules: Sequence[str] = LIBRARIES) -> None:
        self._folder, self._environment, self._modules = folder, dict(environment), tuple(modules)
        self._starts = 0
        self._process = self._start()

    @property
    def socket(self) -> Path:
        """Where runs are asked for."""
        return self._folder / f"runs-{self._starts}"

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tend(self) -> None:
        """Start it again if it has ended; runs that it forked go on."""
        if (code := self._process.poll()) is None:
            return
        log.warning("the process that runs are forks of has ended with code %s, and is started again", code)
        self._close()
        self._process = self._start()

    def end(self) -> None:
        """Ask for no more runs, and wait until its last one has ended."""
        self._close()
        self._process.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        self._starts += 1
        command = [sys.executable, "-m", "flows.warm_runs", str(self.socket), *self._modules]
        return subprocess.Popen(command, stdin=subprocess.PIPE, env=self._environment)

    def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


@contextlib.contextmanager
def warm_runs() -> Iterator[WarmProcess]:
    """Have runs of this process's Prefect runner begin in forks of a process that has imported everything."""
    from prefect.runner import _starter_engine as starter  # says itself that run_process is there to be replaced
    from prefect.settings import get_current_settings

    environment = child_environment(get_current_settings().to_environment_variables(exclude_unset=True))
    run_process = starter.run_process
    with tempfile.TemporaryDirectory(prefix="platestream-") as folder:
        process = WarmProcess(Path(folder), environment)

        async def run_in_fork(command: list[str], **options: Any) -> Any:
            process.tend()
            client = client_command(process.socket, command, outputs)
            return await run_process(client, pass_fds=outputs, **options)

        outputs = os.dup(1), os.dup(2)  # of this process, which are there when it is killed
        starter.run_process = run_in_fork
        try:
            yield process
        finally:
            starter.run_process = run_process
            process.end()
            for descriptor in outputs:
                os.close(descriptor)


def client_command(path: Path, command: list[str], outputs: tuple[int, ...] = ()) -> list[str]:
    """The command of a process that has a fork run some Python's command, or runs it itself.

    Parameters
    ----------
    path
        Where forks are asked for.
    command
        The Python's command.
    outputs
        Descriptors that it inherits, to which the run's standard output and error go; left out, the process's own.
    """
    return [sys.executable, "-I", "-S", str(CLIENT), str(path), ",".join(map(str, outputs)) or OWN, *command]
