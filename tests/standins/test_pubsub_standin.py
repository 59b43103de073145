"""The stand-in against the clients it stands in for; what these tests show, the other tests may rely on."""

from __future__ import annotations

import json
import queue
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from google.api_core.exceptions import NotFound, ServiceUnavailable
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.cloud.pubsub_v1.types import FlowControl

from flows.google import publisher_client, subscriber_client
from flows.settings import Settings
from imaging.store import open_store
from tests.standins.gcs import GcsStandIn
from tests.standins.messages import Backlog
from tests.standins.pubsub import PubSubStandIn

TOPIC = "projects/test/topics/images"


@pytest.fixture
def settings(pubsub: PubSubStandIn) -> Settings:
    return Settings(pubsub_emulator=pubsub.address)


@pytest.fixture
def publisher(settings: Settings) -> Iterator[PublisherClient]:
    client = publisher_client(settings)
    yield client
    client.stop()
    client.transport.close()


@pytest.fixture
def subscriber(settings: Settings) -> Iterator[SubscriberClient]:
    client = subscriber_client(settings)
    yield client
    client.close()


@pytest.fixture
def backlog(pubsub: PubSubStandIn) -> Backlog:
    pubsub.create_topic("images")
    return pubsub.create_subscription("watch", "images", deadline_s=10.0)


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_what_is_published_is_pulled_until_it_is_acknowledged(
    publisher: PublisherClient, subscriber: SubscriberClient, backlog: Backlog
) -> None:
    number = publisher.publish(TOPIC, b"one", kind="image").result()
    [first] = subscriber.pull(subscription=backlog.name, max_messages=10).received_messages
    assert (first.message.data, first.message.attributes["kind"], first.message.message_id) == (b"one", "image", number)
    backlog.expire()
    [again] = subscriber.pull(subscription=backlog.name, max_messages=10).received_messages
    assert again.message.message_id == number
    subscriber.acknowledge(subscription=backlog.name, ack_ids=[first.ack_id])
    assert (backlog.pending(), backlog.counts["acknowledged too late"]) == (1, 1)
    subscriber.acknowledge(subscription=backlog.name, ack_ids=[again.ack_id])
    assert (backlog.pending(), backlog.counts["acknowledged"]) == (0, 1)


def test_topics_and_subscriptions_are_made_and_found_by_the_clients(
    pubsub: PubSubStandIn, publisher: PublisherClient, subscriber: SubscriberClient
) -> None:
    path = "projects/test/subscriptions/mine"
    with pytest.raises(NotFound):
        subscriber.get_subscription(subscription=path)
    with pytest.raises(NotFound):
        publisher.publish(TOPIC, b"one").result()
    publisher.create_topic(name=TOPIC)
    subscriber.create_subscription(name=path, topic=TOPIC, ack_deadline_seconds=20)
    assert subscriber.get_subscription(subscription=path).ack_deadline_seconds == 20
    assert pubsub.backlogs[path].topic == TOPIC
    subscriber.delete_subscription(subscription=path)
    assert path not in pubsub.backlogs


def test_messages_are_doubled_and_come_in_another_order(pubsub: PubSubStandIn, backlog: Backlog) -> None:
    backlog.disorder.copies, backlog.disorder.spread_s = 2, 0.05
    for number in range(50):
        pubsub.publish("images", b"%d" % number, {})
    got: list[int] = []
    while len(got) < 100:
        got += [int(message.data) for _, message in backlog.take(100, 0.1)]
    assert sorted(got) == sorted([*range(50), *range(50)])
    assert got != sorted(got)


def test_a_late_message_is_not_there_before_its_time(pubsub: PubSubStandIn, backlog: Backlog) -> None:
    backlog.disorder.delay_s = 3600.0
    pubsub.publish("images", b"late", {})
    backlog.disorder.delay_s = 0.0
    pubsub.publish("images", b"now", {})
    assert [message.data for _, message in backlog.take(10, 0.0)] == [b"now"]
    assert backlog.pending() == 2


def test_a_stream_hands_out_no_more_than_was_asked_for(
    pubsub: PubSubStandIn, subscriber: SubscriberClient, backlog: Backlog
) -> None:
    for _ in range(30):
        pubsub.publish("images", b"x", {})
    got: queue.SimpleQueue = queue.SimpleQueue()
    stream = subscriber.subscribe(backlog.name, got.put, flow_control=FlowControl(max_messages=5))
    held = [got.get(timeout=30) for _ in range(5)]
    with pytest.raises(queue.Empty):
        got.get(timeout=0.3)
    assert backlog.counts["delivered"] == 5
    for message in held:
        message.ack()
    for _ in range(25):
        got.get(timeout=30).ack()
    wait_for(lambda: backlog.pending() == 0)
    assert backlog.counts == {"delivered": 30, "acknowledged": 30}
    stream.cancel()
    stream.result(timeout=30)


def test_a_broken_stream_is_mended_by_the_client_and_loses_nothing(
    pubsub: PubSubStandIn, subscriber: SubscriberClient, backlog: Backlog
) -> None:
    got: list[bytes] = []

    def receive(message: object) -> None:
        got.append(message.data)
        message.ack()

    stream = subscriber.subscribe(backlog.name, receive)
    wait_for(lambda: pubsub.streams == 1)
    pubsub.drop_streams()
    pubsub.publish("images", b"after", {})
    wait_for(lambda: got == [b"after"])
    assert pubsub.streams == 2
    stream.cancel()
    stream.result(timeout=30)


def test_a_service_that_is_down_answers_nothing(
    pubsub: PubSubStandIn, subscriber: SubscriberClient, backlog: Backlog
) -> None:
    pubsub.is_down = True
    with pytest.raises(ServiceUnavailable):
        subscriber.acknowledge(subscription=backlog.name, ack_ids=["a"], retry=None)


def test_storage_publishes_what_happens_to_objects_as_the_service_does(
    pubsub: PubSubStandIn, backlog: Backlog, gcs: GcsStandIn
) -> None:
    gcs.notify(partial(pubsub.publish, "images"), prefix="screens/raw/")
    store = open_store(gcs.address("lab/screens"))
    store.write("raw/a b.tif", b"pixels")
    store.write("results/elsewhere", b"no message")
    store.write("raw/a b.tif", b"others")
    store.delete("raw/a b.tif")
    told = [message for _, message in backlog.take(10, 0.0)]
    first, second, overwritten, deleted = (message.attributes for message in told)
    assert first["eventType"] == second["eventType"] == "OBJECT_FINALIZE"
    assert overwritten["eventType"] == deleted["eventType"] == "OBJECT_DELETE"
    assert (first["bucketId"], first["objectId"], first["payloadFormat"]) == (
        "lab",
        "screens/raw/a b.tif",
        "JSON_API_V1",
    )
    assert second["overwroteGeneration"] == overwritten["objectGeneration"] == first["objectGeneration"]
    assert overwritten["overwrittenByGeneration"] == second["objectGeneration"]
    assert json.loads(told[0].data)["size"] == "6"
