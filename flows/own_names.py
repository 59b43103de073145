"""Requests to a server of this machine that came from somebody else's web page are not answered.

A server that only this machine reaches is still reached by the browser of whoever works here, and with it by every web
page that is open there: one whose name suddenly leads to 127.0.0.1 (DNS rebinding), or one that sends a request without
reading its answer. The first calls the server by its own name, and the second one names itself as the origin.
"""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
_REFUSAL = "this server answers to 127.0.0.1 and localhost only, and no other web site\n"


class OwnNames:
    """Answers only requests that call this server by a name of this machine.

    Parameters
    ----------
    app
        The server's application.
    refuses_origins
        Whether requests of web pages from elsewhere are refused too; without, they are left to the application.
    """

    def __init__(self, app: ASGIApp, *, refuses_origins: bool) -> None:
        self._app, self._refuses_origins = app, refuses_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI asks."""
        if scope["type"] == "lifespan" or self._is_taken(Headers(scope=scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
        else:
            await PlainTextResponse(_REFUSAL, HTTPStatus.MISDIRECTED_REQUEST)(scope, receive, send)

    def _is_taken(self, headers: Headers) -> bool:
        origin = headers.get("origin", "")
        is_ours = not (self._refuses_origins and origin) or is_local(urlsplit(origin).netloc)
        return is_ours and is_local(headers.get("host", ""))


def is_local(host: str) -> bool:
    """Whether a host, with or without a port, is a name of this machine."""
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        return host in LOCAL_NAMES
    return name in LOCAL_NAMES and port.isdecimal()
