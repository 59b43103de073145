"""Looks again and again, and tells what is new, changed or over: in the log, by events, and in the store."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from flows.beside import Beside
from flows.events import emit, encode_name
from flows.settings import Settings
from flows.watchdogs.alert import Alert
from flows.watchdogs.alerts import find_alerts
from flows.watchdogs.gather import Gatherer
from flows.watchdogs.memory import Memory, Message, read_memory, write_memory
from flows.watchdogs.open_plates import OpenPlates
from imaging.errors import MissingPartError, PlateError
from imaging.job import PlateJob
from imaging.planning import Plan
from imaging.store import Store

ALERT = "platestream.alert"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AlertEvent:
    """An alert that is new, changed or over, as Prefect's API takes it; its resource is the alert."""

    alert: Alert
    news: str
    message: str
    began_at: float
    event_id: uuid.UUID = field(default_factory=uuid.uuid4)

    kind: ClassVar[str] = ALERT

    @property
    def experiment(self) -> str:
        """Experiment that it is about; empty when about none."""
        return self.alert.experiment

    @property
    def plate(self) -> str:
        """Plate that it is about; empty when about none."""
        return self.alert.plate

    def as_prefect(self) -> dict[str, Any]:
        """Return the event as Prefect's API takes it."""
        alert = self.alert
        about = {name: getattr(alert, name) for name in ("kind", "subject", "experiment", "plate", "recipe", "run")}
        began = datetime.fromtimestamp(self.began_at, UTC).isoformat(timespec="seconds")
        since = datetime.fromtimestamp(alert.since, UTC).isoformat(timespec="seconds")
        labels = {f"alert.{name}": value for name, value in about.items() if value}
        return {
            "id": str(self.event_id),
            "event": self.kind,
            "occurred": datetime.now(UTC).isoformat(),
            "resource": {
                "prefect.resource.id": f"{ALERT}.{encode_name(alert.kind)}.{encode_name(alert.subject)}",
                "prefect.resource.name": f"{alert.kind} {alert.subject}",
                "alert.news": self.news,
                **labels,
            },
            "related": [],
            "payload": {
                **about,
                "news": self.news,
                "message": self.message,
                "what": alert.what,
                "to_do": alert.to_do,
                "since": since,
                "began": began,
            },
        }


def event_of(message: Message) -> AlertEvent:
    """The event of a message; the same message gives an event of the same identity."""
    return AlertEvent(message.alert, message.news, message.sentence, message.began_at, message.event_id)


@dataclass
class Watchdogs:
    """The watchdogs of one watcher.

    Parameters
    ----------
    gatherer
        Looks at everything; shares the memory.
    store
        Where the memory is kept.
    send
        Sends an event; raises MissingPartError when the server does not take it, which is tried again.
    every_s
        Seconds between two looks.
    """

    gatherer: Gatherer
    store: Store
    send: Callable[[AlertEvent], None]
    every_s: float = 60.0

    def __post_init__(self) -> None:
        self.beside = Beside("watchdogs", self.look, every_s=self.every_s, failed="nobody could look for alerts")

    @property
    def memory(self) -> Memory:
        """What is remembered."""
        return self.gatherer.memory

    def tend(self, tick: float | None = None) -> None:
        """Begin a look in a thread of its own, if one is due: looking at many plates must not hold up who wakes runs.

        A fault in it that nobody foresaw is logged, and runs are woken all the same; `platestream status` says that
        nobody looked.
        """
        self.beside.tend(tick)

    def look(self, now: float | None = None, tick: float | None = None) -> list[Message]:
        """Look once and tell what there is to tell; return it."""
        now = time.time() if now is None else now
        self.memory.begin(now, every_s=self.every_s, tick=tick)
        facts = self.gatherer.gather(now)
        self.memory.end(find_alerts(facts), is_whole=facts.is_whole)
        self.memory.forget_untold()
        told = [message for message in self.memory.messages() if self._tell(message)]
        if facts.store is None or not facts.store.problem:  # else it may be the folder that one is to be mounted at
            self._keep()
        return told

    def _keep(self) -> None:
        try:
            write_memory(self.store, self.memory)
        except PlateError as error:
            log.warning("alerts are not kept, as %s", error)

    def _tell(self, message: Message) -> bool:
        """Log a message once and send it; whether it was sent."""
        if self.memory.note_logged(message):
            log.log(logging.INFO if message.news == "over" else logging.ERROR, "alert: %s", message.sentence)
        try:
            self.send(event_of(message))
        except MissingPartError:
            return False  # sent at a later look: the server's silence is an alert of its own
        self.memory.note_told(message)
        return True


def open_watchdogs(
    store: Store, settings: Settings, plates: OpenPlates, need: Callable[[PlateJob, Plan], str]
) -> Watchdogs:
    """Make the watchdogs of a watcher that go on where the last ones ended."""
    memory = read_memory(store) or Memory()
    gatherer = Gatherer(store, settings, plates, memory, need)
    return Watchdogs(
        gatherer, store, lambda event: emit(settings.api_url, event, auth=settings.auth), settings.alert_every_s
    )
