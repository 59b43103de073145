"""Messages and who sends them, for tests: a store in which messages began long ago, a sender with given channels."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any

from flows.messages import outbox
from flows.messages.channels import Channel
from flows.messages.message import (
    PUBLISHED,
    Message,
    make_message,
)
from flows.messages.rounds import Messenger
from flows.settings import Settings
from imaging.store import Store

BAD = "<!channel> @everyone *b* [x](http://evil.example) <@U1> & </at>"
TICK = 1000.0


def began_long_ago(store: Store) -> None:
    outbox.read_since(store)
    path = store.local_path(outbox.SINCE)
    assert path is not None
    os.utime(path, (1e9, 1e9))


def messenger(store: Store, *channels: Channel, **said: Any) -> Messenger:
    url = store.local_path("x")
    assert url is not None
    long_past = (datetime.now(UTC).hour - 13) % 24  # so that no digest is among what is sent
    settings = Settings(store=str(url.parent), **{"message_digest_hour": long_past} | said)
    return Messenger(store, settings, read=lambda settings: list(channels))


def note(number: int = 1, at: float | None = None, **facts: Any) -> Message:
    said = {"experiment": "screen", "plate": f"P{number}", "verdict": "pass"} | facts
    return make_message(PUBLISHED, ("screen", f"P{number}"), time.time() if at is None else at, said)


def states(store: Store) -> list[str]:
    return sorted(item.key.rpartition("/")[2] for item in store.list("messages").objects if "/since" not in item.key)
