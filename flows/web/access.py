"""Who may look: whoever shows the token in a header or, from a browser, a cookie that he got for it.

The token stands in no address, so that no log, history or referrer has it. The cookie does not hold the token either:
it is the time until which it counts, signed with the token, so that it cannot be made without, and ends with it.
Without a token the server listens on this machine alone, and answers only under names of this machine: a web page of
somebody else's whose name suddenly leads here (DNS rebinding) gets nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flows.settings import Settings
from imaging.errors import ConfigurationError

COOKIE = "platestream"
COOKIE_S = 30 * 86_400
"""Seconds for which a browser need not be told the token again."""


def is_loopback(host: str) -> bool:
    """Whether what listens at an address is reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_exposure(settings: Settings) -> None:
    """Refuse to show anything beyond this machine without a token.

    Raises
    ------
    ConfigurationError
        With what to do.
    """
    if settings.web_token is None and not is_loopback(settings.web_host):
        raise ConfigurationError(
            f"the web server would show every plate to whoever reaches {settings.web_host}: set PLATESTREAM_WEB_TOKEN "
            "to what it is to ask for (`openssl rand -hex 32` makes a good one), or leave PLATESTREAM_WEB_HOST at "
            "127.0.0.1"
        )


@dataclass(frozen=True)
class Door:
    """Opens to whoever knows the token; without a token, to all who are on this machine.

    Parameters
    ----------
    token
        The token, or empty.
    """

    token: str

    def knows(self, text: str) -> bool:
        """Whether a text is the token; takes as long for any text."""
        return bool(self.token) and hmac.compare_digest(_digest(text), _digest(self.token))

    def make_cookie(self, now: float | None = None) -> str:
        """Make the value of a cookie that counts from now on."""
        until = str(int((time.time() if now is None else now) + COOKIE_S))
        return f"{until}.{self._sign(until)}"

    def takes_cookie(self, value: str, now: float | None = None) -> bool:
        """Whether a cookie was made with the token and counts still."""
        until, _, signature = value.partition(".")
        if not self.token or not hmac.compare_digest(_digest(self._sign(until)), _digest(signature)):
            return False
        return int(until) > (time.time() if now is None else now)

    def is_open_to(self, request: HTTPConnection) -> bool:
        """Whether a request may be answered."""
        if not self.token:
            return True
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.knows(given.strip())
        return self.takes_cookie(request.cookies.get(COOKIE, ""))

    def _sign(self, until: str) -> str:
        return hmac.new(self.token.encode(), f"platestream web {until}".encode(), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    """Of equal length for all texts, so that a comparison tells nothing of theirs."""
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


class Guard:
    """Lets requests through to an application that the door is open to."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app, self._door = app, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI asks."""
        request = HTTPConnection(scope)
        app = self._app if self._door.is_open_to(request) else _refusal(request)
        await app(scope, receive, send)


def _refusal(request: HTTPConnection) -> Response:
    """The form for a person who opens a page, and a status for a program."""
    if request.headers.get("sec-fetch-mode") == "navigate" or "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(f"/login?next={quote(request.url.path)}", HTTPStatus.SEE_OTHER)
    return PlainTextResponse(
        "a token is needed: send the header `Authorization: Bearer TOKEN`\n",
        HTTPStatus.UNAUTHORIZED,
        {"www-authenticate": 'Bearer realm="platestream"'},
    )


def local_target(address: str) -> str:
    """Path of an address on this server that somebody wants to go to; ``/`` for every other address."""
    parts = urlsplit(address)
    is_ours = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return quote(parts.path) if is_ours and not parts.netloc and "\\" not in address else "/"
