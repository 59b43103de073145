"""TLS between scheduler, workers and clients: who shows no certificate of the same authority is not talked to."""

from __future__ import annotations

import functools
import logging
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from distributed.security import Security

from flows.settings import Settings
from imaging.errors import ConfigurationError

TLS = "tls://"
PROBE_S = 2.0
_HOW = "`platestream certificates FOLDER` makes all three files"

log = logging.getLogger(__name__)


def read_security(settings: Settings) -> Security | None:
    """Return what Dask needs for TLS; ``None`` where the scheduler's address asks for none.

    Raises
    ------
    ConfigurationError
        If only some of the three files are named, one cannot be read, or they do not fit the address.
    """
    files = {"TLS_CA": settings.tls_ca, "TLS_CERT": settings.tls_cert, "TLS_KEY": settings.tls_key}
    named = {name: path for name, path in files.items() if path is not None}
    is_tls = settings.scheduler.startswith(TLS)
    if not named and not is_tls:
        return None
    if missing := [f"PLATESTREAM_{name}" for name in files if name not in named]:
        raise ConfigurationError(f"TLS between Dask's processes also needs {' and '.join(missing)}; {_HOW}")
    if not is_tls:
        raise ConfigurationError(
            f"certificates are of no use at {settings.scheduler}: PLATESTREAM_SCHEDULER must begin with tls://, or "
            "PLATESTREAM_TLS_CA, PLATESTREAM_TLS_CERT and PLATESTREAM_TLS_KEY be unset"
        )
    _check_files(named)
    ca, cert, key = (str(path) for path in named.values())
    roles = {f"tls_{role}_{part}": path for role in ROLES for part, path in (("cert", cert), ("key", key))}
    return Security(require_encryption=True, tls_ca_file=ca, **roles)


ROLES = ("scheduler", "worker", "client")
"""Whom Dask tells apart; this process shows its one certificate in each of them."""


def _check_files(files: dict[str, Path]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(files["TLS_CA"])
        context.load_cert_chain(files["TLS_CERT"], files["TLS_KEY"])
    except OSError as error:  # SSLError is one
        told = ", ".join(f"PLATESTREAM_{name}={path}" for name, path in files.items())
        raise ConfigurationError(f"the files for TLS cannot be used ({error}): {told}; {_HOW}") from error


def explain_silence(address: str) -> str:
    """Say why a scheduler at an address does not answer, as far as knocking there tells; empty when nothing listens.

    Parameters
    ----------
    address
        As ``tls://127.0.0.1:8786``.
    """
    place = urlsplit(address)
    try:
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=PROBE_S) as plain:
            speaks_tls = _speaks_tls(plain)
    except OSError:
        return ""
    if speaks_tls and place.scheme == "tls":
        return (
            f"the scheduler at {address} and this process do not accept each other's certificates: "
            "PLATESTREAM_TLS_CA, PLATESTREAM_TLS_CERT and PLATESTREAM_TLS_KEY must come from the scheduler's authority"
        )
    if speaks_tls:
        return (
            f"the scheduler at {address} asks for TLS: set PLATESTREAM_SCHEDULER to tls://{place.netloc}, and "
            "PLATESTREAM_TLS_CA, PLATESTREAM_TLS_CERT and PLATESTREAM_TLS_KEY to files from its authority"
        )
    if place.scheme == "tls":
        return f"what listens at {address} does not speak TLS: set PLATESTREAM_SCHEDULER to tcp://{place.netloc}"
    return ""


def _speaks_tls(plain: socket.socket) -> bool:
    """Whether a handshake succeeds, whatever certificate is shown; ours is asked for after it only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        context.wrap_socket(plain).close()
    except OSError:
        return False
    return True


@functools.cache  # once per process and address
def warn_of_plain_text(compute: str, address: str) -> None:
    """Say once that whoever reaches a scheduler in a network may run code on its workers, unless TLS keeps him out."""
    place = urlsplit(address)
    is_ours = compute in ("local", "cuda") or place.hostname in ("127.0.0.1", "localhost", "::1")
    if place.scheme == "tcp" and not is_ours:
        log.warning(
            "the Dask scheduler at %s is used without TLS: whoever reaches it can run code on its workers; "
            "`platestream certificates FOLDER` makes what tls://%s needs",
            address,
            place.netloc,
        )
