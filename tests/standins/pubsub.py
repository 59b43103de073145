"""A stand-in for Google Cloud Pub/Sub: in memory, over gRPC on loopback, for the real clients.

Kept as the service does it: at least once, in no promised order; a message comes again when its lease ends without an
acknowledgement; an acknowledgement after that does nothing; a stream hands out no more than its client asked for; what
does not exist is NOT_FOUND. Left out: access control, filters, ordering keys, dead letters.

    with PubSubStandIn() as pubsub:
        pubsub.create_topic("images")
        backlog = pubsub.create_subscription("watch", "images", deadline_s=10)
        SubscriberClient(transport=SubscriberGrpcTransport(channel=grpc.insecure_channel(pubsub.address)))

What a test may do to it: ``backlog.disorder`` doubles, delays and shuffles; ``backlog.expire()`` ends leases;
``backlog.loses_acknowledgements``; ``pubsub.drop_streams()`` breaks open streams; ``pubsub.is_down`` answers nothing
but UNAVAILABLE. ``backlog.counts`` and ``backlog.pending()`` tell what became of messages.
``python -m tests.standins.pubsub NAME...`` serves until it is stopped and prints its address.
"""

from __future__ import annotations

import argparse
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Self

import grpc
from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from tests.standins.messages import Backlog, Disorder, Sent

PROJECT = "test"
STREAM_POLL_S = 0.05
BATCH = 100
"""Messages in one answer of a stream."""


class PubSubStandIn:
    """The stand-in as a context: a server on a free port of this machine.

    Attributes
    ----------
    address
        ``host:port`` to give to clients.
    is_down
        While true, every call and every stream ends with UNAVAILABLE.
    streams, open_streams
        How many streams were opened so far, and how many are open.
    """

    def __init__(self) -> None:
        self.is_down = False
        self.streams = 0
        self.open_streams = 0
        self.topics: dict[str, types.Topic] = {}
        self.backlogs: dict[str, Backlog] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._breaks = 0
        self._pool = ThreadPoolExecutor(64, thread_name_prefix="pubsub")
        self._server = grpc.server(self._pool)
        self._server.add_generic_rpc_handlers(_handlers(self))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
        self._server.stop(grace=1.0).wait()
        self._pool.shutdown()

    def clear(self) -> None:
        """Forget topics, subscriptions and the count of streams, and end those that are open."""
        self.streams = 0
        self.topics.clear()
        self.backlogs.clear()
        self.is_down = False
        self.drop_streams()

    def create_topic(self, name: str) -> str:
        """Make a topic; returns its full name."""
        topic = f"projects/{PROJECT}/topics/{name}"
        self.topics.setdefault(topic, types.Topic(name=topic))
        return topic

    def create_subscription(self, name: str, topic: str, *, deadline_s: float = 10.0) -> Backlog:
        """Make a subscription to a topic of this stand-in."""
        path = f"projects/{PROJECT}/subscriptions/{name}"
        self.backlogs[path] = Backlog(path, f"projects/{PROJECT}/topics/{topic}", deadline_s, Disorder())
        return self.backlogs[path]

    def publish(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> None:
        """Publish one message without a client; to be handed to a stand-in for storage."""
        self._put(f"projects/{PROJECT}/topics/{topic}", [(data, dict(attributes))])

    def drop_streams(self) -> None:
        """Break every stream that is open now, as a server that is replaced does."""
        self._breaks += 1

    def _put(self, topic: str, contents: list[tuple[bytes, dict[str, str]]]) -> list[int]:
        with self._lock:
            sent = [Sent(next(self._numbers), data, attributes, time.time()) for data, attributes in contents]
        for backlog in list(self.backlogs.values()):
            if backlog.topic == topic:
                backlog.put(sent)
        return [message.number for message in sent]

    def _count_closed(self) -> None:
        with self._lock:
            self.open_streams -= 1

    def _backlog(self, name: str, context: grpc.ServicerContext) -> Backlog:
        if self.is_down:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the test took the service down")
        if name not in self.backlogs:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")
        return self.backlogs[name]

    def _topic(self, name: str, context: grpc.ServicerContext) -> types.Topic:
        if self.is_down:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the test took the service down")
        if name not in self.topics:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")
        return self.topics[name]

    def answer_create_topic(self, request: types.Topic, context: grpc.ServicerContext) -> types.Topic:
        if request.name in self.topics:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"Resource already exists (resource={request.name}).")
        self.topics[request.name] = request
        return request

    def answer_get_topic(self, request: types.GetTopicRequest, context: grpc.ServicerContext) -> types.Topic:
        return self._topic(request.topic, context)

    def answer_publish(self, request: types.PublishRequest, context: grpc.ServicerContext) -> types.PublishResponse:
        topic = self._topic(request.topic, context).name
        numbers = self._put(topic, [(message.data, dict(message.attributes)) for message in request.messages])
        return types.PublishResponse(message_ids=[str(number) for number in numbers])

    def answer_create_subscription(
        self, request: types.Subscription, context: grpc.ServicerContext
    ) -> types.Subscription:
        self._topic(request.topic, context)
        if request.name in self.backlogs:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"Resource already exists (resource={request.name}).")
        self.backlogs[request.name] = Backlog(request.name, request.topic, request.ack_deadline_seconds or 10.0)
        return request

    def answer_get_subscription(
        self, request: types.GetSubscriptionRequest, context: grpc.ServicerContext
    ) -> types.Subscription:
        backlog = self._backlog(request.subscription, context)
        deadline_s = int(backlog.deadline_s)
        return types.Subscription(name=backlog.name, topic=backlog.topic, ack_deadline_seconds=deadline_s)

    def answer_delete_subscription(
        self, request: types.DeleteSubscriptionRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        self._backlog(request.subscription, context)
        del self.backlogs[request.subscription]
        return empty_pb2.Empty()

    def answer_pull(self, request: types.PullRequest, context: grpc.ServicerContext) -> types.PullResponse:
        taken = self._backlog(request.subscription, context).take(request.max_messages, timeout_s=1.0)
        return types.PullResponse(received_messages=[_received(lease, message) for lease, message in taken])

    def answer_acknowledge(self, request: types.AcknowledgeRequest, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._backlog(request.subscription, context).acknowledge(request.ack_ids)
        return empty_pb2.Empty()

    def answer_modify_ack_deadline(
        self, request: types.ModifyAckDeadlineRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        backlog = self._backlog(request.subscription, context)
        backlog.extend(request.ack_ids, request.ack_deadline_seconds)
        return empty_pb2.Empty()

    def answer_streaming_pull(
        self, requests: Iterator[types.StreamingPullRequest], context: grpc.ServicerContext
    ) -> Iterator[types.StreamingPullResponse]:
        """Hand out messages until the client or a test ends the stream, at most as many at a time as was asked for."""
        first = next(requests)
        backlog, breaks = self._backlog(first.subscription, context), self._breaks
        with self._lock:
            self.streams += 1
            self.open_streams += 1
        context.add_callback(self._count_closed)
        threading.Thread(target=_drain, args=(requests,), daemon=True).start()
        limit = first.max_outstanding_messages or BATCH
        mine: set[str] = set()
        while context.is_active():
            if self.is_down or self._breaks != breaks:
                context.abort(grpc.StatusCode.UNAVAILABLE, "The service was unable to fulfill your request.")
            if first.subscription not in self.backlogs:
                context.abort(grpc.StatusCode.NOT_FOUND, "Resource not found.")
            mine = backlog.held(mine)
            room = min(BATCH, limit - len(mine))
            taken = backlog.take(room, STREAM_POLL_S) if room > 0 else []
            mine |= {lease for lease, _ in taken}
            if taken:
                messages = [_received(lease, message) for lease, message in taken]
                yield types.StreamingPullResponse(received_messages=messages)
            elif room <= 0:
                time.sleep(0.001)


def _drain(requests: Iterator[types.StreamingPullRequest]) -> None:
    """Read what the client sends on a stream (it only shows that it lives) until the stream ends."""
    try:
        for _ in requests:
            pass
    except grpc.RpcError:
        return


def _received(lease: str, message: Sent) -> types.ReceivedMessage:
    content = types.PubsubMessage(
        data=message.data,
        attributes=message.attributes,
        message_id=str(message.number),
        publish_time=datetime.fromtimestamp(message.published, UTC),
    )
    return types.ReceivedMessage(ack_id=lease, message=content)


def _handlers(standin: PubSubStandIn) -> tuple[grpc.GenericRpcHandler, ...]:
    """Name the calls of both services as the protocol does."""

    def call(answer: Callable[..., Any], request: Any) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(answer, request.deserialize, _serialize)

    publisher = {
        "CreateTopic": call(standin.answer_create_topic, types.Topic),
        "GetTopic": call(standin.answer_get_topic, types.GetTopicRequest),
        "Publish": call(standin.answer_publish, types.PublishRequest),
    }
    subscriber = {
        "CreateSubscription": call(standin.answer_create_subscription, types.Subscription),
        "GetSubscription": call(standin.answer_get_subscription, types.GetSubscriptionRequest),
        "DeleteSubscription": call(standin.answer_delete_subscription, types.DeleteSubscriptionRequest),
        "Pull": call(standin.answer_pull, types.PullRequest),
        "Acknowledge": call(standin.answer_acknowledge, types.AcknowledgeRequest),
        "ModifyAckDeadline": call(standin.answer_modify_ack_deadline, types.ModifyAckDeadlineRequest),
        "StreamingPull": grpc.stream_stream_rpc_method_handler(
            standin.answer_streaming_pull, types.StreamingPullRequest.deserialize, _serialize
        ),
    }
    return (
        grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", publisher),
        grpc.method_handlers_generic_handler("google.pubsub.v1.Subscriber", subscriber),
    )


def _serialize(message: Any) -> bytes:
    return message.SerializeToString() if isinstance(message, empty_pb2.Empty) else type(message).serialize(message)


def main() -> None:
    """Serve topics, each with one subscription of the same name, until the process is stopped."""
    parser = argparse.ArgumentParser(prog="python -m tests.standins.pubsub", description=main.__doc__)
    parser.add_argument("name", nargs="+")
    options = parser.parse_args()
    with PubSubStandIn() as pubsub:
        for name in options.name:
            pubsub.create_topic(name)
            pubsub.create_subscription(name, name, deadline_s=60.0)
        print(pubsub.address, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
