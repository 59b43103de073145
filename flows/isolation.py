"""A site that failed before, in a process of its own: whatever it does there, it takes no worker and no site along.

A worker starts ``python -m flows.isolation``, gives it the task on standard input and takes the outcome, or the error,
from standard output. The kernel's killer of processes that take too much memory is asked to begin with this one.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

from flows.keeper import end_with_parent
from imaging.errors import CrashedSiteError, MissingPartError, PlateError
from imaging.site import SiteOutcome, SiteTask
from kernels.device import free_memory

_FIRST_TO_GO = b"1000"
_TOLD_TO_END = (signal.SIGTERM, signal.SIGINT)
"""Signals that say nothing about the site: its machine is taken away, or somebody stops the worker."""


def measure_apart(task: SiteTask, module: str = __name__) -> SiteOutcome:
    """Process one site in a process of its own, which ends with this one.

    Raises
    ------
    CrashedSiteError
        If the process ended without an answer; retryable if it was told to end.
    MissingPartError
        If the process could not compute on its device; retryable, for the site is not to blame.
    PlateError, ValueError, MemoryError
        As ``flows.sites.process_here``.
    """
    free_memory()
    with subprocess.Popen([sys.executable, "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        answer, _ = process.communicate(pickle.dumps(task))
    if process.returncode:
        crash = CrashedSiteError(
            f"it failed before and, measured alone and in small pieces, ended its process "
            f"({_describe_end(process.returncode)})",
            experiment=task.experiment,
            plate=task.plate,
            well=task.plan.well,
            site=task.plan.site,
        )
        crash.retryable = -process.returncode in _TOLD_TO_END
        raise crash
    outcome = pickle.loads(answer)
    if isinstance(outcome, MissingPartError):
        outcome.retryable = True
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _describe_end(code: int) -> str:
    if code == -signal.SIGKILL:
        return "SIGKILL: most likely its memory did not suffice"
    if -code in _TOLD_TO_END:
        return f"{signal.Signals(-code).name}: it was told to end, as when its machine is taken away"
    return f"{signal.Signals(-code).name}: a crash in a library" if code < 0 else f"exit code {code}"


def main() -> None:
    """Process the site that standard input describes; its outcome, or its error, is the answer."""
    end_with_parent()
    for number in _TOLD_TO_END:
        signal.signal(number, signal.SIG_IGN)  # its worker uses its notice, and this process ends with its worker
    with contextlib.suppress(OSError):  # only Linux has this file
        Path("/proc/self/oom_score_adj").write_bytes(_FIRST_TO_GO)
    answer = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    from flows.sites import process_here
    from flows.worker import prepare_process

    task = pickle.load(sys.stdin.buffer)
    try:
        prepare_process()
        outcome: SiteOutcome | Exception = process_here(task)
    except (
        PlateError,
        ValueError,
        TypeError,
        OSError,
        RuntimeError,
        MemoryError,
        LookupError,
        ArithmeticError,
    ) as error:
        outcome = error
    with os.fdopen(answer, "wb") as file:
        pickle.dump(outcome, file)


if __name__ == "__main__":
    main()
