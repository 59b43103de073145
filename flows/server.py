"""The Prefect server as a service: ``python -m flows.server --state FOLDER --cache FOLDER --port N``.

Logs and all else lie in the state folder; nothing calls home; a person's own Prefect profile plays no part. The
database is the PostgreSQL that PLATESTREAM_DATABASE_URL names, else SQLite in the state folder. A fresh one of SQLite
takes as long to create as all else together, so a copy of the first one is kept in the cache folder, taken before the
server listens, and later state folders begin with it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from flows.own_names import OwnNames
from flows.server_pulse import keep_pulse
from flows.settings import DATABASE_URL, Settings, child_environment
from flows.supervise import Service
from imaging.errors import ConfigurationError

HOST = "127.0.0.1"
DATABASE = "prefect.db"
SQLITE = f"sqlite+aiosqlite:///./{DATABASE}"
"""Relative to the state folder, so that the note on block types fits every copy."""
POSTGRESQL = "postgresql+asyncpg://"
PREPARED = (DATABASE, "memo_store.toml")
"""What a state folder begins with; the second says which block types the database holds."""
GIVEN_UP = "dlq"
"""Folder in the state folder for events that the server could not handle."""
KEEP_RUNS_DAYS: float = Settings.model_fields["keep_runs_days"].default
DAY_S = 86_400.0
FLEETING = (
    "prefect.flow-run.heartbeat",
    *(f"prefect.task-run.{state}" for state in ("Pending", "Running", "Completed")),
)
"""Events that are most of all and that nobody looks for on the next day."""
LATE_S = 600.0
"""Seconds after which the server calls a run late that nobody began."""
CLIENT_RETRIES = 7
"""How often a client asks again, after 2, 4, ... 128 s: about four minutes, so that runs outlast a server's restart."""


def api_address(port: int) -> str:
    """Address of the API of a server on this machine."""
    return f"http://{HOST}:{port}/api"


def server_variables(
    state: Path, cache: Path, port: int, database: str = SQLITE, *, keep_runs_days: float = KEEP_RUNS_DAYS
) -> dict[str, str]:
    """Environment variables that make a Prefect server keep to itself, to its folders and to its database.

    Runs that ended so many days ago are deleted by the server itself, once an hour, with their logs, artifacts and task
    runs; heartbeats and events of tasks, which are most of all events, after a day.
    """
    kept_s = max(keep_runs_days, 0.05) * DAY_S  # an hour is the least that Prefect takes
    return {
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": f"{kept_s:.0f}",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_EVENT_RETENTION_OVERRIDES": json.dumps(
            dict.fromkeys(FLEETING, round(min(kept_s, DAY_S)))
        ),
        "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"PT{kept_s:.0f}S",
        # plates of a burst wait their turn: after the usual 15 s each would be written to the database as late, which
        # is one more event of each; watchdogs look at when runs were to begin
        "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": f"{LATE_S:.0f}",
        "PREFECT_HOME": str(state),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(cache / "ui"),
        "PREFECT_SERVER_UI_API_URL": api_address(port),  # where a browser asks; else port 4200
        # else every web page in a browser of this machine may ask the API, which tells what blocks hold
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port},http://localhost:{port}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
    }


def client_variables(api_url: str, state: Path, auth: str = "") -> dict[str, str]:
    """Environment variables that make a process of ours a client of that server, patient when it is restarted."""
    return {
        **({"PREFECT_API_AUTH_STRING": auth} if auth else {}),
        "PREFECT_HOME": str(state),
        "PREFECT_API_URL": api_url,
        "PREFECT_CLIENT_MAX_RETRIES": str(CLIENT_RETRIES),
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",  # what a server at its limit answers: its database took too long
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # the automation for dead runs lives on these; 30 s is the least
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_CLI_PROMPT": "false",
        "DO_NOT_TRACK": "1",
    }


def prefect_environment(variables: dict[str, str]) -> dict[str, str]:
    """Environment of a Prefect process of ours: whatever a person set for another Prefect is left out."""
    loopback = {"NO_PROXY": f"{HOST},localhost", "no_proxy": f"{HOST},localhost"}
    return child_environment({**loopback, **variables}, without=("PREFECT_",))


def api_client(api_url: str, *, auth: str = "", timeout_s: float = 5.0) -> httpx.Client:
    """Open a plain client of a Prefect API; to this machine never through a proxy.

    Parameters
    ----------
    api_url
        Address of the API, e.g. ``http://127.0.0.1:4200/api``.
    auth
        ``user:password``, when the API asks for one.
    timeout_s
        Seconds that one request may take.
    """
    user, _, password = auth.partition(":")
    return httpx.Client(
        base_url=api_url,
        auth=httpx.BasicAuth(user, password) if auth else None,
        timeout=timeout_s,
        trust_env=httpx.URL(api_url).host not in (HOST, "localhost", "::1"),
    )


def is_healthy(api_url: str, timeout_s: float = 1.0) -> bool:
    """Whether a Prefect API answers at this address."""
    try:
        with api_client(api_url, timeout_s=timeout_s) as client:
            return client.get("/health").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def server_service(settings: Settings, port: int, log_file: Path) -> Service:
    """Return the server as a service, with its database in the state folder."""
    state, cache = settings.state_folder / "prefect", settings.cache_folder
    argv = (sys.executable, "-m", "flows.server", "--state", str(state), "--cache", str(cache), "--port", str(port))
    variables = settings.as_environment()
    if settings.database_url is not None:
        variables[DATABASE_URL] = database_address(settings)
    if settings.auth:
        variables["PREFECT_SERVER_API_AUTH_STRING"] = settings.auth
    environment = prefect_environment(variables)
    return Service("server", argv, log_file, environment=environment, is_ready=lambda: is_healthy(api_address(port)))


def database_address(settings: Settings) -> str:
    """Return the address of the server's database as Prefect takes it; it may hold a password.

    Raises
    ------
    ConfigurationError
        If it is no address of PostgreSQL; nothing of it is repeated.
    """
    if settings.database_url is None:
        return SQLITE
    address = settings.database_url.get_secret_value()
    if not address.startswith(POSTGRESQL) or "@" not in address or not urlsplit(address).path.strip("/"):
        raise ConfigurationError(
            f"{DATABASE_URL} must look like {POSTGRESQL}USER:PASSWORD@HOST:5432/DATABASE (it is not shown here, since "
            "it holds a password); unset it to keep the Prefect server's database in a file of SQLite"
        )
    return address


def run_server(
    state: Path,
    cache: Path,
    port: int,
    *,
    host: str = HOST,
    database: str = SQLITE,
    keep_runs_days: float = KEEP_RUNS_DAYS,
) -> None:
    """Run the server until SIGTERM or SIGINT.

    ``uvicorn`` is called directly: ``prefect server start`` imports the command line first, and starts it as a child.
    """
    prepared = cache / f"prefect-{version('prefect')}"
    state.mkdir(parents=True, exist_ok=True)
    prepared.mkdir(parents=True, exist_ok=True)
    is_fresh = database == SQLITE and not (state / DATABASE).exists()
    if is_fresh:
        copy_prepared(prepared, state)
    forget_given_up(state, older_than_s=max(keep_runs_days, 1.0) * DAY_S)
    variables = server_variables(state, prepared, port, database, keep_runs_days=keep_runs_days)
    os.environ.update(variables)  # noqa: TID251 - Prefect reads them when it is imported
    os.chdir(state)

    import uvicorn  # Prefect reads its settings while it is imported
    from prefect.server.api.server import create_app

    app = create_app(final=True)
    start = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def start_and_keep(app: Any) -> AsyncIterator[Any]:
        async with start(app) as started:
            if is_fresh:
                keep_prepared(state, prepared)
            pulse = asyncio.create_task(keep_pulse())
            yield started
            pulse.cancel()

    app.router.lifespan_context = start_and_keep
    if host == HOST:
        app = OwnNames(app, refuses_origins=True)
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=2)


def forget_given_up(state: Path, *, older_than_s: float) -> int:
    """Delete what Prefect writes of events that it failed to handle, and never deletes; return how many were old."""
    latest, old = time.time() - older_than_s, 0
    for path in (state / GIVEN_UP).glob("*"):
        with contextlib.suppress(OSError):  # somebody else did
            if path.is_file() and path.stat().st_mtime < latest:
                path.unlink()
                old += 1
    return old


def copy_prepared(prepared: Path, state: Path) -> None:
    """Begin a state folder with the prepared files, the database last; nothing when there are none."""
    if not (prepared / DATABASE).exists():
        return
    for name in reversed(PREPARED):
        if (prepared / name).exists():
            shutil.copyfile(prepared / name, state / f"{name}.new")
            (state / f"{name}.new").replace(state / name)


def keep_prepared(state: Path, prepared: Path) -> None:
    """Keep a copy of a database that was just created and of the note beside it, unless there is one."""
    if (prepared / DATABASE).exists():
        return
    with tempfile.TemporaryDirectory(dir=prepared) as folder:
        with (
            contextlib.closing(sqlite3.connect(state / DATABASE)) as source,
            contextlib.closing(sqlite3.connect(Path(folder) / DATABASE)) as copy,
        ):
            source.backup(copy)
        if (state / PREPARED[1]).exists():
            shutil.copyfile(state / PREPARED[1], Path(folder) / PREPARED[1])
            (Path(folder) / PREPARED[1]).replace(prepared / PREPARED[1])
        (Path(folder) / DATABASE).replace(prepared / DATABASE)


def main() -> None:
    """Run the server from the command line."""
    parser = argparse.ArgumentParser(prog="python -m flows.server", description="Run a Prefect server.")
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--port", type=int, default=4200)
    parser.add_argument("--host", default=HOST, help="address to listen on; 0.0.0.0 for all of a container's")
    options = parser.parse_args()
    try:
        settings = Settings()
        database = database_address(settings)
    except ConfigurationError as error:
        sys.exit(f"error: {error}")
    run_server(
        options.state.absolute(),
        options.cache.absolute(),
        options.port,
        host=options.host,
        database=database,
        keep_runs_days=settings.keep_runs_days,
    )


if __name__ == "__main__":
    main()
