"""Answers that hold a file of the store: whole or one range of it, as viewers of OME-Zarr ask for them.

A range that begins behind the end is refused with the size (416); one that ends behind it is cut. Several ranges at
once are answered with the whole file, as RFC 9110 allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from itertools import chain

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from imaging.shown_files import ShownFiles
from imaging.store import StoredObject

BLOCK = 4 * 2**20
"""Bytes that are read at once."""
_RANGE = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "json": "application/json",
    "webp": "image/webp",
}


@dataclass(frozen=True)
class Part:
    """Bytes ``start`` to ``end``, exclusive, of a file."""

    start: int
    end: int


def find_part(header: str, size: int) -> Part | None:
    """The part that a Range header asks for; ``None`` for the whole file.

    Raises
    ------
    ValueError
        If there is nothing of the file in that range.
    """
    match = _RANGE.fullmatch(header.replace(" ", ""))
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < int(first):
            return None  # no range at all, says the RFC
    if start >= end:
        raise ValueError(f"range must begin within the {size} bytes of the file, got {header}")
    return Part(start, end)


def answer(files: ShownFiles, key: str, request: Request) -> Response:
    """Answer with a file, or with what the request's headers ask of it.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    StoreUnavailableError
        If the storage does not answer.
    """
    shown = files.look_up(key)
    tag = f'"{shown.token.strip(chr(34))}"'
    headers = {
        "etag": tag,
        "last-modified": formatdate(shown.modified, usegmt=True),
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    wanted = request.headers.get("range", "")
    if request.headers.get("if-range", tag) != tag:
        wanted = ""
    try:
        part = find_part(wanted, shown.size)
    except ValueError:
        refused = {"content-range": f"bytes */{shown.size}"}
        return Response(status_code=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers | refused)
    headers["content-type"] = _TYPES.get(key.rpartition(".")[2], "application/octet-stream")
    status = HTTPStatus.OK
    if part is None:
        part = Part(0, shown.size)
    else:
        status = HTTPStatus.PARTIAL_CONTENT
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{shown.size}"
    headers["content-length"] = str(part.end - part.start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    first = files.read(shown, part.start, min(BLOCK, part.end - part.start)) if part.end else b""
    return StreamingResponse(chain([first], _rest(files, shown, part)), status, headers)


def _rest(files: ShownFiles, shown: StoredObject, part: Part) -> Iterator[bytes]:
    """Blocks after the first, which is read before the answer begins: until then a fault has a status of its own."""
    for start in range(part.start + BLOCK, part.end, BLOCK):
        yield files.read(shown, start, min(BLOCK, part.end - start))
