"""The forwarder's end of Google Pub/Sub: one request at a time, tried until it is acked.

Through the generated client, not the batching one: the spool is the only queue, and a try
is never more than two seconds away (docs/adr/0006-put-whole-rows-in-messages.md).
"""

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from google.api_core import exceptions
from google.pubsub_v1 import PublisherClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from schemas.errors import PubSubError, SettingsError
from schemas.home import Home
from schemas.pubsub import LONGEST_WAIT_SECONDS, connect, explained, one_line
from schemas.settings import PubSub

TRY_SECONDS = 10.0
FIRST_WAIT_SECONDS = 0.1
_ROLE = "roles/pubsub.publisher"


class Publisher:
    """Publishes messages to one topic."""

    def __init__(
        self,
        topic: str,
        *,
        stop: threading.Event,
        tell: Callable[[str], object],
        count: Callable[[str], object],
        patience_seconds: float = float("inf"),
    ) -> None:
        """Connects when the first message is sent.

        Args:
          topic: `projects/<project>/topics/<topic>`.
          stop: once set, a failed try is the last.
          tell: hears when an outage begins and when it ends.
          count: hears how each try ended: "ok", or gRPC's word.
          patience_seconds: after an outage of this length an error is raised.

        Raises:
          PubSubError: there are no credentials.
        """
        self.topic = topic
        self._stop = stop
        self._tell = tell
        self._count = count
        self._patience_seconds = patience_seconds
        with explained(f"publishing to {topic}", _ROLE):
            self._client: Any = connect(PublisherClient, PublisherGrpcTransport)

    def publish(self, data: bytes, **attributes: str) -> bool:
        """Returns True once the message is acked, False when told to stop before that.

        A try that got no answer may have stored the message nevertheless: each leaves at most
        one copy of it.

        Raises:
          PubSubError: the message is refused for good, or patience has run out.
        """
        message = PubsubMessage(data=data, attributes=attributes)
        wait_seconds = FIRST_WAIT_SECONDS
        began_at: float | None = None
        while True:
            try:
                with explained(f"publishing to {self.topic}", _ROLE):
                    self._try(message)
            except exceptions.GoogleAPIError as error:
                outage = f"Pub/Sub does not answer: {one_line(error)}"
            else:
                if began_at is not None:
                    self._tell(f"Pub/Sub answers again, after {time.monotonic() - began_at:.0f} s")
                return True
            if began_at is None:
                began_at = time.monotonic()
                self._tell(f"{outage}; trying again")
            if time.monotonic() - began_at > self._patience_seconds:
                raise PubSubError(outage)
            if self._stop.wait(wait_seconds * random.uniform(0.5, 1)):  # noqa: S311 - no secret
                return False
            wait_seconds = min(2 * wait_seconds, LONGEST_WAIT_SECONDS)

    def _try(self, message: PubsubMessage) -> None:
        request = {"topic": self.topic, "messages": [message]}
        try:
            self._client.publish(request=request, retry=None, timeout=TRY_SECONDS)
        except exceptions.GoogleAPICallError as error:
            code = error.grpc_status_code
            self._count(code.name.lower() if code else "unknown")
            raise
        self._count("ok")

    def close(self) -> None:
        """Closes the connection."""
        self._client.transport.close()


def pubsub_settings(home: Home) -> PubSub:
    """The section `[pubsub]` of the settings.

    Raises:
      SettingsError: there is none.
    """
    pubsub = home.settings().pubsub
    if pubsub is None:
        raise SettingsError(
            f"{home.settings_file} has no section [pubsub]; it needs one with"
            ' project = "your-project"'
        )
    return pubsub
