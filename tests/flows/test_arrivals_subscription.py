"""Messages of Pub/Sub mark plates: whatever comes, however often and in whatever order, through the real client."""

from __future__ import annotations

import itertools
import logging
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from flows.arrivals_subscription import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MARKED,
    OTHER_BUCKET,
    OTHER_EVENT,
    OTHER_FOLDER,
    REFUSED,
    UNREADABLE,
    ArrivalsSubscription,
    Bucket,
    find_plate,
    open_arrivals,
)
from flows.events import IMAGES_ARRIVED
from flows.needs import Need
from flows.settings import Settings
from flows.watch import Watch
from imaging.errors import ConfigurationError
from imaging.store import Store
from tests.flows.api_standin import Request, api_standin
from tests.imaging.small_plate import EXPERIMENT, PLATE_MAP, draw_plate
from tests.parts import ROOT
from tests.standins.gcs import GcsStandIn
from tests.standins.messages import Backlog
from tests.standins.pubsub import PubSubStandIn

LAB = Bucket("lab", "screens/")
IMAGE = {"eventType": "OBJECT_FINALIZE", "bucketId": "lab", "objectId": "screens/raw/screen/P1/A01_w1.tif"}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, ("screen", "P1")),
        ({"objectId": "screens/raw/screen/P1 (2)/Images/r01/c.tif"}, ("screen", "P1 (2)")),
        ({"eventType": "OBJECT_DELETE"}, OTHER_EVENT),
        ({"bucketId": "other"}, OTHER_BUCKET),
        ({"objectId": "screens/results/screen/P1/v1/pins.json"}, OTHER_FOLDER),
        ({"objectId": "raw/screen/P1/A01_w1.tif"}, OTHER_FOLDER),
        ({"objectId": "screens/raw/screen/loose.tif"}, OTHER_FOLDER),
        ({"objectId": "screens/raw/../P1/A01_w1.tif"}, REFUSED),
        ({"objectId": "screens/raw/screen/it's/A01_w1.tif"}, REFUSED),
        ({"objectId": "screens/raw/screen//A01_w1.tif"}, REFUSED),
    ],
)
def test_a_message_names_a_plate_or_is_none_of_ours(change: dict[str, str], found: object) -> None:
    assert find_plate({**IMAGE, **change}, LAB) == found


@pytest.mark.parametrize("absent", IMAGE)
def test_a_message_that_lacks_an_attribute_is_unreadable(absent: str) -> None:
    assert find_plate({name: value for name, value in IMAGE.items() if name != absent}, LAB) == UNREADABLE


def test_the_bucket_is_that_of_the_store() -> None:
    assert Bucket.of("gs://lab/screens/?endpoint=http://127.0.0.1:1") == LAB
    assert Bucket.of("gs://lab") == Bucket("lab", "")
    assert find_plate({**IMAGE, "objectId": "raw/screen/P1/a.tif"}, Bucket.of("gs://lab")) == ("screen", "P1")
    with pytest.raises(ConfigurationError, match="tells of images in a bucket, and the store is '/data"):
        Bucket.of("/data")
    with pytest.raises(ConfigurationError, match="is no address of a store"):
        Bucket.of("gs://[lab/screens")


@pytest.fixture
def backlog(gcs: GcsStandIn, pubsub: PubSubStandIn) -> Backlog:
    """A subscription to all that happens in the bucket."""
    pubsub.create_topic("images")
    gcs.notify(partial(pubsub.publish, "images"))
    return pubsub.create_subscription("watch", "images")


@pytest.fixture
def settings(gcs: GcsStandIn, pubsub: PubSubStandIn) -> Settings:
    return Settings(
        store="gs://lab/screens",
        subscription="watch",
        google_project="test",
        storage_emulator=gcs.url,
        pubsub_emulator=pubsub.address,
        rescan_s=0.2,
    )


@pytest.fixture
def marks() -> Counter[tuple[str, str]]:
    return Counter()


@pytest.fixture
def arrivals(settings: Settings, marks: Counter[tuple[str, str]]) -> Iterator[ArrivalsSubscription]:
    def mark(experiment: str, plate: str) -> None:
        marks[experiment, plate] += 1

    opened = open_arrivals(settings, mark)
    yield opened
    opened.close()


def declare(store: Store) -> None:
    store.write("experiments/screen/experiment.yaml", EXPERIMENT.encode())
    store.write("experiments/screen/map.csv", PLATE_MAP.encode())


def upload(store: Store, plate: str, *, first: int = 0, count: int = 8) -> None:
    for name, data in list(draw_plate().items())[first : first + count]:
        store.write(f"raw/screen/{plate}/{name}", data)


def wait_for(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    until = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_doubled_and_reordered_messages_mark_each_plate_and_wake_it_once(
    gcs_store: Store, backlog: Backlog, settings: Settings
) -> None:
    backlog.disorder.copies, backlog.disorder.spread_s = 3, 0.3
    woken: list[Need] = []
    watch = Watch(gcs_store, woken.append, rescan_s=0.2, settle_s=0.0, sweep_s=3600.0)
    watch.round()  # an empty lab; from now on only messages tell
    arrivals = open_arrivals(settings, watch.mark)
    arrivals.keep_open()
    declare(gcs_store)
    for plate in ("P1", "P2", "P3"):
        upload(gcs_store, plate)
    published = backlog.pending() + backlog.counts["acknowledged"]
    wait_for(lambda: backlog.pending() == 0)
    for _ in range(5):
        watch.round()
    print(f"\n{published} messages of 26 objects, {dict(arrivals.counts)}; woken: {[need.plate for need in woken]}")
    assert arrivals.counts == {MARKED: 72, OTHER_FOLDER: 6}
    assert backlog.counts["acknowledged"] == 78
    assert [need.plate for need in woken] == ["P1", "P2", "P3"]
    arrivals.close()


def test_whatever_a_subscription_carries_is_counted_acknowledged_and_passed_over(
    pubsub: PubSubStandIn, backlog: Backlog, arrivals: ArrivalsSubscription, marks: Counter[tuple[str, str]]
) -> None:
    for change in ({"eventType": "OBJECT_DELETE"}, {"bucketId": "other"}, {"objectId": "elsewhere/a"}):
        pubsub.publish("images", b"", {**IMAGE, **change})
    pubsub.publish("images", b"", {**IMAGE, "objectId": "screens/raw/\n/P1/a.tif"})
    pubsub.publish("images", b"\xff\x00 no JSON", {})
    pubsub.publish("images", b"{}", IMAGE)
    arrivals.keep_open()
    wait_for(lambda: backlog.counts["acknowledged"] == 6)
    assert marks == {("screen", "P1"): 1}
    assert arrivals.counts == dict.fromkeys([OTHER_EVENT, OTHER_BUCKET, OTHER_FOLDER, REFUSED, UNREADABLE, MARKED], 1)


def test_a_message_is_acknowledged_after_its_plate_is_marked(
    pubsub: PubSubStandIn, backlog: Backlog, settings: Settings
) -> None:
    acknowledged: list[int] = []
    arrivals = open_arrivals(settings, lambda *_: acknowledged.append(backlog.counts["acknowledged"]))
    pubsub.publish("images", b"{}", IMAGE)
    arrivals.keep_open()
    wait_for(lambda: backlog.counts["acknowledged"] == 1)
    assert acknowledged == [0]
    arrivals.close()


def test_a_stream_that_is_closed_sends_its_acknowledgements_first(
    pubsub: PubSubStandIn, backlog: Backlog, settings: Settings
) -> None:
    arrivals = open_arrivals(settings, lambda *_: None)
    for _ in range(5000):
        pubsub.publish("images", b"{}", IMAGE)
    arrivals.keep_open()
    wait_for(lambda: arrivals.counts[MARKED] == 5000)
    arrivals.close()
    assert backlog.counts["acknowledged"] == 5000


def test_a_stream_that_breaks_is_mended_and_what_was_published_meanwhile_comes(
    pubsub: PubSubStandIn, backlog: Backlog, arrivals: ArrivalsSubscription, marks: Counter[tuple[str, str]]
) -> None:
    arrivals.keep_open()
    wait_for(lambda: pubsub.streams == 1)
    pubsub.drop_streams()
    pubsub.publish("images", b"{}", IMAGE)
    arrivals.keep_open()
    wait_for(lambda: marks[("screen", "P1")] == 1 and backlog.pending() == 0)
    assert pubsub.streams == 2


def test_while_messages_do_not_come_plates_are_found_by_the_sweep(
    gcs_store: Store, backlog: Backlog, settings: Settings
) -> None:
    backlog.disorder.delay_s = 3600.0
    woken: list[Need] = []
    watch = Watch(gcs_store, woken.append, settle_s=0.0, sweep_s=60.0)
    arrivals = open_arrivals(settings, watch.mark)
    now = time.time()
    arrivals.keep_open(now)
    watch.round(now)
    declare(gcs_store)
    upload(gcs_store, "P1")
    arrivals.keep_open(now + 61)
    watch.round(now + 61)
    assert [need.plate for need in woken] == ["P1"]
    assert backlog.pending() == 10
    arrivals.close()


def test_a_subscription_that_does_not_exist_is_said_once_and_opened_when_it_is_made(
    pubsub: PubSubStandIn,
    arrivals: ArrivalsSubscription,
    marks: Counter[tuple[str, str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    pubsub.create_topic("images")
    for tick in range(0, 200, 20):
        arrivals.keep_open(float(tick))
        wait_for(lambda: arrivals._stream is None or arrivals._stream.done())
    said = [record.getMessage() for record in caplog.records if record.name.startswith("flows")]
    assert said == [
        "there is no subscription projects/test/subscriptions/watch; make it, or correct PLATESTREAM_SUBSCRIPTION; "
        "until then plates are found by looking at their folders"
    ]
    pubsub.create_subscription("watch", "images")
    pubsub.publish("images", b"{}", IMAGE)
    arrivals.keep_open(300.0)
    wait_for(lambda: marks[("screen", "P1")] == 1)


def test_a_stream_that_ends_at_once_is_opened_ever_more_rarely(
    pubsub: PubSubStandIn, arrivals: ArrivalsSubscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[float] = []
    open_stream = arrivals._open

    def count() -> object:
        opened.append(now)
        return open_stream()

    monkeypatch.setattr(arrivals, "_open", count)
    for second in range(300):
        now = float(second)
        arrivals.keep_open(now)
        wait_for(lambda: arrivals._stream is None or arrivals._stream.done())
    pauses = [b - a for a, b in itertools.pairwise(opened)]
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S


def test_after_a_stream_held_for_long_its_end_is_said_anew_and_mended_at_once(
    pubsub: PubSubStandIn, backlog: Backlog, arrivals: ArrivalsSubscription, caplog: pytest.LogCaptureFixture
) -> None:
    del pubsub.backlogs[backlog.name]
    for tick in range(0, 200, 20):
        arrivals.keep_open(float(tick))
        wait_for(lambda: arrivals._stream is None or arrivals._stream.done())
    pubsub.backlogs[backlog.name] = backlog
    arrivals.keep_open(300.0)
    wait_for(lambda: pubsub.open_streams == 1)
    del pubsub.backlogs[backlog.name]
    wait_for(lambda: arrivals._stream.done())
    arrivals.keep_open(400.0)
    assert len([record for record in caplog.records if "there is no subscription" in record.getMessage()]) == 2
    wait_for(lambda: arrivals._stream.done())
    pubsub.backlogs[backlog.name] = backlog
    arrivals.keep_open(400.0 + 2 * FIRST_PAUSE_S)
    wait_for(lambda: pubsub.open_streams == 1)


def test_no_more_messages_are_out_than_the_flow_allows(
    pubsub: PubSubStandIn, backlog: Backlog, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.arrivals_subscription.MAX_OUTSTANDING", 3)
    go_on = threading.Event()
    arrivals = open_arrivals(settings, lambda *_: go_on.wait(60))
    for _ in range(10):
        pubsub.publish("images", b"{}", IMAGE)
    arrivals.keep_open()
    wait_for(lambda: backlog.counts["delivered"] == 3)
    time.sleep(0.3)
    assert backlog.counts == {"delivered": 3}
    go_on.set()
    wait_for(lambda: backlog.counts["acknowledged"] == 10)
    arrivals.close()


def test_what_came_is_reported_every_ten_minutes(
    pubsub: PubSubStandIn, backlog: Backlog, arrivals: ArrivalsSubscription, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="flows")
    pubsub.publish("images", b"{}", IMAGE)
    pubsub.publish("images", b"{}", {})
    arrivals.keep_open(0.0)
    wait_for(lambda: backlog.pending() == 0)
    for tick in (700.0, 800.0, 1400.0):
        arrivals.keep_open(tick)
    said = [record.getMessage() for record in caplog.records if "so far" in record.getMessage()]
    assert said == [f"2 messages so far: 1 {MARKED}, 1 {UNREADABLE}"]


@contextmanager
def watching(settings: Settings, api: str, log_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A watcher as a process of its own, ended by SIGKILL."""
    variables = settings.model_copy(update={"api_url": api}).as_environment()
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(log_file.parent), **variables}
    with (
        log_file.open("wb") as log,
        subprocess.Popen([sys.executable, "-m", "flows.watch"], env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def plates_of(requests: list[Request]) -> list[str]:
    """Plates that runs were asked for."""
    sent = [request.body[0] for request in requests if request.path == "/api/events"]
    return [event["payload"]["plate"] for event in sent if event["event"] == IMAGES_ARRIVED]


def test_a_watcher_killed_before_it_acknowledged_loses_no_plate(
    gcs_store: Store, backlog: Backlog, settings: Settings, tmp_path: Path
) -> None:
    declare(gcs_store)
    upload(gcs_store, "P1")
    backlog.loses_acknowledgements = True
    with api_standin() as (api, first_life), watching(settings, api, tmp_path / "first.log"):
        wait_for(lambda: bool(plates_of(first_life)))
        upload(gcs_store, "P2", count=1)  # no site is whole yet
        wait_for(lambda: backlog.counts["acknowledgements lost"] > 0)
    counts = dict(backlog.counts)
    pending = backlog.pending()
    print(f"\nkilled: {pending} of 11 messages pending, {counts}, woken {plates_of(first_life)}")
    assert counts.get("acknowledged", 0) == 0
    assert pending == 11
    upload(gcs_store, "P2", first=1)  # while nobody watches
    upload(gcs_store, "P3")
    backlog.loses_acknowledgements = False
    backlog.expire()
    with api_standin() as (api, second_life), watching(settings, api, tmp_path / "second.log"):
        wait_for(lambda: backlog.pending() == 0 and len(plates_of(second_life)) >= 3)
        time.sleep(4 * settings.rescan_s)
    print(f"again: {backlog.pending()} of 26 messages pending, {dict(backlog.counts)}, woken {plates_of(second_life)}")
    assert plates_of(first_life) == ["P1"]
    assert backlog.counts["acknowledged"] == 26
    assert sorted(plates_of(second_life)) == ["P1", "P2", "P3"]
