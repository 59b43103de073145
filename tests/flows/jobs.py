"""What the tests let Dask workers do."""

from __future__ import annotations

import os
import time
from pathlib import Path


def sleep(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def wait_for_file(path: Path) -> None:
    while not path.exists():
        time.sleep(0.02)


def kill_worker() -> None:
    os._exit(9)


def read_environment(*names: str) -> list[str | None]:
    return [os.environ.get(name) for name in names]


def mark_and_sleep(folder: Path, name: str, seconds: float) -> int:
    """Leave a mark of having begun, named with the process, and one of having ended."""
    (folder / f"{name}-begun-{os.getpid()}").touch()
    time.sleep(seconds)
    (folder / f"{name}-ended-{os.getpid()}").touch()
    return os.getpid()


def mark_time(folder: Path, name: str) -> float:
    """When the task began, by this machine's clock that is never set."""
    (folder / name).touch()
    return time.monotonic()
