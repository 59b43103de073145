"""The Prefect server as `platestream serve` runs it, with a count of what it is asked: ``python -m ... --counts FILE``.

The count is an ASGI layer around Prefect's own application and costs a dictionary's entry a request.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from flows import server

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=/name/).+|(?<=/key/).+")


NOT_COUNTED = "x-not-counted"
"""Header of requests that the load asks for itself."""


class Counted:
    """An ASGI application that counts requests by method and path, ids left out, and events by their kind.

    ``GET /counts`` is answered with the counts; requests with the header ``x-not-counted`` are not among them.
    """

    def __init__(self, app: Any) -> None:
        self.app = app
        self.counts: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Count, and hand on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == "/counts":
            body = json.dumps(self.counts).encode()
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]}
            )
            await send({"type": "http.response.body", "body": body})
        elif any(name == NOT_COUNTED.encode() for name, _ in scope["headers"]):
            await self.app(scope, receive, send)
        else:
            self.counts[f"{scope.get('method', 'WEBSOCKET')} {_ID.sub('ID', scope['path'])}"] += 1
            await self.app(scope, self._counted(receive) if scope["type"] == "websocket" else receive, send)

    def _counted(self, receive: Any) -> Any:
        async def receive_counted() -> Any:
            message = await receive()
            if message["type"] == "websocket.receive":
                self.counts[f"EVENT {_kind_of(message)}"] += 1
            return message

        return receive_counted


def _kind_of(message: dict[str, Any]) -> str:
    try:
        said = json.loads(message.get("text") or message.get("bytes") or "{}")
    except ValueError:
        return "unreadable"
    return str(said.get("event") or said.get("type") or "log") if isinstance(said, dict) else "list"


def main() -> None:
    """Run the server, its application counted; Prefect itself is imported by the server, once its settings are made."""
    import uvicorn

    run = uvicorn.run
    uvicorn.run = lambda app, **options: run(Counted(app), **options)  # type: ignore[assignment]
    server.main()


if __name__ == "__main__":
    main()
