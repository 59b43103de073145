"""Which address of the web server shows what.

An address that is not among these shows nothing:

    /                       plates with their live state
    /status.json            the same for programs
    /results/.../page/      a plate's page, an experiment's page
    /images/....zarr/...    OME-Zarr, for viewers of allowed web sites too
    /login, /logout         a browser's way in and out, where there is a token
    /health                 "ok", to anybody
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from http import HTTPStatus
from importlib.resources import files as packaged
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.own_names import OwnNames
from flows.web.access import COOKIE, COOKIE_S, Door, Guard, local_target
from flows.web.board import Board, Row
from flows.web.files import answer
from imaging.errors import ChangedObjectError, ForbiddenFileError, StoreUnavailableError
from imaging.shown_files import ShownFiles, find_key
from imaging.store import Store

LOCAL_ORIGIN = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
LARGEST_FORM = 4096
"""Bytes of a login form."""
_READ = ["GET"]  # with it goes HEAD
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "cross-origin-resource-policy": "same-origin",  # a script tag of another site does not load a plate's data.js
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def make_app(store: Store, read_status: Callable[[], Sequence[Row]], *, token: str = "", origins: str = "") -> ASGIApp:
    """Make the application.

    Parameters
    ----------
    store
        The store that is shown.
    read_status
        Reads the plates, as ``flows.status.read_status`` does.
    token
        What whoever looks has to know; empty for nothing.
    origins
        Web sites whose viewers may read images, separated by spaces; ``*`` for all; empty for those of this machine.
    """
    door, shown = Door(token), ShownFiles(store)
    board = Board(read_status, lambda images: store.exists(f"{images}/zarr.json"), store.exists)
    guard = Middleware(Guard, door=door)

    async def show_index(request: Request) -> Response:
        text = _text("index.html")
        text = text.replace("<body>", "<body data-token>") if token else text
        return HTMLResponse(text, headers={"cache-control": "no-cache"})

    async def show_board(request: Request) -> Response:
        look = await run_in_threadpool(board.look)
        return JSONResponse(look.as_json(), headers={"cache-control": "no-store"})

    async def show_file(request: Request) -> Response:
        key = find_key(request.scope["path"])
        return _absent() if key is None else await run_in_threadpool(_answer, shown, key, request)

    pages = [
        Route("/", show_index, methods=_READ),
        Route("/status.json", show_board, methods=_READ),
        Route("/results/{rest:path}", show_file, methods=_READ),
    ]
    images = [Route("/{rest:path}", show_file, methods=_READ)]
    routes = [
        Route("/health", _show_health, methods=_READ),
        Route("/login", _show_form, methods=_READ),
        Route("/login", _LogIn(door), methods=["POST"]),
        Route("/logout", _log_out, methods=["POST"]),
        *[Route(f"/web/{name}", _asset(name), methods=_READ) for name in ("web.css", "index.js")],
        Mount("/images", _router(images), middleware=[_cross_origin(origins), guard]),
        Mount("/", _router(pages), middleware=[guard]),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        yield
        board.close()

    around = [Middleware(SafeHeaders), *([] if token else [Middleware(OwnNames, refuses_origins=False)])]
    app = Starlette(routes=routes, middleware=around, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


def _router(routes: Sequence[Route]) -> Router:
    """Routes of which none answers with another address: Starlette takes its host and scheme from the request."""
    return Router(routes, redirect_slashes=False)


class SafeHeaders:
    """Adds to each answer what keeps browsers from doing more with it than showing it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI asks."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _cross_origin(origins: str) -> Middleware:
    """What viewers on other web sites may do: read images, and be told which part of a file they got."""
    named = origins.split()
    return Middleware(
        CORSMiddleware,
        allow_origins=named,
        allow_origin_regex=None if named else LOCAL_ORIGIN,
        allow_methods=["GET", "HEAD"],
        allow_headers=["authorization", "range", "if-none-match", "if-range"],
        expose_headers=["accept-ranges", "content-length", "content-range", "etag"],
        allow_private_network=bool(named),
    )


def _answer(shown: ShownFiles, key: str, request: Request) -> Response:
    try:
        return answer(shown, key, request)
    except FileNotFoundError:
        return _absent()
    except ForbiddenFileError:
        return PlainTextResponse("the server may not read this file\n", HTTPStatus.FORBIDDEN)
    except (StoreUnavailableError, ChangedObjectError):
        again = {"retry-after": "5"}
        return PlainTextResponse("the storage does not answer; try again\n", HTTPStatus.SERVICE_UNAVAILABLE, again)


def _absent() -> Response:
    return PlainTextResponse("there is nothing at this address\n", HTTPStatus.NOT_FOUND)


def _text(name: str) -> str:
    return (packaged("flows.web") / "files" / name).read_text(encoding="utf-8")


async def _show_health(request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _show_form(request: Request) -> Response:
    return _form()


def _form(status: HTTPStatus = HTTPStatus.OK) -> Response:
    """The form that asks for the token; it sends it back to its own address, which says where to go then."""
    notice = "" if status is HTTPStatus.OK else '<p class="notice" role="alert">This is not the token.</p>'
    text = _text("login.html").replace("<!-- notice -->", notice)
    return HTMLResponse(text, status, headers={"cache-control": "no-store"})


class _LogIn:
    """Takes the form: gives a cookie for the right token, and the form again for a wrong one."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        given = await _read_form(request)
        if given is None:
            return PlainTextResponse("the form is too long\n", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if not self._door.knows(given):
            return _form(HTTPStatus.FORBIDDEN)
        response = RedirectResponse(local_target(request.query_params.get("next", "/")), HTTPStatus.SEE_OTHER)
        response.set_cookie(
            COOKIE,
            self._door.make_cookie(),
            max_age=COOKIE_S,
            httponly=True,
            samesite="strict",
            secure="https" in (request.url.scheme, request.headers.get("x-forwarded-proto")),
        )
        return response


async def _read_form(request: Request) -> str | None:
    """The token in a form; ``None`` where the form is too long."""
    body = b""
    try:
        async for block in request.stream():
            body += block
            if len(body) > LARGEST_FORM:
                return None
    except ClientDisconnect:
        return ""
    fields = parse_qs(body.decode("ascii", errors="replace"))
    return fields.get("token", [""])[0].strip()


async def _log_out(request: Request) -> Response:
    response = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _asset(name: str) -> Callable[[Request], Any]:
    kind = "text/css" if name.endswith(".css") else "text/javascript"

    async def show(request: Request) -> Response:
        return Response(_text(name), media_type=kind, headers={"cache-control": "no-cache"})

    return show
