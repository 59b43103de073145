"""The web server as a process: ``python -m flows.web``, also ``platestream web``."""

from __future__ import annotations

import logging
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

from flows.server import HOST
from flows.settings import WEB_TOKEN, Settings, child_environment
from flows.supervise import Service
from flows.web.access import check_exposure
from imaging.errors import MissingPartError, PlateError

MOST_AT_ONCE = 200
"""Requests that are answered at once; more are told to come again."""
OPTIONS: dict[str, Any] = {
    "log_level": "warning",
    "access_log": False,  # an address may hold what somebody took for the way to give the token
    "server_header": False,
    "proxy_headers": False,
    "limit_concurrency": MOST_AT_ONCE,
    "timeout_graceful_shutdown": 2,
}
"""How uvicorn serves, whatever the address."""

log = logging.getLogger(__name__)


def web_address(settings: Settings) -> str:
    """Address of the web server, as a browser on this machine takes it."""
    host = settings.web_host
    host = HOST if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{host}:{settings.web_port}/"


def web_service(settings: Settings, log_file: Path) -> Service:
    """Return the web server as a service, the only one that is told its token; nobody waits until it is ready."""
    told = settings.as_environment()
    if settings.web_token is not None:
        told[WEB_TOKEN] = settings.web_token.get_secret_value()
    return Service("web", (sys.executable, "-m", "flows.web"), log_file, child_environment(told))


def check_web(settings: Settings) -> None:
    """Refuse settings that the web server could not run with.

    Raises
    ------
    ConfigurationError
        If it would show plates beyond this machine without a token.
    MissingPartError
        If its port is taken or its address is not this machine's.
    """
    check_exposure(settings)
    family = socket.AF_INET6 if ":" in settings.web_host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.web_host, settings.web_port))
        except OSError as error:
            raise MissingPartError(
                f"the web server cannot listen on port {settings.web_port} of {settings.web_host} ({error.strerror}); "
                "choose another by PLATESTREAM_WEB_PORT and PLATESTREAM_WEB_HOST, or stop what runs there"
            ) from error


def run_web(settings: Settings) -> None:
    """Run the web server until SIGTERM or SIGINT.

    Raises
    ------
    ConfigurationError, MissingPartError
        As ``check_web``; also if the store cannot be opened.
    """
    check_web(settings)
    import uvicorn  # with what the state of plates needs it takes a second

    from flows.google import open_data_store
    from flows.status import read_status
    from flows.web.app import make_app

    store = open_data_store(settings)
    token = settings.web_token.get_secret_value() if settings.web_token else ""
    app = make_app(store, partial(read_status, store, settings), token=token, origins=settings.web_origins)
    log.info("plates of %s at %s%s", settings.store, web_address(settings), ", with the token" if token else "")
    uvicorn.run(app, host=settings.web_host, port=settings.web_port, **OPTIONS)


def main() -> None:
    """Run the web server that the environment describes."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it names every request
    try:
        run_web(Settings())
    except PlateError as error:
        sys.exit(f"error: {error}")
