"""What is to be told and who was told, as records in the store.

    messages/<day>/<kind>-<hash>/message.json     what is to be told, created if absent: the same thing is told once
    .../<channel>-<n>-begun.json                  somebody is about to send it, the n-th time
    .../<channel>-<n>-failed.json                 it was certainly not taken: it may be sent again
    .../<channel>-sent.json                       it was taken
    messages/since.json                           when messages were first sent from this store

Each channel gets a message **at most once**. Whoever sends creates ``begun`` first, so of two watchers one sends; who
is killed between sending and recording leaves ``begun`` alone, and nobody sends that again, as it may have arrived.
What was certainly not taken (refused, not reached) is sent again, `ATTEMPTS` times at most. What reached nobody stands
in the next digest, so nothing is lost in silence.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from flows.messages.message import Message, read_message
from imaging.errors import StoredDataError
from imaging.names import to_json
from imaging.store import Store

ROOT, SINCE = "messages/", "messages/since.json"
ATTEMPTS = 5
LOOKBACK_DAYS = 2
"""Days back from today whose messages are still sent; older ones are no news."""
KEPT_DAYS = 30
"""Days after which records of messages are deleted."""
_STATE = re.compile(r"(?P<channel>[a-z]+)-(?:(?P<number>\d+)-(?P<what>begun|failed)|sent)[.]json")


@dataclass
class Delivery:
    """What is recorded of a message: when it was created (the store's clock), and of each channel its attempts."""

    folder: str
    created_at: float = 0.0
    sent: set[str] = field(default_factory=set)
    begun: dict[str, set[int]] = field(default_factory=dict)
    failed: dict[str, set[int]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Kind of the message, as its folder says it."""
        return self.folder.rstrip("/").rpartition("/")[2].rpartition("-")[0]

    def next_attempt(self, channel: str) -> int | None:
        """Number of the attempt that may be begun; ``None`` where it was sent, perhaps was, or failed too often."""
        begun, failed = self.begun.get(channel, set()), self.failed.get(channel, set())
        if channel in self.sent or begun - failed:
            return None
        number = max(begun, default=0) + 1
        return number if number <= ATTEMPTS else None

    def reached(self, channel: str) -> str:
        """``sent``, ``unknown`` where somebody began and nobody knows more, ``failed`` or ``waiting``."""
        if channel in self.sent:
            return "sent"
        if self.begun.get(channel, set()) - self.failed.get(channel, set()):
            return "unknown"
        return "failed" if len(self.failed.get(channel, ())) >= ATTEMPTS else "waiting"


def tell(store: Store, message: Message) -> bool:
    """Take note of what people are to be told; the watcher sends it.

    Safe to call at any time, by anyone, again and again: the same message is there once.

    Returns
    -------
    Whether it is new.

    Raises
    ------
    StoreUnavailableError
        If the storage does not answer.
    """
    key = f"{message.folder}message.json"
    return not store.exists(key) and store.create(key, to_json(message.as_json()))


def read_since(store: Store) -> float:
    """When messages were first sent from this store, by its own clock: what is older is told to nobody."""
    if (known := store.modified(SINCE)) is not None:
        return known
    store.create(SINCE, to_json({"why": "what happened before this file was written is told to nobody"}))
    return store.modified(SINCE) or 0.0


def list_deliveries(store: Store, now: float, days: int = LOOKBACK_DAYS) -> list[Delivery]:
    """Messages of today and of so many days before, and of tomorrow should clocks differ; the oldest first."""
    today = datetime.fromtimestamp(now, UTC).date()
    found: dict[str, Delivery] = {}
    for back in range(-1, days + 1):
        for item in store.list(f"{ROOT}{(today - timedelta(days=back)).isoformat()}/").objects:
            folder, _, name = item.key.rpartition("/")
            delivery = found.setdefault(folder, Delivery(f"{folder}/"))
            if name == "message.json":
                delivery.created_at = item.modified
            elif match := _STATE.fullmatch(name):
                _note(delivery, match["channel"], match["number"], match["what"])
    whole = [each for each in found.values() if each.created_at]
    return sorted(whole, key=lambda each: (each.created_at, each.folder))


def _note(delivery: Delivery, channel: str, number: str | None, what: str | None) -> None:
    if number is None:
        delivery.sent.add(channel)
    else:
        states = delivery.begun if what == "begun" else delivery.failed
        states.setdefault(channel, set()).add(int(number))


def read_told(store: Store, delivery: Delivery) -> Message:
    """Read a message.

    Raises
    ------
    StoredDataError
        If its record is damaged or gone.
    """
    key = f"{delivery.folder}message.json"
    try:
        said = json.loads(store.read(key))
    except (FileNotFoundError, ValueError) as error:
        raise StoredDataError("the record of a message is damaged; delete it", key=key) from error
    return read_message(said, key)


def begin(store: Store, delivery: Delivery, channel: str, number: int) -> bool:
    """Say that a message is about to be sent; of any number of senders exactly one gets ``True``."""
    who = uuid.uuid4().hex  # else a second sender's equal record would count as its own
    is_ours = store.create(f"{delivery.folder}{channel}-{number}-begun.json", to_json({"by": who}))
    delivery.begun.setdefault(channel, set()).add(number)
    return is_ours


def note_sent(store: Store, delivery: Delivery, channel: str) -> None:
    """Say that a channel took a message."""
    store.create(f"{delivery.folder}{channel}-sent.json", to_json({}))
    delivery.sent.add(channel)


def note_failed(store: Store, delivery: Delivery, channel: str, number: int, why: str) -> None:
    """Say that a channel certainly did not take a message, and why, without its address."""
    store.create(f"{delivery.folder}{channel}-{number}-failed.json", to_json({"why": why}))
    delivery.failed.setdefault(channel, set()).add(number)


def find_untold(deliveries: Iterable[Delivery], channels: Sequence[str]) -> list[Delivery]:
    """Messages that reached none of the channels that they were begun for."""
    found = []
    for each in deliveries:
        states = [each.reached(channel) for channel in channels if each.begun.get(channel)]
        if states and "sent" not in states and "waiting" not in states:
            found.append(each)
    return found


def forget_old(store: Store, now: float) -> int:
    """Delete the records of messages of days long past; return of how many days."""
    last = (datetime.fromtimestamp(now, UTC).date() - timedelta(days=KEPT_DAYS)).isoformat()
    days = [day for day in store.list_folders(ROOT) if re.fullmatch(r"\d{4}-\d\d-\d\d", day) and day < last]
    for day in days:
        for item in store.list(f"{ROOT}{day}/").objects:
            store.delete(item.key)
    return len(days)
