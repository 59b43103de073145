"""PostgreSQL of the system, in a folder of its own and on a free port of the loopback interface."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from flows.supervise import Service, Supervisor, find_free_ports
from tests.parts import require


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """Run an empty PostgreSQL for the block; gives its address, ``postgresql+asyncpg://user:password@host:port/db``.

    It refuses to be run by root, so root runs it as Debian's user ``postgres``. That user must reach its folder: the
    one that pytest makes is its owner's alone.
    """
    programs = Path(require("postgresql"))
    folder = Path(tempfile.mkdtemp(prefix="platestream-postgresql-"))
    try:
        yield from _run(programs, folder)
    finally:
        shutil.rmtree(folder)


def _run(programs: Path, folder: Path) -> Iterator[str]:
    as_user: tuple[str, ...] = ()
    if os.geteuid() == 0:
        as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        shutil.chown(folder, "postgres", "postgres")
    password, (port,) = secrets.token_urlsafe(12), find_free_ports(1)
    (folder / "password").write_text(password)
    (folder / "password").chmod(0o644)
    data = str(folder / "data")
    # nothing here outlives the test, so nothing waits for the disk
    options = ("-c", "fsync=off", "-c", f"unix_socket_directories={folder}", "-c", "listen_addresses=127.0.0.1")
    made = (programs / "initdb", "--pgdata", data, "--username", "prefect", "--auth", "scram-sha-256", "--no-sync")
    done = subprocess.run(
        [*as_user, *made, f"--pwfile={folder / 'password'}"], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    service = Service(
        "postgresql",
        (*as_user, str(programs / "postgres"), "-D", data, "-p", str(port), *options),
        folder / "log",
        is_ready=lambda: _answers(programs, port),
    )
    with Supervisor([service]) as supervisor:
        supervisor.wait_until_ready(120)
        yield f"postgresql+asyncpg://prefect:{password}@127.0.0.1:{port}/postgres"


def _answers(programs: Path, port: int) -> bool:
    command = [programs / "pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(port), "--timeout", "1"]
    return subprocess.run(command, check=False).returncode == 0
