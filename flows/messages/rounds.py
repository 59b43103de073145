"""Looks again and again at what is to be told, and sends it, in a thread of its own beside the watcher."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from flows.beside import Beside
from flows.messages import outbox
from flows.messages.channels import Channel, Letter, NotTakenError, UnsureError, read_channels
from flows.messages.digest import find_due, is_over, make_digest
from flows.messages.escaping import ESCAPES
from flows.messages.message import Message
from flows.messages.news import find_published, tell_plate
from flows.messages.pictures import draw_wells
from flows.messages.templates import KindOfMessage, read_templates, word
from flows.settings import Settings
from imaging.errors import PlateError
from imaging.store import Store

EVERY_S, SEARCH_EVERY_S, CHANNELS_FOR_S, FORGET_EVERY_S = 20.0, 1800.0, 120.0, 86_400.0
"""Seconds between looks at the outbox, searches for what nobody told, looks for channels, deletions of old records."""
MOST_AT_ONCE = 20
"""Messages that one look sends; the rest waits for the next, and no channel is flooded."""
PAUSES_S = (60.0, 300.0, 900.0, 3600.0)
"""Seconds from a failed attempt to the next."""

log = logging.getLogger(__name__)


@dataclass
class Messenger:
    """Sends messages of a store.

    Parameters
    ----------
    store
        Where the outbox is.
    settings
        Which server has the channels, where pages are, when the digest is due.
    read
        Reads the channels.
    """

    store: Store
    settings: Settings
    read: Callable[[Settings], list[Channel]] = read_channels
    templates: Callable[[], dict[str, KindOfMessage]] = read_templates
    _channels: dict[str, Channel] = field(default_factory=dict)
    _channels_at: float = float("-inf")
    _searched_at: float = float("-inf")
    _forgot_at: float = float("-inf")
    _digest_due: float = 0.0
    _again_at: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.beside = Beside("messages", self.look, every_s=EVERY_S, failed="messages could not be sent")

    def tend(self, tick: float | None = None) -> None:
        """Begin a look in a thread of its own, if one is due; what goes wrong with one is logged."""
        self.beside.tend(tick)

    def look(self, now: float | None = None, tick: float | None = None) -> int:
        """Look once and send what there is to send; return how many messages channels took."""
        now = time.time() if now is None else now
        tick = time.monotonic() if tick is None else tick
        try:
            return self._look(now, tick)
        except PlateError as error:  # storage, server or templates: the next look tries again
            log.warning("messages wait: %s", error)
            return 0

    def _look(self, now: float, tick: float) -> int:
        if tick - self._forgot_at >= FORGET_EVERY_S:
            self._forgot_at = tick
            outbox.forget_old(self.store, now)
        if tick - self._channels_at >= (CHANNELS_FOR_S if self._channels else EVERY_S):
            self._channels = {each.name: each for each in self.read(self.settings)}
            self._channels_at = tick
        if not self._channels:
            return 0
        kinds, since = self.templates(), outbox.read_since(self.store)
        if tick - self._searched_at >= SEARCH_EVERY_S:
            self._searched_at = tick
            self._search(max(since, now - outbox.LOOKBACK_DAYS * 86_400.0))
        self._tell_digest(now, since)
        return self._send_all(kinds, since, now, tick)

    def _search(self, after: float) -> None:
        """Tell what was published and told by nobody."""
        for experiment in self.store.list_folders("results/"):
            for plate, recipe, number in find_published(self.store, experiment, after):
                try:
                    tell_plate(self.store, experiment, plate, recipe, number)
                except (FileNotFoundError, PlateError) as error:
                    log.warning("%s/%s: its publication is not told, as %s", experiment, plate, error)

    def _tell_digest(self, now: float, since: float) -> None:
        due = find_due(now, self.settings.message_digest_hour)
        if due <= max(since, self._digest_due) or now - due > 43_200.0 or not is_over(self.store, due):
            return
        names = tuple(self._channels)
        outbox.tell(self.store, make_digest(self.store, due, names, environment=self.settings.environment))
        self._digest_due = due

    def _send_all(self, kinds: Mapping[str, KindOfMessage], since: float, now: float, tick: float) -> int:
        taken = tried = 0
        for delivery in outbox.list_deliveries(self.store, now):
            said = kinds.get(delivery.kind)
            if said is None or delivery.created_at < since:
                continue
            message: Message | None = None
            for name in [name for name in said.channels if name in self._channels]:
                number = delivery.next_attempt(name)
                if number is None or tick < self._again_at.get((delivery.folder, name), tick):
                    continue
                if tried >= MOST_AT_ONCE:
                    return taken
                tried += 1
                message = message or self._read(delivery)
                if message is not None:
                    taken += self._send(delivery, message, said, self._channels[name], number, tick)
        return taken

    def _read(self, delivery: outbox.Delivery) -> Message | None:
        try:
            return outbox.read_told(self.store, delivery)
        except PlateError as error:
            log.warning("%s", error)
            return None

    def _send(
        self,
        delivery: outbox.Delivery,
        message: Message,
        said: KindOfMessage,
        channel: Channel,
        number: int,
        tick: float,
    ) -> bool:
        """Send a message once, unless somebody else does; whether it was taken."""
        letter = make_letter(self.store, self.settings, message, said, channel.name)
        if not outbox.begin(self.store, delivery, channel.name, number):
            return False
        try:
            channel.send(letter)
        except NotTakenError as error:
            outbox.note_failed(self.store, delivery, channel.name, number, str(error))
            self._again_at[delivery.folder, channel.name] = tick + PAUSES_S[min(number, len(PAUSES_S)) - 1]
            log.warning("%s was not told by %s: %s (attempt %d)", delivery.folder, channel.name, error, number)
            return False
        except UnsureError as error:
            log.warning("whether %s was told by %s is not known: %s", delivery.folder, channel.name, error)
            return False
        outbox.note_sent(self.store, delivery, channel.name)
        return True


def make_letter(store: Store, settings: Settings, message: Message, said: KindOfMessage, channel: str) -> Letter:
    """A message as a channel is to send it: its words, a link where pages have an address, a picture if asked for."""
    base = settings.message_links.rstrip("/")
    link = f"{base}/{quote(message.page.removesuffix('index.html'))}" if base and message.page else ""
    picture = draw_wells(store, message.tables) if said.picture and message.tables and channel != "slack" else b""
    escape = ESCAPES[channel]
    facts = {"kind": message.kind} | {name: escape(text) for name, text in message.facts.items()}
    return Letter(word(said, message, escape), facts, link, picture)


def send_test(settings: Settings, now: float) -> dict[str, str]:
    """Send a test message by every channel that there is, past the outbox; say what became of each.

    Raises
    ------
    MissingPartError
        If the Prefect server does not answer.
    ConfigurationError
        If the words of messages are at fault.
    """
    from flows.messages.message import TEST, make_message

    said = read_templates().get(TEST) or KindOfMessage(channels=(), subject="This is a test of Platestream's messages")
    message = make_message(TEST, (str(now),), now, {"environment": settings.environment})
    outcome: dict[str, str] = {}
    for channel in read_channels(settings):
        escape = ESCAPES[channel.name]
        try:
            channel.send(Letter(word(said, message, escape), {"kind": TEST}))
            outcome[channel.name] = "taken"
        except (NotTakenError, UnsureError) as error:
            outcome[channel.name] = str(error)
    return outcome
