"""Messages of Pub/Sub that tell which plates got images: hints that shorten the wait, never the truth.

Cloud Storage publishes one message per finished object. Each is acknowledged when its plate is marked to be looked at;
a mark lives in memory, for whoever starts again lists all plates anyway. A message may come twice, late, out of order
or not at all, and a subscription may carry anything: what is no image of ours is acknowledged, counted and passed over.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from google.api_core.exceptions import GoogleAPICallError, NotFound, PermissionDenied, Unauthenticated
from google.cloud.pubsub_v1.subscriber.scheduler import ThreadScheduler
from google.cloud.pubsub_v1.types import FlowControl

from flows.google import subscriber_client, subscription_path
from flows.settings import Settings
from imaging.addresses import split_address
from imaging.errors import ConfigurationError, RefusedNameError
from imaging.names import check_name

if TYPE_CHECKING:
    from google.cloud.pubsub_v1 import SubscriberClient
    from google.cloud.pubsub_v1.subscriber.futures import StreamingPullFuture
    from google.cloud.pubsub_v1.subscriber.message import Message

MARKED = "marked"
OTHER_EVENT, OTHER_BUCKET, OTHER_FOLDER = "another event", "another bucket", "another folder"
REFUSED, UNREADABLE = "a refused name", "no notification of Cloud Storage"
MAX_OUTSTANDING = 1000
"""Messages that the service hands out before earlier ones are acknowledged; a killed watcher's come again."""
THREADS = 2
"""Threads that mark: it is a moment's work in Python, and more of them only take turns."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
CLOSE_S = 30.0
"""Seconds that the client has to end a stream: it waits up to ten to open one that broke anew, and looks then."""
REPORT_S = 600.0
"""Seconds between two lines in the log about what messages came."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the images that messages tell of have to be: a bucket, and the folder in it, ``""`` or ending in ``/``."""

    name: str
    folder: str

    @classmethod
    def of(cls, url: str) -> Bucket:
        """Read a store's address, ``gs://lab/screens``.

        Raises
        ------
        ConfigurationError
            If the store is in no bucket.
        """
        parts = split_address(url)
        if parts.scheme != "gs":
            raise ConfigurationError(
                f"a subscription tells of images in a bucket, and the store is {url[:200]!r}; give "
                "PLATESTREAM_STORE as gs://bucket/prefix, or unset PLATESTREAM_SUBSCRIPTION"
            )
        folder = parts.path.strip("/")
        return cls(parts.netloc, f"{folder}/" if folder else "")


def find_plate(attributes: Mapping[str, str], bucket: Bucket) -> tuple[str, str] | str:
    """Tell which plate got an image, as (experiment, plate), or why the message is none of ours.

    Parameters
    ----------
    attributes
        What Cloud Storage says beside the payload: ``eventType``, ``bucketId``, ``objectId``.
    bucket
        Where the images have to be.
    """
    event, name, key = (attributes.get(each, "") for each in ("eventType", "bucketId", "objectId"))
    if not (event and name and key):
        return UNREADABLE
    if event != "OBJECT_FINALIZE":
        return OTHER_EVENT
    if name != bucket.name:
        return OTHER_BUCKET
    raw = f"{bucket.folder}raw/"
    folders = key.removeprefix(raw).split("/")
    if not key.startswith(raw) or len(folders) < 3:
        return OTHER_FOLDER
    try:
        return check_name("experiment", folders[0]), check_name("plate", folders[1])
    except RefusedNameError:
        return REFUSED


@dataclass
class ArrivalsSubscription:
    """One stream of messages that is kept open, and what came through it.

    Parameters
    ----------
    client
        A client of Pub/Sub; closed with the stream.
    path
        Full name of the subscription.
    bucket
        Where the images have to be.
    mark
        Called with experiment and plate, from any thread, for each image; the message is acknowledged when it returns.
    """

    client: SubscriberClient
    path: str
    bucket: Bucket
    mark: Callable[[str, str], None]
    counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stream: StreamingPullFuture | None = None
    _opened_at: float = float("-inf")
    _pause_s: float = 0.0
    _said: str = ""
    _reported: tuple[float, int] = (float("-inf"), 0)

    def keep_open(self, tick: float | None = None) -> None:
        """Open the stream, again if it ended; the more often it ends at once, the longer the pause.

        The client mends what it can by itself: short interruptions never come here. ``tick`` is a moment in seconds,
        by default of the monotonic clock.
        """
        tick = time.monotonic() if tick is None else tick
        if self._stream is not None and self._stream.done():
            if tick - self._opened_at > LONGEST_PAUSE_S:
                self._pause_s, self._said = 0.0, ""
            self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
            self._say(self._stream.exception())
            self._stream = None
        if self._stream is None and tick - self._opened_at >= self._pause_s:
            self._opened_at = tick
            self._stream = self._open()
        self._report(tick)

    def close(self) -> None:
        """End the stream when what is acknowledged was sent; what is not acknowledged comes again."""
        if self._stream is not None:
            self._stream.cancel()
            with contextlib.suppress(TimeoutError):
                self._stream.exception(timeout=CLOSE_S)
        self._stream = None
        self.client.close()

    def receive(self, message: Message) -> None:
        """Mark the plate of a message, and acknowledge it."""
        found = find_plate(message.attributes, self.bucket)
        if not isinstance(found, str):
            self.mark(*found)
        with self._lock:
            self.counts[found if isinstance(found, str) else MARKED] += 1
        message.ack()

    def _open(self) -> StreamingPullFuture:
        scheduler = ThreadScheduler(ThreadPoolExecutor(THREADS, thread_name_prefix="arrivals"))
        return self.client.subscribe(
            self.path, self.receive, flow_control=FlowControl(max_messages=MAX_OUTSTANDING), scheduler=scheduler
        )

    def _say(self, fault: BaseException | None) -> None:
        """Log why the stream ended, once for each reason in a row."""
        sentence = _sentence(self.path, fault)
        if sentence != self._said:
            log.warning("%s", sentence)
        self._said = sentence

    def _report(self, tick: float) -> None:
        """Log every ten minutes how many messages came, and of what."""
        with self._lock:
            counts = self.counts.most_common()
        total = sum(count for _, count in counts)
        if tick - self._reported[0] >= REPORT_S and total != self._reported[1]:
            self._reported = (tick, total)
            log.info("%d messages so far: %s", total, ", ".join(f"{count} {what}" for what, count in counts))


def open_arrivals(settings: Settings, mark: Callable[[str, str], None]) -> ArrivalsSubscription:
    """Prepare the stream of the settings' subscription; ``keep_open`` opens it.

    Raises
    ------
    ConfigurationError, MissingPartError
        If the store is in no bucket, or project or credentials are missing.
    """
    bucket, path = Bucket.of(settings.store), subscription_path(settings)
    return ArrivalsSubscription(subscriber_client(settings), path, bucket, mark)


def _sentence(path: str, fault: BaseException | None) -> str:
    """Say why a stream ended and what to do; folders are looked at meanwhile."""
    meanwhile = "until then plates are found by looking at their folders"
    if isinstance(fault, NotFound):
        return f"there is no subscription {path}; make it, or correct PLATESTREAM_SUBSCRIPTION; {meanwhile}"
    if isinstance(fault, PermissionDenied | Unauthenticated):
        return f"our credentials may not read {path}; grant them roles/pubsub.subscriber on it; {meanwhile}"
    reason = fault.message if isinstance(fault, GoogleAPICallError) else str(fault or "it was closed")
    return f"the stream of {path} ended ({reason}); it is opened again; {meanwhile}"
