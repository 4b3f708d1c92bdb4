"""An in-process Pub/Sub: Google's published messages over gRPC, for the official client.

It keeps the promises a consumer lives by (at least once, leases, redelivery) and does on
demand what the emulator cannot: duplicates, refused calls, answers that get lost.
"""

import collections
import contextlib
import datetime
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from google.api_core import exceptions
from google.pubsub_v1 import types

PULL_SECONDS = 1.0  # an empty pull waits so long for a message, as the real one waits a while
SERVICES = {
    "Publisher": {
        "CreateTopic": types.Topic,
        "GetTopic": types.GetTopicRequest,
        "DeleteTopic": types.DeleteTopicRequest,
        "Publish": types.PublishRequest,
    },
    "Subscriber": {
        "CreateSubscription": types.Subscription,
        "GetSubscription": types.GetSubscriptionRequest,
        "DeleteSubscription": types.DeleteSubscriptionRequest,
        "Pull": types.PullRequest,
        "Acknowledge": types.AcknowledgeRequest,
        "ModifyAckDeadline": types.ModifyAckDeadlineRequest,
    },
    "SchemaService": {
        "CreateSchema": types.CreateSchemaRequest,
        "ListSchemaRevisions": types.ListSchemaRevisionsRequest,
    },
}


class FakePubSub:
    """Topics and subscriptions in memory, and the faults a test asks for.

    Attributes:
      address: `host:port`, as PUBSUB_EMULATOR_HOST wants it.
      published: topic name to its messages, in the order they were accepted.
      duplicates: how many extra copies of each message published from now on.
    """

    def __init__(self) -> None:
        self.address = ""
        self.published: dict[str, list[types.PubsubMessage]] = {}
        self.duplicates = 0
        self._schemas: dict[str, types.Schema] = {}
        self._subscriptions: dict[str, _Subscription] = {}
        self._refusals: collections.Counter[str] = collections.Counter()
        self._losses: collections.Counter[str] = collections.Counter()
        self._lock = threading.Condition()

    def refuse(self, method: str, times: int = 1) -> None:
        """The next calls of a method, e.g. "Publish", do nothing and answer UNAVAILABLE."""
        self._refusals[method] += times

    def lose_answer(self, method: str, times: int = 1) -> None:
        """The next calls of a method do their work, and yet answer UNAVAILABLE."""
        self._losses[method] += times

    @contextlib.contextmanager
    def serve(self) -> Iterator["FakePubSub"]:
        """Listens on a free loopback port until the block ends."""
        server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
        for service, requests in SERVICES.items():
            methods = {name: self._handler(name, kind) for name, kind in requests.items()}
            service_name = f"google.pubsub.v1.{service}"
            handler = grpc.method_handlers_generic_handler(service_name, methods)
            server.add_generic_rpc_handlers((handler,))
        self.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        server.start()
        try:
            yield self
        finally:
            server.stop(grace=None).wait()

    def _handler(self, name: str, request_type: Any) -> grpc.RpcMethodHandler:
        def answer(request: Any, context: grpc.ServicerContext) -> Any:
            try:
                with self._lock:
                    _take_fault(self._refusals, name, "refused by the test")
                    reply = getattr(self, name)(request)
                    self._lock.notify_all()
                    _take_fault(self._losses, name, "answer lost by the test")
                    return reply
            except exceptions.GoogleAPICallError as error:
                context.abort(error.grpc_status_code, error.message)

        return grpc.unary_unary_rpc_method_handler(answer, request_type.deserialize, _serialize)

    # The methods below are named as the service names them, and run under the lock.

    def CreateTopic(self, topic: types.Topic) -> types.Topic:
        if topic.name in self.published:
            raise exceptions.AlreadyExists(f"topic {topic.name}")
        self.published[topic.name] = []
        return topic

    def GetTopic(self, request: types.GetTopicRequest) -> types.Topic:
        self._messages(request.topic)
        return types.Topic(name=request.topic)

    def DeleteTopic(self, request: types.DeleteTopicRequest) -> None:
        self._messages(request.topic)
        del self.published[request.topic]

    def Publish(self, request: types.PublishRequest) -> types.PublishResponse:
        stored = self._messages(request.topic)
        message_ids = []
        for message in request.messages:
            message.message_id = str(len(stored) + 1)
            message.publish_time = datetime.datetime.now(datetime.UTC)
            stored.append(message)
            message_ids.append(message.message_id)
            for subscription in self._subscriptions.values():
                if subscription.settings.topic == request.topic:
                    subscription.waiting.extend([message] * (1 + self.duplicates))
        return types.PublishResponse(message_ids=message_ids)

    def CreateSubscription(self, settings: types.Subscription) -> types.Subscription:
        self._messages(settings.topic)
        if settings.name in self._subscriptions:
            raise exceptions.AlreadyExists(f"subscription {settings.name}")
        settings.ack_deadline_seconds = settings.ack_deadline_seconds or 10
        self._subscriptions[settings.name] = _Subscription(settings)
        return settings

    def GetSubscription(self, request: types.GetSubscriptionRequest) -> types.Subscription:
        return self._subscription(request.subscription).settings

    def DeleteSubscription(self, request: types.DeleteSubscriptionRequest) -> None:
        self._subscription(request.subscription)
        del self._subscriptions[request.subscription]

    def Pull(self, request: types.PullRequest) -> types.PullResponse:
        deadline = time.monotonic() + PULL_SECONDS
        while True:
            leased = self._subscription(request.subscription).lease(request.max_messages)
            if leased or time.monotonic() > deadline:
                return types.PullResponse(received_messages=leased)
            self._lock.wait(0.05)  # also looks for leases that have run out

    def Acknowledge(self, request: types.AcknowledgeRequest) -> None:
        subscription = self._subscription(request.subscription)
        for ack_id in request.ack_ids:  # an expired lease's id is ignored, as the service does
            subscription.leases.pop(ack_id, None)

    def ModifyAckDeadline(self, request: types.ModifyAckDeadlineRequest) -> None:
        subscription = self._subscription(request.subscription)
        for ack_id in set(request.ack_ids) & set(subscription.leases):
            _, message = subscription.leases[ack_id]
            until = time.monotonic() + request.ack_deadline_seconds
            subscription.leases[ack_id] = until, message

    def CreateSchema(self, request: types.CreateSchemaRequest) -> types.Schema:
        name = f"{request.parent}/schemas/{request.schema_id}"
        self._schemas[name] = request.schema
        return request.schema

    def ListSchemaRevisions(
        self, request: types.ListSchemaRevisionsRequest
    ) -> types.ListSchemaRevisionsResponse:
        if request.name not in self._schemas:
            raise exceptions.NotFound(f"schema {request.name}")
        return types.ListSchemaRevisionsResponse(schemas=[self._schemas[request.name]])

    def _messages(self, topic: str) -> list[types.PubsubMessage]:
        try:
            return self.published[topic]
        except KeyError:
            raise exceptions.NotFound(f"topic {topic}") from None

    def _subscription(self, name: str) -> "_Subscription":
        try:
            return self._subscriptions[name]
        except KeyError:
            raise exceptions.NotFound(f"subscription {name}") from None


class _Subscription:
    """What waits for a consumer, and what is leased to one until when."""

    def __init__(self, settings: types.Subscription) -> None:
        self.settings = settings
        self.waiting: collections.deque[types.PubsubMessage] = collections.deque()
        self.leases: dict[str, tuple[float, types.PubsubMessage]] = {}

    def lease(self, limit: int) -> list[types.ReceivedMessage]:
        """Leases out up to `limit` messages, those of leases that ran out included."""
        now = time.monotonic()
        for ack_id in [key for key, (until, _) in self.leases.items() if until <= now]:
            self.waiting.append(self.leases.pop(ack_id)[1])
        leased = []
        for _ in range(min(limit, len(self.waiting))):
            ack_id, message = uuid.uuid4().hex, self.waiting.popleft()
            self.leases[ack_id] = now + self.settings.ack_deadline_seconds, message
            leased.append(types.ReceivedMessage(ack_id=ack_id, message=message))
        return leased


def _take_fault(faults: collections.Counter[str], method: str, reason: str) -> None:
    if faults[method]:
        faults[method] -= 1
        raise exceptions.ServiceUnavailable(reason)


def _serialize(reply: Any) -> bytes:
    """Bytes of a reply; None stands for google.protobuf.Empty, whose bytes are none."""
    return b"" if reply is None else type(reply).serialize(reply)
