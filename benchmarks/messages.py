"""Messages of new images: how fast they mark plates, against Google's plain client that pulls and acknowledges as many.

Both ways are the real client over gRPC against the stand-in for Pub/Sub, which runs in a process of its own: what is
measured is what our process can take, not what the service can give. The messages lie there before the clock starts.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.planning import image_names
from benchmarks.results_file import write_result
from flows.arrivals_subscription import MARKED, ArrivalsSubscription, Bucket
from flows.google import publisher_client, subscriber_client
from flows.settings import Settings

STREAMED, PULLED = "streamed", "pulled"
"""A topic and its subscription for each way, so that both begin with the same messages."""
PLATES, RUNS, SINGLES = 20, 5, 200
PULL_SIZE = 1000
"""Messages in one plain pull, the most that the service gives."""
LAB = Bucket("lab", "screens/")


@contextmanager
def served() -> Iterator[Settings]:
    """Start the stand-in in a process of its own."""
    command = [sys.executable, "-m", "tests.standins.pubsub", STREAMED, PULLED]
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Settings(pubsub_emulator=process.stdout.readline().strip())
        finally:
            process.kill()


def words_of(names: list[str], plates: int) -> list[dict[str, str]]:
    """Attributes of the messages of plates that are imaged at once, image by image in turn."""
    return [
        {
            "eventType": "OBJECT_FINALIZE",
            "payloadFormat": "NONE",
            "bucketId": "lab",
            "objectId": f"screens/raw/big/P{plate:02d}/{name}",
        }
        for name in names
        for plate in range(plates)
    ]


def publish(settings: Settings, name: str, words: list[dict[str, str]]) -> None:
    """Publish one message for each; returns when all are taken."""
    client = publisher_client(settings)
    futures = [client.publish(f"projects/test/topics/{name}", b"", **attributes) for attributes in words]
    for future in futures:
        future.result()
    client.stop()
    client.transport.close()


def open_stream(settings: Settings, mark: Callable[[str, str], None]) -> ArrivalsSubscription:
    """Open the stream as the watcher does."""
    path = f"projects/test/subscriptions/{STREAMED}"
    arrivals = ArrivalsSubscription(subscriber_client(settings), path, LAB, mark)
    arrivals.keep_open()
    return arrivals


def stream(settings: Settings, words: list[dict[str, str]]) -> float:
    """Seconds in which waiting messages mark plates; each message has to mark its plate once."""
    marks: Counter[str] = Counter()
    lock = threading.Lock()

    def mark(experiment: str, plate: str) -> None:
        with lock:
            marks[plate] += 1

    started = time.perf_counter()
    arrivals = open_stream(settings, mark)
    while arrivals.counts[MARKED] < len(words):
        time.sleep(0.005)
    seconds = time.perf_counter() - started
    arrivals.close()
    assert marks == Counter(attributes["objectId"].split("/")[3] for attributes in words)
    return seconds


def pull(settings: Settings, words: list[dict[str, str]]) -> float:
    """Seconds in which plain requests pull and acknowledge the same messages; nothing else is done with them."""
    client, path = subscriber_client(settings), f"projects/test/subscriptions/{PULLED}"
    left, started = len(words), time.perf_counter()
    while left > 0:
        got = client.pull(subscription=path, max_messages=PULL_SIZE).received_messages
        client.acknowledge(subscription=path, ack_ids=[message.ack_id for message in got])
        left -= len(got)
    seconds = time.perf_counter() - started
    client.close()
    return seconds


def compare(settings: Settings, names: list[str], plates: int, runs: int) -> dict[str, Any]:
    """Take the messages of some plates both ways, in turn."""
    words = words_of(names, plates)
    streamed, pulled = [], []
    for _ in range(runs):
        for name, take, seconds in ((STREAMED, stream, streamed), (PULLED, pull, pulled)):
            publish(settings, name, words)
            seconds.append(take(settings, words))
    rates = {way: len(words) / statistics.median(seconds) for way, seconds in ((STREAMED, streamed), (PULLED, pulled))}
    return {
        "plates": plates,
        "messages": len(words),
        "runs": runs,
        "marked_per_s": round(rates[STREAMED]),
        "reference_plain_pull_per_s": round(rates[PULLED]),
        "ratio_to_reference": round(rates[STREAMED] / rates[PULLED], 2),
    }


def measure_latency(settings: Settings, words: list[dict[str, str]]) -> dict[str, Any]:
    """Milliseconds from publishing a single message to the mark of its plate."""
    marked = threading.Event()
    arrivals = open_stream(settings, lambda *_: marked.set())
    client = publisher_client(settings)
    waits = []
    for attributes in words:
        marked.clear()
        started = time.perf_counter()
        client.publish(f"projects/test/topics/{STREAMED}", b"", **attributes)
        assert marked.wait(60)
        waits.append(1000 * (time.perf_counter() - started))
    arrivals.close()
    client.stop()
    client.transport.close()
    return {"messages": len(waits), "median_ms": round(statistics.median(waits), 1), "max_ms": round(max(waits), 1)}


def main() -> None:
    """Measure one plate, many plates at once and single messages, and write the results."""
    names = image_names()
    with served() as settings:
        figures = {
            "one_plate": compare(settings, names, 1, RUNS),
            "plates_at_once": compare(settings, names, PLATES, 1),
            "publish_to_marked": measure_latency(settings, words_of(names[:SINGLES], 1)),
            "target": "more than 49 messages/s, the images of a lab with 4,000 plates a week",
        }
    print(write_result("messages", figures).read_text())


if __name__ == "__main__":
    main()
